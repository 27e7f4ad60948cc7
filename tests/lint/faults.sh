#!/bin/sh
# faults - the programs people run hold no fault point; those the tests run do, and a test dies at each of them
#
# usage: tests/lint/faults.sh (looks into build/gcc, and where they are built into build/clang and build/asan)
set -eu
bad=0
for dir in build/gcc build/clang; do
	for program in bffd bff-worker bff-broker; do
		[ -x "$dir/$program" ] || { [ "$dir" = build/clang ] && continue; }
		if grep -aqE 'BFF_FAULT|fault_point' "$dir/$program"; then
			echo "faults: $dir/$program has fault points" >&2
			bad=1
		fi
	done
done
# So that the above means something.
if [ -x build/asan/bff-broker ] && ! grep -aq 'BFF_FAULT' build/asan/bff-broker; then
	echo "faults: build/asan/bff-broker has none: the fault tests test nothing" >&2
	bad=1
fi
# In tests/integration a point is named whole, or by what follows its dot where a test goes through several.
for point in $(grep -rhoE 'FAULT_POINT\("[a-z_.]+"\)' broker common master worker | cut -d'"' -f2); do
	if ! grep -rqE "\"$point:|\"${point#*.}\"" tests/integration; then
		echo "faults: no test dies at $point" >&2
		bad=1
	fi
done
exit $bad

#!/bin/sh
# hardened - what the compiler and the linker were asked for is in the programs
#
# usage: tests/lint/hardened.sh DIRECTORY (default build/gcc)
#
# Calls between files are inlined where programs are linked, so that what an object has says nothing of
# the program: position-independent, all of the linker's tables read-only, no executable stack, canaries,
# fortified calls, and the wiping of secrets. Exits 1 with what is missing, 2 when it cannot tell.
set -eu
dir=${1:-build/gcc}
bad=0

# want PROGRAM WHAT PATTERN: in what readelf says
want() {
	if ! printf '%s\n' "$said" | grep -Eq "$3"; then
		echo "hardened: $1: no $2" >&2
		bad=1
	fi
}

for program in "$dir/bffd" "$dir/bff-worker" "$dir/bff-broker"; do
	if ! said=$(readelf --dynamic --segments --dyn-syms --wide "$program"); then
		exit 2
	fi
	want "$program" 'position-independent code' '\(FLAGS_1\).* PIE'
	want "$program" 'binding before the start' '\(FLAGS_1\).* NOW'
	want "$program" 'read-only relocations' '^ +GNU_RELRO '
	want "$program" 'stack that is no code' '^ +GNU_STACK .* RW +0x'
	want "$program" 'stack protector' ' UND __stack_chk_fail@'
	want "$program" 'fortified calls' ' UND __memcpy_chk@'
	want "$program" 'wiping of secrets' ' UND (__explicit_bzero_chk|explicit_bzero)@'
done
exit $bad

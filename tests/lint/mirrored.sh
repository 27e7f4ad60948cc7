#!/bin/sh
# The unit tests mirror the sources: DIR/FILE.c has tests/unit/DIR/test_FILE.c, and the other way round; a long one is
# cut along its subjects into test_FILE_SUBJECT.c beside it. main.c is exempt: an entry point, which the integration
# tests start.
cd "$(dirname "$0")/../.." || exit 1
missing=0
for dir in master worker broker common; do
	for source in "$dir"/*.c; do
		name=$(basename "$source" .c)
		if [ "$name" != main ] && [ ! -f "tests/unit/$dir/test_$name.c" ]; then
			echo "$source: no tests/unit/$dir/test_$name.c"
			missing=1
		fi
	done
	for test in "tests/unit/$dir"/test_*.c; do
		name=$(basename "$test" .c)
		file=${name#test_}
		while [ ! -f "$dir/$file.c" ] && [ "$file" != "${file%_*}" ]; do
			file=${file%_*}
		done
		if [ ! -f "$dir/$file.c" ]; then
			echo "$test: no $dir/${name#test_}.c"
			missing=1
		fi
	done
done
exit $missing

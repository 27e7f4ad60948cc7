#!/bin/sh
# links - each program links only what its privilege needs
#
# usage: tests/lint/links.sh DIRECTORY (default build/gcc)
#
# Asks the dynamic linker what each program would load, at any depth, and refuses the libraries that
# must not be in that process. bff-worker has TLS libraries through libpq; what it must not have is a
# client for HTTP, and it needs no json-c, for it reads claims where they are (claim.h). jansson
# exports the names of json-c: never both in one process. Exits 1 with the names, 2 when it cannot
# tell.
set -eu
dir=${1:-build/gcc}
bad=0

# forbid PROGRAM LIBRARY...
forbid() {
	program=$dir/$1
	shift
	if ! [ -x "$program" ]; then
		echo "links: $program: not built" >&2
		exit 2
	fi
	loaded=$(ldd "$program") || exit 2
	direct=$(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
	case $loaded in
	*'not found'*)
		echo "links: $program: a library is missing" >&2
		exit 2
		;;
	esac
	for library in "$@"; do
		for found in $(printf '%s\n' "$loaded" | sed -n "s/^[[:space:]]*\($library[.-][^ ]*\).*/\1/p"); do
			how=indirectly
			if printf '%s\n' "$direct" | grep -Fqx "$found"; then how=directly; fi
			echo "links: $program: must not link $found, does $how" >&2
			bad=1
		done
	done
}

forbid bffd libcurl libcurl-gnutls libpq libjson-c libjansson libcrypto libssl libgnutls libnss3
forbid bff-worker libcurl libcurl-gnutls libjson-c libjansson
forbid bff-broker libjansson
exit $bad

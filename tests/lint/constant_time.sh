#!/bin/sh
# constant_time - what a stranger may guess at is compared in constant time
#
# usage: tests/lint/constant_time.sh. Each function below must compare by crypt_equal(); no test can see
# the difference that sv_eq() or memcmp() in its place would make.
set -eu
bad=0
check() # FILE TEXT-OF-THE-CALL
{
	if ! grep -qF "$2" "$1"; then
		echo "constant_time: $1: expected $2" >&2
		bad=1
	fi
}
check worker/csrf.c 'crypt_equal(got, sv_of(want'
check worker/cookie.c 'crypt_equal(tag, sv_of(want'
check broker/id_token.c 'crypt_equal(nonce, r->expect.nonce)'
check broker/id_token.c 'crypt_equal(got, sv_of(want, b64url_encode(hash'
exit $bad

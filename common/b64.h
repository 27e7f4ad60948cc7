/*
 * b64 - base64url without padding (RFC 4648 5, RFC 7515 2) and plain base64
 *
 * Decoding is strict: no padding, no white space, no foreign character, and the unused
 * bits of the last character are zero, so that a value has exactly one spelling. Pure.
 */
#ifndef BFF_B64_H
#define BFF_B64_H

#include "common/sv.h"

/* Characters that n bytes take; B64URL_LEN(32) == 43. */
#define B64URL_LEN(n) (((n) / 3) * 4 + ((n) % 3 == 0 ? 0 : (n) % 3 + 1))

/* Writes B64URL_LEN(n) characters to out, no NUL; returns their number. */
size_t b64url_encode(const void *in, size_t n, char *out);

/* Decodes all of s into out, which has room for max bytes. ERR_SYNTAX, ERR_LIMIT. */
WARN_UNUSED enum err b64url_decode(struct sv s, void *out, size_t max, size_t *ret_n);

/* Standard alphabet with padding (RFC 4648 4), for HTTP Basic: 4 * ((n + 2) / 3) characters. */
size_t b64_encode(const void *in, size_t n, char *out);

#endif

#include "common/b64.h"

static const char url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char std_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t encode(const unsigned char *in, size_t n, const char *alphabet, char *out)
{
	size_t o = 0, i = 0;
	uint32_t v;

	for (; n - i >= 3; i += 3) {
		v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
		out[o++] = alphabet[v >> 18];
		out[o++] = alphabet[(v >> 12) & 63];
		out[o++] = alphabet[(v >> 6) & 63];
		out[o++] = alphabet[v & 63];
	}
	if (i == n)
		return o;
	v = (uint32_t)in[i] << 16 | (i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0);
	out[o++] = alphabet[v >> 18];
	out[o++] = alphabet[(v >> 12) & 63];
	if (i + 1 < n)
		out[o++] = alphabet[(v >> 6) & 63];
	return o;
}

size_t b64url_encode(const void *in, size_t n, char *out)
{
	return encode(in, n, url_alphabet, out);
}

size_t b64_encode(const void *in, size_t n, char *out)
{
	size_t o = encode(in, n, std_alphabet, out);

	while (o % 4 != 0)
		out[o++] = '=';
	return o;
}

/* What each byte, 16 a line, stands for; -1: it is none of url_alphabet. */
/* clang-format off */
static const signed char values[256] = {
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, -1,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1,
    -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, 63,
    -1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
};
/* clang-format on */

static int value_of(char c)
{
	return values[(unsigned char)c];
}

enum err b64url_decode(struct sv s, void *out, size_t max, size_t *ret_n)
{
	unsigned char *o = out;
	size_t n = s.n / 4 * 3 + (s.n % 4 == 0 ? 0 : s.n % 4 - 1), at = 0, i = 0;
	uint32_t v = 0;
	unsigned bits = 0;

	if (s.n % 4 == 1)
		return ERR_SYNTAX;
	if (n > max)
		return ERR_LIMIT;
	for (; s.n - i >= 4; i += 4) {
		int a = value_of(s.p[i]), b = value_of(s.p[i + 1]), c = value_of(s.p[i + 2]),
		    d = value_of(s.p[i + 3]);

		if ((a | b | c | d) < 0)
			return ERR_SYNTAX;
		v = (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)c << 6 | (uint32_t)d;
		o[at++] = (unsigned char)(v >> 16);
		o[at++] = (unsigned char)(v >> 8);
		o[at++] = (unsigned char)v;
	}
	for (v = 0; i < s.n; i++) {
		int d = value_of(s.p[i]);

		if (d < 0)
			return ERR_SYNTAX;
		v = (v << 6) | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			o[at++] = (unsigned char)(v >> bits);
			v &= (1U << bits) - 1;
		}
	}
	if (v != 0)
		return ERR_SYNTAX; /* unused bits set: a second spelling of the same bytes */
	*ret_n = at;
	return ERR_OK;
}

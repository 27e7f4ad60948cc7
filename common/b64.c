#include "common/b64.h"

static const char url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char std_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t encode(const unsigned char *in, size_t n, const char *alphabet, char *out)
{
	size_t o = 0;

	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16;

		if (i + 1 < n)
			v |= (uint32_t)in[i + 1] << 8;
		if (i + 2 < n)
			v |= in[i + 2];
		out[o++] = alphabet[v >> 18];
		out[o++] = alphabet[(v >> 12) & 63];
		if (i + 1 < n)
			out[o++] = alphabet[(v >> 6) & 63];
		if (i + 2 < n)
			out[o++] = alphabet[v & 63];
	}
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

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

enum err b64url_decode(struct sv s, void *out, size_t max, size_t *ret_n)
{
	unsigned char *o = out;
	size_t n = s.n / 4 * 3 + (s.n % 4 == 0 ? 0 : s.n % 4 - 1), at = 0;
	uint32_t v = 0;
	unsigned bits = 0;

	if (s.n % 4 == 1)
		return ERR_SYNTAX;
	if (n > max)
		return ERR_LIMIT;
	for (size_t i = 0; i < s.n; i++) {
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

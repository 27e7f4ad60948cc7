#include "common/json_lex.h"

static size_t left(const struct json_lex *l)
{
	return (size_t)(l->end - l->p);
}

/* ---- strings ----------------------------------------------------------------------------- */

/* XXXX of \uXXXX; -1 when malformed. */
static int32_t hex4(struct sv s)
{
	int high = sv_hex_byte(s, 0), low = sv_hex_byte(s, 2);

	return high == -1 || low == -1 ? -1 : high * 256 + low;
}

/* Behind \u; surrogates only as a pair. */
static bool unicode_escape(struct json_lex *l, uint32_t *ret)
{
	int32_t hi = hex4(sv_of(l->p, left(l))), lo;

	if (hi == -1 || (hi >= 0xdc00 && hi <= 0xdfff))
		return false;
	l->p += 4;
	*ret = (uint32_t)hi;
	if (hi < 0xd800 || hi > 0xdbff)
		return true;
	if (left(l) < 6 || l->p[0] != '\\' || l->p[1] != 'u')
		return false;
	lo = hex4(sv_of(l->p + 2, left(l) - 2));
	if (lo < 0xdc00 || lo > 0xdfff)
		return false;
	l->p += 6;
	*ret = 0x10000 + ((uint32_t)(hi - 0xd800) << 10) + (uint32_t)(lo - 0xdc00);
	return true;
}

static size_t utf8_put(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 63));
		out[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 63));
	out[2] = (char)(0x80 | (c >> 6 & 63));
	out[3] = (char)(0x80 | (c & 63));
	return 4;
}

static size_t escape(struct json_lex *l, char out[4])
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	uint32_t c;
	const char *at;

	if (left(l) < 2)
		return 0;
	if (l->p[1] == 'u') {
		l->p += 2;
		return unicode_escape(l, &c) ? utf8_put(c, out) : 0;
	}
	at = l->p[1] == '\0' ? NULL : strchr(from, l->p[1]);
	if (at == NULL)
		return 0;
	out[0] = to[at - from];
	l->p += 2;
	return 1;
}

size_t json_lex_char(struct json_lex *l, char out[4])
{
	size_t n;

	if (l->p == l->end || (unsigned char)*l->p < 0x20)
		return 0;
	if (*l->p == '\\')
		return escape(l, out);
	n = sv_utf8_len(sv_of(l->p, left(l)));
	memcpy(out, l->p, n);
	l->p += n;
	return n;
}

bool json_lex_string_on(struct json_lex *l, const char *from, struct json_string *ret)
{
	struct json_string s = {.plain = true};
	char c[4];

	while (!json_lex_is(l, '"')) {
		s.plain = s.plain && !json_lex_is(l, '\\');
		if (json_lex_char(l, c) == 0)
			return false;
		s.has_nul = s.has_nul || c[0] == '\0';
		l->p += sv_find_special(sv_of(l->p, left(l)), '"', '\\');
	}
	s.text = sv_of(from, (size_t)(l->p - from));
	l->p++;
	*ret = s;
	return true;
}

bool json_unescape(struct sv text, char *out, size_t max, size_t *ret_n)
{
	struct json_lex l = json_lex_of(text);
	size_t n = 0, k;
	char c[4];

	while ((k = json_lex_char(&l, c)) > 0) {
		if (k > max - n)
			return false;
		memcpy(out + n, c, k);
		n += k;
	}
	*ret_n = n;
	return true;
}

/* ---- the rest ---------------------------------------------------------------------------- */

static size_t digits(struct json_lex *l)
{
	const char *from = l->p;

	while (l->p < l->end && *l->p >= '0' && *l->p <= '9')
		l->p++;
	return (size_t)(l->p - from);
}

static bool number(struct json_lex *l)
{
	if (json_lex_is(l, '-'))
		l->p++;
	if (json_lex_is(l, '0'))
		l->p++;
	else if (digits(l) == 0)
		return false;
	if (json_lex_is(l, '.')) {
		l->p++;
		if (digits(l) == 0)
			return false;
	}
	if (json_lex_is(l, 'e') || json_lex_is(l, 'E')) {
		l->p++;
		if (json_lex_is(l, '+') || json_lex_is(l, '-'))
			l->p++;
		if (digits(l) == 0)
			return false;
	}
	return true;
}

static bool word(struct json_lex *l, struct sv w)
{
	if (!sv_starts(sv_of(l->p, left(l)), w))
		return false;
	l->p += w.n;
	return true;
}

bool json_lex_scalar(struct json_lex *l)
{
	if (json_lex_is(l, 't'))
		return word(l, SV("true"));
	if (json_lex_is(l, 'f'))
		return word(l, SV("false"));
	if (json_lex_is(l, 'n'))
		return word(l, SV("null"));
	return number(l);
}

bool json_lex_name(struct json_lex *l, struct json_string *ret)
{
	if (!json_lex_string(l, ret))
		return false;
	json_lex_space(l);
	if (!json_lex_is(l, ':'))
		return false;
	l->p++;
	json_lex_space(l);
	return true;
}

enum json_item json_lex_first(struct json_lex *l, char close)
{
	json_lex_space(l);
	if (!json_lex_is(l, close))
		return JSON_ITEM;
	l->p++;
	return JSON_END;
}

enum json_item json_lex_more(struct json_lex *l, char close)
{
	json_lex_space(l);
	if (json_lex_is(l, close)) {
		l->p++;
		return JSON_END;
	}
	if (!json_lex_is(l, ','))
		return JSON_BAD;
	l->p++;
	json_lex_space(l);
	return JSON_ITEM;
}

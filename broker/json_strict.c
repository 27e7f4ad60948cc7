#include "broker/json_strict.h"

struct scan {
	const char *p, *end;
	unsigned depth;
	size_t nseen;
	uint64_t seen[JSON_MEMBERS_MAX]; /* hashes of the unescaped names of open objects */
	json_member_fn fn;
	void *arg;
};

static enum err value(struct scan *s);

static void space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

static bool next_is(const struct scan *s, char c)
{
	return s->p < s->end && *s->p == c;
}

/* XXXX of \uXXXX at p; -1 when malformed. */
static int32_t hex4(const char *p, const char *end)
{
	struct sv s = sv_of(p, (size_t)(end - p));
	int high = sv_hex_byte(s, 0), low = sv_hex_byte(s, 2);

	return high == -1 || low == -1 ? -1 : high * 256 + low;
}

/* \u at **p (behind the u); surrogates only as a pair, no U+0000. */
static enum err unicode_escape(const char **p, const char *end, uint32_t *ret)
{
	int32_t hi = hex4(*p, end), lo;

	if (hi <= 0 || (hi >= 0xdc00 && hi <= 0xdfff))
		return ERR_SYNTAX;
	*p += 4;
	*ret = (uint32_t)hi;
	if (hi < 0xd800 || hi > 0xdbff)
		return ERR_OK;
	if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
		return ERR_SYNTAX;
	lo = hex4(*p + 2, end);
	if (lo < 0xdc00 || lo > 0xdfff)
		return ERR_SYNTAX;
	*p += 6;
	*ret = 0x10000 + ((uint32_t)(hi - 0xd800) << 10) + (uint32_t)(lo - 0xdc00);
	return ERR_OK;
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

/* One character of a string, escaped or not, as UTF-8 in out. */
static enum err character(const char **p, const char *end, char out[4], size_t *ret_n)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	uint32_t c;
	const char *at;
	enum err e;

	if ((unsigned char)**p < 0x20)
		return ERR_SYNTAX;
	if (**p != '\\') {
		*ret_n = sv_utf8_len(sv_of(*p, (size_t)(end - *p)));
		if (*ret_n == 0)
			return ERR_SYNTAX;
		memcpy(out, *p, *ret_n);
		*p += *ret_n;
		return ERR_OK;
	}
	if (end - *p < 2)
		return ERR_SYNTAX;
	if ((*p)[1] == 'u') {
		*p += 2;
		e = unicode_escape(p, end, &c);
		*ret_n = e == ERR_OK ? utf8_put(c, out) : 0;
		return e;
	}
	at = (*p)[1] == '\0' ? NULL : strchr(from, (*p)[1]);
	if (at == NULL)
		return ERR_SYNTAX;
	out[0] = to[at - from];
	*ret_n = 1;
	*p += 2;
	return ERR_OK;
}

/* A string; *ret is what stands between the quotes, *ret_hash the sv_hash() of what it means. Equal
 * names have equal hashes, so none slips through; a collision only refuses. */
static enum err string(struct scan *s, struct sv *ret, uint64_t *ret_hash)
{
	uint64_t h = SV_HASH_START;
	const char *from;

	if (!next_is(s, '"'))
		return ERR_SYNTAX;
	from = ++s->p;
	while (s->p < s->end && *s->p != '"') {
		char c[4];
		size_t n = 0;
		enum err e = character(&s->p, s->end, c, &n);

		if (e != ERR_OK)
			return e;
		h = sv_hash(h, sv_of(c, n));
	}
	if (s->p == s->end)
		return ERR_SYNTAX;
	*ret = sv_of(from, (size_t)(s->p - from));
	*ret_hash = h;
	s->p++;
	return ERR_OK;
}

static size_t digits(struct scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return (size_t)(s->p - from);
}

static enum err number(struct scan *s)
{
	const char *from = s->p;

	if (next_is(s, '-'))
		s->p++;
	if (next_is(s, '0'))
		s->p++;
	else if (digits(s) == 0)
		return ERR_SYNTAX;
	if (next_is(s, '.')) {
		s->p++;
		if (digits(s) == 0)
			return ERR_SYNTAX;
	}
	if (next_is(s, 'e') || next_is(s, 'E')) {
		s->p++;
		if (next_is(s, '+') || next_is(s, '-'))
			s->p++;
		if (digits(s) == 0)
			return ERR_SYNTAX;
	}
	return s->p - from > JSON_NUMBER_MAX ? ERR_LIMIT : ERR_OK;
}

static enum err word(struct scan *s, struct sv w)
{
	if (!sv_starts(sv_of(s->p, (size_t)(s->end - s->p)), w))
		return ERR_SYNTAX;
	s->p += w.n;
	return ERR_OK;
}

static enum err remember(struct scan *s, size_t first, uint64_t hash)
{
	for (size_t i = first; i < s->nseen; i++)
		if (s->seen[i] == hash)
			return ERR_EXISTS;
	if (s->nseen == JSON_MEMBERS_MAX)
		return ERR_LIMIT;
	s->seen[s->nseen++] = hash;
	return ERR_OK;
}

static enum err member(struct scan *s, size_t first)
{
	struct sv key;
	uint64_t hash;
	const char *from;
	enum err e = string(s, &key, &hash);

	if (e == ERR_OK && key.n > JSON_KEY_MAX)
		e = ERR_LIMIT;
	if (e == ERR_OK)
		e = remember(s, first, hash);
	if (e != ERR_OK)
		return e;
	space(s);
	if (!next_is(s, ':'))
		return ERR_SYNTAX;
	s->p++;
	space(s);
	from = s->p;
	e = value(s);
	if (e == ERR_OK && s->depth == 1 && s->fn != NULL)
		e = s->fn(s->arg, key, sv_of(from, (size_t)(s->p - from)));
	return e;
}

/* The elements between the brackets, the opening one already read. */
static enum err elements(struct scan *s, char close)
{
	size_t first = s->nseen;
	enum err e;

	space(s);
	if (next_is(s, close)) {
		s->p++;
		return ERR_OK;
	}
	for (;;) {
		space(s);
		e = close == '}' ? member(s, first) : value(s);
		if (e != ERR_OK)
			return e;
		space(s);
		if (s->p == s->end || (*s->p != ',' && *s->p != close))
			return ERR_SYNTAX;
		if (*s->p++ == close)
			break;
	}
	s->nseen = first;
	return ERR_OK;
}

/* Recursive, but no deeper than JSON_DEPTH_MAX. */
static enum err value(struct scan *s)
{
	struct sv ignored;
	uint64_t hash;
	enum err e;
	char c;

	if (s->p == s->end)
		return ERR_SYNTAX;
	c = *s->p;
	if (c == '"')
		return string(s, &ignored, &hash);
	if (c == 't')
		return word(s, SV("true"));
	if (c == 'f')
		return word(s, SV("false"));
	if (c == 'n')
		return word(s, SV("null"));
	if (c != '{' && c != '[')
		return number(s);
	if (s->depth == JSON_DEPTH_MAX)
		return ERR_LIMIT;
	s->p++;
	s->depth++;
	e = elements(s, c == '{' ? '}' : ']');
	s->depth--;
	return e;
}

static enum err scan(struct sv text, size_t max, char first, json_member_fn fn, void *arg)
{
	struct scan s;
	enum err e;

	if (text.n == 0)
		return ERR_SYNTAX;
	if (text.n > max)
		return ERR_LIMIT;
	/* Not an initialiser: seen[] is 4 KB and needs none. */
	s.p = text.p;
	s.end = text.p + text.n;
	s.depth = 0;
	s.nseen = 0;
	s.fn = fn;
	s.arg = arg;
	space(&s);
	if (first != '\0' && !next_is(&s, first))
		return ERR_SYNTAX;
	e = value(&s);
	space(&s);
	if (e == ERR_OK && s.p != s.end)
		e = ERR_SYNTAX;
	return e;
}

enum err json_strict_scan(struct sv text, size_t max)
{
	return scan(text, max, '\0', NULL, NULL);
}

enum err json_strict_object(struct sv text, size_t max, json_member_fn fn, void *arg)
{
	return scan(text, max, '{', fn, arg);
}

enum err json_strict_string(struct sv v, char *out, size_t max, size_t *ret_n)
{
	const char *p = v.p + 1, *end = v.p + v.n - 1;
	size_t n = 0;

	if (v.n < 2 || v.p[0] != '"' || *end != '"')
		return ERR_SYNTAX;
	while (p < end) {
		char c[4];
		size_t k = 0;
		enum err e = character(&p, end, c, &k);

		if (e != ERR_OK)
			return e;
		if (k > max - n)
			return ERR_LIMIT;
		memcpy(out + n, c, k);
		n += k;
	}
	*ret_n = n;
	return ERR_OK;
}

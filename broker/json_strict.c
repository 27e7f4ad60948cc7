#include "broker/json_strict.h"

#include "common/json_lex.h"

struct scan {
	struct json_lex l;
	unsigned depth;
	size_t nseen;
	uint64_t seen[JSON_MEMBERS_MAX]; /* hashes of the unescaped names of open objects */
	json_member_fn fn;
	void *arg;
};

static enum err value(struct scan *s);

/* The sv_hash() of what a name means. Equal names have equal hashes, so none slips through; a
 * collision only refuses. */
static uint64_t hash_of(const struct json_string *name)
{
	struct json_lex l = json_lex_of(name->text);
	uint64_t h = SV_HASH_START;
	char c[4];
	size_t n;

	while ((n = json_lex_char(&l, c)) > 0)
		h = sv_hash(h, sv_of(c, n));
	return h;
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
	struct json_string name;
	const char *from;
	enum err e;

	if (!json_lex_name(&s->l, &name) || name.has_nul)
		return ERR_SYNTAX;
	if (name.text.n > JSON_KEY_MAX)
		return ERR_LIMIT;
	e = remember(s, first, hash_of(&name));
	if (e != ERR_OK)
		return e;
	from = s->l.p;
	e = value(s);
	if (e == ERR_OK && s->depth == 1 && s->fn != NULL)
		e = s->fn(s->arg, name.text, sv_of(from, (size_t)(s->l.p - from)));
	return e;
}

/* What is between the brackets, the opening one already read. */
static enum err items(struct scan *s, char close)
{
	size_t first = s->nseen;
	enum json_item i = json_lex_first(&s->l, close);

	for (; i == JSON_ITEM; i = json_lex_more(&s->l, close)) {
		enum err e = close == '}' ? member(s, first) : value(s);

		if (e != ERR_OK)
			return e;
	}
	s->nseen = first;
	return i == JSON_END ? ERR_OK : ERR_SYNTAX;
}

/* A string, number, true, false or null. */
static enum err scalar(struct scan *s)
{
	const char *from = s->l.p;
	struct json_string string;

	if (json_lex_is(&s->l, '"'))
		return json_lex_string(&s->l, &string) && !string.has_nul ? ERR_OK : ERR_SYNTAX;
	if (!json_lex_scalar(&s->l))
		return ERR_SYNTAX;
	return s->l.p - from > JSON_NUMBER_MAX ? ERR_LIMIT : ERR_OK;
}

/* Recursive, but no deeper than JSON_DEPTH_MAX. */
static enum err value(struct scan *s)
{
	bool is_object = json_lex_is(&s->l, '{');
	enum err e;

	if (!is_object && !json_lex_is(&s->l, '['))
		return scalar(s);
	if (s->depth == JSON_DEPTH_MAX)
		return ERR_LIMIT;
	s->l.p++;
	s->depth++;
	e = items(s, is_object ? '}' : ']');
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
	s.l = json_lex_of(text);
	s.depth = 0;
	s.nseen = 0;
	s.fn = fn;
	s.arg = arg;
	json_lex_space(&s.l);
	if (first != '\0' && !json_lex_is(&s.l, first))
		return ERR_SYNTAX;
	e = value(&s);
	json_lex_space(&s.l);
	if (e == ERR_OK && s.l.p != s.l.end)
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
	struct json_lex l = json_lex_of(v);
	struct json_string s;

	if (!json_lex_string(&l, &s) || s.has_nul || l.p != l.end)
		return ERR_SYNTAX;
	return json_unescape(s.text, out, max, ret_n) ? ERR_OK : ERR_LIMIT;
}

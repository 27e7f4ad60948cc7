/*
 * json_lex - the grammar of JSON (RFC 8259), read in place
 *
 * A cursor in a text. Each function takes one thing of the grammar at it, or says that none is
 * there; where the cursor stands then is nobody's business. Nothing outside the grammar passes:
 * UTF-8 is well-formed, surrogates are escaped as pairs. What else a text must not have (depth,
 * duplicate names, U+0000) is for its reader to say. Nothing is copied, nothing allocates. Pure.
 *
 *	for (n = json_lex_first(&l, ']'); n == JSON_ITEM; n = json_lex_more(&l, ']'))
 *		...one value
 *	whole = n == JSON_END;
 */
#ifndef BFF_JSON_LEX_H
#define BFF_JSON_LEX_H

#include "common/sv.h"

#define JSON_DEPTH_MAX 16 /* arrays and objects within one another, of all that we read */

struct json_lex {
	const char *p, *end;
};

struct json_string {
	struct sv text; /* between the quotes, as written */
	bool plain;	/* and as meant: nothing in it is escaped */
	bool has_nul;	/* \u0000 is somewhere in it */
};

enum json_item {
	JSON_BAD, /* the grammar has something else here */
	JSON_ITEM,
	JSON_END, /* the closing bracket, which was taken */
};

static inline struct json_lex json_lex_of(struct sv text)
{
	return (struct json_lex){text.p, text.p + text.n};
}

static inline bool json_lex_is(const struct json_lex *l, char c)
{
	return l->p < l->end && *l->p == c;
}

static inline void json_lex_space(struct json_lex *l)
{
	while (l->p < l->end && (*l->p == ' ' || *l->p == '\t' || *l->p == '\n' || *l->p == '\r'))
		l->p++;
}

/* json_lex_string() where there is more than printable ASCII: l is at it, the text began at from.
 */
WARN_UNUSED bool json_lex_string_on(struct json_lex *l, const char *from, struct json_string *ret);

/* A string, its quotes with it. */
static inline bool json_lex_string(struct json_lex *l, struct json_string *ret)
{
	const char *from;

	if (!json_lex_is(l, '"'))
		return false;
	from = l->p + 1;
	l->p = from + sv_find_special(sv_of(from, (size_t)(l->end - from)), '"', '\\');
	if (!json_lex_is(l, '"'))
		return json_lex_string_on(l, from, ret);
	*ret = (struct json_string){.text = sv_of(from, (size_t)(l->p - from)), .plain = true};
	l->p++;
	return true;
}

/* The name of a member and all up to its value. */
WARN_UNUSED bool json_lex_name(struct json_lex *l, struct json_string *ret);

/* A number, true, false or null. */
WARN_UNUSED bool json_lex_scalar(struct json_lex *l);

/* Inside the brackets of an array or object: at JSON_ITEM the cursor is at the element or name. */
WARN_UNUSED enum json_item json_lex_first(struct json_lex *l, char close);
WARN_UNUSED enum json_item json_lex_more(struct json_lex *l, char close);

/* One character between the quotes, escaped or not, as UTF-8; 0: none, else how many bytes. */
WARN_UNUSED size_t json_lex_char(struct json_lex *l, char out[4]);

/* What the text of a string that json_lex_string() took means; no NUL is added. It never is longer
 * than the text. False: it is longer than max. */
WARN_UNUSED bool json_unescape(struct sv text, char *out, size_t max, size_t *ret_n);

#endif

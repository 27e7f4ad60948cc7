/*
 * http_field - the header fields of a request, and how their names compare
 *
 * A field's name and value are views into the connection's buffer, valid while the request
 * is. Values have no white space at their ends and no CR, LF or NUL (the parser refuses
 * them). Names compare exactly, letter case aside. An alias is another name that CGI, WSGI
 * or PHP would fold into the same one: every byte that is neither letter nor digit counts
 * as the same separator ("X_User_ID", "X.User.ID" for "X-User-ID"). Pure.
 */
#ifndef BFF_HTTP_FIELD_H
#define BFF_HTTP_FIELD_H

#include "common/sv.h"

enum http_name {
	HTTP_UNJUDGED = 0, /* a field that did not go through http_fields_of(): a bug */
	HTTP_OTHER,
#define HTTP_NAME(id, name, rule) HTTP_##id,
#include "worker/http_name.def"
#undef HTTP_NAME
	HTTP_NAMES_END
};

struct http_field {
	struct sv name;
	struct sv value;
	enum http_name known; /* what its name folds to */
	bool alias;	      /* only after folding */
	bool again;	      /* no alias, and not the first of its name */
};

struct http_fields {
	const struct http_field *v;
	size_t n;
	uint64_t names; /* a bit of each known name that is among them, not as an alias */
	uint64_t twice; /* of those, the ones that are there more than once */
};

/* The same name, letter case aside. Lengths and ends tell most names apart. */
static inline bool http_name_eq(struct sv a, struct sv b)
{
	return a.n == b.n &&
	       (a.n == 0 ||
		(sv_lower_char(a.p[a.n - 1]) == sv_lower_char(b.p[a.n - 1]) && sv_eq_nocase(a, b)));
}

/* Of two of one length, see http_name_folds(). */
bool http_name_folds_as_long(struct sv a, struct sv b);

/* Folds to the same name: http_name_eq(), or an alias. */
static inline bool http_name_folds(struct sv a, struct sv b)
{
	return a.n == b.n && http_name_folds_as_long(a, b);
}

/* Which of the known names it folds to, or HTTP_OTHER. */
enum http_name http_name_known(struct sv name);

/* n fields with their names and values: each name is compared here, once. */
struct http_fields http_fields_of(struct http_field *v, size_t n);

/* The n-th field (from 0) of that name, no alias; NULL when there are fewer. */
const struct http_field *http_fields_nth(struct http_fields f, enum http_name name, size_t n);

/* The value of the one field of that name. ERR_NOT_FOUND; ERR_EXISTS when there are two. */
WARN_UNUSED enum err http_fields_one(struct http_fields f, enum http_name name, struct sv *ret);

#endif

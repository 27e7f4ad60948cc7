/*
 * claim - one claim of a session, by the name that a configuration gives it
 *
 * A name that starts with '/' is a JSON pointer (RFC 6901): "/realm_access/roles" is the array
 * inside the object realm_access, "/groups/0" the first element of groups. Every other name is that
 * of a claim at the top, dots and slashes and all: "cognito:groups", "https://x.example/roles". A
 * claim at the top whose own name starts with '/' is "/~1name".
 *
 * The claims are read where they are: one pass judges the whole text and notes where each claim at
 * the top is, whichever is asked for then. So a text that is malformed anywhere is refused before
 * anything of it is believed. Of members with one name the last one counts. Only a string with
 * escapes is copied, and only for that is there an allocation.
 *
 * Everything here borrows the text. A struct claims is on its caller's stack, for one request.
 */
#ifndef BFF_CLAIM_H
#define BFF_CLAIM_H

#include "common/buf.h"
#include "common/json_lex.h"

#define CLAIM_JSON_MAX 65536 /* bytes of all claims of a session */
/* Nesting of them, a value in the innermost array or object with it: all that a login may store. */
#define CLAIM_DEPTH_MAX (JSON_DEPTH_MAX + 1)
#define CLAIM_NOTED 32 /* claims at the top; the others are searched for in the text */

/* One value. Zero: none. */
struct claim {
	struct sv json;
	bool plain; /* of a string: nothing in it is escaped */
};

struct claim_member {
	struct json_string name;
	struct claim value;
};

struct claims {
	struct buf unescaped; /* the last one */
	struct json_lex rest; /* inside the object, behind the noted ones */
	size_t n;
	struct claim_member noted[CLAIM_NOTED];
};

enum claim_kind {
	CLAIM_NONE = 0, /* not there, or null */
	CLAIM_STRING,
	CLAIM_NUMBER,
	CLAIM_BOOLEAN,
	CLAIM_ARRAY,
	CLAIM_OBJECT,
};

/* False: the whole of text is not one object (RFC 8259) within these limits. After true
 * claims_done() is the caller's. */
WARN_UNUSED bool claims_parse(struct sv text, struct claims *ret);
void claims_done(struct claims *c);

/* The claim of this name; CLAIM_NONE: not there. */
struct claim claim_get(const struct claims *c, struct sv name);

/* The claim at the top that is called so, whatever the name starts with. */
struct claim claim_top(const struct claims *c, struct sv name);

enum claim_kind claim_kind(struct claim v);

/* The text of a string, an integer or other finite number as JSON writes it, true or false; false:
 * it has none, or there was no memory, which claims_ok() tells apart. Of a claim of c; valid until
 * the next call, or claims_done(). */
bool claim_text(struct claims *c, struct claim v, struct sv *ret);

/* Whether all memory was had that claim_text() needed. */
static inline bool claims_ok(const struct claims *c)
{
	return buf_ok(&c->unescaped);
}

/* The elements of an array:
 *
 *	for (w = claim_walk(array); claim_walk_next(&w, &element);)
 */
struct claim_walk {
	struct json_lex l;
	enum json_item item;
};

struct claim_walk claim_walk(struct claim array);
bool claim_walk_next(struct claim_walk *w, struct claim *ret);

#endif

/*
 * claim - one claim of a session, by the name that a configuration gives it
 *
 * A name that starts with '/' is a JSON pointer (RFC 6901): "/realm_access/roles" is the array
 * inside the object realm_access, "/groups/0" the first element of groups. Every other name is that
 * of a claim at the top, dots and slashes and all: "cognito:groups", "https://x.example/roles". A
 * claim at the top whose own name starts with '/' is "/~1name".
 *
 * Reads what json-c parsed; views borrow it. Nothing here keeps anything.
 */
#ifndef BFF_CLAIM_H
#define BFF_CLAIM_H

#include "common/sv.h"

#define CLAIM_JSON_MAX 65536 /* bytes of all claims of a session */
#define CLAIM_DEPTH_MAX 8    /* nesting of them */

struct json_object;

/* The whole of text is one object; NULL: it is not, or no memory. json_object_put() is the
 * caller's. */
struct json_object *claim_parse(struct sv text);

/* NULL: not there, or JSON's null. Borrowed of claims. */
struct json_object *claim_get(struct json_object *claims, struct sv name);

/* The text of a string, an integer or other finite number as JSON writes it, true or false; false:
 * it has none. Valid as long as o. */
bool claim_text(struct json_object *o, struct sv *ret);

#endif

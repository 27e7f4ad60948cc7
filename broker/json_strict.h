/*
 * json_strict - JSON from strangers (RFC 8259), before json-c or anything else sees it
 *
 * json-c takes duplicate members, NaN, single quotes, raw control characters, lone surrogates and
 * U+0000; the scan refuses them all, and everything else outside the grammar: exactly one
 * value, valid UTF-8, nothing behind it. Caps: bytes, depth, members open at one time, digits of a
 * number. Pure. The getters refuse a wrong type, null included, and never convert.
 */
#ifndef BFF_JSON_STRICT_H
#define BFF_JSON_STRICT_H

#include <json-c/json.h>

#include "common/json_lex.h"

#define JSON_MEMBERS_MAX 512 /* members of all objects open at one point */
#define JSON_NUMBER_MAX 64   /* characters */
#define JSON_KEY_MAX 1024    /* bytes as written */
#define JSON_INT_MAX ((INT64_C(1) << 53) - 1)

/* A member of the outermost object. `key` is as written, between the quotes; `value` is the
 * text of the value, quotes included. ERR_OK goes on. */
typedef enum err (*json_member_fn)(void *arg, struct sv key, struct sv value);

/* ERR_OK: the text is strict JSON of at most max bytes. ERR_SYNTAX, ERR_LIMIT, ERR_EXISTS (a
 * duplicate member). */
WARN_UNUSED enum err json_strict_scan(struct sv text, size_t max);

/* The same for a text whose value must be an object, telling fn (may be NULL) each member. What fn
 * saw counts only after ERR_OK. */
WARN_UNUSED enum err json_strict_object(struct sv text, size_t max, json_member_fn fn, void *arg);

/* Text of a string value as the scan told it ("..."), unescaped into out; no NUL is added.
 * ERR_SYNTAX: not a string. ERR_LIMIT. The result is never longer than the input. */
WARN_UNUSED enum err json_strict_string(struct sv value, char *out, size_t max, size_t *ret_n);

/* Scans, then parses an object with json-c; the caller puts it. Also ERR_NOMEM. */
WARN_UNUSED enum err json_strict_parse(struct sv text, size_t max, struct json_object **ret);

/* Typed members. ERR_NOT_FOUND: no such member; ERR_SYNTAX: another type; ERR_LIMIT: longer than
 * max; ERR_RANGE: a number outside [0, 2^53). Views and borrowed objects live as long as `o`. */
WARN_UNUSED enum err json_get_string(struct json_object *o, const char *key, size_t max,
				     struct sv *ret);
WARN_UNUSED enum err json_get_bool(struct json_object *o, const char *key, bool *ret);
WARN_UNUSED enum err json_get_array(struct json_object *o, const char *key,
				    struct json_object **ret);
WARN_UNUSED enum err json_get_object(struct json_object *o, const char *key,
				     struct json_object **ret);
WARN_UNUSED enum err json_get_int(struct json_object *o, const char *key, int64_t *ret);
/* A NumericDate (RFC 7519 2): seconds, a fraction is dropped. */
WARN_UNUSED enum err json_get_date(struct json_object *o, const char *key, int64_t *ret);

/* The i-th element of an array as a string; ERR_SYNTAX for another type. */
WARN_UNUSED enum err json_string_at(struct json_object *array, size_t i, size_t max,
				    struct sv *ret);
/* Whether an array holds the string; false when any element has another type. */
bool json_array_has(struct json_object *array, struct sv want);

#endif

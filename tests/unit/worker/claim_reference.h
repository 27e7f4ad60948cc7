/*
 * claim_reference - claims as json-c reads them, and that claim.h reads them no other way
 *
 * For what claims_parse() takes, json-c takes it too, and every value is the same by its name and
 * by its path, with the same text, also from the text that the broker would store. Not the other
 * way round: json-c takes more than JSON. Asserts.
 */
#ifndef BFF_CLAIM_REFERENCE_H
#define BFF_CLAIM_REFERENCE_H

#include <assert.h>
#include <json-c/json.h>
#include <math.h>

#include "common/config.h"
#include "worker/claim.h"

static inline struct json_object *reference_parse(struct sv text)
{
	struct json_tokener *tok = json_tokener_new_ex(CLAIM_DEPTH_MAX);
	struct json_object *o;

	assert(tok != NULL && text.n <= INT32_MAX);
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tok, text.p, (int)text.n);
	if (json_tokener_get_error(tok) != json_tokener_success ||
	    json_tokener_get_parse_end(tok) != text.n ||
	    !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		o = NULL;
	}
	json_tokener_free(tok);
	return o;
}

static inline bool reference_text(struct json_object *o, struct sv *ret)
{
	bool has = false;

	switch (json_object_get_type(o)) {
	case json_type_string:
		*ret = sv_of(json_object_get_string(o), (size_t)json_object_get_string_len(o));
		return true;
	case json_type_boolean:
		*ret = json_object_get_boolean(o) ? SV("true") : SV("false");
		return true;
	case json_type_int:
		has =
		    json_object_get_int64(o) != INT64_MAX && json_object_get_int64(o) != INT64_MIN;
		break;
	case json_type_double:
		has = isfinite(json_object_get_double(o)) != 0;
		break;
	case json_type_null:
	case json_type_object:
	case json_type_array:
		break;
	}
	if (has)
		*ret = sv_str(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	return has;
}

static inline enum claim_kind reference_kind(struct json_object *o)
{
	switch (json_object_get_type(o)) {
	case json_type_string:
		return CLAIM_STRING;
	case json_type_boolean:
		return CLAIM_BOOLEAN;
	case json_type_int:
	case json_type_double:
		return CLAIM_NUMBER;
	case json_type_object:
		return CLAIM_OBJECT;
	case json_type_array:
		return CLAIM_ARRAY;
	case json_type_null:
		break;
	}
	return CLAIM_NONE;
}

/* A longer path than a configuration has. */
#define REFERENCE_PATH_MAX (CLAIM_DEPTH_MAX * (2 * CONFIG_MAX_CLAIM + 2))

struct reference_path {
	char text[REFERENCE_PATH_MAX];
	size_t n;
};

/* False: no claim of a configuration leads there. */
static inline bool reference_step(struct reference_path *p, const char *name)
{
	if (strlen(name) > CONFIG_MAX_CLAIM / 2)
		return false;
	p->text[p->n++] = '/';
	for (; *name != '\0'; name++) {
		if (*name == '~' || *name == '/')
			p->text[p->n++] = '~';
		p->text[p->n++] = (char)(*name == '~' ? '0' : *name == '/' ? '1' : *name);
	}
	return true;
}

static inline void reference_same(struct claims *c, struct claim v, struct json_object *o,
				  const struct reference_path *at);

/* top: o is all claims. */
static inline void reference_same_members(struct claims *c, struct json_object *o,
					  const struct reference_path *at, bool top)
{
	struct json_object_iterator i = json_object_iter_begin(o);
	const struct json_object_iterator end = json_object_iter_end(o);

	for (; !json_object_iter_equal(&i, &end); json_object_iter_next(&i)) {
		struct json_object *value = json_object_iter_peek_value(&i);
		const char *name = json_object_iter_peek_name(&i);
		struct reference_path path = *at;
		struct claim v;

		if (!reference_step(&path, name))
			continue;
		v = claim_get(c, sv_of(path.text, path.n));
		assert(!top || v.json.p == claim_top(c, sv_str(name)).json.p);
		reference_same(c, v, value, &path);
	}
}

static inline void reference_same(struct claims *c, struct claim v, struct json_object *o,
				  const struct reference_path *at)
{
	struct claim_walk w = claim_walk(v);
	struct claim element;
	struct sv got, want;
	bool has = claim_text(c, v, &got);

	assert(claim_kind(v) == reference_kind(o));
	assert(has == reference_text(o, &want));
	assert(!has || sv_eq(got, want));
	if (claim_kind(v) == CLAIM_ARRAY)
		for (size_t i = 0; i < json_object_array_length(o); i++) {
			struct reference_path path = *at;
			char index[24];

			(void)snprintf(index, sizeof index, "%zu", i);
			assert(claim_walk_next(&w, &element) && reference_step(&path, index));
			assert(claim_get(c, sv_of(path.text, path.n)).json.p == element.json.p);
			reference_same(c, element, json_object_array_get_idx(o, i), &path);
		}
	assert(!claim_walk_next(&w, &element));
	if (claim_kind(v) == CLAIM_OBJECT)
		reference_same_members(c, o, at, false);
}

/* Whether claims_parse() takes text. */
static inline bool reference_compare(struct sv text)
{
	struct json_object *o = text.n > CLAIM_JSON_MAX ? NULL : reference_parse(text);
	const struct reference_path top = {.n = 0};
	struct claims c;
	bool taken = claims_parse(text, &c);

	if (taken) {
		assert(o != NULL);
		reference_same_members(&c, o, &top, true);
		assert(claims_ok(&c));
		claims_done(&c);
	}
	json_object_put(o);
	return taken;
}

#endif

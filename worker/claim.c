#include "worker/claim.h"

#include <json-c/json.h>
#include <math.h>

#include "common/config_value.h"

struct json_object *claim_parse(struct sv text)
{
	struct json_tokener *tok;
	struct json_object *o;

	if (text.n == 0 || text.n > CLAIM_JSON_MAX)
		return NULL;
	tok = json_tokener_new_ex(CLAIM_DEPTH_MAX);
	if (tok == NULL)
		return NULL;
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

static struct json_object *child(struct json_object *o, struct sv token)
{
	char key[CONFIG_MAX_CLAIM + 1];
	struct json_object *found = NULL;
	uint64_t at;

	if (json_object_is_type(o, json_type_array)) {
		if ((token.n > 1 && token.p[0] == '0') ||
		    sv_u64(token, UINT32_MAX, &at) != ERR_OK || at >= json_object_array_length(o))
			return NULL;
		return json_object_array_get_idx(o, (size_t)at);
	}
	if (!json_object_is_type(o, json_type_object) || !config_pointer_token(token, key))
		return NULL;
	return json_object_object_get_ex(o, key, &found) ? found : NULL;
}

struct json_object *claim_get(struct json_object *claims, struct sv name)
{
	struct json_object *o = NULL;

	/* Of the configuration, so terminated. */
	if (name.n == 0 || name.p[0] != '/')
		return json_object_object_get_ex(claims, name.p, &o) ? o : NULL;
	for (o = claims; o != NULL && name.n > 0;) {
		struct sv rest = sv_cut(name, 1, name.n);
		size_t end = sv_find(rest, '/');

		o = child(o, sv_cut(rest, 0, end));
		name = sv_cut(rest, end, rest.n);
	}
	return o;
}

/* json-c saturates integers that are too large: two of them would look the same, so they have no
 * text. */
bool claim_text(struct json_object *o, struct sv *ret)
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

/* The half of json_strict.h that stands on json-c. */
#include "broker/json_strict.h"

#include <math.h>

enum err json_strict_parse(struct sv text, size_t max, struct json_object **ret)
{
	struct json_tokener *tok;
	struct json_object *o = NULL;
	enum err e = json_strict_object(text, max, NULL, NULL);

	if (e != ERR_OK)
		return e;
	if (text.n > INT32_MAX)
		return ERR_LIMIT;
	tok = json_tokener_new_ex(JSON_DEPTH_MAX + 1);
	if (tok == NULL)
		return ERR_NOMEM;
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tok, text.p, (int)text.n);
	e = o == NULL || json_tokener_get_error(tok) != json_tokener_success ? ERR_SYNTAX : ERR_OK;
	json_tokener_free(tok);
	if (e == ERR_OK && !json_object_is_type(o, json_type_object))
		e = ERR_SYNTAX;
	if (e == ERR_OK)
		*ret = o;
	else
		(void)json_object_put(o);
	return e;
}

static enum err get(struct json_object *o, const char *key, enum json_type type,
		    struct json_object **ret)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v))
		return ERR_NOT_FOUND;
	if (v == NULL || !json_object_is_type(v, type))
		return ERR_SYNTAX;
	*ret = v;
	return ERR_OK;
}

static enum err text_of(struct json_object *v, size_t max, struct sv *ret)
{
	struct sv s = sv_of(json_object_get_string(v), (size_t)json_object_get_string_len(v));

	if (s.n > max)
		return ERR_LIMIT;
	if (s.n > 0 && memchr(s.p, '\0', s.n) != NULL)
		return ERR_SYNTAX;
	*ret = s;
	return ERR_OK;
}

enum err json_get_string(struct json_object *o, const char *key, size_t max, struct sv *ret)
{
	struct json_object *v;
	enum err e = get(o, key, json_type_string, &v);

	return e == ERR_OK ? text_of(v, max, ret) : e;
}

enum err json_get_bool(struct json_object *o, const char *key, bool *ret)
{
	struct json_object *v;
	enum err e = get(o, key, json_type_boolean, &v);

	if (e == ERR_OK)
		*ret = json_object_get_boolean(v) != 0;
	return e;
}

enum err json_get_array(struct json_object *o, const char *key, struct json_object **ret)
{
	return get(o, key, json_type_array, ret);
}

enum err json_get_object(struct json_object *o, const char *key, struct json_object **ret)
{
	return get(o, key, json_type_object, ret);
}

enum err json_get_int(struct json_object *o, const char *key, int64_t *ret)
{
	struct json_object *v;
	int64_t i;
	enum err e = get(o, key, json_type_int, &v);

	if (e != ERR_OK)
		return e;
	i = json_object_get_int64(v); /* saturates, which the range refuses */
	if (i < 0 || i > JSON_INT_MAX)
		return ERR_RANGE;
	*ret = i;
	return ERR_OK;
}

enum err json_get_date(struct json_object *o, const char *key, int64_t *ret)
{
	struct json_object *v;
	double d;
	enum err e = get(o, key, json_type_double, &v);

	if (e == ERR_SYNTAX)
		return json_get_int(o, key, ret);
	if (e != ERR_OK)
		return e;
	d = json_object_get_double(v);
	if (!isfinite(d) || d < 0 || d > (double)JSON_INT_MAX)
		return ERR_RANGE;
	*ret = (int64_t)d;
	return ERR_OK;
}

enum err json_string_at(struct json_object *array, size_t i, size_t max, struct sv *ret)
{
	struct json_object *v = json_object_array_get_idx(array, i);

	if (v == NULL || !json_object_is_type(v, json_type_string))
		return ERR_SYNTAX;
	return text_of(v, max, ret);
}

bool json_array_has(struct json_object *array, struct sv want)
{
	bool found = false;

	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct sv s;

		if (json_string_at(array, i, JSON_KEY_MAX, &s) != ERR_OK)
			return false;
		found = found || sv_eq(s, want);
	}
	return found;
}

#include "worker/claim.h"

#include <math.h>
#include <stdlib.h>

#include "common/config_value.h"

/* ---- values ------------------------------------------------------------------------------ */

static bool take(struct json_lex *l, unsigned depth, struct claim *ret);

/* What is between the brackets of an object or array, the opening one already read. */
static bool take_items(struct json_lex *l, unsigned depth, char close)
{
	enum json_item i = json_lex_first(l, close);
	struct json_string name;
	struct claim ignored;

	for (; i == JSON_ITEM; i = json_lex_more(l, close))
		if ((close == '}' && !json_lex_name(l, &name)) || !take(l, depth, &ignored))
			return false;
	return i == JSON_END;
}

/* The value at l, `depth` arrays and objects within the outermost. */
static bool take(struct json_lex *l, unsigned depth, struct claim *ret)
{
	const char *from = l->p;
	struct json_string string = {.plain = false};
	bool ok;

	if (depth == CLAIM_DEPTH_MAX || l->p == l->end)
		return false;
	if (*l->p == '"') {
		ok = json_lex_string(l, &string);
	} else if (*l->p == '{' || *l->p == '[') {
		l->p++;
		ok = take_items(l, depth + 1, *from == '{' ? '}' : ']');
	} else {
		ok = json_lex_scalar(l);
	}
	if (ok)
		*ret = (struct claim){sv_of(from, (size_t)(l->p - from)), string.plain};
	return ok;
}

bool claims_parse(struct sv text, struct claims *ret)
{
	struct json_lex l;
	enum json_item i;

	if (text.n == 0 || text.n > CLAIM_JSON_MAX)
		return false;
	l = json_lex_of(text);
	json_lex_space(&l);
	if (!json_lex_is(&l, '{'))
		return false;
	l.p++;
	buf_init(&ret->unescaped, CLAIM_JSON_MAX);
	ret->n = 0;
	ret->rest = l;
	for (i = json_lex_first(&l, '}'); i == JSON_ITEM; i = json_lex_more(&l, '}')) {
		struct claim_member m;

		if (!json_lex_name(&l, &m.name) || !take(&l, 1, &m.value))
			return false;
		if (ret->n == CLAIM_NOTED)
			continue;
		ret->noted[ret->n++] = m;
		ret->rest.p = l.p;
	}
	json_lex_space(&l);
	return i == JSON_END && l.p == l.end;
}

void claims_done(struct claims *c)
{
	buf_done(&c->unescaped);
}

enum claim_kind claim_kind(struct claim v)
{
	if (v.json.n == 0)
		return CLAIM_NONE;
	switch (v.json.p[0]) {
	case 'n':
		return CLAIM_NONE;
	case '"':
		return CLAIM_STRING;
	case 't':
	case 'f':
		return CLAIM_BOOLEAN;
	case '[':
		return CLAIM_ARRAY;
	case '{':
		return CLAIM_OBJECT;
	default:
		return CLAIM_NUMBER;
	}
}

/* ---- by name ----------------------------------------------------------------------------- */

/* The name has escapes. */
static bool means(struct sv text, struct sv name)
{
	struct json_lex l = json_lex_of(text);
	size_t n, at = 0;
	char c[4];

	while ((n = json_lex_char(&l, c)) > 0) {
		if (!sv_eq(sv_cut(name, at, at + n), sv_of(c, n)))
			return false;
		at += n;
	}
	return at == name.n;
}

static bool is_called(const struct json_string *s, struct sv name)
{
	return s->plain ? sv_eq(s->text, name) : means(s->text, name);
}

/* The last one of the members at l, where i is; as it was if there is none. */
static void find(struct json_lex l, enum json_item i, struct sv name, struct claim *ret)
{
	struct claim_member m;

	for (; i == JSON_ITEM; i = json_lex_more(&l, '}')) {
		if (!json_lex_name(&l, &m.name) || !take(&l, 0, &m.value))
			return; /* cannot be: claims_parse() judged them */
		if (is_called(&m.name, name))
			*ret = m.value;
	}
}

struct claim claim_top(const struct claims *c, struct sv name)
{
	struct claim found = {.json = SV_NONE};

	if (c->n == CLAIM_NOTED) {
		struct json_lex l = c->rest;
		enum json_item i = json_lex_more(&l, '}');

		find(l, i, name, &found);
	}
	for (size_t i = c->n; found.json.n == 0 && i-- > 0;)
		if (is_called(&c->noted[i].name, name))
			found = c->noted[i].value;
	return found;
}

static struct claim element(struct claim array, struct sv token)
{
	struct claim_walk w = claim_walk(array);
	struct claim v;
	uint64_t at;

	if ((token.n > 1 && token.p[0] == '0') || sv_u64(token, UINT32_MAX, &at) != ERR_OK)
		return (struct claim){.json = SV_NONE};
	for (uint64_t i = 0; claim_walk_next(&w, &v); i++)
		if (i == at)
			return v;
	return (struct claim){.json = SV_NONE};
}

static struct claim member(struct claim object, struct sv name)
{
	struct json_lex l = json_lex_of(sv_cut(object.json, 1, object.json.n));
	enum json_item i = json_lex_first(&l, '}');
	struct claim found = {.json = SV_NONE};

	find(l, i, name, &found);
	return found;
}

/* Cuts the first token off a pointer. */
static struct sv next_token(struct sv *pointer)
{
	struct sv all = sv_cut(*pointer, 1, pointer->n);
	size_t end = sv_find(all, '/');

	*pointer = sv_cut(all, end, all.n);
	return sv_cut(all, 0, end);
}

struct claim claim_get(const struct claims *c, struct sv name)
{
	char key[CONFIG_MAX_CLAIM + 1];
	struct claim v = {.json = SV_NONE};

	if (name.n == 0 || name.p[0] != '/')
		return claim_top(c, name);
	if (config_pointer_token(next_token(&name), key))
		v = claim_top(c, sv_str(key));
	while (name.n > 0 && v.json.n > 0) {
		struct sv token = next_token(&name);

		if (claim_kind(v) == CLAIM_ARRAY)
			v = element(v, token);
		else if (claim_kind(v) == CLAIM_OBJECT && config_pointer_token(token, key))
			v = member(v, sv_str(key));
		else
			v = (struct claim){.json = SV_NONE};
	}
	return v;
}

/* ---- texts ------------------------------------------------------------------------------- */

static bool string_text(struct claims *c, struct claim v, struct sv *ret)
{
	struct sv inner = sv_of(v.json.p + 1, v.json.n - 2);
	char *to;

	if (v.plain) {
		*ret = inner;
		return true;
	}
	if (!claims_ok(c))
		return false;
	buf_clear(&c->unescaped);
	to = buf_reserve(&c->unescaped, inner.n);
	if (to == NULL || !json_unescape(inner, to, inner.n, &c->unescaped.n))
		return false;
	*ret = buf_sv(&c->unescaped);
	return true;
}

/* Those at the ends of int64_t and beyond have none: readers take them for each other. */
static bool integer_text(struct sv json, struct sv *ret)
{
	const struct sv max = SV("9223372036854775807");
	bool negative = json.p[0] == '-';
	struct sv digits = sv_cut(json, negative, json.n);
	int d = digits.n == max.n ? sv_compare(digits, max) : digits.n < max.n ? -1 : 1;

	if (d > 0 || (d == 0 && !negative))
		return false;
	*ret = sv_eq(json, SV("-0")) ? digits : json;
	return true;
}

static bool number_text(struct sv json, struct sv *ret)
{
	for (size_t i = 0; i < json.n; i++)
		if (json.p[i] == '.' || json.p[i] == 'e' || json.p[i] == 'E') {
			if (!isfinite(strtod(json.p, NULL))) /* an object goes on behind it */
				return false;
			*ret = json;
			return true;
		}
	return integer_text(json, ret);
}

bool claim_text(struct claims *c, struct claim v, struct sv *ret)
{
	switch (claim_kind(v)) {
	case CLAIM_STRING:
		return string_text(c, v, ret);
	case CLAIM_NUMBER:
		return number_text(v.json, ret);
	case CLAIM_BOOLEAN:
		*ret = v.json;
		return true;
	case CLAIM_NONE:
	case CLAIM_ARRAY:
	case CLAIM_OBJECT:
		break;
	}
	return false;
}

/* ---- elements ---------------------------------------------------------------------------- */

struct claim_walk claim_walk(struct claim array)
{
	struct claim_walk w = {.item = JSON_END};

	if (claim_kind(array) != CLAIM_ARRAY)
		return w;
	w.l = json_lex_of(sv_cut(array.json, 1, array.json.n));
	w.item = json_lex_first(&w.l, ']');
	return w;
}

bool claim_walk_next(struct claim_walk *w, struct claim *ret)
{
	if (w->item != JSON_ITEM || !take(&w->l, 0, ret))
		return false;
	w->item = json_lex_more(&w->l, ']');
	return true;
}

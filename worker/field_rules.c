#include "worker/field_rules.h"

enum rule {
	MAY_REPEAT = 1,
	ONCE,
	ONE_VALUE,   /* once, and a comma in it is two values that somebody joined */
	CREDENTIALS, /* once; Bearer and Basic have no comma (RFC 6750 2.1, 7617 2), others may */
};

/* What decisions rest on, the shortest name first: a look ends where they get too long. The values
 * of those that are only ONCE have a syntax of their own, or may hold a comma. */
static const struct known {
	struct sv name;
	enum rule rule;
} known[] = {
    {SV_INIT("Host"), ONE_VALUE},
    {SV_INIT("Cookie"), MAY_REPEAT},
    {SV_INIT("Accept"), MAY_REPEAT},
    {SV_INIT("Origin"), ONE_VALUE},
    {SV_INIT("Referer"), ONCE},
    {SV_INIT("X-Real-IP"), ONCE},
    {SV_INIT("User-Agent"), ONCE},
    {SV_INIT("Content-Type"), ONCE},
    {SV_INIT("X-CSRF-Token"), ONE_VALUE},
    {SV_INIT("Authorization"), CREDENTIALS},
    {SV_INIT("X-Rewrite-URL"), MAY_REPEAT},
    {SV_INIT("Content-Length"), ONCE},
    {SV_INIT("Sec-Fetch-Site"), ONE_VALUE},
    {SV_INIT("Sec-Fetch-Mode"), ONE_VALUE},
    {SV_INIT("Sec-Fetch-Dest"), ONE_VALUE},
    {SV_INIT("X-Original-URI"), MAY_REPEAT},
    {SV_INIT("X-Original-URL"), MAY_REPEAT},
    {SV_INIT("X-Original-Host"), MAY_REPEAT},
    {SV_INIT("X-Forwarded-For"), ONCE},
    {SV_INIT("X-Forwarded-Uri"), ONCE},
    {SV_INIT("X-Forwarded-Host"), ONE_VALUE},
    {SV_INIT("X-Requested-With"), MAY_REPEAT},
    {SV_INIT("Sec-WebSocket-Key"), ONE_VALUE},
    {SV_INIT("X-Forwarded-Proto"), ONE_VALUE},
    {SV_INIT("X-Original-Method"), MAY_REPEAT},
    {SV_INIT("Transfer-Encoding"), ONCE},
    {SV_INIT("X-Forwarded-Method"), ONE_VALUE},
    {SV_INIT("Access-Control-Request-Method"), ONE_VALUE},
};

/* NULL: none of ours. */
static const struct known *known_as(struct sv name)
{
	for (size_t i = 0; i < ARRAY_LEN(known) && known[i].name.n <= name.n; i++)
		if (http_name_folds(known[i].name, name))
			return &known[i];
	return NULL;
}

static bool is_joined(struct sv value, enum rule rule)
{
	if ((rule != ONE_VALUE && rule != CREDENTIALS) || sv_find(value, ',') == value.n)
		return false;
	return rule == ONE_VALUE || sv_eq_nocase(sv_cut(value, 0, 7), SV("Bearer ")) ||
	       sv_eq_nocase(sv_cut(value, 0, 6), SV("Basic "));
}

/* The at-th field, whose name folds to this one. */
static const char *judge_known(struct http_fields fields, size_t at, struct sv name, enum rule rule)
{
	const struct http_field *f = &fields.v[at];

	if (!http_name_eq(f->name, name))
		return "header_alias";
	if (rule != MAY_REPEAT && http_fields_nth(fields, name, 0) != f)
		return "header_twice";
	return is_joined(f->value, rule) ? "header_joined" : NULL;
}

static bool is_ours(const struct sv *injected, size_t ninjected, struct sv name)
{
	for (size_t i = 0; i < ninjected; i++)
		if (http_name_folds(injected[i], name))
			return true;
	return known_as(name) != NULL;
}

/*
 * A hop that obeys Connection takes away what it names (RFC 9110 7.6.1): of what we read, so that
 * something is missing, or of what we answer, so that the service sees nobody. No honest client
 * names any of it.
 */
static const char *judge_connection(struct sv value, const struct sv *injected, size_t ninjected)
{
	while (value.n > 0) {
		size_t end = sv_find(value, ',');

		if (is_ours(injected, ninjected, sv_trim(sv_cut(value, 0, end))))
			return "header_connection";
		value = sv_cut(value, end + 1, value.n);
	}
	return NULL;
}

static const char *judge_field(struct http_fields fields, size_t at, const struct sv *injected,
			       size_t ninjected)
{
	struct sv name = fields.v[at].name;
	const struct known *k = known_as(name);
	const char *bad = k == NULL ? NULL : judge_known(fields, at, k->name, k->rule);

	for (size_t i = 0; bad == NULL && i < ninjected; i++)
		if (http_name_folds(injected[i], name))
			bad = judge_known(fields, at, injected[i],
					  http_name_eq(name, SV("Cookie")) ? MAY_REPEAT : ONCE);
	if (bad == NULL && http_name_eq(name, SV("Connection")))
		bad = judge_connection(fields.v[at].value, injected, ninjected);
	return bad;
}

const char *field_rules_break(struct http_fields fields, const struct sv *injected,
			      size_t ninjected)
{
	const char *bad = NULL;

	for (size_t i = 0; bad == NULL && i < fields.n; i++)
		bad = judge_field(fields, i, injected, ninjected);
	return bad;
}

#include "worker/field_rules.h"

#define SINGLE_NAMES                                                                               \
	SV_INIT("X-Forwarded-Method"), SV_INIT("X-Forwarded-Uri"), SV_INIT("X-Forwarded-Host"),    \
	    SV_INIT("X-Forwarded-Proto"), SV_INIT("X-Forwarded-For"), SV_INIT("Host"),             \
	    SV_INIT("Authorization"), SV_INIT("Origin"), SV_INIT("X-CSRF-Token"),                  \
	    SV_INIT("Sec-Fetch-Site"), SV_INIT("Sec-Fetch-Mode"), SV_INIT("Sec-Fetch-Dest"),       \
	    SV_INIT("Sec-WebSocket-Key"), SV_INIT("Access-Control-Request-Method"),                \
	    SV_INIT("Referer"), SV_INIT("User-Agent"), SV_INIT("Content-Type"),                    \
	    SV_INIT("Content-Length"), SV_INIT("Transfer-Encoding"), SV_INIT("X-Real-IP")

/* Decisions rest on these: once each, and no alias of one. */
static const struct sv single[] = {SINGLE_NAMES};

/* These may come more than once, but under no other name either. */
static const struct sv relied_on[] = {
    SINGLE_NAMES,
    SV_INIT("Cookie"),
    SV_INIT("Accept"),
    SV_INIT("X-Requested-With"),
    SV_INIT("X-Original-URI"),
    SV_INIT("X-Original-URL"),
    SV_INIT("X-Original-Method"),
    SV_INIT("X-Original-Host"),
    SV_INIT("X-Rewrite-URL"),
};

/* A comma in one of these is two values that somebody joined; the names of `single` that are not
 * here have their own syntax, or may hold one. */
static const struct sv never_joined[] = {
    SV_INIT("Host"),
    SV_INIT("Origin"),
    SV_INIT("X-CSRF-Token"),
    SV_INIT("Sec-Fetch-Site"),
    SV_INIT("Sec-Fetch-Mode"),
    SV_INIT("Sec-Fetch-Dest"),
    SV_INIT("Sec-WebSocket-Key"),
    SV_INIT("Access-Control-Request-Method"),
    SV_INIT("X-Forwarded-Method"),
    SV_INIT("X-Forwarded-Host"),
    SV_INIT("X-Forwarded-Proto"),
};

static bool is_one_of(const struct sv *names, size_t n, struct sv name)
{
	for (size_t i = 0; i < n; i++)
		if (http_name_eq(names[i], name) || http_name_is_alias(name, names[i]))
			return true;
	return false;
}

/*
 * A hop that obeys Connection takes away what it names (RFC 9110 7.6.1): of what we read, so that
 * something is missing, or of what we answer, so that the service sees nobody. No honest client
 * names any of it.
 */
static bool connection_names_ours(struct http_fields fields, const struct sv *injected,
				  size_t ninjected)
{
	const struct http_field *field;

	for (size_t i = 0; (field = http_fields_nth(fields, SV("Connection"), i)) != NULL; i++) {
		struct sv rest = field->value;

		while (rest.n > 0) {
			size_t end = sv_find(rest, ',');
			struct sv name = sv_trim(sv_cut(rest, 0, end));

			if (is_one_of(relied_on, ARRAY_LEN(relied_on), name) ||
			    is_one_of(injected, ninjected, name))
				return true;
			rest = sv_cut(rest, end + 1, rest.n);
		}
	}
	return false;
}

/* Bearer and Basic credentials hold no comma (RFC 6750 2.1, RFC 7617 2); others may. */
static bool is_joined(struct http_fields fields)
{
	const struct http_field *f;

	for (size_t i = 0; i < ARRAY_LEN(never_joined); i++) {
		f = http_fields_nth(fields, never_joined[i], 0);
		if (f != NULL && sv_find(f->value, ',') < f->value.n)
			return true;
	}
	f = http_fields_nth(fields, SV("Authorization"), 0);
	return f != NULL && sv_find(f->value, ',') < f->value.n &&
	       (sv_eq_nocase(sv_cut(f->value, 0, 7), SV("Bearer ")) ||
		sv_eq_nocase(sv_cut(f->value, 0, 6), SV("Basic ")));
}

const char *field_rules_break(struct http_fields fields, const struct sv *injected,
			      size_t ninjected)
{
	for (size_t i = 0; i < ARRAY_LEN(single); i++)
		if (http_fields_nth(fields, single[i], 1) != NULL)
			return "header_twice";
	for (size_t i = 0; i < ninjected; i++)
		if (!http_name_eq(injected[i], SV("Cookie")) &&
		    http_fields_nth(fields, injected[i], 1) != NULL)
			return "header_twice";
	if (http_fields_odd_alias(fields, relied_on, ARRAY_LEN(relied_on)) != NULL ||
	    http_fields_alias(fields, injected, ninjected) != NULL)
		return "header_alias";
	if (is_joined(fields))
		return "header_joined";
	if (connection_names_ours(fields, injected, ninjected))
		return "header_connection";
	return NULL;
}

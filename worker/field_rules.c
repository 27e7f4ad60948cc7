#include "worker/field_rules.h"

#include <assert.h>

enum rule {
	NO_RULE = 1,
	MAY_REPEAT,
	ONCE,
	ONE_VALUE,   /* once, and a comma in it is two values that somebody joined */
	CREDENTIALS, /* once; Bearer and Basic have no comma (RFC 6750 2.1, 7617 2), others may */
};

/* What decisions rest on. The values of those that are only ONCE have a syntax of their own, or may
 * hold a comma. */
static const enum rule rule_of[] = {
    [HTTP_OTHER] = NO_RULE,
#define HTTP_NAME(id, name, rule) [HTTP_##id] = (rule),
#include "worker/http_name.def"
#undef HTTP_NAME
};

/* A bit of each whose value is looked at. */
static const uint64_t valued = UINT64_C(1) << HTTP_CONNECTION
#define HTTP_NAME(id, name, rule)                                                                  \
	| (uint64_t)((rule) == ONE_VALUE || (rule) == CREDENTIALS) << HTTP_##id
#include "worker/http_name.def"
#undef HTTP_NAME
    ;

static bool is_joined(struct sv value, enum rule rule)
{
	if ((rule != ONE_VALUE && rule != CREDENTIALS) || sv_find(value, ',') == value.n)
		return false;
	return rule == ONE_VALUE || sv_eq_nocase(sv_cut(value, 0, 7), SV("Bearer ")) ||
	       sv_eq_nocase(sv_cut(value, 0, 6), SV("Basic "));
}

/* A field that is one of ours; alias: only after folding; again: not the first of its name. */
static const char *judge(const struct http_field *f, bool alias, bool again, enum rule rule)
{
	if (alias)
		return "header_alias";
	if (rule != MAY_REPEAT && again)
		return "header_twice";
	return is_joined(f->value, rule) ? "header_joined" : NULL;
}

static bool is_ours(const struct injected *injected, struct sv name)
{
	for (size_t i = 0; i < injected->n; i++)
		if (http_name_folds(injected->v[i], name))
			return true;
	return rule_of[http_name_known(name)] != NO_RULE;
}

/*
 * A hop that obeys Connection takes away what it names (RFC 9110 7.6.1): of what we read, so that
 * something is missing, or of what we answer, so that the service sees nobody. No honest client
 * names any of it.
 */
static const char *judge_connection(struct sv value, const struct injected *injected)
{
	while (value.n > 0) {
		size_t end = sv_find(value, ',');

		if (is_ours(injected, sv_trim(sv_cut(value, 0, end))))
			return "header_connection";
		value = sv_cut(value, end + 1, value.n);
	}
	return NULL;
}

/* Whether one before the at-th has its name. */
static bool came_before(struct http_fields fields, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (http_name_eq(fields.v[i].name, fields.v[at].name))
			return true;
	return false;
}

static const char *judge_injected(struct http_fields fields, size_t at, struct sv name)
{
	const struct http_field *f = &fields.v[at];

	return judge(f, !http_name_eq(f->name, name), came_before(fields, at),
		     f->known == HTTP_COOKIE ? MAY_REPEAT : ONCE);
}

/* No two known names fold to the same, so one that is known is compared with its like alone. */
static bool may_be_injected(const struct http_field *f, const struct injected *injected)
{
	return f->known == HTTP_OTHER ? (injected->lengths >> f->name.n % 64 & 1) != 0
				      : (injected->known >> f->known & 1) != 0;
}

static const char *judge_field(struct http_fields fields, size_t at,
			       const struct injected *injected)
{
	const struct http_field *f = &fields.v[at];
	enum rule rule = rule_of[f->known];
	const char *bad = NULL;

	assert(f->known != HTTP_UNJUDGED);
	if (rule != NO_RULE)
		bad = judge(f, f->alias, f->again, rule);
	if (bad == NULL && may_be_injected(f, injected))
		for (size_t i = 0; bad == NULL && i < injected->n; i++)
			if (http_name_folds(injected->v[i], f->name))
				bad = judge_injected(fields, at, injected->v[i]);
	if (bad == NULL && f->known == HTTP_CONNECTION && !f->alias)
		bad = judge_connection(f->value, injected);
	return bad;
}

struct injected injected_of(const struct sv *v, size_t n)
{
	struct injected in = {.v = v, .n = n};

	for (size_t i = 0; i < n; i++) {
		in.lengths |= UINT64_C(1) << v[i].n % 64;
		in.known |= UINT64_C(1) << http_name_known(v[i]);
	}
	return in;
}

const char *field_rules_break(struct http_fields fields, const struct injected *injected)
{
	const uint64_t asks =
	    valued | injected->known | UINT64_C(1) << HTTP_OTHER | UINT64_C(1) << HTTP_UNJUDGED;
	const char *bad = NULL;

	for (size_t i = 0; bad == NULL && i < fields.n; i++) {
		const struct http_field *f = &fields.v[i];

		if (f->alias || f->again || (asks >> f->known & 1) != 0)
			bad = judge_field(fields, i, injected);
	}
	return bad;
}

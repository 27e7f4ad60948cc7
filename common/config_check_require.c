#include "common/config_build.h"
#include "common/config_value.h"

/* A name, or a path whose every ~ is ~0 or ~1. */
static bool is_claim_name(struct sv name)
{
	char room[CONFIG_MAX_CLAIM + 1];

	return name.n == 0 || name.p[0] != '/' || config_pointer_token(name, room);
}

/* Of a path its first, unescaped into room. */
static struct sv first_name(struct sv claim, char room[CONFIG_MAX_CLAIM + 1])
{
	struct sv token = sv_cut(claim, 1, claim.n);

	if (claim.n == 0 || claim.p[0] != '/')
		return claim;
	token = sv_cut(token, 0, sv_find(token, '/'));
	return config_pointer_token(token, room) ? sv_str(room) : SV_NONE;
}

/* email_verified goes with email, here as at the broker: it says nothing without. */
bool config_claim_is_kept(const struct config_provider *p, struct sv claim)
{
	char room[CONFIG_MAX_CLAIM + 1];

	if (sv_eq(claim, SV("subject")))
		return true;
	if (!is_claim_name(claim))
		return false;
	claim = first_name(claim, room);
	return config_list_has(&p->keep_claims, claim) ||
	       (sv_eq(claim, SV("email_verified")) &&
		config_list_has(&p->keep_claims, SV("email")));
}

/* What the values of one rule must be like. */
static enum err check_values(const struct config_build *b, const struct config_require *q, size_t i)
{
	bool one = q->op == REQUIRE_EQUALS || q->op == REQUIRE_ANY;

	if (sv_eq(q->claim, SV("subject")) && !one)
		return config_build_error(b, CONFIG_OPT_require_claim, i,
					  "expected another claim: subject is one text, for equals "
					  "and any");
	if (q->op != REQUIRE_DOMAIN)
		return ERR_OK;
	if (!sv_eq(q->claim, SV("email")))
		return config_build_error(b, CONFIG_OPT_require_claim, i,
					  "expected email with domain, the one claim that the "
					  "provider says email_verified of");
	for (size_t k = 0; k < q->values.n; k++)
		if (!config_host_is_domain(q->values.v[k]))
			return config_build_error(b, CONFIG_OPT_require_domain, i,
						  "expected domains of at least two labels, "
						  "without @");
	return ERR_OK;
}

static bool has_all(const struct config_list *list, const struct config_list *values)
{
	for (size_t k = 0; k < values->n; k++)
		if (!config_list_has(list, values->v[k]))
			return false;
	return true;
}

static bool has_one(const struct config_list *list, const struct config_list *values)
{
	for (size_t k = 0; k < values->n; k++)
		if (config_list_has(list, values->v[k]))
			return true;
	return false;
}

/* Whether every claim that has what `a` asks for has what `b` does; of contains, any and all. */
static bool implies(const struct config_require *a, const struct config_require *b)
{
	if (a->op == REQUIRE_ANY)
		return b->op == REQUIRE_ANY && has_all(&b->values, &a->values);
	return b->op == REQUIRE_ANY ? has_one(&a->values, &b->values)
				    : has_all(&a->values, &b->values);
}

/* A path of one step is the claim of that name, written in another way; but "subject" is none. */
static bool same_claim(struct sv a, struct sv b)
{
	char room[2][CONFIG_MAX_CLAIM + 1];
	struct sv names[2] = {a, b};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct sv rest = sv_cut(names[i], 1, names[i].n);
		struct sv name =
		    sv_find(rest, '/') == rest.n ? first_name(names[i], room[i]) : SV_NONE;

		if (name.n > 0 && !sv_eq(name, SV("subject")))
			names[i] = name;
	}
	return sv_eq(names[0], names[1]);
}

static bool leaves_one_value(const struct config_require *q)
{
	return q->op == REQUIRE_EQUALS || q->op == REQUIRE_DOMAIN;
}

/* Two rules about one claim, of which all must hold. equals and domain leave one value: beside
 * them another rule says nothing, or lets nobody through whom it names. */
static enum err check_pair(const struct config_build *b, const struct config_require *q,
			   const struct config_require *before, size_t i)
{
	if (!same_claim(q->claim, before->claim))
		return ERR_OK;
	if (leaves_one_value(q) || leaves_one_value(before))
		return config_build_error(b, CONFIG_OPT_require_claim, i,
					  "expected a claim of its own: beside rule \"" SV_FMT
					  "\" this has no effect, or nobody passes",
					  SV_ARG(before->name));
	if (implies(q, before) || implies(before, q))
		return config_build_error(b, CONFIG_OPT_require_claim, i,
					  "expected one of this rule and \"" SV_FMT
					  "\", whoever passes one of them passes both",
					  SV_ARG(before->name));
	return ERR_OK;
}

enum err config_check_requires(const struct config_build *b, size_t route, size_t first)
{
	const struct config_route *r = &b->c->routes[route];
	enum err err = ERR_OK;

	for (size_t k = 0; err == ERR_OK && k < r->nrequires; k++) {
		const struct config_require *q = &r->requires[k];

		if (q->op == 0)
			return config_build_error(b, CONFIG_OPT_require_claim, first + k,
						  "expected one of equals, contains, any, all, "
						  "domain beside it");
		if (!is_claim_name(q->claim))
			return config_build_error(b, CONFIG_OPT_require_claim, first + k,
						  "expected a name, or a path in which every ~ is "
						  "~0 or ~1");
		if (!config_claim_is_kept(r->app->provider, q->claim))
			return config_build_error(b, CONFIG_OPT_require_claim, first + k,
						  "expected \"subject\" or a claim that the "
						  "provider's keep_claims has, else nobody passes");
		err = check_values(b, q, first + k);
		for (size_t m = 0; err == ERR_OK && m < k; m++)
			err = check_pair(b, q, &r->requires[m], first + k);
	}
	return err;
}

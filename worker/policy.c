#include "worker/policy.h"

#include <stdlib.h>

#include "common/clock.h"
#include "worker/claim.h"

/* The rules of a route are uses[first] to uses[first + its nrequires]: numbers of different ones.
 */
struct use {
	const struct config_require *rule;
	size_t number;
};

struct policy_table {
	const struct config *config;
	struct use *uses;
	size_t *first; /* of each route */
	size_t nuses, nrules;
};

/* What a rule asks, whatever it is called. */
static int compare_rules(const struct config_require *a, const struct config_require *b)
{
	int d = (a->op > b->op) - (a->op < b->op);

	if (d == 0)
		d = sv_compare(a->claim, b->claim);
	if (d == 0)
		d = (a->values.n > b->values.n) - (a->values.n < b->values.n);
	for (size_t i = 0; d == 0 && i < a->values.n; i++)
		d = sv_compare(a->values.v[i], b->values.v[i]);
	return d;
}

static int compare_uses(const void *pa, const void *pb)
{
	const struct use *const *a = pa, *const *b = pb;

	return compare_rules((*a)->rule, (*b)->rule);
}

static enum err number_rules(struct policy_table *t)
{
	struct use **sorted = calloc(t->nuses + 1, sizeof(struct use *));

	if (sorted == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < t->nuses; i++)
		sorted[i] = &t->uses[i];
	qsort(sorted, t->nuses, sizeof(struct use *), compare_uses);
	for (size_t i = 0; i < t->nuses; i++) {
		if (i == 0 || compare_rules(sorted[i - 1]->rule, sorted[i]->rule) != 0)
			t->nrules++;
		sorted[i]->number = t->nrules - 1;
	}
	free(sorted);
	return ERR_OK;
}

enum err policy_table_new(const struct config *c, struct policy_table **ret)
{
	struct policy_table *t = calloc(1, sizeof *t);
	size_t n = 0;

	if (t == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < c->nroutes; i++)
		n += c->routes[i].nrequires;
	t->config = c;
	t->uses = calloc(n + 1, sizeof *t->uses);
	t->first = calloc(c->nroutes + 1, sizeof *t->first);
	if (t->uses == NULL || t->first == NULL) {
		policy_table_free(&t);
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < c->nroutes; i++) {
		t->first[i] = t->nuses;
		for (size_t k = 0; k < c->routes[i].nrequires; k++)
		t->uses[t->nuses++].rule = &c->routes[i].requires[k];
	}
	if (number_rules(t) != ERR_OK) {
		policy_table_free(&t);
		return ERR_NOMEM;
	}
	*ret = t;
	return ERR_OK;
}

void policy_table_free(struct policy_table **t)
{
	if (*t != NULL) {
		free((*t)->uses);
		free((*t)->first);
	}
	free(*t);
	*t = NULL;
}

/* ---- one rule ---------------------------------------------------------------------------- */

/* Two bits of each rule: whether it has been looked at, and whether it holds. */
#define BITS_EACH 2
#define BITS_OF_BYTE 8

size_t policy_bits_size(const struct policy_table *t)
{
	return (t->nrules * BITS_EACH + BITS_OF_BYTE - 1) / BITS_OF_BYTE;
}

static bool has_any(struct claims *c, struct claim claim, struct config_list values)
{
	struct claim_walk w = claim_walk(claim);
	struct claim element;
	struct sv text;

	while (claim_walk_next(&w, &element))
		if (claim_text(c, element, &text) && config_list_has(&values, text))
			return true;
	if (!claim_text(c, claim, &text))
		return false;
	for (size_t i = 0; i < values.n; i++)
		if (sv_eq(text, values.v[i]) || sv_has_word(text, values.v[i]))
			return true;
	return false;
}

static bool has_all(struct claims *c, struct claim claim, struct config_list values)
{
	for (size_t i = 0; i < values.n; i++)
		if (!has_any(c, claim, (struct config_list){&values.v[i], 1}))
			return false;
	return true;
}

static bool is_true(struct claim claim)
{
	return sv_eq(claim.json, SV("true"));
}

/* What follows the first @ is compared whole, and no domain of a configuration has one: so
 * "a@evil.example@example.com" is of none, and neither is "@example.com". */
static bool is_address_of(struct sv address, const struct config_list *domains)
{
	size_t at = sv_find(address, '@');
	struct sv domain = sv_cut(address, at + 1, address.n);

	if (at == 0 || at == address.n)
		return false;
	for (size_t i = 0; i < domains->n; i++)
		if (sv_eq_nocase(domain, domains->v[i]))
			return true;
	return false;
}

/* By its name or a path to it. */
static bool is_email(struct sv claim)
{
	return sv_eq(claim, SV("email")) || sv_eq(claim, SV("/email")) ||
	       sv_starts(claim, SV("/email/"));
}

static bool holds_of_claim(const struct config_require *q, struct claims *claims)
{
	struct claim claim = claim_get(claims, q->claim);
	struct sv text;

	/* SECURITY: an address that nobody verified is whatever its user wrote. */
	if (is_email(q->claim) && !is_true(claim_get(claims, SV("email_verified"))))
		return false;
	switch (q->op) {
	case REQUIRE_EQUALS:
		return claim_text(claims, claim, &text) && sv_eq(text, q->values.v[0]);
	case REQUIRE_DOMAIN:
		return claim_kind(claim) == CLAIM_STRING && claim_text(claims, claim, &text) &&
		       is_address_of(text, &q->values);
	case REQUIRE_ANY:
		return has_any(claims, claim, q->values);
	case REQUIRE_CONTAINS:
	case REQUIRE_ALL:
		break;
	}
	return has_all(claims, claim, q->values);
}

/* Of one value that nobody splits; the configuration takes equals and any alone. */
static bool holds_of_subject(const struct config_require *q, struct sv subject)
{
	return config_list_has(&q->values, subject);
}

/* ---- one route --------------------------------------------------------------------------- */

/* The claims, parsed when the first rule wants them. */
struct reading {
	const struct policy_session *session;
	struct claims *claims;
	bool parsed;
	unsigned char *bits;
};

enum answer { ANSWER_UNKNOWN = 0, ANSWER_NO, ANSWER_YES };

static enum answer kept(const unsigned char *bits, size_t number)
{
	size_t bit = number * BITS_EACH;

	if (bits == NULL)
		return ANSWER_UNKNOWN;
	return (enum answer)(bits[bit / BITS_OF_BYTE] >> bit % BITS_OF_BYTE & 3);
}

/* ANSWER_UNKNOWN: they cannot be read. */
static enum answer ask(struct reading *r, const struct config_require *q)
{
	bool holds;

	if (sv_eq(q->claim, SV("subject")))
		return holds_of_subject(q, r->session->subject) ? ANSWER_YES : ANSWER_NO;
	if (!r->parsed)
		r->parsed = claims_parse(r->session->claims, r->claims);
	if (!r->parsed)
		return ANSWER_UNKNOWN;
	holds = holds_of_claim(q, r->claims);
	if (!claims_ok(r->claims))
		return ANSWER_UNKNOWN;
	return holds ? ANSWER_YES : ANSWER_NO;
}

static enum answer look(struct reading *r, const struct use *u)
{
	enum answer answer = kept(r->bits, u->number);
	size_t bit = u->number * BITS_EACH;

	if (answer != ANSWER_UNKNOWN)
		return answer;
	answer = ask(r, u->rule);
	if (r->bits != NULL)
		r->bits[bit / BITS_OF_BYTE] |= (unsigned char)(answer << bit % BITS_OF_BYTE);
	return answer;
}

static enum policy_outcome eval_requires(const struct policy_table *t,
					 const struct config_route *route, struct reading *r,
					 struct sv *ret_rule)
{
	const struct use *u = &t->uses[t->first[route - t->config->routes]];

	for (size_t i = 0; i < route->nrequires; i++) {
		switch (look(r, &u[i])) {
		case ANSWER_YES:
			continue;
		case ANSWER_NO:
			*ret_rule = u[i].rule->name;
			return POLICY_REQUIRE;
		case ANSWER_UNKNOWN:
			return POLICY_CLAIMS;
		}
	}
	return POLICY_OK;
}

static bool acr_suffices(const struct config_list *wanted, struct sv acr)
{
	return wanted->n == 0 || config_list_has(wanted, acr);
}

static bool is_fresh(int64_t max_age_ms, int64_t auth_time_s, int64_t now_s)
{
	if (max_age_ms == 0)
		return true;
	return auth_time_s > 0 && now_s - auth_time_s <= max_age_ms / 1000 + CLOCK_SKEW_S;
}

enum policy_outcome policy_eval(const struct policy_table *t, const struct config_route *route,
				const struct policy_session *s, int64_t now_s, unsigned char *bits,
				struct sv *ret_rule)
{
	struct claims claims; /* of its kilobytes only what claims_parse() writes is touched */
	struct reading r = {.session = s, .claims = &claims, .bits = bits};
	enum policy_outcome outcome = eval_requires(t, route, &r, ret_rule);

	if (r.parsed)
		claims_done(&claims);
	if (outcome != POLICY_OK)
		return outcome;
	if (!acr_suffices(&route->acr, s->acr)) {
		*ret_rule = SV("acr");
		return POLICY_ACR;
	}
	if (!is_fresh(route->max_age_ms, s->auth_time_s, now_s)) {
		*ret_rule = SV("max_age");
		return POLICY_MAX_AGE;
	}
	return POLICY_OK;
}

/* policy: whatever the claims are, kept answers are those of a fresh look, and a claim by its path
 * is one by its name. First line: a claim's name; then the claims. */
#include <assert.h>
#include <stdlib.h>

#include "worker/claim.h"
#include "worker/policy.h"

#define NOW 1700000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(struct sv name, struct sv claims)
{
	const struct sv one[] = {SV_INIT("a")}, two[] = {SV_INIT("a"), SV_INIT("b c")};
	const struct sv domain[] = {SV_INIT("example.com")};
	const struct config_require rules[] = {
	    {SV_INIT("1"), name, REQUIRE_EQUALS, {one, 1}},
	    {SV_INIT("2"), name, REQUIRE_CONTAINS, {one, 1}},
	    {SV_INIT("3"), name, REQUIRE_ANY, {two, 2}},
	    {SV_INIT("4"), name, REQUIRE_ALL, {two, 2}},
	    {SV_INIT("5"), SV_INIT("email"), REQUIRE_DOMAIN, {domain, 1}},
	};
	struct config_route routes[ARRAY_LEN(rules)];
	const struct config c = {.routes = routes, .nroutes = ARRAY_LEN(routes)};
	const struct policy_session s = {.subject = SV("a"), .claims = claims};
	enum policy_outcome got[ARRAY_LEN(rules)];
	struct policy_table *t = NULL;
	unsigned char *bits;

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		routes[i] = (struct config_route){.requires = &rules[i], .nrequires = 1};
	assert(policy_table_new(&c, &t) == ERR_OK);
	bits = calloc(1, policy_bits_size(t));
	assert(bits != NULL);
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		struct sv rule = SV_NONE;

		got[i] = policy_eval(t, &routes[i], &s, NOW, bits, &rule);
		assert(got[i] == POLICY_OK || got[i] == POLICY_REQUIRE || got[i] == POLICY_CLAIMS);
		assert((got[i] == POLICY_REQUIRE) == sv_eq(rule, rules[i].name));
		assert(policy_eval(t, &routes[i], &s, NOW, NULL, &rule) == got[i]);
		assert(policy_eval(t, &routes[i], &s, NOW, bits, &rule) == got[i]);
	}
	/* Whoever is it has it, and whoever has both has one. */
	assert(got[0] != POLICY_OK || got[1] == POLICY_OK);
	assert(got[1] != POLICY_OK || got[2] == POLICY_OK);
	assert(got[3] != POLICY_OK || got[2] == POLICY_OK);
	free(bits);
	policy_table_free(&t);
}

/* The claim at the top of that name is the one at the end of the escaped path. */
static void same_by_path(struct sv name, struct sv claims)
{
	char path[2 * CONFIG_MAX_CLAIM + 2] = "/";
	struct claims all;
	size_t n = 1;

	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (c == '~' || c == '/')
			path[n++] = '~';
		path[n++] = c == '~' ? '0' : c == '/' ? '1' : c;
	}
	path[n] = '\0';
	if (!claims_parse(claims, &all))
		return;
	if (name.n == 0 || name.p[0] != '/')
		assert(claim_get(&all, name).json.p == claim_get(&all, sv_of(path, n)).json.p);
	claims_done(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv all = sv_of((const char *)data, size), name;
	size_t end = sv_find(all, '\n');
	char text[CONFIG_MAX_CLAIM + 1]; /* terminated, and without NUL, as a configuration's */

	name = sv_cut(all, 0, end);
	if (name.n > CONFIG_MAX_CLAIM || sv_find(name, '\0') < name.n)
		return 0;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	name.p = text;
	judge(name, sv_cut(all, end + 1, size));
	same_by_path(name, sv_cut(all, end + 1, size));
	return 0;
}

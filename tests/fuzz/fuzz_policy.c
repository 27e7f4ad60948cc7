/* policy: a claim's name, a line; values, one ',' between two, a line; claims. Kept or not, an
 * answer stays the same. */
#include <assert.h>
#include <stdlib.h>

#include "worker/policy.h"

#define VALUES 8
#define TEXT_MAX 4096
#define NOW_S 1700000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As a configuration's strings are: terminated. */
static struct sv copy(struct sv s, char *out)
{
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return sv_of(out, s.n);
}

static struct sv next(struct sv *rest, char end)
{
	size_t n = sv_find(*rest, end);
	struct sv part = sv_cut(*rest, 0, n);

	*rest = sv_cut(*rest, n + 1, rest->n);
	return part;
}

/* Of two rules about the same claim and values: whatever `all` lets through, `any` does. */
static void judge(const struct config_require rules[], size_t n, const struct policy_session *s)
{
	struct config_route routes[REQUIRE_DOMAIN + 1];
	enum policy_outcome got[REQUIRE_DOMAIN + 1];
	struct config c = {.routes = routes, .nroutes = n};
	struct policy_table *t = NULL;
	unsigned char *bits;
	struct sv rule;

	for (size_t i = 0; i < n; i++)
		routes[i] = (struct config_route){.requires = &rules[i], .nrequires = 1};
	if (policy_table_new(&c, &t) != ERR_OK)
		abort();
	bits = calloc(1, policy_bits_size(t) + 1);
	if (bits == NULL)
		abort();
	for (size_t i = 0; i < n; i++) {
		got[i] = policy_eval(t, &routes[i], s, NOW_S, NULL, &rule);
		assert(policy_eval(t, &routes[i], s, NOW_S, bits, &rule) == got[i]);
		assert(policy_eval(t, &routes[i], s, NOW_S, bits, &rule) == got[i]);
		assert((got[i] == POLICY_CLAIMS) == (got[0] == POLICY_CLAIMS));
	}
	assert(got[REQUIRE_ALL - 1] != POLICY_OK || got[REQUIRE_ANY - 1] == POLICY_OK);
	free(bits);
	policy_table_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv rest = sv_of((const char *)data, size), name, line;
	struct sv values[VALUES];
	char name_buf[TEXT_MAX], value_buf[2 * TEXT_MAX];
	struct config_require rules[REQUIRE_DOMAIN];
	struct policy_session s = {.subject = SV("alice"), .acr = SV("c1")};
	size_t n = 0, used = 0;

	name = next(&rest, '\n');
	line = next(&rest, '\n');
	if (name.n == 0 || name.n >= TEXT_MAX || line.n == 0 || line.n >= TEXT_MAX)
		return 0;
	name = copy(name, name_buf);
	while (n < VALUES && line.n > 0) {
		values[n] = copy(next(&line, ','), value_buf + used);
		used += values[n].n + 1;
		n++;
	}
	s.claims = rest;
	for (enum config_require_op op = REQUIRE_EQUALS; op <= REQUIRE_DOMAIN; op++)
		rules[op - 1] = (struct config_require){
		    .name = SV("rule"),
		    .claim = name,
		    .op = op,
		    .values = {values, op == REQUIRE_EQUALS || op == REQUIRE_CONTAINS ? 1 : n}};
	judge(rules, ARRAY_LEN(rules), &s);
	return 0;
}

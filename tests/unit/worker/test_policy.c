#include "worker/policy.h"

#include "tests/unit/torture.h"

#include "common/clock.h"
#include "worker/claim.h"

#define NOW 1700000000
#define LIST(...)                                                                                  \
	{                                                                                          \
		(const struct sv[]){__VA_ARGS__},                                                  \
		    sizeof((const struct sv[]){__VA_ARGS__}) / sizeof(struct sv)                   \
	}

static unsigned parsed;

bool __real_claims_parse(struct sv text, struct claims *ret);
bool __wrap_claims_parse(struct sv text, struct claims *ret);
bool __wrap_claims_parse(struct sv text, struct claims *ret)
{
	parsed++;
	return __real_claims_parse(text, ret);
}

static const struct policy_session nobody = {.subject = SV_INIT("alice"), .claims = SV_INIT("{}")};

static struct policy_table *table_of(const struct config *c)
{
	struct policy_table *t = NULL;

	assert_int_equal(policy_table_new(c, &t), ERR_OK);
	return t;
}

/* What a table of this one rule says. */
static enum policy_outcome judge(const struct config_require *rule, struct sv claims)
{
	const struct config_route route = {.requires = rule, .nrequires = 1};
	const struct config c = {.routes = &route, .nroutes = 1};
	const struct policy_session s = {.subject = SV("alice"), .claims = claims};
	struct policy_table *t = table_of(&c);
	unsigned char bits[1] = {0};
	struct sv name = SV_NONE;
	enum policy_outcome got = policy_eval(t, &route, &s, NOW, NULL, &name);

	assert_int_equal(policy_bits_size(t), 1);
	/* Kept or not, first or again, the answer is the same. */
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(policy_eval(t, &route, &s, NOW, bits, &name), got);
	if (got == POLICY_REQUIRE)
		assert_sv_equal(name, rule->name);
	else
		assert_int_equal(name.n, 0);
	policy_table_free(&t);
	return got;
}

#define YES POLICY_OK
#define NO POLICY_REQUIRE

static void operators_by_table(void **state)
{
	const struct {
		enum config_require_op op;
		struct config_list values;
		const char *claim, *value; /* of it, JSON; NULL: not there */
		enum policy_outcome want;
	} cases[] = {
	    /* equals: one text, and never split. */
	    {REQUIRE_EQUALS, LIST(SV("a")), "c", "\"a\"", YES},
	    {REQUIRE_EQUALS, LIST(SV("a")), "c", "\"A\"", NO},
	    {REQUIRE_EQUALS, LIST(SV("a")), "c", "\"a \"", NO},
	    {REQUIRE_EQUALS, LIST(SV("a")), "c", "\"a b\"", NO},
	    {REQUIRE_EQUALS, LIST(SV("a")), "c", "\"a\\u0000\"", NO},
	    {REQUIRE_EQUALS, LIST(SV("a b")), "c", "\"a b\"", YES},
	    {REQUIRE_EQUALS, LIST(SV("a")), "c", "[\"a\"]", NO},
	    {REQUIRE_EQUALS, LIST(SV("a")), "c", "{\"a\":\"a\"}", NO},
	    {REQUIRE_EQUALS, LIST(SV("a")), "c", "null", NO},
	    {REQUIRE_EQUALS, LIST(SV("null")), "c", "null", NO},
	    {REQUIRE_EQUALS, LIST(SV("a")), "c", NULL, NO},
	    {REQUIRE_EQUALS, LIST(SV("7")), "c", "7", YES},
	    {REQUIRE_EQUALS, LIST(SV("7")), "c", "\"7\"", YES},
	    {REQUIRE_EQUALS, LIST(SV("7")), "c", "7.0", NO},
	    {REQUIRE_EQUALS, LIST(SV("7.0")), "c", "7.0", YES},
	    {REQUIRE_EQUALS, LIST(SV("true")), "c", "true", YES},
	    {REQUIRE_EQUALS, LIST(SV("true")), "c", "false", NO},
	    {REQUIRE_EQUALS, LIST(SV("9223372036854775807")), "c", "99999999999999999999", NO},
	    /* contains: an array's elements as they are; a string, and its words. */
	    {REQUIRE_CONTAINS, LIST(SV("a")), "c", "[\"b\",\"a\"]", YES},
	    {REQUIRE_CONTAINS, LIST(SV("a")), "c", "[\"b\",\"ab\"]", NO},
	    {REQUIRE_CONTAINS, LIST(SV("a")), "c", "[\"a b\"]", NO},
	    {REQUIRE_CONTAINS, LIST(SV("a b")), "c", "[\"a b\"]", YES},
	    {REQUIRE_CONTAINS, LIST(SV("a")), "c", "[[\"a\"]]", NO},
	    {REQUIRE_CONTAINS, LIST(SV("a")), "c", "[{\"a\":\"a\"},null]", NO},
	    {REQUIRE_CONTAINS, LIST(SV("2")), "c", "[1,2]", YES},
	    {REQUIRE_CONTAINS, LIST(SV("true")), "c", "[true]", YES},
	    {REQUIRE_CONTAINS, LIST(SV("a")), "c", "[]", NO},
	    {REQUIRE_CONTAINS, LIST(SV("a")), "c", "\"b a\"", YES},
	    {REQUIRE_CONTAINS, LIST(SV("a")), "c", "\"a\"", YES},
	    {REQUIRE_CONTAINS, LIST(SV("a")), "c", "\"b ab\"", NO},
	    {REQUIRE_CONTAINS, LIST(SV("a")), "c", "\"b,a\"", NO},
	    {REQUIRE_CONTAINS, LIST(SV("a")), "c", "\"b\\ta\"", NO},
	    {REQUIRE_CONTAINS, LIST(SV("a b")), "c", "\"a b\"", YES},
	    {REQUIRE_CONTAINS, LIST(SV("a b")), "c", "\"a b c\"", NO},
	    {REQUIRE_CONTAINS, LIST(SV("a")), "c", "{\"a\":true}", NO},
	    {REQUIRE_CONTAINS, LIST(SV("7")), "c", "7", YES},
	    {REQUIRE_CONTAINS, LIST(SV("a")), "c", NULL, NO},
	    /* any, all */
	    {REQUIRE_ANY, LIST(SV("a"), SV("b")), "c", "[\"x\",\"b\"]", YES},
	    {REQUIRE_ANY, LIST(SV("a"), SV("b")), "c", "[\"x\"]", NO},
	    {REQUIRE_ANY, LIST(SV("a"), SV("b")), "c", "\"b\"", YES},
	    {REQUIRE_ANY, LIST(SV("a"), SV("b")), "c", "\"x b\"", YES},
	    {REQUIRE_ANY, LIST(SV("a"), SV("Human Resources")), "c", "\"Human Resources\"", YES},
	    {REQUIRE_ANY, LIST(SV("a"), SV("b")), "c", "\"\"", NO},
	    {REQUIRE_ANY, LIST(SV("a"), SV("b")), "c", NULL, NO},
	    {REQUIRE_ALL, LIST(SV("a"), SV("b")), "c", "[\"b\",\"x\",\"a\"]", YES},
	    {REQUIRE_ALL, LIST(SV("a"), SV("b")), "c", "[\"a\",\"a\"]", NO},
	    {REQUIRE_ALL, LIST(SV("a"), SV("b")), "c", "\"b a\"", YES},
	    {REQUIRE_ALL, LIST(SV("a"), SV("b")), "c", "\"a\"", NO},
	    {REQUIRE_ALL, LIST(SV("a"), SV("b")), "c", "[\"a b\"]", NO},
	    {REQUIRE_ALL, LIST(SV("a"), SV("b")), "c", NULL, NO},
	    /* Paths and names. */
	    {REQUIRE_ANY, LIST(SV("a")), "/c/roles", "{\"roles\":[\"a\"]}", YES},
	    {REQUIRE_ANY, LIST(SV("a")), "/c/roles", "{\"roles\":[\"b\"],\"a\":1}", NO},
	    {REQUIRE_ANY, LIST(SV("a")), "/c/roles", "[\"a\"]", NO},
	    {REQUIRE_EQUALS, LIST(SV("a")), "/c/0", "[\"a\"]", YES},
	    /* The subject is the session's, whatever the claims say. */
	    {REQUIRE_EQUALS, LIST(SV("alice")), "subject", NULL, YES},
	    {REQUIRE_EQUALS, LIST(SV("bob")), "subject", "\"bob\"", NO},
	    {REQUIRE_ANY, LIST(SV("bob"), SV("alice")), "subject", NULL, YES},
	    {REQUIRE_ANY, LIST(SV("ali"), SV("Alice")), "subject", NULL, NO},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct config_require rule = {SV("rule"), sv_str(cases[i].claim), cases[i].op,
						    cases[i].values};
		char claims[256] = "{}";
		size_t n = 2;

		if (cases[i].value != NULL)
			n = (size_t)snprintf(claims, sizeof claims, "{\"x\":\"a\",\"%s\":%s}",
					     cases[i].claim[0] == '/' ? "c" : cases[i].claim,
					     cases[i].value);
		if (judge(&rule, sv_of(claims, n)) != cases[i].want)
			fail_msg("case %zu: %s", i, claims);
	}
}

static void domains_by_table(void **state)
{
	static const struct {
		const char *claims;
		enum policy_outcome want;
	} cases[] = {
#define VERIFIED(email) "{\"email\":\"" email "\",\"email_verified\":true}"
	    {VERIFIED("a@example.com"), YES},
	    {VERIFIED("a@EXAMPLE.Com"), YES},
	    {VERIFIED("a@other.example"), YES},
	    {VERIFIED("a@evil-example.com"), NO},
	    {VERIFIED("a@evilexample.com"), NO},
	    {VERIFIED("a@sub.example.com"), NO},
	    {VERIFIED("a@example.com.evil.example"), NO},
	    {VERIFIED("a@example.co"), NO},
	    {VERIFIED("a@example.com."), NO},
	    {VERIFIED("a@example.com "), NO},
	    {VERIFIED("a@example.com\\u0000"), NO},
	    {VERIFIED("a@evil.com@example.com"), NO},
	    {VERIFIED("a@example.com@evil.com"), NO},
	    {VERIFIED("\\\"a@evil.com\\\"@example.com"), NO},
	    {VERIFIED("@example.com"), NO},
	    {VERIFIED("example.com"), NO},
	    {VERIFIED("a@"), NO},
	    {VERIFIED(""), NO},
	    {"{\"email\":\"a@example.com\"}", NO},
	    {"{\"email\":\"a@example.com\",\"email_verified\":false}", NO},
	    {"{\"email\":\"a@example.com\",\"email_verified\":\"true\"}", NO},
	    {"{\"email\":\"a@example.com\",\"email_verified\":1}", NO},
	    {"{\"email\":\"a@example.com\",\"email_verified\":null}", NO},
	    {"{\"email\":[\"a@example.com\"],\"email_verified\":true}", NO},
	    {"{\"email_verified\":true}", NO},
	    {"[\"email\"]", POLICY_CLAIMS},
	    {"", POLICY_CLAIMS},
	};
	const struct config_require rule = {SV_INIT("ours"), SV_INIT("email"), REQUIRE_DOMAIN,
					    LIST(SV("example.com"), SV("Other.example"))};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (judge(&rule, sv_str(cases[i].claims)) != cases[i].want)
			fail_msg("case %zu: %s", i, cases[i].claims);
}

/* Whatever is asked of it, and by which name. */
static void an_address_that_nobody_verified_is_nobodys(void **state)
{
	const struct config_require rules[] = {
	    {SV_INIT("q"), SV_INIT("email"), REQUIRE_EQUALS, LIST(SV("a@x.com"))},
	    {SV_INIT("q"), SV_INIT("email"), REQUIRE_CONTAINS, LIST(SV("a@x.com"))},
	    {SV_INIT("q"), SV_INIT("email"), REQUIRE_ANY, LIST(SV("a@x.com"))},
	    {SV_INIT("q"), SV_INIT("email"), REQUIRE_ALL, LIST(SV("a@x.com"))},
	    {SV_INIT("q"), SV_INIT("/email"), REQUIRE_EQUALS, LIST(SV("a@x.com"))},
	    {SV_INIT("q"), SV_INIT("email"), REQUIRE_DOMAIN, LIST(SV("x.com"))},
	};
	const struct config_require within = {SV_INIT("q"), SV_INIT("/email/0"), REQUIRE_EQUALS,
					      LIST(SV("a@x.com"))};
	const struct config_require other = {SV_INIT("q"), SV_INIT("emails"), REQUIRE_EQUALS,
					     LIST(SV("a@x.com"))};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		assert_int_equal(judge(&rules[i], SV(VERIFIED("a@x.com"))), YES);
		assert_int_equal(judge(&rules[i], SV("{\"email\":\"a@x.com\"}")), NO);
		assert_int_equal(
		    judge(&rules[i], SV("{\"email\":\"a@x.com\",\"email_verified\":false}")), NO);
	}
	assert_int_equal(judge(&within, SV("{\"email\":[\"a@x.com\"],\"email_verified\":true}")),
			 YES);
	assert_int_equal(judge(&within, SV("{\"email\":[\"a@x.com\"]}")), NO);
	assert_int_equal(judge(&other, SV("{\"emails\":\"a@x.com\"}")), YES);
}

static const struct config_require one[] = {
    {SV_INIT("a"), SV_INIT("g"), REQUIRE_ANY, LIST(SV_INIT("x"))},
    {SV_INIT("b"), SV_INIT("g"), REQUIRE_ALL, LIST(SV_INIT("x"))},
};
static const struct config_require two[] = {
    {SV_INIT("c"), SV_INIT("g"), REQUIRE_ANY, LIST(SV_INIT("x"))}, /* as "a", by another name */
    {SV_INIT("d"), SV_INIT("h"), REQUIRE_ANY, LIST(SV_INIT("x"))},
    {SV_INIT("e"), SV_INIT("g"), REQUIRE_ANY, LIST(SV_INIT("y"))},
    {SV_INIT("f"), SV_INIT("g"), REQUIRE_ANY, LIST(SV_INIT("x"), SV_INIT("y"))},
};
static const struct config_route routes[] = {
    {.name = SV_INIT("free")},
    {.name = SV_INIT("one"), .requires = one, .nrequires = 2},
    {.name = SV_INIT("two"), .requires = two, .nrequires = 4},
};
static const struct config config = {.routes = routes, .nroutes = ARRAY_LEN(routes)};

static struct sv first_failing(const struct policy_table *t, size_t route, const char *claims,
			       unsigned char *bits)
{
	const struct policy_session s = {.claims = sv_str(claims)};
	struct sv name = SV_NONE;

	return policy_eval(t, &routes[route], &s, NOW, bits, &name) == POLICY_OK ? SV("ok") : name;
}

/* All must hold, and the one that does not is called what this route calls it. */
static void all_rules_must_hold(void **state)
{
	struct policy_table *t = table_of(&config);
	unsigned char bits[2] = {0};

	(void)state;
	assert_int_equal(policy_bits_size(t), 2); /* five different rules */
	assert_sv_equal(first_failing(t, 0, "{}", bits), SV("ok"));
	assert_sv_equal(first_failing(t, 0, "not looked at", bits), SV("ok"));
	assert_sv_equal(first_failing(t, 1, "{}", NULL), SV("a"));
	assert_sv_equal(first_failing(t, 2, "{}", NULL), SV("c"));
	assert_sv_equal(first_failing(t, 2, "{\"g\":\"x\"}", NULL), SV("d"));
	assert_sv_equal(first_failing(t, 2, "{\"g\":\"x\",\"h\":\"x\"}", NULL), SV("e"));
	assert_sv_equal(first_failing(t, 2, "{\"g\":\"x y\",\"h\":\"x\"}", NULL), SV("ok"));
	policy_table_free(&t);
}

/* What was looked at once is not looked at again, for any route that asks the same. */
static void answers_are_kept(void **state)
{
	struct policy_table *t = table_of(&config);
	unsigned char yes[2] = {0}, no[2] = {0};

	(void)state;
	assert_sv_equal(first_failing(t, 1, "{\"g\":[\"x\"]}", yes), SV("ok"));
	assert_sv_equal(first_failing(t, 1, "broken", yes), SV("ok"));
	assert_sv_equal(first_failing(t, 2, "{\"g\":\"other\"}", yes), SV("d"));
	assert_sv_equal(first_failing(t, 2, "broken", yes), SV("d"));
	assert_sv_equal(first_failing(t, 2, "{}", no), SV("c"));
	assert_sv_equal(first_failing(t, 1, "broken", no), SV("a"));
	policy_table_free(&t);
}

static void unreadable_claims_give_no_answer(void **state)
{
	struct policy_table *t = table_of(&config);
	const struct policy_session s = {.claims = SV("{\"g\":")};
	unsigned char bits[2] = {0};
	struct sv name = SV_NONE;

	(void)state;
	assert_int_equal(policy_eval(t, &routes[1], &s, NOW, bits, &name), POLICY_CLAIMS);
	assert_int_equal(bits[0] | bits[1], 0);
	assert_sv_equal(first_failing(t, 1, "{\"g\":\"x\"}", bits), SV("ok"));
	policy_table_free(&t);
}

static void acr_by_table(void **state)
{
	const struct {
		struct config_list acr;
		const char *has;
		enum policy_outcome want;
	} cases[] = {
	    {{NULL, 0}, "", POLICY_OK},
	    {{NULL, 0}, "gold", POLICY_OK},
	    {LIST(SV("gold")), "gold", POLICY_OK},
	    {LIST(SV("gold"), SV("silver")), "silver", POLICY_OK},
	    {LIST(SV("gold")), "silver", POLICY_ACR},
	    {LIST(SV("gold")), "GOLD", POLICY_ACR},
	    {LIST(SV("gold")), "gold silver", POLICY_ACR},
	    {LIST(SV("gold")), "", POLICY_ACR},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct config_route route = {.acr = cases[i].acr};
		const struct config c = {.routes = &route, .nroutes = 1};
		struct policy_session s = nobody;
		struct policy_table *t = table_of(&c);
		struct sv rule = SV_NONE;

		s.acr = sv_str(cases[i].has);
		assert_int_equal(policy_bits_size(t), 0);
		if (policy_eval(t, &route, &s, NOW, NULL, &rule) != cases[i].want)
			fail_msg("case %zu", i);
		assert_sv_equal(rule, cases[i].want == POLICY_ACR ? SV("acr") : SV_NONE);
		policy_table_free(&t);
	}
}

static void max_age_by_table(void **state)
{
	static const struct {
		int64_t max_age_ms, auth_time_s;
		enum policy_outcome want;
	} cases[] = {
	    {0, 0, POLICY_OK},
	    {0, 1, POLICY_OK},
	    {1800000, NOW, POLICY_OK},
	    {1800000, NOW + 30, POLICY_OK}, /* the provider's clock is ahead */
	    {1800000, NOW - 1800, POLICY_OK},
	    {1800000, NOW - 1800 - CLOCK_SKEW_S, POLICY_OK},
	    {1800000, NOW - 1800 - CLOCK_SKEW_S - 1, POLICY_MAX_AGE},
	    {1800000, 0, POLICY_MAX_AGE}, /* unknown */
	    {34560000000, 0, POLICY_MAX_AGE},
	    {34560000000, -1, POLICY_MAX_AGE},
	    {1000, NOW - 1 - CLOCK_SKEW_S, POLICY_OK},
	    {1000, NOW - 2 - CLOCK_SKEW_S, POLICY_MAX_AGE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct config_route route = {.max_age_ms = cases[i].max_age_ms};
		const struct config c = {.routes = &route, .nroutes = 1};
		struct policy_session s = nobody;
		struct policy_table *t = table_of(&c);
		struct sv rule = SV_NONE;

		s.auth_time_s = cases[i].auth_time_s;
		if (policy_eval(t, &route, &s, NOW, NULL, &rule) != cases[i].want)
			fail_msg("case %zu", i);
		assert_sv_equal(rule, cases[i].want == POLICY_MAX_AGE ? SV("max_age") : SV_NONE);
		policy_table_free(&t);
	}
}

/* Also where the clock is so wrong that 1970 is not long ago. */
static void an_unknown_time_is_never_fresh(void **state)
{
	const struct config_route route = {.max_age_ms = 3600000};
	const struct config c = {.routes = &route, .nroutes = 1};
	struct policy_session s = nobody;
	struct policy_table *t = table_of(&c);
	struct sv rule = SV_NONE;

	(void)state;
	assert_int_equal(policy_eval(t, &route, &s, 60, NULL, &rule), POLICY_MAX_AGE);
	s.auth_time_s = 1;
	assert_int_equal(policy_eval(t, &route, &s, 60, NULL, &rule), POLICY_OK);
	policy_table_free(&t);
}

/* Nobody is sent to a stronger login that would be refused after it. */
static void rules_come_before_the_login(void **state)
{
	const struct config_route route = {
	    .requires = one, .nrequires = 1, .acr = LIST(SV("gold")), .max_age_ms = 1000};
	const struct config c = {.routes = &route, .nroutes = 1};
	struct policy_table *t = table_of(&c);
	struct policy_session s = nobody;
	struct sv rule = SV_NONE;

	(void)state;
	assert_int_equal(policy_eval(t, &route, &s, NOW, NULL, &rule), POLICY_REQUIRE);
	s.claims = SV("{\"g\":\"x\"}");
	assert_int_equal(policy_eval(t, &route, &s, NOW, NULL, &rule), POLICY_ACR);
	s.acr = SV("gold");
	assert_int_equal(policy_eval(t, &route, &s, NOW, NULL, &rule), POLICY_MAX_AGE);
	s.auth_time_s = NOW;
	assert_int_equal(policy_eval(t, &route, &s, NOW, NULL, &rule), POLICY_OK);
	policy_table_free(&t);
}

#define MANY 1000

/* A thousand different rules: each keeps its own answer. */
static void many_rules_keep_apart(void **state)
{
	static struct config_route many[MANY];
	static struct config_require rules[MANY];
	static struct sv values[MANY];
	static char texts[MANY][8];
	static unsigned char bits[MANY / 4];
	const struct config c = {.routes = many, .nroutes = MANY};
	const struct policy_session s = {.claims = SV("{\"g\":[\"7\",\"998\"]}")};
	struct policy_table *t;

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		values[i] = sv_of(texts[i], (size_t)snprintf(texts[i], sizeof texts[i], "%zu", i));
		rules[i] =
		    (struct config_require){values[i], SV("g"), REQUIRE_ANY, {&values[i], 1}};
		many[i] = (struct config_route){.requires = &rules[i], .nrequires = 1};
	}
	t = table_of(&c);
	assert_int_equal(policy_bits_size(t), sizeof bits);
	for (unsigned twice = 0; twice < 2; twice++)
		for (size_t i = 0; i < MANY; i++) {
			struct sv name = SV_NONE;

			assert_int_equal(policy_eval(t, &many[i], &s, NOW, bits, &name),
					 i == 7 || i == 998 ? POLICY_OK : POLICY_REQUIRE);
		}
	policy_table_free(&t);
}

static enum err attempt(void *arg)
{
	struct policy_table *t = NULL;
	enum err e = policy_table_new(arg, &t);

	policy_table_free(&t);
	return e;
}

static void without_memory(void **state)
{
	struct config c = config;

	(void)state;
	assert_true(torture(attempt, &c) > 0);
}

/* A claim that cannot be looked at for want of memory is no "no", and above all none that stays. */
static enum err attempt_escapes(void *arg)
{
	const struct policy_session s = {.claims = SV("{\"g\":[\"\\u0078\"]}")};
	unsigned char bits[2] = {0};
	struct sv name = SV_NONE;

	switch (policy_eval(arg, &routes[1], &s, NOW, bits, &name)) {
	case POLICY_OK:
		return ERR_OK;
	case POLICY_CLAIMS:
		assert_int_equal(bits[0] | bits[1], 0);
		return ERR_NOMEM;
	case POLICY_REQUIRE:
	case POLICY_ACR:
	case POLICY_MAX_AGE:
		break;
	}
	fail_msg("refused by " SV_FMT, SV_ARG(name));
	return ERR_RANGE;
}

static void without_memory_for_escapes(void **state)
{
	struct policy_table *t = table_of(&config);

	(void)state;
	assert_int_equal(torture(attempt_escapes, t), 1);
	policy_table_free(&t);
}

/* With kept answers a judgement does not even parse. */
static void kept_answers_cost_no_parsing(void **state)
{
	static const struct {
		size_t route;
		unsigned want;
	} asks[] = {{2, 1}, {2, 1}, {1, 2}, {1, 2}}; /* "one" has a rule that "two" has not */
	struct policy_table *t = table_of(&config);
	unsigned char bits[2] = {0};

	(void)state;
	parsed = 0;
	for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
		struct sv got =
		    first_failing(t, asks[i].route, "{\"g\":\"x y\",\"h\":\"x\"}", bits);

		assert_sv_equal(got, SV("ok"));
		assert_int_equal(parsed, asks[i].want);
	}
	policy_table_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(operators_by_table),
	    cmocka_unit_test(domains_by_table),
	    cmocka_unit_test(an_address_that_nobody_verified_is_nobodys),
	    cmocka_unit_test(all_rules_must_hold),
	    cmocka_unit_test(answers_are_kept),
	    cmocka_unit_test(unreadable_claims_give_no_answer),
	    cmocka_unit_test(acr_by_table),
	    cmocka_unit_test(max_age_by_table),
	    cmocka_unit_test(an_unknown_time_is_never_fresh),
	    cmocka_unit_test(rules_come_before_the_login),
	    cmocka_unit_test(many_rules_keep_apart),
	    cmocka_unit_test(without_memory),
	    cmocka_unit_test(without_memory_for_escapes),
	    cmocka_unit_test(kept_answers_cost_no_parsing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

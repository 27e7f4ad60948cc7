#include "broker/login_claims.h"

#include "broker/id_token.h"
#include "tests/unit/torture.h"

#define BOTH (CLAIMS_ID_TOKEN | CLAIMS_USERINFO)

static struct id_token_claims of_id_token(const char *claims)
{
	return (struct id_token_claims){.sub = SV("s-1"),
					.subject = SV("alice"),
					.sid = SV("sid-1"),
					.email = SV("a@old.example"),
					.acr = SV("gold"),
					.auth_time_s = 7,
					.claims = sv_str(claims)};
}

static void a_copy_outlives_what_it_was_made_of(void **state)
{
	char sub[] = "s-1", claims[] = "{\"a\":1}";
	const struct id_token_claims from = {.sub = sv_str(sub), .claims = sv_str(claims)};
	struct login_claims c = {0};

	(void)state;
	assert_int_equal(login_claims_take(&c, &from), ERR_OK);
	memset(sub, 'x', sizeof sub - 1);
	memset(claims, 'x', sizeof claims - 1);
	assert_true(sv_eq(c.sub, SV("s-1")));
	assert_true(sv_eq(c.claims, SV("{\"a\":1}")));
	assert_int_equal(c.sid.n, 0);
	login_claims_done(&c);
	assert_int_equal(c.claims.n, 0);
}

/* Core 5.3.2, and which of the two is believed. */
static void merged(void **state)
{
	static const struct {
		unsigned from;
		const char *id_token, *userinfo, *want, *want_email;
		const char *email; /* of UserInfo */
	} rows[] = {
	    {BOTH, "{\"a\":1}", "{\"b\":[2,\"x\"]}", "{\"a\":1,\"b\":[2,\"x\"]}", "a@old.example",
	     ""},
	    {BOTH, "{\"a\":1}", "{\"a\":\"new\"}", "{\"a\":\"new\"}", "a@old.example", ""},
	    {BOTH, "{\"sub\":\"s-1\",\"iss\":\"i\"}", "{\"sub\":\"other\",\"iss\":\"other\"}",
	     "{\"sub\":\"s-1\",\"iss\":\"i\"}", "a@old.example", ""},
	    {BOTH, "{\"email\":\"a@old.example\",\"email_verified\":true}", "{\"email\":\"b@new\"}",
	     "{\"email\":\"b@new\"}", "b@new", "b@new"},
	    {BOTH, "{\"email\":\"a@old.example\",\"email_verified\":false}",
	     "{\"email_verified\":true}", "{\"email\":\"a@old.example\",\"email_verified\":false}",
	     "a@old.example", ""},
	    {BOTH, "{\"email\":\"a@old.example\"}", "{\"email\":\"b@new\",\"email_verified\":true}",
	     "{\"email\":\"b@new\",\"email_verified\":true}", "b@new", "b@new"},
	    {BOTH, "{}", "{}", "{}", "a@old.example", ""},
	    {CLAIMS_USERINFO, "{\"a\":1,\"sub\":\"s-1\",\"iss\":\"i\"}", "{\"b\":2,\"sub\":\"x\"}",
	     "{\"sub\":\"s-1\",\"iss\":\"i\",\"b\":2}", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct id_token_claims from = of_id_token(rows[i].id_token);
		const struct id_token_claims more = {.sub = SV("s-1"),
						     .email = sv_str(rows[i].email),
						     .claims = sv_str(rows[i].userinfo)};
		struct login_claims c = {0};

		assert_int_equal(login_claims_take(&c, &from), ERR_OK);
		assert_int_equal(login_claims_merge(&c, rows[i].from, &more), ERR_OK);
		assert_int_equal(c.claims.n, strlen(rows[i].want));
		assert_memory_equal(c.claims.p, rows[i].want, c.claims.n);
		assert_true(sv_eq(c.email, sv_str(rows[i].want_email)));
		assert_true(sv_eq(c.sub, SV("s-1")));
		assert_true(sv_eq(c.subject, SV("alice")));
		assert_true(sv_eq(c.acr, SV("gold")));
		assert_true(sv_eq(c.sid, SV("sid-1")));
		assert_int_equal(c.auth_time_s, 7);
		login_claims_done(&c);
	}
}

static void the_subject_may_come_from_either(void **state)
{
	struct id_token_claims from = of_id_token("{}");
	const struct id_token_claims more = {
	    .sub = SV("s-1"), .subject = SV("by userinfo"), .claims = SV("{}")};
	struct login_claims c = {0};

	(void)state;
	from.subject = SV_NONE;
	assert_int_equal(login_claims_take(&c, &from), ERR_OK);
	assert_int_equal(login_claims_merge(&c, BOTH, &more), ERR_OK);
	assert_true(sv_eq(c.subject, SV("by userinfo")));
	login_claims_done(&c);
}

/* Each fits, both do not. */
static void more_than_a_session_may_hold_is_refused(void **state)
{
	static char half[2][ID_TOKEN_CLAIMS_MAX];
	struct id_token_claims from, more = {.sub = SV("s-1")};
	struct login_claims c = {0};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		memset(half[i], 'x', sizeof half[i] - 100);
		memcpy(half[i], i == 0 ? "{\"a\":\"" : "{\"b\":\"", 6);
		memcpy(half[i] + sizeof half[i] - 100, "\"}", 3);
	}
	from = of_id_token(half[0]);
	more.claims = sv_str(half[1]);
	assert_int_equal(login_claims_take(&c, &from), ERR_OK);
	assert_int_equal(login_claims_merge(&c, BOTH, &more), ERR_LIMIT);
	assert_true(sv_eq(c.claims, sv_str(half[0]))); /* as it was */
	login_claims_done(&c);
}

static enum err attempt(void *arg)
{
	const struct id_token_claims from = of_id_token("{\"a\":1}"), *more = arg;
	struct login_claims c = {0};
	enum err e = login_claims_take(&c, &from);

	if (e == ERR_OK)
		e = login_claims_merge(&c, BOTH, more);
	login_claims_done(&c);
	return e;
}

static void without_memory(void **state)
{
	struct id_token_claims more = {
	    .sub = SV("s-1"), .subject = SV("alice"), .claims = SV("{\"b\":2}")};

	(void)state;
	assert_true(torture(attempt, &more) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_copy_outlives_what_it_was_made_of),
	    cmocka_unit_test(merged),
	    cmocka_unit_test(the_subject_may_come_from_either),
	    cmocka_unit_test(more_than_a_session_may_hold_is_refused),
	    cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

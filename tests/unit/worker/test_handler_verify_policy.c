/* The rules of the route, and the stronger or fresher login that it wants. */
#include "tests/unit/worker/verify_stand.h"

static void verify_claims(const char *uri, struct sv claims)
{
	char one[256];

	(void)snprintf(one, sizeof one, "Cookie: %s\r\n", stand_cookie("bff_session", 's'));
	stand_verify("GET", A, uri, one);
	stand_live(SV("a"), claims, true);
}

static void a_rule_that_does_not_hold_is_403_and_named_in_the_log_alone(void **state)
{
	(void)state;
	verify_claims("/rule/", SV("{\"name\":\"Alice\"}"));
	assert_answer(200);
	assert_int_equal(stand.r->denied, REASON_NONE);
	assert_int_equal(stand.r->rule.n, 0);
	verify_claims("/rule/", SV("{\"name\":\"Mallory\"}"));
	assert_answer(403);
	assert_has("{\"error\":\"forbidden\"}");
	assert_lacks("only Alice");
	assert_lacks("login");
	assert_int_equal(stand.r->denied, REASON_REQUIRE);
	assert_sv_equal(stand.r->rule, SV("only Alice"));
	verify_claims("/rule/", SV("[1"));
	assert_answer(503);
}

/* What was found out is kept where the row is kept. */
static void with_a_place_for_them_answers_are_kept(void **state)
{
	unsigned char bits[1] = {0};
	struct request_session live = {.live = true, .policy_bits = bits};

	(void)state;
	assert_int_equal(policy_bits_size(stand.w.policy), sizeof bits);
	verify_claims("/rule/", SV("{\"name\":\"Alice\"}"));
	stand.r->session = live;
	stand.r->session.claims = SV("{\"name\":\"Alice\"}");
	assert_int_equal(verify_policy(stand.r), STEP_NEXT);
	stand.r->session.claims = SV("no longer looked at");
	assert_int_equal(verify_policy(stand.r), STEP_NEXT);
}

#define BACK "return_to=https%3A%2F%2Fa.example.com%2F"

static void a_weak_login_is_asked_for_a_stronger_one(void **state)
{
	(void)state;
	verify_live("GET", "/acr/", ""); /* gold is the second that suffices */
	assert_answer(200);
	verify_live("GET", "/better/x?y=1", "");
	assert_answer(401);
	assert_has("\r\nWWW-Authenticate: Bearer error=\"insufficient_user_authentication\", "
		   "acr_values=\"urn:x:2 diamond\", max_age=\"30\"\r\n");
	assert_has("{\"error\":\"insufficient_user_authentication\",\"login_url\":"
		   "\"https://a.example.com/auth/login?" BACK
		   "&acr_values=urn%3Ax%3A2%20diamond&max_age=30\"}");
	assert_lacks("Location");
	assert_int_equal(stand.r->denied, REASON_ACR);
	assert_sv_equal(stand.r->rule, SV("acr"));
	verify_live("GET", "/better/x?y=1", NAVIGATION);
	assert_answer(302);
	assert_has("\r\nLocation: https://a.example.com/auth/login?" BACK "better%2Fx%3Fy%3D1"
		   "&acr_values=urn%3Ax%3A2%20diamond&max_age=30\r\n");
	assert_lacks("WWW-Authenticate");
	verify_live("GET", "/best/", "");
	assert_answer(401);
	assert_has("acr_values=\"diamond\"\r\n");
	assert_lacks("max_age");
	/* Not of a page of somebody else: who asks is looked at first. */
	verify_live("POST", "/better/", "Origin: https://evil.example\r\n");
	assert_answer(403);
	assert_has("\"error\":\"origin\"");
	/* Without a session the plain login is asked for; the stronger one comes after it. */
	stand_verify("GET", A, "/better/", NAVIGATION);
	assert_answer(302);
	assert_lacks("acr_values");
}

static void an_old_login_is_asked_for_a_fresher_one(void **state)
{
	(void)state;
	verify_live("GET", "/age/", ""); /* ten seconds old */
	assert_answer(200);
	clock_set(clock_boot_ms(), STAND_WALL_S - 10 + 3600 + CLOCK_SKEW_S);
	verify_live("GET", "/age/", "");
	assert_answer(200);
	clock_set(clock_boot_ms(), STAND_WALL_S - 10 + 3600 + CLOCK_SKEW_S + 1);
	verify_live("GET", "/age/", "");
	assert_answer(401);
	assert_has(" error=\"insufficient_user_authentication\", max_age=\"3600\"\r\n");
	assert_has("&max_age=3600\"}");
	assert_lacks("acr_values");
	assert_int_equal(stand.r->denied, REASON_MAX_AGE);
}

static void in_the_dialect_of_nginx(void **state)
{
	struct config_listen *verify;

	(void)state;
	for (size_t i = 0; i < stand.config->nlistens; i++) {
		memcpy(&verify, &(const void *){&stand.config->listens[i]}, sizeof verify);
		if (verify->kind == LISTEN_VERIFY)
			verify->edge = EDGE_NGINX;
	}
	verify_live("GET", "/better/", NAVIGATION);
	assert_answer(401);
	assert_has("\r\nLocation: https://a.example.com/auth/login?" BACK "better%2F&acr_values=");
	verify_live("GET", "/better/", "");
	assert_answer(401);
	assert_lacks("Location");
	assert_has("\r\nX-Login-URL: https://a.example.com/auth/login?" BACK "&acr_values=");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
	    CASE(a_rule_that_does_not_hold_is_403_and_named_in_the_log_alone),
	    CASE(with_a_place_for_them_answers_are_kept),
	    CASE(a_weak_login_is_asked_for_a_stronger_one),
	    CASE(an_old_login_is_asked_for_a_fresher_one),
	    CASE(in_the_dialect_of_nginx),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/endpoint.h"

#include "tests/unit/unit.h"

static void paths_by_table(void **state)
{
	static const struct {
		const char *path;
		enum endpoint at_public, at_verify, at_metrics;
	} cases[] = {
	    {"/auth/login", ENDPOINT_LOGIN, 0, 0},
	    {"/auth/callback", ENDPOINT_CALLBACK, 0, 0},
	    {"/auth/logout", ENDPOINT_LOGOUT, 0, 0},
	    {"/auth/backchannel-logout", ENDPOINT_BACKCHANNEL, 0, 0},
	    {"/auth/backchannel-logout/", 0, 0, 0},
	    {"/api/auth/backchannel-logout", 0, 0, 0},
	    {"/auth/session", ENDPOINT_SESSION, 0, 0},
	    {"/api/auth/session", ENDPOINT_SESSION, 0, 0},
	    {"/auth/session/events", ENDPOINT_EVENTS, 0, 0},
	    {"/api/auth/session/events", ENDPOINT_EVENTS, 0, 0},
	    {"/auth/session/events/", 0, 0, 0},
	    {"/api/auth/logout", 0, 0, 0},
	    {"/auth/health", ENDPOINT_HEALTH, 0, 0},
	    {"/auth/verify", 0, ENDPOINT_VERIFY, 0},
	    {"/auth/forward", 0, ENDPOINT_VERIFY, 0},
	    {"/auth/verify/", 0, 0, 0},
	    {"/auth/Login", 0, 0, 0},
	    {"/auth/login/", 0, 0, 0},
	    {"/authlogin", 0, 0, 0},
	    {"/auth", 0, 0, 0},
	    {"/", 0, 0, 0},
	    {"", 0, 0, 0},
	    {"/livez", 0, 0, ENDPOINT_LIVEZ},
	    {"/readyz", 0, 0, ENDPOINT_READYZ},
	    {"/metrics", 0, 0, ENDPOINT_METRICS},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sv path = sv_str(cases[i].path);

		assert_int_equal(endpoint_public(path, SV("/auth")), cases[i].at_public);
		assert_int_equal(endpoint_verify(path, EDGE_TRAEFIK), cases[i].at_verify);
		assert_int_equal(endpoint_metrics(path), cases[i].at_metrics);
	}
	assert_int_equal(endpoint_public(SV("/x/login"), SV("/x")), ENDPOINT_LOGIN);
	assert_int_equal(endpoint_public(SV("/auth/login"), SV("/x")), ENDPOINT_NONE);
}

static void envoy_has_the_browsers_path_behind_the_prefix(void **state)
{
	static const struct {
		const char *path;
		enum endpoint want;
	} cases[] = {
	    {"/auth/verify/", ENDPOINT_VERIFY},
	    {"/auth/verify/api/crm/", ENDPOINT_VERIFY},
	    {"/auth/verify/auth/login", ENDPOINT_VERIFY},
	    {"/auth/verify", ENDPOINT_NONE},
	    {"/auth/verify*", ENDPOINT_NONE},
	    {"/auth/verifyx/", ENDPOINT_NONE},
	    {"/auth/forward/", ENDPOINT_NONE},
	    {"/auth/login", ENDPOINT_NONE},
	    {"/", ENDPOINT_NONE},
	    {"", ENDPOINT_NONE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(endpoint_verify(sv_str(cases[i].path), EDGE_ENVOY), cases[i].want);
}

static void methods_by_table(void **state)
{
	static const struct {
		enum endpoint endpoint;
		bool get, head, post;
	} cases[] = {
	    {ENDPOINT_LOGIN, true, false, true},  {ENDPOINT_CALLBACK, true, false, true},
	    {ENDPOINT_LOGOUT, true, false, true}, {ENDPOINT_SESSION, true, true, false},
	    {ENDPOINT_HEALTH, true, true, false}, {ENDPOINT_VERIFY, true, true, true},
	    {ENDPOINT_LIVEZ, true, true, false},  {ENDPOINT_READYZ, true, true, false},
	    {ENDPOINT_NONE, false, false, false}, {ENDPOINT_BACKCHANNEL, false, false, true},
	    {ENDPOINT_EVENTS, true, true, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum endpoint e = cases[i].endpoint;

		assert_int_equal(endpoint_takes(e, SV("GET")), cases[i].get);
		assert_int_equal(endpoint_takes(e, SV("HEAD")), cases[i].head);
		assert_int_equal(endpoint_takes(e, SV("POST")), cases[i].post);
		assert_int_equal(endpoint_takes(e, SV("get")), e == ENDPOINT_VERIFY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths_by_table),
	    cmocka_unit_test(envoy_has_the_browsers_path_behind_the_prefix),
	    cmocka_unit_test(methods_by_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

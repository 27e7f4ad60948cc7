#include "worker/navigation.h"

#include "tests/unit/worker/fields.h"

#define NAVIGATE "Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\n"

static void a_navigation_is_known(void **state)
{
	static const struct {
		struct sv method, fields;
		bool websocket, want;
	} cases[] = {
	    {SV_INIT("GET"), SV_INIT(NAVIGATE), false, true},
	    {SV_INIT("HEAD"), SV_INIT(NAVIGATE), false, true},
	    {SV_INIT("GET"), SV_INIT("Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: iframe"), false,
	     true},
	    {SV_INIT("GET"), SV_INIT("Accept: text/html,application/xhtml+xml;q=0.9"), false, true},
	    {SV_INIT("GET"), SV_INIT("Accept: application/xml\nAccept: a/b, TEXT/HTML;q=0.5"),
	     false, true},
	    {SV_INIT("GET"), SV_INIT("Accept: text/html;q=0"), false, false},
	    {SV_INIT("GET"), SV_INIT("Accept: text/htmlx"), false, false},
	    {SV_INIT("GET"), SV_INIT("Accept: */*"), false, false},
	    {SV_INIT("GET"), SV_INIT(""), false, false},
	    {SV_INIT("POST"), SV_INIT(NAVIGATE), false, false},
	    {SV_INIT("get"), SV_INIT(NAVIGATE), false, false},
	    {SV_INIT("OPTIONS"), SV_INIT("Accept: text/html"), false, false},
	    {SV_INIT("GET"), SV_INIT(NAVIGATE), true, false},
	    {SV_INIT("GET"), SV_INIT(NAVIGATE "X-Requested-With: XMLHttpRequest"), false, false},
	    {SV_INIT("GET"),
	     SV_INIT("Sec-Fetch-Mode: cors\nSec-Fetch-Dest: empty\nAccept: text/html"), false,
	     false},
	    {SV_INIT("GET"), SV_INIT("Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: object"), false,
	     false},
	    {SV_INIT("GET"), SV_INIT("Sec-Fetch-Mode: navigate\nAccept: text/html"), false, false},
	    {SV_INIT("GET"), SV_INIT("Sec-Fetch-Site: none\nAccept: text/html"), false, false},
	    {SV_INIT("GET"), SV_INIT(NAVIGATE "Sec-Fetch-Mode: cors"), false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fields_text t;
		struct http_fields f = fields_of(&t, cases[i].fields);

		assert_int_equal(navigation_is(cases[i].method, cases[i].websocket, f),
				 cases[i].want);
		assert_int_equal(
		    navigation_redirects(NO_LOGIN_AUTO, cases[i].method, cases[i].websocket, f),
		    cases[i].want);
		assert_false(
		    navigation_redirects(NO_LOGIN_401, cases[i].method, cases[i].websocket, f));
	}
}

static void redirect_always_means_get_and_head(void **state)
{
	const struct http_fields none = {.v = NULL};

	(void)state;
	assert_true(navigation_redirects(NO_LOGIN_REDIRECT, SV("GET"), false, none));
	assert_true(navigation_redirects(NO_LOGIN_REDIRECT, SV("HEAD"), false, none));
	assert_false(navigation_redirects(NO_LOGIN_REDIRECT, SV("POST"), false, none));
	assert_false(navigation_redirects(NO_LOGIN_REDIRECT, SV("GET"), true, none));
}

static void a_preflight_is_known(void **state)
{
	static const struct {
		struct sv method, fields, want; /* want.n == 0: none */
	} cases[] = {
	    {SV_INIT("OPTIONS"), SV_INIT("Origin: https://a\nAccess-Control-Request-Method: PUT"),
	     SV_INIT("PUT")},
	    {SV_INIT("OPTIONS"), SV_INIT("Access-Control-Request-Method: PUT"), SV_INIT("")},
	    {SV_INIT("OPTIONS"), SV_INIT("Origin: https://a"), SV_INIT("")},
	    {SV_INIT("OPTIONS"), SV_INIT("Origin:\nAccess-Control-Request-Method: PUT"),
	     SV_INIT("")},
	    {SV_INIT("OPTIONS"), SV_INIT("Origin: https://a\nAccess-Control-Request-Method:"),
	     SV_INIT("")},
	    {SV_INIT("OPTIONS"),
	     SV_INIT("Origin: https://a\nOrigin: https://b\nAccess-Control-Request-Method: PUT"),
	     SV_INIT("")},
	    {SV_INIT("GET"), SV_INIT("Origin: https://a\nAccess-Control-Request-Method: PUT"),
	     SV_INIT("")},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fields_text t;
		struct sv got = SV_NONE;

		assert_int_equal(
		    navigation_is_preflight(cases[i].method, fields_of(&t, cases[i].fields), &got),
		    cases[i].want.n > 0);
		assert_sv_equal(got, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_navigation_is_known),
	    cmocka_unit_test(redirect_always_means_get_and_head),
	    cmocka_unit_test(a_preflight_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/common/config_cases.h"

#define A1 "app \"a\" { provider = p "
#define ORIGINS "origins = {\"https://a.example.com\", \"https://b.example.com\"} "
#define LOGIN "login_origin = \"https://login.example.com\" "
#define B1 "app \"b\" { provider = p "

static void test_apps(void **state)
{
	static const struct test_case cases[] = {
	    {APP, "app \"a\" { provider = q " ORIGINS "}\n", 1, "provider: expected the name of"},
	    {APP, A1 "origins = {} }\n", 1, "origins: expected a value"},
	    {APP, A1 "origins = {\"https://a.example.com\",\n\"https://b.example.com/\"} }\n", 2,
	     "origins: expected an origin"},
	    {APP, A1 "origins = {\"https://a.example.com\", \"https://A.example.com:443\"} }\n", 1,
	     "origins: expected each origin once"},
	    {APP, A1 "origins = {\"http://a.example.com\"} insecure_loopback = yes }\n", 1,
	     "origins: expected https"},
	    {APP, A1 "origins = {\"http://a.localhost\"} }\n", 1, "origins: expected https"},
	    {APP, A1 "origins = {\"http://a.localhost\"} insecure_loopback = yes }\n", 0, NULL},
	    {APP, A1 ORIGINS "auth_path = \"/auth/\" }\n", 1, "auth_path: expected"},
	    {APP, A1 ORIGINS "auth_path = \"/\" }\n", 1, "auth_path: expected"},
	    {APP, A1 ORIGINS "auth_path = \"auth\" }\n", 1, "auth_path: expected"},
	    {APP, A1 ORIGINS "auth_path = \"/a//b\" }\n", 1, "auth_path: expected"},
	    {APP, A1 ORIGINS "idle_timeout = \"13h\" }\n", 1, "idle_timeout: expected at most"},
	    {APP, A1 ORIGINS "idle_timeout = 7200 }\n", 1, "idle_timeout: expected a duration"},
	    {APP, A1 ORIGINS "idle_timeout = \"119s\" }\n", 1, "idle_timeout: expected"},
	    {APP, A1 ORIGINS "idle_timeout = \"2m\" }\n", 0, NULL},
	    {APP, A1 ORIGINS "revalidate = \"12h\" }\n", 1, "revalidate: expected less"},
	    {APP, A1 ORIGINS "page_claims = {name, email} }\n", 1, "page_claims: expected claims"},
	    {APP, A1 ORIGINS "after_logout = {\"/bye\"} }\n", 1, "after_logout: expected absolute"},
	    {APP, A1 ORIGINS "after_logout = {\"http://www.example.com/\"} }\n", 1,
	     "after_logout: expected https"},
	    {APP, A1 ORIGINS "return_to = {\"http://www.example.com\"} }\n", 1,
	     "return_to: expected https"},
	    {APP, A1 ORIGINS "pages = \"pages\" }\n", 1, "pages: expected an absolute path"},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
}

static void test_cookies(void **state)
{
	static const struct test_case cases[] = {
	    {APP, A1 ORIGINS LOGIN "cookie_domain = \"example.com\" }\n", 0, NULL},
	    {APP, A1 ORIGINS "cookie_domain = \"example.com\" }\n", 1, "login_origin: expected"},
	    {APP, A1 ORIGINS LOGIN "\ncookie_domain = \"a.example.com\" }\n", 2,
	     "cookie_domain: expected a parent of the login_origin"},
	    {APP,
	     A1 LOGIN "cookie_domain = \"example.com\" origins = {\"https://notexample.com\"} }\n",
	     1, "cookie_domain: expected a parent of every origin"},
	    {APP, A1 ORIGINS LOGIN "cookie_domain = \".example.com\" }\n", 1,
	     "cookie_domain: expected a domain"},
	    {APP, A1 ORIGINS LOGIN "cookie_domain = \"com\" }\n", 1,
	     "cookie_domain: expected a domain"},
	    {APP, A1 ORIGINS LOGIN "}\n", 1, "login_origin: expected one of the app's origins"},
	    {APP, A1 ORIGINS "login_origin = \"https://b.example.com\" }\n", 0, NULL},
	    {APP, A1 ORIGINS "cookie_name = \"a b\" }\n", 1, "cookie_name: expected a token"},
	    {APP, A1 ORIGINS "cookie_name = bff_csrf }\n", 1, "cookie_name: expected a name"},
	    {APP, A1 ORIGINS "cookie_name = \"__Host-s\" }\n", 0, NULL},
	    {APP, A1 ORIGINS LOGIN "cookie_domain = \"example.com\" cookie_name = \"__host-s\" }\n",
	     1, "cookie_name: expected no prefix"},
	    {APP,
	     A1 "origins = {\"http://a.localhost\"} insecure_loopback = yes cookie_name = "
		"\"__Host-s\" }\n",
	     1, "cookie_name: expected no prefix"},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
}

static void test_pairs(void **state)
{
	static const struct test_case cases[] = {
	    {APP, A1 ORIGINS "}\n" B1 "origins = {\"https://b.example.com\"} }\n", 2,
	     "origins: expected origins of its own"},
	    {APP,
	     A1 ORIGINS LOGIN "cookie_domain = \"example.com\" }\n" B1
			      "origins = {\"https://login.example.com\"} cookie_name = t }\n",
	     2, "origins: expected origins of its own"},
	    {APP,
	     A1 ORIGINS LOGIN "cookie_domain = \"example.com\" }\n" B1
			      "origins = {\"https://c.example.com\"} }\n",
	     2, "cookie_name: expected a name of its own"},
	    {APP,
	     B1 "origins = {\"https://c.example.com\"} }\n" A1 ORIGINS LOGIN
		"cookie_domain = \"example.com\" }\n",
	     2, "cookie_name: expected a name of its own"},
	    {APP,
	     A1 ORIGINS LOGIN "cookie_domain = \"example.com\" }\n" B1
			      "origins = {\"https://c.example.com\"} cookie_name = t }\n",
	     0, NULL},
	    {APP, A1 ORIGINS "}\n" B1 "origins = {\"https://c.example.com\"} }\n", 0, NULL},
	    {APP, A1 ORIGINS "}\n" B1 "origins = {\"https://a.example.com:8443\"} }\n", 2,
	     "cookie_name: expected a name of its own"},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_apps),
	    cmocka_unit_test(test_cookies),
	    cmocka_unit_test(test_pairs),
	};

	return cmocka_run_group_tests_name("config_check_app", tests, NULL, NULL);
}

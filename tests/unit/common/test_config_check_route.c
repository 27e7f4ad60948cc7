#include "tests/unit/common/config_cases.h"

static void test_routes(void **state)
{
#define R(text) "route \"r\" { app = a path = \"/x/\" " text " }\n"
	static const struct test_case cases[] = {
	    {ROUTE, "", 0, NULL},
	    {ROUTE, "route \"r\" { app = z path = \"/\" }\n", 1, "app: expected the name of"},
	    {ROUTE, "route \"r\" { app = a }\n", 1, "path: expected a value"},
	    {ROUTE, "route \"r\" { app = a path = \"x\" }\n", 1, "path: expected a path"},
	    {ROUTE, "route \"r\" { app = a path = \"/a/../b\" }\n", 1, "path: expected a path"},
	    {ROUTE, "route \"r\" { app = a path = \"/auth/x\" }\n", 1, "path: expected a path out"},
	    {ROUTE, "route \"r\" { app = a path = \"/authority\" }\n", 0, NULL},
	    {ROUTE, "route \"r\" { app = a path = \"/api/auth/session\" exact = yes }\n", 1,
	     "path: expected another path"},
	    {ROUTE, R("hosts = {\"c.example.com\"}"), 1, "hosts: expected hosts of app"},
	    {ROUTE, R("hosts = {\"a.example.com:443\"}"), 1, "hosts: expected a host"},
	    {ROUTE, R("hosts = {\"A.Example.com\"}"), 0, NULL},
	    {ROUTE, R("hosts = {\"A.Example.com\", \"a.example.com\"}"), 1, "hosts: expected each"},
	    {ROUTE, R("methods = {get}"), 1, "methods: expected methods in capitals"},
	    {ROUTE, R("methods = {GET, GET}"), 1, "methods: expected each value once"},
	    {ROUTE, R("service = t"), 1, "service: expected the name of"},
	    {ROUTE, R("identity = t"), 1, "identity: expected the name of"},
	    {ROUTE, R("session = none"), 1, "csrf: expected off"},
	    {ROUTE, R("session = none csrf = off"), 0, NULL},
	    {ROUTE, R("session = none csrf = off service = s"), 1, "service: expected no service"},
	    {ROUTE, R("session = none csrf = off identity = default"), 1, "identity: expected no"},
	    {ROUTE, R("session = none csrf = off acr = {x}"), 1, "acr: expected no"},
	    {ROUTE, R("session = none csrf = off max_age = \"1h\""), 1, "max_age: expected 0s"},
	    {ROUTE, R("session = none csrf = off require \"q\" { claim = name equals = x }"), 1,
	     "session: expected"},
	    {ROUTE, R("session = optional on_no_login = redirect"), 1, "on_no_login: expected"},
	    {ROUTE, R("authorization = pass"), 1, "authorization: expected pass with"},
	    {ROUTE, R("authorization = pass session = optional"), 0, NULL},
	    {ROUTE, R("authorization = pass session = optional service = s"), 1,
	     "authorization: expected service"},
	    {ROUTE, R("upgrade = websocket methods = {POST}"), 1, "upgrade: expected GET"},
	    {ROUTE, R("exact = yes encoded_slash = allow"), 1, "encoded_slash: expected refuse"},
	    {ROUTE, R("\nrequire \"q\" { claim = name }"), 2, "claim: expected one of equals"},
	    {ROUTE, R("\nrequire \"q\" { claim = name any = {} }"), 2,
	     "any: expected at least one"},
	    {ROUTE, R("\nrequire \"q\" { claim = name equals = a any = {b} }"), 2,
	     "any: expected one rule"},
	    {ROUTE, R("\nrequire \"q\" { claim = email any = {b} }"), 2,
	     "claim: expected \"subject\""},
	    {ROUTE, R("\nrequire \"q\" { claim = name domain = {\"@x.com\"} }"), 2,
	     "domain: expected domains"},
	    {ROUTE, R("\nrequire \"only staff\" { claim = groups any = {b} }"), 0, NULL},
	};
	static const struct test_case foreign[] = {
	    {SERVICE,
	     "provider \"q\" { issuer = \"https://q.example\" client_id = c client_secret_file = "
	     "\"/s\" }\nservice \"s\" { provider = q grant = session }\n",
	     3, "service: expected a service of provider \"p\""},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
	run(foreign, ARRAY_LEN(foreign));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_routes),
	};

	return cmocka_run_group_tests_name("config_check_route", tests, NULL, NULL);
}

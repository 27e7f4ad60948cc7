#include "tests/unit/common/config_cases.h"

static void test_routes(void **state)
{
#define ACR_64 "aaaaaaaabbbbbbbbccccccccddddddddeeeeeeeeffffffffgggggggghhhhhhhh"
#define ACR_128 ACR_64 ACR_64
#define R(text) "route \"r\" { app = a path = \"/x/\" " text " }\n"
	static const struct test_case cases[] = {
	    {ROUTE, "", 0, NULL},
	    {ROUTE, "route \"r\" { app = z path = \"/\" }\n", 1, "app: expected the name of"},
	    {ROUTE, "route \"r\" { app = a }\n", 1, "path: expected a value"},
	    {ROUTE, "route \"r\" { app = a path = \"x\" }\n", 1, "path: expected a path"},
	    {ROUTE, "route \"r\" { app = a path = \"/a/../b\" }\n", 1, "path: expected a path"},
	    {ROUTE, "route \"r\" { app = a path = \"/a%40b\" }\n", 1, "path: expected a path"},
	    {ROUTE, "route \"r\" { app = a path = \"/a%c3%a4\" }\n", 1, "path: expected a path"},
	    {ROUTE, "route \"r\" { app = a path = \"/a%C3%A4\" }\n", 0, NULL},
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
	    {ROUTE, R("session = none csrf = off acr = {x}"), 1,
	     "session: expected required, as acr"},
	    {ROUTE, R("session = optional max_age = \"1h\""), 1,
	     "session: expected required, as max_age"},
	    {ROUTE, R("session = optional require \"q\" { claim = name equals = x }"), 1,
	     "session: expected required, as require"},
	    {ROUTE,
	     R("authorization = pass session = optional require \"q\" { claim = name any = x }"), 1,
	     "session: expected required, as require"},
	    {ROUTE, R("acr = {x, y}"), 0, NULL},
	    {ROUTE, R("acr = {x, x}"), 1, "acr: expected each value once"},
	    {ROUTE, R("acr = {\"x y\"}"), 1, "acr: expected words"},
	    {ROUTE, R("acr = {\"\"}"), 1, "acr: expected"},
	    {ROUTE, R("acr = {\"a\\\"b\"}"), 1, "acr: expected words"},
	    {ROUTE, R("acr = {" ACR_128 "}"), 0, NULL},
	    {ROUTE, R("acr = {" ACR_128 ", " ACR_128 "1}"), 1, "acr: expected at most 256"},
	    {ROUTE, R("max_age = \"1s\""), 0, NULL},
	    {ROUTE, R("max_age = \"1500ms\""), 1, "max_age: expected whole seconds"},
	    {ROUTE, R("csrf = off methods = {GET, HEAD}"), 1, "csrf: expected on"},
	    {ROUTE, R("csrf = off methods = {GET, POST}"), 0, NULL},
	    {ROUTE, R("csrf = off session = none methods = {GET}"), 0, NULL},
	    {ROUTE, R("on_no_login = redirect methods = {POST}"), 1, "on_no_login: expected auto"},
	    {ROUTE, R("on_no_login = redirect methods = {POST, HEAD}"), 0, NULL},
	    {ROUTE, R("on_no_login = 401 methods = {POST}"), 0, NULL},
	    {ROUTE, R("preflight = pass methods = {PUT, OPTIONS}"), 1,
	     "preflight: expected refuse"},
	    {ROUTE, R("preflight = pass methods = {PUT}"), 0, NULL},
	    {ROUTE, R("methods = {GET, TRACE}"), 1, "methods: expected no TRACE"},
	    {ROUTE, R("methods = {CONNECT}"), 1, "methods: expected no CONNECT"},
	    {ROUTE, R("session = none csrf = off on_no_login = 401"), 1, "on_no_login: expected"},
	    {ROUTE, R("session = optional on_no_login = redirect"), 1, "on_no_login: expected"},
	    {ROUTE, R("authorization = pass"), 1, "authorization: expected pass with"},
	    {ROUTE, R("authorization = pass session = optional"), 0, NULL},
	    {ROUTE, R("authorization = pass session = optional service = s"), 1,
	     "authorization: expected service"},
	    {ROUTE, R("upgrade = websocket methods = {POST}"), 1, "upgrade: expected GET"},
	    {ROUTE, R("exact = yes encoded_slash = allow"), 1, "encoded_slash: expected refuse"},
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

#include "common/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/common/config_text.h"

/* The parts of a configuration, a line each; a case replaces one of them. */
enum part { DATABASE, WEB, BROKER, PROVIDER, APP, IDENTITY, SERVICE, ROUTE, PARTS };
static const char *const base[PARTS] = {
    [DATABASE] = CONFIG_TEXT_DATABASE, [WEB] = CONFIG_TEXT_WEB,
    [BROKER] = CONFIG_TEXT_BROKER,     [PROVIDER] = CONFIG_TEXT_PROVIDER,
    [APP] = CONFIG_TEXT_APP,	       [IDENTITY] = CONFIG_TEXT_IDENTITY,
    [SERVICE] = CONFIG_TEXT_SERVICE,   [ROUTE] = CONFIG_TEXT_ROUTE,
};

struct test_case {
	enum part part;
	const char *text;
	unsigned line;	  /* within the part, from 1; 0: no error wanted */
	const char *want; /* how the message goes on after FILE:LINE:, as far as given */
};

static void run(const struct test_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char text[8192] = "", want[256];
		struct config *c = NULL;
		struct errmsg e = {""};
		size_t path_n;
		enum err got;

		for (size_t p = 0; p < PARTS; p++)
			strcat(text, p == cases[i].part ? cases[i].text : base[p]);
		got = config_text_load(text, strlen(text), &c, &e, &path_n);
		if (cases[i].line == 0) {
			if (got != ERR_OK)
				fail_msg("case %zu: got %s", i, e.text);
			config_free(&c);
			continue;
		}
		(void)snprintf(want, sizeof want, ":%u: %s",
			       (unsigned)cases[i].part + cases[i].line, cases[i].want);
		if (got != ERR_CONFIG || strncmp(e.text + path_n, want, strlen(want)) != 0)
			fail_msg("case %zu: want FILE%s, got %s %s", i, want, err_text(got),
				 e.text);
	}
}

static void test_values(void **state)
{
	static const struct test_case cases[] = {
	    {DATABASE, "database { conninfo = \"\" }\n", 1, "conninfo: expected a value"},
	    {DATABASE, "database { }\n", 1, "conninfo: expected a value"},
	    {DATABASE, "database { conninfo = \"host=a password=x\" }\n", 1,
	     "conninfo: expected no"},
	    {DATABASE, "database { conninfo = \"host=a password = x\" }\n", 1,
	     "conninfo: expected no"},
	    {DATABASE, "database { conninfo = \"postgresql://u:x@h/d\" }\n", 1,
	     "conninfo: expected no"},
	    {DATABASE, "database { conninfo = \"postgresql://u@h:5432/d\" }\n", 0, NULL},
	    {DATABASE, "database { conninfo = \"dbname=x\"\n\nconnections = 010 }\n", 3,
	     "connections: expected a number without a leading zero from 1 to 64"},
	    {DATABASE, "database { conninfo = \"dbname=x\"\nconnections = 65 }\n", 2,
	     "connections: expected a number"},
	    {DATABASE, "database { conninfo = \"dbname=x\"\nquery_timeout = 500 }\n", 2,
	     "query_timeout: expected a duration with its unit"},
	    {WEB, "web { cookie_keys = \"/k\" max_head = 32768 }\n", 1,
	     "max_head: expected a size"},
	    {WEB, "web { cookie_keys = \"/k\" max_head = \"2MiB\" }\n", 1,
	     "max_head: expected a size with its unit (512B, 32KiB, 1MiB) from 1KiB to 1MiB"},
	    {WEB, "web { cookie_keys = \"hunter2\" }\n", 1,
	     "cookie_keys: expected credential:NAME or an absolute path"},
	    {WEB, "web { cookie_keys = \"/k\" session_cache = 1 }\n", 1,
	     "session_cache: expected yes, no"},
	    {WEB, "web { cookie_keys = \"/k\" session_cache = \"\" }\n", 1,
	     "session_cache: expected yes, no"},
	    {BROKER, "broker { key_ring = \"/k\" socket = \"broker.sock\" }\n", 1,
	     "socket: expected an absolute path"},
	    {BROKER, "broker { key_ring = \"/k\" peer_user = \"\" }\n", 1, "peer_user: expected"},
	    {BROKER, "broker { key_ring = \"/k\" secret_files = lax }\n", 1,
	     "secret_files: expected one of strict, container"},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
}

static void test_listens(void **state)
{
#define LISTEN(text) CONFIG_TEXT_WEB "listen \"l\" { " text " }\n"
	static const struct test_case cases[] = {
	    {WEB, LISTEN("kind = public address = \"127.0.0.1:80\" trusted_peers = {\"::1\"}"), 0,
	     NULL},
	    {WEB, LISTEN("kind = metrics address = \"127.0.0.1:80\""), 0, NULL},
	    {WEB, LISTEN("kind = public address = \"127.0.0.1:80\""), 2, "trusted_peers: expected"},
	    {WEB, LISTEN("kind = verify address = \"127.0.0.1:80\" edge = caddy"), 2,
	     "trusted_peers: expected"},
	    {WEB, LISTEN("kind = verify address = \"127.0.0.1:80\" trusted_peers = {\"::1\"}"), 2,
	     "edge: expected"},
	    {WEB, LISTEN("kind = metrics address = \"127.0.0.1:80\" edge = caddy"), 2,
	     "edge: expected none"},
	    {WEB,
	     LISTEN(
		 "kind = verify edge = envoy address = \"127.0.0.1:80\" trusted_peers = {\"::1\"}"),
	     2, "edge: expected traefik, caddy or nginx"},
	    {WEB,
	     LISTEN(
		 "kind = verify edge = haproxy address = \"[::1]:80\" trusted_peers = {\"::1\"}"),
	     2, "edge: expected traefik, caddy or nginx"},
	    {WEB, LISTEN("kind = public address = \"localhost:80\" trusted_peers = {\"::1\"}"), 2,
	     "address: expected address and port"},
	    {WEB,
	     LISTEN(
		 "kind = public address = \"[::1]:80\" trusted_peers = {\"::1\",\n\"10.0.0.1/8\"}"),
	     3, "trusted_peers: expected a network"},
	    {WEB, LISTEN("address = \"[::1]:80\""), 2, "kind: expected a value"},
	    {WEB,
	     LISTEN(
		 "kind = metrics address = \"[::1]:80\" }\nlisten \"m\" { kind = metrics address = "
		 "\"[::1]:80\""),
	     3, "address: expected an address of its own"},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
}

static void test_providers(void **state)
{
#define IDP(text) "provider \"p\" { client_id = c keep_claims = {name} " text " }\n"
#define SECRET " client_secret_file = \"/s\" "
	static const struct test_case cases[] = {
	    {PROVIDER, IDP(SECRET "issuer = \"https://idp.example/x/v2.0\""), 0, NULL},
	    {PROVIDER, IDP(SECRET "issuer = \"http://idp.example\""), 1, "issuer: expected https"},
	    {PROVIDER, IDP(SECRET "issuer = \"http://localhost:3000\""), 1,
	     "issuer: expected https"},
	    {PROVIDER, IDP(SECRET "issuer = \"http://localhost:3000\" insecure_loopback = yes"), 0,
	     NULL},
	    {PROVIDER, IDP(SECRET "issuer = \"http://idp.example\" insecure_loopback = yes"), 1,
	     "issuer: expected https"},
	    {PROVIDER, IDP(SECRET "issuer = \"https://idp.example?a\""), 1, "issuer: expected"},
	    {PROVIDER, IDP(SECRET "issuer = \"https://idp.example/#a\""), 1, "issuer: expected"},
	    {PROVIDER, IDP("issuer = \"https://idp.example\""), 1,
	     "client_secret_file: expected a"},
	    {PROVIDER, IDP("issuer = \"https://i.example\" client_auth = private_key_jwt"), 1,
	     "client_key_file: expected a file"},
	    {PROVIDER, IDP(SECRET "issuer = \"https://i.example\" client_key_file = \"/k\""), 1,
	     "client_key_file: expected with"},
	    {PROVIDER,
	     IDP(SECRET
		 "issuer = \"https://i.example\" client_auth = tls client_key_file = \"/k\""),
	     1, "client_secret_file: expected with"},
	    {PROVIDER, IDP("issuer = \"https://i.example\" client_secret_file = hunter2"), 1,
	     "client_secret_file: expected credential:NAME"},
	    {PROVIDER, IDP(SECRET "issuer = \"https://i.example\" scopes = {profile}"), 1,
	     "scopes: expected openid"},
	    {PROVIDER, IDP(SECRET "issuer = \"https://i.example\" scopes = {}"), 1,
	     "scopes: expected openid"},
	    {PROVIDER, IDP(SECRET "issuer = \"https://i.example\" scopes = {openid, \"a b\"}"), 1,
	     "scopes: expected openid"},
	    {PROVIDER, IDP(SECRET "issuer = \"https://i.example\" claims_from = {}"), 1,
	     "claims_from: expected"},
	    {PROVIDER, IDP(SECRET "issuer = \"https://i.example\" signing_alg = none"), 1,
	     "signing_alg: expected one of RS256, PS256, ES256, EdDSA"},
	    {PROVIDER, "provider p { }\n", 1, "issuer: expected a value"},
	    {PROVIDER, "provider \"a b\" { }\n", 1, "provider: expected a title"},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
}

static void test_apps(void **state)
{
#define A1 "app \"a\" { provider = p "
#define ORIGINS "origins = {\"https://a.example.com\", \"https://b.example.com\"} "
#define LOGIN "login_origin = \"https://login.example.com\" "
#define B1 "app \"b\" { provider = p "
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
	    {APP, A1 ORIGINS "auth_path = \"/auth/\" }\n", 1, "auth_path: expected"},
	    {APP, A1 ORIGINS "auth_path = \"/\" }\n", 1, "auth_path: expected"},
	    {APP, A1 ORIGINS "auth_path = \"auth\" }\n", 1, "auth_path: expected"},
	    {APP, A1 ORIGINS "auth_path = \"/a//b\" }\n", 1, "auth_path: expected"},
	    {APP, A1 ORIGINS "cookie_name = \"a b\" }\n", 1, "cookie_name: expected a token"},
	    {APP, A1 ORIGINS "cookie_name = bff_csrf }\n", 1, "cookie_name: expected a name"},
	    {APP, A1 ORIGINS "cookie_name = \"__Host-s\" }\n", 0, NULL},
	    {APP, A1 ORIGINS LOGIN "cookie_domain = \"example.com\" cookie_name = \"__host-s\" }\n",
	     1, "cookie_name: expected no prefix"},
	    {APP,
	     A1 "origins = {\"http://a.localhost\"} insecure_loopback = yes cookie_name = "
		"\"__Host-s\" }\n",
	     1, "cookie_name: expected no prefix"},
	    {APP, A1 ORIGINS "idle_timeout = \"13h\" }\n", 1, "idle_timeout: expected at most"},
	    {APP, A1 ORIGINS "idle_timeout = 7200 }\n", 1, "idle_timeout: expected a duration"},
	    {APP, A1 ORIGINS "revalidate = \"12h\" }\n", 1, "revalidate: expected less"},
	    {APP, A1 ORIGINS "page_claims = {name, email} }\n", 1, "page_claims: expected claims"},
	    {APP, A1 ORIGINS "after_logout = {\"/bye\"} }\n", 1, "after_logout: expected absolute"},
	    {APP, A1 ORIGINS "after_logout = {\"http://www.example.com/\"} }\n", 1,
	     "after_logout: expected https"},
	    {APP, A1 ORIGINS "return_to = {\"http://www.example.com\"} }\n", 1,
	     "return_to: expected https"},
	    {APP, A1 ORIGINS "pages = \"pages\" }\n", 1, "pages: expected an absolute path"},
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

static void test_headers(void **state)
{
#define SET(text) "identity \"default\" {\n" text "}\n"
	static const struct test_case cases[] = {
	    {IDENTITY,
	     SET("header \"X-A\" { claim = name }\n}\nidentity \"i\" {\nheader \"X-A\" { claim = "
		 "groups }\n"),
	     0, NULL},
	    {IDENTITY, SET("header \"X-A\" { claim = name }\nheader \"x_a\" { claim = name }\n"), 3,
	     "claim: expected one spelling"},
	    {IDENTITY,
	     SET("header \"X-A\" { claim = name }\n}\nidentity \"i\" {\nheader \"X.A\" { claim = "
		 "name }\n"),
	     5, "claim: expected one spelling"},
	    {IDENTITY, SET("header \"X-A\" { claim = name }\nheader \"X-A\" { claim = name }\n"), 3,
	     "header: found duplicate title"},
	    {IDENTITY, SET("header \"X A\" { claim = name }\n"), 2, "header: expected a title"},
	    {IDENTITY, SET("header \"Authorization\" { claim = name }\n"), 2,
	     "claim: expected another"},
	    {IDENTITY, SET("header \"x_session.id\" { claim = name }\n"), 2,
	     "claim: expected another"},
	    {IDENTITY, SET("header \"X-Forwarded-User\" { claim = name }\n"), 2,
	     "claim: expected another"},
	    {IDENTITY, SET("header \"Transfer-Encoding\" { claim = name }\n"), 2,
	     "claim: expected another"},
	    {IDENTITY, SET("header \"X-A\" { claim = email }\n"), 2, "claim: expected \"subject\""},
	    {IDENTITY, SET("header \"X-A\" { claim = name separator = \"\" }\n"), 2,
	     "separator: expected"},
	    {IDENTITY, SET("header \"X-A\" { claim = name separator = \"\\r\\n\" }\n"), 2,
	     "separator: expected"},
	    {IDENTITY, SET("header \"X-A\" { claim = name only = {\"a\\n\"} }\n"), 2,
	     "only: expected"},
	    {IDENTITY, SET("header \"X-A\" { claim = name max_bytes = 0 }\n"), 2,
	     "max_bytes: expected a number"},
	    {IDENTITY, SET("header \"X-A\" { }\n"), 2, "claim: expected a value"},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
}

static void test_services(void **state)
{
#define SERVICE_S(text) "service \"s\" { provider = p " text " }\n"
	static const struct test_case cases[] = {
	    {SERVICE, SERVICE_S("grant = session"), 0, NULL},
	    {SERVICE, SERVICE_S("grant = id_token"), 0, NULL},
	    {SERVICE, SERVICE_S("grant = audience audience = x"), 0, NULL},
	    {SERVICE, SERVICE_S("grant = scope scope = {a, b}"), 0, NULL},
	    {SERVICE, SERVICE_S(""), 1, "grant: expected a value"},
	    {SERVICE, SERVICE_S("grant = resource"), 1, "resource: expected a value"},
	    {SERVICE, SERVICE_S("grant = resource resource = \"/x\""), 1,
	     "resource: expected an abs"},
	    {SERVICE, SERVICE_S("grant = resource resource = \"https://x/#y\""), 1,
	     "resource: expected an absolute"},
	    {SERVICE, SERVICE_S("grant = session resource = \"urn:x\""), 1,
	     "resource: expected no"},
	    {SERVICE, SERVICE_S("grant = session prefetch = yes"), 1, "prefetch: expected no"},
	    {SERVICE, SERVICE_S("grant = audience"), 1, "audience: expected a value"},
	    {SERVICE, SERVICE_S("grant = scope"), 1, "scope: expected a value"},
	    {SERVICE, SERVICE_S("grant = scope scope = {\"a b\"}"), 1, "scope: expected scopes"},
	    {SERVICE, SERVICE_S("grant = exchange"), 1, "audience: expected a value, or"},
	    {SERVICE, SERVICE_S("grant = exchange resource = \"urn:x\""), 0, NULL},
	    {SERVICE, SERVICE_S("grant = magic"), 1, "grant: expected one of session, id_token"},
	    {SERVICE, "service \"s\" { provider = q grant = session }\n", 1,
	     "provider: expected the"},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
}

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

static void test_overlaps(void **state)
{
#define TWO(first, second) "route \"r\" { app = a " first " }\nroute \"q\" { app = a " second " }\n"
	static const struct test_case cases[] = {
	    {ROUTE, TWO("path = \"/x\"", "path = \"/x\""), 2,
	     "path: expected host, path and method"},
	    {ROUTE, TWO("path = \"/x\"", "path = \"/x/\""), 0, NULL},
	    {ROUTE, TWO("path = \"/x\"", "path = \"/x\" exact = yes"), 0, NULL},
	    {ROUTE, TWO("path = \"/x\"", "path = \"/x\" methods = {GET}"), 0, NULL},
	    {ROUTE, TWO("path = \"/x\" methods = {GET, PUT}", "path = \"/x\" methods = {POST}"), 0,
	     NULL},
	    {ROUTE, TWO("path = \"/x\" methods = {GET, PUT}", "path = \"/x\" methods = {PUT}"), 2,
	     "path: expected host, path and method"},
	    {ROUTE,
	     TWO("path = \"/x\" hosts = {\"a.example.com\"}",
		 "path = \"/x\" hosts = {\"b.example.com\"}"),
	     0, NULL},
	    {ROUTE, TWO("path = \"/x\" hosts = {\"b.example.com\"}", "path = \"/x\""), 2,
	     "path: expected host, path and method"},
	    {ROUTE, TWO("path = \"/f/\" encoded_slash = allow", "path = \"/f/g\""), 1,
	     "encoded_slash: expected refuse"},
	    {ROUTE, TWO("path = \"/f\"", "path = \"/\" encoded_slash = allow"), 2,
	     "encoded_slash: expected refuse"},
	    {ROUTE, TWO("path = \"/f\" encoded_slash = allow", "path = \"/fg\""), 0, NULL},
	    {ROUTE, TWO("path = \"/f\" encoded_slash = allow", "path = \"/f/g\" methods = {PUT}"),
	     1, "encoded_slash: expected refuse"},
	    {ROUTE,
	     TWO("path = \"/f/\" encoded_slash = allow hosts = {\"a.example.com\"}",
		 "path = \"/f/g\" hosts = {\"b.example.com\"}"),
	     0, NULL},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values),    cmocka_unit_test(test_listens),
	    cmocka_unit_test(test_providers), cmocka_unit_test(test_apps),
	    cmocka_unit_test(test_headers),   cmocka_unit_test(test_services),
	    cmocka_unit_test(test_routes),    cmocka_unit_test(test_overlaps),
	};

	return cmocka_run_group_tests_name("config_check", tests, NULL, NULL);
}

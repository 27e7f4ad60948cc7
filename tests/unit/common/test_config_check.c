#include "tests/unit/common/config_cases.h"

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
	     0, NULL},
	    {WEB,
	     LISTEN(
		 "kind = verify edge = haproxy address = \"[::1]:80\" trusted_peers = {\"::1\"}"),
	     0, NULL},
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
	    {PROVIDER,
	     IDP(SECRET "issuer = \"https://i.example\" client_certificate_file = \"/k\""), 0,
	     NULL},
	    {PROVIDER,
	     IDP("issuer = \"https://i.example\" client_auth = tls client_key_file = \"/k\" "
		 "client_certificate_file = \"/k\""),
	     1, "client_certificate_file: expected with another"},
	    {PROVIDER,
	     IDP("issuer = \"https://i.example\" client_auth = private_key_jwt client_key_file = "
		 "\"/k\" assertion_audience = token_endpoint"),
	     0, NULL},
	    {PROVIDER,
	     IDP("issuer = \"https://i.example\" client_auth = private_key_jwt client_key_file = "
		 "\"/k\" assertion_audience = both"),
	     1, "assertion_audience: expected one of issuer, token_endpoint"},
	    {PROVIDER,
	     IDP(SECRET "issuer = \"https://i.example\" assertion_audience = token_endpoint"), 1,
	     "assertion_audience: expected issuer"},
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
	    {PROVIDER, IDP(SECRET "issuer = \"https://i.example\" grace = \"30s\""), 0, NULL},
	    {PROVIDER, IDP(SECRET "issuer = \"https://i.example\" preset = curity grace = \"30s\""),
	     0, NULL},
	    {PROVIDER, IDP(SECRET "issuer = \"https://i.example\" preset = entra grace = \"30s\""),
	     1, "grace: expected no value, entra has no grace period"},
	    {PROVIDER,
	     IDP(SECRET "issuer = \"https://i.example\" preset = keycloak grace = \"1s\""), 1,
	     "grace: expected no value, keycloak has"},
	    {PROVIDER, IDP(SECRET "issuer = \"https://i.example\" grace = \"25h\""), 1,
	     "grace: expected a duration"},
	    {PROVIDER, IDP(SECRET "issuer = \"https://i.example\" ca_file = \"ca.pem\""), 1,
	     "ca_file: expected an absolute path"},
	    {PROVIDER, IDP(SECRET "issuer = \"https://i.example\" client_auth = none"), 1,
	     "client_auth: expected one of client_secret_basic"},
	    {PROVIDER, "provider p { }\n", 1, "issuer: expected a value"},
	    {PROVIDER, "provider \"a b\" { }\n", 1, "provider: expected a title"},
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

static void test_what_a_product_can_do(void **state)
{
#define OF(preset_, text)                                                                          \
	"provider \"q\" { preset = " preset_ " client_id = c issuer = \"https://i.example\" "      \
	"client_secret_file = \"/s\" }\nservice \"t\" { provider = q " text                        \
	" }\nservice \"s\" { provider = p grant = session }\n"
	static const struct test_case cases[] = {
	    {SERVICE, OF("keycloak", "grant = exchange audience = x"), 0, NULL},
	    {SERVICE, OF("keycloak", "grant = exchange audience = x resource = \"urn:x\""), 2,
	     "resource: expected no value, keycloak knows no resource"},
	    {SERVICE, OF("keycloak", "grant = resource resource = \"urn:x\""), 2,
	     "grant: expected one of session, id_token, scope, exchange, client_credentials: "
	     "keycloak has no other"},
	    {SERVICE, OF("auth0", "grant = audience audience = x"), 0, NULL},
	    {SERVICE, OF("okta", "grant = audience audience = x"), 2, "grant: expected one of"},
	    {SERVICE, OF("entra", "grant = obo scope = {a}"), 0, NULL},
	    {SERVICE, OF("entra", "grant = exchange audience = x"), 2, "grant: expected one of"},
	    {SERVICE, OF("google", "grant = client_credentials"), 2,
	     "grant: expected one of session, id_token, scope: google"},
	    {SERVICE, OF("google", "grant = id_token"), 0, NULL},
	    {SERVICE, OF("zitadel", "grant = client_credentials resource = \"urn:x\""), 2,
	     "resource: expected no value"},
	    {SERVICE, OF("authentik", "grant = scope scope = {a}"), 2, "grant: expected one of"},
	    {SERVICE, OF("oidc-provider", "grant = obo scope = {a}"), 0, NULL},
	    {SERVICE, OF("dex", "grant = scope scope = {openid}"), 0, NULL},
	    {SERVICE, OF("dex", "grant = scope scope = {openid, a}"), 2,
	     "scope: expected scopes of its provider's login alone, dex"},
	    {SERVICE, OF("okta", "grant = scope scope = {a}"), 0, NULL},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_listens),
	    cmocka_unit_test(test_providers),
	    cmocka_unit_test(test_services),
	    cmocka_unit_test(test_what_a_product_can_do),
	};

	return cmocka_run_group_tests_name("config_check", tests, NULL, NULL);
}

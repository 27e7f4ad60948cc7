#include "tests/unit/common/config_cases.h"

#define LISTEN(text) CONFIG_TEXT_WEB "listen \"l\" { kind = public " text " }\n"
#define UNIX "address = \"unix:/run/bff/v.sock\" "
#define TCP "address = \"[::1]:80\" trusted_peers = {\"::1\"} "
#define TLS "tls_certificate = \"/c.pem\" tls_key = \"/k.pem\" "
#define CA "tls_client_ca = \"/ca.pem\" "
#define P100                                                                                       \
	"/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
	"xxx"                                                                                      \
	"xxxxxxxxx"

static void test_unix(void **state)
{
	static const struct test_case cases[] = {
	    {WEB, LISTEN(UNIX "peer_users = {caddy, 33}"), 0, NULL},
	    {WEB, LISTEN(UNIX "peer_users = {caddy} socket_group = caddy"), 0, NULL},
	    {WEB, CONFIG_TEXT_WEB "listen \"l\" { kind = metrics " UNIX "}\n", 0, NULL},
	    {WEB, LISTEN(UNIX), 2, "peer_users: expected the users"},
	    {WEB, LISTEN(UNIX "peer_users = {\"\"}"), 2, "peer_users: expected no empty"},
	    {WEB, LISTEN(UNIX "peer_users = {a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q}"), 2,
	     "peer_users: expected at most 16 users"},
	    {WEB, LISTEN(UNIX "peer_users = {caddy} trusted_peers = {\"0.0.0.0/0\"}"), 2,
	     "trusted_peers: expected with an address of the network"},
	    {WEB, LISTEN(UNIX "peer_users = {caddy} " TLS), 2, "tls_certificate: expected with"},
	    {WEB, LISTEN(UNIX "peer_users = {caddy} tls_key = \"/k\""), 2,
	     "tls_key: expected with"},
	    {WEB, LISTEN(UNIX "peer_users = {caddy} " CA), 2, "tls_client_ca: expected with"},
	    {WEB, LISTEN(UNIX "peer_users = {caddy} tls_client_names = {\"e\"}"), 2,
	     "tls_client_names: expected with"},
	    {WEB, LISTEN("peer_users = {caddy} address = \"unix:\""), 2,
	     "address: expected address and port"},
	    {WEB, LISTEN("peer_users = {caddy} address = \"unix:v.sock\""), 2, "address: "},
	    {WEB, LISTEN("peer_users = {caddy} address = \"unix:/run/\""), 2, "address: "},
	    {WEB, LISTEN("peer_users = {caddy} address = \"unix:/run/a b\""), 2, "address: "},
	    {WEB, LISTEN("peer_users = {caddy} address = \"unix:" P100 "1234567\""), 0, NULL},
	    {WEB, LISTEN("peer_users = {caddy} address = \"unix:" P100 "12345678\""), 2,
	     "address: expected"},
	    {WEB, LISTEN(TCP "peer_users = {caddy}"), 2, "peer_users: expected with"},
	    {WEB, LISTEN(TCP "socket_group = caddy"), 2, "socket_group: expected with"},
	};

	(void)state;
	assert_int_equal(sizeof P100, 100 + 1);
	run(cases, ARRAY_LEN(cases));
}

static void test_tls(void **state)
{
	static const struct test_case cases[] = {
	    {WEB, LISTEN(TCP TLS), 0, NULL},
	    {WEB, LISTEN(TCP TLS CA), 0, NULL},
	    {WEB, LISTEN(TCP TLS CA "tls_client_names = {\"edge\", \"E.example.com\"}"), 0, NULL},
	    {WEB, LISTEN("address = \"[::1]:80\" " TLS CA), 0, NULL}, /* the certificate says who */
	    {WEB, LISTEN("address = \"[::1]:80\" " TLS), 2, "trusted_peers: expected the edge's"},
	    {WEB, LISTEN(TCP "tls_key = \"/k.pem\""), 2, "tls_certificate: expected a file"},
	    {WEB, LISTEN(TCP "tls_certificate = \"/c.pem\""), 2, "tls_key: expected a file"},
	    {WEB, LISTEN(TCP TLS "tls_certificate = \"c.pem\""), 2, "tls_certificate: "},
	    {WEB, LISTEN(TCP "tls_certificate = \"/c.pem\" tls_key = \"-----BEGIN\""), 2,
	     "tls_key: expected credential:NAME"},
	    {WEB, LISTEN(TCP CA), 2, "tls_client_ca: expected with tls_certificate"},
	    {WEB, LISTEN(TCP TLS "tls_client_names = {\"edge\"}"), 2,
	     "tls_client_names: expected with tls_client_ca"},
	    {WEB, LISTEN(TCP TLS CA "tls_client_names = {\"10.0.0.1\"}"), 2,
	     "tls_client_names: expected DNS names"},
	    {WEB, LISTEN(TCP TLS CA "tls_client_names = {\"[::1]\"}"), 2,
	     "tls_client_names: expected DNS names"},
	    {WEB, LISTEN(TCP TLS CA "tls_client_names = {\"*.example.com\"}"), 2,
	     "tls_client_names: expected a host name"},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_unix),
	    cmocka_unit_test(test_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

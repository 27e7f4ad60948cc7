#include "worker/forwarded.h"

#include "tests/unit/worker/fields.h"

#define METHOD "X-Forwarded-Method: GET\n"
#define URI "X-Forwarded-Uri: /a?b\n"
#define HOST "X-Forwarded-Host: portal.example.com\n"
#define PROTO "X-Forwarded-Proto: https\n"
#define FOR "X-Forwarded-For: 192.0.2.7\n"
#define ALL METHOD URI HOST PROTO FOR

static const struct sv all[] = {SV_INIT("X-User-ID"), SV_INIT("X_Team"), SV_INIT("Authorization"),
				SV_INIT("Cookie"), SV_INIT("X-Session-ID")};
static struct injected injected;

static void the_original_request_is_read(void **state)
{
	static const struct {
		struct sv fields;
		const char *method, *target, *origin, *host, *client;
		uint16_t port;
		bool websocket;
	} cases[] = {
	    {SV_INIT(ALL), "GET", "/a?b", "https://portal.example.com", "portal.example.com",
	     "192.0.2.7", 443, false},
	    {SV_INIT("x-forwarded-method: PROPFIND\nX-FORWARDED-URI: /\nx-Forwarded-Host: "
		     "LOCALHOST:8080\nX-Forwarded-Proto: http\nX-Forwarded-For: ::1"),
	     "PROPFIND", "/", "http://localhost:8080", "localhost", "::1", 8080, false},
	    {SV_INIT(METHOD URI PROTO FOR "X-Forwarded-Host: Portal.Example.COM:443"), "GET",
	     "/a?b", "https://portal.example.com", "portal.example.com", "192.0.2.7", 443, false},
	    {SV_INIT(METHOD URI FOR "X-Forwarded-Host: a:80\nX-Forwarded-Proto: ws"), "GET", "/a?b",
	     "http://a", "a", "192.0.2.7", 80, true},
	    {SV_INIT(METHOD URI FOR "X-Forwarded-Host: a:80\nX-Forwarded-Proto: wss"), "GET",
	     "/a?b", "https://a:80", "a", "192.0.2.7", 80, true},
	    {SV_INIT(ALL "Sec-WebSocket-Key: x"), "GET", "/a?b", "https://portal.example.com",
	     "portal.example.com", "192.0.2.7", 443, true},
	    {SV_INIT(ALL "Sec-WebSocket-Version: 13"), "GET", "/a?b", "https://portal.example.com",
	     "portal.example.com", "192.0.2.7", 443, true},
	    {SV_INIT(METHOD URI PROTO FOR "X-Forwarded-Host: [2001:DB8::1]:8443"), "GET", "/a?b",
	     "https://[2001:db8::1]:8443", "[2001:db8::1]", "192.0.2.7", 8443, false},
	    {SV_INIT(METHOD URI PROTO HOST "X-Forwarded-For: evil, 10.0.0.1,  2001:db8::9"), "GET",
	     "/a?b", "https://portal.example.com", "portal.example.com", "2001:db8::9", 443, false},
	    /* not ours to read */
	    {SV_INIT(ALL "Host: bff:7080\nForwarded: for=1.2.3.4;host=evil\nX-Forwarded-Prefix: "
			 "/x\nX-Forwarded-Port: 99\nX-Real-Ip: 6.6.6.6\nX-Forwarded-Server: y"),
	     "GET", "/a?b", "https://portal.example.com", "portal.example.com", "192.0.2.7", 443,
	     false},
	    {SV_INIT(ALL
		     "X-User-ID: mallory\nCookie: a=b\nCookie: c=d\nAccept: a\nAccept: b\n"
		     "Connection: keep-alive, Upgrade, HTTP2-Settings, X-Other,,\nReferer: /a,b\n"
		     "Authorization: Digest username=\"a\", realm=\"b\""),
	     "GET", "/a?b", "https://portal.example.com", "portal.example.com", "192.0.2.7", 443,
	     false},
	    {SV_INIT(ALL "X-Original-URI: /a?b\nX-Original-URL: "
			 "https://portal.example.com/a?b\nX-Original-Method: GET\nX-Rewrite-URL: "
			 "/a?b\nX-Original-Host: portal.example.com"),
	     "GET", "/a?b", "https://portal.example.com", "portal.example.com", "192.0.2.7", 443,
	     false},
	};
	static const enum config_edge edges[] = {EDGE_TRAEFIK, EDGE_CADDY, EDGE_NGINX,
						 EDGE_HAPROXY};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases) * ARRAY_LEN(edges); i++) {
		size_t k = i / ARRAY_LEN(edges);
		const char *reason = NULL;
		struct fields_text t;
		struct forwarded got;

		if (forwarded_verify(edges[i % ARRAY_LEN(edges)], SV("HEAD"), SV("/auth/verify?x"),
				     fields_of(&t, cases[k].fields), &injected, &got,
				     &reason) != ERR_OK)
			fail_msg("case %zu: %s", k, reason);
		assert_sv_equal(got.method, sv_str(cases[k].method));
		assert_sv_equal(got.url.target, sv_str(cases[k].target));
		assert_sv_equal(got.origin, sv_str(cases[k].origin));
		assert_sv_equal(got.host, sv_str(cases[k].host));
		assert_sv_equal(got.client, sv_str(cases[k].client));
		assert_int_equal(got.port, cases[k].port);
		assert_int_equal(got.websocket, cases[k].websocket);
	}
}

static void what_is_missing_doubled_or_odd_is_refused(void **state)
{
	static const struct {
		struct sv fields;
		enum err want;
		const char *reason;
	} cases[] = {
	    {SV_INIT(""), ERR_SYNTAX, "header_missing"},
	    {SV_INIT(URI HOST PROTO FOR), ERR_SYNTAX, "header_missing"},
	    {SV_INIT(METHOD HOST PROTO FOR), ERR_SYNTAX, "header_missing"},
	    {SV_INIT(METHOD URI PROTO FOR "Host: portal.example.com"), ERR_SYNTAX,
	     "header_missing"},
	    {SV_INIT(METHOD URI HOST FOR), ERR_SYNTAX, "header_missing"},
	    {SV_INIT(METHOD URI HOST PROTO "X-Real-Ip: 192.0.2.7"), ERR_SYNTAX, "header_missing"},
	    {SV_INIT(METHOD HOST PROTO FOR "X-Original-URI: /a?b"), ERR_SYNTAX, "header_missing"},
	    /* twice, even when the same */
	    {SV_INIT(ALL METHOD), ERR_SYNTAX, "header_twice"},
	    /* joined */
	    {SV_INIT(ALL "Authorization: Bearer a, Bearer b"), ERR_SYNTAX, "header_joined"},
	    {SV_INIT(METHOD URI PROTO FOR "X-Forwarded-Host: portal.example.com, evil"), ERR_SYNTAX,
	     "header_joined"},
	    /* what a hop is asked to take away */
	    {SV_INIT(ALL "Connection: close, x-forwarded-host"), ERR_SYNTAX, "header_connection"},
	    /* aliases of what is relied on */
	    {SV_INIT(ALL "X_Forwarded_Uri: /public"), ERR_SYNTAX, "header_alias"},
	    {SV_INIT(METHOD HOST PROTO FOR "X_Forwarded_Uri: /a"), ERR_SYNTAX, "header_alias"},
	    /* aliases of what is injected */
	    /* methods */
	    {SV_INIT(URI HOST PROTO FOR "X-Forwarded-Method: CONNECT"), ERR_DENIED,
	     "method_refused"},
	    {SV_INIT(URI HOST PROTO FOR "X-Forwarded-Method: TRACE"), ERR_DENIED, "method_refused"},
	    {SV_INIT(URI HOST PROTO FOR "X-Forwarded-Method: trace"), ERR_DENIED, "method_refused"},
	    {SV_INIT(URI HOST PROTO FOR "X-Forwarded-Method:"), ERR_SYNTAX, "method_syntax"},
	    {SV_INIT(URI HOST PROTO FOR "X-Forwarded-Method: GET, POST"), ERR_SYNTAX,
	     "header_joined"},
	    {SV_INIT(URI HOST PROTO FOR "X-Forwarded-Method: GET,POST"), ERR_SYNTAX,
	     "header_joined"},
	    {SV_INIT(URI HOST PROTO FOR "X-Forwarded-Method: G\xc3\x84T"), ERR_SYNTAX,
	     "method_syntax"},
	    {SV_INIT(URI HOST PROTO FOR "X-Forwarded-Method: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
	     ERR_SYNTAX, "method_syntax"},
	    /* schemes */
	    {SV_INIT(METHOD URI HOST FOR "X-Forwarded-Proto:"), ERR_SYNTAX, "proto_syntax"},
	    {SV_INIT(METHOD URI HOST FOR "X-Forwarded-Proto: https,http"), ERR_SYNTAX,
	     "header_joined"},
	    {SV_INIT(METHOD URI HOST FOR "X-Forwarded-Proto: ftp"), ERR_SYNTAX, "proto_syntax"},
	    /* targets */
	    {SV_INIT(METHOD HOST PROTO FOR "X-Forwarded-Uri:"), ERR_SYNTAX, "uri_form"},
	    {SV_INIT(METHOD HOST PROTO FOR "X-Forwarded-Uri: http://evil/"), ERR_SYNTAX,
	     "uri_form"},
	    {SV_INIT(METHOD HOST PROTO FOR "X-Forwarded-Uri: /a, /b"), ERR_SYNTAX, "uri_byte"},
	    {SV_INIT(METHOD HOST PROTO FOR "X-Forwarded-Uri: /a/../b"), ERR_SYNTAX, "uri_dots"},
	    {SV_INIT(METHOD HOST PROTO FOR "X-Forwarded-Uri: /a#b"), ERR_SYNTAX, "uri_fragment"},
	    {SV_INIT(METHOD HOST PROTO FOR "X-Forwarded-Uri: /%zz"), ERR_SYNTAX, "uri_escape"},
	    /* addresses */
	    {SV_INIT(METHOD URI HOST PROTO "X-Forwarded-For:"), ERR_SYNTAX, "for_syntax"},
	    {SV_INIT(METHOD URI HOST PROTO "X-Forwarded-For: 10.0.0.1,"), ERR_SYNTAX, "for_syntax"},
	    {SV_INIT(METHOD URI HOST PROTO "X-Forwarded-For: 10.0.0.1:80"), ERR_SYNTAX,
	     "for_syntax"},
	    {SV_INIT(METHOD URI HOST PROTO "X-Forwarded-For: [::1]"), ERR_SYNTAX, "for_syntax"},
	    {SV_INIT(METHOD URI HOST PROTO "X-Forwarded-For: fe80::1%eth0"), ERR_SYNTAX,
	     "for_syntax"},
	    {SV_INIT(METHOD URI HOST PROTO "X-Forwarded-For: unix:"), ERR_SYNTAX, "for_syntax"},
	    {SV_INIT(METHOD URI HOST PROTO "X-Forwarded-For: 010.0.0.1"), ERR_SYNTAX, "for_syntax"},
	    {SV_INIT(METHOD URI HOST PROTO "X-Forwarded-For: localhost"), ERR_SYNTAX, "for_syntax"},
	    /* families */
	    {SV_INIT(ALL "X-Original-URI: /public"), ERR_SYNTAX, "families_disagree"},
	    {SV_INIT(ALL "X-Original-URI: /a?b\nX-Original-URI: /public"), ERR_SYNTAX,
	     "families_disagree"},
	    {SV_INIT(ALL "X-Original-URL: https://evil.example/a?b"), ERR_SYNTAX,
	     "families_disagree"},
	    {SV_INIT(ALL "X-Original-Method: POST"), ERR_SYNTAX, "families_disagree"},
	    {SV_INIT(ALL "X-Original-Host: evil.example"), ERR_SYNTAX, "families_disagree"},
	    {SV_INIT(ALL "X-Rewrite-URL: /admin"), ERR_SYNTAX, "families_disagree"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *reason = "none";
		struct fields_text t;
		struct forwarded f;
		enum err got =
		    forwarded_verify(EDGE_TRAEFIK, SV("GET"), SV("/auth/verify"),
				     fields_of(&t, cases[i].fields), &injected, &f, &reason);

		if (got != cases[i].want || strcmp(reason, cases[i].reason) != 0)
			print_message("case %zu: %s\n", i, reason);
		assert_int_equal(got, cases[i].want);
		assert_string_equal(reason, cases[i].reason);
	}
}

static void hosts_have_one_spelling(void **state)
{
	static const struct {
		const char *text, *want_origin; /* NULL: refused */
	} cases[] = {
	    {"a", "https://a"},
	    {"A.B-c_d.example", "https://a.b-c_d.example"},
	    {"a:443", "https://a"},
	    {"a:80", "https://a:80"},
	    {"a:65535", "https://a:65535"},
	    {"127.0.0.1:8080", "https://127.0.0.1:8080"},
	    {"[::1]", "https://[::1]"},
	    {"[::FFFF:1.2.3.4]:443", "https://[::ffff:1.2.3.4]"},
	    {"", NULL},
	    {".", NULL},
	    {"a.", NULL},
	    {".a", NULL},
	    {"a..b", NULL},
	    {"a:", NULL},
	    {":443", NULL},
	    {"a:0", NULL},
	    {"a:00443", NULL},
	    {"a:0443", NULL},
	    {"a:65536", NULL},
	    {"a:+443", NULL},
	    {"a:443 ", NULL},
	    {"a:443:443", NULL},
	    {"a:443x", NULL},
	    {"a b", NULL},
	    {"a,b", NULL},
	    {"a/b", NULL},
	    {"a?b", NULL},
	    {"a#b", NULL},
	    {"a\\b", NULL},
	    {"u@a", NULL},
	    {"u:p@a", NULL},
	    {"a%2eb", NULL},
	    {"b\xc3\xbc"
	     "cher.example",
	     NULL},
	    {"::1", NULL},
	    {"[::1", NULL},
	    {"::1]", NULL},
	    {"[]", NULL},
	    {"[::1]x", NULL},
	    {"[::1]443", NULL},
	    {"[::1%lo]", NULL},
	    {"[127.0.0.1]", NULL},
	    {"[v1.a]", NULL},
	    {"a\x01", NULL},
	};
	static char label[65], name[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct forwarded f = {.https = true};
		enum err got = forwarded_host(sv_str(cases[i].text), &f);

		if ((got == ERR_OK) != (cases[i].want_origin != NULL))
			print_message("case %zu\n", i);
		assert_int_equal(got, cases[i].want_origin == NULL ? ERR_SYNTAX : ERR_OK);
		if (got == ERR_OK)
			assert_sv_equal(f.origin, sv_str(cases[i].want_origin));
	}
	memset(label, 'a', sizeof label);
	for (size_t i = 0; i < sizeof name; i++)
		name[i] = i % 2 == 0 ? 'a' : '.';
	for (size_t n = 1; n <= sizeof label; n++) {
		struct forwarded f = {.https = false};

		assert_int_equal(forwarded_host(sv_of(label, n), &f),
				 n <= 63 ? ERR_OK : ERR_SYNTAX);
	}
	for (size_t n = FORWARDED_HOST_MAX; n < sizeof name; n += 2) {
		struct forwarded f = {.https = true};

		assert_int_equal(forwarded_host(sv_of(name, n), &f),
				 n <= FORWARDED_HOST_MAX ? ERR_OK : ERR_SYNTAX);
	}
}

static void the_longest_host_fits(void **state)
{
	char name[FORWARDED_HOST_MAX + 6];
	struct forwarded f = {.https = true};

	(void)state;
	for (size_t i = 0; i < FORWARDED_HOST_MAX; i++)
		name[i] = i % 2 == 0 ? 'a' : '.';
	memcpy(name + FORWARDED_HOST_MAX, ":65535", 6);
	assert_int_equal(forwarded_host(sv_of(name, sizeof name), &f), ERR_OK);
	assert_int_equal(f.origin.n, 8 + sizeof name);
}

static void envoys_request_is_the_browsers(void **state)
{
	static const struct {
		const char *method, *target;
		struct sv fields;
		const char *want_target, *want; /* NULL: refused, then `want` is the reason */
	} cases[] = {
#define ENVOY "Host: portal.example.com\n" PROTO "X-Real-IP: 192.0.2.7\n"
	    {"GET", "/auth/verify/a?b", SV_INIT(ENVOY), "/a?b", "192.0.2.7"},
	    {"POST", "/auth/verify/", SV_INIT(ENVOY), "/", "192.0.2.7"},
	    {"GET", "/auth/verify/auth/verify", SV_INIT(ENVOY), "/auth/verify", "192.0.2.7"},
	    /* Envoy's own address */
	    {"GET", "/auth/verify/a", SV_INIT(ENVOY "X-Forwarded-For: 192.0.2.7,10.0.0.1"), "/a",
	     "192.0.2.7"},
	    {"GET", "/auth/verify/a", SV_INIT(ENVOY METHOD "X-Forwarded-Uri: /a\n" HOST), "/a",
	     "192.0.2.7"},
	    {"GET", "/auth/verify/a", SV_INIT(ENVOY "X-Forwarded-Uri: /b"), NULL,
	     "families_disagree"},
	    {"GET", "/auth/verify/a", SV_INIT(ENVOY "X-Forwarded-Method: POST"), NULL,
	     "families_disagree"},
	    {"GET", "/auth/verify/a", SV_INIT(ENVOY "X-Forwarded-Host: evil"), NULL,
	     "families_disagree"},
	    {"GET", "/auth/verify/a", SV_INIT(ENVOY "X-Original-URI: /b"), NULL,
	     "families_disagree"},
	    {"GET", "/auth/verify/a", SV_INIT(ENVOY "X_User_ID: admin"), NULL, "header_alias"},
	    {"GET", "/auth/verify/a", SV_INIT(PROTO "X-Real-IP: 192.0.2.7"), NULL,
	     "header_missing"},
	    {"GET", "/auth/verify/a", SV_INIT("Host: a\nX-Real-IP: 192.0.2.7"), NULL,
	     "header_missing"},
	    {"GET", "/auth/verify/a", SV_INIT("Host: a\n" PROTO FOR), NULL, "header_missing"},
	    {"GET", "/auth/verify/a", SV_INIT(ENVOY "X-Real-IP: 192.0.2.7"), NULL, "header_twice"},
	    {"GET", "/auth/verify/a", SV_INIT("Host: a\n" PROTO "X-Real-IP: 1.2.3.4, 5.6.7.8"),
	     NULL, "for_syntax"},
	    {"GET", "/auth/verify", SV_INIT(ENVOY), NULL, "uri_form"},
	    {"OPTIONS", "/auth/verify*", SV_INIT(ENVOY), NULL, "uri_form"},
	    {"GET", "/auth/verify/a/../b", SV_INIT(ENVOY), NULL, "uri_dots"},
	    {"TRACE", "/auth/verify/a", SV_INIT(ENVOY), NULL, "method_refused"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *reason = NULL;
		struct fields_text t;
		struct forwarded f;
		enum err got =
		    forwarded_verify(EDGE_ENVOY, sv_str(cases[i].method), sv_str(cases[i].target),
				     fields_of(&t, cases[i].fields), &injected, &f, &reason);

		if ((got == ERR_OK) != (cases[i].want_target != NULL))
			print_message("case %zu: %s\n", i, reason);
		assert_int_equal(got == ERR_OK, cases[i].want_target != NULL);
		if (got != ERR_OK) {
			assert_string_equal(reason, cases[i].want);
			continue;
		}
		assert_sv_equal(f.method, sv_str(cases[i].method));
		assert_sv_equal(f.url.target, sv_str(cases[i].want_target));
		assert_sv_equal(f.origin, SV("https://portal.example.com"));
		assert_sv_equal(f.client, sv_str(cases[i].want));
	}
}

static void a_listener_without_a_profile_refuses(void **state)
{
	const char *reason = NULL;
	struct fields_text t;
	struct forwarded f;

	(void)state;
	assert_int_equal(forwarded_verify(EDGE_NONE, SV("GET"), SV("/auth/verify"),
					  fields_of(&t, SV(ALL)), &injected, &f, &reason),
			 ERR_UNSUPPORTED);
	assert_string_equal(reason, "edge_profile");
}

static void the_public_listener_reads_its_own_request(void **state)
{
	static const struct {
		const char *method, *target;
		struct sv fields;
		const char *origin, *client; /* origin == NULL: refused, client is the reason */
	} cases[] = {
	    {"GET", "/auth/login",
	     SV_INIT("Host: portal.example.com\nX-Forwarded-Proto: https\n" FOR),
	     "https://portal.example.com", "192.0.2.7"},
	    {"GET", "/auth/login", SV_INIT("Host: LOCALHOST:8080"), "http://localhost:8080",
	     "198.51.100.1"},
	    {"POST", "/auth/logout",
	     SV_INIT(
		 "Host: a\nX-Forwarded-Proto: https\nX-Forwarded-For: 6.6.6.6, "
		 "192.0.2.8\nX-Forwarded-Uri: /x\nX-Forwarded-Method: GET\nX-Forwarded-Host: evil"),
	     "https://a", "192.0.2.8"},
	    {"GET", "/auth/login?&&=&", SV_INIT("Host: a"), "http://a", "198.51.100.1"},
	    {"GET", "/", SV_INIT(""), NULL, "header_missing"},
	    {"GET", "/", SV_INIT("Host: a\nHost: a"), NULL, "header_twice"},
	    {"GET", "/", SV_INIT("Host: a\nX-Forwarded-Proto: http\nX-Forwarded-Proto: https"),
	     NULL, "header_twice"},
	    {"GET", "/", SV_INIT("Host: a\nX_Forwarded_Proto: https"), NULL, "header_alias"},
	    {"GET", "/", SV_INIT("Host: u@a"), NULL, "host_userinfo"},
	    {"GET", "/", SV_INIT("Host: a."), NULL, "host_dot"},
	    {"GET", "/", SV_INIT("Host: a.:80"), NULL, "host_dot"},
	    {"GET", "/", SV_INIT("Host: b\xc3\xbc.example"), NULL, "host_idn"},
	    {"GET", "/", SV_INIT("Host: a%2eb"), NULL, "host_idn"},
	    {"GET", "/", SV_INIT("Host: a:080"), NULL, "host_port"},
	    {"GET", "/", SV_INIT("Host: a b"), NULL, "host_syntax"},
	    {"GET", "/", SV_INIT("Host: .a"), NULL, "host_syntax"},
	    {"GET", "/", SV_INIT("Host: xn--bcher-kva.example"), "http://xn--bcher-kva.example",
	     "198.51.100.1"},
	    {"GET", "/", SV_INIT("Host: a\nConnection: cookie"), NULL, "header_connection"},
	    {"GET", "/", SV_INIT("Host:"), NULL, "host_syntax"},
	    {"GET", "/", SV_INIT("Host: a\nX-Forwarded-For: x"), NULL, "for_syntax"},
	    {"GET", "http://a/", SV_INIT("Host: a"), NULL, "uri_form"},
	    {"GET", "/auth/../x", SV_INIT("Host: a"), NULL, "uri_dots"},
	    {"TRACE", "/", SV_INIT("Host: a"), NULL, "method_refused"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *reason = NULL;
		struct fields_text t;
		struct forwarded f;
		enum err got = forwarded_public(sv_str(cases[i].method), sv_str(cases[i].target),
						fields_of(&t, cases[i].fields), SV("198.51.100.1"),
						&f, &reason);

		assert_int_equal(got == ERR_OK, cases[i].origin != NULL);
		if (got != ERR_OK) {
			assert_string_equal(reason, cases[i].client);
			continue;
		}
		assert_sv_equal(f.origin, sv_str(cases[i].origin));
		assert_sv_equal(f.client, sv_str(cases[i].client));
		assert_sv_equal(f.method, sv_str(cases[i].method));
		assert_sv_equal(f.url.target, sv_str(cases[i].target));
	}
}

static int set_up(void **state)
{
	(void)state;
	injected = injected_of(all, ARRAY_LEN(all));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_original_request_is_read),
	    cmocka_unit_test(what_is_missing_doubled_or_odd_is_refused),
	    cmocka_unit_test(hosts_have_one_spelling),
	    cmocka_unit_test(the_longest_host_fits),
	    cmocka_unit_test(envoys_request_is_the_browsers),
	    cmocka_unit_test(a_listener_without_a_profile_refuses),
	    cmocka_unit_test(the_public_listener_reads_its_own_request),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}

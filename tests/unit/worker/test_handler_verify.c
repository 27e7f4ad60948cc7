/* Who is let through, and who is not: by route, session, CSRF and origin. */
#include "tests/unit/worker/verify_stand.h"

static void a_service_is_asked_for_only_with_a_session(void **state)
{
	(void)state;
	verify_live("GET", "/plain/", "");
	assert_answer(200);
	assert_has("\r\nAuthorization: \r\n"); /* always there, and empty */
	stand_verify("GET", A, "/optional/", "Authorization: Basic own\r\n");
	assert_int_equal(stand.pg.queries, 0); /* no cookie, nothing to look up */
	assert_answer(200);
	assert_has("\r\nAuthorization: Basic own\r\n"); /* authorization = pass */
	assert_has("\r\nX-User-ID: \r\n");
	assert_has("\r\nX-Session-ID: \r\n");
	stand_verify("GET", A, "/open/", "Authorization: Basic own\r\n");
	assert_answer(200);
	assert_lacks("Basic own");
	stand_verify("GET", A, "/either/", "");
	assert_answer(200);
	assert_has("\r\nAuthorization: \r\n");
	assert_int_equal(stand.broker.sent, 0);
}

static void own_authorization_never_beside_a_session_and_never_twice(void **state)
{
	(void)state;
	verify_live("GET", "/optional/", "Authorization: Basic own\r\n");
	assert_answer(200);
	assert_has("\r\nX-User-ID: alice\r\n");
	assert_lacks("Basic own");
	stand_verify("GET", A, "/optional/",
		     "Authorization: Basic one\r\nAuthorization: Basic two\r\n");
	assert_answer(400);
	assert_lacks("Basic");
}

/* An outage or a doubled cookie is no "nobody": refused even where a session is optional. */
static void what_cannot_be_judged_is_refused_everywhere(void **state)
{
	static const char *const uris[] = {"/api/x", "/optional/"};
	char two[512], one[256];

	(void)state;
	(void)snprintf(two, sizeof two, "Cookie: %s; %s\r\n", stand_cookie("bff_session", 's'),
		       stand_cookie("bff_session", 't'));
	(void)snprintf(one, sizeof one, "Cookie: %s\r\n", stand_cookie("bff_session", 's'));
	for (size_t i = 0; i < ARRAY_LEN(uris); i++) {
		stand_verify("GET", A, uris[i], two);
		assert_answer(401);
		assert_has("Max-Age=0");
		stand_verify("GET", A, uris[i], one);
		stand_rows(ERR_TIMEOUT, NULL, 0);
		assert_answer(503);
		assert_has("\r\nRetry-After: 2\r\n");
		assert_lacks("Set-Cookie");
		assert_lacks("login_url");
		stand.pg.refuses = ERR_UNAVAILABLE;
		stand_verify("GET", A, uris[i], one);
		assert_answer(503);
		stand.pg.refuses = ERR_OK;
	}
	stand_verify("GET", A, "/open/", two); /* session = none looks at none */
	assert_answer(200);
}

static void dead_sessions_by_route(void **state)
{
	char one[256];

	(void)state;
	(void)snprintf(one, sizeof one, "Cookie: %s\r\n", stand_cookie("bff_session", 's'));
	stand_verify("GET", A, "/api/x", one);
	stand_dead(SV("idle"));
	assert_answer(401);
	assert_has("\"error\":\"unauthenticated\"");
	assert_int_equal(stand.broker.sent, 0);
	stand_verify("GET", A, "/optional/", one);
	stand_dead(SV("idle"));
	assert_answer(200);
	assert_has("\r\nX-User-ID: \r\n");
	stand_verify("GET", A, "/api/x", one);
	stand_live(SV("c"), SV("{}"), false); /* a session of another app */
	assert_answer(401);
	stand_verify(
	    "GET", A, "/api/x",
	    "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nAccept: text/html\r\n");
	assert_answer(302);
	assert_has("\r\nLocation: https://a.example.com/auth/login?return_to="
		   "https%3A%2F%2Fa.example.com%2Fapi%2Fx\r\n");
}

static void csrf_is_asked_of_sessions_alone(void **state)
{
	char token[128];

	(void)state;
	(void)snprintf(token, sizeof token, "X-CSRF-Token: %s\r\n", stand_csrf('s'));
	verify_live("POST", "/plain/", "");
	assert_answer(403);
	assert_has("\"error\":\"csrf\"");
	verify_live("POST", "/plain/", token);
	assert_answer(200);
	(void)snprintf(token, sizeof token, "X-CSRF-Token: %s\r\n", stand_csrf('t'));
	verify_live("POST", "/plain/", token); /* of another session */
	assert_answer(403);
	verify_live("POST", "/plain/", "Origin: https://evil.example\r\n");
	assert_answer(403);
	assert_has("\"error\":\"origin\"");
	verify_live("POST", "/t/", ""); /* csrf = off: on to the token */
	assert_int_equal(stand.broker.sent, 1);
	stand_verify("POST", A, "/optional/", "");
	assert_answer(200);
}

/* A page of anyone's can open a WebSocket: its Origin counts even where csrf = off. */
static void websockets_are_judged_by_origin(void **state)
{
	(void)state;
	verify_live("GET", "/t/", "Sec-WebSocket-Key: x\r\nOrigin: https://evil.example\r\n");
	assert_answer(403);
	assert_has("\"error\":\"origin\"");
	verify_live("GET", "/t/", "Sec-WebSocket-Key: x\r\n");
	assert_answer(403);
	verify_live("GET", "/t/", "Sec-WebSocket-Key: x\r\nOrigin: https://a.example.com\r\n");
	assert_int_equal(stand.broker.sent, 1);
	stand_verify("GET", A, "/plain/", "Sec-WebSocket-Key: x\r\n"); /* no upgrade here */
	assert_answer(403);
	assert_int_equal(stand.pg.queries, 0);
}

#define PREFLIGHT "Origin: https://b.example.com\r\nAccess-Control-Request-Method: PUT\r\n"

static void preflights_pass_only_where_the_route_says_so(void **state)
{
	char both[512];

	(void)state;
	(void)snprintf(both, sizeof both, PREFLIGHT "Cookie: %s\r\n",
		       stand_cookie("bff_session", 's'));
	stand_verify("OPTIONS", A, "/plain/", both); /* nobody looks at the cookie */
	assert_answer(200);
	assert_has("\r\nX-User-ID: \r\n");
	assert_has("\r\nAuthorization: \r\n");
	assert_int_equal(stand.pg.queries, 0);
	stand_verify("OPTIONS", A, "/api/x", PREFLIGHT);
	assert_answer(401);
	stand_verify("OPTIONS", A, "/plain/", ""); /* no preflight: an OPTIONS like any other */
	assert_answer(401);
	stand_verify("OPTIONS", A, "/post/", PREFLIGHT); /* no route for it at all */
	assert_answer(403);
}

/* That there is an answer at all is the browser's rule; who may read it is ours. */
static void a_denial_is_read_by_the_apps_friends_alone(void **state)
{
	static const struct {
		const char *origin;
		bool reads;
	} cases[] = {
	    {"https://a.example.com", true},	 {"https://b.example.com", true},
	    {"https://partner.example", true},	 {"https://evil.example", false},
	    {"https://partner.example.", false}, {"null", false},
	    {"http://partner.example", false},	 {NULL, false},
	};
	char cookie[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char field[128] = "", allows[128];

		if (cases[i].origin != NULL)
			(void)snprintf(field, sizeof field, "Origin: %s\r\n", cases[i].origin);
		(void)snprintf(allows, sizeof allows,
			       "\r\nAccess-Control-Allow-Origin: %s\r\n"
			       "Access-Control-Allow-Credentials: true\r\n",
			       cases[i].origin == NULL ? "" : cases[i].origin);
		stand_verify("GET", A, "/api/x", field);
		assert_answer(401);
		assert_has("\r\nVary: Origin\r\n");
		if (cases[i].reads)
			assert_has(allows);
		else
			assert_lacks("Access-Control-");
	}
	/* Nor is an outage to look like no answer at all. */
	(void)snprintf(cookie, sizeof cookie, COOKIE "Origin: https://partner.example\r\n",
		       stand_cookie("bff_session", 's'));
	stand_verify("GET", A, "/api/x", cookie);
	stand_rows(ERR_UNAVAILABLE, NULL, 0);
	assert_answer(503);
	assert_has("\r\nAccess-Control-Allow-Origin: https://partner.example\r\n");
	stand_verify("GET", A, "/api/x", NAVIGATION "Origin: https://partner.example\r\n");
	assert_answer(302);
	assert_lacks("Access-Control-");
}

static void no_route_no_entry(void **state)
{
	static const struct {
		const char *method, *host, *uri, *more;
		unsigned status;
	} cases[] = {
	    {"GET", "x.example.com", "/api/", "", 403},
	    {"GET", A, "/nowhere", "", 403},
	    {"GET", A, "/api", "", 403},
	    {"GET", A, "/post/", "", 403},
	    {"GET", A, "/api/a%2Fb", "", 403},
	    {"GET", A, "/api/../t/", "", 400},
	    {"TRACE", A, "/api/", "", 403},
	    {"GET", A, "/api/", "X-Forwarded-Uri: /open/\r\n", 400},
	    {"GET", A, "/api/", "X_User_ID: root\r\n", 400},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char want[16];

		stand_verify(cases[i].method, cases[i].host, cases[i].uri, cases[i].more);
		(void)snprintf(want, sizeof want, "HTTP/1.1 %u ", cases[i].status);
		assert_has(want);
		assert_lacks("Location");
		assert_int_equal(stand.pg.queries + stand.broker.sent, 0);
	}
}

static void broken_claims_let_nobody_through(void **state)
{
	char one[256];

	(void)state;
	(void)snprintf(one, sizeof one, "Cookie: %s\r\n", stand_cookie("bff_session", 's'));
	stand_verify("GET", A, "/plain/", one);
	stand_live(SV("a"), SV("[1"), false);
	assert_answer(503);
	assert_lacks("HTTP/1.1 200");
	assert_lacks("X-User-ID");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
	    CASE(a_service_is_asked_for_only_with_a_session),
	    CASE(own_authorization_never_beside_a_session_and_never_twice),
	    CASE(what_cannot_be_judged_is_refused_everywhere),
	    CASE(dead_sessions_by_route),
	    CASE(csrf_is_asked_of_sessions_alone),
	    CASE(websockets_are_judged_by_origin),
	    CASE(preflights_pass_only_where_the_route_says_so),
	    CASE(a_denial_is_read_by_the_apps_friends_alone),
	    CASE(no_route_no_entry),
	    CASE(broken_claims_let_nobody_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

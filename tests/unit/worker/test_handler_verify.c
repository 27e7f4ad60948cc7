/* Rule Zero: over 400 lines, because memory, policy and token change each other's answers, and each
 * case is played on the same stand. */
#include "worker/handlers.h"

#include "tests/unit/worker/stand_in.h"
#include "worker/session.h"

#define A "a.example.com"
#define NAVIGATION "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
#define COOKIE "Cookie: x=1; %s; y=2\r\n"

/* A verify request with the cookie of the session "s", whose row is live, and further fields. */
static void verify_live(const char *method, const char *uri, const char *more)
{
	char fields[1024];

	(void)snprintf(fields, sizeof fields, COOKIE "%s", stand_cookie("bff_session", 's'), more);
	stand_verify(method, A, uri, fields);
	stand_live(SV("a"), SV("{\"name\":\"Alice\"}"), false);
}

static void a_live_session_with_a_token_is_let_through(void **state)
{
	struct ipc_message m = {.number = IPC_TOKEN};

	(void)state;
	verify_live("GET", "/api/x?q=1", "Authorization: Bearer of-the-client\r\n");
	assert_int_equal(stand.broker.sent, 1);
	assert_int_equal(stand.broker.answer, IPC_TOKEN);
	assert_int_equal(stand.broker.timeout_ms, stand.config->web.token_wait_ms);
	assert_int_equal(stand.broker.asked.number, IPC_TOKEN_GET);
	assert_sv_equal(stand.broker.asked.u.token_get.app, SV("a"));
	assert_sv_equal(stand.broker.asked.u.token_get.service, SV("s"));
	assert_sv_equal(stand.broker.asked.u.token_get.session,
			SV("ssssssssssssssssssssssssssssssss"));
	assert_sv_equal(stand.broker.asked.u.token_get.correlation, request_correlation(stand.r));
	assert_int_equal(stand.out.n, 0);
	/* Of what memory lent nothing is held while it waits. */
	assert_null(stand.r->entry);
	assert_false(stand.r->session.live);
	assert_null(stand.r->session.claims.p);
	m.u.token = (struct ipc_token){.access_token = SV("service-token"), .expires_in_ms = 1};
	stand_broker(ERR_OK, &m);
	assert_answer(200);
	assert_has("\r\nAuthorization: Bearer service-token\r\n");
	assert_lacks("of-the-client");
	assert_has("\r\nX-User-ID: alice\r\n");
	assert_has("\r\nX-Session-ID: k3f9ref\r\n");
	assert_has("\r\nX-Auth-Acr: gold\r\n");
	assert_has("\r\nX-Auth-Time: 1699999990\r\n");
	assert_has("\r\nCookie: x=1; y=2\r\n"); /* less ours */
	assert_has("\r\nCache-Control: no-store\r\n");
	assert_has("\r\nContent-Length: 0\r\n");
	assert_lacks("Set-Cookie");
	assert_int_equal(stand.touches, 0);
}

static void time_passes(int64_t ms)
{
	clock_set(clock_boot_ms() + ms, STAND_WALL_S);
}

static void notified(const char *payload)
{
	struct pg_listener l = session_memory_listener(stand.w.memory);

	l.notified(l.arg, sv_str(payload));
}

/* The broker took long, or this process stood still: what the row said is no longer known. */
static void after_a_long_wait_the_session_is_judged_again(void **state)
{
	struct ipc_message m = {.number = IPC_TOKEN};

	(void)state;
	m.u.token = (struct ipc_token){.access_token = SV("service-token"), .expires_in_ms = 1};
	verify_live("GET", "/api/x", "");
	time_passes(PG_LEASE_MS);
	stand_broker(ERR_OK, &m);
	assert_int_equal(stand.out.n, 0);
	stand_live(SV("a"), SV("{}"), false);
	assert_answer(200);
	assert_has("\r\nAuthorization: Bearer service-token\r\n");

	verify_live("GET", "/api/x", "");
	time_passes(PG_LEASE_MS);
	stand_broker(ERR_OK, &m);
	stand_dead(SV("revoked"));
	assert_answer(401);
	assert_lacks("service-token");

	/* Let through without a session, and so without its token. */
	verify_live("GET", "/either/", "");
	time_passes(PG_LEASE_MS);
	stand_broker(ERR_OK, &m);
	stand_dead(SV("revoked"));
	assert_answer(200);
	assert_has("\r\nAuthorization: \r\n");
	assert_has("\r\nX-User-ID: \r\n");
}

/* The same where memory has the session: it is asked as of now, not as of when the request came. */
static void after_a_long_wait_memory_is_asked_as_of_now(void **state)
{
	struct ipc_message m = {.number = IPC_TOKEN};

	(void)state;
	m.u.token = (struct ipc_token){.access_token = SV("service-token"), .expires_in_ms = 60000};
	for (unsigned late = 0; late < 2; late++) {
		stand_lease();
		notified("flush");
		verify_live("GET", "/api/x", "");
		time_passes(PG_LEASE_MS - 1 + late);
		stand_broker(ERR_OK, &m);
		assert_int_equal(stand.pg.queries, 1 + late);
		if (late == 0)
			continue;
		assert_int_equal(stand.out.n, 0);
		stand_dead(SV("revoked"));
		assert_answer(401);
		assert_lacks("service-token");
	}
}

/* A database that takes longer than the bound gives no row to judge by. */
static void a_row_that_took_too_long_is_read_again_a_few_times(void **state)
{
	char fields[1024];

	(void)state;
	(void)snprintf(fields, sizeof fields, COOKIE, stand_cookie("bff_session", 's'));
	stand_verify("GET", A, "/plain/", fields);
	for (unsigned i = 1; i <= SESSION_READS_MAX; i++) {
		assert_int_equal(stand.out.n, 0);
		assert_int_equal(stand.pg.queries, i);
		time_passes(PG_LEASE_MS);
		stand_live(SV("a"), SV("{}"), false);
	}
	assert_answer(503);
	assert_has("\r\nRetry-After: 2\r\n");
	stand_verify("GET", A, "/plain/", fields);
	time_passes(PG_LEASE_MS - 1);
	stand_live(SV("a"), SV("{}"), false);
	assert_answer(200);
}

/* --- from memory --- */

static const char *verify_fields(const char *more)
{
	static char fields[1024];

	(void)snprintf(fields, sizeof fields, COOKIE "%s", stand_cookie("bff_session", 's'), more);
	return fields;
}

static void a_second_request_asks_nobody(void **state)
{
	struct ipc_message m = {.number = IPC_TOKEN};
	struct buf first;

	(void)state;
	stand_lease();
	verify_live("GET", "/api/x", "");
	m.u.token = (struct ipc_token){.access_token = SV("token-of-s"), .expires_in_ms = 60000};
	stand_broker(ERR_OK, &m);
	assert_answer(200);
	assert_int_equal(stand.pg.queries, 1); /* judged again after the wait, from memory */
	buf_init(&first, CONN_OUT_MAX);
	buf_add(&first, buf_sv(&stand.out));
	for (unsigned i = 0; i < 3; i++) {
		stand_verify("GET", A, "/api/x", verify_fields(""));
		assert_int_equal(stand.state, REQUEST_ANSWERED);
		assert_int_equal(stand.pg.queries + stand.broker.sent, 0);
		assert_answer(200);
		assert_has("\r\nAuthorization: Bearer token-of-s\r\n");
		assert_has("\r\nX-User-ID: alice\r\n");
		assert_has("\r\nX-Session-ID: k3f9ref\r\n");
		assert_has("\r\nCookie: x=1; y=2\r\n");
		/* But for the correlation id, byte by byte what the first one got. */
		assert_int_equal(stand.out.n, first.n);
	}
	buf_done(&first);
	stand_verify("GET", A, "/plain/", verify_fields("")); /* another route: no token there */
	assert_answer(200);
	assert_has("\r\nAuthorization: \r\n");
	assert_lacks("token-of-s");
	assert_true(stand.pg.leases_used > 0);
}

static void another_services_token_is_asked_for(void **state)
{
	struct ipc_message m = {.number = IPC_TOKEN};

	(void)state;
	stand_lease();
	verify_live("GET", "/api/x", "");
	m.u.token = (struct ipc_token){.access_token = SV("token-of-s"), .expires_in_ms = 60000};
	stand_broker(ERR_OK, &m);
	stand_verify("GET", A, "/t/", verify_fields(""));
	assert_int_equal(stand.pg.queries, 0);
	assert_int_equal(stand.broker.sent, 1);
	assert_sv_equal(stand.broker.asked.u.token_get.service, SV("t"));
	m.u.token.access_token = SV("token-of-t");
	stand_broker(ERR_OK, &m);
	assert_has("\r\nAuthorization: Bearer token-of-t\r\n");
	stand_verify("GET", A, "/api/x", verify_fields(""));
	assert_has("\r\nAuthorization: Bearer token-of-s\r\n");
}

/* Half of what it has left: then the broker is asked, which has the next one by then. */
static void a_token_is_asked_for_again_while_it_still_serves(void **state)
{
	struct ipc_message m = {.number = IPC_TOKEN};

	(void)state;
	stand_lease();
	verify_live("GET", "/api/x", "");
	time_passes(100); /* on the way */
	m.u.token = (struct ipc_token){.access_token = SV("one"), .expires_in_ms = 1000};
	stand_broker(ERR_OK, &m);
	time_passes(399);
	stand_verify("GET", A, "/api/x", verify_fields(""));
	assert_answer(200);
	assert_has("Bearer one");
	time_passes(1);
	stand_verify("GET", A, "/api/x", verify_fields(""));
	assert_int_equal(stand.broker.sent, 1);
	m.u.token.access_token = SV("two");
	stand_broker(ERR_OK, &m);
	assert_has("Bearer two");
	assert_lacks("Bearer one");
}

static int64_t look_ms; /* how long a look at a token takes */

struct sv __real_session_entry_token(const struct session_entry *e,
				     const struct config_service *service, int64_t now_ms);
struct sv __wrap_session_entry_token(const struct session_entry *e,
				     const struct config_service *service, int64_t now_ms);
struct sv __wrap_session_entry_token(const struct session_entry *e,
				     const struct config_service *service, int64_t now_ms)
{
	struct sv token = __real_session_entry_token(e, service, now_ms);

	time_passes(look_ms);
	return token;
}

/* Its time ends while the request runs: it was good when it was looked for, and that counts. */
static void a_token_is_looked_for_once(void **state)
{
	struct ipc_message m = {.number = IPC_TOKEN};

	(void)state;
	stand_lease();
	verify_live("GET", "/api/x", "");
	m.u.token = (struct ipc_token){.access_token = SV("one"), .expires_in_ms = 1000};
	stand_broker(ERR_OK, &m);
	time_passes(499);
	look_ms = 1;
	stand_verify("GET", A, "/api/x", verify_fields(""));
	look_ms = 0;
	assert_answer(200);
	assert_has("Bearer one");
}

/* Named in a notification, all flushed, another connection, or its time over: read again. */
static void what_may_have_ended_is_read_again(void **state)
{
	char prefix[17];
	unsigned char hash[CRYPT_SHA256_LEN];
	struct pg_listener l = session_memory_listener(stand.w.memory);
	struct ipc_message m = {.number = IPC_TOKEN};

	(void)state;
	assert_int_equal(crypt_sha256(SV("ssssssssssssssssssssssssssssssss"), hash), ERR_OK);
	for (size_t i = 0; i < 8; i++)
		(void)snprintf(prefix + 2 * i, 3, "%02x", hash[i]);
	m.u.token = (struct ipc_token){.access_token = SV("old-token"), .expires_in_ms = 60000};
	for (unsigned how = 0; how < 5; how++) {
		stand_lease();
		verify_live("GET", "/api/x", "");
		stand_broker(ERR_OK, &m);
		assert_answer(200);
		stand_verify("GET", A, "/api/x", verify_fields(""));
		assert_int_equal(stand.state, REQUEST_ANSWERED);
		if (how == 0)
			notified(prefix);
		else if (how == 1)
			notified("flush");
		else if (how == 2)
			l.disturbed(l.arg, 1);
		else if (how == 3)
			time_passes(PG_LEASE_MS);
		else
			session_memory_end(stand.w.memory, hash);
		stand_verify("GET", A, "/api/x", verify_fields(""));
		assert_int_equal(stand.pg.queries, 1);
		stand_dead(SV("revoked"));
		assert_answer(401);
		assert_lacks("old-token");
	}
}

/* The notification comes while the row is on its way: what it says may be of before. */
static void a_row_that_was_overtaken_is_read_again(void **state)
{
	(void)state;
	stand_lease();
	stand_verify("GET", A, "/plain/", verify_fields(""));
	notified("flush");
	stand_live(SV("a"), SV("{}"), false);
	assert_int_equal(stand.out.n, 0);
	assert_int_equal(stand.pg.queries, 2);
	stand_dead(SV("revoked"));
	assert_answer(401);
}

/* Another session's read of the same turn failed: asked again, but not for ever. */
static void a_row_that_was_not_read_is_asked_for_again(void **state)
{
	(void)state;
	stand_verify("GET", A, "/plain/", verify_fields(""));
	stand_rows(ERR_CONFLICT, NULL, 0);
	assert_int_equal(stand.out.n, 0);
	stand_live(SV("a"), SV("{}"), false);
	assert_answer(200);
	stand_verify("GET", A, "/plain/", verify_fields(""));
	for (unsigned i = 0; i < SESSION_READS_MAX; i++) {
		assert_int_equal(stand.pg.queries, i + 1);
		assert_int_equal(stand.out.n, 0);
		stand_rows(ERR_CONFLICT, NULL, 0);
	}
	assert_answer(503);
}

/* Ended while the broker was asked: its token is for nobody, now and later. */
static void a_token_of_an_ended_session_is_not_given(void **state)
{
	struct ipc_message m = {.number = IPC_TOKEN};

	(void)state;
	m.u.token = (struct ipc_token){.access_token = SV("late-token"), .expires_in_ms = 60000};
	for (unsigned filed = 0; filed < 2; filed++) {
		if (filed == 1)
			stand_lease();
		verify_live("GET", "/api/x", "");
		notified("flush");
		stand_broker(ERR_OK, &m);
		assert_int_equal(stand.out.n, 0);
		stand_dead(SV("revoked"));
		assert_answer(401);
		assert_lacks("late-token");
	}
	stand_verify("GET", A, "/api/x", verify_fields(""));
	stand_live(SV("a"), SV("{}"), false);
	assert_int_equal(stand.broker.sent, 1); /* nothing was left behind */
}

static void another_apps_session_is_no_hit(void **state)
{
	char fields[512];

	(void)state;
	stand_lease();
	verify_live("GET", "/plain/", "");
	(void)snprintf(fields, sizeof fields, "Cookie: %s\r\n", stand_cookie("c_session", 's'));
	stand_verify("GET", "c.example.org", "/", fields);
	assert_int_equal(stand.pg.queries, 1);
	stand_live(SV("a"), SV("{}"), false);
	assert_answer(401);
}

static void with_the_cache_off_each_request_reads(void **state)
{
	struct ipc_message m = {.number = IPC_TOKEN};

	(void)state;
	stand_memory(SESSION_MEMORY_OFF);
	stand_lease();
	m.u.token = (struct ipc_token){.access_token = SV("token"), .expires_in_ms = 60000};
	for (unsigned i = 0; i < 3; i++) {
		verify_live("GET", "/api/x", "");
		assert_int_equal(stand.broker.sent, 1);
		stand_broker(ERR_OK, &m);
		assert_int_equal(stand.pg.queries, 2); /* and once more after the wait */
		stand_live(SV("a"), SV("{}"), false);
		assert_answer(200);
		assert_has("Bearer token");
	}
	assert_int_equal(stand.pg.leases_used, 0);
}

/* Once a minute, whether the session is read or remembered. */
static void use_is_noted_of_remembered_sessions(void **state)
{
	(void)state;
	stand_lease();
	stand_verify("GET", A, "/plain/", verify_fields(""));
	stand_live(SV("a"), SV("{}"), true);
	assert_int_equal(stand.touches, 1);
	for (unsigned i = 0; i < 10; i++) {
		stand_lease();
		stand_verify("GET", A, "/plain/", verify_fields(""));
		assert_int_equal(stand.touches + stand.pg.queries, 0);
		time_passes(1000);
	}
	/* Not due when it was read, with 30 s of the minute over; due when that has passed. */
	notified("flush");
	stand_lease();
	verify_live("GET", "/plain/", "");
	for (unsigned i = 0; i < 29; i++) {
		time_passes(1000);
		stand_lease();
		stand_verify("GET", A, "/plain/", verify_fields(""));
		assert_int_equal(stand.touches + stand.pg.queries, 0);
	}
}

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

static void verify_claims(const char *uri, struct sv claims)
{
	char one[256];

	(void)snprintf(one, sizeof one, "Cookie: %s\r\n", stand_cookie("bff_session", 's'));
	stand_verify("GET", A, uri, one);
	stand_live(SV("a"), claims, true);
}

static void a_rule_that_does_not_hold_is_403_and_named_in_the_log_alone(void **state)
{
	(void)state;
	verify_claims("/rule/", SV("{\"name\":\"Alice\"}"));
	assert_answer(200);
	assert_int_equal(stand.r->denied, REASON_NONE);
	assert_int_equal(stand.r->rule.n, 0);
	verify_claims("/rule/", SV("{\"name\":\"Mallory\"}"));
	assert_answer(403);
	assert_has("{\"error\":\"forbidden\"}");
	assert_lacks("only Alice");
	assert_lacks("login");
	assert_int_equal(stand.r->denied, REASON_REQUIRE);
	assert_sv_equal(stand.r->rule, SV("only Alice"));
	verify_claims("/rule/", SV("[1"));
	assert_answer(503);
}

/* What was found out is kept where the row is kept. */
static void with_a_place_for_them_answers_are_kept(void **state)
{
	unsigned char bits[1] = {0};
	struct request_session live = {.live = true, .policy_bits = bits};

	(void)state;
	assert_int_equal(policy_bits_size(stand.w.policy), sizeof bits);
	verify_claims("/rule/", SV("{\"name\":\"Alice\"}"));
	stand.r->session = live;
	stand.r->session.claims = SV("{\"name\":\"Alice\"}");
	assert_int_equal(verify_policy(stand.r), STEP_NEXT);
	stand.r->session.claims = SV("no longer looked at");
	assert_int_equal(verify_policy(stand.r), STEP_NEXT);
}

#define BACK "return_to=https%3A%2F%2Fa.example.com%2F"

static void a_weak_login_is_asked_for_a_stronger_one(void **state)
{
	(void)state;
	verify_live("GET", "/acr/", ""); /* gold is the second that suffices */
	assert_answer(200);
	verify_live("GET", "/better/x?y=1", "");
	assert_answer(401);
	assert_has("\r\nWWW-Authenticate: Bearer error=\"insufficient_user_authentication\", "
		   "acr_values=\"urn:x:2 diamond\", max_age=\"30\"\r\n");
	assert_has("{\"error\":\"insufficient_user_authentication\",\"login_url\":"
		   "\"https://a.example.com/auth/login?" BACK
		   "&acr_values=urn%3Ax%3A2%20diamond&max_age=30\"}");
	assert_lacks("Location");
	assert_int_equal(stand.r->denied, REASON_ACR);
	assert_sv_equal(stand.r->rule, SV("acr"));
	verify_live("GET", "/better/x?y=1", NAVIGATION);
	assert_answer(302);
	assert_has("\r\nLocation: https://a.example.com/auth/login?" BACK "better%2Fx%3Fy%3D1"
		   "&acr_values=urn%3Ax%3A2%20diamond&max_age=30\r\n");
	assert_lacks("WWW-Authenticate");
	verify_live("GET", "/best/", "");
	assert_answer(401);
	assert_has("acr_values=\"diamond\"\r\n");
	assert_lacks("max_age");
	/* Not of a page of somebody else: who asks is looked at first. */
	verify_live("POST", "/better/", "Origin: https://evil.example\r\n");
	assert_answer(403);
	assert_has("\"error\":\"origin\"");
	/* Without a session the plain login is asked for; the stronger one comes after it. */
	stand_verify("GET", A, "/better/", NAVIGATION);
	assert_answer(302);
	assert_lacks("acr_values");
}

static void an_old_login_is_asked_for_a_fresher_one(void **state)
{
	(void)state;
	verify_live("GET", "/age/", ""); /* ten seconds old */
	assert_answer(200);
	clock_set(clock_boot_ms(), STAND_WALL_S - 10 + 3600 + CLOCK_SKEW_S);
	verify_live("GET", "/age/", "");
	assert_answer(200);
	clock_set(clock_boot_ms(), STAND_WALL_S - 10 + 3600 + CLOCK_SKEW_S + 1);
	verify_live("GET", "/age/", "");
	assert_answer(401);
	assert_has(" error=\"insufficient_user_authentication\", max_age=\"3600\"\r\n");
	assert_has("&max_age=3600\"}");
	assert_lacks("acr_values");
	assert_int_equal(stand.r->denied, REASON_MAX_AGE);
}

static void in_the_dialect_of_nginx(void **state)
{
	struct config_listen *verify;

	(void)state;
	for (size_t i = 0; i < stand.config->nlistens; i++) {
		memcpy(&verify, &(const void *){&stand.config->listens[i]}, sizeof verify);
		if (verify->kind == LISTEN_VERIFY)
			verify->edge = EDGE_NGINX;
	}
	verify_live("GET", "/better/", NAVIGATION);
	assert_answer(401);
	assert_has("\r\nLocation: https://a.example.com/auth/login?" BACK "better%2F&acr_values=");
	verify_live("GET", "/better/", "");
	assert_answer(401);
	assert_lacks("Location");
	assert_has("\r\nX-Login-URL: https://a.example.com/auth/login?" BACK "&acr_values=");
}

static void use_is_noted_when_it_is_due_and_the_session_may_pass(void **state)
{
	unsigned char want[CRYPT_SHA256_LEN];
	char one[256];

	(void)state;
	(void)snprintf(one, sizeof one, "Cookie: %s\r\n", stand_cookie("bff_session", 's'));
	stand_verify("GET", A, "/plain/", one);
	stand_live(SV("a"), SV("{}"), true);
	assert_answer(200);
	assert_int_equal(stand.touches, 1);
	assert_int_equal(crypt_sha256(SV("ssssssssssssssssssssssssssssssss"), want), ERR_OK);
	assert_memory_equal(stand.touched, want, sizeof want);
	assert_int_equal(stand.pg.param_n, sizeof want);
	assert_memory_equal(stand.pg.param, want, sizeof want);
	stand_verify("GET", A, "/better/", one);
	stand_live(SV("a"), SV("{}"), true);
	assert_int_equal(stand.touches, 0);
	stand_verify("POST", A, "/plain/", one);
	stand_live(SV("a"), SV("{}"), true);
	assert_int_equal(stand.touches, 0);
}

static void what_the_broker_says_by_table(void **state)
{
	static const struct {
		enum err e;
		enum ipc_error code;
		uint32_t retry;
		const char *status, *has;
	} cases[] = {
	    {ERR_OK, IPC_ERROR_UPSTREAM, 0, "HTTP/1.1 502 ", "upstream_auth_failed"},
	    {ERR_OK, IPC_ERROR_REAUTHENTICATE, 0, "HTTP/1.1 401 ", "login_url"},
	    {ERR_OK, IPC_ERROR_NO_SESSION, 0, "HTTP/1.1 401 ", "login_url"},
	    {ERR_OK, IPC_ERROR_FORBIDDEN, 0, "HTTP/1.1 403 ", "forbidden"},
	    {ERR_OK, IPC_ERROR_PROVIDER_DOWN, 7, "HTTP/1.1 503 ", "Retry-After: 7\r\n"},
	    {ERR_OK, IPC_ERROR_STORE, 0, "HTTP/1.1 503 ", "Retry-After: 2\r\n"},
	    {ERR_TIMEOUT, 0, 0, "HTTP/1.1 503 ", "Retry-After: 2\r\n"},
	    {ERR_UNAVAILABLE, 0, 0, "HTTP/1.1 503 ", "Retry-After: 2\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		verify_live("GET", "/api/x", "");
		if (cases[i].e == ERR_OK)
			stand_failure(cases[i].code, cases[i].retry, SV_NONE);
		else
			stand_broker(cases[i].e, NULL);
		assert_has(cases[i].status);
		assert_has(cases[i].has);
		assert_lacks("detail_word"); /* for the log */
		assert_lacks("Set-Cookie");
		assert_int_equal(stand.done, 1);
	}
	stand.broker.refuses = ERR_UNAVAILABLE; /* at once */
	verify_live("GET", "/api/x", "");
	assert_answer(503);
}

/* A token that would break the header, or an empty one, lets nobody through. */
static void a_bad_token_is_no_token(void **state)
{
	struct ipc_message m = {.number = IPC_TOKEN};

	(void)state;
	verify_live("GET", "/api/x", "");
	m.u.token.access_token = SV("a\r\nX-User-ID: root");
	stand_broker(ERR_OK, &m);
	assert_answer(503);
	assert_lacks("root");
	verify_live("GET", "/api/x", "");
	m.u.token.access_token = SV_NONE;
	stand_broker(ERR_OK, &m);
	assert_lacks("HTTP/1.1 200");
	assert_int_equal(stand.done, 1);
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
	    CASE(a_live_session_with_a_token_is_let_through),
	    CASE(after_a_long_wait_the_session_is_judged_again),
	    CASE(after_a_long_wait_memory_is_asked_as_of_now),
	    CASE(a_row_that_took_too_long_is_read_again_a_few_times),
	    CASE(a_second_request_asks_nobody),
	    CASE(another_services_token_is_asked_for),
	    CASE(a_token_is_asked_for_again_while_it_still_serves),
	    CASE(a_token_is_looked_for_once),
	    CASE(what_may_have_ended_is_read_again),
	    CASE(a_row_that_was_overtaken_is_read_again),
	    CASE(a_row_that_was_not_read_is_asked_for_again),
	    CASE(a_token_of_an_ended_session_is_not_given),
	    CASE(another_apps_session_is_no_hit),
	    CASE(with_the_cache_off_each_request_reads),
	    CASE(use_is_noted_of_remembered_sessions),
	    CASE(a_service_is_asked_for_only_with_a_session),
	    CASE(own_authorization_never_beside_a_session_and_never_twice),
	    CASE(what_cannot_be_judged_is_refused_everywhere),
	    CASE(dead_sessions_by_route),
	    CASE(csrf_is_asked_of_sessions_alone),
	    CASE(websockets_are_judged_by_origin),
	    CASE(preflights_pass_only_where_the_route_says_so),
	    CASE(a_denial_is_read_by_the_apps_friends_alone),
	    CASE(no_route_no_entry),
	    CASE(a_rule_that_does_not_hold_is_403_and_named_in_the_log_alone),
	    CASE(with_a_place_for_them_answers_are_kept),
	    CASE(a_weak_login_is_asked_for_a_stronger_one),
	    CASE(an_old_login_is_asked_for_a_fresher_one),
	    CASE(in_the_dialect_of_nginx),
	    CASE(use_is_noted_when_it_is_due_and_the_session_may_pass),
	    CASE(what_the_broker_says_by_table),
	    CASE(a_bad_token_is_no_token),
	    CASE(broken_claims_let_nobody_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/handlers.h"

#include "tests/unit/worker/stand_in.h"

#define A "a.example.com"

static int open_events(void **state)
{
	stand_open(state);
	assert_int_equal(
	    session_watches_new(stand.w.base, NULL, WORKER_SQL_SESSION_GET, &stand.w.watches),
	    ERR_OK);
	return session_events_new(stand.w.base, stand.w.watches, 10, &stand.w.events) == ERR_OK
		   ? 0
		   : -1;
}

static int close_events(void **state)
{
	stand_next();
	assert_int_equal(session_events_count(stand.w.events), 0);
	session_events_free(&stand.w.events);
	session_watches_free(&stand.w.watches);
	return stand_close(state);
}

static void ask(const char *method, const char *target, const char *more)
{
	char fields[1024];

	(void)snprintf(fields, sizeof fields, "Cookie: %s\r\n%s", stand_cookie("bff_session", 's'),
		       more);
	stand_browse(method, A, target, fields, "");
}

static void a_live_session_has_a_stream(void **state)
{
	static const char *const targets[] = {"/auth/session/events", "/api/auth/session/events"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		ask("GET", targets[i], "");
		stand_live(SV("a"), SV("{}"), true);
		assert_answer(200);
		assert_has("\r\nContent-Type: text/event-stream\r\n");
		assert_has("\r\nCache-Control: no-store\r\n");
		assert_has("\r\nX-Accel-Buffering: no\r\n");
		assert_has("\r\nConnection: close\r\n");
		assert_has("\r\nTransfer-Encoding: chunked\r\n");
		assert_lacks("Content-Length");
		assert_lacks("Set-Cookie");
		assert_lacks("Access-Control");
		assert_has("\r\nretry: ");
		assert_has("\nevent: live\ndata: {\"expires_at\":1700003600,\"idle_expires_at\":"
			   "1700007170}\n\n\r\n");
		assert_non_null(stand.r->stream);
		assert_int_equal(session_watches_count(stand.w.watches), 1);
		assert_memory_equal(stand.r->hash, stand.pg.param, CRYPT_SHA256_LEN);
		assert_int_equal(stand.touches, 0); /* no activity */
	}
}

static void http_1_0_has_no_chunks(void **state)
{
	char head[1024];

	(void)state;
	(void)snprintf(head, sizeof head,
		       "GET /auth/session/events HTTP/1.0\r\nHost: " A
		       "\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n"
		       "Connection: keep-alive\r\nCookie: %s\r\n",
		       stand_cookie("bff_session", 's'));
	stand_ask(LISTEN_PUBLIC, head, "");
	stand_live(SV("a"), SV("{}"), false);
	assert_answer(200);
	assert_has("\r\nConnection: close\r\n\r\nretry: ");
	assert_lacks("Transfer-Encoding");
	assert_lacks("Content-Length");
	assert_has("}\n\n");
	assert_lacks("}\n\n\r\n");
}

static void head_has_headers_alone(void **state)
{
	(void)state;
	stand_next();
	ask("HEAD", "/auth/session/events", "");
	stand.r->from.reply_flags |= HTTP_REPLY_HEAD; /* as conn says it */
	stand_live(SV("a"), SV("{}"), false);
	assert_answer(200);
	assert_has("\r\nContent-Type: text/event-stream\r\n");
	assert_has("\r\n\r\n");
	assert_lacks("live");
	assert_lacks("Content-Length");
	assert_null(stand.r->stream);
}

static void without_a_session_it_is_as_session_says(void **state)
{
	static const char *const states[] = {"unknown", "idle", "expired", "revoked", "logout"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		ask("GET", "/auth/session/events", "");
		stand_dead(sv_str(states[i]));
		assert_answer(401);
		assert_has(
		    "{\"authenticated\":false,\"login_url\":\"https://a.example.com/auth/login");
		assert_null(stand.r->stream);
	}
	stand_browse("GET", A, "/auth/session/events", "", "");
	assert_answer(401);
	assert_int_equal(stand.pg.queries, 0);
	ask("POST", "/auth/session/events", "");
	assert_answer(405);
	assert_has("\r\nAllow: GET, HEAD\r\n");
}

static void an_outage_is_no_end(void **state)
{
	(void)state;
	ask("GET", "/auth/session/events", "");
	stand_rows(ERR_TIMEOUT, NULL, 0);
	assert_answer(503);
	assert_has("\r\nRetry-After: ");
	assert_null(stand.r->stream);
}

static void it_is_for_its_own_origin_alone(void **state)
{
	static const struct {
		const char *more;
		bool ok;
	} cases[] = {
	    {"Origin: https://a.example.com\r\n", true},
	    {"Sec-Fetch-Site: same-origin\r\n", true},
	    {"Sec-Fetch-Site: none\r\n", true},
	    {"Origin: https://b.example.com\r\n", false}, /* the app's, and yet another */
	    {"Origin: https://evil.example\r\n", false},
	    {"Origin: null\r\n", false},
	    {"Origin:\r\n", false},
	    {"Sec-Fetch-Site: same-site\r\n", false},
	    {"Sec-Fetch-Site: cross-site\r\n", false},
	    {"Sec-Fetch-Site:\r\n", false},
	    {"Origin: https://a.example.com\r\nSec-Fetch-Site: cross-site\r\n", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ask("GET", "/auth/session/events", cases[i].more);
		if (cases[i].ok) {
			stand_live(SV("a"), SV("{}"), false);
			assert_answer(200);
			continue;
		}
		assert_answer(403);
		assert_has("\"error\":\"origin\"");
		assert_int_equal(stand.pg.queries, 0);
	}
}

static void too_many_are_refused(void **state)
{
	struct session_stream *many[10] = {NULL};
	unsigned char hash[CRYPT_SHA256_LEN] = {0};
	const struct session_stream_of of = {hash, SV("a"), 1000000, 1000000, false};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		assert_int_equal(session_stream_open(stand.w.events, &of, &many[i]), ERR_OK);
	ask("GET", "/auth/session/events", "");
	stand_live(SV("a"), SV("{}"), false);
	assert_answer(503);
	assert_has("\r\nRetry-After: 30\r\n");
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		session_stream_free(&many[i]);
}

/* There is no room for the answer: none is left half begun. */
static void what_cannot_be_composed_has_no_stream(void **state)
{
	(void)state;
	ask("GET", "/auth/session/events", "");
	buf_done(&stand.out);
	buf_init(&stand.out, 250);
	stand_live(SV("a"), SV("{}"), false);
	assert_answer(500);
	assert_has("\r\nContent-Length: 0\r\n");
	assert_null(stand.r->stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_events, close_events)
	    CASE(a_live_session_has_a_stream), CASE(http_1_0_has_no_chunks),
	    CASE(head_has_headers_alone),      CASE(without_a_session_it_is_as_session_says),
	    CASE(an_outage_is_no_end),	       CASE(it_is_for_its_own_origin_alone),
	    CASE(too_many_are_refused),	       CASE(what_cannot_be_composed_has_no_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The token of the route's service: asked for, remembered, and what the broker says instead. */
#include "tests/unit/worker/verify_stand.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
	    CASE(a_live_session_with_a_token_is_let_through),
	    CASE(after_a_long_wait_the_session_is_judged_again),
	    CASE(after_a_long_wait_memory_is_asked_as_of_now),
	    CASE(another_services_token_is_asked_for),
	    CASE(a_token_is_asked_for_again_while_it_still_serves),
	    CASE(a_token_is_looked_for_once),
	    CASE(a_token_of_an_ended_session_is_not_given),
	    CASE(what_the_broker_says_by_table),
	    CASE(a_bad_token_is_no_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

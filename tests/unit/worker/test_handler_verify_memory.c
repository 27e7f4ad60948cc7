/* What is remembered, what is read again, and the note of its use. */
#include "tests/unit/worker/verify_stand.h"
#include "worker/session.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
	    CASE(a_row_that_took_too_long_is_read_again_a_few_times),
	    CASE(a_second_request_asks_nobody),
	    CASE(what_may_have_ended_is_read_again),
	    CASE(a_row_that_was_overtaken_is_read_again),
	    CASE(another_apps_session_is_no_hit),
	    CASE(with_the_cache_off_each_request_reads),
	    CASE(use_is_noted_of_remembered_sessions),
	    CASE(use_is_noted_when_it_is_due_and_the_session_may_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

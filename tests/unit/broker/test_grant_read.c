#include "tests/unit/broker/token_stand.h"

static void set(struct stand_row *r, unsigned col, struct sv text)
{
	r->rows.v[0][col].text = text;
}

static void what_refuses_asks_nobody(void **state)
{
	static const struct {
		unsigned col;
		struct sv text;
		enum ipc_error want;
		const char *detail;
	} rows[] = {
	    {0, SV_INIT("logout"), IPC_ERROR_NO_SESSION, "session_not_live"},
	    {1, SV_INIT("b"), IPC_ERROR_NO_SESSION, "other_app"},
	    {2, SV_INIT("q"), IPC_ERROR_REAUTHENTICATE, "other_provider"},
	    {13, SV_INIT("https://evil"), IPC_ERROR_REAUTHENTICATE, "other_provider"},
	    {5, SV_INIT("ended"), IPC_ERROR_REAUTHENTICATE, "grant_over"},
	    {6, SV_INIT(""), IPC_ERROR_UPSTREAM, "no_refresh_token"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct stand_row r;

		stand_want("res");
		stand_row_of(&r, "res", NULL, 0);
		set(&r, rows[i].col, rows[i].text);
		fake_answer(ERR_OK, &r.rows);
		stand_row_done(&r);
		assert_failed(rows[i].want, rows[i].detail);
		assert_int_equal(fake_nasked + stand.calls.n, 0);
	}
}

static void no_row_or_no_database(void **state)
{
	static const struct pg_rows none;

	(void)state;
	stand_want("res");
	fake_answer(ERR_OK, &none);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_NOT_FOUND));
	stand_want("res");
	fake_answer(ERR_TIMEOUT, NULL);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_TIMEOUT));
}

/* Another host's lease: looked at again and again, for as long as anybody waits. */
static void leased_elsewhere(void **state)
{
	struct stand_row r;

	(void)state;
	stand_want("res");
	for (int i = 0; i < 20; i++) {
		stand_row_of(&r, "res", NULL, 0);
		r.rows.v[0][8].number = 5000;
		assert_asked(SQL_TOKEN_READ);
		fake_answer(ERR_OK, &r.rows);
		stand_row_done(&r);
		assert_int_equal(loop_asked_ms(), LEASE_POLL_MS);
		assert_int_equal(fake_nasked, 0);
		assert_nothing_said();
		loop_fire(stand.broker.base);
	}
	stand_reads("res", "from the other host", 200000);
	assert_answered("from the other host");
	assert_int_equal(stand.calls.n, 0);
	stand_want("res");
	stand.now_ms += WAITER_PATIENCE_MS;
	stand_row_of(&r, "res", NULL, 0);
	r.rows.v[0][8].number = 5000;
	fake_answer(ERR_OK, &r.rows);
	stand_row_done(&r);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "leased_elsewhere");
}

static void near_its_end_it_still_serves_who_waits(void **state)
{
	(void)state;
	stand_want("res");
	stand_reads("res", "nearly over", 5000);
	assert_answered("nearly over");
	assert_int_equal(stand.calls.n + fake_nasked, 0); /* token.c has the next one fetched */
}

static void renewed_ahead_when_nobody_waits(void **state)
{
	struct stand_ask a;

	(void)state;
	stand_ask_for(&a, "res");
	grant_table_ask(stand.broker.grants, &a.ask, NULL);
	stand_reads("res", "nearly over", 5000);
	assert_asked(SQL_REFRESH_LEASE);
}

/* A token that is over as soon as it is there must not be fetched in a loop. */
static void too_short_lived(void **state)
{
	const struct token_reply reply = stand_success("at", "rt-2");

	(void)state;
	stand_to_provider("res");
	stand_reply(ERR_OK, &reply);
	stand_bool(true);
	stand_reads("res", "at", 500);
	assert_failed(IPC_ERROR_UPSTREAM, "token_too_short_lived");
	stand_want("res");
	stand_reads("res", NULL, 0);
	assert_failed(IPC_ERROR_UPSTREAM, "held_off");
	stand_want("other");
	stand_reads("other", NULL, 0);
	assert_asked(SQL_REFRESH_LEASE);
}

static void rounds_are_limited(void **state)
{
	const struct token_reply reply = stand_success("at", "rt-2");

	(void)state;
	stand_want("res");
	for (unsigned i = 0; i <= GRANT_ROUNDS_MAX; i++) {
		stand_reads("res", NULL, 0);
		stand_leases(true, 1, 0);
		stand_reply(ERR_OK, &reply);
		stand_bool(false); /* the lease was lost, each time */
	}
	stand_reads("res", NULL, 0);
	assert_failed(IPC_ERROR_INTERNAL, "too_many_rounds");
}

static void a_provider_that_left_the_configuration(void **state)
{
	(void)state;
	stand.calls.gone = true;
	stand_want("res");
	stand_reads("res", NULL, 0);
	assert_failed(IPC_ERROR_INTERNAL, "no_provider");
}

static void an_exchange_reads_the_logins_own_token_first(void **state)
{
	(void)state;
	stand_want("ex");
	assert_sv_equal(fake_param(0, 1), SV("ex"));
	stand_reads("ex", NULL, 0);
	assert_asked(SQL_TOKEN_READ);
	assert_sv_equal(fake_param(0, 1), TOKEN_SESSION_SERVICE);
	stand_reads(NULL, "the login's", 2000); /* near its end, and good enough */
	assert_called(CALL_EXCHANGE, SV("the login's"));
	assert_int_equal(fake_nasked, 0);
}

static void an_exchange_without_a_refresh_token(void **state)
{
	struct stand_row r;

	(void)state;
	stand_want("ex");
	stand_row_of(&r, "ex", NULL, 0);
	set(&r, 6, SV_NONE);
	fake_answer(ERR_OK, &r.rows);
	stand_row_done(&r);
	stand_row_of(&r, NULL, "the login's", 60000);
	set(&r, 6, SV_NONE);
	fake_answer(ERR_OK, &r.rows);
	stand_row_done(&r);
	assert_called(CALL_EXCHANGE, SV("the login's"));
	/* Once the login's own token is over there is nothing to start from. */
	memset(&stand.got, 0, sizeof stand.got);
}

static void an_exchange_of_a_dead_login(void **state)
{
	struct stand_row r;

	(void)state;
	stand_want("ex");
	stand_reads("ex", NULL, 0);
	stand_row_of(&r, NULL, NULL, 0);
	set(&r, 6, SV_NONE);
	fake_answer(ERR_OK, &r.rows);
	stand_row_done(&r);
	assert_failed(IPC_ERROR_REAUTHENTICATE, "no_refresh_token");
}

/* Where refresh tokens are not single use, prefetches run at once and without a lease. */
static void prefetch_in_parallel(void **state)
{
	struct stand_ask a[2];
	const struct token_reply reply = stand_success("at", "rt-2");

	(void)state;
	for (int rotates = 0; rotates < 2; rotates++) {
		stand.traits.rotates = rotates;
		for (size_t i = 0; i < 2; i++) {
			stand_ask_for(&a[i], i == 0 ? "res" : "other");
			a[i].ask.kind = GRANT_JOB_PREFETCH;
			grant_table_ask(stand.broker.grants, &a[i].ask, NULL);
		}
		stand_reads("res", NULL, 0);
		stand_reads("other", NULL, 0);
		if (!rotates) {
			assert_int_equal(stand.calls.n, 2);
			assert_null(stand.calls.v[0].before);
			stand_reply(ERR_OK, &reply);
			stand_reply(ERR_OK, &reply);
			assert_asked(SQL_TOKEN_PUT);
			stand_bool(true);
			assert_asked(SQL_TOKEN_PUT);
			stand_bool(true);
			stand_reads("res", "at", 300000);
			stand_reads("other", "at", 300000);
		} else {
			assert_int_equal(stand.calls.n, 0);
			assert_int_equal(fake_nasked, 1);
			assert_asked(SQL_REFRESH_LEASE);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAND(what_refuses_asks_nobody),
	    STAND(no_row_or_no_database),
	    STAND(leased_elsewhere),
	    STAND(near_its_end_it_still_serves_who_waits),
	    STAND(renewed_ahead_when_nobody_waits),
	    STAND(too_short_lived),
	    STAND(rounds_are_limited),
	    STAND(a_provider_that_left_the_configuration),
	    STAND(an_exchange_reads_the_logins_own_token_first),
	    STAND(an_exchange_without_a_refresh_token),
	    STAND(an_exchange_of_a_dead_login),
	    STAND(prefetch_in_parallel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

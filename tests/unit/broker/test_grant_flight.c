#include "tests/unit/broker/token_stand.h"

static void the_order_of_a_refresh(void **state)
{
	const struct token_reply reply = stand_success("at", "rt-2");

	(void)state;
	stand_want("res");
	stand_reads("res", NULL, 0);
	/* The attempt is committed before anything leaves. */
	assert_asked(SQL_REFRESH_LEASE);
	assert_sv_equal(fake_param(0, 0), SV(STAND_ID));
	assert_int_equal(stand.calls.n, 0);
	stand_leases(true, 1, 0);
	assert_called(CALL_REFRESH, SV("rt-1"));
	assert_ptr_equal(stand.calls.v[0].service, stand_service("res"));
	assert_true(stand.calls.v[0].before(stand.calls.v[0].arg));
	/* And the successor before anything is answered. */
	stand_reply(ERR_OK, &reply);
	assert_asked(SQL_GRANT_COMMIT);
	assert_sv_equal(fake_param(0, 11), SV("f")); /* without a grace period nothing is kept */
	assert_nothing_said();
	stand_bool(true);
	assert_nothing_said();
	stand_reads("res", "at", 300000);
	assert_answered("at");
}

static void the_logins_own_token_is_a_plain_refresh(void **state)
{
	(void)state;
	stand_want("own");
	stand_reads(NULL, NULL, 0);
	stand_leases(true, 1, 0);
	assert_called(CALL_REFRESH, SV("rt-1"));
	assert_null(stand.calls.v[0].service);
}

static void what_becomes_of_the_lease(void **state)
{
	static const struct {
		enum token_outcome outcome;
		enum broker_statement want;
		struct sv fate;
		enum ipc_error answer;
	} rows[] = {
	    {TOKEN_NOT_SENT, SQL_REFRESH_RELEASE, SV_INIT("unused"), IPC_ERROR_PROVIDER_DOWN},
	    {TOKEN_UNKNOWN, SQL_REFRESH_RELEASE, SV_INIT("unknown"), IPC_ERROR_PROVIDER_DOWN},
	    {TOKEN_DEAD, SQL_GRANT_DEAD, SV_INIT(""), IPC_ERROR_REAUTHENTICATE},
	    {TOKEN_MISCONFIGURED, SQL_REFRESH_RELEASE, SV_INIT("suspect"), IPC_ERROR_UPSTREAM},
	    {TOKEN_INTERACTION, SQL_REFRESH_RELEASE, SV_INIT("unused"), IPC_ERROR_REAUTHENTICATE},
	    {TOKEN_CLIENT_BROKEN, SQL_REFRESH_RELEASE, SV_INIT("unused"), IPC_ERROR_UPSTREAM},
	    {TOKEN_THROTTLED, SQL_REFRESH_RELEASE, SV_INIT("unused"), IPC_ERROR_PROVIDER_DOWN},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		stand.now_ms += 1000000; /* nothing is held off any more */
		stand_to_provider("res");
		stand_outcome(rows[i].outcome, "word");
		assert_asked(rows[i].want);
		if (rows[i].want == SQL_REFRESH_RELEASE)
			assert_sv_equal(fake_param(0, 4), rows[i].fate);
		assert_nothing_said();
		stand_bool(true);
		assert_failed(rows[i].answer, "word");
		assert_int_equal(grant_table_count(stand.broker.grants), 0);
	}
}

/* Kept before anybody is answered, who may log in at once; without it the answer is the same. */
static void a_challenge_is_kept_first(void **state)
{
	static const enum err kept[] = {ERR_OK, ERR_UNAVAILABLE};
	const struct token_reply reply = {
	    .outcome = TOKEN_INTERACTION, .detail = "word", .claims = SV("{\"a\":1}")};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		stand.now_ms += 1000000; /* nothing is held off any more */
		stand_to_provider("res");
		stand_reply(ERR_OK, &reply);
		assert_asked(SQL_GRANT_CHALLENGE);
		assert_sv_equal(fake_param(0, 0), SV(STAND_ID));
		assert_sv_equal(fake_param(0, 1), SV("{\"a\":1}"));
		assert_nothing_said();
		if (kept[i] == ERR_OK)
			stand_bool(true);
		else
			fake_answer(kept[i], NULL);
		assert_asked(SQL_REFRESH_RELEASE);
		assert_nothing_said();
		stand_bool(true);
		assert_failed(IPC_ERROR_REAUTHENTICATE, "word");
	}
}

/* invalid_grant is believed only when the row has not moved on. */
static void dead_and_yet_somebody_committed(void **state)
{
	(void)state;
	stand_to_provider("res");
	stand_outcome(TOKEN_DEAD, "invalid_grant");
	assert_asked(SQL_GRANT_DEAD);
	stand_bool(false);
	stand_reads("res", "the winner's", 200000);
	assert_answered("the winner's");
}

static void dead_without_a_lease_is_asked_again_with_one(void **state)
{
	struct stand_ask a;

	(void)state;
	stand.traits.rotates = false;
	stand_ask_for(&a, "res");
	a.ask.kind = GRANT_JOB_PREFETCH;
	grant_table_ask(stand.broker.grants, &a.ask, NULL);
	stand_reads("res", NULL, 0);
	stand_outcome(TOKEN_DEAD, "invalid_grant");
	stand_reads("res", NULL, 0);
	stand_leases(true, 1, 0);
	stand_outcome(TOKEN_DEAD, "invalid_grant");
	assert_asked(SQL_GRANT_DEAD);
}

static void the_last_look_says_no(void **state)
{
	(void)state;
	stand_to_provider("res");
	stand.now_ms += TIMEOUT_LEASE_MS;
	assert_false(stand.calls.v[0].before(stand.calls.v[0].arg));
	stand_outcome(TOKEN_NOT_SENT, "before_send");
	assert_asked(SQL_REFRESH_RELEASE);
	assert_sv_equal(fake_param(0, 4), SV("unused"));
	stand_bool(false);
	/* Nobody's fault: what stands there now? */
	stand_reads("res", "the other host's", 200000);
	assert_answered("the other host's");
	stand_want("other");
	stand_reads("other", NULL, 0);
	assert_asked(SQL_REFRESH_LEASE); /* the provider is not held off */
}

static void not_leased(void **state)
{
	(void)state;
	stand_want("res");
	stand_reads("res", NULL, 0);
	stand_leases(false, 1, 0);
	assert_int_equal(stand.calls.n, 0);
	assert_int_equal(loop_asked_ms(), LEASE_POLL_MS);
	loop_fire(stand.broker.base);
	stand_reads("res", "the other host's", 200000);
	assert_answered("the other host's");
}

static void sent_often_enough(void **state)
{
	(void)state;
	stand_want("res");
	stand_reads("res", NULL, 0);
	stand_leases(true, LEASE_ATTEMPTS_MAX + 1, 1000);
	assert_int_equal(stand.calls.n, 0);
	/* The lease goes back, uncounted; the session stays. */
	assert_asked(SQL_REFRESH_RELEASE);
	assert_sv_equal(fake_param(0, 4), SV("unused"));
	stand_bool(true);
	assert_failed(IPC_ERROR_REAUTHENTICATE, "attempts_used_up");
	stand_want("res");
	stand_reads("res", NULL, 0);
	assert_failed(IPC_ERROR_REAUTHENTICATE,
		      "held_off"); /* nor is the database asked again and again */
}

static void within_the_grace_period(void **state)
{
	(void)state;
	stand.traits.grace_ms = 30000;
	stand_want("res");
	stand_reads("res", NULL, 0);
	stand_leases(true, LEASE_ATTEMPTS_MAX + 1, 28000);
	assert_called(CALL_REFRESH, SV("rt-1"));
	assert_true(stand.calls.v[0].before(stand.calls.v[0].arg));
	stand.now_ms += 1000;
	assert_false(stand.calls.v[0].before(stand.calls.v[0].arg));
}

/* What PREVIOUS_TAKE answers: the token of before, whose successor was committed so long ago. */
static void previous(const char *token, int64_t superseded_ms)
{
	struct vault_label label = token_refresh_label(SV(STAND_ID), 1);
	struct pg_rows rows = {.n = token == NULL ? 0 : 1};
	struct buf sealed;

	assert_asked(SQL_PREVIOUS_TAKE);
	assert_sv_equal(fake_param(0, 0), SV(STAND_ID));
	assert_int_equal(fake_number(0, 1), 3);
	buf_init(&sealed, 4096);
	if (token != NULL)
		assert_int_equal(vault_seal(stand.broker.ring, &label, sv_str(token), &sealed),
				 ERR_OK);
	rows.v[0][0].text = buf_sv(&sealed);
	rows.v[0][1].number = 1;
	rows.v[0][2].number = superseded_ms;
	fake_answer(ERR_OK, &rows);
	buf_done(&sealed);
}

static void to_previous(void)
{
	stand.traits.grace_ms = 30000;
	stand.now_ms += 1000000;
	stand_to_provider("res");
	stand_outcome(TOKEN_DEAD, "invalid_grant");
	assert_nothing_said();
	assert_int_equal(stand.calls.n, 0); /* counted first */
}

static void a_successor_that_the_provider_lost(void **state)
{
	const struct token_reply reply = stand_success("at", "rt-2");

	(void)state;
	to_previous();
	previous("rt-0", 1000);
	assert_called(CALL_REFRESH, SV("rt-0"));
	assert_true(stand.calls.v[0].before(stand.calls.v[0].arg));
	stand_reply(ERR_OK, &reply);
	assert_asked(SQL_GRANT_COMMIT);
	assert_sv_equal(fake_param(0, 11), SV("t"));
	stand_bool(true);
	stand_reads("res", "at", 300000);
	assert_answered("at");
}

/* One that is honoured and not rotated is what the grant has from now on. */
static void the_one_of_before_is_the_current_one_again(void **state)
{
	const struct token_reply reply = stand_success("at", "");
	struct vault_label label = token_refresh_label(SV(STAND_ID), 4);
	struct secret *got = NULL;

	(void)state;
	to_previous();
	previous("rt-0", 1000);
	stand_reply(ERR_OK, &reply);
	assert_asked(SQL_GRANT_COMMIT);
	assert_int_equal(vault_open(stand.broker.ring, &label, fake_param(0, 4), &got), ERR_OK);
	assert_sv_equal(secret_view(got), SV("rt-0"));
	secret_free(&got);
	stand_bool(true);
	stand_reads("res", "at", 300000);
	assert_answered("at");
}

static void dead_with_the_one_of_before(void **state)
{
	(void)state;
	/* There is none, or its time is over, or the lease is, or it is dead, too. */
	for (int i = 0; i < 4; i++) {
		to_previous();
		if (i == 2)
			stand.now_ms += TIMEOUT_LEASE_MS;
		previous(i == 0 ? NULL : "rt-0", i == 1 ? 29000 : 28999);
		if (i == 3)
			stand_outcome(TOKEN_DEAD, "invalid_grant");
		assert_int_equal(stand.calls.n, 0);
		assert_asked(SQL_GRANT_DEAD);
		stand_bool(true);
		assert_failed(IPC_ERROR_REAUTHENTICATE, "invalid_grant");
	}
	/* The last look says no. */
	to_previous();
	previous("rt-0", 20000);
	stand.now_ms += 9000;
	assert_false(stand.calls.v[0].before(stand.calls.v[0].arg));
	stand_outcome(TOKEN_NOT_SENT, "before_send");
	assert_asked(SQL_GRANT_DEAD);
	stand_bool(true);
	assert_failed(IPC_ERROR_REAUTHENTICATE, "invalid_grant");
}

static void the_one_of_before_of_unknown_fate(void **state)
{
	(void)state;
	to_previous();
	previous("rt-0", 1000);
	stand_outcome(TOKEN_UNKNOWN, "timeout");
	assert_asked(SQL_REFRESH_RELEASE);
	assert_sv_equal(fake_param(0, 4), SV("unknown"));
	stand_bool(true);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "timeout");
	/* A database that is away ends nothing. */
	to_previous();
	fake_answer(ERR_UNAVAILABLE, NULL);
	assert_asked(SQL_REFRESH_RELEASE);
	stand_bool(true);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_UNAVAILABLE));
}

static void a_last_attempt_lets_others_probe(void **state)
{
	(void)state;
	stand_to_provider("res");
	stand_outcome(TOKEN_UNKNOWN, "timeout");
	stand_bool(true);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "timeout");
	stand.now_ms += HOLDOFF_FIRST_MS;
	stand_want("res");
	stand_reads("res", NULL, 0);
	stand_leases(true, LEASE_ATTEMPTS_MAX, 1000);
	assert_int_equal(stand.calls.n, 0);
	assert_asked(SQL_REFRESH_RELEASE);
	assert_sv_equal(fake_param(0, 4), SV("unused"));
	stand_bool(true);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "held_off");
	stand.now_ms += HOLDOFF_SPARE_MS;
	stand_want("res");
	stand_reads("res", NULL, 0);
	stand_leases(true, LEASE_ATTEMPTS_MAX, 1000);
	assert_called(CALL_REFRESH, SV("rt-1"));
}

static void a_lease_of_unknown_fate_is_given_back(void **state)
{
	(void)state;
	stand_want("res");
	stand_reads("res", NULL, 0);
	fake_answer(ERR_TIMEOUT, NULL);
	assert_int_equal(stand.calls.n, 0);
	assert_asked(SQL_REFRESH_RELEASE);
	assert_sv_equal(fake_param(0, 4), SV("unused"));
	/* Nobody waits for that; it is tried until the lease is over by itself. */
	fake_answer(ERR_UNAVAILABLE, NULL);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_UNAVAILABLE));
	loop_fire(stand.broker.base);
	assert_asked(SQL_REFRESH_RELEASE);
	stand.now_ms += TIMEOUT_LEASE_MS;
	fake_answer(ERR_UNAVAILABLE, NULL);
	assert_int_equal(fake_nasked, 0);
	assert_int_equal(grant_table_count(stand.broker.grants), 0);
}

/* The statement that we gave up commits after the release found nothing: looked at once more. */
static void a_lease_that_comes_late_is_given_back_too(void **state)
{
	(void)state;
	for (int late = 0; late < 2; late++) {
		stand_want("res");
		stand_reads("res", NULL, 0);
		fake_answer(ERR_TIMEOUT, NULL);
		assert_asked(SQL_REFRESH_RELEASE);
		stand_bool(false);
		assert_failed(IPC_ERROR_STORE, err_text(ERR_TIMEOUT)); /* nobody waits for that */
		assert_int_equal(fake_nasked, 0);
		loop_fire(stand.broker.base);
		assert_asked(SQL_REFRESH_RELEASE);
		assert_sv_equal(fake_param(0, 4), SV("unused"));
		stand_bool(late);
		assert_int_equal(fake_nasked, 0);
		assert_int_equal(grant_table_count(stand.broker.grants), 0);
	}
}

static void a_key_that_is_missing_ends_nothing(void **state)
{
	struct stand_row r;

	(void)state;
	stand_want("res");
	stand_row_of(&r, "res", NULL, 0);
	r.rows.v[0][17].number = 2; /* not what it was sealed under */
	fake_answer(ERR_OK, &r.rows);
	stand_row_done(&r);
	assert_failed(IPC_ERROR_INTERNAL, "key_ring");
	assert_int_equal(fake_nasked + stand.calls.n, 0);
}

static void without_metadata_nothing_was_sent(void **state)
{
	(void)state;
	stand.calls.refuses = ERR_UNAVAILABLE;
	stand_want("res");
	stand_reads("res", NULL, 0);
	stand_leases(true, 1, 0);
	assert_asked(SQL_REFRESH_RELEASE);
	assert_sv_equal(fake_param(0, 4), SV("unused"));
	stand_bool(true);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "no_metadata");
}

static void a_cancel_is_the_end_of_the_process(void **state)
{
	(void)state;
	stand_to_provider("res");
	stand.broker.stopping = true;
	stand_reply(ERR_CANCELED, NULL);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "stopping");
	assert_int_equal(fake_nasked, 0);
}

/* What only a change of configuration mends is an error, once; an outage is none. */
static void what_is_an_error(void **state)
{
	static const enum token_outcome errors[] = {TOKEN_CLIENT_BROKEN, TOKEN_MISCONFIGURED},
					none[] = {TOKEN_NOT_SENT, TOKEN_UNKNOWN, TOKEN_THROTTLED,
						  TOKEN_INTERACTION};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		stand.errors = 0;
		stand.now_ms += 1000000;
		stand_to_provider("res");
		stand_outcome(errors[i], "word");
		stand_bool(true);
		assert_int_equal(stand.errors, 1);
		assert_string_equal(stand.error, "refresh_failed");
		stand_want("res");
		stand_reads("res", NULL, 0);
		assert_int_equal(stand.errors, 1); /* held off */
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		stand.now_ms += 1000000;
		stand_to_provider("res");
		stand_outcome(none[i], "word");
		stand_bool(true);
	}
	assert_int_equal(stand.errors, 1);
}

static void what_is_sent_again_and_what_waits_is_counted(void **state)
{
	struct metrics *m = NULL;

	(void)state;
	assert_int_equal(metrics_new(NULL, &m), ERR_OK);
	stand.broker.metrics = m;
	stand_want("res");
	stand_want("other");
	stand_reads("res", NULL, 0);
	stand_reads("other", NULL, 0);
	stand_leases(true, 2, 1000);
	assert_int_equal(stand.calls.n, 1);
	assert_int_equal(metrics_sum(m, METRIC_B_REFRESH_REPEATED, METRICS_AT(0)), 1);
	assert_int_equal(metrics_sum(m, METRIC_B_GRANT_WAITS, METRICS_AT(METRICS_WAIT_QUEUED)), 1);
	assert_int_equal(metrics_sum(m, METRIC_B_GRANT_WAITS, METRICS_AT(METRICS_WAIT_LEASED)), 0);
	assert_int_equal(metrics_sum(m, METRIC_B_REFRESH_GIVEN_UP, METRICS_AT(0)), 0);
	stand.broker.metrics = NULL;
	metrics_free(&m);
}

static void what_is_given_up_is_counted(void **state)
{
	struct metrics *m = NULL;

	(void)state;
	assert_int_equal(metrics_new(NULL, &m), ERR_OK);
	stand.broker.metrics = m;
	stand_to_provider("res"); /* the first attempt is no repetition */
	stand_outcome(TOKEN_NOT_SENT, "word");
	stand_bool(true);
	stand.now_ms += 1000000;
	stand_want("res");
	stand_reads("res", NULL, 0);
	stand_leases(true, LEASE_ATTEMPTS_MAX + 1, 1000);
	assert_int_equal(metrics_sum(m, METRIC_B_REFRESH_GIVEN_UP, METRICS_AT(0)), 1);
	assert_int_equal(metrics_sum(m, METRIC_B_REFRESH_REPEATED, METRICS_AT(0)), 0);
	stand.broker.metrics = NULL;
	metrics_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAND(the_order_of_a_refresh),
	    STAND(the_logins_own_token_is_a_plain_refresh),
	    STAND(what_becomes_of_the_lease),
	    STAND(a_challenge_is_kept_first),
	    STAND(dead_and_yet_somebody_committed),
	    STAND(dead_without_a_lease_is_asked_again_with_one),
	    STAND(the_last_look_says_no),
	    STAND(not_leased),
	    STAND(sent_often_enough),
	    STAND(what_is_sent_again_and_what_waits_is_counted),
	    STAND(what_is_given_up_is_counted),
	    STAND(within_the_grace_period),
	    STAND(a_successor_that_the_provider_lost),
	    STAND(the_one_of_before_is_the_current_one_again),
	    STAND(dead_with_the_one_of_before),
	    STAND(the_one_of_before_of_unknown_fate),
	    STAND(a_last_attempt_lets_others_probe),
	    STAND(a_lease_of_unknown_fate_is_given_back),
	    STAND(a_lease_that_comes_late_is_given_back_too),
	    STAND(a_key_that_is_missing_ends_nothing),
	    STAND(without_metadata_nothing_was_sent),
	    STAND(what_is_an_error),
	    STAND(a_cancel_is_the_end_of_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

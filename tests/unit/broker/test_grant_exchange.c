#include "broker/grant_exchange.h"

#include "tests/unit/broker/token_stand.h"

static void what_an_answer_means(void **state)
{
	static const struct {
		enum token_outcome outcome;
		bool renews; /* a subject token as it was found */
		struct lease_verdict want;
	} rows[] = {
	    {TOKEN_OK, false, {LEASE_COMMIT, IPC_ERROR_NONE, LEASE_HOLDOFF_NONE}},
	    {TOKEN_NOT_SENT,
	     false,
	     {LEASE_UNUSED, IPC_ERROR_PROVIDER_DOWN, LEASE_HOLDOFF_PROVIDER}},
	    {TOKEN_UNKNOWN, false, {LEASE_UNUSED, IPC_ERROR_PROVIDER_DOWN, LEASE_HOLDOFF_PROVIDER}},
	    {TOKEN_DEAD, true, {LEASE_UNUSED, IPC_ERROR_UPSTREAM, LEASE_HOLDOFF_GRANT}},
	    {TOKEN_MISCONFIGURED, false, {LEASE_UNUSED, IPC_ERROR_UPSTREAM, LEASE_HOLDOFF_SERVICE}},
	    {TOKEN_INTERACTION,
	     false,
	     {LEASE_UNUSED, IPC_ERROR_REAUTHENTICATE, LEASE_HOLDOFF_GRANT}},
	    {TOKEN_CLIENT_BROKEN, false, {LEASE_UNUSED, IPC_ERROR_UPSTREAM, LEASE_HOLDOFF_SERVICE}},
	    {TOKEN_TOO_OFTEN, false, {LEASE_UNUSED, IPC_ERROR_PROVIDER_DOWN, LEASE_HOLDOFF_GRANT}},
	    {TOKEN_THROTTLED,
	     false,
	     {LEASE_UNUSED, IPC_ERROR_PROVIDER_DOWN, LEASE_HOLDOFF_THROTTLE}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct token_reply reply = {.outcome = rows[i].outcome};
		struct lease_verdict got;

		assert_int_equal(exchange_judge(&reply, EXCHANGE_SUBJECT_FOUND, &got),
				 rows[i].renews);
		assert_false(exchange_judge(&reply, EXCHANGE_SUBJECT_RENEWED, &got));
		assert_int_equal(got.next, rows[i].want.next);
		assert_int_equal(got.answer, rows[i].want.answer);
		assert_int_equal(got.holdoff, rows[i].want.holdoff);
	}
}

static void to_exchange(void)
{
	stand_want("ex");
	stand_reads("ex", NULL, 0);
	stand_reads(NULL, "the login's", 60000);
	assert_called(CALL_EXCHANGE, SV("the login's"));
}

static void an_exchange(void **state)
{
	const struct token_reply reply = stand_success("exchanged", "");

	(void)state;
	to_exchange();
	assert_ptr_equal(stand.calls.v[0].service, stand_service("ex"));
	stand_reply(ERR_OK, &reply);
	assert_asked(SQL_TOKEN_PUT);
	assert_nothing_said();
	stand_bool(true);
	stand_reads("ex", "exchanged", 300000);
	assert_answered("exchanged");
}

/* Entra's on-behalf-of says so, too, and what the next login must bring. */
static void a_challenge_is_kept_before_the_answer(void **state)
{
	const struct token_reply reply = {
	    .outcome = TOKEN_INTERACTION, .detail = "word", .claims = SV("{}")};

	(void)state;
	to_exchange();
	stand_reply(ERR_OK, &reply);
	assert_asked(SQL_GRANT_CHALLENGE);
	assert_nothing_said();
	stand_bool(true);
	assert_failed(IPC_ERROR_REAUTHENTICATE, "word");
}

/* It is over by the clock: a plain refresh under the lease, then the exchange. */
static void the_subject_token_is_had_first(void **state)
{
	const struct token_reply refreshed = stand_success("the new one", "rt-2"),
				 exchanged = stand_success("exchanged", "");

	(void)state;
	stand_want("ex");
	stand_reads("ex", NULL, 0);
	stand_reads(NULL, NULL, 0);
	stand_leases(true, 1, 0);
	assert_called(CALL_REFRESH, SV("rt-1"));
	assert_null(stand.calls.v[0].service);
	stand_reply(ERR_OK, &refreshed);
	assert_asked(SQL_GRANT_COMMIT);
	assert_sv_equal(fake_param(0, 7), TOKEN_SESSION_SERVICE);
	stand_bool(true);
	stand_reads(NULL, "the new one", 300000);
	assert_called(CALL_EXCHANGE, SV("the new one"));
	stand_reply(ERR_OK, &exchanged);
	stand_bool(true);
	stand_reads("ex", "exchanged", 300000);
	assert_answered("exchanged");
}

/* Refused though good by the clock: renewed once, and if that is refused, too, so be it. */
static void a_refused_subject_token_is_renewed_once(void **state)
{
	const struct token_reply refreshed = stand_success("the new one", "rt-2");

	(void)state;
	to_exchange();
	stand_outcome(TOKEN_DEAD, "invalid_request");
	assert_nothing_said();
	stand_reads(NULL, "the login's", 60000); /* still good by the clock */
	stand_leases(true, 1, 0);
	stand_reply(ERR_OK, &refreshed);
	stand_bool(true);
	stand_reads(NULL, "the new one", 300000);
	assert_called(CALL_EXCHANGE, SV("the new one"));
	stand_outcome(TOKEN_DEAD, "invalid_request");
	assert_failed(IPC_ERROR_UPSTREAM, "invalid_request");
	assert_int_equal(fake_nasked, 0); /* no grant is ended for it */
}

/* The grant's own end shows in that renewal. */
static void a_subject_token_of_a_dead_grant(void **state)
{
	(void)state;
	to_exchange();
	stand_outcome(TOKEN_DEAD, "invalid_request");
	stand_reads(NULL, "the login's", 60000);
	stand_leases(true, 1, 0);
	stand_outcome(TOKEN_DEAD, "invalid_grant");
	assert_asked(SQL_GRANT_DEAD);
	stand_bool(true);
	assert_failed(IPC_ERROR_REAUTHENTICATE, "invalid_grant");
}

static void beside_a_refresh(void **state)
{
	(void)state;
	stand_to_provider("res");
	stand_want("ex");
	stand_reads("ex", NULL, 0);
	stand_reads(NULL, "the login's", 60000);
	assert_int_equal(stand.calls.n, 2); /* it waits for nobody's refresh token */
	assert_int_equal(stand.calls.v[1].what, CALL_EXCHANGE);
}

/* Two exchanges that want the login's own token renewed share that renewal. */
static void one_renewal_for_two(void **state)
{
	const struct token_reply refreshed = stand_success("the new one", "rt-2");
	struct stand_ask a;
	struct request *r = stand_request();
	struct config_service second;

	(void)state;
	stand_ask_for(&a, "ex");
	second = *a.ask.service;
	second.name = SV("ex2");
	second.audience = SV("urn:ex2");
	a.ask.service = &second;
	assert_int_equal(token_config_digest(&second, a.digest), ERR_OK);
	stand_want("ex");
	grant_table_ask(stand.broker.grants, &a.ask, &r);
	stand_reads("ex", NULL, 0);
	stand_reads("ex", NULL, 0);
	stand_reads(NULL, NULL, 0);
	stand_reads(NULL, NULL, 0);
	stand_leases(true, 1, 0);
	stand_reply(ERR_OK, &refreshed);
	stand_bool(true);
	stand_reads(NULL, "the new one", 300000);
	assert_called(CALL_EXCHANGE, SV("the new one"));
	stand_reads(NULL, "the new one", 300000);
	assert_int_equal(stand.calls.n, 2);
	assert_int_equal(stand.calls.v[1].what, CALL_EXCHANGE);
	stand_outcome(TOKEN_UNKNOWN, "timeout");
	stand_outcome(TOKEN_UNKNOWN, "timeout");
	assert_int_equal(stand.got.failures, 2);
}

static void without_metadata(void **state)
{
	(void)state;
	stand.calls.refuses = ERR_UNAVAILABLE;
	stand_want("ex");
	stand_reads("ex", NULL, 0);
	stand_reads(NULL, "the login's", 60000);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "no_metadata");
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
		stand_want("ex");
		stand_reads("ex", NULL, 0);
		stand_reads(NULL, "subject", 300000);
		stand_outcome(errors[i], "word");
		assert_int_equal(stand.errors, 1);
		assert_string_equal(stand.error, "exchange_failed");
		stand_want("ex");
		stand_reads("ex", NULL, 0);
		assert_int_equal(stand.errors, 1); /* held off */
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		stand.now_ms += 1000000;
		stand_want("ex");
		stand_reads("ex", NULL, 0);
		stand_reads(NULL, "subject", 300000);
		stand_outcome(none[i], "word");
	}
	assert_int_equal(stand.errors, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_an_answer_means),
	    STAND(an_exchange),
	    STAND(a_challenge_is_kept_before_the_answer),
	    STAND(the_subject_token_is_had_first),
	    STAND(a_refused_subject_token_is_renewed_once),
	    STAND(a_subject_token_of_a_dead_grant),
	    STAND(beside_a_refresh),
	    STAND(one_renewal_for_two),
	    STAND(what_is_an_error),
	    STAND(without_metadata),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

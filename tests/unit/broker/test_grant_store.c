#include "tests/unit/broker/token_stand.h"

/* Parameters of GRANT_COMMIT. */
enum { C_REFRESH = 4, C_ID_TOKEN, C_HASH, C_SERVICE, C_TOKEN };

static struct token_reply with_id_token(void)
{
	struct token_reply reply = stand_success("at", "rt-2");

	reply.id_token = SV("jwt");
	return reply;
}

static struct id_token_claims claims(void)
{
	return (struct id_token_claims){
	    .sub = SV("alice"), .email = SV("a@example.com"), .claims = SV("{\"name\":\"A\"}")};
}

/* What is committed opens, under the generation that the commit makes, and names its service. */
static void what_is_filed(void **state)
{
	const struct token_reply reply = with_id_token();
	const struct id_token_claims c = claims();
	struct vault_label refresh = token_refresh_label(SV(STAND_ID), 4),
			   id_token = token_id_token_label(SV(STAND_ID), 4);
	struct secret *got = NULL;

	(void)state;
	stand_to_provider("res");
	stand_reply(ERR_OK, &reply);
	assert_called(CALL_ID_TOKEN, SV("jwt"));
	assert_int_equal(fake_nasked, 0);
	stand_claims(ERR_OK, &c, "");
	assert_asked(SQL_GRANT_COMMIT);
	assert_int_equal(vault_open(stand.broker.ring, &refresh, fake_param(0, C_REFRESH), &got),
			 ERR_OK);
	assert_sv_equal(secret_view(got), SV("rt-2"));
	secret_free(&got);
	assert_int_equal(vault_open(stand.broker.ring, &id_token, fake_param(0, C_ID_TOKEN), &got),
			 ERR_OK);
	secret_free(&got);
	assert_sv_equal(fake_param(0, C_SERVICE), SV("res"));
	assert_sv_equal(fake_param(0, C_HASH), sv_of((const char *)stand_hash, sizeof stand_hash));
	assert_true(fake_param(0, C_TOKEN).n > 0);
}

/* A provider that does not rotate this time: the old one is kept. */
static void without_a_successor(void **state)
{
	const struct token_reply reply = {
	    .outcome = TOKEN_OK, .access_token = SV("at"), .expires_in_s = 300};

	(void)state;
	stand_to_provider("res");
	stand_reply(ERR_OK, &reply);
	assert_asked(SQL_GRANT_COMMIT);
	assert_true(fake_asked[0].params[C_REFRESH].null);
	assert_true(fake_asked[0].params[C_ID_TOKEN].null);
}

/* Core 12.2: whoever answers with another's ID token is not believed; the successor is kept. */
static void an_id_token_that_is_refused(void **state)
{
	const struct token_reply reply = with_id_token();

	(void)state;
	stand_to_provider("res");
	stand_reply(ERR_OK, &reply);
	stand_claims(ERR_CRYPTO, NULL, "sub");
	assert_asked(SQL_GRANT_COMMIT);
	assert_false(fake_asked[0].params[C_REFRESH].null);
	assert_true(fake_asked[0].params[C_TOKEN].null);
	assert_true(fake_asked[0].params[C_ID_TOKEN].null);
	stand_bool(true);
	assert_failed(IPC_ERROR_UPSTREAM, "id_token_refused");
}

static void an_id_token_that_cannot_be_checked(void **state)
{
	const struct token_reply reply = with_id_token();

	(void)state;
	stand_to_provider("res");
	stand_reply(ERR_OK, &reply);
	stand_claims(ERR_UNAVAILABLE, NULL, "no_keys");
	assert_asked(SQL_GRANT_COMMIT);
	assert_false(fake_asked[0].params[C_TOKEN].null); /* the access token is none the worse */
	assert_true(fake_asked[0].params[C_ID_TOKEN].null);
	stand_bool(true);
	stand_reads("res", "at", 300000);
	assert_answered("at");
}

/* A success that is not for this service: its refresh token is the successor all the same. */
static void a_refusal_with_a_successor(void **state)
{
	const struct token_reply reply = {.outcome = TOKEN_MISCONFIGURED,
					  .refresh_token = SV("rt-2"),
					  .detail = "wrong_audience"};

	(void)state;
	stand_to_provider("res");
	stand_reply(ERR_OK, &reply);
	assert_asked(SQL_GRANT_COMMIT);
	assert_false(fake_asked[0].params[C_REFRESH].null);
	assert_true(fake_asked[0].params[C_TOKEN].null);
	stand_bool(true);
	assert_failed(IPC_ERROR_UPSTREAM, "wrong_audience");
}

/* The database is away between the answer and the commit: the successor is kept and tried again,
 * long after the lease, while those who wait are told to come back. */
static void a_commit_is_tried_again(void **state)
{
	const struct token_reply reply = stand_success("at", "rt-2");

	(void)state;
	stand_to_provider("res");
	stand_reply(ERR_OK, &reply);
	fake_answer(ERR_UNAVAILABLE, NULL);
	assert_nothing_said();
	assert_int_equal(loop_asked_ms(), LEASE_COMMIT_RETRY_MS);
	fake_refuse = ERR_UNAVAILABLE;
	for (int i = 0; i < 10; i++)
		loop_fire(stand.broker.base);
	assert_nothing_said();
	stand.now_ms += TIMEOUT_LEASE_MS;
	loop_fire(stand.broker.base);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_UNAVAILABLE));
	stand.now_ms += GRANT_STORE_MAX_MS / 2;
	fake_refuse = ERR_OK;
	loop_fire(stand.broker.base);
	assert_asked(SQL_GRANT_COMMIT);
	stand_bool(true);
	stand_reads("res", "at", 300000);
	assert_int_equal(grant_table_count(stand.broker.grants), 0);
}

static void a_commit_is_given_up_in_the_end(void **state)
{
	const struct token_reply reply = stand_success("at", "rt-2");

	(void)state;
	stand_to_provider("res");
	stand_reply(ERR_OK, &reply);
	stand.now_ms += GRANT_STORE_MAX_MS;
	fake_answer(ERR_UNAVAILABLE, NULL);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_UNAVAILABLE));
	assert_int_equal(grant_table_count(stand.broker.grants), 0);
}

/* Committed, or lost to another host: reading tells, and nothing unread is ever answered. */
static void a_commit_that_did_not_happen(void **state)
{
	const struct token_reply reply = stand_success("at", "rt-2");

	(void)state;
	stand_to_provider("res");
	stand_reply(ERR_OK, &reply);
	stand_bool(false);
	assert_nothing_said();
	stand_reads("res", "the winner's", 200000);
	assert_answered("the winner's");
}

static void a_session_that_ended_meanwhile(void **state)
{
	const struct token_reply reply = stand_success("at", "rt-2");
	struct stand_row r;

	(void)state;
	stand_to_provider("res");
	stand_reply(ERR_OK, &reply);
	stand_bool(true);
	stand_row_of(&r, "res", NULL, 0);
	r.rows.v[0][0].text = SV("revoked");
	fake_answer(ERR_OK, &r.rows);
	stand_row_done(&r);
	assert_failed(IPC_ERROR_NO_SESSION, "session_not_live");
}

/* What was had without a lease is no loss. */
static void a_token_without_a_lease_is_not_insisted_on(void **state)
{
	const struct token_reply reply = stand_success("exchanged", "not ours");

	(void)state;
	stand_want("ex");
	stand_reads("ex", NULL, 0);
	stand_reads(NULL, "the login's", 60000);
	stand_reply(ERR_OK, &reply);
	assert_asked(SQL_TOKEN_PUT);
	assert_sv_equal(fake_param(0, 3), SV("ex"));
	assert_true(fake_asked[0].params[7].null); /* an exchange brings no refresh token of ours */
	fake_answer(ERR_UNAVAILABLE, NULL);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_UNAVAILABLE));
	assert_int_equal(grant_table_count(stand.broker.grants), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAND(what_is_filed),
	    STAND(without_a_successor),
	    STAND(an_id_token_that_is_refused),
	    STAND(an_id_token_that_cannot_be_checked),
	    STAND(a_refusal_with_a_successor),
	    STAND(a_commit_is_tried_again),
	    STAND(a_commit_is_given_up_in_the_end),
	    STAND(a_commit_that_did_not_happen),
	    STAND(a_session_that_ended_meanwhile),
	    STAND(a_token_without_a_lease_is_not_insisted_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/broker/token_stand.h"

static enum ipc_error held(const char *service, const char *id, uint32_t *ret_left_s)
{
	struct stand_ask a;

	stand_ask_for(&a, service);
	a.ask.grant_id = sv_str(id);
	return grant_held(stand.broker.grants, &a.ask, ret_left_s);
}

/* What a failure of `res` for one grant means for the others. */
static void who_is_held_off(void **state)
{
	static const struct {
		enum token_outcome outcome;
		enum ipc_error res, other, res_of_another;
		int64_t from_ms, to_ms; /* it ends in between */
	} rows[] = {
#define DOWN IPC_ERROR_PROVIDER_DOWN
#define UP IPC_ERROR_UPSTREAM
	    {TOKEN_NOT_SENT, DOWN, DOWN, DOWN, HOLDOFF_FIRST_MS - 1, HOLDOFF_FIRST_MS * 5 / 4},
	    {TOKEN_UNKNOWN, DOWN, DOWN, DOWN, HOLDOFF_FIRST_MS - 1, HOLDOFF_FIRST_MS * 5 / 4},
	    {TOKEN_CLIENT_BROKEN, UP, UP, UP, HOLDOFF_FIRST_MS - 1, HOLDOFF_FIRST_MS * 5 / 4},
	    {TOKEN_THROTTLED, DOWN, DOWN, DOWN, 6999, 7000 * 5 / 4},
	    {TOKEN_MISCONFIGURED, UP, 0, UP, HOLDOFF_SERVICE_MS - 1, HOLDOFF_SERVICE_MS * 5 / 4},
	    {TOKEN_INTERACTION, IPC_ERROR_REAUTHENTICATE, 0, 0, REFUSAL_FIRST_MS - 1,
	     REFUSAL_FIRST_MS * 5 / 4},
	    {TOKEN_TOO_OFTEN, DOWN, 0, 0, REFUSAL_FIRST_MS - 1, REFUSAL_FIRST_MS * 5 / 4},
	    {TOKEN_DEAD, 0, 0, 0, 0, 0},
#undef DOWN
#undef UP
	};
	uint32_t left_s = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct token_reply reply = {
		    .outcome = rows[i].outcome, .detail = "word", .retry_after_s = 7};

		memset(&stand.edition.holdoffs, 0, sizeof stand.edition.holdoffs);
		memset(grant_table_refusals(stand.broker.grants), 0, sizeof(struct refusals));
		stand.random = 128;
		stand_to_provider("res");
		stand_reply(ERR_OK, &reply);
		stand_bool(true);
		memset(&stand.got, 0, sizeof stand.got);
		assert_int_equal(held("res", STAND_ID, &left_s), rows[i].res);
		assert_int_equal(held("other", STAND_ID, &left_s), rows[i].other);
		assert_int_equal(held("res", "another grant...", &left_s), rows[i].res_of_another);
		if (rows[i].res == IPC_ERROR_NONE)
			continue;
		stand.now_ms += rows[i].from_ms;
		assert_int_equal(held("res", STAND_ID, &left_s), rows[i].res);
		stand.now_ms += rows[i].to_ms - rows[i].from_ms;
		assert_int_equal(held("res", STAND_ID, &left_s), IPC_ERROR_NONE);
	}
}

/* An answer of any kind shows that the endpoint lives; a success forgets all. */
static void what_forgets(void **state)
{
	const struct token_reply ok = stand_success("at", "rt-2");
	uint32_t left_s = 0;

	(void)state;
	for (int i = 0; i < 5; i++) { /* longer each time */
		stand_to_provider("res");
		stand_outcome(TOKEN_UNKNOWN, "timeout");
		stand_bool(true);
		stand.now_ms += HOLDOFF_MAX_MS * 2;
	}
	memset(&stand.got, 0, sizeof stand.got);
	stand_to_provider("other");
	stand_reply(ERR_OK, &ok);
	stand_bool(true);
	stand_reads("other", "at", 300000);
	assert_answered("at");
	stand_to_provider("res");
	stand_outcome(TOKEN_UNKNOWN, "timeout");
	stand_bool(true);
	stand.now_ms += HOLDOFF_FIRST_MS;
	assert_int_equal(held("res", STAND_ID, &left_s), IPC_ERROR_NONE);
}

/* Of many grants that find the time over, one asks. */
static void one_probe(void **state)
{
	struct stand_ask a;
	struct request *r = stand_request();

	(void)state;
	stand_to_provider("res");
	stand_outcome(TOKEN_UNKNOWN, "timeout");
	stand_bool(true);
	memset(&stand.got, 0, sizeof stand.got);
	stand.now_ms += HOLDOFF_FIRST_MS;
	stand_to_provider("res");
	assert_int_equal(stand.calls.n, 1);
	stand_ask_for(&a, "res");
	a.ask.grant_id = SV("another grant...");
	grant_table_ask(stand.broker.grants, &a.ask, &r);
	stand_reads("res", NULL, 0);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "held_off");
	assert_int_equal(stand.calls.n, 1);
}

/* Holdoffs of a service are not those of the login's own token, which an exchange renews. */
static void the_logins_own_token_is_no_service(void **state)
{
	uint32_t left_s = 0;

	(void)state;
	stand_want("ex");
	stand_reads("ex", NULL, 0);
	stand_reads(NULL, NULL, 0);
	stand_leases(true, 1, 0);
	stand_outcome(TOKEN_MISCONFIGURED, "invalid_scope");
	stand_bool(true);
	assert_failed(IPC_ERROR_UPSTREAM, "invalid_scope");
	assert_int_equal(held("ex", STAND_ID, &left_s), IPC_ERROR_UPSTREAM);
	assert_int_equal(held("ex", "another grant...", &left_s), IPC_ERROR_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAND(who_is_held_off),
	    STAND(what_forgets),
	    STAND(one_probe),
	    STAND(the_logins_own_token_is_no_service),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/grant_table.h"

#include "tests/unit/broker/token_stand.h"

static void busy_while_a_job_is_under_way(void **state)
{
	struct stand_ask res, other, id_token;

	(void)state;
	stand_ask_for(&res, "res");
	stand_ask_for(&other, "other");
	assert_false(grant_table_busy(stand.broker.grants, &res.ask));
	stand_want("res");
	assert_true(grant_table_busy(stand.broker.grants, &res.ask));
	assert_false(grant_table_busy(stand.broker.grants, &other.ask));
	/* A check is not what a request joins. */
	id_token = res;
	id_token.ask.digest = id_token.digest;
	id_token.ask.kind = GRANT_JOB_CHECK;
	assert_false(grant_table_busy(stand.broker.grants, &id_token.ask));
	stand_reads("res", "at", 200000);
	assert_answered("at");
	assert_false(grant_table_busy(stand.broker.grants, &res.ask));
}

/* Every id has a chain, however alike they are, and leaves it again. */
static void many_grants(void **state)
{
	enum { N = 3 * STAND_MAX };
	struct stand_ask a;

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		char id[8];

		stand_ask_for(&a, "res");
		(void)snprintf(id, sizeof id, "same%u", i); /* one chain */
		a.ask.grant_id = sv_str(id);
		grant_table_ask(stand.broker.grants, &a.ask, NULL);
		assert_int_equal(grant_table_count(stand.broker.grants), i % STAND_MAX + 1);
		if (fake_nasked < STAND_MAX)
			continue;
		while (fake_nasked > 0)
			fake_answer(ERR_UNAVAILABLE, NULL);
		assert_int_equal(grant_table_count(stand.broker.grants), 0);
	}
}

static void an_id_that_is_none(void **state)
{
	static const char long_id[TOKEN_GRANT_ID_MAX + 1] = {1};
	struct stand_ask a;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct request *r = stand_request();

		stand_ask_for(&a, "res");
		a.ask.grant_id = i == 0 ? SV_NONE : sv_of(long_id, sizeof long_id);
		grant_table_ask(stand.broker.grants, &a.ask, &r);
		assert_failed(IPC_ERROR_PROVIDER_DOWN, "too_many_grants");
	}
}

static void the_last_one_ends_a_drain(void **state)
{
	(void)state;
	stand_want("res");
	stand.broker.draining = true;
	assert_int_equal(stand.drained, 0);
	stand_reads("res", "at", 200000);
	assert_answered("at");
	assert_int_equal(stand.drained, 1);
}

/* At the end of the process what is left is freed, and everybody is told. */
static void what_is_left(void **state)
{
	(void)state;
	stand_want("res");
	stand_want("other");
	fake_nasked = 0;
	stand.broker.stopping = true;
	grant_table_free(&stand.broker.grants);
	assert_null(stand.broker.grants);
	assert_int_equal(stand.got.failures, 2);
	assert_string_equal(stand.got.detail, "stopping");
	grant_table_free(&stand.broker.grants);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAND(busy_while_a_job_is_under_way), STAND(many_grants),  STAND(an_id_that_is_none),
	    STAND(the_last_one_ends_a_drain),	  STAND(what_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

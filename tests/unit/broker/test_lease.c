#include "broker/lease.h"

#include "tests/unit/unit.h"

static void who_may_send(void **state)
{
	const struct {
		struct lease_row row;
		bool rotates;
		enum lease_start want;
	} cases[] = {
	    {{.leased = true, .attempts = 1, .live = true}, true, LEASE_SEND},
	    {{.leased = true, .attempts = 2, .live = true}, true, LEASE_SEND},
	    {{.leased = true, .attempts = 3, .live = true}, true, LEASE_EXHAUSTED},
	    {{.leased = true, .attempts = 9, .live = true}, false, LEASE_SEND},
	    {{.leased = false, .attempts = 1, .live = true}, true, LEASE_LOST},
	    {{.leased = false, .attempts = 3, .live = true}, true, LEASE_LOST},
	    {{.leased = false, .live = false}, true, LEASE_ENDED},
	    {{.leased = true, .attempts = 1, .live = false}, true, LEASE_ENDED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(lease_judge_start(&cases[i].row, cases[i].rotates), cases[i].want);
}

static void the_last_look_before_the_first_byte(void **state)
{
	const struct lease l = {.asked_at_ms = 1000};
	const int64_t last = 1000 + TIMEOUT_LEASE_MS - TIMEOUT_IDP_MS - LEASE_MARGIN_MS;

	(void)state;
	assert_true(lease_may_send(&l, 1000));
	assert_true(lease_may_send(&l, last - 1));
	assert_false(lease_may_send(&l, last));
	assert_false(lease_may_send(&l, INT64_C(1) << 40));
	assert_int_equal(lease_left_ms(&l, 1000 + TIMEOUT_LEASE_MS - 1), 1);
	assert_int_equal(lease_left_ms(&l, 1000 + TIMEOUT_LEASE_MS + 5), 0);
}

static void what_an_outcome_means(void **state)
{
	const struct {
		enum token_outcome outcome;
		int64_t attempts;
		bool rotates;
		struct lease_verdict want;
	} cases[] = {
	    {TOKEN_OK, 1, true, {LEASE_COMMIT, IPC_ERROR_NONE, LEASE_HOLDOFF_NONE}},
	    {TOKEN_OK, 2, true, {LEASE_COMMIT, IPC_ERROR_NONE, LEASE_HOLDOFF_NONE}},
	    {TOKEN_NOT_SENT,
	     1,
	     true,
	     {LEASE_GIVE_BACK, IPC_ERROR_PROVIDER_DOWN, LEASE_HOLDOFF_PROVIDER}},
	    {TOKEN_NOT_SENT,
	     2,
	     true,
	     {LEASE_GIVE_BACK, IPC_ERROR_PROVIDER_DOWN, LEASE_HOLDOFF_PROVIDER}},
	    {TOKEN_UNKNOWN,
	     1,
	     true,
	     {LEASE_GIVE_UP, IPC_ERROR_PROVIDER_DOWN, LEASE_HOLDOFF_PROVIDER}},
	    {TOKEN_UNKNOWN,
	     2,
	     true,
	     {LEASE_END_GRANT, IPC_ERROR_REAUTHENTICATE, LEASE_HOLDOFF_PROVIDER}},
	    {TOKEN_UNKNOWN,
	     2,
	     false,
	     {LEASE_GIVE_BACK, IPC_ERROR_PROVIDER_DOWN, LEASE_HOLDOFF_PROVIDER}},
	    {TOKEN_DEAD, 1, true, {LEASE_END_GRANT, IPC_ERROR_REAUTHENTICATE, LEASE_HOLDOFF_NONE}},
	    {TOKEN_MISCONFIGURED,
	     1,
	     true,
	     {LEASE_GIVE_UP, IPC_ERROR_UPSTREAM, LEASE_HOLDOFF_SERVICE}},
	    {TOKEN_INTERACTION,
	     1,
	     true,
	     {LEASE_GIVE_BACK, IPC_ERROR_REAUTHENTICATE, LEASE_HOLDOFF_NONE}},
	    {TOKEN_CLIENT_BROKEN,
	     1,
	     true,
	     {LEASE_GIVE_BACK, IPC_ERROR_UPSTREAM, LEASE_HOLDOFF_PROVIDER}},
	    {TOKEN_THROTTLED,
	     1,
	     true,
	     {LEASE_GIVE_BACK, IPC_ERROR_PROVIDER_DOWN, LEASE_HOLDOFF_THROTTLE}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct lease_verdict got =
		    lease_judge_outcome(cases[i].outcome, cases[i].attempts, cases[i].rotates);

		assert_int_equal(got.next, cases[i].want.next);
		assert_int_equal(got.answer, cases[i].want.answer);
		assert_int_equal(got.holdoff, cases[i].want.holdoff);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_may_send),
	    cmocka_unit_test(the_last_look_before_the_first_byte),
	    cmocka_unit_test(what_an_outcome_means),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

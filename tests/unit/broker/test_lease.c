#include "broker/lease.h"

#include "broker/holdoff.h"

#include "tests/unit/unit.h"

static void who_may_send(void **state)
{
	static const struct provider_traits rotating = {.rotates = true},
					    static_ = {.rotates = false},
					    grace = {.rotates = true, .grace_ms = 30000};
	static const struct {
		struct lease_row row;
		const struct provider_traits *traits;
		enum lease_start want;
		int64_t want_grace_until_ms;
	} cases[] = {
	    {{.leased = true, .attempts = 1, .live = true}, &rotating, LEASE_SEND, 0},
	    {{.leased = true, .attempts = 2, .live = true}, &rotating, LEASE_SEND, 0},
	    {{.leased = true, .attempts = 3, .live = true}, &rotating, LEASE_EXHAUSTED, 0},
	    {{.leased = true, .attempts = 9, .live = true}, &static_, LEASE_SEND, 0},
	    {{.leased = false, .attempts = 1, .live = true}, &rotating, LEASE_LOST, 0},
	    {{.leased = false, .attempts = 3, .live = true}, &rotating, LEASE_LOST, 0},
	    {{.leased = false, .live = false}, &rotating, LEASE_ENDED, 0},
	    {{.leased = true, .attempts = 1, .live = false}, &rotating, LEASE_ENDED, 0},
	    /* As long as the grace period lasts for certain; one repetition is left after it. */
	    {{.leased = true, .attempts = 3, .live = true, .since_first_ms = 10000},
	     &grace,
	     LEASE_SEND,
	     1000 + 30000 - 10000 - LEASE_GRACE_MARGIN_MS},
	    {{.leased = true, .attempts = 7, .live = true, .since_first_ms = 28999},
	     &grace,
	     LEASE_SEND,
	     1001},
	    {{.leased = true, .attempts = 3, .live = true, .since_first_ms = 29000},
	     &grace,
	     LEASE_EXHAUSTED,
	     0},
	    {{.leased = true, .attempts = 2, .live = true, .since_first_ms = 90000},
	     &grace,
	     LEASE_SEND,
	     0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct lease l = {.asked_at_ms = 1000, .grace_until_ms = 77};

		assert_int_equal(lease_judge_start(&l, &cases[i].row, cases[i].traits),
				 cases[i].want);
		assert_int_equal(l.grace_until_ms, cases[i].want_grace_until_ms);
		assert_int_equal(l.attempts, cases[i].row.attempts);
	}
}

/* Dex's sample configuration has 3 s: spared for 5 the repetition would come too late. */
static void the_last_attempt_is_spared_within_reason(void **state)
{
	static const struct provider_traits none = {.rotates = true}, static_ = {.rotates = false},
					    brief = {.rotates = true, .grace_ms = 3000},
					    grace = {.rotates = true, .grace_ms = 30000};
	static const struct {
		int64_t attempts, since_first_ms;
		const struct provider_traits *traits;
		bool want, want_last;
	} rows[] = {
	    {1, 0, &none, false, false},
	    {2, 600, &none, true, true},
	    {2, 600, &static_, false, false},
	    {2, 600, &brief, false, true},
	    {2, 2000, &brief, true, true}, /* over, less the margin */
	    {1, 0, &grace, false, false},
	    {2, 600, &grace, true, true},
	    {2, 29000 - HOLDOFF_SPARE_MS - 1, &grace, true, true},
	    {2, 29000 - HOLDOFF_SPARE_MS, &grace, false, true},
	    {2, 29000, &grace, true, true},
	    {3, 600, &grace, false, true}, /* the grace period allows it, not the count */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct lease_row row = {.leased = true,
					.live = true,
					.attempts = rows[i].attempts,
					.since_first_ms = rows[i].since_first_ms};
		struct lease l = {.asked_at_ms = 1000};

		(void)lease_judge_start(&l, &row, rows[i].traits);
		if (l.spared != rows[i].want || l.last != rows[i].want_last)
			fail_msg("row %zu", i);
	}
}

static void the_token_of_before(void **state)
{
	static const struct provider_traits grace = {.rotates = true, .grace_ms = 30000};
	struct lease l = {.attempts = 1, .asked_at_ms = 1000};

	(void)state;
	assert_true(lease_judge_previous(&l, 28999, 1500, &grace));
	assert_int_equal(l.attempts, 2);
	assert_int_equal(l.grace_until_ms, 1501);
	assert_false(lease_judge_previous(&l, 29000, 1500, &grace));
}

static void the_last_look_before_the_first_byte(void **state)
{
	const struct lease l = {.asked_at_ms = 1000};
	const struct lease in_grace = {.asked_at_ms = 1000, .grace_until_ms = 2000};
	const int64_t last = 1000 + TIMEOUT_LEASE_MS - TIMEOUT_IDP_MS - LEASE_MARGIN_MS;

	(void)state;
	assert_true(lease_may_send(&l, 1000));
	assert_true(lease_may_send(&l, last - 1));
	assert_false(lease_may_send(&l, last));
	assert_false(lease_may_send(&l, INT64_C(1) << 40));
	assert_true(lease_may_send(&in_grace, 1999));
	assert_false(lease_may_send(&in_grace, 2000));
	assert_int_equal(lease_left_ms(&l, 1000 + TIMEOUT_LEASE_MS - 1), 1);
	assert_int_equal(lease_left_ms(&l, 1000 + TIMEOUT_LEASE_MS + 5), 0);
}

static void what_a_reply_means(void **state)
{
#define DOWN IPC_ERROR_PROVIDER_DOWN
	static const struct {
		enum token_outcome outcome;
		bool successor;
		struct lease_verdict rotating, otherwise;
	} rows[] = {
	    {TOKEN_OK, true, {LEASE_COMMIT, 0, 0}, {LEASE_COMMIT, 0, 0}},
	    {TOKEN_NOT_SENT,
	     false,
	     {LEASE_UNUSED, DOWN, LEASE_HOLDOFF_PROVIDER},
	     {LEASE_UNUSED, DOWN, LEASE_HOLDOFF_PROVIDER}},
	    {TOKEN_UNKNOWN,
	     false,
	     {LEASE_UNKNOWN, DOWN, LEASE_HOLDOFF_PROVIDER},
	     {LEASE_UNUSED, DOWN, LEASE_HOLDOFF_PROVIDER}},
	    {TOKEN_DEAD,
	     false,
	     {LEASE_END_GRANT, IPC_ERROR_REAUTHENTICATE, LEASE_HOLDOFF_NONE},
	     {LEASE_END_GRANT, IPC_ERROR_REAUTHENTICATE, LEASE_HOLDOFF_NONE}},
	    {TOKEN_MISCONFIGURED,
	     false,
	     {LEASE_SUSPECT, IPC_ERROR_UPSTREAM, LEASE_HOLDOFF_SERVICE},
	     {LEASE_UNUSED, IPC_ERROR_UPSTREAM, LEASE_HOLDOFF_SERVICE}},
	    {TOKEN_MISCONFIGURED,
	     true,
	     {LEASE_COMMIT, IPC_ERROR_UPSTREAM, LEASE_HOLDOFF_GRANT},
	     {LEASE_COMMIT, IPC_ERROR_UPSTREAM, LEASE_HOLDOFF_GRANT}},
	    {TOKEN_INTERACTION,
	     false,
	     {LEASE_UNUSED, IPC_ERROR_REAUTHENTICATE, LEASE_HOLDOFF_GRANT},
	     {LEASE_UNUSED, IPC_ERROR_REAUTHENTICATE, LEASE_HOLDOFF_GRANT}},
	    {TOKEN_CLIENT_BROKEN,
	     false,
	     {LEASE_UNUSED, IPC_ERROR_UPSTREAM, LEASE_HOLDOFF_PROVIDER},
	     {LEASE_UNUSED, IPC_ERROR_UPSTREAM, LEASE_HOLDOFF_PROVIDER}},
	    {TOKEN_TOO_OFTEN,
	     false,
	     {LEASE_UNUSED, DOWN, LEASE_HOLDOFF_GRANT},
	     {LEASE_UNUSED, DOWN, LEASE_HOLDOFF_GRANT}},
	    {TOKEN_THROTTLED,
	     false,
	     {LEASE_UNUSED, DOWN, LEASE_HOLDOFF_THROTTLE},
	     {LEASE_UNUSED, DOWN, LEASE_HOLDOFF_THROTTLE}},
	};
#undef DOWN

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct token_reply reply = {.outcome = rows[i].outcome,
						  .refresh_token =
						      rows[i].successor ? SV("rt") : SV_NONE};

		for (int rotates = 0; rotates < 2; rotates++) {
			struct lease_verdict got = lease_judge_reply(&reply, rotates),
					     want = rotates ? rows[i].rotating : rows[i].otherwise;

			assert_int_equal(got.next, want.next);
			assert_int_equal(got.answer, want.answer);
			assert_int_equal(got.holdoff, want.holdoff);
		}
	}
}

static void the_words_for_what_became_of_it(void **state)
{
	(void)state;
	assert_sv_equal(lease_fate_word(LEASE_UNUSED), SV("unused"));
	assert_sv_equal(lease_fate_word(LEASE_UNKNOWN), SV("unknown"));
	assert_sv_equal(lease_fate_word(LEASE_SUSPECT), SV("suspect"));
	/* Never asked for; were it, the careful one. */
	assert_sv_equal(lease_fate_word(LEASE_COMMIT), SV("unknown"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_may_send),
	    cmocka_unit_test(the_last_attempt_is_spared_within_reason),
	    cmocka_unit_test(the_token_of_before),
	    cmocka_unit_test(the_last_look_before_the_first_byte),
	    cmocka_unit_test(what_a_reply_means),
	    cmocka_unit_test(the_words_for_what_became_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

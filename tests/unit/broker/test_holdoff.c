#include "broker/holdoff.h"

#include "tests/unit/unit.h"

static const int one, two;

static void failures_double_and_success_forgets(void **state)
{
	static struct holdoffs h;
	uint32_t left_s = 0;
	int64_t now = 1000, want = HOLDOFF_FIRST_MS;

	(void)state;
	for (int i = 0; i < 10; i++) {
		holdoff_failed(&h, &one, IPC_ERROR_PROVIDER_DOWN, now, 0);
		assert_int_equal(holdoff_judge(&h, &one, now + want - 1, &left_s),
				 IPC_ERROR_PROVIDER_DOWN);
		assert_true(left_s >= 1);
		assert_int_equal(holdoff_judge(&h, &one, now + want, &left_s), IPC_ERROR_NONE);
		assert_int_equal(holdoff_judge(&h, &two, now, &left_s), IPC_ERROR_NONE);
		now += want;
		want = want * 2 > HOLDOFF_MAX_MS ? HOLDOFF_MAX_MS : want * 2;
	}
	holdoff_clear(&h, &one);
	holdoff_failed(&h, &one, IPC_ERROR_PROVIDER_DOWN, now, 0);
	assert_int_equal(holdoff_judge(&h, &one, now + HOLDOFF_FIRST_MS, &left_s), IPC_ERROR_NONE);
}

static void jitter_adds_up_to_a_quarter(void **state)
{
	static struct holdoffs h;
	uint32_t left_s = 0;

	(void)state;
	holdoff_for(&h, &one, IPC_ERROR_UPSTREAM, 0, HOLDOFF_SERVICE_MS, 255);
	assert_int_equal(holdoff_judge(&h, &one, HOLDOFF_SERVICE_MS, &left_s), IPC_ERROR_UPSTREAM);
	assert_int_equal(holdoff_judge(&h, &one, HOLDOFF_SERVICE_MS * 5 / 4, &left_s),
			 IPC_ERROR_NONE);
}

static void a_full_table_gives_up_what_ends_first(void **state)
{
	static struct holdoffs h;
	static const char many[HOLDOFFS_MAX + 1];
	uint32_t left_s = 0;

	(void)state;
	for (int i = 0; i <= HOLDOFFS_MAX; i++)
		holdoff_for(&h, &many[i], IPC_ERROR_UPSTREAM, 0, 1000 + i, 0);
	assert_int_equal(holdoff_judge(&h, &many[0], 1, &left_s), IPC_ERROR_NONE);
	assert_int_equal(holdoff_judge(&h, &many[1], 1, &left_s), IPC_ERROR_UPSTREAM);
	assert_int_equal(holdoff_judge(&h, &many[HOLDOFFS_MAX], 1, &left_s), IPC_ERROR_UPSTREAM);
}

static void failures_of_what_was_sent_before_count_once(void **state)
{
	static struct holdoffs h;
	uint32_t left_s = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		holdoff_failed(&h, &one, IPC_ERROR_PROVIDER_DOWN, 1000 + i, 0);
	assert_int_equal(holdoff_judge(&h, &one, 1000 + HOLDOFF_FIRST_MS, &left_s), IPC_ERROR_NONE);
}

static void one_probe_at_a_time_and_only_success_closes(void **state)
{
	static struct holdoffs h;
	uint32_t left_s = 0;
	int64_t now = 1000 + HOLDOFF_FIRST_MS;

	(void)state;
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_ANY, 0, &left_s), IPC_ERROR_NONE);
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_ANY, 0, &left_s), IPC_ERROR_NONE);
	holdoff_failed(&h, &one, IPC_ERROR_PROVIDER_DOWN, 1000, 0);
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_ANY, now - 1, &left_s),
			 IPC_ERROR_PROVIDER_DOWN);
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_ANY, now, &left_s), IPC_ERROR_NONE);
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_ANY, now, &left_s),
			 IPC_ERROR_PROVIDER_DOWN);
	assert_int_equal(holdoff_judge(&h, &one, now, &left_s), IPC_ERROR_PROVIDER_DOWN);
	/* The probe fails: longer. */
	holdoff_failed(&h, &one, IPC_ERROR_PROVIDER_DOWN, now + 10, 0);
	assert_int_equal(
	    holdoff_admit(&h, &one, HOLDOFF_ANY, now + 9 + 2 * HOLDOFF_FIRST_MS, &left_s),
	    IPC_ERROR_PROVIDER_DOWN);
	now += 10 + 2 * HOLDOFF_FIRST_MS;
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_ANY, now, &left_s), IPC_ERROR_NONE);
	/* A probe that never says what became of it does not hold the others for ever. */
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_ANY, now + HOLDOFF_PROBE_MS - 1, &left_s),
			 IPC_ERROR_PROVIDER_DOWN);
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_ANY, now + HOLDOFF_PROBE_MS, &left_s),
			 IPC_ERROR_NONE);
	holdoff_clear(&h, &one);
	for (int i = 0; i < 3; i++)
		assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_ANY, now, &left_s),
				 IPC_ERROR_NONE);
}

static void an_answer_to_the_probe_ends_the_wait_and_proves_nothing(void **state)
{
	static struct holdoffs h;
	uint32_t left_s = 0;
	int64_t now = 1000 + HOLDOFF_FIRST_MS;

	(void)state;
	holdoff_failed(&h, &one, IPC_ERROR_PROVIDER_DOWN, 1000, 0);
	holdoff_answered(&h, &one); /* to what was sent before */
	assert_int_equal(holdoff_judge(&h, &one, 1001, &left_s), IPC_ERROR_PROVIDER_DOWN);
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_ANY, now, &left_s), IPC_ERROR_NONE);
	holdoff_answered(&h, &one);
	assert_int_equal(holdoff_judge(&h, &one, now, &left_s), IPC_ERROR_NONE);
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_WHEN_WELL, now, &left_s),
			 IPC_ERROR_PROVIDER_DOWN);
	holdoff_answered(&h, &two); /* unknown: nothing to do */
}

/* Neither opens, nor closes, nor lasts longer for it: the next one asks. */
static void an_answer_that_says_nothing_changes_nothing(void **state)
{
	static struct holdoffs h;
	uint32_t left_s = 0;

	(void)state;
	h = (struct holdoffs){0};
	holdoff_doubtful(&h, &one, 1000);
	assert_int_equal(holdoff_judge(&h, &one, 1000, &left_s), IPC_ERROR_NONE);
	holdoff_failed(&h, &one, IPC_ERROR_PROVIDER_DOWN, 1000, 0);
	holdoff_doubtful(&h, &one, 1001); /* to what was sent before */
	assert_int_equal(holdoff_judge(&h, &one, 1001, &left_s), IPC_ERROR_PROVIDER_DOWN);
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_ANY, 1500, &left_s), IPC_ERROR_NONE);
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_ANY, 1501, &left_s),
			 IPC_ERROR_PROVIDER_DOWN);
	holdoff_doubtful(&h, &one, 1502);
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_ANY, 1502, &left_s), IPC_ERROR_NONE);
	holdoff_failed(&h, &one, IPC_ERROR_PROVIDER_DOWN, 1503, 0);
	assert_int_equal(holdoff_judge(&h, &one, 1503 + 2 * HOLDOFF_FIRST_MS - 1, &left_s),
			 IPC_ERROR_PROVIDER_DOWN); /* the second one of a streak */
}

static void a_last_attempt_is_not_the_first_probe(void **state)
{
	static struct holdoffs h;
	uint32_t left_s = 0;
	int64_t now = 1000 + HOLDOFF_FIRST_MS;

	(void)state;
	holdoff_failed(&h, &one, IPC_ERROR_PROVIDER_DOWN, 1000, 0);
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_LAST_ATTEMPT, now, &left_s),
			 IPC_ERROR_PROVIDER_DOWN);
	assert_int_equal(left_s, HOLDOFF_SPARE_MS / 1000);
	assert_int_equal(
	    holdoff_admit(&h, &one, HOLDOFF_LAST_ATTEMPT, now + HOLDOFF_SPARE_MS - 1, &left_s),
	    IPC_ERROR_PROVIDER_DOWN);
	assert_int_equal(
	    holdoff_admit(&h, &one, HOLDOFF_LAST_ATTEMPT, now + HOLDOFF_SPARE_MS, &left_s),
	    IPC_ERROR_NONE);
	holdoff_clear(&h, &one);
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_LAST_ATTEMPT, now, &left_s),
			 IPC_ERROR_NONE);
}

static void what_nobody_waits_for_wants_a_proof(void **state)
{
	static struct holdoffs h;
	uint32_t left_s = 0;

	(void)state;
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_WHEN_WELL, 1000, &left_s),
			 IPC_ERROR_PROVIDER_DOWN);
	assert_int_equal(left_s, 1);
	holdoff_well(&h, &one, 1000);
	holdoff_well(&h, &two, 1000);
	/* Of no use to the others. */
	assert_int_equal(holdoff_judge(&h, &one, 1000, &left_s), IPC_ERROR_NONE);
	for (int i = 0; i < 2; i++)
		assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_LAST_ATTEMPT, 1000, &left_s),
				 IPC_ERROR_NONE);
	assert_int_equal(
	    holdoff_admit(&h, &one, HOLDOFF_WHEN_WELL, 1000 + HOLDOFF_WELL_MS - 1, &left_s),
	    IPC_ERROR_NONE);
	assert_int_equal(
	    holdoff_admit(&h, &one, HOLDOFF_WHEN_WELL, 1000 + HOLDOFF_WELL_MS, &left_s),
	    IPC_ERROR_PROVIDER_DOWN);
	/* A failure takes it away, for as long as nobody else was answered. */
	holdoff_failed(&h, &one, IPC_ERROR_UPSTREAM, 1000, 0);
	assert_int_equal(
	    holdoff_admit(&h, &one, HOLDOFF_WHEN_WELL, 1000 + HOLDOFF_FIRST_MS, &left_s),
	    IPC_ERROR_UPSTREAM);
	assert_int_equal(holdoff_admit(&h, &one, HOLDOFF_ANY, 1000 + HOLDOFF_FIRST_MS, &left_s),
			 IPC_ERROR_NONE); /* it was not the probe */
	assert_int_equal(holdoff_admit(&h, &two, HOLDOFF_WHEN_WELL, 2000, &left_s), IPC_ERROR_NONE);
}

static void a_proof_takes_nobodys_place(void **state)
{
	static struct holdoffs h;
	static const char many[HOLDOFFS_MAX];
	uint32_t left_s = 0;

	(void)state;
	for (int i = 0; i < HOLDOFFS_MAX; i++)
		holdoff_for(&h, &many[i], IPC_ERROR_UPSTREAM, 0, 1000 + i, 0);
	holdoff_well(&h, &one, 0);
	assert_int_equal(holdoff_judge(&h, &many[0], 1, &left_s), IPC_ERROR_UPSTREAM);
}

static void a_shorter_throttle_does_not_shorten(void **state)
{
	static struct holdoffs h;
	uint32_t left_s = 0;

	(void)state;
	holdoff_for(&h, &one, IPC_ERROR_PROVIDER_DOWN, 0, 60000, 0);
	holdoff_for(&h, &one, IPC_ERROR_PROVIDER_DOWN, 0, 1000, 0);
	assert_int_equal(holdoff_judge(&h, &one, 59999, &left_s), IPC_ERROR_PROVIDER_DOWN);
	assert_int_equal(left_s, 1);
}

static void refusals_last_5_to_30_seconds(void **state)
{
	static struct refusals r;
	static const struct {
		int64_t shortest_ms, longest_ms;
	} rows[] = {{5000, 6250}, {10000, 12500}, {20000, 25000}, {24000, 30000}, {24000, 30000}};
	uint32_t left_s = 0;
	int64_t now = 1000;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct refusals with_jitter = r;

		refusal_failed(&r, 7, IPC_ERROR_UPSTREAM, now, 0);
		assert_int_equal(refusal_judge(&r, 7, now + rows[i].shortest_ms - 1, &left_s),
				 IPC_ERROR_UPSTREAM);
		assert_int_equal(left_s, 1);
		assert_int_equal(refusal_judge(&r, 7, now + rows[i].shortest_ms, &left_s),
				 IPC_ERROR_NONE);
		refusal_failed(&with_jitter, 7, IPC_ERROR_UPSTREAM, now, 255);
		assert_int_equal(refusal_judge(&with_jitter, 7, now + rows[i].shortest_ms, &left_s),
				 IPC_ERROR_UPSTREAM);
		assert_int_equal(refusal_judge(&with_jitter, 7, now + rows[i].longest_ms, &left_s),
				 IPC_ERROR_NONE);
		assert_int_equal(refusal_judge(&r, 8, now, &left_s), IPC_ERROR_NONE);
		now += rows[i].shortest_ms;
	}
	refusal_failed(&r, 7, IPC_ERROR_UPSTREAM, now, 0);
	refusal_clear(&r, 7 + REFUSALS_MAX); /* another key of the same place */
	assert_int_equal(refusal_judge(&r, 7, now, &left_s), IPC_ERROR_UPSTREAM);
	refusal_clear(&r, 7);
	refusal_failed(&r, 7, IPC_ERROR_UPSTREAM, now, 0);
	assert_int_equal(refusal_judge(&r, 7, now + REFUSAL_FIRST_MS, &left_s), IPC_ERROR_NONE);
	/* The place goes to the newcomer, from the start. */
	refusal_failed(&r, 7 + REFUSALS_MAX, IPC_ERROR_UPSTREAM, now, 0);
	assert_int_equal(refusal_judge(&r, 7, now, &left_s), IPC_ERROR_NONE);
	assert_int_equal(refusal_judge(&r, 7 + REFUSALS_MAX, now + REFUSAL_FIRST_MS - 1, &left_s),
			 IPC_ERROR_UPSTREAM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(failures_double_and_success_forgets),
	    cmocka_unit_test(jitter_adds_up_to_a_quarter),
	    cmocka_unit_test(a_full_table_gives_up_what_ends_first),
	    cmocka_unit_test(failures_of_what_was_sent_before_count_once),
	    cmocka_unit_test(one_probe_at_a_time_and_only_success_closes),
	    cmocka_unit_test(an_answer_to_the_probe_ends_the_wait_and_proves_nothing),
	    cmocka_unit_test(an_answer_that_says_nothing_changes_nothing),
	    cmocka_unit_test(a_last_attempt_is_not_the_first_probe),
	    cmocka_unit_test(what_nobody_waits_for_wants_a_proof),
	    cmocka_unit_test(a_proof_takes_nobodys_place),
	    cmocka_unit_test(a_shorter_throttle_does_not_shorten),
	    cmocka_unit_test(refusals_last_5_to_30_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

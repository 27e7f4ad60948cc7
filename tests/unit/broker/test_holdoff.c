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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(failures_double_and_success_forgets),
	    cmocka_unit_test(jitter_adds_up_to_a_quarter),
	    cmocka_unit_test(a_full_table_gives_up_what_ends_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/rate_limit.h"

#include "tests/unit/unit.h"

static unsigned take_all(struct rate_limit *r, struct sv prefix, int64_t now_ms)
{
	unsigned n = 0;
	uint32_t retry_s = 0;

	while (n < 2 * LOGIN_ALL_BURST && rate_limit_take(r, prefix, now_ms, &retry_s))
		n++;
	assert_true(retry_s >= 1);
	return n;
}

static void a_prefix_has_a_burst_and_a_rate(void **state)
{
	struct rate_limit *r = NULL;

	(void)state;
	assert_int_equal(rate_limit_new(&r), ERR_OK);
	assert_int_equal(take_all(r, SV("192.0.2.0/24"), 1000), LOGIN_PREFIX_BURST);
	assert_int_equal(take_all(r, SV("192.0.2.0/24"), 1499), 0);
	assert_int_equal(take_all(r, SV("192.0.2.0/24"), 1500), 1);
	assert_int_equal(take_all(r, SV("192.0.2.0/24"), 11500), 10 * LOGIN_PREFIX_PER_SECOND);
	assert_int_equal(take_all(r, SV("198.51.100.0/24"), 11500), LOGIN_PREFIX_BURST);
	assert_int_equal(take_all(r, SV("192.0.2.0/24"), INT64_C(1) << 50), LOGIN_PREFIX_BURST);
	rate_limit_free(&r);
}

static void all_together_have_one_too(void **state)
{
	struct rate_limit *r = NULL;
	unsigned got = 0;
	uint32_t retry_s = 0;
	char prefix[16];

	(void)state;
	assert_int_equal(rate_limit_new(&r), ERR_OK);
	for (int i = 0; i < 3 * LOGIN_ALL_BURST; i++) {
		int n = snprintf(prefix, sizeof prefix, "p%d", i);

		got += rate_limit_take(r, sv_of(prefix, (size_t)n), 5000, &retry_s);
	}
	assert_int_equal(got, LOGIN_ALL_BURST);
	assert_int_equal(take_all(r, SV("late"), 5020), 20 * LOGIN_ALL_PER_SECOND / 1000);
	rate_limit_free(&r);
}

static void a_flood_of_prefixes_does_not_free_one_that_is_used_up(void **state)
{
	struct rate_limit *r = NULL;
	unsigned again = 0;
	uint32_t retry_s = 0;
	char prefix[16];

	(void)state;
	assert_int_equal(rate_limit_new(&r), ERR_OK);
	assert_int_equal(take_all(r, SV("used up"), 1000), LOGIN_PREFIX_BURST);
	for (int i = 0; i < 200000; i++) {
		int n = snprintf(prefix, sizeof prefix, "p%d", i);

		(void)rate_limit_take(r, sv_of(prefix, (size_t)n), 1000, &retry_s);
	}
	again = rate_limit_take(r, SV("used up"), 1000, &retry_s);
	assert_int_equal(again, 0);
	rate_limit_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_prefix_has_a_burst_and_a_rate),
	    cmocka_unit_test(all_together_have_one_too),
	    cmocka_unit_test(a_flood_of_prefixes_does_not_free_one_that_is_used_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

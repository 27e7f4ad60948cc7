#include "broker/provider_breaker.h"

#include "broker/holdoff.h"
#include "common/clock.h"
#include "tests/unit/unit.h"

#define T0 1000000
#define WALL_S 1700000000
/* With all of the jitter. */
#define HOLD_MOST_MS (PROVIDER_BREAKER_HOLD_MS + PROVIDER_BREAKER_HOLD_MS / 4)

static int tear_down(void **state)
{
	(void)state;
	clock_unset();
	return 0;
}

static void at(int64_t ms)
{
	clock_set(T0 + ms, WALL_S);
}

static struct provider_breaker opened(const char *retry_after)
{
	struct provider_breaker b = {0};

	at(0);
	for (unsigned i = 0; i < PROVIDER_BREAKER_FAILURES; i++)
		provider_breaker_failed(&b, sv_str(retry_after));
	return b;
}

static bool holds(const struct provider_breaker *b)
{
	uint32_t left_s = 0;
	bool held = provider_breaker_holds(b, &left_s);

	assert_true(held == (left_s > 0));
	return held;
}

static void one_failure_opens_nothing(void **state)
{
	struct provider_breaker b = {0};

	(void)state;
	at(0);
	assert_true(provider_breaker_admit(&b));
	for (unsigned i = 0; i < 10; i++) {
		provider_breaker_failed(&b, SV_NONE);
		assert_false(holds(&b));
		assert_true(provider_breaker_admit(&b));
		provider_breaker_answered(&b);
	}
}

static void two_in_a_row_hold_for_a_while(void **state)
{
	struct provider_breaker b = opened("");
	uint32_t left_s = 0;

	(void)state;
	assert_true(provider_breaker_holds(&b, &left_s));
	assert_in_range(left_s, 5, 7);
	at(PROVIDER_BREAKER_HOLD_MS - 1);
	assert_true(provider_breaker_holds(&b, &left_s));
	assert_in_range(left_s, 1, 2);
	assert_false(provider_breaker_admit(&b));
	at(HOLD_MOST_MS);
	assert_false(holds(&b));
}

/* Who only looks does not become the one. */
static void one_finds_out_for_all(void **state)
{
	struct provider_breaker b = opened("");

	(void)state;
	at(HOLD_MOST_MS);
	assert_false(holds(&b));
	assert_true(provider_breaker_admit(&b));
	assert_true(holds(&b));
	assert_false(provider_breaker_admit(&b));
	at(HOLD_MOST_MS + HOLDOFF_PROBE_MS - 1);
	assert_false(provider_breaker_admit(&b));
	at(HOLD_MOST_MS + HOLDOFF_PROBE_MS); /* it never came back */
	assert_true(provider_breaker_admit(&b));
	provider_breaker_failed(&b, SV_NONE);
	assert_true(holds(&b));
	at(2 * HOLD_MOST_MS + HOLDOFF_PROBE_MS);
	assert_true(provider_breaker_admit(&b));
	provider_breaker_answered(&b);
	assert_false(holds(&b));
	provider_breaker_failed(&b, SV_NONE); /* from the beginning */
	assert_true(provider_breaker_admit(&b));
}

static void a_longer_retry_after_counts(void **state)
{
	struct provider_breaker b = opened("200");

	(void)state;
	at(199999);
	assert_false(provider_breaker_admit(&b));
	at(200000);
	assert_true(provider_breaker_admit(&b));
}

#define TEST(fn) cmocka_unit_test_teardown(fn, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(one_failure_opens_nothing),
	    TEST(two_in_a_row_hold_for_a_while),
	    TEST(one_finds_out_for_all),
	    TEST(a_longer_retry_after_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

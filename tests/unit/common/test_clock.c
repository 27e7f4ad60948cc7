#include "common/clock.h"

#include "tests/unit/unit.h"

static void a_set_clock_stands_still_and_comes_back(void **state)
{
	int64_t real = clock_boot_ms();

	(void)state;
	clock_set(42, 43);
	assert_int_equal(clock_boot_ms(), 42);
	assert_int_equal(clock_boot_us(), 42000);
	assert_int_equal(clock_wall_s(), 43);
	assert_int_equal(clock_tick_ms(), 42);
	clock_unset();
	assert_true(clock_boot_ms() >= real);
	assert_true(clock_boot_us() / 1000 - clock_boot_ms() <= 0);
	assert_true(clock_boot_us() / 1000 >= real);
	assert_true(clock_wall_s() > 1700000000);
}

static void ticks_go_on(void **state)
{
	int64_t first = clock_tick_ms();

	(void)state;
	while (clock_tick_ms() == first)
		;
	assert_true(clock_tick_ms() > first);
}

static void milliseconds_of_a_timer(void **state)
{
	struct timeval got = clock_timeval(61234);

	(void)state;
	assert_int_equal(got.tv_sec, 61);
	assert_int_equal(got.tv_usec, 234000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_set_clock_stands_still_and_comes_back),
	    cmocka_unit_test(ticks_go_on),
	    cmocka_unit_test(milliseconds_of_a_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

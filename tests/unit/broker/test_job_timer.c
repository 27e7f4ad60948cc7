#include "broker/job_timer.h"

#include "common/clock.h"
#include "tests/unit/unit.h"

static void delays_double_up_to_their_limit(void **state)
{
	static const struct job_delays d = {.first_ms = 1000, .max_ms = 6000};
	static const struct {
		int64_t tries;
		uint32_t retry_after_s;
		unsigned char random;
		int64_t want_ms;
	} rows[] = {
	    {0, 0, 0, 1000},  {1, 0, 0, 1000},		{2, 0, 0, 2000},   {3, 0, 0, 4000},
	    {4, 0, 0, 6000},  {INT64_MAX, 0, 0, 6000},	{1, 3, 0, 3000},   {3, 3, 0, 4000},
	    {1, 60, 0, 6000}, {1, UINT32_MAX, 0, 6000}, {1, 0, 128, 1125}, {4, 0, 255, 7494},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(
		    job_delay_ms(&d, rows[i].tries, rows[i].retry_after_s, rows[i].random),
		    rows[i].want_ms);
}

static void never(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* Of a hundred waits none is shorter than asked for, or over a quarter longer, and not all are
 * alike. */
static void a_timer_has_jitter(void **state)
{
	struct event_base *base = event_base_new();
	struct event *timer = evtimer_new(base, never, NULL);
	double least = 1e9, most = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct timeval now, at;
		double s;

		event_base_update_cache_time(base);
		assert_int_equal(event_base_gettimeofday_cached(base, &now), 0);
		job_timer_set(timer, 100000);
		assert_true(evtimer_pending(timer, &at));
		s = (double)(at.tv_sec - now.tv_sec) + (double)(at.tv_usec - now.tv_usec) / 1e6;
		least = s < least ? s : least;
		most = s > most ? s : most;
	}
	assert_true(least > 99 && most < 126);
	assert_true(most - least > 5);
	event_free(timer);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(delays_double_up_to_their_limit),
	    cmocka_unit_test(a_timer_has_jitter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

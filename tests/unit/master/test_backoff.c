#include "tests/unit/unit.h"

#include "master/backoff.h"

static void delays_follow_the_deaths(void **state)
{
	static const struct {
		enum backoff_death how[10];
		int64_t want_ms[10];
	} rows[] = {
	    {{BACKOFF_BEFORE_READY, BACKOFF_BEFORE_READY, BACKOFF_BEFORE_READY,
	      BACKOFF_BEFORE_READY, BACKOFF_BEFORE_READY, BACKOFF_BEFORE_READY,
	      BACKOFF_BEFORE_READY, BACKOFF_BEFORE_READY},
	     {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000}},
	    {{BACKOFF_SOON, BACKOFF_SOON, BACKOFF_SOON, BACKOFF_SOON}, {0, 500, 1000, 2000}},
	    {{BACKOFF_SETTLED, BACKOFF_SETTLED, BACKOFF_SETTLED}, {0, 0, 0}},
	    /* a good start forgives */
	    {{BACKOFF_BEFORE_READY, BACKOFF_BEFORE_READY, BACKOFF_SETTLED, BACKOFF_BEFORE_READY},
	     {500, 1000, 0, 500}},
	    {{BACKOFF_SOON, BACKOFF_BEFORE_READY, BACKOFF_SOON}, {0, 1000, 1000}},
	    /* configuration: rarely, from the first time on */
	    {{BACKOFF_CONFIG, BACKOFF_CONFIG, BACKOFF_BEFORE_READY}, {60000, 60000, 2000}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct backoff b = {0};

		for (size_t j = 0; j < ARRAY_LEN(rows[i].how) && rows[i].how[j] != 0; j++) {
			int64_t got_ms = backoff_next_ms(&b, rows[i].how[j]);

			if (got_ms != rows[i].want_ms[j])
				fail_msg("row %zu, death %zu: got %lld", i, j, (long long)got_ms);
		}
	}
}

static void the_count_does_not_wrap(void **state)
{
	struct backoff b = {.failures = UINT32_MAX};

	(void)state;
	assert_int_equal(backoff_next_ms(&b, BACKOFF_BEFORE_READY), BACKOFF_MOST_MS);
	assert_int_equal(b.failures, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(delays_follow_the_deaths),
	    cmocka_unit_test(the_count_does_not_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/revocation.h"

#include "tests/unit/unit.h"

static void delays_grow_to_their_limit(void **state)
{
	static const struct {
		int64_t tries;
		uint32_t retry_after_s;
		unsigned char random;
		int64_t want_ms;
	} rows[] = {
	    {1, 0, 0, 5000},	   {2, 0, 0, 10000},	   {3, 0, 0, 20000},
	    {1, 60, 0, 60000},	   {4, 1, 0, 40000},	   {11, 0, 0, 3600000},
	    {1000, 0, 0, 3600000}, {1, 86400, 0, 3600000}, {1, 0, 255, 5000 + 5000 * 255 / 1024},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(
		    revocation_delay_ms(rows[i].tries, rows[i].retry_after_s, rows[i].random),
		    rows[i].want_ms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(delays_grow_to_their_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

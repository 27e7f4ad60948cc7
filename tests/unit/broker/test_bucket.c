#include "broker/bucket.h"

#include "tests/unit/unit.h"

static void a_burst_then_one_each_so_often(void **state)
{
	static const struct {
		int64_t at_ms;
		bool want;
	} rows[] = {
	    {1000, true},     {1000, true},
	    {1000, false},    {60999, false},
	    {61000, true},    {61000, false},
	    {120999, false},  {121000, true},
	    {9000000, true},  {9000000, true},
	    {9000000, false}, {8000000, false} /* a clock that goes back gives nothing */,
	    {9059999, false}, {9060000, true},
	};
	struct bucket b;

	(void)state;
	bucket_init(&b, 2, 60000, 1000);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(bucket_take(&b, rows[i].at_ms), rows[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_burst_then_one_each_so_often)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

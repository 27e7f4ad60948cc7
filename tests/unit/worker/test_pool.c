#include "worker/pool.h"

#include "tests/unit/torture.h"
#include "tests/unit/unit.h"

#define SIZE 100

static void what_is_put_back_is_given_again(void **state)
{
	struct pool p;
	void *a, *b;

	(void)state;
	pool_init(&p, SIZE, 2);
	a = pool_get(&p, SIZE);
	b = pool_get(&p, SIZE);
	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_not_equal(a, b);
	pool_put(&p, a);
	assert_int_equal(p.n, 1);
	torture_state.at = 1; /* no allocation from here on */
	torture_state.seen = 0;
	assert_ptr_equal(pool_get(&p, SIZE), a);
	pool_put(&p, a);
	pool_put(&p, b);
	assert_ptr_equal(pool_get(&p, SIZE), b);
	assert_ptr_equal(pool_get(&p, SIZE), a);
	assert_int_equal(torture_state.seen, 0);
	torture_state.at = 0;
	pool_put(&p, a);
	pool_put(&p, b);
	pool_put(&p, NULL);
	pool_done(&p);
}

static void it_keeps_so_many(void **state)
{
	struct pool p, none = {0};
	void *pieces[4];

	(void)state;
	pool_init(&p, SIZE, 2);
	for (size_t i = 0; i < 4; i++)
		pieces[i] = pool_get(&p, SIZE);
	for (size_t i = 0; i < 4; i++)
		pool_put(&p, pieces[i]);
	assert_int_equal(p.n, 2);
	pool_done(&p);
	assert_int_equal(p.n, 0);
	pool_put(&p, pool_get(&p, SIZE)); /* it keeps none any more */
	assert_int_equal(p.n, 0);
	pool_put(&none, pool_get(&none, SIZE));
	assert_int_equal(none.n, 0);
}

static void without_memory_there_is_none(void **state)
{
	struct pool p;

	(void)state;
	pool_init(&p, SIZE, 2);
	torture_state.at = 1;
	torture_state.seen = 0;
	assert_null(pool_get(&p, SIZE));
	torture_state.at = 0;
	pool_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_put_back_is_given_again),
	    cmocka_unit_test(it_keeps_so_many),
	    cmocka_unit_test(without_memory_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

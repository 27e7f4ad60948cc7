#include "common/buf.h"

#include "tests/unit/unit.h"

static void appends_until_the_limit_and_keeps_what_was_there(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 600);
	for (int i = 0; i < 60; i++)
		buf_add(&b, SV("0123456789"));
	assert_true(buf_ok(&b));
	assert_int_equal(b.n, 600);
	buf_add_char(&b, 'x');
	assert_false(buf_ok(&b));
	assert_int_equal(b.n, 600);
	buf_add(&b, SV("")); /* nothing after a failure */
	assert_false(buf_ok(&b));
	buf_clear(&b);
	assert_true(buf_ok(&b));
	buf_done(&b);
}

static void numbers_and_formats(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_add_u64(&b, 0);
	buf_add_char(&b, ' ');
	buf_add_u64(&b, UINT64_MAX);
	buf_addf(&b, " %s-%d", "a", 7);
	assert_sv_equal(buf_sv(&b), SV("0 18446744073709551615 a-7"));
	buf_consume(&b, 2);
	assert_sv_equal(buf_sv(&b), SV("18446744073709551615 a-7"));
	buf_consume(&b, 999);
	assert_int_equal(b.n, 0);
	buf_done(&b);
}

static void clearing_and_consuming_wipe(void **state)
{
	struct buf b;
	char *at;

	(void)state;
	buf_init(&b, 100);
	buf_add(&b, SV("secret-token"));
	at = b.p;
	buf_consume(&b, 7);
	assert_memory_equal(at, "token\0\0\0\0\0\0\0", 12);
	buf_clear(&b);
	assert_memory_equal(at, "\0\0\0\0\0", 5);
	buf_done(&b);
	buf_done(&b); /* again, and on an empty one */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(appends_until_the_limit_and_keeps_what_was_there),
	    cmocka_unit_test(numbers_and_formats),
	    cmocka_unit_test(clearing_and_consuming_wipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

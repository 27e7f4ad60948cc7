#include "common/buf.h"

#include "tests/unit/torture.h"

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

/* Without memory the content is as it was before the append that failed. */
static enum err attempt(void *arg)
{
	struct buf b;
	enum err err;

	(void)arg;
	buf_init(&b, 100000);
	for (int i = 0; i < 5000; i++)
		buf_add(&b, SV("0123456789"));
	buf_addf(&b, "%s", "0123456789");
	err = buf_ok(&b) ? ERR_OK : ERR_NOMEM;
	assert_int_equal(b.n % 10, 0);
	for (size_t i = 0; i < b.n; i += 10)
		assert_memory_equal(b.p + i, "0123456789", 10);
	buf_done(&b);
	return err;
}

static void memory_is_lent_and_taken_back_wiped(void **state)
{
	struct buf b;
	char *p = malloc(300), *other;

	(void)state;
	assert_non_null(p);
	buf_init(&b, 1000);
	buf_lend(&b, p, 300);
	buf_add(&b, SV("secret"));
	assert_ptr_equal(b.p, p);
	assert_ptr_equal(buf_take_back(&b, 300), p);
	assert_memory_equal(p, "\0\0\0\0\0\0", 6);
	assert_null(b.p);
	assert_null(buf_take_back(&b, 300)); /* it has none */
	buf_lend(&b, p, 300);
	for (unsigned i = 0; i < 50; i++)
		buf_add(&b, SV("0123456789")); /* grows beyond: another memory */
	assert_null(buf_take_back(&b, 300));
	assert_null(b.p);
	buf_add(&b, SV("x")); /* may be used again, with memory of its own */
	assert_sv_equal(buf_sv(&b), SV("x"));
	other = buf_take_back(&b, b.cap);
	assert_non_null(other);
	free(other);
	buf_lend(&b, NULL, 300);
	assert_null(b.p);
	buf_done(&b);
}

static void without_memory_nothing_is_appended(void **state)
{
	(void)state;
	assert_true(torture(attempt, NULL) >= 8);
}

static void bytes_as_digits(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 12);
	buf_add_hex(&b, SV("\x00\xfeZ"));
	buf_add_escaped(&b, '\xaf');
	buf_add_escaped(&b, '\n');
	assert_sv_equal(buf_sv(&b), SV("00fe5a%AF%0A"));
	buf_add_hex(&b, SV("a"));
	assert_false(buf_ok(&b));
	assert_int_equal(b.n, 12);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bytes_as_digits),
	    cmocka_unit_test(appends_until_the_limit_and_keeps_what_was_there),
	    cmocka_unit_test(numbers_and_formats),
	    cmocka_unit_test(clearing_and_consuming_wipe),
	    cmocka_unit_test(memory_is_lent_and_taken_back_wiped),
	    cmocka_unit_test(without_memory_nothing_is_appended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

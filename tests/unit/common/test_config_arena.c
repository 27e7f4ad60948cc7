#include "common/config_arena.h"

#include <stdalign.h>

#include "tests/unit/torture.h"

static void test_memory_is_zeroed_and_aligned(void **state)
{
	struct config_arena a = {0};

	(void)state;
	for (size_t n = 0; n < 40000; n = n * 3 + 1) {
		char *p = config_alloc(&a, n);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, n);
	}
	config_arena_done(&a);
	config_arena_done(&a);
}

static void test_overflow_is_refused(void **state)
{
	struct config_arena a = {0};

	(void)state;
	assert_null(config_alloc(&a, SIZE_MAX));
	assert_null(config_alloc_array(&a, SIZE_MAX / 2, 3));
	config_arena_done(&a);
}

static void test_copies_end_in_nul(void **state)
{
	struct config_arena a = {0};
	struct sv got;

	(void)state;
	assert_int_equal(config_copy(&a, sv_of("abcd", 3), &got), ERR_OK);
	assert_int_equal(got.n, 3);
	assert_string_equal(got.p, "abc");
	assert_int_equal(config_copy(&a, SV_NONE, &got), ERR_OK);
	assert_string_equal(got.p, "");
	config_arena_done(&a);
}

static enum err attempt(void *arg)
{
	struct config_arena a = {0};
	enum err err = ERR_OK;

	(void)arg;
	for (size_t n = 1; err == ERR_OK && n < 40000; n = n * 3 + 1) {
		struct sv got = SV("before");

		err = config_alloc_array(&a, n, 3) == NULL ? ERR_NOMEM : ERR_OK;
		if (err == ERR_OK)
			err = config_copy(&a, SV("text"), &got);
		assert_true(err != ERR_OK || sv_eq(got, SV("text")));
	}
	config_arena_done(&a);
	return err;
}

static void test_without_memory(void **state)
{
	(void)state;
	assert_true(torture(attempt, NULL) >= 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_memory_is_zeroed_and_aligned),
	    cmocka_unit_test(test_overflow_is_refused),
	    cmocka_unit_test(test_copies_end_in_nul),
	    cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests_name("config_arena", tests, NULL, NULL);
}

#include "common/config_arena.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/common/config_text.h"

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

#ifndef __SANITIZE_ADDRESS__
/*
 * Every allocation of ours fails in turn. Ours are told by their caller lying in this program:
 * libconfuse, which is a shared library, may abort or exit without memory.
 */
extern char __executable_start, etext;
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
static long countdown = -1; /* allocations until one fails; -1: none does */

static bool fails(const void *caller)
{
	if ((const char *)caller < &__executable_start || (const char *)caller >= &etext)
		return false;
	if (countdown > 0)
		countdown--;
	else if (countdown == 0)
		return true;
	return false;
}

void *malloc(size_t n)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n);
}

void *reallocarray(void *p, size_t n, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n * size);
}

static void test_every_allocation_may_fail(void **state)
{
	enum err err = ERR_CONFIG;
	long n = 0;

	(void)state;
	for (; err != ERR_OK; n++) {
		struct config *c = NULL;
		struct errmsg e = {""};

		countdown = n;
		err = config_load("tests/lib/minimal.conf", &c, &e);
		countdown = -1;
		if (err != ERR_OK) {
			assert_int_equal(err, ERR_CONFIG);
			assert_null(c);
			assert_string_equal(e.text,
					    "tests/lib/minimal.conf:1: file: out of memory");
		}
		config_free(&c);
		assert_true(n < 100000);
	}
	assert_true(n > 50);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_memory_is_zeroed_and_aligned),
	    cmocka_unit_test(test_overflow_is_refused),
	    cmocka_unit_test(test_copies_end_in_nul),
#ifndef __SANITIZE_ADDRESS__
	    cmocka_unit_test(test_every_allocation_may_fail),
#endif
	};

	return cmocka_run_group_tests_name("config_arena", tests, NULL, NULL);
}

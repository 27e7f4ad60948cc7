/*
 * torture - every allocation fails once
 *
 *	static enum err attempt(void *arg)
 *	{
 *		struct thing *t = NULL;
 *		enum err e = thing_new(&t);
 *
 *		assert_true((t != NULL) == (e == ERR_OK));
 *		thing_free(&t);
 *		return e;
 *	}
 *	...
 *	assert_true(torture(attempt, NULL) > 0);
 *
 * The first call of attempt() has its first allocation fail, the second its second, and so on
 * until nothing failed any more. Each of them must return an error, and leave neither memory
 * (the leak sanitizer says so, where there is one) nor a descriptor behind. Counted is what our
 * own objects ask of the allocator (the Makefile links every __wrap_ that it finds), and what
 * libevent does once torture_libevent() was called, before anything else of libevent is.
 */
#ifndef BFF_TORTURE_H
#define BFF_TORTURE_H

#include <dirent.h>
#include <errno.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "common/err.h"
#include "tests/unit/unit.h"

#define TORTURE_MAX 100000 /* allocations; an attempt with more never ends */

static struct {
	unsigned at; /* the one that fails, from 1; 0: none does */
	unsigned seen;
} torture_state;

static inline bool torture_fails(void)
{
	if (torture_state.at == 0 || ++torture_state.seen != torture_state.at)
		return false;
	errno = ENOMEM;
	return true;
}

#define TORTURE_WRAP(type, name, params, ...)                                                      \
	type __real_##name params;                                                                 \
	type __wrap_##name params;                                                                 \
	type __wrap_##name params                                                                  \
	{                                                                                          \
		return torture_fails() ? NULL : __real_##name(__VA_ARGS__);                        \
	}

TORTURE_WRAP(void *, malloc, (size_t n), n)
TORTURE_WRAP(void *, calloc, (size_t n, size_t size), n, size)
TORTURE_WRAP(void *, realloc, (void *p, size_t n), p, n)
TORTURE_WRAP(void *, reallocarray, (void *p, size_t n, size_t size), p, n, size)
TORTURE_WRAP(char *, strdup, (const char *s), s)
TORTURE_WRAP(char *, strndup, (const char *s, size_t n), s, n)
TORTURE_WRAP(FILE *, open_memstream, (char **p, size_t *n), p, n)

#ifdef EVLOOP_ONCE
static inline void torture_libevent(void)
{
	event_set_mem_functions(__wrap_malloc, __wrap_realloc, free);
}
#endif

static inline unsigned torture_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}

/* How many allocations failed, one an attempt. */
static inline unsigned torture(enum err (*attempt)(void *arg), void *arg)
{
	unsigned want_descriptors = torture_descriptors();

	for (unsigned n = 1; n < TORTURE_MAX; n++) {
		enum err got;

		torture_state.at = n;
		torture_state.seen = 0;
		got = attempt(arg);
		torture_state.at = 0;
		if (torture_descriptors() != want_descriptors)
			fail_msg("allocation %u failed: a descriptor was left open or lost", n);
		if (torture_state.seen >= n && got == ERR_OK)
			fail_msg("allocation %u failed, and nobody said so", n);
		if (torture_state.seen >= n)
			continue;
		if (got != ERR_OK)
			fail_msg("no allocation failed, but: %s", err_text(got));
#ifdef __SANITIZE_ADDRESS__
		assert_int_equal(__lsan_do_recoverable_leak_check(), 0);
#endif
		return n - 1;
	}
	fail_msg("it never ends");
	return 0;
}

#endif

/* What every unit test includes: cmocka wants these first, and assertions must be on. */
#ifndef BFF_UNIT_H
#define BFF_UNIT_H

#ifdef NDEBUG
#error "tests are compiled with assertions"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/sv.h"

#define assert_sv_equal(got, want)                                                                 \
	do {                                                                                       \
		struct sv got_sv_ = (got), want_sv_ = (want);                                      \
		assert_int_equal(got_sv_.n, want_sv_.n);                                           \
		assert_memory_equal(got_sv_.p == NULL ? "" : got_sv_.p,                            \
				    want_sv_.p == NULL ? "" : want_sv_.p, got_sv_.n);              \
	} while (0)

#endif

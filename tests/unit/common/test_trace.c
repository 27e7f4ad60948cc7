#include "common/trace.h"

#include "tests/unit/unit.h"

#define ID "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"
#define GOOD "00-" ID "-" SPAN "-01"

static void what_is_good_is_taken(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
	    {GOOD, GOOD},
	    {"00-" ID "-" SPAN "-00", "00-" ID "-" SPAN "-00"},
	    {"00-" ID "-" SPAN "-03", "00-" ID "-" SPAN "-03"},
	    {"00-" ID "-" SPAN "-ff", "00-" ID "-" SPAN "-03"}, /* bits without a meaning */
	    {"cc-" ID "-" SPAN "-01", GOOD},			/* a later version, as 00 */
	    {"cc-" ID "-" SPAN "-01-what-the-future-will-be-like", GOOD},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct trace t;

		trace_read(sv_str(cases[i].value), &t);
		assert_sv_equal(trace_text(&t), sv_str(cases[i].want));
		assert_sv_equal(trace_id(&t), SV(ID));
	}
}

static void anything_else_is_none(void **state)
{
	static const char *const bad[] = {
	    "",
	    "00",
	    "00-" ID "-" SPAN,
	    "00-" ID "-" SPAN "-0",
	    "00-" ID "-" SPAN "-01-",
	    "00-" ID "-" SPAN "-01-x",
	    "00-" ID "-" SPAN "-01 ",
	    "cc-" ID "-" SPAN "-01.x",
	    "ff-" ID "-" SPAN "-01",
	    "0g-" ID "-" SPAN "-01",
	    "00_" ID "-" SPAN "-01",
	    "00-" ID "_" SPAN "-01",
	    "00-" ID "-" SPAN "_01",
	    "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
	    "00-" ID "-B7AD6B7169203331-01",
	    "00-00000000000000000000000000000000-" SPAN "-01",
	    "00-" ID "-0000000000000000-01",
	    "00-" ID "-" SPAN "-0x",
	    "00-0af7651916cd43dd8448eb211c80319\"-" SPAN "-01",
	    GOOD ", " GOOD,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct trace t = {.n = TRACE_LEN};

		trace_read(sv_str(bad[i]), &t);
		if (t.n != 0)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(trace_id(&t).n, 0);
		assert_int_equal(trace_text(&t).n, 0);
	}
}

static void no_prefix_of_a_good_one_is_good(void **state)
{
	(void)state;
	for (size_t n = 0; n < TRACE_LEN; n++) {
		char *cut = malloc(n + 1); /* so that a look beyond its end is seen */
		struct trace t;

		assert_non_null(cut);
		memcpy(cut, GOOD, n);
		trace_read(sv_of(cut, n), &t);
		assert_int_equal(t.n, 0);
		free(cut);
	}
}

static void a_child_is_of_the_same_trace(void **state)
{
	static const unsigned char span[TRACE_SPAN_LEN] = {0x01, 0x23, 0x45, 0x67,
							   0x89, 0xab, 0xcd, 0xef};
	struct trace t, child;

	(void)state;
	trace_read(SV(GOOD), &t);
	child = trace_child(&t, span);
	assert_sv_equal(trace_text(&child), SV("00-" ID "-0123456789abcdef-01"));
	t.n = 0;
	child = trace_child(&t, span);
	assert_int_equal(trace_text(&child).n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_good_is_taken),
	    cmocka_unit_test(anything_else_is_none),
	    cmocka_unit_test(no_prefix_of_a_good_one_is_good),
	    cmocka_unit_test(a_child_is_of_the_same_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

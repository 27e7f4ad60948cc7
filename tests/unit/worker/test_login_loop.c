#include "worker/login_loop.h"

#include "tests/unit/worker/fields.h"

#define NOW 1700000000

static const struct config_origin https = {.scheme = {"https", 5}}, http = {.scheme = {"http", 4}};

static unsigned count(const struct config_origin *origin, const char *cookie)
{
	struct http_field v = {.name = SV("Cookie"), .value = sv_str(cookie)};

	return login_loop_count(http_fields_of(&v, 1), origin, NOW);
}

static void what_counts_by_table(void **state)
{
	static const struct {
		const char *cookie;
		unsigned want;
	} cases[] = {
	    {"a=b", 0},
	    {"__Host-bff_loop=1.1700000000", 1},
	    {"__Host-bff_loop=3.1699999940", 3},
	    {"__Host-bff_loop=3.1699999939", 0}, /* a minute ago */
	    {"__Host-bff_loop=3.1700000001", 0}, /* later than now */
	    {"__Host-bff_loop=4.1700000000", 0},
	    {"__Host-bff_loop=2000000000.1700000000", 0},
	    {"__Host-bff_loop=-1.1700000000", 0},
	    {"__Host-bff_loop=3", 0},
	    {"__Host-bff_loop=3.", 0},
	    {"__Host-bff_loop=.1700000000", 0},
	    {"__Host-bff_loop=", 0},
	    {"__Host-bff_loop=3.1700000000.1", 0},
	    {"__Host-bff_loop=3.1700000000; __Host-bff_loop=1.1700000000", 0},
	    {"bff_loop=3.1700000000", 0}, /* of an http origin */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (count(&https, cases[i].cookie) != cases[i].want)
			fail_msg("%s: %u", cases[i].cookie, count(&https, cases[i].cookie));
	assert_int_equal(count(&http, "bff_loop=2.1700000000"), 2);
	assert_int_equal(count(&http, "__Host-bff_loop=2.1700000000"), 0);
}

static void each_login_counts_within_the_window_of_the_first(void **state)
{
	static const struct {
		const char *before, *after;
	} cases[] = {
	    {"", "1.1700000000"},
	    {"__Host-bff_loop=1.1699999990", "2.1699999990"},
	    {"__Host-bff_loop=2.1699999990", "3.1699999990"},
	    {"__Host-bff_loop=3.1699999990", "3.1699999990"},
	    {"__Host-bff_loop=2.1699999000", "1.1700000000"},
	    {"__Host-bff_loop=x", "1.1700000000"},
	};
	char out[LOGIN_LOOP_VALUE_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_field v = {.name = SV("Cookie"), .value = sv_str(cases[i].before)};

		assert_sv_equal(login_loop_next(http_fields_of(&v, 1), &https, NOW, out),
				sv_str(cases[i].after));
	}
}

static void only_a_session_that_never_held_is_a_loop(void **state)
{
	static const enum reason loops[] = {REASON_NO_COOKIE, REASON_TAG,	REASON_AMBIGUOUS,
					    REASON_UNKNOWN,   REASON_OTHER_APP, REASON_CLIENT},
				 ends[] = {REASON_NONE,	   REASON_IDLE,	 REASON_EXPIRED,
					   REASON_REVOKED, REASON_ENDED, REASON_STORE};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(loops); i++)
		assert_non_null(login_loop_cause(loops[i]));
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		assert_null(login_loop_cause(ends[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_counts_by_table),
	    cmocka_unit_test(each_login_counts_within_the_window_of_the_first),
	    cmocka_unit_test(only_a_session_that_never_held_is_a_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

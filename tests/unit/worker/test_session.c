#include "worker/session.h"

#include "tests/unit/unit.h"

static void rows_by_table(void **state)
{
	static const struct {
		const char *state, *app;
		enum reason want;
	} cases[] = {
	    {"live", "demo", REASON_NONE},	  {"live", "other", REASON_OTHER_APP},
	    {"live", "", REASON_OTHER_APP},	  {"live", "demo2", REASON_OTHER_APP},
	    {"unknown", "", REASON_UNKNOWN},	  {"idle", "", REASON_IDLE},
	    {"expired", "", REASON_EXPIRED},	  {"revoked", "", REASON_REVOKED},
	    {"logout", "", REASON_ENDED},	  {"replaced", "", REASON_ENDED},
	    {"reauthenticate", "", REASON_ENDED}, {"", "demo", REASON_ENDED},
	    {"Live", "demo", REASON_ENDED},	  {"live ", "demo", REASON_ENDED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(
		    session_judge(sv_str(cases[i].state), sv_str(cases[i].app), SV("demo")),
		    cases[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rows_by_table)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

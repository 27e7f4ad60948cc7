#include "tests/unit/common/config_cases.h"

static void test_headers(void **state)
{
#define SET(text) "identity \"default\" {\n" text "}\n"
	static const struct test_case cases[] = {
	    {IDENTITY,
	     SET("header \"X-A\" { claim = name }\n}\nidentity \"i\" {\nheader \"X-A\" { claim = "
		 "groups }\n"),
	     0, NULL},
	    {IDENTITY, SET("header \"X-A\" { claim = name }\nheader \"x_a\" { claim = name }\n"), 3,
	     "claim: expected one spelling"},
	    {IDENTITY,
	     SET("header \"X-A\" { claim = name }\n}\nidentity \"i\" {\nheader \"X.A\" { claim = "
		 "name }\n"),
	     5, "claim: expected one spelling"},
	    {IDENTITY, SET("header \"X-A\" { claim = name }\nheader \"X-A\" { claim = name }\n"), 3,
	     "header: found duplicate title"},
	    {IDENTITY, SET("header \"X A\" { claim = name }\n"), 2, "header: expected a title"},
	    {IDENTITY, SET("header \"Authorization\" { claim = name }\n"), 2,
	     "claim: expected another"},
	    {IDENTITY, SET("header \"x_session.id\" { claim = name }\n"), 2,
	     "claim: expected another"},
	    {IDENTITY, SET("header \"X-Forwarded-User\" { claim = name }\n"), 2,
	     "claim: expected another"},
	    {IDENTITY, SET("header \"Transfer-Encoding\" { claim = name }\n"), 2,
	     "claim: expected another"},
	    {IDENTITY, SET("header \"X-A\" { claim = \"/groups/roles\" }\n"), 0, NULL},
	    {IDENTITY, SET("header \"X-A\" { claim = \"/other/roles\" }\n"), 2,
	     "claim: expected \"subject\""},
	    {IDENTITY, SET("header \"X-A\" { claim = \"/groups/~\" }\n"), 2,
	     "claim: expected \"subject\""},
	    {IDENTITY, SET("header \"X-A\" { claim = email }\n"), 2, "claim: expected \"subject\""},
	    {IDENTITY, SET("header \"X-A\" { claim = name separator = \"\" }\n"), 2,
	     "separator: expected"},
	    {IDENTITY, SET("header \"X-A\" { claim = name separator = \"\\r\\n\" }\n"), 2,
	     "separator: expected"},
	    {IDENTITY, SET("header \"X-A\" { claim = name only = {\"a\\n\"} }\n"), 2,
	     "only: expected"},
	    {IDENTITY, SET("header \"X-A\" { claim = name max_bytes = 0 }\n"), 2,
	     "max_bytes: expected a number"},
	    {IDENTITY, SET("header \"X-A\" { }\n"), 2, "claim: expected a value"},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_headers),
	};

	return cmocka_run_group_tests_name("config_check_header", tests, NULL, NULL);
}

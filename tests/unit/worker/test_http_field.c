#include "worker/http_field.h"

#include "tests/unit/worker/fields.h"

static void names_fold_case_and_separators(void **state)
{
	static const struct {
		struct sv name, of;
		bool want_eq, want_alias;
	} cases[] = {
	    {SV_INIT("X-User-ID"), SV_INIT("x-user-id"), true, false},
	    {SV_INIT("X_User_ID"), SV_INIT("X-User-ID"), false, true},
	    {SV_INIT("x.user.id"), SV_INIT("X-User-ID"), false, true},
	    {SV_INIT("X-User_ID"), SV_INIT("X-User-ID"), false, true},
	    {SV_INIT("X~User!ID"), SV_INIT("X-User-ID"), false, true},
	    {SV_INIT("X-User-ID"), SV_INIT("X_User_ID"), false, true},
	    {SV_INIT("XUserID"), SV_INIT("X-User-ID"), false, false},
	    {SV_INIT("X--User-ID"), SV_INIT("X-User-ID"), false, false},
	    {SV_INIT("X-User-I"), SV_INIT("X-User-ID"), false, false},
	    {SV_INIT("X-User-IE"), SV_INIT("X-User-ID"), false, false},
	    {SV_INIT(""), SV_INIT(""), true, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(http_name_eq(cases[i].name, cases[i].of), cases[i].want_eq);
		assert_int_equal(http_name_folds(cases[i].name, cases[i].of),
				 cases[i].want_eq || cases[i].want_alias);
	}
}

static void one_means_one(void **state)
{
	struct fields_text t;
	struct http_fields f = fields_of(&t, SV("A: 1\nB: 2\na: 3\nB_: 4"));
	struct sv got = SV_NONE;

	(void)state;
	assert_int_equal(http_fields_one(f, SV("A"), &got), ERR_EXISTS);
	assert_int_equal(http_fields_one(f, SV("b"), &got), ERR_OK);
	assert_sv_equal(got, SV("2"));
	assert_int_equal(http_fields_one(f, SV("C"), &got), ERR_NOT_FOUND);
	assert_sv_equal(http_fields_nth(f, SV("A"), 1)->value, SV("3"));
	assert_null(http_fields_nth(f, SV("A"), 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_fold_case_and_separators),
	    cmocka_unit_test(one_means_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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
		assert_int_equal(http_name_is_alias(cases[i].name, cases[i].of),
				 cases[i].want_alias);
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

static void an_alias_is_found_whichever_side_is_odd(void **state)
{
	static const struct sv names[] = {SV_INIT("X-Forwarded-Uri"), SV_INIT("X_Team")};
	static const struct {
		struct sv fields;
		int want; /* index of names, -1: none */
	} cases[] = {
	    {SV_INIT("X-Forwarded-Uri: /\nX_Team: a"), -1},
	    {SV_INIT("x-FORWARDED-uri: /\nx_team: a"), -1},
	    {SV_INIT("X-Forwarded-Uri: /\nX_Forwarded_Uri: /"), 0},
	    {SV_INIT("X.Forwarded.Uri: /"), 0},
	    {SV_INIT("X-Team: a"), 1},
	    {SV_INIT(""), -1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fields_text t;
		const struct sv *got =
		    http_fields_alias(fields_of(&t, cases[i].fields), names, ARRAY_LEN(names));

		assert_ptr_equal(got, cases[i].want == -1 ? NULL : &names[cases[i].want]);
		got = http_fields_odd_alias(fields_of(&t, cases[i].fields), names, 1);
		assert_ptr_equal(got, cases[i].want == 0 ? &names[0] : NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_fold_case_and_separators),
	    cmocka_unit_test(one_means_one),
	    cmocka_unit_test(an_alias_is_found_whichever_side_is_odd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

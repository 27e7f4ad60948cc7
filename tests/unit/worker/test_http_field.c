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
	struct http_fields f = fields_of(&t, SV("Host: 1\nOrigin: 2\nhOST: 3\nOrigin_: 4\nX: 5"));
	struct sv got = SV_NONE;

	(void)state;
	assert_int_equal(http_fields_one(f, HTTP_HOST, &got), ERR_EXISTS);
	assert_int_equal(http_fields_one(f, HTTP_ORIGIN, &got), ERR_OK);
	assert_sv_equal(got, SV("2"));
	assert_int_equal(http_fields_one(f, HTTP_COOKIE, &got), ERR_NOT_FOUND);
	assert_sv_equal(http_fields_nth(f, HTTP_HOST, 1)->value, SV("3"));
	assert_null(http_fields_nth(f, HTTP_HOST, 2));
}

static void names_are_known(void **state)
{
	static const struct {
		enum http_name want;
		struct sv name;
	} cases[] = {
#define HTTP_NAME(id, name, rule) {HTTP_##id, SV_INIT(name)},
#include "worker/http_name.def"
#undef HTTP_NAME
	    {HTTP_OTHER, SV_INIT("")},
	    {HTTP_OTHER, SV_INIT("Hos")},
	    {HTTP_OTHER, SV_INIT("Hosts")},
	    {HTTP_OTHER, SV_INIT("X-Forwarded-Method-Too-Long-To-Be")},
	    {HTTP_HOST, SV_INIT("hOsT")},
	    {HTTP_X_REAL_IP, SV_INIT("x_real.ip")},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_field v = {.name = cases[i].name};
		struct http_fields f = http_fields_of(&v, 1);

		assert_int_equal(http_name_known(cases[i].name), cases[i].want);
		assert_int_equal(v.known, cases[i].want);
		assert_int_equal(v.alias, sv_eq(v.name, SV("x_real.ip")));
		if (!v.alias && v.known != HTTP_OTHER)
			assert_ptr_equal(http_fields_nth(f, v.known, 0), &v);
	}
}

/* field_rules.c compares a known name with its like alone. */
static void no_two_known_names_fold_to_the_same(void **state)
{
	static const struct sv names[] = {
#define HTTP_NAME(id, name, rule) SV_INIT(name),
#include "worker/http_name.def"
#undef HTTP_NAME
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		for (size_t k = 0; k < i; k++)
			assert_false(http_name_folds(names[i], names[k]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_fold_case_and_separators),
	    cmocka_unit_test(one_means_one),
	    cmocka_unit_test(names_are_known),
	    cmocka_unit_test(no_two_known_names_fold_to_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

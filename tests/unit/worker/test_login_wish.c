#include "worker/login_wish.h"

#include "tests/unit/unit.h"

static const struct config_provider idp = {.name = SV_INIT("idp"),
					   .issuer = SV_INIT("https://idp.example")};
static const struct config_app app = {.provider = &idp};

static const char *read(const char *query, struct login_wish *ret)
{
	static char scratch[2048];
	struct form_field params[LOGIN_NPARAMETERS];

	login_wish_names(params);
	assert_int_equal(form_parse(sv_str(query), params, LOGIN_NPARAMETERS, scratch), ERR_OK);
	return login_wish_read(&app, params, ret);
}

#define L50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define L250 L50 L50 L50 L50 L50

static void what_is_refused(void **state)
{
	static const struct {
		const char *query, *want; /* want NULL: taken */
	} rows[] = {
	    {"", NULL},
	    {"unknown=1&scope=admin&claims=x", NULL},
	    {"prompt=none", NULL},
	    {"prompt=", NULL},
	    {"prompt=login", "prompt"},
	    {"prompt=none+login", "prompt"},
	    {"provider=idp", NULL},
	    {"provider=other", "provider"},
	    {"provider=", "provider"},
	    {"provider=IDP", "provider"},
	    {"login_hint=" L250 "xxxxxx", NULL},
	    {"login_hint=" L250 "xxxxxxx", "login_hint"},
	    {"acr_values=gold", NULL},
	    {"acr_values=gold+urn%3Ax%3A2", NULL},
	    {"acr_values=" L250 "xxxxxx", NULL},
	    {"acr_values=" L250 "xxxxxxx", "acr_values"},
	    {"acr_values=+gold", "acr_values"},
	    {"acr_values=gold+", "acr_values"},
	    {"acr_values=gold++silver", "acr_values"},
	    {"acr_values=+", "acr_values"},
	    {"acr_values=g%C3%B6ld", "acr_values"},
	    {"max_age=0", NULL},
	    {"max_age=300", NULL},
	    {"max_age=999999999", NULL},
	    {"max_age=1000000000", "max_age"},
	    {"max_age=010", "max_age"},
	    {"max_age=00", "max_age"},
	    {"max_age=-1", "max_age"},
	    {"max_age=%2B1", "max_age"},
	    {"max_age=1e3", "max_age"},
	    {"max_age=5m", "max_age"},
	    {"max_age=300x", "max_age"},
	    {"iss=https%3A%2F%2Fidp.example", NULL},
	    {"iss=https://idp.example&login_hint=alice&target_link_uri=/x&unknown=1", NULL},
	    {"iss=", "iss"},
	    {"iss=https://idp.example/", "iss"},
	    {"iss=https://evil.example", "iss"},
	    {"iss=https://IDP.example", "iss"},
	    {"target_link_uri=/x", "target_link_uri"},
	    {"target_link_uri=", "target_link_uri"},
	    /* A third party chooses no more than who and where to. */
	    {"iss=https://idp.example&return_to=/x", "iss_with_more"},
	    {"iss=https://idp.example&prompt=none", "iss_with_more"},
	    {"iss=https://idp.example&provider=idp", "iss_with_more"},
	    {"iss=https://idp.example&acr_values=weak", "iss_with_more"},
	    {"iss=https://idp.example&max_age=0", "iss_with_more"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct login_wish w = {0};
		const char *got = read(rows[i].query, &w);

		if ((got == NULL) != (rows[i].want == NULL))
			fail_msg("%s: %s", rows[i].query, got == NULL ? "taken" : got);
		if (got != NULL)
			assert_string_equal(got, rows[i].want);
	}
}

static void what_is_read(void **state)
{
	struct login_wish w = {0};

	(void)state;
	assert_null(
	    read("return_to=/a&prompt=none&login_hint=al+ice&acr_values=a+b&max_age=0", &w));
	assert_false(w.third_party);
	assert_true(sv_eq(w.target, SV("/a")));
	assert_true(sv_eq(w.prompt, SV("none")));
	assert_true(sv_eq(w.login_hint, SV("al ice")));
	assert_true(sv_eq(w.acr_values, SV("a b")));
	assert_true(sv_eq(w.max_age, SV("0")));
	assert_int_equal(w.max_age_s, 0);
	assert_null(read("max_age=86400", &w));
	assert_int_equal(w.max_age_s, 86400);
	assert_null(read("iss=https://idp.example&target_link_uri=/b&login_hint=bob", &w));
	assert_true(w.third_party);
	assert_true(sv_eq(w.target, SV("/b")));
	assert_true(sv_eq(w.login_hint, SV("bob")));
	assert_int_equal(w.max_age.n, 0);
}

static void a_target_where_a_silent_login_has_failed(void **state)
{
	static const struct {
		const char *target;
		bool want;
	} rows[] = {
	    {"https://a/x?login=required", true},
	    {"https://a/x?b=c&login=required", true},
	    {"https://a/x?login=required&b=c#f", true},
	    {"https://a/x?login=required#", true},
	    {"https://a/x", false},
	    {"https://a/", false},
	    {"", false},
	    {"https://a/login=required", false},
	    {"https://a/x#?login=required", false},
	    {"https://a/x?nologin=required", false},
	    {"https://a/x?login=required2", false},
	    {"https://a/x?login=", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (login_target_marked(sv_str(rows[i].target)) != rows[i].want)
			fail_msg("%s", rows[i].target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_refused),
	    cmocka_unit_test(what_is_read),
	    cmocka_unit_test(a_target_where_a_silent_login_has_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/logout_return.h"

#include "tests/unit/worker/fields.h"

#define STATE "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI" /* 32 times 'b' */

static const struct sv bye[] = {SV_INIT("https://www.example/bye"), SV_INIT("https://b.example/")};
static const struct config_origin origins[] = {
    {.text = SV_INIT("https://a.example"), .scheme = SV_INIT("https")},
    {.text = SV_INIT("http://b.localhost"), .scheme = SV_INIT("http")}};
static const struct config_origin login = {.text = SV_INIT("https://login.example"),
					   .scheme = SV_INIT("https")};
static const struct config_app listed = {.origins = {origins, 2}, .after_logout = {bye, 2}},
			       plain = {.origins = {origins, 2}},
			       wide = {.origins = {origins, 2},
				       .cookie_domain = SV_INIT("example")};

static void a_place_is_one_of_the_configuration(void **state)
{
	static const struct {
		const struct config_app *app;
		const struct config_origin *origin;
		const char *wish, *want;
	} rows[] = {
	    {&listed, &origins[0], "", "https://www.example/bye"},
	    {&listed, &origins[0], "https://b.example/", "https://b.example/"},
	    {&listed, &origins[0], "https://b.example", "https://www.example/bye"},
	    {&listed, &origins[1], "https://evil.example/", "https://www.example/bye"},
	    {&plain, &origins[0], "", "https://a.example/"},
	    {&plain, &origins[1], "", "http://b.localhost/"},
	    {&plain, &origins[1], "https://a.example/", "http://b.localhost/"},
	    {&plain, &login, "", "https://a.example/"}, /* no page there */
	};
	struct buf url;

	(void)state;
	buf_init(&url, 256);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t place = logout_place(rows[i].app, rows[i].origin, sv_str(rows[i].wish));

		buf_clear(&url);
		assert_int_equal(logout_place_url(rows[i].app, place, &url), ERR_OK);
		assert_sv_equal(buf_sv(&url), sv_str(rows[i].want));
	}
	buf_clear(&url);
	assert_int_equal(logout_place_url(&listed, 2, &url), ERR_RANGE);
	assert_int_equal(logout_place_url(&plain, 2, &url), ERR_RANGE);
	assert_int_equal(url.n, 0);
	buf_done(&url);
}

static void check_set(const struct config_app *app, const struct config_origin *origin,
		      const char *want)
{
	unsigned char secret[COOKIE_SECRET_LEN];
	struct buf b;

	memset(secret, 'b', sizeof secret);
	buf_init(&b, 256);
	logout_return_set(&b, app, origin, secret, 12);
	assert_sv_equal(buf_sv(&b), sv_str(want));
	buf_done(&b);
}

static void the_cookie_reaches_the_place_of_return_and_no_further(void **state)
{
	(void)state;
	check_set(&plain, &origins[0],
		  "__Host-bff_logout=" STATE
		  ".12; Path=/; Secure; SameSite=Lax; HttpOnly; Max-Age=600");
	check_set(&wide, &origins[0],
		  "__Secure-bff_logout=" STATE
		  ".12; Path=/; Domain=example; Secure; SameSite=Lax; HttpOnly; Max-Age=600");
	check_set(&plain, &origins[1],
		  "bff_logout=" STATE ".12; Path=/; SameSite=Lax; HttpOnly; Max-Age=600");
}

static void only_the_state_of_the_cookie_leads_on(void **state)
{
	static const struct {
		const char *cookie, *state, *want; /* NULL: led on */
		const char *url;
	} rows[] = {
	    {"__Host-bff_logout=" STATE ".0", STATE, NULL, "https://www.example/bye"},
	    {"a=b; __Host-bff_logout=" STATE ".1", STATE, NULL, "https://b.example/"},
	    {"__Host-bff_logout=" STATE ".2", STATE, "cookie", ""},
	    {"", STATE, "no_cookie", ""},
	    {"bff_logout=" STATE ".0", STATE, "no_cookie", ""},
	    {"__Secure-bff_logout=" STATE ".0", STATE, "no_cookie", ""},
	    {"__Host-bff_logout=" STATE ".0; __Host-bff_logout=" STATE ".0", STATE, "two_cookies",
	     ""},
	    {"__Host-bff_logout=", STATE, "cookie", ""},
	    {"__Host-bff_logout=.0", "", "cookie", ""},
	    {"__Host-bff_logout=" STATE, STATE, "cookie", ""},
	    {"__Host-bff_logout=" STATE ".", STATE, "cookie", ""},
	    {"__Host-bff_logout=" STATE ".x", STATE, "cookie", ""},
	    {"__Host-bff_logout=" STATE ".-1", STATE, "cookie", ""},
	    {"__Host-bff_logout=" STATE ".99999999999999999999", STATE, "cookie", ""},
	    {"__Host-bff_logout=" STATE "_0", STATE, "cookie", ""},
	    {"__Host-bff_logout=" STATE ".0", "", "no_state", ""},
	    {"__Host-bff_logout=" STATE ".0", STATE "1", "other_state", ""},
	    {"__Host-bff_logout=" STATE ".0", STATE ".0", "other_state", ""},
	    {"__Host-bff_logout=" STATE ".0", "YmJi", "other_state", ""},
	    {"__Host-bff_logout=" STATE ".0", "XmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI",
	     "other_state", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fields_text t;
		char line[256];
		struct buf url;
		const char *got;

		(void)snprintf(line, sizeof line, "Cookie: %s", rows[i].cookie);
		buf_init(&url, 256);
		got = logout_return_refusal(fields_of(&t, sv_str(line)), &listed, &origins[0],
					    sv_str(rows[i].state), &url);
		if (rows[i].want == NULL) {
			assert_null(got);
			assert_sv_equal(buf_sv(&url), sv_str(rows[i].url));
		} else {
			assert_string_equal(got, rows[i].want);
			assert_int_equal(url.n, 0);
		}
		buf_done(&url);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_place_is_one_of_the_configuration),
	    cmocka_unit_test(the_cookie_reaches_the_place_of_return_and_no_further),
	    cmocka_unit_test(only_the_state_of_the_cookie_leads_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

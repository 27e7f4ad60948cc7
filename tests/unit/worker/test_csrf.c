#include "worker/csrf.h"

#include "tests/unit/worker/fields.h"

/* HMAC-SHA-256 of 32 bytes 0x01..0x20 over "bff csrf v1", computed with another program. */
#define TOKEN "Ag7a9_qelwtiTOSEeh5rstSJQrF-HMQVsAlDap4om5I"
#define OWN "Origin: https://portal.example.com\n"
#define WITH_TOKEN "X-CSRF-Token: " TOKEN "\n"

static struct sv secret(void)
{
	static const char bytes[] =
	    "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
	    "\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x20";

	return sv_of(bytes, 32);
}

static void the_token_is_fixed_by_the_secret(void **state)
{
	char got[CSRF_TOKEN_LEN], other[CSRF_TOKEN_LEN];

	(void)state;
	assert_int_equal(csrf_token(secret(), got), ERR_OK);
	assert_sv_equal(sv_of(got, sizeof got), SV(TOKEN));
	assert_int_equal(csrf_token(SV("another"), other), ERR_OK);
	assert_memory_not_equal(got, other, sizeof got);
	assert_true(csrf_token_is(secret(), SV(TOKEN)));
	assert_false(csrf_token_is(secret(), sv_of(other, sizeof other)));
	assert_false(csrf_token_is(secret(), SV_NONE));
	for (size_t i = 0; i < sizeof got; i++) {
		got[i] ^= 1;
		assert_false(csrf_token_is(secret(), sv_of(got, sizeof got)));
		assert_false(csrf_token_is(secret(), sv_of(TOKEN, i)));
		got[i] ^= 1;
	}
}

static void the_rule_by_table(void **state)
{
	static const struct {
		struct sv method, fields;
		bool websocket;
		enum csrf_outcome want;
	} cases[] = {
	    {SV_INIT("GET"), SV_INIT(""), false, CSRF_OK},
	    {SV_INIT("HEAD"), SV_INIT("Origin: https://evil.example"), false, CSRF_OK},
	    {SV_INIT("OPTIONS"), SV_INIT(""), false, CSRF_OK},
	    {SV_INIT("POST"), SV_INIT(""), false, CSRF_TOKEN},
	    {SV_INIT("get"), SV_INIT(""), false, CSRF_TOKEN},
	    {SV_INIT("PROPFIND"), SV_INIT(""), false, CSRF_TOKEN},
	    {SV_INIT("DELETE"), SV_INIT(OWN), false, CSRF_TOKEN},
	    {SV_INIT("POST"), SV_INIT(WITH_TOKEN), false, CSRF_OK},
	    {SV_INIT("PUT"), SV_INIT(OWN WITH_TOKEN), false, CSRF_OK},
	    {SV_INIT("POST"), SV_INIT("Origin: https://desk.example.com:8443\n" WITH_TOKEN), false,
	     CSRF_OK},
	    {SV_INIT("POST"), SV_INIT("Origin: https://login.example.com\n" WITH_TOKEN), false,
	     CSRF_OK},
	    {SV_INIT("POST"), SV_INIT("Origin: https://desk.example.com\n" WITH_TOKEN), false,
	     CSRF_ORIGIN},
	    {SV_INIT("POST"), SV_INIT("Origin: http://portal.example.com\n" WITH_TOKEN), false,
	     CSRF_ORIGIN},
	    {SV_INIT("POST"), SV_INIT("Origin: https://portal.example.com.\n" WITH_TOKEN), false,
	     CSRF_ORIGIN},
	    {SV_INIT("POST"),
	     SV_INIT("Origin: https://portal.example.com.evil.example\n" WITH_TOKEN), false,
	     CSRF_ORIGIN},
	    {SV_INIT("POST"), SV_INIT("Origin: https://PORTAL.example.com\n" WITH_TOKEN), false,
	     CSRF_ORIGIN},
	    {SV_INIT("POST"), SV_INIT("Origin: https://partner.example.org\n" WITH_TOKEN), false,
	     CSRF_ORIGIN},
	    {SV_INIT("POST"), SV_INIT("Origin: null\n" WITH_TOKEN), false, CSRF_ORIGIN},
	    {SV_INIT("POST"), SV_INIT("Origin:\n" WITH_TOKEN), false, CSRF_ORIGIN},
	    {SV_INIT("POST"), SV_INIT(OWN OWN WITH_TOKEN), false, CSRF_ORIGIN},
	    {SV_INIT("POST"), SV_INIT("Sec-Fetch-Site: same-origin\n" WITH_TOKEN), false, CSRF_OK},
	    {SV_INIT("POST"), SV_INIT("Sec-Fetch-Site: same-site\n" WITH_TOKEN), false,
	     CSRF_ORIGIN},
	    {SV_INIT("POST"), SV_INIT("Sec-Fetch-Site: same-site\n" OWN WITH_TOKEN), false,
	     CSRF_OK},
	    {SV_INIT("POST"), SV_INIT("Sec-Fetch-Site: cross-site\n" OWN WITH_TOKEN), false,
	     CSRF_ORIGIN},
	    {SV_INIT("POST"), SV_INIT("Sec-Fetch-Site: none\n" OWN WITH_TOKEN), false, CSRF_ORIGIN},
	    {SV_INIT("POST"),
	     SV_INIT("Sec-Fetch-Site: same-origin\nSec-Fetch-Site: cross-site\n" WITH_TOKEN), false,
	     CSRF_ORIGIN},
	    {SV_INIT("POST"), SV_INIT(OWN WITH_TOKEN WITH_TOKEN), false, CSRF_TOKEN},
	    {SV_INIT("POST"), SV_INIT(OWN "X-CSRF-Token: " TOKEN "x"), false, CSRF_TOKEN},
	    {SV_INIT("POST"), SV_INIT(OWN "X-CSRF-Token:"), false, CSRF_TOKEN},
	    {SV_INIT("GET"), SV_INIT(""), true, CSRF_ORIGIN},
	    {SV_INIT("GET"), SV_INIT(WITH_TOKEN), true, CSRF_ORIGIN},
	    {SV_INIT("GET"), SV_INIT(OWN), true, CSRF_OK},
	    {SV_INIT("GET"), SV_INIT("Origin: https://evil.example"), true, CSRF_ORIGIN},
	    {SV_INIT("GET"), SV_INIT(OWN "Sec-Fetch-Site: cross-site"), true, CSRF_ORIGIN},
	    {SV_INIT("GET"), SV_INIT(OWN "Sec-Fetch-Site: same-origin"), true, CSRF_OK},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fields_text t;
		enum csrf_outcome got = csrf_check(&test_app, cases[i].method, cases[i].websocket,
						   fields_of(&t, cases[i].fields), secret());

		if (got != cases[i].want)
			print_message("case %zu\n", i);
		assert_int_equal(got, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_token_is_fixed_by_the_secret),
	    cmocka_unit_test(the_rule_by_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

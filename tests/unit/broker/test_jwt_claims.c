#include "broker/jwt_claims.h"

#include "broker/json_strict.h"
#include "tests/unit/unit.h"

#define NOW 1700000000

static struct json_object *object(const char *text)
{
	struct json_object *o = NULL;

	assert_int_equal(json_strict_parse(sv_str(text), 4096, &o), ERR_OK);
	return o;
}

/* What test_id_token.c and test_logout_token.c say of these by their tables is not repeated. */
static void times_are_handed_out(void **state)
{
	struct json_object *o = object("{\"iat\":1699999990,\"exp\":1700000300}");
	struct jwt_times got = {0};

	(void)state;
	assert_int_equal(jwt_times(o, NOW, &got), JWT_NONE);
	assert_int_equal(got.iat_s, 1699999990);
	assert_int_equal(got.exp_s, 1700000300);
	assert_int_equal(jwt_times(o, NOW + 300 + JWT_SKEW_S, &got), JWT_EXPIRED);
	assert_int_equal(jwt_times(o, NOW - 10 - JWT_SKEW_S - 1, &got), JWT_IAT);
	json_object_put(o);
}

static void issuer_and_audience_are_exactly_ours(void **state)
{
	struct json_object *o = object("{\"iss\":\"https://a\",\"aud\":[\"app\"]}");

	(void)state;
	assert_int_equal(jwt_iss(o, SV("https://a")), JWT_NONE);
	assert_int_equal(jwt_iss(o, SV("https://a/")), JWT_ISS);
	assert_int_equal(jwt_iss(o, SV("https://")), JWT_ISS);
	assert_int_equal(jwt_aud(o, SV("app")), JWT_NONE);
	assert_int_equal(jwt_aud(o, SV("ap")), JWT_AUD);
	json_object_put(o);
	o = object("{\"aud\":[\"app\",\"other\"]}");
	assert_int_equal(jwt_aud(o, SV("app")), JWT_AUD_EXTRA);
	json_object_put(o);
}

static void sub_and_sid_may_be_missing_but_not_malformed(void **state)
{
	static const struct {
		const char *text;
		enum jwt_refusal sub, sid;
		const char *got_sub, *got_sid;
	} rows[] = {
	    {"{}", JWT_NONE, JWT_NONE, "", ""},
	    {"{\"sub\":\"a\",\"sid\":\"s\"}", JWT_NONE, JWT_NONE, "a", "s"},
	    {"{\"sub\":\"\",\"sid\":\"\"}", JWT_SUB, JWT_SID, "", ""},
	    {"{\"sub\":null,\"sid\":null}", JWT_SUB, JWT_SID, "", ""},
	    {"{\"sub\":[\"a\"],\"sid\":1}", JWT_SUB, JWT_SID, "", ""},
	    {"{\"sub\":\"\\u00e9\",\"sid\":\"\\u00e9\"}", JWT_SUB, JWT_NONE, "", "\xc3\xa9"},
	    {"{\"sub\":\"a\\u007f\",\"sid\":\"a\\u007f\"}", JWT_SUB, JWT_SID, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct json_object *o = object(rows[i].text);
		struct sv sub = SV_NONE, sid = SV_NONE;

		assert_int_equal(jwt_sub(o, &sub), rows[i].sub);
		assert_int_equal(jwt_sid(o, &sid), rows[i].sid);
		assert_sv_equal(sub, sv_str(rows[i].got_sub));
		assert_sv_equal(sid, sv_str(rows[i].got_sid));
		json_object_put(o);
	}
}

static void text_has_no_control_character(void **state)
{
	(void)state;
	assert_true(jwt_is_text(SV("a b \xc3\xa9")));
	assert_false(jwt_is_text(SV("")));
	assert_false(jwt_is_text(SV("a\nb")));
	assert_false(jwt_is_text(SV("a\0b")));
	assert_false(jwt_is_text(SV("\x7f")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(times_are_handed_out),
	    cmocka_unit_test(issuer_and_audience_are_exactly_ours),
	    cmocka_unit_test(sub_and_sid_may_be_missing_but_not_malformed),
	    cmocka_unit_test(text_has_no_control_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/logout_token.h"

#include "tests/unit/unit.h"

#define NOW 1700000000

static const struct logout_token_rules rules = {.issuer = SV_INIT("https://idp.example"),
						.client_id = SV_INIT("app"),
						.typ = SV_INIT("logout+jwt"),
						.now_s = NOW};

/* A good payload as members; a row of a test replaces one or more of them. */
#define ISS "\"iss\":\"https://idp.example\""
#define AUD ",\"aud\":\"app\""
#define EXP ",\"exp\":1700000120"
#define IAT ",\"iat\":1700000000"
#define JTI ",\"jti\":\"j-1\""
#define SUB ",\"sub\":\"alice\""
#define SID ",\"sid\":\"s-1\""
#define NAME "\"http://schemas.openid.net/event/backchannel-logout\""
#define EVENTS ",\"events\":{" NAME ":{}}"
#define GOOD ISS AUD EXP IAT JTI SUB EVENTS

static enum jwt_refusal judge(struct sv payload, const struct logout_token_rules *r)
{
	struct logout_token t = {.payload = NULL};
	enum jwt_refusal why = logout_token_check(payload, r, &t);

	logout_token_done(&t);
	return why;
}

static void every_rule_is_checked(void **state)
{
	static const struct {
		const char *payload;
		enum jwt_refusal want;
	} rows[] = {
	    {"{" GOOD "}", JWT_NONE},
	    {"{" GOOD ",\"unknown\":[{}]}", JWT_NONE},
	    /* not an object we would look at */
	    {"", JWT_PAYLOAD},
	    {"[]", JWT_PAYLOAD},
	    {"{" GOOD "}x", JWT_PAYLOAD},
	    {"{" GOOD ",\"sub\":\"bob\"}", JWT_PAYLOAD},
	    {"{" GOOD ",\"a\":NaN}", JWT_PAYLOAD},
	    /* iss, aud */
	    {"{\"iss\":\"https://idp.exampleINVALID\"" AUD EXP IAT JTI SUB EVENTS "}", JWT_ISS},
	    {"{\"a\":1" AUD EXP IAT JTI SUB EVENTS "}", JWT_ISS},
	    {"{" ISS EXP IAT JTI SUB EVENTS "}", JWT_AUD},
	    {"{" ISS EXP IAT JTI SUB EVENTS ",\"aud\":\"appINVALID\"}", JWT_AUD},
	    {"{" ISS EXP IAT JTI SUB EVENTS ",\"aud\":[\"app\"]}", JWT_NONE},
	    {"{" ISS EXP IAT JTI SUB EVENTS ",\"aud\":[\"app\",\"other\"]}", JWT_AUD_EXTRA},
	    /* exp is required */
	    {"{" ISS AUD IAT JTI SUB EVENTS "}", JWT_EXP},
	    {"{" ISS AUD IAT JTI SUB EVENTS ",\"exp\":\"1700000120\"}", JWT_EXP},
	    {"{" ISS AUD IAT JTI SUB EVENTS ",\"exp\":1699999941}", JWT_NONE}, /* skew */
	    {"{" ISS AUD IAT JTI SUB EVENTS ",\"exp\":1699999940}", JWT_EXPIRED},
	    /* iat */
	    {"{" ISS AUD EXP JTI SUB EVENTS "}", JWT_IAT},
	    {"{" ISS AUD EXP JTI SUB EVENTS ",\"iat\":1700000061}", JWT_IAT},
	    {"{" ISS AUD EXP JTI SUB EVENTS ",\"iat\":1699996399}", JWT_IAT},
	    {"{" GOOD ",\"nbf\":1700000061}", JWT_NBF},
	    /* jti is required */
	    {"{" ISS AUD EXP IAT SUB EVENTS "}", JWT_JTI},
	    {"{" ISS AUD EXP IAT SUB EVENTS ",\"jti\":\"\"}", JWT_JTI},
	    {"{" ISS AUD EXP IAT SUB EVENTS ",\"jti\":7}", JWT_JTI},
	    {"{" ISS AUD EXP IAT SUB EVENTS ",\"jti\":\"a\\nb\"}", JWT_JTI},
	    /* sub, sid or both */
	    {"{" ISS AUD EXP IAT JTI SID EVENTS "}", JWT_NONE},
	    {"{" ISS AUD EXP IAT JTI SID SUB EVENTS "}", JWT_NONE},
	    {"{" ISS AUD EXP IAT JTI EVENTS "}", JWT_NOBODY},
	    {"{" ISS AUD EXP IAT JTI EVENTS ",\"sub\":\"\"}", JWT_SUB},
	    {"{" ISS AUD EXP IAT JTI SID EVENTS ",\"sub\":7}", JWT_SUB},
	    {"{" ISS AUD EXP IAT JTI SUB EVENTS ",\"sid\":\"\"}", JWT_SID},
	    {"{" ISS AUD EXP IAT JTI SUB EVENTS ",\"sid\":null}", JWT_SID},
	    {"{" ISS AUD EXP IAT JTI SUB EVENTS ",\"sid\":\"a\\r\\nb\"}", JWT_SID},
	    /* events */
	    {"{" ISS AUD EXP IAT JTI SUB "}", JWT_EVENTS},
	    {"{" ISS AUD EXP IAT JTI SUB ",\"events\":{}}", JWT_EVENTS},
	    {"{" ISS AUD EXP IAT JTI SUB ",\"events\":null}", JWT_EVENTS},
	    {"{" ISS AUD EXP IAT JTI SUB ",\"events\":[" NAME "]}", JWT_EVENTS},
	    {"{" ISS AUD EXP IAT JTI SUB ",\"events\":" NAME "}", JWT_EVENTS},
	    {"{" ISS AUD EXP IAT JTI SUB
	     ",\"events\":{\"http://schemas.openid.net/event/foobar\":{}}}",
	     JWT_EVENTS},
	    {"{" ISS AUD EXP IAT JTI SUB ",\"events\":{" NAME ":null}}", JWT_EVENTS},
	    {"{" ISS AUD EXP IAT JTI SUB ",\"events\":{" NAME ":true}}", JWT_EVENTS},
	    {"{" ISS AUD EXP IAT JTI SUB ",\"events\":{" NAME ":[]}}", JWT_EVENTS},
	    {"{" ISS AUD EXP IAT JTI SUB ",\"events\":{" NAME ":{\"a\":1},\"b\":{}}}", JWT_NONE},
	    /* no nonce, whatever it is */
	    {"{" GOOD ",\"nonce\":\"n\"}", JWT_NONCE},
	    {"{" GOOD ",\"nonce\":\"\"}", JWT_NONCE},
	    {"{" GOOD ",\"nonce\":null}", JWT_NONCE},
	    {"{" GOOD ",\"nonce\":{}}", JWT_NONCE},
	    /* an ID token */
	    {"{" ISS AUD EXP IAT SUB SID ",\"nonce\":\"n\",\"auth_time\":1700000000}", JWT_JTI},
	    {"{" ISS AUD EXP IAT JTI SUB SID ",\"auth_time\":1700000000}", JWT_EVENTS},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum jwt_refusal got = judge(sv_str(rows[i].payload), &rules);

		if (got != rows[i].want)
			fail_msg("%s: got \"%s\", want \"%s\"", rows[i].payload,
				 jwt_refusal_word(got), jwt_refusal_word(rows[i].want));
	}
}

static void other_kinds_of_tokens_are_refused(void **state)
{
	static const struct {
		struct sv typ;
		enum jwt_refusal want;
	} rows[] = {
	    {SV_INIT(""), JWT_NONE},
	    {SV_INIT("logout+jwt"), JWT_NONE},
	    {SV_INIT("Logout+JWT"), JWT_NONE},
	    {SV_INIT("application/logout+jwt"), JWT_NONE},
	    {SV_INIT("JWT"), JWT_NONE},
	    {SV_INIT("at+jwt"), JWT_TYP},
	    {SV_INIT("secevent+jwt"), JWT_TYP},
	    {SV_INIT("dpop+jwt"), JWT_TYP},
	    {SV_INIT("logout"), JWT_TYP},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct logout_token_rules r = rules;

		r.typ = rows[i].typ;
		assert_int_equal(judge(SV("{" GOOD "}"), &r), rows[i].want);
	}
}

static void it_says_who_and_until_when_it_could_be_replayed(void **state)
{
	struct logout_token t = {.payload = NULL};
	struct logout_token_rules r = rules;

	(void)state;
	assert_int_equal(logout_token_check(SV("{" ISS AUD EXP IAT JTI SUB SID EVENTS "}"), &r, &t),
			 JWT_NONE);
	assert_sv_equal(t.sub, SV("alice"));
	assert_sv_equal(t.sid, SV("s-1"));
	assert_sv_equal(t.jti, SV("j-1"));
	assert_int_equal(t.iat_s, NOW);
	assert_int_equal(t.replayable_until_s, NOW + 120 + JWT_SKEW_S);
	r.now_s = t.replayable_until_s - 1;
	assert_int_equal(judge(SV("{" GOOD "}"), &r), JWT_NONE);
	r.now_s++;
	assert_int_equal(judge(SV("{" GOOD "}"), &r), JWT_EXPIRED);
	logout_token_done(&t);
	/* One that never expires is refused by the age of its iat: memory of it need not last. */
	assert_int_equal(
	    logout_token_check(SV("{" ISS AUD IAT JTI SUB EVENTS ",\"exp\":9007199254740991}"),
			       &rules, &t),
	    JWT_NONE);
	assert_int_equal(t.replayable_until_s, NOW + JWT_IAT_PAST_S + 1);
	r.now_s = t.replayable_until_s;
	assert_int_equal(judge(SV("{" ISS AUD IAT JTI SUB EVENTS ",\"exp\":9007199254740991}"), &r),
			 JWT_IAT);
	logout_token_done(&t);
}

static void a_token_has_a_limit(void **state)
{
	static char payload[LOGOUT_TOKEN_MAX + 1024], text[LOGOUT_TOKEN_MAX + 1];

	(void)state;
	memset(text, 'a', LOGOUT_TOKEN_MAX);
	snprintf(payload, sizeof payload, "{" GOOD ",\"x\":\"%s\"}", text);
	assert_int_equal(judge(sv_str(payload), &rules), JWT_PAYLOAD);
	text[LOGOUT_JTI_MAX + 1] = '\0';
	snprintf(payload, sizeof payload, "{" ISS AUD EXP IAT SUB EVENTS ",\"jti\":\"%s\"}", text);
	assert_int_equal(judge(sv_str(payload), &rules), JWT_JTI);
	text[LOGOUT_JTI_MAX] = '\0';
	snprintf(payload, sizeof payload, "{" ISS AUD EXP IAT SUB EVENTS ",\"jti\":\"%s\"}", text);
	assert_int_equal(judge(sv_str(payload), &rules), JWT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_rule_is_checked),
	    cmocka_unit_test(other_kinds_of_tokens_are_refused),
	    cmocka_unit_test(it_says_who_and_until_when_it_could_be_replayed),
	    cmocka_unit_test(a_token_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

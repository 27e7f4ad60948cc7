#include "broker/id_token.h"

#include "common/crypt.h"

#include "tests/unit/unit.h"

#define NOW 1700000000

static const struct sv keep[] = {SV_INIT("email"), SV_INIT("roles")};

static const struct id_token_rules rules = {.issuer = SV_INIT("https://idp.example"),
					    .client_id = SV_INIT("app"),
					    .alg = ALG_RS256,
					    .subject_claim = SV_INIT("sub"),
					    .keep_claims = {keep, 2},
					    .expect = {.nonce = SV_INIT("n-1")},
					    .now_s = NOW};

/* A good payload as members; a row of a test replaces one or more of them. */
#define ISS "\"iss\":\"https://idp.example\""
#define SUB ",\"sub\":\"alice\""
#define AUD ",\"aud\":\"app\""
#define EXP ",\"exp\":1700000300"
#define IAT ",\"iat\":1699999990"
#define NONCE ",\"nonce\":\"n-1\""
#define GOOD ISS SUB AUD EXP IAT NONCE

static enum jwt_refusal judge(struct sv payload, const struct id_token_rules *r)
{
	struct id_token t = {.payload = NULL};
	enum jwt_refusal why = id_token_check(payload, r, &t);

	id_token_done(&t);
	return why;
}

static void every_claim_is_checked(void **state)
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
	    {"{" GOOD ",\"sub\":\"mallory\"}", JWT_PAYLOAD},
	    {"{" GOOD ",\"s\\u0075b\":\"mallory\"}", JWT_PAYLOAD},
	    {"{" GOOD ",\"a\":NaN}", JWT_PAYLOAD},
	    {"{" GOOD ",\"a\":\"\\u0000\"}", JWT_PAYLOAD},
	    /* iss */
	    {"{\"iss\":\"https://idp.example1\"" SUB AUD EXP IAT NONCE "}", JWT_ISS},
	    {"{\"iss\":\"https://idp.example/\"" SUB AUD EXP IAT NONCE "}", JWT_ISS},
	    {"{\"iss\":\"HTTPS://idp.example\"" SUB AUD EXP IAT NONCE "}", JWT_ISS},
	    {"{\"iss\":[\"https://idp.example\"]" SUB AUD EXP IAT NONCE "}", JWT_ISS},
	    {"{\"a\":1" SUB AUD EXP IAT NONCE "}", JWT_ISS},
	    /* aud */
	    {"{" ISS SUB EXP IAT NONCE ",\"aud\":[\"app\"]}", JWT_NONE},
	    {"{" ISS SUB EXP IAT NONCE ",\"aud\":[\"app\",\"app\"]}", JWT_NONE},
	    {"{" ISS SUB EXP IAT NONCE ",\"aud\":\"app1\"}", JWT_AUD},
	    {"{" ISS SUB EXP IAT NONCE ",\"aud\":[\"other\"]}", JWT_AUD},
	    {"{" ISS SUB EXP IAT NONCE ",\"aud\":[]}", JWT_AUD},
	    {"{" ISS SUB EXP IAT NONCE ",\"aud\":[\"app\",1]}", JWT_AUD},
	    {"{" ISS SUB EXP IAT NONCE ",\"aud\":{\"app\":1}}", JWT_AUD},
	    {"{" ISS SUB EXP IAT NONCE ",\"aud\":null}", JWT_AUD},
	    {"{" ISS SUB EXP IAT NONCE "}", JWT_AUD},
	    {"{" ISS SUB EXP IAT NONCE ",\"aud\":[\"app\",\"other\"]}", JWT_AUD_EXTRA},
	    {"{" ISS SUB EXP IAT NONCE ",\"aud\":[\"other\",\"app\"],\"azp\":\"app\"}",
	     JWT_AUD_EXTRA},
	    /* azp */
	    {"{" GOOD ",\"azp\":\"app\"}", JWT_NONE},
	    {"{" GOOD ",\"azp\":\"other\"}", JWT_AZP},
	    {"{" GOOD ",\"azp\":1}", JWT_AZP},
	    {"{" GOOD ",\"azp\":null}", JWT_AZP},
	    /* exp */
	    {"{" ISS SUB AUD IAT NONCE "}", JWT_EXP},
	    {"{" ISS SUB AUD IAT NONCE ",\"exp\":\"1700000300\"}", JWT_EXP},
	    {"{" ISS SUB AUD IAT NONCE ",\"exp\":-1}", JWT_EXP},
	    {"{" ISS SUB AUD IAT NONCE ",\"exp\":1e300}", JWT_EXP},
	    {"{" ISS SUB AUD IAT NONCE ",\"exp\":9007199254740992}", JWT_EXP},
	    {"{" ISS SUB AUD IAT NONCE ",\"exp\":99999999999999999999999}", JWT_EXP},
	    {"{" ISS SUB AUD IAT NONCE ",\"exp\":9007199254740991}", JWT_NONE},
	    {"{" ISS SUB AUD IAT NONCE ",\"exp\":1700000300.5}", JWT_NONE},
	    {"{" ISS SUB AUD IAT NONCE ",\"exp\":1699999941}", JWT_NONE}, /* skew */
	    {"{" ISS SUB AUD IAT NONCE ",\"exp\":1699999940}", JWT_EXPIRED},
	    {"{" ISS SUB AUD IAT NONCE ",\"exp\":0}", JWT_EXPIRED},
	    /* iat */
	    {"{" ISS SUB AUD EXP NONCE "}", JWT_IAT},
	    {"{" ISS SUB AUD EXP NONCE ",\"iat\":null}", JWT_IAT},
	    {"{" ISS SUB AUD EXP NONCE ",\"iat\":1700000060}", JWT_NONE},
	    {"{" ISS SUB AUD EXP NONCE ",\"iat\":1700000061}", JWT_IAT},
	    {"{" ISS SUB AUD EXP NONCE ",\"iat\":1699996400}", JWT_NONE},
	    {"{" ISS SUB AUD EXP NONCE ",\"iat\":1699996399}", JWT_IAT},
	    {"{" ISS SUB AUD EXP NONCE ",\"iat\":1e300}", JWT_IAT},
	    /* nbf */
	    {"{" GOOD ",\"nbf\":1700000060}", JWT_NONE},
	    {"{" GOOD ",\"nbf\":1700000061}", JWT_NBF},
	    {"{" GOOD ",\"nbf\":\"x\"}", JWT_NBF},
	    /* nonce */
	    {"{" ISS SUB AUD EXP IAT "}", JWT_NONCE},
	    {"{" ISS SUB AUD EXP IAT ",\"nonce\":\"n-11\"}", JWT_NONCE},
	    {"{" ISS SUB AUD EXP IAT ",\"nonce\":\"\"}", JWT_NONCE},
	    {"{" ISS SUB AUD EXP IAT ",\"nonce\":null}", JWT_NONCE},
	    {"{" ISS SUB AUD EXP IAT ",\"nonce\":[\"n-1\"]}", JWT_NONCE},
	    /* sub */
	    {"{" ISS AUD EXP IAT NONCE "}", JWT_SUB},
	    {"{" ISS AUD EXP IAT NONCE ",\"sub\":\"\"}", JWT_SUB},
	    {"{" ISS AUD EXP IAT NONCE ",\"sub\":7}", JWT_SUB},
	    {"{" ISS AUD EXP IAT NONCE ",\"sub\":\"al\\u0000ice\"}", JWT_PAYLOAD},
	    {"{" ISS AUD EXP IAT NONCE ",\"sub\":\"\\u00e4\"}", JWT_SUB},
	    {"{" ISS AUD EXP IAT NONCE ",\"sub\":\"a\\nb\"}", JWT_SUB},
	    /* the rest of what we read */
	    {"{" GOOD ",\"auth_time\":1699990000}", JWT_NONE},
	    {"{" GOOD ",\"auth_time\":1700000061}", JWT_AUTH_TIME},
	    {"{" GOOD ",\"auth_time\":\"x\"}", JWT_AUTH_TIME},
	    {"{" GOOD ",\"acr\":1}", JWT_ACR},
	    {"{" GOOD ",\"acr\":\"\"}", JWT_ACR},
	    {"{" GOOD ",\"sid\":{}}", JWT_SID},
	    {"{" GOOD ",\"sid\":\"a\\r\\nb\"}", JWT_SID},
	    {"{" GOOD ",\"email\":17}", JWT_NONE},
	    /* a logout token */
	    {"{" GOOD ",\"events\":{\"http://schemas.openid.net/event/backchannel-logout\":{}}}",
	     JWT_EVENTS},
	    {"{" GOOD ",\"events\":null}", JWT_EVENTS},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum jwt_refusal got = judge(sv_str(rows[i].payload), &rules);

		if (got != rows[i].want)
			fail_msg("%s: got \"%s\", want \"%s\"", rows[i].payload,
				 jwt_refusal_word(got), jwt_refusal_word(rows[i].want));
	}
}

static void audiences_have_a_limit(void **state)
{
	char payload[1024], aud[JWT_AUD_MAX * 6 + 7];

	(void)state;
	for (size_t n = JWT_AUD_MAX; n <= JWT_AUD_MAX + 1; n++) {
		aud[0] = '\0';
		for (size_t i = 0; i < n; i++)
			strcat(aud, i == 0 ? "\"app\"" : ",\"app\"");
		snprintf(payload, sizeof payload, "{" ISS SUB EXP IAT NONCE ",\"aud\":[%s]}", aud);
		assert_int_equal(judge(sv_str(payload), &rules),
				 n <= JWT_AUD_MAX ? JWT_NONE : JWT_AUD);
	}
}

static void azp_decides_where_others_are_named(void **state)
{
	static const struct {
		const char *aud;
		enum jwt_refusal want;
	} rows[] = {
	    {"[\"other\",\"app\"],\"azp\":\"app\"", JWT_NONE},
	    {"\"app\"", JWT_NONE},
	    {"[\"other\",\"app\"]", JWT_AUD_EXTRA},
	    {"[\"other\",\"app\"],\"azp\":\"other\"", JWT_AUD_EXTRA},
	    {"[\"other\",\"app\"],\"azp\":[\"app\"]", JWT_AUD_EXTRA},
	    {"[\"other\"],\"azp\":\"app\"", JWT_AUD},
	    {"\"other\",\"azp\":\"app\"", JWT_AUD},
	};
	struct id_token_rules shared = rules;

	(void)state;
	shared.azp_decides = true;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char payload[512];

		snprintf(payload, sizeof payload, "{" ISS SUB EXP IAT NONCE ",\"aud\":%s}",
			 rows[i].aud);
		if (judge(sv_str(payload), &shared) != rows[i].want)
			fail_msg("%s", rows[i].aud);
	}
}

static void a_subject_has_a_limit(void **state)
{
	char payload[1024], sub[JWT_SUB_MAX + 2];

	(void)state;
	for (size_t n = JWT_SUB_MAX; n <= JWT_SUB_MAX + 1; n++) {
		memset(sub, 'a', n);
		sub[n] = '\0';
		snprintf(payload, sizeof payload, "{" ISS AUD EXP IAT NONCE ",\"sub\":\"%s\"}",
			 sub);
		assert_int_equal(judge(sv_str(payload), &rules),
				 n == JWT_SUB_MAX ? JWT_NONE : JWT_SUB);
	}
}

static void other_kinds_of_tokens_are_refused(void **state)
{
	static const struct {
		struct sv typ;
		enum jwt_refusal want;
	} rows[] = {
	    {SV_INIT(""), JWT_NONE},
	    {SV_INIT("JWT"), JWT_NONE},
	    {SV_INIT("jwt"), JWT_NONE},
	    {SV_INIT("application/jwt"), JWT_NONE},
	    {SV_INIT("logout+jwt"), JWT_TYP},
	    {SV_INIT("at+jwt"), JWT_TYP},
	    {SV_INIT("application/at+jwt"), JWT_TYP},
	    {SV_INIT("dpop+jwt"), JWT_TYP},
	    {SV_INIT("x"), JWT_TYP},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct id_token_rules r = rules;

		r.typ = rows[i].typ;
		assert_int_equal(judge(SV("{" GOOD "}"), &r), rows[i].want);
	}
}

static void at_hash_binds_the_access_token(void **state)
{
	/* base64url of the left half of the digest of "token": SHA-256, and SHA-512 for EdDSA */
	static const char sha256[] = "PEaenWxYddN6Q_NT1PiOYQ",
			  sha512[] = "ImXaughy_DrvFp0Hk2XlkPDLyO1GwqeYTIpkKAPP2Ww";
	static const struct {
		enum config_alg alg;
		const char *at_hash;
		struct sv access_token;
		enum jwt_refusal want;
	} rows[] = {
	    {ALG_RS256, sha256, SV_INIT("token"), JWT_NONE},
	    {ALG_ES256, sha256, SV_INIT("token"), JWT_NONE},
	    {ALG_RS256, sha256, SV_INIT("token2"), JWT_AT_HASH},
	    {ALG_RS256, "", SV_INIT("token"), JWT_AT_HASH},
	    {ALG_RS256, sha512, SV_INIT("token"), JWT_AT_HASH},
	    {ALG_RS256, sha256, SV_INIT(""), JWT_NONE},
	    {ALG_EDDSA, sha256, SV_INIT("token"), JWT_AT_HASH},
	    {ALG_EDDSA, sha512, SV_INIT("token"), JWT_NONE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct id_token_rules r = rules;
		char payload[512];
		enum jwt_refusal got;

		r.alg = rows[i].alg;
		r.expect.access_token = rows[i].access_token;
		snprintf(payload, sizeof payload, "{" GOOD ",\"at_hash\":\"%s\"}", rows[i].at_hash);
		got = judge(sv_str(payload), &r);
		if (got != rows[i].want)
			fail_msg("row %zu: \"%s\"", i, jwt_refusal_word(got));
	}
	assert_int_equal(judge(SV("{" GOOD ",\"at_hash\":7}"), &rules), JWT_AT_HASH);
}

/* Core 12.2: a refresh's token is of the same person; it may lack the nonce. */
static void a_refresh_keeps_the_subject(void **state)
{
	struct id_token_rules r = rules;

	(void)state;
	r.expect = (struct id_token_expect){.sub = SV("alice")};
	assert_int_equal(judge(SV("{" ISS SUB AUD EXP IAT "}"), &r), JWT_NONE);
	assert_int_equal(judge(SV("{" GOOD "}"), &r), JWT_NONE);
	r.expect.sub = SV("bob");
	assert_int_equal(judge(SV("{" GOOD "}"), &r), JWT_SUB_CHANGED);
}

#define OF_REFRESH ISS SUB AUD EXP IAT

/* Core 12.2: absent, or those of the login; a login without auth_time leaves nothing to compare. */
static void a_refresh_keeps_nonce_and_auth_time(void **state)
{
	static const struct {
		const char *payload;
		int64_t was_s;
		bool moves;
		enum jwt_refusal want;
	} rows[] = {
	    {"{" OF_REFRESH "}", 1699990000, false, JWT_NONE},
	    {"{" OF_REFRESH NONCE "}", 0, false, JWT_NONE},
	    {"{" OF_REFRESH ",\"nonce\":\"n-2\"}", 0, false, JWT_NONCE},
	    {"{" OF_REFRESH ",\"nonce\":\"\"}", 0, false, JWT_NONCE},
	    {"{" OF_REFRESH ",\"nonce\":null}", 0, false, JWT_NONCE},
	    {"{" OF_REFRESH ",\"auth_time\":1699990000}", 1699990000, false, JWT_NONE},
	    {"{" OF_REFRESH ",\"auth_time\":1699990001}", 1699990000, false, JWT_AUTH_TIME_CHANGED},
	    {"{" OF_REFRESH ",\"auth_time\":1699989999}", 1699990000, false, JWT_AUTH_TIME_CHANGED},
	    {"{" OF_REFRESH ",\"auth_time\":0}", 1699990000, false, JWT_AUTH_TIME_CHANGED},
	    {"{" OF_REFRESH ",\"auth_time\":1699999990}", 0, false, JWT_NONE},
	    {"{" OF_REFRESH ",\"auth_time\":1699990001}", 1699990000, true, JWT_NONE},
	    {"{" OF_REFRESH ",\"auth_time\":1699989999}", 1699990000, true, JWT_AUTH_TIME_CHANGED},
	};
	unsigned char hash[CRYPT_SHA256_LEN];

	(void)state;
	assert_int_equal(crypt_sha256(SV("n-1"), hash), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct id_token_rules r = rules;
		enum jwt_refusal got;

		r.expect =
		    (struct id_token_expect){.sub = SV("alice"),
					     .nonce_hash = sv_of((const char *)hash, sizeof hash),
					     .auth_time_s = rows[i].was_s};
		r.auth_time_moves = rows[i].moves;
		got = judge(sv_str(rows[i].payload), &r);
		if (got != rows[i].want)
			fail_msg("%s: got \"%s\"", rows[i].payload, jwt_refusal_word(got));
	}
	/* A grant of before nonces were kept. */
	struct id_token_rules r = rules;
	r.expect = (struct id_token_expect){.sub = SV("alice")};
	assert_int_equal(judge(SV("{" OF_REFRESH ",\"nonce\":\"n-2\"}"), &r), JWT_NONE);
}

static void what_is_not_kept_is_dropped(void **state)
{
	struct id_token t = {.payload = NULL};

	(void)state;
	assert_int_equal(
	    id_token_check(SV("{" GOOD
			      ",\"roles\":[\"a/b\",\"\\u00e9\"],\"email\":\"a@example.com\","
			      "\"phone\":\"1\",\"acr\":\"c1\",\"sid\":\"s-1\",\"auth_time\":5,"
			      "\"email_verified\":true,\"phone_verified\":true}"),
			   &rules, &t),
	    JWT_NONE);
	assert_sv_equal(t.claims.claims, SV("{\"email\":\"a@example.com\",\"email_verified\":true,"
					    "\"roles\":[\"a/b\",\"\xc3\xa9\"]}"));
	assert_sv_equal(t.claims.sub, SV("alice"));
	assert_sv_equal(t.claims.subject, SV("alice"));
	assert_sv_equal(t.claims.email, SV("a@example.com"));
	assert_sv_equal(t.claims.acr, SV("c1"));
	assert_sv_equal(t.claims.sid, SV("s-1"));
	assert_int_equal(t.claims.auth_time_s, 5);
	assert_true(t.claims.has_auth_time);
	assert_int_equal(t.claims.iat_s, 1699999990);
	id_token_done(&t);
	assert_int_equal(id_token_check(SV("{" GOOD "}"), &rules, &t), JWT_NONE);
	assert_sv_equal(t.claims.claims, SV("{}"));
	assert_int_equal(t.claims.auth_time_s, 0); /* unknown; iat is that of the token alone */
	assert_false(t.claims.has_auth_time);
	assert_int_equal(t.claims.email.n, 0);
	id_token_done(&t);
}

/* Of itself it says nothing. */
static void without_email_nothing_is_kept_of_it(void **state)
{
	struct id_token t = {.payload = NULL};
	struct id_token_rules r = rules;

	(void)state;
	r.keep_claims = (struct config_list){keep + 1, 1};
	assert_int_equal(
	    id_token_check(SV("{" GOOD ",\"roles\":[],\"email\":\"a@b\",\"email_verified\":true}"),
			   &r, &t),
	    JWT_NONE);
	assert_sv_equal(t.claims.claims, SV("{\"roles\":[]}"));
	id_token_done(&t);
}

static void the_subject_claim_is_another(void **state)
{
	struct id_token t = {.payload = NULL};
	struct id_token_rules r = rules;

	(void)state;
	r.subject_claim = SV("oid");
	assert_int_equal(judge(SV("{" GOOD "}"), &r), JWT_SUBJECT_CLAIM);
	assert_int_equal(judge(SV("{" GOOD ",\"oid\":\"\"}"), &r), JWT_SUBJECT_CLAIM);
	assert_int_equal(judge(SV("{" GOOD ",\"oid\":1}"), &r), JWT_SUBJECT_CLAIM);
	assert_int_equal(judge(SV("{" GOOD ",\"oid\":\"a\\nb\"}"), &r), JWT_SUBJECT_CLAIM);
	assert_int_equal(id_token_check(SV("{" GOOD ",\"oid\":\"o-1\"}"), &r, &t), JWT_NONE);
	assert_sv_equal(t.claims.subject, SV("o-1"));
	assert_sv_equal(t.claims.sub, SV("alice"));
	id_token_done(&t);
}

static void the_subject_may_be_left_to_userinfo(void **state)
{
	struct id_token t = {.payload = NULL};
	struct id_token_rules r = rules;

	(void)state;
	r.subject_claim = SV("oid");
	r.userinfo_follows = true;
	assert_int_equal(id_token_check(SV("{" GOOD "}"), &r, &t), JWT_NONE);
	assert_int_equal(t.claims.subject.n, 0);
	id_token_done(&t);
	assert_int_equal(id_token_check(SV("{" GOOD ",\"oid\":\"o-1\"}"), &r, &t), JWT_NONE);
	assert_sv_equal(t.claims.subject, SV("o-1"));
	id_token_done(&t);
	assert_int_equal(judge(SV("{" GOOD ",\"oid\":1}"), &r), JWT_SUBJECT_CLAIM);
	assert_int_equal(judge(SV("{" GOOD ",\"oid\":\"\"}"), &r), JWT_SUBJECT_CLAIM);
}

static void claims_have_a_limit(void **state)
{
	static char payload[ID_TOKEN_CLAIMS_MAX + 1024], text[ID_TOKEN_CLAIMS_MAX + 1];

	(void)state;
	memset(text, 'a', ID_TOKEN_CLAIMS_MAX);
	snprintf(payload, sizeof payload, "{" GOOD ",\"roles\":\"%s\"}", text);
	assert_int_equal(judge(sv_str(payload), &rules), JWT_CLAIMS_SIZE);
	text[ID_TOKEN_CLAIMS_MAX - 12] = '\0'; /* {"roles":""} */
	snprintf(payload, sizeof payload, "{" GOOD ",\"roles\":\"%s\"}", text);
	assert_int_equal(judge(sv_str(payload), &rules), JWT_NONE);
}

/* Core 5.3.2: sub decides; what else it says of itself only where it is signed. */
static void userinfo_is_about_the_same_person(void **state)
{
	static const struct {
		const char *payload;
		enum jwt_refusal want, want_signed;
	} rows[] = {
	    {"{\"sub\":\"alice\"}", JWT_NONE, JWT_NONE},
	    {"{" GOOD "}", JWT_NONE, JWT_NONE},
	    {"{\"sub\":\"bob\"}", JWT_SUB_CHANGED, JWT_SUB_CHANGED},
	    {"{}", JWT_SUB, JWT_SUB},
	    {"{\"sub\":\"\"}", JWT_SUB, JWT_SUB},
	    {"{\"sub\":\"alice\",\"iss\":\"https://other.example\"}", JWT_NONE, JWT_ISS},
	    {"{\"sub\":\"alice\",\"iss\":null}", JWT_NONE, JWT_ISS},
	    {"{\"sub\":\"alice\",\"aud\":\"other\"}", JWT_NONE, JWT_AUD},
	    {"{\"sub\":\"alice\",\"aud\":[\"app\",\"other\"]}", JWT_NONE, JWT_AUD_EXTRA},
	    {"{\"sub\":\"alice\",\"exp\":1699999000}", JWT_NONE, JWT_EXPIRED},
	    {"{\"sub\":\"alice\",\"exp\":\"soon\"}", JWT_NONE, JWT_EXP},
	    {"{\"sub\":\"alice\",\"sub\":\"alice\"}", JWT_PAYLOAD, JWT_PAYLOAD},
	};
	struct id_token_rules r = rules;

	(void)state;
	r.expect = (struct id_token_expect){.sub = SV("alice")};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct id_token t = {.payload = NULL};
		enum jwt_refusal got = userinfo_check(sv_str(rows[i].payload), &r, &t), got_signed;

		id_token_done(&t);
		got_signed = userinfo_check_signed(sv_str(rows[i].payload), &r, &t);
		id_token_done(&t);
		if (got != rows[i].want || got_signed != rows[i].want_signed)
			fail_msg("%s: %s %s", rows[i].payload, jwt_refusal_word(got),
				 jwt_refusal_word(got_signed));
	}
}

static void userinfo_keeps_what_is_kept(void **state)
{
	struct id_token t = {.payload = NULL};
	struct id_token_rules r = rules;

	(void)state;
	r.expect = (struct id_token_expect){.sub = SV("alice")};
	r.subject_claim = SV("oid");
	r.userinfo_follows = true;
	assert_int_equal(
	    userinfo_check(SV("{\"sub\":\"alice\",\"email\":\"a@b\",\"x\":1}"), &r, &t), JWT_NONE);
	assert_sv_equal(t.claims.sub, SV("alice"));
	assert_int_equal(t.claims.subject.n, 0); /* the ID token's */
	assert_sv_equal(t.claims.email, SV("a@b"));
	assert_sv_equal(t.claims.claims, SV("{\"email\":\"a@b\"}"));
	id_token_done(&t);
	assert_int_equal(userinfo_check(SV("{\"sub\":\"alice\",\"oid\":\"o-1\"}"), &r, &t),
			 JWT_NONE);
	assert_sv_equal(t.claims.subject, SV("o-1"));
	id_token_done(&t);
	assert_int_equal(userinfo_check(SV("{\"sub\":\"alice\",\"oid\":7}"), &r, &t),
			 JWT_SUBJECT_CLAIM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_claim_is_checked),
	    cmocka_unit_test(audiences_have_a_limit),
	    cmocka_unit_test(azp_decides_where_others_are_named),
	    cmocka_unit_test(a_subject_has_a_limit),
	    cmocka_unit_test(other_kinds_of_tokens_are_refused),
	    cmocka_unit_test(at_hash_binds_the_access_token),
	    cmocka_unit_test(a_refresh_keeps_the_subject),
	    cmocka_unit_test(a_refresh_keeps_nonce_and_auth_time),
	    cmocka_unit_test(what_is_not_kept_is_dropped),
	    cmocka_unit_test(without_email_nothing_is_kept_of_it),
	    cmocka_unit_test(the_subject_claim_is_another),
	    cmocka_unit_test(the_subject_may_be_left_to_userinfo),
	    cmocka_unit_test(claims_have_a_limit),
	    cmocka_unit_test(userinfo_is_about_the_same_person),
	    cmocka_unit_test(userinfo_keeps_what_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

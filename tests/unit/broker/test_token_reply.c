#include "broker/token_reply.h"

#include "tests/unit/unit.h"

#define NOW 1700000000 /* Tue, 14 Nov 2023 22:13:20 GMT */

static void ask(int status, const char *body, const char *retry_after, enum config_preset preset,
		struct token_answer *a)
{
	struct http_response h = {.outcome = HTTP_ANSWERED,
				  .status = status,
				  .body = sv_str(body),
				  .retry_after = sv_str(retry_after),
				  .detail = ""};

	token_reply_read(&h, preset, NULL, NOW, a);
}

#define GRANT_SUB(sub) "{\"error\":\"invalid_grant\",\"suberror\":\"" sub "\"}"
#define ERROR(word) "{\"error\":\"" word "\",\"error_description\":\"some text\"}"

/* research: A.3, each row. */
static void every_failure_has_its_meaning(void **state)
{
	static const struct {
		int status;
		const char *body, *retry_after;
		enum config_preset preset;
		enum token_outcome want;
		const char *want_detail;
	} rows[] = {
	    {400, ERROR("invalid_grant"), "", PRESET_GENERIC, TOKEN_DEAD, "invalid_grant"},
	    {401, ERROR("invalid_grant"), "", PRESET_GENERIC, TOKEN_DEAD, "invalid_grant"},
	    {500, ERROR("invalid_grant"), "", PRESET_GENERIC, TOKEN_UNKNOWN, "server_error"},
	    {400, ERROR("invalid_request"), "", PRESET_GENERIC, TOKEN_CLIENT_BROKEN,
	     "invalid_request"},
	    {400, ERROR("invalid_request"), "", PRESET_DEX, TOKEN_DEAD, "invalid_request"},
	    {500, ERROR("invalid_request"), "", PRESET_DEX, TOKEN_UNKNOWN, "server_error"},
	    {400, ERROR("invalid_scope"), "", PRESET_GENERIC, TOKEN_MISCONFIGURED, "invalid_scope"},
	    {400, ERROR("invalid_target"), "", PRESET_GENERIC, TOKEN_MISCONFIGURED,
	     "invalid_target"},
	    {400, ERROR("invalid_resource"), "", PRESET_ENTRA, TOKEN_MISCONFIGURED,
	     "invalid_resource"},
	    {400, ERROR("interaction_required"), "", PRESET_GENERIC, TOKEN_INTERACTION,
	     "interaction_required"},
	    {400, ERROR("login_required"), "", PRESET_GENERIC, TOKEN_INTERACTION, "login_required"},
	    {400, ERROR("consent_required"), "", PRESET_GENERIC, TOKEN_INTERACTION,
	     "consent_required"},
	    {400, ERROR("account_selection_required"), "", PRESET_GENERIC, TOKEN_INTERACTION,
	     "account_selection_required"},
	    {403, ERROR("access_denied"), "", PRESET_AUTHENTIK, TOKEN_INTERACTION, "access_denied"},
	    {401, ERROR("invalid_client"), "", PRESET_GENERIC, TOKEN_CLIENT_BROKEN,
	     "invalid_client"},
	    {400, ERROR("invalid_client"), "", PRESET_GENERIC, TOKEN_CLIENT_BROKEN,
	     "invalid_client"},
	    {400, ERROR("unauthorized_client"), "", PRESET_GENERIC, TOKEN_CLIENT_BROKEN,
	     "unauthorized_client"},
	    {400, ERROR("unsupported_grant_type"), "", PRESET_GENERIC, TOKEN_CLIENT_BROKEN,
	     "unsupported_grant_type"},
	    {400, ERROR("use_dpop_nonce"), "", PRESET_GENERIC, TOKEN_CLIENT_BROKEN, "dpop_wanted"},
	    {400, ERROR("invalid_dpop_proof"), "", PRESET_GENERIC, TOKEN_CLIENT_BROKEN,
	     "dpop_wanted"},
	    {400, ERROR("slow_down"), "", PRESET_GENERIC, TOKEN_THROTTLED, "slow_down"},
	    {400, ERROR("temporarily_unavailable"), "", PRESET_ENTRA, TOKEN_THROTTLED,
	     "temporarily_unavailable"},
	    {429, "", "7", PRESET_GENERIC, TOKEN_THROTTLED, "throttled"},
	    {429, ERROR("invalid_grant"), "", PRESET_GENERIC, TOKEN_THROTTLED, "throttled"},
	    {503, "<html>", "7", PRESET_GENERIC, TOKEN_THROTTLED, "throttled"},
	    {503, "<html>", "", PRESET_GENERIC, TOKEN_UNKNOWN, "server_error"},
	    {502, "<html>", "7", PRESET_GENERIC, TOKEN_UNKNOWN, "server_error"},
	    {500, "", "", PRESET_GENERIC, TOKEN_UNKNOWN, "server_error"},
	    {302, "", "", PRESET_GENERIC, TOKEN_UNKNOWN, "redirect"},
	    {204, "", "", PRESET_GENERIC, TOKEN_UNKNOWN, "status"},
	    {201, "{\"access_token\":\"a\",\"token_type\":\"Bearer\"}", "", PRESET_GENERIC,
	     TOKEN_UNKNOWN, "status"},
	    {400, "", "", PRESET_GENERIC, TOKEN_UNKNOWN, "unknown_error"},
	    {400, "<html>", "", PRESET_GENERIC, TOKEN_UNKNOWN, "unknown_error"},
	    {403, "<html>", "", PRESET_GENERIC, TOKEN_UNKNOWN, "unknown_error"},
	    {404, "{}", "", PRESET_GENERIC, TOKEN_UNKNOWN, "unknown_error"},
	    {400, ERROR("never_heard_of"), "", PRESET_GENERIC, TOKEN_UNKNOWN, "unknown_error"},
	    {400, ERROR("INVALID_GRANT"), "", PRESET_GENERIC, TOKEN_UNKNOWN, "unknown_error"},
	    {400, "{\"error\":[\"invalid_grant\"]}", "", PRESET_GENERIC, TOKEN_UNKNOWN,
	     "unknown_error"},
	    {400, "{\"error\":\"invalid_grant\",\"error\":\"x\"}", "", PRESET_GENERIC,
	     TOKEN_UNKNOWN, "unknown_error"},
	    {400, "{\"error\":\"invalid_grant\"", "", PRESET_GENERIC, TOKEN_UNKNOWN,
	     "unknown_error"},
	    {400,
	     "{\"error\":\"invalid_grant\",\"error_description\":\"AADSTS50196: The server "
	     "terminated an operation\"}",
	     "", PRESET_ENTRA, TOKEN_TOO_OFTEN, "loop_guard"},
	    {400, "{\"error\":\"invalid_grant\",\"error_description\":\"AADSTS50196\"}", "",
	     PRESET_GENERIC, TOKEN_DEAD, "invalid_grant"},
	    /* suberror is Entra's, and nobody else's */
	    {400, GRANT_SUB("bad_token"), "", PRESET_ENTRA, TOKEN_DEAD, "invalid_grant"},
	    {400, GRANT_SUB(""), "", PRESET_ENTRA, TOKEN_DEAD, "invalid_grant"},
	    {400, GRANT_SUB("consent_required"), "", PRESET_ENTRA, TOKEN_INTERACTION,
	     "consent_required"},
	    {400, GRANT_SUB("basic_action"), "", PRESET_ENTRA, TOKEN_INTERACTION, "basic_action"},
	    {400, GRANT_SUB("additional_action"), "", PRESET_ENTRA, TOKEN_INTERACTION,
	     "additional_action"},
	    {400, GRANT_SUB("message_only"), "", PRESET_ENTRA, TOKEN_INTERACTION, "message_only"},
	    {400, GRANT_SUB("basic_action"), "", PRESET_GENERIC, TOKEN_DEAD, "invalid_grant"},
	    {400, GRANT_SUB("consent_required"), "", PRESET_GENERIC, TOKEN_DEAD, "invalid_grant"},
	    {400, GRANT_SUB("token_expired"), "", PRESET_ENTRA, TOKEN_DEAD, "invalid_grant"},
	    {400,
	     "{\"error\":\"invalid_grant\",\"suberror\":\"basic_action\","
	     "\"error_description\":\"AADSTS50196\"}",
	     "", PRESET_ENTRA, TOKEN_INTERACTION, "basic_action"},
	    {400, "{\"error\":\"interaction_required\",\"suberror\":\"basic_action\"}", "",
	     PRESET_ENTRA, TOKEN_INTERACTION, "interaction_required"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct token_answer a;

		ask(rows[i].status, rows[i].body, rows[i].retry_after, rows[i].preset, &a);
		if (a.reply.outcome != rows[i].want ||
		    strcmp(a.reply.detail, rows[i].want_detail) != 0)
			fail_msg("%d %s: %d %s", rows[i].status, rows[i].body, a.reply.outcome,
				 a.reply.detail);
		assert_int_equal(a.reply.access_token.n, 0);
		assert_int_equal(a.reply.refresh_token.n, 0);
		assert_int_equal(a.reply.id_token.n, 0);
		token_answer_done(&a);
	}
}

static void a_throttled_one_always_says_when(void **state)
{
	struct token_answer a;

	(void)state;
	ask(429, "", "", PRESET_GENERIC, &a);
	assert_in_range(a.reply.retry_after_s, 1, TOKEN_RETRY_AFTER_MAX_S);
	token_answer_done(&a);
	ask(429, "", "42", PRESET_GENERIC, &a);
	assert_int_equal(a.reply.retry_after_s, 42);
	token_answer_done(&a);
}

static void the_transport_decides_first(void **state)
{
	struct http_response h = {.outcome = HTTP_NOT_SENT, .detail = "connect"};
	struct token_answer a;

	(void)state;
	token_reply_read(&h, PRESET_GENERIC, NULL, NOW, &a);
	assert_int_equal(a.reply.outcome, TOKEN_NOT_SENT);
	assert_string_equal(a.reply.detail, "connect");
	token_answer_done(&a);
	h.outcome = HTTP_UNKNOWN;
	token_reply_read(&h, PRESET_GENERIC, NULL, NOW, &a);
	assert_int_equal(a.reply.outcome, TOKEN_UNKNOWN);
	assert_false(a.reply.answered);
	token_answer_done(&a);
	h = (struct http_response){.outcome = HTTP_ANSWERED, .status = 403, .body = SV("<html>")};
	token_reply_read(&h, PRESET_GENERIC, NULL, NOW, &a);
	assert_int_equal(a.reply.outcome, TOKEN_UNKNOWN);
	assert_true(a.reply.answered);
	token_answer_done(&a);
}

#define AT "\"access_token\":\"at-1\""
#define TYPE ",\"token_type\":\"Bearer\""

static void successes_are_checked(void **state)
{
	static const struct {
		const char *body;
		enum token_outcome want;
		const char *want_detail;
		int64_t want_expires_in_s;
	} rows[] = {
	    {"{" AT TYPE "}", TOKEN_OK, "", 300},
	    {"{" AT ",\"token_type\":\"bEaReR\"}", TOKEN_OK, "", 300},
	    {"{" AT TYPE ",\"expires_in\":3600}", TOKEN_OK, "", 3600},
	    {"{" AT TYPE ",\"expires_in\":0}", TOKEN_OK, "", 1},
	    {"{" AT TYPE ",\"expires_in\":9007199254740993}", TOKEN_OK, "", TOKEN_TTL_MAX_S},
	    {"{" AT TYPE ",\"unknown\":[1,{}],\"error\":\"x\"}", TOKEN_OK, "", 300},
	    {"{" AT TYPE ",\"expires_in\":\"3600\"}", TOKEN_UNKNOWN, "bad_json", 300},
	    {"{" AT TYPE ",\"expires_in\":-1}", TOKEN_UNKNOWN, "bad_json", 300},
	    {"{" AT TYPE ",\"expires_in\":1e3}", TOKEN_UNKNOWN, "bad_json", 300},
	    {"{" AT TYPE ",\"expires_in\":null}", TOKEN_UNKNOWN, "bad_json", 300},
	    {"", TOKEN_UNKNOWN, "bad_json", 300},
	    {"<html>", TOKEN_UNKNOWN, "bad_json", 300},
	    {"[]", TOKEN_UNKNOWN, "bad_json", 300},
	    {"{}", TOKEN_UNKNOWN, "bad_token", 300},
	    {"{" AT "}", TOKEN_UNKNOWN, "token_type", 300},
	    {"{" AT ",\"token_type\":\"DPoP\"}", TOKEN_UNKNOWN, "token_type", 300},
	    {"{" AT ",\"token_type\":\"N_A\"}", TOKEN_UNKNOWN, "token_type", 300},
	    {"{" AT ",\"token_type\":\"\"}", TOKEN_UNKNOWN, "token_type", 300},
	    {"{" AT ",\"token_type\":1}", TOKEN_UNKNOWN, "bad_json", 300},
	    {"{\"access_token\":1" TYPE "}", TOKEN_UNKNOWN, "bad_json", 300},
	    {"{\"access_token\":\"\"" TYPE "}", TOKEN_UNKNOWN, "bad_token", 300},
	    {"{\"access_token\":\"a b\"" TYPE "}", TOKEN_UNKNOWN, "bad_token", 300},
	    {"{\"access_token\":\"a\\r\\nX: y\"" TYPE "}", TOKEN_UNKNOWN, "bad_token", 300},
	    {"{\"access_token\":\"\\u00e9\"" TYPE "}", TOKEN_UNKNOWN, "bad_token", 300},
	    {"{" AT TYPE ",\"access_token\":\"at-2\"}", TOKEN_UNKNOWN, "bad_json", 300},
	    {"{" AT TYPE ",\"acc\\u0065ss_token\":\"at-2\"}", TOKEN_UNKNOWN, "bad_json", 300},
	    {"{" AT TYPE ",\"refresh_token\":null}", TOKEN_UNKNOWN, "bad_json", 300},
	    {"{" AT TYPE ",\"refresh_token\":[]}", TOKEN_UNKNOWN, "bad_json", 300},
	    {"{" AT TYPE ",\"refresh_token\":\"\\n\"}", TOKEN_UNKNOWN, "bad_token", 300},
	    {"{" AT TYPE ",\"id_token\":{}}", TOKEN_UNKNOWN, "bad_json", 300},
	    {"{" AT TYPE ",\"scope\":[\"a\"]}", TOKEN_UNKNOWN, "bad_json", 300},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct token_answer a;

		ask(200, rows[i].body, "", PRESET_GENERIC, &a);
		if (a.reply.outcome != rows[i].want ||
		    strcmp(a.reply.detail, rows[i].want_detail) != 0 ||
		    a.reply.expires_in_s != rows[i].want_expires_in_s)
			fail_msg("%s: %d %s %lld", rows[i].body, a.reply.outcome, a.reply.detail,
				 (long long)a.reply.expires_in_s);
		assert_sv_equal(a.reply.access_token,
				rows[i].want == TOKEN_OK ? SV("at-1") : SV(""));
		token_answer_done(&a);
	}
}

static void all_of_a_success_is_handed_on(void **state)
{
	struct token_answer a;

	(void)state;
	ask(200,
	    "{" AT TYPE ",\"refresh_token\":\"rt\\/2\",\"id_token\":\"a.b.c\",\"scope\":\"x y\"}",
	    "", PRESET_GENERIC, &a);
	assert_int_equal(a.reply.outcome, TOKEN_OK);
	assert_sv_equal(a.reply.access_token, SV("at-1"));
	assert_sv_equal(a.reply.refresh_token, SV("rt/2"));
	assert_sv_equal(a.reply.id_token, SV("a.b.c"));
	assert_sv_equal(a.reply.scope, SV("x y"));
	token_answer_done(&a);
	assert_int_equal(a.reply.access_token.n, 0);
}

static void tokens_have_limits(void **state)
{
	static char body[TOKEN_REPLY_MAX + 100], token[TOKEN_REPLY_MAX];
	struct token_answer a;

	(void)state;
	for (size_t n = TOKEN_ACCESS_MAX; n <= TOKEN_ACCESS_MAX + 1; n++) {
		memset(token, 'a', n);
		token[n] = '\0';
		snprintf(body, sizeof body, "{\"access_token\":\"%s\"" TYPE "}", token);
		ask(200, body, "", PRESET_GENERIC, &a);
		assert_int_equal(a.reply.outcome, n == TOKEN_ACCESS_MAX ? TOKEN_OK : TOKEN_UNKNOWN);
		token_answer_done(&a);
	}
	memset(token, 'a', sizeof token - 1);
	snprintf(body, sizeof body, "{" AT TYPE ",\"x\":\"%s\"}", token);
	ask(200, body, "", PRESET_GENERIC, &a);
	assert_string_equal(a.reply.detail, "bad_json");
	token_answer_done(&a);
}

/* The provider rotated and answered with a token that is not the service's. */
static void a_foreign_token_is_dropped_and_its_successor_kept(void **state)
{
	/* {"alg":"RS256"} . {"aud":"https://b.example/"} */
	struct http_response h = {
	    .outcome = HTTP_ANSWERED,
	    .status = 200,
	    .body = SV("{\"access_token\":\"eyJhbGciOiJSUzI1NiJ9."
		       "eyJhdWQiOiJodHRwczovL2IuZXhhbXBsZS8ifQ.AA\",\"token_type\":\"Bearer\","
		       "\"refresh_token\":\"rt-2\"}")};
	struct config_service s = {.grant = GRANT_RESOURCE, .resource = SV("https://a.example/")};
	struct token_answer a;

	(void)state;
	token_reply_read(&h, PRESET_AUTH0, &s, NOW, &a);
	assert_int_equal(a.reply.outcome, TOKEN_MISCONFIGURED);
	assert_string_equal(a.reply.detail, "wrong_audience");
	assert_int_equal(a.reply.access_token.n, 0);
	assert_sv_equal(a.reply.refresh_token, SV("rt-2"));
	token_answer_done(&a);
	s.resource = SV("https://b.example/");
	token_reply_read(&h, PRESET_AUTH0, &s, NOW, &a);
	assert_int_equal(a.reply.outcome, TOKEN_OK);
	token_answer_done(&a);
}

#define URN ",\"issued_token_type\":\"urn:ietf:params:oauth:token-type:"

/* RFC 8693 2.2. */
static void an_exchange_is_judged(void **state)
{
	static const struct {
		enum config_preset preset;
		int status;
		const char *body;
		enum token_outcome want;
		const char *want_detail;
	} rows[] = {
	    {PRESET_KEYCLOAK, 200, "{" AT TYPE URN "access_token\"}", TOKEN_OK, ""},
	    {PRESET_KEYCLOAK, 200, "{" AT TYPE URN "jwt\"}", TOKEN_MISCONFIGURED,
	     "issued_token_type"},
	    {PRESET_KEYCLOAK, 200, "{" AT TYPE URN "refresh_token\"}", TOKEN_MISCONFIGURED,
	     "issued_token_type"},
	    {PRESET_KEYCLOAK, 200, "{" AT TYPE ",\"issued_token_type\":\"access_token\"}",
	     TOKEN_MISCONFIGURED, "issued_token_type"},
	    {PRESET_KEYCLOAK, 200, "{" AT TYPE "}", TOKEN_MISCONFIGURED, "issued_token_type"},
	    {PRESET_KEYCLOAK, 200, "{" AT ",\"token_type\":\"N_A\"" URN "access_token\"}",
	     TOKEN_UNKNOWN, "token_type"},
	    {PRESET_ZITADEL, 200, "{" AT TYPE URN "jwt\"}", TOKEN_OK, ""},
	    {PRESET_ZITADEL, 200, "{" AT TYPE URN "access_token\"}", TOKEN_OK, ""},
	    {PRESET_ZITADEL, 200, "{" AT TYPE URN "id_token\"}", TOKEN_MISCONFIGURED,
	     "issued_token_type"},
	    {PRESET_KEYCLOAK, 400, ERROR("invalid_request"), TOKEN_DEAD, "invalid_request"},
	    {PRESET_KEYCLOAK, 400, ERROR("invalid_grant"), TOKEN_DEAD, "invalid_grant"},
	    {PRESET_KEYCLOAK, 400, ERROR("invalid_target"), TOKEN_MISCONFIGURED, "invalid_target"},
	    {PRESET_KEYCLOAK, 403, ERROR("access_denied"), TOKEN_INTERACTION, "access_denied"},
	};
	static const struct config_service s = {.grant = GRANT_EXCHANGE};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_response h = {.outcome = HTTP_ANSWERED,
					  .status = rows[i].status,
					  .body = sv_str(rows[i].body),
					  .detail = ""};
		struct token_answer a;

		token_reply_read(&h, rows[i].preset, &s, NOW, &a);
		if (a.reply.outcome != rows[i].want ||
		    strcmp(a.reply.detail, rows[i].want_detail) != 0)
			fail_msg("%s: %d %s", rows[i].body, a.reply.outcome, a.reply.detail);
		assert_int_equal(a.reply.access_token.n > 0, rows[i].want == TOKEN_OK);
		token_answer_done(&a);
	}
}

/* Where an unknown audience is ignored an opaque token may be anybody's. */
static void auth0_must_say_whose_the_token_is(void **state)
{
	struct http_response h = {
	    .outcome = HTTP_ANSWERED, .status = 200, .body = SV("{" AT TYPE "}")};
	struct config_service s = {.grant = GRANT_AUDIENCE, .audience = SV("urn:a")};
	struct token_answer a;

	(void)state;
	token_reply_read(&h, PRESET_AUTH0, &s, NOW, &a);
	assert_int_equal(a.reply.outcome, TOKEN_MISCONFIGURED);
	assert_string_equal(a.reply.detail, "wrong_audience");
	token_answer_done(&a);
	token_reply_read(&h, PRESET_GENERIC, &s, NOW, &a);
	assert_int_equal(a.reply.outcome, TOKEN_OK);
	token_answer_done(&a);
	s.grant = GRANT_SCOPE;
	token_reply_read(&h, PRESET_AUTH0, &s, NOW, &a);
	assert_int_equal(a.reply.outcome, TOKEN_MISCONFIGURED);
	token_answer_done(&a);
	s.audience = SV_NONE;
	token_reply_read(&h, PRESET_AUTH0, &s, NOW, &a);
	assert_int_equal(a.reply.outcome, TOKEN_OK);
	token_answer_done(&a);
}

static void retry_after_is_seconds_or_a_date(void **state)
{
	static const struct {
		const char *in;
		uint32_t want;
	} rows[] = {
	    {"", 0},
	    {"0", 0},
	    {"7", 7},
	    {"300", 300},
	    {"301", 300},
	    {"99999999999999999999999", 300},
	    {"Tue, 14 Nov 2023 22:13:30 GMT", 10},
	    {"Tue, 14 Nov 2023 22:13:20 GMT", 0},
	    {"Tue, 14 Nov 2023 22:13:10 GMT", 0},
	    {"Fri, 14 Nov 2025 22:13:20 GMT", 300},
	    {"soon", 0},
	    {"-5", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(token_retry_after(sv_str(rows[i].in), NOW), rows[i].want);
}

/* What Entra wants of the next login comes with the refusal; what cannot be passed on is dropped,
 * and the refusal is one all the same. */
static void a_challenge_is_an_object(void **state)
{
#define WITH(value) "{\"error\":\"interaction_required\",\"claims\":" value "}"
	static const struct {
		int status;
		const char *body, *want;
		enum token_outcome outcome;
	} rows[] = {
	    {400, WITH("\"{\\\"a\\\":{\\\"b\\\":1}}\""), "{\"a\":{\"b\":1}}", TOKEN_INTERACTION},
	    {400, "{\"error\":\"invalid_grant\",\"suberror\":\"basic_action\",\"claims\":\"{}\"}",
	     "{}", TOKEN_INTERACTION},
	    {400, WITH("\"\""), "", TOKEN_INTERACTION},
	    {400, WITH("\"[]\""), "", TOKEN_INTERACTION},
	    {400, WITH("\"{}x\""), "", TOKEN_INTERACTION},
	    {400, WITH("\"{\\\"a\\\":1,\\\"a\\\":2}\""), "", TOKEN_INTERACTION},
	    {400, WITH("{}"), "", TOKEN_INTERACTION},
	    {400, WITH("null"), "", TOKEN_INTERACTION},
	    {500, WITH("\"{}\""), "", TOKEN_UNKNOWN},
	    {400, "{\"error\":\"invalid_grant\",\"claims\":\"{}\"}", "", TOKEN_DEAD},
	    {200, WITH("\"{}\""), "", TOKEN_UNKNOWN},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct token_answer a;

		ask(rows[i].status, rows[i].body, "", PRESET_ENTRA, &a);
		if (a.reply.outcome != rows[i].outcome ||
		    !sv_eq(a.reply.claims, sv_str(rows[i].want)))
			fail_msg("%s: outcome %d, claims %.*s", rows[i].body, a.reply.outcome,
				 SV_ARG(a.reply.claims));
		token_answer_done(&a);
	}
}

static void a_challenge_has_a_limit(void **state)
{
	static char body[TOKEN_CLAIMS_MAX + 100];

	(void)state;
	for (size_t n = TOKEN_CLAIMS_MAX; n <= TOKEN_CLAIMS_MAX + 1; n++) {
		struct token_answer a;

		(void)snprintf(body, sizeof body, WITH("\"{%*s}\""), (int)n - 2, "");
		ask(400, body, "", PRESET_ENTRA, &a);
		assert_int_equal(a.reply.outcome, TOKEN_INTERACTION);
		assert_int_equal(a.reply.claims.n, n == TOKEN_CLAIMS_MAX ? n : 0);
		token_answer_done(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_failure_has_its_meaning),
	    cmocka_unit_test(a_throttled_one_always_says_when),
	    cmocka_unit_test(the_transport_decides_first),
	    cmocka_unit_test(successes_are_checked),
	    cmocka_unit_test(all_of_a_success_is_handed_on),
	    cmocka_unit_test(tokens_have_limits),
	    cmocka_unit_test(a_foreign_token_is_dropped_and_its_successor_kept),
	    cmocka_unit_test(an_exchange_is_judged),
	    cmocka_unit_test(auth0_must_say_whose_the_token_is),
	    cmocka_unit_test(retry_after_is_seconds_or_a_date),
	    cmocka_unit_test(a_challenge_is_an_object),
	    cmocka_unit_test(a_challenge_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

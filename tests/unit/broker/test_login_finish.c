#include "broker/login_finish.h"

#include "tests/unit/broker/login_flow.h"

static const struct flow plain = {.app = "a"}, silent = {.silent = true}, form = {.app = "f"};
static const struct login_response nothing = {.code = SV_INIT("")};

static void a_row_is_taken_before_the_code_is_exchanged(void **state)
{
	struct ipc_login_finish m = flow_message(&plain);
	unsigned char hash[CRYPT_SHA256_LEN];

	(void)state;
	flow_send(&m);
	assert_int_equal(stand.provider.codes, 0);
	assert_int_equal(fake_asked[0].stmt, SQL_LOGIN_RETURN);
	assert_int_equal(crypt_sha256(SV("S"), hash), ERR_OK);
	assert_sv_equal(fake_param(0, 0), sv_of((const char *)hash, sizeof hash));
	assert_int_equal(crypt_sha256(SV(FLOW_BINDING), hash), ERR_OK);
	assert_sv_equal(fake_param(0, 1), sv_of((const char *)hash, sizeof hash));
	assert_sv_equal(fake_param(0, 2), SV("a"));
	assert_sv_equal(fake_param(0, 3), SV("f")); /* false */
	flow_taken(&plain, STAND_ISSUER, &nothing);
	assert_waiting();
	assert_int_equal(stand.provider.codes, 1);
	assert_sv_equal(stand_sv(&stand.provider.code), SV("code"));
	assert_sv_equal(stand_sv(&stand.provider.redirect_uri),
			SV("https://a.example.com/auth/callback"));
	assert_int_equal(stand.provider.verifier.n, LOGIN_WORD_LEN);
	assert_int_equal(stand.provider.verifier.p[0], 'v');
	stand.provider.code_fn(stand.provider.arg, ERR_CANCELED, NULL);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "no_metadata");
	assert_sv_equal(stand_sv(&stand.answer.return_to), SV("https://a.example.com/x"));
}

static void what_never_reaches_the_database(void **state)
{
	struct ipc_login_finish rows[5];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		rows[i] = flow_message(&plain);
	rows[0].app = SV("none");
	rows[1].origin = SV("https://f.example.com");
	rows[2].binding = SV_NONE;
	rows[3].binding = SV("short");
	rows[4].state = SV_NONE;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		flow_send(&rows[i]);
		assert_failed(IPC_ERROR_BINDING, "app_origin_or_binding");
	}
	assert_int_equal(fake_queries, 0);
}

/* The same callback will do when it is back; who needs none of it goes on. */
static void where_userinfo_is_held_off_no_row_is_used_up(void **state)
{
	struct ipc_login_finish with = flow_message(&form), without = flow_message(&plain);

	(void)state;
	stand.provider.userinfo_held_s = 7;
	flow_send(&with);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "held_off");
	assert_int_equal(stand.answer.retry_after_s, 7);
	assert_int_equal(fake_queries, 0);
	flow_send(&without);
	assert_waiting();
	assert_int_equal(fake_queries, 1);
	fake_answer(ERR_TIMEOUT, NULL);
	stand.provider.userinfo_held_s = 0;
	flow_send(&with);
	assert_waiting();
	fake_answer(ERR_TIMEOUT, NULL);
}

static void rows_that_are_not_taken(void **state)
{
	static const struct {
		const char *state, *detail;
		enum ipc_error code;
	} rows[] = {
	    {"unknown", "unknown_state", IPC_ERROR_BINDING},
	    {"used", "used", IPC_ERROR_STALE},
	    {"expired", "expired", IPC_ERROR_STALE},
	};
	struct ipc_login_finish m = flow_message(&plain);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool known = rows[i].code == IPC_ERROR_STALE;

		flow_send(&m);
		STAND_ROWS(
		    sv_str(rows[i].state), SV("q"), SV("https://a.example.com/auth/callback"),
		    known ? SV("https://a.example.com/x") : SV_NONE, SV_NONE, SV("1"), SV_NONE);
		assert_failed(rows[i].code, rows[i].detail);
		assert_int_equal(stand.answer.return_to.n > 0, known);
		assert_int_equal(fake_nnotes, 1);
	}
	flow_send(&m);
	fake_answer(ERR_TIMEOUT, NULL);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_TIMEOUT));
	assert_int_equal(stand.answer.retry_after_s, 1);
	fake_refuse = ERR_UNAVAILABLE;
	flow_send(&m);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_UNAVAILABLE));
	assert_int_equal(stand.provider.codes, 0);
}

/* Anybody can send a response, made up or used: what that costs the database and its log is bounded
 * as beginnings are. */
static void responses_come_at_the_rate_of_beginnings(void **state)
{
	static const struct {
		const char *state, *client; /* state NULL: no database */
	} rows[] = {{"unknown", "192.0.2.0/24"},
		    {"used", "198.51.100.0/24"},
		    {"expired", "203.0.113.0/24"},
		    {NULL, "192.0.3.0/24"}};
	struct ipc_login_finish m = flow_message(&plain);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned notes = 0, limited = 0, sent = 10 * LOGIN_PREFIX_BURST;

		stand_reset();
		m.client = sv_str(rows[i].client);
		fake_refuse = rows[i].state == NULL ? ERR_UNAVAILABLE : ERR_OK;
		for (unsigned k = 0; k < sent; k++) {
			flow_send(&m);
			if (fake_nasked > 0)
				STAND_ROWS(sv_str(rows[i].state), SV("q"),
					   SV("https://a.example.com/auth/callback"),
					   SV("https://a.example.com/x"), SV_NONE, SV("1"),
					   SV_NONE);
			assert_int_equal(stand.answer.n, 1);
			limited += stand.answer.code == IPC_ERROR_LIMITED;
			notes += fake_nnotes;
		}
		assert_failed(IPC_ERROR_LIMITED, "response_rate");
		assert_true(stand.answer.retry_after_s > 0);
		assert_int_equal(notes, sent - limited);
		assert_int_equal(fake_queries, rows[i].state == NULL ? 0 : notes);
		assert_in_range(notes, LOGIN_PREFIX_BURST, 2 * LOGIN_PREFIX_BURST);
	}
}

/* RFC 9207, OIDC Core 3.1.2.6, RFC 9700 4.4: judged before anything is asked of the provider. */
static void responses_that_are_refused(void **state)
{
	static const struct {
		const struct flow *flow;
		bool iss_supported;
		const char *iss, *error, *code, *issuer, *detail;
		enum ipc_error want;
	} rows[] = {
	    {&plain, true, "", "", "c", STAND_ISSUER, "iss_missing", IPC_ERROR_PROVIDER},
	    {&plain, false, "https://p.example", "", "c", STAND_ISSUER, "iss_mismatch",
	     IPC_ERROR_PROVIDER},
	    {&plain, true, "https://p.example", "access_denied", "", STAND_ISSUER, "iss_mismatch",
	     IPC_ERROR_PROVIDER},
	    {&plain, true, "", "access_denied", "", STAND_ISSUER, "iss_missing",
	     IPC_ERROR_PROVIDER},
	    {&plain, true, STAND_ISSUER, "access_denied", "", STAND_ISSUER, "authorization_error",
	     IPC_ERROR_ACCESS_DENIED},
	    {&plain, false, "", "server_error", "", STAND_ISSUER, "authorization_error",
	     IPC_ERROR_PROVIDER_DOWN},
	    {&plain, false, "", "made up", "", STAND_ISSUER, "authorization_error",
	     IPC_ERROR_PROVIDER},
	    {&plain, false, "", "login_required", "", STAND_ISSUER, "authorization_error",
	     IPC_ERROR_PROVIDER},
	    {&silent, false, "", "login_required", "", STAND_ISSUER, "authorization_error",
	     IPC_ERROR_LOGIN_REQUIRED},
	    {&plain, false, "", "access_denied", "c", STAND_ISSUER, "authorization_error",
	     IPC_ERROR_ACCESS_DENIED},
	    {&plain, false, "", "", "", STAND_ISSUER, "no_code", IPC_ERROR_PROVIDER},
	    {&plain, false, "", "", "c", "https://before.example", "other_issuer", IPC_ERROR_STALE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ipc_login_finish m = flow_message(rows[i].flow);

		stand.meta.iss_parameter_supported = rows[i].iss_supported;
		m.iss = sv_str(rows[i].iss);
		m.error = sv_str(rows[i].error);
		m.code = sv_str(rows[i].code);
		flow_send(&m);
		flow_taken(rows[i].flow, rows[i].issuer, &nothing);
		assert_failed(rows[i].want, rows[i].detail);
		assert_int_equal(fake_nnotes, 1);
	}
	assert_int_equal(stand.provider.codes, 0);
}

static void rows_of_another_time_or_place(void **state)
{
	struct ipc_login_finish m = flow_message(&plain);
	struct buf sealed;

	(void)state;
	flow_seal(&plain, STAND_ISSUER, &sealed);
	flow_send(&m);
	STAND_ROWS(SV("taken"), SV("q2"), SV("https://a.example.com/auth/callback"), SV("/"),
		   buf_sv(&sealed), SV("1"), SV_NONE);
	assert_failed(IPC_ERROR_STALE, "other_provider");
	flow_send(&m);
	STAND_ROWS(SV("taken"), SV("q"), SV("https://a.example.com.evil/auth/callback"), SV("/"),
		   buf_sv(&sealed), SV("1"), SV_NONE);
	assert_failed(IPC_ERROR_BINDING, "other_origin");
	flow_send(&m);
	STAND_ROWS(SV("taken"), SV("q"), SV("https://a.example.com/auth/callback"), SV("/"),
		   SV("not sealed by us"), SV("1"), SV_NONE);
	assert_failed(IPC_ERROR_INTERNAL, "not_opened");
	assert_int_equal(stand.provider.codes, 0);
	buf_done(&sealed);
}

/* ---- a response by POST ------------------------------------------------------------------------
 */

static void a_response_that_was_put_away_is_judged_like_any_other(void **state)
{
	static const struct {
		struct login_response response;
		const char *detail; /* NULL: the code is exchanged */
		enum ipc_error want;
	} rows[] = {
	    {{SV_INIT("by post"), SV_INIT("https://p.example"), {NULL, 0}}, NULL, 0},
	    {{SV_INIT("by post"), {NULL, 0}, {NULL, 0}}, "iss_missing", IPC_ERROR_PROVIDER},
	    {{SV_INIT("by post"), SV_INIT("https://q.example"), {NULL, 0}},
	     "iss_mismatch",
	     IPC_ERROR_PROVIDER},
	    {{{NULL, 0}, SV_INIT("https://p.example"), SV_INIT("access_denied")},
	     "authorization_error",
	     IPC_ERROR_ACCESS_DENIED},
	    {{{NULL, 0}, SV_INIT("https://p.example"), {NULL, 0}}, "no_code", IPC_ERROR_PROVIDER},
	};
	struct ipc_login_finish m = flow_message(&form);

	(void)state;
	stand.meta.iss_parameter_supported = true;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		stand_reset();
		flow_send(&m);
		assert_sv_equal(fake_param(0, 3), SV("t")); /* true */
		flow_taken(&form, "https://p.example", &rows[i].response);
		if (rows[i].detail != NULL) {
			assert_failed(rows[i].want, rows[i].detail);
			assert_int_equal(stand.provider.codes, 0);
			continue;
		}
		assert_sv_equal(stand_sv(&stand.provider.code), SV("by post"));
		stand.provider.code_fn(stand.provider.arg, ERR_CANCELED, NULL);
	}
}

static void a_code_that_should_have_come_by_post_is_refused(void **state)
{
	struct ipc_login_finish m = flow_message(&form);

	(void)state;
	m.code = SV("code");
	flow_send(&m);
	assert_failed(IPC_ERROR_BINDING, "response_mode");
	m.code = SV_NONE;
	m.error = SV("access_denied");
	flow_send(&m);
	assert_failed(IPC_ERROR_BINDING, "response_mode");
	assert_int_equal(fake_queries, 0);
}

static void a_parked_response_that_does_not_open(void **state)
{
	struct ipc_login_finish m = flow_message(&form);
	struct buf sealed;

	(void)state;
	flow_seal(&form, "https://p.example", &sealed);
	flow_send(&m);
	STAND_ROWS(SV("taken"), SV("p"), SV("https://f.example.com/auth/callback"), SV("/"),
		   buf_sv(&sealed), SV("1"), buf_sv(&sealed)); /* of another label */
	assert_failed(IPC_ERROR_INTERNAL, "not_opened");
	buf_done(&sealed);
}

static void a_code_that_cannot_be_sent(void **state)
{
	struct ipc_login_finish m = flow_message(&plain);

	(void)state;
	stand.provider.refuses = ERR_UNAVAILABLE;
	flow_send(&m);
	flow_taken(&plain, STAND_ISSUER, &nothing);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, err_text(ERR_UNAVAILABLE));
	stand.provider.refuses = ERR_NOMEM;
	flow_send(&m);
	flow_taken(&plain, STAND_ISSUER, &nothing);
	assert_failed(IPC_ERROR_INTERNAL, err_text(ERR_NOMEM));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAND(a_row_is_taken_before_the_code_is_exchanged),
	    STAND(what_never_reaches_the_database),
	    STAND(where_userinfo_is_held_off_no_row_is_used_up),
	    STAND(rows_that_are_not_taken),
	    STAND(responses_come_at_the_rate_of_beginnings),
	    STAND(responses_that_are_refused),
	    STAND(rows_of_another_time_or_place),
	    STAND(a_response_that_was_put_away_is_judged_like_any_other),
	    STAND(a_code_that_should_have_come_by_post_is_refused),
	    STAND(a_parked_response_that_does_not_open),
	    STAND(a_code_that_cannot_be_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

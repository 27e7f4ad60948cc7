#include "broker/login_finish.h"

#include "broker/id_token.h"
#include "common/clock.h"
#include "tests/unit/broker/login_flow.h"

static const struct flow plain = {.app = "a"}, info = {.app = "f"};

/* Parameters of SQL_SESSION_CREATE. */
enum {
	P_HASH,
	P_APP,
	P_PROVIDER,
	P_ISSUER,
	P_SUB,
	P_SID,
	P_SUBJECT,
	P_EMAIL,
	P_CLAIMS,
	P_ACR,
	P_AUTH_TIME,
	P_IDLE,
	P_BEGUN = 13,
	P_OLD,
	P_REFRESH = 17,
	P_ID_TOKEN,
	P_ACCESS,
	P_CLIENT = 21,
	P_AGENT,
	P_STATE = 24,
	P_NONCE
};

#define assert_param(i, want) assert_sv_equal(fake_param(0, i), want)

static void code_answered(const struct token_reply *reply)
{
	stand.provider.code_fn(stand.provider.arg, ERR_OK, reply);
}

/* Up to the ID token being judged. */
static void to_id_token(const struct flow *f)
{
	const struct token_reply reply = {.outcome = TOKEN_OK,
					  .access_token = SV("access"),
					  .refresh_token = SV("refresh"),
					  .id_token = SV("id token"),
					  .expires_in_s = 60};

	stand_reset();
	flow_to_code(f);
	code_answered(&reply);
	assert_waiting();
	assert_int_equal(stand.provider.id_tokens, 1);
}

static struct id_token_claims claims(void)
{
	return (struct id_token_claims){.sub = SV("s-1"),
					.subject = SV("alice"),
					.sid = SV("sid-1"),
					.email = SV("a@example.com"),
					.acr = SV("silver"),
					.auth_time_s = FLOW_BEGUN_S - 5,
					.has_auth_time = true,
					.claims = SV("{\"name\":\"A\"}")};
}

static void told(enum err e, const struct id_token_claims *c, const char *detail)
{
	stand.provider.claims_fn(stand.provider.arg, e, c, detail);
}

/* Up to the session's row, or to whatever is asked before. */
static void to_session(const struct flow *f)
{
	const struct id_token_claims c = claims();

	to_id_token(f);
	told(ERR_OK, &c, "");
	assert_waiting();
}

static void end(void)
{
	fake_answer(ERR_TIMEOUT, NULL);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_TIMEOUT));
}

static void what_the_token_endpoint_says(void **state)
{
	static const struct {
		enum token_outcome outcome;
		enum ipc_error want;
	} rows[] = {
	    {TOKEN_NOT_SENT, IPC_ERROR_PROVIDER_DOWN},	{TOKEN_UNKNOWN, IPC_ERROR_PROVIDER_DOWN},
	    {TOKEN_THROTTLED, IPC_ERROR_PROVIDER_DOWN}, {TOKEN_TOO_OFTEN, IPC_ERROR_PROVIDER_DOWN},
	    {TOKEN_DEAD, IPC_ERROR_PROVIDER},		{TOKEN_MISCONFIGURED, IPC_ERROR_PROVIDER},
	    {TOKEN_INTERACTION, IPC_ERROR_PROVIDER},	{TOKEN_CLIENT_BROKEN, IPC_ERROR_PROVIDER},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct token_reply reply = {.outcome = rows[i].outcome, .detail = "word"};

		stand_reset();
		stand.edition.holdoffs = (struct holdoffs){0};
		flow_to_code(&plain);
		code_answered(&reply);
		assert_failed(rows[i].want, "word");
		assert_int_equal(stand.provider.id_tokens, 0);
	}
}

/* For those who refresh: an outage is seen, and that it is over. */
static void what_it_says_to_the_others(void **state)
{
	static const struct {
		enum token_outcome outcome;
		bool answered, held, well;
	} rows[] = {
	    {TOKEN_NOT_SENT, false, true, false},
	    {TOKEN_UNKNOWN, false, true, false},
	    {TOKEN_THROTTLED, true, true, false},
	    {TOKEN_OK, true, false, true},
	    /* Of a code that anybody made up: a server stumbles over one, a proxy has a page for
	     * another. */
	    {TOKEN_UNKNOWN, true, false, false},
	    {TOKEN_DEAD, true, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct token_reply reply = {.outcome = rows[i].outcome,
						  .answered = rows[i].answered,
						  .detail = "word",
						  .retry_after_s = 7};
		const struct config_provider *p;
		struct holdoffs *h;
		uint32_t left_s = 0;

		stand_reset();
		p = config_app(stand.config, SV("a"))->provider;
		h = &stand.edition.holdoffs;
		*h = (struct holdoffs){0};
		flow_to_code(&plain);
		code_answered(&reply);
		assert_int_equal(holdoff_judge(h, p, clock_boot_ms(), &left_s) != IPC_ERROR_NONE,
				 rows[i].held);
		assert_int_equal(holdoff_admit(h, p, HOLDOFF_WHEN_WELL, clock_boot_ms(), &left_s) ==
				     IPC_ERROR_NONE,
				 rows[i].well);
	}
}

/* When it is back, the same callback will do: its row is not used up. */
static void what_is_held_off_is_not_asked(void **state)
{
	struct holdoffs *h = &stand.edition.holdoffs;
	struct ipc_login_finish m = flow_message(&plain), no = m;
	const struct token_reply dead = {.outcome = TOKEN_DEAD, .detail = "word"},
				 odd = {
				     .outcome = TOKEN_UNKNOWN, .answered = true, .detail = "word"};
	const struct config_provider *p;
	uint32_t left_s = 0;

	(void)state;
	stand_reset();
	*h = (struct holdoffs){0};
	p = config_app(stand.config, SV("a"))->provider;
	clock_set(1000000, FLOW_BEGUN_S);
	holdoff_for(h, p, IPC_ERROR_UPSTREAM, clock_boot_ms(), 7000, 0);
	flow_send(&m);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "held_off");
	assert_int_equal(stand.answer.retry_after_s, 7);
	assert_int_equal(fake_queries, 0);
	/* A "no" asks nothing of it. */
	stand_reset();
	no.code = SV_NONE;
	no.error = SV("access_denied");
	flow_send(&no);
	assert_int_equal(fake_asked[0].stmt, SQL_LOGIN_RETURN);
	end();
	/* Held off while the row was read. */
	stand_reset();
	*h = (struct holdoffs){0};
	flow_send(&m);
	holdoff_for(h, p, IPC_ERROR_PROVIDER_DOWN, clock_boot_ms(), 7000, 0);
	flow_taken(&plain, STAND_ISSUER, &(struct login_response){.code = SV_NONE});
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "held_off");
	assert_int_equal(stand.provider.codes, 0);
	/* One goes ahead when the time is over, and whatever it is told ends the wait of the rest;
	 * what says nothing makes the next one the probe. */
	stand_reset();
	clock_set(1007001, FLOW_BEGUN_S);
	flow_to_code(&plain);
	code_answered(&odd);
	stand_reset();
	flow_to_code(&plain);
	assert_int_equal(holdoff_judge(h, p, clock_boot_ms(), &left_s), IPC_ERROR_PROVIDER_DOWN);
	code_answered(&dead);
	assert_int_equal(holdoff_judge(h, p, clock_boot_ms(), &left_s), IPC_ERROR_NONE);
	clock_unset();
}

static void without_an_id_token_there_is_no_login(void **state)
{
	const struct token_reply reply = {.outcome = TOKEN_OK, .refresh_token = SV("refresh")};

	(void)state;
	flow_to_code(&plain);
	code_answered(&reply);
	assert_failed(IPC_ERROR_PROVIDER, "no_id_token");
	assert_int_equal(stand.provider.revocations, 1); /* nobody will hold it */
	assert_sv_equal(stand_sv(&stand.provider.token), SV("refresh"));
}

static void the_id_token_must_have_the_transactions_nonce(void **state)
{
	(void)state;
	to_id_token(&plain);
	assert_sv_equal(stand_sv(&stand.provider.token), SV("id token"));
	assert_int_equal(stand.provider.nonce.n, LOGIN_WORD_LEN);
	assert_int_equal(stand.provider.nonce.p[0], 'n');
	told(ERR_CANCELED, NULL, "");
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "id_token");
}

static void id_tokens_that_are_refused(void **state)
{
	static const struct {
		enum err e;
		const char *detail, *want_detail;
		enum ipc_error want;
	} rows[] = {
	    {ERR_CRYPTO, "signature", "signature", IPC_ERROR_PROVIDER},
	    {ERR_CRYPTO, "nonce", "nonce", IPC_ERROR_PROVIDER},
	    {ERR_UNAVAILABLE, "no_keys", "no_keys", IPC_ERROR_PROVIDER_DOWN},
	};

	(void)state;
	log_set_level(LOG_ERROR);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		to_id_token(&plain);
		told(rows[i].e, NULL, rows[i].detail);
		assert_failed(rows[i].want, rows[i].want_detail);
		assert_int_equal(stand.provider.revocations, 1);
		assert_int_equal(fake_queries, 1); /* the row of the login alone */
	}
}

/* Core 3.1.3.7, items 12 and 13; the old session is not touched. */
static void an_id_token_that_does_not_meet_what_was_asked_for(void **state)
{
	static const struct {
		struct flow flow;
		const char *want; /* NULL: goes on */
	} rows[] = {
	    {{.acr_values = "gold", .replaces = true}, "acr_unmet"},
	    {{.acr_values = "gold silver"}, NULL},
	    {{.has_max_age = true, .max_age_s = 0}, NULL},
	};
	struct id_token_claims old = claims();
	const struct flow fresh = {.has_max_age = true, .max_age_s = 60};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct id_token_claims c = claims();

		to_id_token(&rows[i].flow);
		told(ERR_OK, &c, "");
		if (rows[i].want == NULL) {
			assert_int_equal(fake_asked[0].stmt, SQL_SESSION_CREATE);
			end();
			continue;
		}
		assert_failed(IPC_ERROR_PROVIDER, rows[i].want);
		assert_noted("provider", "acr_unmet");
		assert_int_equal(fake_queries, 1);
		assert_int_equal(stand.provider.revocations, 1);
	}
	old.auth_time_s = FLOW_BEGUN_S - 60 - JWT_SKEW_S - 1;
	to_id_token(&fresh);
	told(ERR_OK, &old, "");
	assert_failed(IPC_ERROR_PROVIDER, "max_age_unmet");
	old.has_auth_time = false;
	to_id_token(&fresh);
	told(ERR_OK, &old, "");
	assert_failed(IPC_ERROR_PROVIDER, "auth_time_missing");
}

static void a_session_is_what_the_id_token_said(void **state)
{
	const struct flow replacing = {.replaces = true};
	unsigned char hash[CRYPT_SHA256_LEN];

	(void)state;
	to_session(&replacing);
	assert_int_equal(fake_asked[0].stmt, SQL_SESSION_CREATE);
	assert_param(P_APP, SV("a"));
	assert_param(P_PROVIDER, SV("q"));
	assert_param(P_ISSUER, SV(STAND_ISSUER));
	assert_param(P_SUB, SV("s-1"));
	assert_param(P_SID, SV("sid-1"));
	assert_param(P_SUBJECT, SV("alice"));
	assert_param(P_EMAIL, SV("a@example.com"));
	assert_param(P_CLAIMS, SV("{\"name\":\"A\"}"));
	assert_param(P_ACR, SV("silver"));
	assert_int_equal(fake_number(0, P_AUTH_TIME), FLOW_BEGUN_S - 5);
	assert_int_equal(fake_number(0, P_IDLE), 3600000);
	assert_int_equal(fake_number(0, P_BEGUN), FLOW_BEGUN_S * INT64_C(1000));
	assert_int_equal(crypt_sha256(SV(FLOW_OLD), hash), ERR_OK);
	assert_param(P_OLD, sv_of((const char *)hash, sizeof hash));
	assert_int_equal(crypt_sha256(SV("S"), hash), ERR_OK);
	assert_param(P_STATE, sv_of((const char *)hash, sizeof hash));
	assert_int_equal(crypt_sha256(stand_sv(&stand.provider.nonce), hash), ERR_OK);
	assert_param(P_NONCE, sv_of((const char *)hash, sizeof hash));
	assert_param(P_CLIENT, SV("192.0.2.0/24"));
	assert_param(P_AGENT, SV("Agent/1 ??"));
	for (unsigned i = P_REFRESH; i <= P_ACCESS; i++) {
		struct sv sealed = fake_param(0, i);

		assert_true(sealed.n > VAULT_OVERHEAD);
		assert_null(memmem(sealed.p, sealed.n, "refresh", 7));
		assert_null(memmem(sealed.p, sealed.n, "token", 5));
		assert_null(memmem(sealed.p, sealed.n, "access", 6));
	}
	STAND_ROWS(SV("t"), SV("ref"));
	assert_int_equal(stand.answer.n, 1);
	assert_false(stand.answer.failed);
	assert_int_equal(stand.answer.m.number, IPC_LOGIN_FINISHED);
	assert_sv_equal(stand.answer.m.u.login_finished.session_ref, SV("ref"));
	assert_sv_equal(stand.answer.m.u.login_finished.return_to, SV("https://a.example.com/x"));
	assert_int_equal(crypt_sha256(stand.answer.m.u.login_finished.session, hash), ERR_OK);
	assert_param(P_HASH, sv_of((const char *)hash, sizeof hash));
	assert_noted("ok", "");
	assert_sv_equal(stand_noted(NOTE_SUBJECT), SV("alice"));
	assert_int_equal(stand.provider.revocations, 0);
}

static void a_session_that_is_not_made(void **state)
{
	(void)state;
	to_session(&plain);
	assert_int_equal(fake_param(0, P_OLD).n, 0);
	STAND_ROWS(SV("f"), SV_NONE); /* ended while the login was under way */
	assert_failed(IPC_ERROR_STALE, "revoked_meanwhile");
	assert_int_equal(stand.provider.revocations, 1);
	to_session(&plain);
	end();
	assert_int_equal(stand.provider.revocations, 1);
}

/* ---- a silent login ----------------------------------------------------------------------------
 */

static void a_silent_login_may_not_change_who_it_is(void **state)
{
	static const struct {
		const char *state, *app, *issuer, *sub;
		bool refused;
	} rows[] = {
	    {"live", "a", STAND_ISSUER, "s-1", false},	 {"live", "a", STAND_ISSUER, "s-2", true},
	    {"live", "a", "https://other", "s-1", true}, {"live", "f", STAND_ISSUER, "s-2", false},
	    {"idle", "a", STAND_ISSUER, "s-2", false},	 {"unknown", "", "", "", false},
	};
	const struct flow f = {.silent = true, .replaces = true};
	unsigned char hash[CRYPT_SHA256_LEN];

	(void)state;
	assert_int_equal(crypt_sha256(SV(FLOW_OLD), hash), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sv row[19] = {[0] = sv_str(rows[i].state),
				     [1] = sv_str(rows[i].app),
				     [12] = sv_str(rows[i].sub),
				     [13] = sv_str(rows[i].issuer)};

		to_session(&f);
		assert_int_equal(fake_asked[0].stmt, SQL_TOKEN_READ);
		assert_param(0, sv_of((const char *)hash, sizeof hash));
		fake_row(row, ARRAY_LEN(row));
		if (rows[i].refused) {
			assert_failed(IPC_ERROR_LOGIN_REQUIRED, "other_user");
			assert_sv_equal(stand_sv(&stand.answer.return_to),
					SV("https://a.example.com/x"));
			assert_int_equal(stand.provider.revocations, 1);
			continue;
		}
		assert_int_equal(fake_asked[0].stmt, SQL_SESSION_CREATE);
		end();
	}
	to_session(&f);
	end(); /* what cannot be looked up is not let through */
}

static void only_a_silent_login_with_a_session_is_compared(void **state)
{
	static const struct flow rows[] = {{.silent = true}, {.replaces = true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		to_session(&rows[i]);
		assert_int_equal(fake_asked[0].stmt, SQL_SESSION_CREATE);
		end();
	}
}

/* ---- UserInfo ----------------------------------------------------------------------------------
 */

static void userinfo_is_asked_once_the_id_token_held(void **state)
{
	struct id_token_claims c = {.sub = SV("s-1"),
				    .subject = SV("by userinfo"),
				    .email = SV("b@example.com"),
				    .claims = SV("{\"email\":\"b@example.com\"}")};

	(void)state;
	stand.meta.userinfo_endpoint = SV("https://p.example/me");
	to_id_token(&info);
	assert_int_equal(stand.provider.userinfos, 0);
	told(ERR_CRYPTO, NULL, "signature");
	assert_int_equal(stand.provider.userinfos, 0);
	to_session(&info);
	assert_int_equal(stand.provider.userinfos, 1);
	assert_sv_equal(stand_sv(&stand.provider.token), SV("access"));
	assert_sv_equal(stand_sv(&stand.provider.sub), SV("s-1"));
	assert_int_equal(fake_queries, 1);
	told(ERR_OK, &c, "");
	assert_int_equal(fake_asked[0].stmt, SQL_SESSION_CREATE);
	assert_param(P_SUB, SV("s-1"));
	assert_param(P_SUBJECT, SV("by userinfo"));
	assert_param(P_EMAIL, SV("b@example.com"));
	assert_param(P_CLAIMS, SV("{\"name\":\"A\",\"email\":\"b@example.com\"}"));
	assert_param(P_ACR, SV("silver"));
	end();
}

static void without_userinfo_there_is_no_login(void **state)
{
	static const struct {
		enum err e;
		const char *detail, *want_detail;
		enum ipc_error want;
	} rows[] = {
	    {ERR_CRYPTO, "sub", "sub", IPC_ERROR_PROVIDER},
	    {ERR_DENIED, "status", "status", IPC_ERROR_PROVIDER},
	    {ERR_UNAVAILABLE, "timeout", "timeout", IPC_ERROR_PROVIDER_DOWN},
	    {ERR_CANCELED, "", "userinfo", IPC_ERROR_PROVIDER_DOWN},
	};
	const struct id_token_claims c = claims();

	(void)state;
	to_id_token(&info);
	told(ERR_OK, &c, "");
	assert_failed(IPC_ERROR_PROVIDER, "userinfo_endpoint_missing");
	stand.meta.userinfo_endpoint = SV("https://p.example/me");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		to_session(&info);
		told(rows[i].e, NULL, rows[i].detail);
		assert_failed(rows[i].want, rows[i].want_detail);
		assert_int_equal(stand.provider.revocations, 1);
		assert_int_equal(fake_queries, 1);
	}
	to_id_token(&info);
	stand.provider.refuses = ERR_UNAVAILABLE;
	told(ERR_OK, &c, "");
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "userinfo");
}

static void claims_of_both_that_make_no_session(void **state)
{
	static char much[ID_TOKEN_CLAIMS_MAX + 1];
	struct id_token_claims c = claims();
	struct id_token_claims more = {.sub = SV("s-1"), .claims = SV("{}")};

	(void)state;
	stand.meta.userinfo_endpoint = SV("https://p.example/me");
	c.subject = SV_NONE;
	to_id_token(&info);
	told(ERR_OK, &c, "");
	told(ERR_OK, &more, "");
	assert_failed(IPC_ERROR_PROVIDER, "subject_claim");
	memset(much, 'x', sizeof much - 1);
	memcpy(much, "{\"b\":\"", 6);
	memcpy(much + sizeof much - 3, "\"}", 3);
	more.claims = sv_str(much);
	to_session(&info);
	told(ERR_OK, &more, "");
	assert_failed(IPC_ERROR_PROVIDER, "claims_size");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAND(what_the_token_endpoint_says),
	    STAND(what_it_says_to_the_others),
	    STAND(what_is_held_off_is_not_asked),
	    STAND(without_an_id_token_there_is_no_login),
	    STAND(the_id_token_must_have_the_transactions_nonce),
	    STAND(id_tokens_that_are_refused),
	    STAND(an_id_token_that_does_not_meet_what_was_asked_for),
	    STAND(a_session_is_what_the_id_token_said),
	    STAND(a_session_that_is_not_made),
	    STAND(a_silent_login_may_not_change_who_it_is),
	    STAND(only_a_silent_login_with_a_session_is_compared),
	    STAND(userinfo_is_asked_once_the_id_token_held),
	    STAND(without_userinfo_there_is_no_login),
	    STAND(claims_of_both_that_make_no_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

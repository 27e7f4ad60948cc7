#include "broker/login.h"

#include "broker/token_reply.h"
#include "broker/token_seal.h"

#include "tests/unit/broker/login_stand.h"

#define ORIGIN SV("https://a.example.com")

static struct ipc_login_begin message(void)
{
	return (struct ipc_login_begin){.app = SV("a"),
					.origin = ORIGIN,
					.return_to = SV("https://a.example.com/x"),
					.client = SV("192.0.2.0/24"),
					.correlation = SV("c-1")};
}

static void begin(const struct ipc_login_begin *m)
{
	struct request *r = stand_request();

	login_begin(&r, m);
	assert_null(r);
}

/* The value of a parameter that needs no unescaping. */
static struct sv value(struct sv query, const char *name)
{
	char before[64];
	const char *at;
	struct sv rest;

	(void)snprintf(before, sizeof before, "&%s=", name);
	at = memmem(query.p, query.n, before, strlen(before));
	if (at == NULL)
		return SV_NONE;
	rest = sv_of(at + strlen(before), (size_t)(query.p + query.n - at) - strlen(before));
	return sv_cut(rest, 0, sv_find(rest, '&'));
}

/* The row's key is the hash of the state, which is in the request and nowhere else. */
static void assert_row_of(struct sv parameters)
{
	unsigned char hash[CRYPT_SHA256_LEN];
	struct sv state = value(parameters, "state");

	assert_int_equal(state.n, 43);
	assert_int_equal(crypt_sha256(state, hash), ERR_OK);
	assert_int_equal(fake_asked[0].stmt, SQL_LOGIN_BEGIN);
	assert_sv_equal(fake_param(0, 0), sv_of((const char *)hash, sizeof hash));
	assert_sv_equal(fake_param(0, 1), SV("a"));
	assert_sv_equal(fake_param(0, 2), SV("q"));
	assert_sv_equal(fake_param(0, 4), SV("https://a.example.com/auth/callback"));
	assert_sv_equal(fake_param(0, 5), SV("https://a.example.com/x"));
}

static void without_pushed_requests_all_is_in_the_url(void **state)
{
	struct ipc_login_begin m = message();
	struct sv location;

	(void)state;
	m.acr_values = SV("gold");
	m.has_max_age = 1;
	begin(&m);
	assert_waiting();
	assert_int_equal(stand.provider.pushes, 0);
	STAND_ROWS(SV("t"));
	assert_int_equal(stand.answer.n, 1);
	assert_false(stand.answer.failed);
	assert_int_equal(stand.answer.m.number, IPC_LOGIN_BEGUN);
	assert_int_equal(stand.answer.m.id, 7);
	location = stand.answer.m.u.login_begun.location;
	assert_true(sv_starts(location, SV("https://q.example/authorize?response_type=code&")));
	assert_row_of(location);
	assert_sv_equal(value(location, "acr_values"), SV("gold"));
	assert_sv_equal(value(location, "max_age"), SV("0"));
	assert_int_equal(stand.answer.m.u.login_begun.binding.n, IPC_SECRET_LEN);
}

static void the_binding_is_the_browsers_or_a_new_one(void **state)
{
	static const char mine[IPC_SECRET_LEN + 1] = "0123456789abcdef0123456789abcdef";
	struct ipc_login_begin m = message();
	unsigned char hash[CRYPT_SHA256_LEN];

	(void)state;
	m.binding = sv_of(mine, IPC_SECRET_LEN);
	begin(&m);
	assert_int_equal(crypt_sha256(m.binding, hash), ERR_OK);
	assert_sv_equal(fake_param(0, 3), sv_of((const char *)hash, sizeof hash));
	STAND_ROWS(SV("t"));
	assert_sv_equal(stand.answer.m.u.login_begun.binding, m.binding);
	m.binding = SV_NONE;
	begin(&m);
	STAND_ROWS(SV("t"));
	assert_int_equal(crypt_sha256(stand.answer.m.u.login_begun.binding, hash), ERR_OK);
	assert_sv_equal(fake_param(0, 3), sv_of((const char *)hash, sizeof hash));
}

/* RFC 9126 4: the browser carries client_id and request_uri; and there is no row before it can. */
static void a_pushed_request_leaves_the_browser_two_parameters(void **state)
{
	struct ipc_login_begin m = message();

	(void)state;
	stand.meta.pushed_authorization_request_endpoint = SV("https://q.example/par");
	begin(&m);
	assert_waiting();
	assert_int_equal(stand.provider.pushes, 1);
	assert_int_equal(fake_queries, 0);
	stand.provider.push(stand.provider.arg, ERR_OK, SV("urn:ietf:x:1"), "");
	assert_waiting();
	assert_row_of(stand_sv(&stand.provider.form));
	assert_int_equal(value(stand_sv(&stand.provider.form), "request_uri").n, 0);
	STAND_ROWS(SV("t"));
	assert_false(stand.answer.failed);
	assert_sv_equal(
	    stand.answer.m.u.login_begun.location,
	    SV("https://q.example/authorize?client_id=c+q&request_uri=urn%3Aietf%3Ax%3A1"));
}

static void a_push_that_fails(void **state)
{
	static const struct {
		enum err e;
		const char *detail, *want;
		enum ipc_error code;
		uint32_t retry_after_s;
	} rows[] = {
	    {ERR_DENIED, "invalid_request", "push_invalid_request", IPC_ERROR_PROVIDER, 0},
	    {ERR_UNAVAILABLE, "throttled", "push_throttled", IPC_ERROR_PROVIDER_DOWN, 1},
	    {ERR_CANCELED, "", "push_failed", IPC_ERROR_PROVIDER_DOWN, 1},
	};
	struct ipc_login_begin m = message();

	(void)state;
	stand.meta.pushed_authorization_request_endpoint = SV("https://q.example/par");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(&m);
		stand.provider.push(stand.provider.arg, rows[i].e, SV_NONE, rows[i].detail);
		assert_failed(rows[i].code, rows[i].want);
		assert_int_equal(stand.answer.retry_after_s, rows[i].retry_after_s);
		assert_int_equal(fake_nnotes, 1);
		assert_sv_equal(stand_noted(NOTE_DETAIL), sv_str(rows[i].want));
		assert_sv_equal(stand_noted(NOTE_OUTCOME), sv_str(ipc_error_word(rows[i].code)));
	}
	assert_int_equal(fake_queries, 0);
	stand.provider.refuses = ERR_UNAVAILABLE;
	begin(&m);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "push_unavailable");
	stand.provider.refuses = ERR_NOMEM;
	begin(&m);
	assert_failed(IPC_ERROR_INTERNAL, err_text(ERR_NOMEM));
}

static void what_may_not_begin(void **state)
{
	static const struct {
		struct sv app, origin, binding;
	} rows[] = {
	    {SV_INIT("b"), SV_INIT("https://a.example.com"), {NULL, 0}},
	    {SV_INIT("a"), SV_INIT("https://f.example.com"), {NULL, 0}},
	    {SV_INIT("a"), SV_INIT(""), {NULL, 0}},
	    {SV_INIT("a"), SV_INIT("https://a.example.com"), SV_INIT("short")},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ipc_login_begin m = message();

		m.app = rows[i].app;
		m.origin = rows[i].origin;
		m.binding = rows[i].binding;
		begin(&m);
		assert_failed(IPC_ERROR_FORBIDDEN, "app_origin_or_binding");
		assert_noted("forbidden", "app_origin_or_binding");
	}
	assert_int_equal(fake_queries, 0);
}

static void without_metadata_there_is_no_login_yet(void **state)
{
	struct ipc_login_begin m = message();

	(void)state;
	stand.provider.no_metadata = true;
	begin(&m);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "no_metadata");
	assert_int_equal(stand.answer.retry_after_s, 1);
	assert_noted("provider_down", "no_metadata");
}

static void beginnings_beyond_the_rate_are_refused_and_not_noted(void **state)
{
	struct ipc_login_begin m = message();

	(void)state;
	stand.provider.no_metadata = true;
	for (int i = 0; i < LOGIN_PREFIX_BURST; i++) {
		begin(&m);
		assert_failed(IPC_ERROR_PROVIDER_DOWN, "no_metadata");
	}
	begin(&m);
	assert_failed(IPC_ERROR_LIMITED, "login_rate");
	assert_true(stand.answer.retry_after_s >= 1);
	assert_int_equal(fake_nnotes, 0);
	m.client = SV("198.51.100.0/24");
	begin(&m);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "no_metadata");
}

static void no_row_no_login(void **state)
{
	struct ipc_login_begin m = message();

	(void)state;
	begin(&m);
	STAND_ROWS(SV("f")); /* the same state twice */
	assert_failed(IPC_ERROR_STORE, err_text(ERR_CONFLICT));
	begin(&m);
	fake_answer(ERR_TIMEOUT, NULL);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_TIMEOUT));
	fake_refuse = ERR_UNAVAILABLE;
	begin(&m);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_UNAVAILABLE));
	fake_refuse = ERR_LIMIT;
	begin(&m);
	assert_failed(IPC_ERROR_INTERNAL, err_text(ERR_LIMIT));
}

#define SESSION SV("ssssssssssssssssssssssssssssssss")

/* What a session brings: rows of LOGIN_PAST. */
static void brings(struct sv challenge, struct sv hint, struct sv id_token)
{
	struct vault_label label = token_id_token_label(SV("grant"), 3);
	struct pg_rows rows = {.n = 1};
	unsigned char hash[CRYPT_SHA256_LEN];
	struct buf sealed;

	buf_init(&sealed, 4096);
	assert_int_equal(fake_nasked, 1);
	assert_int_equal(fake_asked[0].stmt, SQL_LOGIN_PAST);
	assert_int_equal(crypt_sha256(SESSION, hash), ERR_OK);
	assert_sv_equal(fake_param(0, 0), sv_of((const char *)hash, sizeof hash));
	assert_sv_equal(fake_param(0, 1), SV("a"));
	assert_sv_equal(fake_param(0, 2), SV("q"));
	assert_sv_equal(fake_param(0, 3), SV(STAND_ISSUER));
	if (id_token.n > 0)
		assert_int_equal(vault_seal(stand.broker.ring, &label, id_token, &sealed), ERR_OK);
	rows.v[0][0].text = challenge;
	rows.v[0][1].text = hint;
	rows.v[0][2].text = SV("grant");
	rows.v[0][3].text = buf_sv(&sealed);
	rows.v[0][4].number = 3;
	fake_answer(ERR_OK, &rows);
	buf_done(&sealed);
}

static void what_the_provider_demanded_goes_along(void **state)
{
	struct ipc_login_begin m = message();
	char long_one[TOKEN_CLAIMS_MAX];

	(void)state;
	m.session = SESSION;
	m.login_hint = SV("al");
	begin(&m);
	brings(SV("{\"a\":1}"), SV("a@b"), SV_NONE);
	STAND_ROWS(SV("t"));
	assert_sv_equal(value(stand.answer.m.u.login_begun.location, "claims"),
			SV("%7B%22a%22%3A1%7D"));
	assert_sv_equal(value(stand.answer.m.u.login_begun.location, "login_hint"), SV("al"));
	begin(&m);
	brings(SV_NONE, SV_NONE, SV_NONE);
	STAND_ROWS(SV("t"));
	assert_int_equal(value(stand.answer.m.u.login_begun.location, "claims").n, 0);
	/* Rather a login without it than none. */
	memset(long_one, '{', sizeof long_one);
	begin(&m);
	brings(sv_of(long_one, sizeof long_one), SV_NONE, SV_NONE);
	STAND_ROWS(SV("t"));
	assert_int_equal(value(stand.answer.m.u.login_begun.location, "claims").n, 0);
	stand.meta.pushed_authorization_request_endpoint = SV("https://q.example/par");
	long_one[1000] = '\0';
	begin(&m);
	brings(sv_str(long_one), SV_NONE, SV_NONE);
	assert_int_equal(value(stand_sv(&stand.provider.form), "claims").n, 3000);
	stand.provider.push(stand.provider.arg, ERR_UNAVAILABLE, SV_NONE, "");
}

static void a_silent_login_says_whom_it_is_about(void **state)
{
	static const struct {
		const char *prompt, *login_hint;
		bool pushed;
		const char *want_hint, *want_token;
	} rows[] = {
	    {"none", "", false, "me", ""},   {"none", "", true, "", "jwt"},
	    {"none", "al", false, "al", ""}, {"none", "al", true, "al", ""},
	    {"", "", false, "", ""},	     {"", "", true, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ipc_login_begin m = message();
		struct sv got;

		stand.meta.pushed_authorization_request_endpoint =
		    rows[i].pushed ? SV("https://q.example/par") : SV_NONE;
		m.session = SESSION;
		m.prompt = sv_str(rows[i].prompt);
		m.login_hint = sv_str(rows[i].login_hint);
		begin(&m);
		brings(SV_NONE, SV("me"), SV("jwt"));
		if (!rows[i].pushed)
			STAND_ROWS(SV("t"));
		got = rows[i].pushed ? stand_sv(&stand.provider.form)
				     : stand.answer.m.u.login_begun.location;
		assert_sv_equal(value(got, "login_hint"), sv_str(rows[i].want_hint));
		assert_sv_equal(value(got, "id_token_hint"), sv_str(rows[i].want_token));
		if (rows[i].pushed)
			stand.provider.push(stand.provider.arg, ERR_UNAVAILABLE, SV_NONE, "");
	}
}

static void without_the_database_no_login(void **state)
{
	struct ipc_login_begin m = message();

	(void)state;
	m.session = SESSION;
	begin(&m);
	fake_answer(ERR_UNAVAILABLE, NULL);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_UNAVAILABLE));
	m.session = SV("short");
	begin(&m);
	assert_failed(IPC_ERROR_FORBIDDEN, "app_origin_or_binding");
}

static void a_url_that_is_too_long_fails(void **state)
{
	static char endpoint[IPC_URL_MAX];
	struct ipc_login_begin m = message();

	(void)state;
	memset(endpoint, 'x', sizeof endpoint);
	stand.meta.authorization_endpoint = sv_of(endpoint, sizeof endpoint);
	begin(&m);
	assert_failed(IPC_ERROR_INTERNAL, err_text(ERR_LIMIT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAND(without_pushed_requests_all_is_in_the_url),
	    STAND(the_binding_is_the_browsers_or_a_new_one),
	    STAND(a_pushed_request_leaves_the_browser_two_parameters),
	    STAND(a_push_that_fails),
	    STAND(what_may_not_begin),
	    STAND(without_metadata_there_is_no_login_yet),
	    STAND(beginnings_beyond_the_rate_are_refused_and_not_noted),
	    STAND(no_row_no_login),
	    STAND(what_the_provider_demanded_goes_along),
	    STAND(a_silent_login_says_whom_it_is_about),
	    STAND(without_the_database_no_login),
	    STAND(a_url_that_is_too_long_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

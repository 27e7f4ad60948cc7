#include "broker/dispatch.h"
#include "tests/unit/broker/token_stand.h"

static void get(const char *app, const char *service, struct sv session)
{
	const struct ipc_token_get m = {
	    .session = session, .app = sv_str(app), .service = sv_str(service)};
	struct request *r = stand_request();

	token_get(&r, &m);
	assert_null(r);
}

#define SESSION SV("0123456789abcdef0123456789abcdef")

static void refused_without_a_look(void **state)
{
	static const struct {
		const char *app, *service;
		struct sv session;
		enum ipc_error want;
		const char *detail;
	} rows[] = {
	    {"nobody", "res", SV_INIT("0123456789abcdef0123456789abcdef"), IPC_ERROR_FORBIDDEN,
	     "unknown_app_or_service"},
	    {"a", "nothing", SV_INIT("0123456789abcdef0123456789abcdef"), IPC_ERROR_FORBIDDEN,
	     "unknown_app_or_service"},
	    {"b", "res", SV_INIT("0123456789abcdef0123456789abcdef"), IPC_ERROR_FORBIDDEN,
	     "service_of_no_route"},
	    {"a", "unused", SV_INIT("0123456789abcdef0123456789abcdef"), IPC_ERROR_FORBIDDEN,
	     "service_of_no_route"},
	    {"a", "res", SV_INIT(""), IPC_ERROR_NO_SESSION, "session_secret"},
	    {"a", "res", SV_INIT("short"), IPC_ERROR_NO_SESSION, "session_secret"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		get(rows[i].app, rows[i].service, rows[i].session);
		assert_failed(rows[i].want, rows[i].detail);
		assert_int_equal(fake_nasked, 0);
	}
}

/* The database is given the hash of the secret, never the secret. */
static void what_is_asked(void **state)
{
	unsigned char hash[CRYPT_SHA256_LEN];

	(void)state;
	assert_int_equal(crypt_sha256(SESSION, hash), ERR_OK);
	get("a", "res", SESSION);
	assert_asked(SQL_TOKEN_READ);
	assert_sv_equal(fake_param(0, 0), sv_of((const char *)hash, sizeof hash));
	assert_sv_equal(fake_param(0, 1), SV("res"));
	stand_reads("res", "at", 200000);
	assert_answered("at");
	get("a", "own", SESSION);
	assert_sv_equal(fake_param(0, 1), TOKEN_SESSION_SERVICE);
	stand_reads(NULL, "at", 200000);
	assert_answered("at");
}

static void judged_by_the_row(void **state)
{
	struct stand_row r;

	(void)state;
	get("a", "res", SESSION);
	stand_row_of(&r, "res", "at", 200000);
	r.rows.v[0][0].text = SV("idle");
	fake_answer(ERR_OK, &r.rows);
	assert_failed(IPC_ERROR_NO_SESSION, "session_not_live");
	get("a", "res", SESSION);
	r.rows.v[0][0].text = SV("live");
	r.rows.v[0][1].text = SV("b");
	fake_answer(ERR_OK, &r.rows);
	assert_failed(IPC_ERROR_NO_SESSION, "other_app");
	stand_row_done(&r);
}

static void fetched_when_there_is_none(void **state)
{
	(void)state;
	get("a", "res", SESSION);
	stand_reads("res", NULL, 0);
	assert_nothing_said();
	stand_reads("res", "from another host", 200000); /* the job's own reading */
	assert_answered("from another host");
}

static void renewed_while_the_old_one_serves(void **state)
{
	(void)state;
	get("a", "res", SESSION);
	stand_reads("res", "nearly over", 5000);
	assert_answered("nearly over");
	assert_asked(SQL_TOKEN_READ); /* the job's */
	get("a", "res", SESSION);
	assert_int_equal(fake_nasked, 2);
	fake_answer(ERR_TIMEOUT, NULL); /* the job ends */
	stand_reads("res", "nearly over", 5000);
	assert_answered("nearly over");
	assert_int_equal(fake_nasked, 1); /* and another began */
	/* Not while one is under way, nor while it is held off, nor in a drain. */
	get("a", "res", SESSION);
	fake_asked[0] = fake_asked[1];
	fake_nasked = 1; /* the job's is never answered */
	stand_reads("res", "nearly over", 5000);
	assert_answered("nearly over");
	assert_int_equal(fake_nasked, 0);
	stand.broker.draining = true;
	get("a", "other", SESSION);
	stand_reads("other", "nearly over", 5000);
	assert_answered("nearly over");
	assert_int_equal(fake_nasked, 0);
	stand.broker.draining = false;
	holdoff_for(&stand.edition.holdoffs, stand_service("res")->provider,
		    IPC_ERROR_PROVIDER_DOWN, stand.now_ms, 5000, 0);
	get("a", "other", SESSION);
	stand_reads("other", "nearly over", 5000);
	assert_answered("nearly over");
	assert_int_equal(fake_nasked, 0);
}

/* A service's own token: the session is judged all the same, and its grant left alone. */
static void a_services_own_token(void **state)
{
	const struct token_reply reply = stand_success("robot", "");
	struct stand_row r;

	(void)state;
	get("a", "cc", SESSION);
	stand_row_of(&r, "res", NULL, 0);
	r.rows.v[0][0].text = SV("logout");
	fake_answer(ERR_OK, &r.rows);
	stand_row_done(&r);
	assert_failed(IPC_ERROR_NO_SESSION, "session_not_live");
	get("a", "cc", SESSION);
	stand_reads("res", NULL, 0);
	assert_called(CALL_CLIENT, SV_NONE);
	stand_reply(ERR_OK, &reply);
	assert_nothing_said(); /* the session was judged before the provider was asked */
	stand_reads("res", NULL, 0);
	assert_answered("robot");
	assert_int_equal(grant_table_count(stand.broker.grants), 0);
}

/* However long the provider took: a session that ended meanwhile gets nothing of the service. */
static void a_session_that_ends_while_the_service_is_asked(void **state)
{
	const struct token_reply reply = stand_success("robot", "");
	struct stand_row r;

	(void)state;
	get("a", "cc", SESSION);
	stand_reads("res", NULL, 0);
	stand.now_ms += 5000;
	stand_reply(ERR_OK, &reply);
	assert_nothing_said();
	assert_asked(SQL_TOKEN_READ);
	stand_row_of(&r, "res", NULL, 0);
	r.rows.v[0][0].text = SV("revoked");
	fake_answer(ERR_OK, &r.rows);
	stand_row_done(&r);
	assert_failed(IPC_ERROR_NO_SESSION, "session_not_live");
	assert_int_equal(stand.edition.refs, 0);
}

/* It is asked once: a token that was over when it came is not fetched in a loop. */
static void a_services_token_that_is_over_at_once(void **state)
{
	struct token_reply reply = stand_success("robot", "");

	(void)state;
	reply.expires_in_s = 1;
	get("a", "cc", SESSION);
	stand_reads("res", NULL, 0);
	stand_reply(ERR_OK, &reply);
	stand.now_ms += 1000;
	stand_reads("res", NULL, 0);
	assert_failed(IPC_ERROR_UPSTREAM, "token_too_short_lived");
	assert_int_equal(stand.calls.n, 0);
}

static void without_a_database(void **state)
{
	(void)state;
	fake_refuse = ERR_UNAVAILABLE;
	get("a", "res", SESSION);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_UNAVAILABLE));
	fake_refuse = ERR_OK;
	get("a", "res", SESSION);
	fake_answer(ERR_TIMEOUT, NULL);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_TIMEOUT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAND(refused_without_a_look),
	    STAND(what_is_asked),
	    STAND(judged_by_the_row),
	    STAND(fetched_when_there_is_none),
	    STAND(renewed_while_the_old_one_serves),
	    STAND(a_services_own_token),
	    STAND(a_session_that_ends_while_the_service_is_asked),
	    STAND(a_services_token_that_is_over_at_once),
	    STAND(without_a_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/handlers.h"

#include "tests/unit/worker/stand_in.h"

#define A "a.example.com"
#define F "f.example.net"
#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"
#define NEW "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

/* A callback of the browser that began the login. */
static void come_back_to(const char *host, const char *query, const char *cookies)
{
	char fields[1024], target[8192];

	(void)snprintf(fields, sizeof fields, "Cookie: %s%s\r\nUser-Agent: Browser/1\r\n",
		       stand_binding('b'), cookies);
	(void)snprintf(target, sizeof target, "/auth/callback?%s", query);
	stand_browse("GET", host, target, fields, "");
}

static void come_back(const char *query)
{
	come_back_to(A, query, "");
}

static void finished(struct sv session, const char *return_to)
{
	struct ipc_message m = {.number = IPC_LOGIN_FINISHED};

	m.u.login_finished = (struct ipc_login_finished){.session = session,
							 .day = STAND_WALL_S / 86400,
							 .return_to = sv_str(return_to),
							 .session_ref = SV("ref")};
	stand_broker(ERR_OK, &m);
}

static void a_login_ends_with_a_session_and_its_page(void **state)
{
	char line[256];

	(void)state;
	come_back("state=the-state&code=the-code&iss=https%3A%2F%2Fidp.example");
	assert_int_equal(stand.state, REQUEST_WAITING);
	assert_int_equal(stand.broker.asked.number, IPC_LOGIN_FINISH);
	assert_int_equal(stand.broker.answer, IPC_LOGIN_FINISHED);
	assert_int_equal(stand.broker.timeout_ms, TIMEOUT_BROKER_LOGIN_MS);
	assert_sv_equal(stand.broker.asked.u.login_finish.app, SV("a"));
	assert_sv_equal(stand.broker.asked.u.login_finish.origin, SV("https://a.example.com"));
	assert_sv_equal(stand.broker.asked.u.login_finish.binding,
			SV("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"));
	assert_sv_equal(stand.broker.asked.u.login_finish.state, SV("the-state"));
	assert_sv_equal(stand.broker.asked.u.login_finish.code, SV("the-code"));
	assert_sv_equal(stand.broker.asked.u.login_finish.iss, SV("https://idp.example"));
	assert_sv_equal(stand.broker.asked.u.login_finish.error, SV_NONE);
	assert_sv_equal(stand.broker.asked.u.login_finish.old_session, SV_NONE);
	assert_sv_equal(stand.broker.asked.u.login_finish.client, SV("192.0.2.0/24"));
	assert_sv_equal(stand.broker.asked.u.login_finish.user_agent, SV("Browser/1"));
	finished(SV(NEW), "https://b.example.com/page?x=1#y");
	assert_answer(303);
	assert_has("\r\nLocation: https://b.example.com/page?x=1#y\r\n");
	assert_has("\r\nReferrer-Policy: no-referrer\r\n");
	(void)snprintf(line, sizeof line, "\r\nSet-Cookie: %s; ", stand_cookie("bff_session", 'n'));
	assert_has(line);
	(void)snprintf(line, sizeof line, "\r\nSet-Cookie: bff_csrf=%s; ", stand_csrf('n'));
	assert_has(line);
	assert_lacks("the-code");
	assert_lacks(NEW);
}

static void the_old_session_goes_along_to_be_ended(void **state)
{
	char cookies[512];

	(void)state;
	(void)snprintf(cookies, sizeof cookies, "; %s", stand_cookie("bff_session", 'o'));
	come_back_to(A, "state=s&code=c", cookies);
	assert_sv_equal(stand.broker.asked.u.login_finish.old_session,
			SV("oooooooooooooooooooooooooooooooo"));
	(void)snprintf(cookies, sizeof cookies, "; %s; %s", stand_cookie("bff_session", 'o'),
		       stand_cookie("bff_session", 'p'));
	come_back_to(A, "state=s&code=c", cookies); /* which of them? */
	assert_sv_equal(stand.broker.asked.u.login_finish.old_session, SV_NONE);
}

static void an_error_of_the_provider_is_passed_on(void **state)
{
	(void)state;
	come_back("state=s&error=access_denied&error_description=MARK");
	assert_sv_equal(stand.broker.asked.u.login_finish.error, SV("access_denied"));
	stand_failure(IPC_ERROR_ACCESS_DENIED, 0, SV_NONE);
	assert_answer(403);
	assert_lacks("MARK");
}

static void what_is_no_response_goes_no_further(void **state)
{
	static const char *const queries[] = {
	    "",
	    "code=c",
	    "state=s",
	    "state=s&code=",
	    "state=&code=c",
	    "state=s&code=c&error=e",
	    "state=s&code=c&code=d",
	    "state=s&state=t&code=c",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		come_back(queries[i]);
		assert_answer(400);
		assert_has("Login failed");
		assert_lacks("Location");
		assert_int_equal(stand.broker.sent, 0);
	}
}

/* RFC 9700 4.7: a response that another browser asked for. */
static void another_browsers_response_goes_no_further(void **state)
{
	(void)state;
	stand_browse("GET", A, "/auth/callback?state=s&code=c", "", "");
	assert_answer(400);
	assert_int_equal(stand.broker.sent, 0);
	stand_browse("GET", A, "/auth/callback?state=s&code=c",
		     "Cookie: __Host-bff_login=garbage\r\n", "");
	assert_answer(400);
	assert_int_equal(stand.broker.sent, 0);
}

static void a_code_beyond_its_limit_is_the_browsers_fault(void **state)
{
	char query[5000];

	(void)state;
	(void)snprintf(query, sizeof query, "state=s&code=%04097d", 1);
	come_back(query);
	assert_answer(400);
	assert_int_equal(stand.broker.sent, 0);
	(void)snprintf(query, sizeof query, "state=s&code=%04096d", 1);
	come_back(query);
	assert_int_equal(stand.broker.sent, 1);
}

static void a_long_user_agent_is_cut(void **state)
{
	char fields[2048];

	(void)state;
	(void)snprintf(fields, sizeof fields, "Cookie: %s\r\nUser-Agent: %0600d\r\n",
		       stand_binding('b'), 1);
	stand_browse("GET", A, "/auth/callback?state=s&code=c", fields, "");
	assert_int_equal(stand.broker.asked.u.login_finish.user_agent.n, 512);
}

/* Judged again: the configuration may have changed since the login began. */
static void a_target_that_is_no_longer_ours_is_the_front_page(void **state)
{
	(void)state;
	come_back("state=s&code=c");
	finished(SV(NEW), "https://evil.example/");
	assert_answer(303);
	assert_has("\r\nLocation: https://a.example.com/\r\n");
	assert_lacks("evil");
}

static void a_failed_silent_login_lands_with_a_mark(void **state)
{
	static const struct {
		const char *target, *want;
	} cases[] = {
	    {"https://a.example.com/x", "https://a.example.com/x?login=required\r\n"},
	    {"https://a.example.com/x?y=1", "https://a.example.com/x?y=1&login=required\r\n"},
	    {"https://a.example.com/x#z?", "https://a.example.com/x?login=required#z?\r\n"},
	    {"https://evil.example/", "https://a.example.com/?login=required\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		come_back("state=s&error=login_required");
		stand_failure(IPC_ERROR_LOGIN_REQUIRED, 0, sv_str(cases[i].target));
		assert_answer(303);
		assert_has(cases[i].want);
		assert_lacks("Set-Cookie");
	}
}

/* The same tab twice, or "back". */
static void a_stale_callback_lands_where_there_is_a_session(void **state)
{
	char cookies[256];

	(void)state;
	(void)snprintf(cookies, sizeof cookies, "; %s", stand_cookie("bff_session", 'o'));
	come_back_to(A, "state=s&code=c", cookies);
	stand_failure(IPC_ERROR_STALE, 0, SV("https://a.example.com/x"));
	assert_int_equal(stand.done, 0);
	stand_live(SV("a"), SV("{}"), false);
	assert_answer(303);
	assert_has("\r\nLocation: https://a.example.com/x\r\n");
	assert_lacks("Set-Cookie");
	come_back_to(A, "state=s&code=c", cookies);
	stand_failure(IPC_ERROR_STALE, 0, SV("https://a.example.com/x"));
	stand_dead(SV("idle"));
	assert_answer(400);
	come_back_to(A, "state=s&code=c", cookies);
	stand_failure(IPC_ERROR_STALE, 0, SV("https://a.example.com/x"));
	stand_rows(ERR_TIMEOUT, NULL, 0); /* an outage is no "too long ago" */
	assert_answer(503);
	come_back("state=s&code=c");
	stand_failure(IPC_ERROR_STALE, 0, SV("https://a.example.com/x"));
	assert_answer(400);
	assert_int_equal(stand.pg.queries, 0);
}

static void without_the_broker_there_is_no_session(void **state)
{
	(void)state;
	come_back("state=s&code=c");
	stand_broker(ERR_TIMEOUT, NULL);
	assert_answer(503);
	stand.broker.refuses = ERR_UNAVAILABLE;
	come_back("state=s&code=c");
	assert_answer(503);
	stand.broker.refuses = ERR_LIMIT; /* not ours that is too long: theirs is too busy */
	stand.broker.up = false;
	come_back("state=s&code=c");
	assert_answer(503);
	stand.broker.refuses = ERR_OK;
	come_back("state=s&code=c");
	finished(SV("short"), "https://a.example.com/");
	assert_answer(503);
	assert_lacks("Set-Cookie");
}

/* ---- a response by POST -------------------------------------------------------------------- */

static void parked(bool known)
{
	struct ipc_message m = {.number = IPC_LOGIN_PARKED};

	m.u.login_parked.known = known ? 1 : 0;
	stand_broker(ERR_OK, &m);
}

static void a_post_is_put_away_and_comes_back_as_a_get(void **state)
{
	(void)state;
	stand_browse("POST", F, "/auth/callback", FORM, "state=a%26b&code=the-code&iss=i");
	assert_int_equal(stand.broker.asked.number, IPC_LOGIN_PARK);
	assert_sv_equal(stand.broker.asked.u.login_park.app, SV("f"));
	assert_sv_equal(stand.broker.asked.u.login_park.state, SV("a&b"));
	assert_sv_equal(stand.broker.asked.u.login_park.code, SV("the-code"));
	assert_sv_equal(stand.broker.asked.u.login_park.iss, SV("i"));
	parked(true);
	assert_answer(303);
	assert_has("\r\nLocation: https://f.example.net/auth/callback?state=a%26b\r\n");
	assert_lacks("the-code");
	assert_lacks("Set-Cookie");
	come_back_to(F, "state=a%26b", "");
	assert_int_equal(stand.broker.asked.number, IPC_LOGIN_FINISH);
	assert_sv_equal(stand.broker.asked.u.login_finish.state, SV("a&b"));
	assert_sv_equal(stand.broker.asked.u.login_finish.code, SV_NONE);
	finished(SV(NEW), "https://f.example.net/x");
	assert_answer(303);
	assert_has("\r\nLocation: https://f.example.net/x\r\n");
}

static void a_post_of_no_login_of_ours(void **state)
{
	(void)state;
	stand_browse("POST", F, "/auth/callback", FORM, "state=s&code=c");
	parked(false);
	assert_answer(400);
	assert_lacks("Location");
	stand_browse("POST", F, "/auth/callback", FORM, "state=s&code=c");
	stand_failure(IPC_ERROR_STORE, 0, SV_NONE);
	assert_answer(503);
	stand_browse("POST", F, "/auth/callback", FORM, "state=s&code=c");
	stand_broker(ERR_TIMEOUT, NULL);
	assert_answer(503);
}

/* Each provider by the way that is configured, and no other. */
static void the_other_way_is_refused(void **state)
{
	(void)state;
	stand_browse("POST", A, "/auth/callback", FORM, "state=s&code=c");
	assert_answer(400);
	stand_browse("POST", F, "/auth/callback", "", "state=s&code=c"); /* no form */
	assert_answer(400);
	stand_browse("POST", F, "/auth/callback?state=s&code=c", FORM, "");
	assert_answer(400);
	come_back_to(F, "state=s&code=c", "");
	assert_answer(400);
	come_back_to(F, "state=s&error=e", "");
	assert_answer(400);
	assert_int_equal(stand.broker.sent, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
	    CASE(a_login_ends_with_a_session_and_its_page),
	    CASE(the_old_session_goes_along_to_be_ended),
	    CASE(an_error_of_the_provider_is_passed_on),
	    CASE(what_is_no_response_goes_no_further),
	    CASE(another_browsers_response_goes_no_further),
	    CASE(a_code_beyond_its_limit_is_the_browsers_fault),
	    CASE(a_long_user_agent_is_cut),
	    CASE(a_target_that_is_no_longer_ours_is_the_front_page),
	    CASE(a_failed_silent_login_lands_with_a_mark),
	    CASE(a_stale_callback_lands_where_there_is_a_session),
	    CASE(without_the_broker_there_is_no_session),
	    CASE(a_post_is_put_away_and_comes_back_as_a_get),
	    CASE(a_post_of_no_login_of_ours),
	    CASE(the_other_way_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

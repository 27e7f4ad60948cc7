#include "worker/handlers.h"

#include "tests/unit/worker/stand_in.h"

#define A "a.example.com"
#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"

/* With the session whose secret is 32 times 's'. */
static void ask(const char *method, const char *target, const char *more, const char *body)
{
	char fields[1024];

	(void)snprintf(fields, sizeof fields, "Cookie: %s\r\n%s", stand_cookie("bff_session", 's'),
		       more);
	stand_browse(method, A, target, fields, body);
}

static const char *with_token(const char *before, char c, const char *after)
{
	static char text[256];

	(void)snprintf(text, sizeof text, "%s%s%s", before, stand_csrf(c), after);
	return text;
}

static void post(const char *target, const char *body)
{
	ask("POST", target, with_token("X-CSRF-Token: ", 's', "\r\n"), body);
}

static void logged_out(const char *url)
{
	struct ipc_message m = {.number = IPC_LOGGED_OUT};

	m.u.logged_out = (struct ipc_logged_out){.redirect_url = sv_str(url), .sessions = 1};
	stand_broker(ERR_OK, &m);
}

/* Both cookies go. */
static void assert_cleared(void)
{
	const char *at;

	assert_has("\r\nSet-Cookie: bff_session=; ");
	assert_has("\r\nSet-Cookie: bff_csrf=; ");
	at = memmem(stand.out.p, stand.out.n, "Max-Age=0", 9);
	assert_non_null(at);
	assert_non_null(
	    memmem(at + 9, stand.out.n - (size_t)(at + 9 - stand.out.p), "Max-Age=0", 9));
}

static void the_broker_ends_it_and_says_where_to(void **state)
{
	(void)state;
	post("/auth/logout", "");
	assert_int_equal(stand.broker.asked.number, IPC_LOGOUT);
	assert_int_equal(stand.broker.answer, IPC_LOGGED_OUT);
	assert_sv_equal(stand.broker.asked.u.logout.session,
			SV("ssssssssssssssssssssssssssssssss"));
	assert_sv_equal(stand.broker.asked.u.logout.app, SV("a"));
	assert_sv_equal(stand.broker.asked.u.logout.origin, SV("https://a.example.com"));
	assert_int_equal(stand.broker.asked.u.logout.everywhere, 0);
	logged_out("https://idp.example/end?x=1");
	assert_answer(303);
	assert_has("\r\nLocation: https://idp.example/end?x=1\r\n");
	assert_has("\r\nReferrer-Policy: no-referrer\r\n");
	assert_cleared();
	assert_int_equal(stand.pg.queries, 0);
}

static void a_script_gets_json(void **state)
{
	(void)state;
	ask("POST", "/auth/logout",
	    with_token("Accept: text/plain, application/json\r\nX-CSRF-Token: ", 's', "\r\n"), "");
	logged_out("https://idp.example/end?\"x\"");
	assert_answer(200);
	assert_has("\r\nContent-Type: application/json\r\n");
	assert_has("\r\n\r\n{\"redirect_url\":\"https://idp.example/end?\\\"x\\\"\"}");
	assert_lacks("Location");
	assert_cleared();
}

static void nobody_there_to_be_logged_out(void **state)
{
	(void)state;
	stand_browse("POST", A, "/auth/logout", "", "");
	assert_answer(303);
	assert_has("\r\nLocation: https://a.example.com/bye\r\n"); /* after_logout */
	assert_cleared();
	stand_browse("GET", A, "/auth/logout", "Cookie: bff_session=garbage\r\n", "");
	assert_answer(303);
	assert_cleared();
	stand_browse("GET", "c.example.org", "/auth/logout", "", "");
	assert_answer(303);
	assert_has("\r\nLocation: https://c.example.org/\r\n"); /* without it: the front page */
	assert_int_equal(stand.broker.sent + stand.pg.queries, 0);
}

/* A link or an image on anyone's page logs nobody out. */
static void a_bare_get_shows_a_button(void **state)
{
	char want[128];

	(void)state;
	ask("GET", "/auth/logout", "", "");
	assert_answer(200);
	(void)snprintf(want, sizeof want, "name=\"csrf\" value=\"%s\"", stand_csrf('s'));
	assert_has(want);
	assert_lacks("Set-Cookie");
	assert_int_equal(stand.broker.sent, 0);
}

static void the_token_may_come_in_three_ways(void **state)
{
	(void)state;
	post("/auth/logout", "");
	assert_int_equal(stand.broker.sent, 1);
	ask("POST", "/auth/logout", FORM, with_token("csrf=", 's', ""));
	assert_int_equal(stand.broker.sent, 1);
	ask("GET", with_token("/auth/logout?csrf=", 's', ""), "", "");
	assert_int_equal(stand.broker.sent, 1);
}

static void without_it_nothing_happens(void **state)
{
	(void)state;
	ask("POST", "/auth/logout", "", "");
	assert_answer(403);
	assert_has("\"error\":\"csrf\"");
	ask("POST", "/auth/logout", FORM, with_token("csrf=", 't', "")); /* another session's */
	assert_answer(403);
	ask("GET", with_token("/auth/logout?csrf=", 't', ""), "", "");
	assert_answer(403);
	/* In a POST's query it stands in logs: not taken there. */
	ask("POST", with_token("/auth/logout?csrf=", 's', ""), "", "");
	assert_answer(403);
	ask("POST", "/auth/logout", "Origin: https://evil.example\r\n" FORM,
	    with_token("csrf=", 's', ""));
	assert_answer(403);
	assert_has("\"error\":\"origin\"");
	assert_lacks("Set-Cookie");
	assert_int_equal(stand.broker.sent + stand.pg.queries, 0);
}

static void bad_forms_are_refused(void **state)
{
	(void)state;
	post("/auth/logout?everywhere=true&everywhere=false", "");
	assert_answer(400);
	ask("POST", "/auth/logout", FORM, "csrf=a&csrf=b");
	assert_answer(400);
	ask("GET", "/auth/logout?csrf=a&csrf=b", "", "");
	assert_answer(400);
	assert_int_equal(stand.broker.sent, 0);
}

static void two_sessions_are_none(void **state)
{
	char two[512];

	(void)state;
	(void)snprintf(two, sizeof two, "Cookie: %s; %s\r\n", stand_cookie("bff_session", 's'),
		       stand_cookie("bff_session", 't'));
	stand_browse("POST", A, "/auth/logout", two, "");
	assert_answer(401);
	assert_has("\r\nSet-Cookie: bff_session=; ");
	assert_int_equal(stand.broker.sent, 0);
}

static void a_session_that_is_gone_is_logged_out(void **state)
{
	(void)state;
	post("/auth/logout", "");
	stand_failure(IPC_ERROR_NO_SESSION, 0, SV_NONE);
	assert_answer(303);
	assert_has("\r\nLocation: https://a.example.com/bye\r\n");
	assert_cleared();
}

/* The session ends all the same, here; its grant when the broker is back. */
static void without_the_broker_this_session_ends(void **state)
{
	static const struct sv ended[] = {SV_INIT("t")};
	unsigned char want[CRYPT_SHA256_LEN];

	assert_int_equal(crypt_sha256(SV("ssssssssssssssssssssssssssssssss"), want), ERR_OK);
	for (int way = 0; way < 3; way++) {
		stand.broker.refuses = way == 0 ? ERR_UNAVAILABLE : ERR_OK;
		post("/auth/logout", "");
		if (way == 1)
			stand_broker(ERR_TIMEOUT, NULL);
		if (way == 2)
			stand_failure(IPC_ERROR_STORE, 0, SV_NONE);
		assert_int_equal(stand.done, 0);
		assert_int_equal(stand.pg.stmt, WORKER_SQL_SESSION_END);
		assert_memory_equal(stand.pg.param, want, sizeof want);
		stand_rows(ERR_OK, ended, 1);
		assert_answer(303);
		assert_has("\r\nLocation: https://a.example.com/bye\r\n");
		assert_cleared();
		stand_close(state);
		stand_open(state);
	}
}

static void what_did_not_end_is_not_said_to_have(void **state)
{
	(void)state;
	stand.broker.refuses = ERR_UNAVAILABLE;
	post("/auth/logout", "");
	stand_rows(ERR_TIMEOUT, NULL, 0);
	assert_answer(503);
	assert_lacks("Set-Cookie");
	stand.pg.refuses = ERR_UNAVAILABLE;
	post("/auth/logout", "");
	assert_answer(503);
	assert_lacks("Set-Cookie");
}

static void everywhere_needs_the_broker(void **state)
{
	static const struct {
		const char *target, *body;
		unsigned want;
	} cases[] = {
	    {"/auth/logout?everywhere=true", "", 1},
	    {"/auth/logout", "everywhere=true", 1},
	    {"/auth/logout", "everywhere=yes", 0},
	    {"/auth/logout?everywhere=false", "", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		post(cases[i].target, cases[i].body);
		assert_int_equal(stand.broker.asked.u.logout.everywhere, cases[i].want);
	}
	post("/auth/logout?everywhere=true", "");
	stand_broker(ERR_UNAVAILABLE, NULL);
	assert_answer(503); /* not one session instead of all */
	assert_lacks("Set-Cookie");
	assert_int_equal(stand.pg.queries, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
	    CASE(the_broker_ends_it_and_says_where_to),
	    CASE(a_script_gets_json),
	    CASE(nobody_there_to_be_logged_out),
	    CASE(a_bare_get_shows_a_button),
	    CASE(the_token_may_come_in_three_ways),
	    CASE(without_it_nothing_happens),
	    CASE(bad_forms_are_refused),
	    CASE(two_sessions_are_none),
	    CASE(a_session_that_is_gone_is_logged_out),
	    CASE(without_the_broker_this_session_ends),
	    CASE(what_did_not_end_is_not_said_to_have),
	    CASE(everywhere_needs_the_broker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

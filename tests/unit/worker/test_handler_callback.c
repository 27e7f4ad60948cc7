#include "worker/handlers.h"

#include "tests/unit/worker/stand_in.h"

#define A "a.example.com"
#define F "f.example.net" /* whose provider answers by POST */
#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"
#define BINDING "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI" /* 32 times b */
#define COOKIE "Cookie: __Host-bff_login=" BINDING "\r\n"
#define SECRET "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define GOOD "/auth/callback?state=S&code=C&iss=I"

static const struct ipc_login_finish *asked(void)
{
	assert_int_equal(stand.state, REQUEST_WAITING);
	assert_int_equal(stand.broker.sent, 1);
	assert_int_equal(stand.broker.asked.number, IPC_LOGIN_FINISH);
	assert_int_equal(stand.broker.answer, IPC_LOGIN_FINISHED);
	assert_int_equal(stand.broker.timeout_ms, TIMEOUT_BROKER_LOGIN_MS);
	return &stand.broker.asked.u.login_finish;
}

static void finished(struct sv session, struct sv return_to)
{
	struct ipc_message m = {.number = IPC_LOGIN_FINISHED};

	m.u.login_finished = (struct ipc_login_finished){.session = session,
							 .day = STAND_WALL_S / 86400,
							 .return_to = return_to,
							 .session_ref = SV("ref")};
	stand_broker(ERR_OK, &m);
}

static void a_login_lands_with_its_session(void **state)
{
	const struct ipc_login_finish *m;
	char more[512];

	(void)state;
	(void)snprintf(more, sizeof more,
		       "Cookie: __Host-bff_login=" BINDING "; %s\r\n"
		       "User-Agent: Agent/1\r\n",
		       stand_cookie("bff_session", 's'));
	stand_browse("GET", A, GOOD, more, "");
	m = asked();
	assert_sv_equal(m->app, SV("a"));
	assert_sv_equal(m->origin, SV("https://a.example.com"));
	assert_sv_equal(m->binding, SV("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"));
	assert_sv_equal(m->state, SV("S"));
	assert_sv_equal(m->code, SV("C"));
	assert_sv_equal(m->iss, SV("I"));
	assert_int_equal(m->error.n, 0);
	assert_sv_equal(m->old_session, SV("ssssssssssssssssssssssssssssssss"));
	assert_sv_equal(m->user_agent, SV("Agent/1"));
	finished(SV(SECRET), SV("https://b.example.com/x?y#z"));
	assert_answer(303);
	assert_has("\r\nLocation: https://b.example.com/x?y#z\r\n");
	(void)snprintf(more, sizeof more,
		       "\r\nSet-Cookie: %s; Path=/; Secure; SameSite=Lax; HttpOnly\r\n",
		       stand_cookie("bff_session", 'n'));
	assert_has(more);
	(void)snprintf(more, sizeof more, "\r\nSet-Cookie: bff_csrf=%s; ", stand_csrf('n'));
	assert_has(more);
	assert_has("\r\nReferrer-Policy: no-referrer\r\n");
	stand_browse("GET", A, "/auth/callback?state=S&error=access_denied", COOKIE, "");
	assert_sv_equal(asked()->error, SV("access_denied"));
	assert_int_equal(asked()->code.n + asked()->old_session.n, 0);
}

/* Replaced, or it may have been: memory knows it no more, whenever the notification comes. */
static void the_session_of_before_is_remembered_no_more(void **state)
{
	char more[512];

	(void)state;
	for (unsigned how = 0; how < 2; how++) {
		assert_int_equal(stand_reads('s'), how == 0 ? 1 : 0);
		assert_int_equal(stand_reads('s'), 0);
		(void)snprintf(more, sizeof more, "Cookie: __Host-bff_login=" BINDING "; %s\r\n",
			       stand_cookie("bff_session", 's'));
		stand_browse("GET", A, GOOD, more, "");
		if (how == 0)
			finished(SV(SECRET), SV("https://b.example.com/"));
		else
			stand_broker(ERR_TIMEOUT, NULL);
		assert_int_equal(stand_reads('s'), 1);
	}
}

/* stand_browse() comes from 192.0.2.7. */
static void a_bound_session_is_good_for_its_client_alone(void **state)
{
	static const struct {
		const char *agent, *client;
		bool good;
	} cases[] = {
	    {"Agent/1", "192.0.2.9", true},
	    {"Agent/2", "192.0.2.7", false},
	    {"Agent/1", "192.0.3.7", false},
	};
	char cookie[256], head[1024];
	const char *at;

	(void)state;
	stand_browse("GET", "k.example.net", GOOD, COOKIE "User-Agent: Agent/1\r\n", "");
	(void)asked();
	finished(SV(SECRET), SV("https://k.example.net/"));
	assert_answer(303);
	at = memmem(stand.out.p, stand.out.n, "bff_session=v2.", 15);
	assert_non_null(at);
	(void)snprintf(cookie, sizeof cookie, "%.*s", (int)strcspn(at, ";"), at);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		(void)snprintf(
		    head, sizeof head,
		    "GET /auth/verify HTTP/1.1\r\nHost: bff\r\nX-Forwarded-Method: GET\r\n"
		    "X-Forwarded-Host: k.example.net\r\nX-Forwarded-Uri: /x\r\n"
		    "X-Forwarded-Proto: https\r\nX-Forwarded-For: %s\r\n"
		    "User-Agent: %s\r\nCookie: %s\r\n",
		    cases[i].client, cases[i].agent, cookie);
		stand_ask(LISTEN_VERIFY, head, "");
		if (cases[i].good) {
			assert_int_equal(stand.state, REQUEST_WAITING); /* for its row */
			assert_int_equal(stand.pg.queries, 1);
		} else {
			assert_answer(401);
			assert_int_equal(stand.pg.queries, 0);
			assert_int_equal(stand.r->session_why, REASON_CLIENT);
		}
	}
	/* Elsewhere it is worth nothing, but a login there still ends it. */
	(void)snprintf(head, sizeof head, "Cookie: __Host-bff_login=" BINDING "; %s\r\n", cookie);
	stand_browse("GET", "k.example.net", GOOD, head, "");
	assert_sv_equal(asked()->old_session, SV(SECRET));
}

static void a_login_counts(void **state)
{
	(void)state;
	stand_browse("GET", A, GOOD, COOKIE, "");
	finished(SV(SECRET), SV("https://a.example.com/"));
	assert_has("\r\nSet-Cookie: __Host-bff_loop=1.1700000000; Path=/; Secure; SameSite=Lax; "
		   "HttpOnly; Max-Age=60\r\n");
	stand_browse("GET", A, GOOD,
		     "Cookie: __Host-bff_login=" BINDING "; __Host-bff_loop=1.1699999990\r\n", "");
	finished(SV(SECRET), SV("https://a.example.com/"));
	assert_has("\r\nSet-Cookie: __Host-bff_loop=2.1699999990; ");
}

static void responses_that_are_none(void **state)
{
	static const char *const queries[] = {
	    "",
	    "&",
	    "state=S",
	    "code=C",
	    "state=&code=C",
	    "state=S&code=",
	    "state=S&code=C&error=e",
	    "state=S&code=C&code=D",
	    "state=S&state=S&code=C",
	    "state=S&code=C&iss=a&iss=b",
	    "state=S&c%6Fde=C&code=D",
	    "state=S&code=%zz",
	    "state=S&code=C%00",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		char target[128];

		(void)snprintf(target, sizeof target, "/auth/callback?%s", queries[i]);
		stand_browse("GET", A, target, COOKIE, "");
		assert_answer(400);
		assert_lacks("Set-Cookie");
		assert_int_equal(stand.broker.sent, 0);
	}
}

static void what_is_too_long_is_refused(void **state)
{
	static char target[8192];

	(void)state;
	(void)snprintf(target, sizeof target, "/auth/callback?state=%0257d&code=C", 1);
	stand_browse("GET", A, target, COOKIE, "");
	assert_answer(400);
	(void)snprintf(target, sizeof target, "/auth/callback?state=S&code=%04097d", 1);
	stand_browse("GET", A, target, COOKIE, "");
	assert_answer(400);
	assert_int_equal(stand.broker.sent, 0);
}

static void another_browser_is_refused(void **state)
{
	static const char *const cookies[] = {
	    "", "Cookie: __Host-bff_login=short\r\n", "Cookie: bff_login=" BINDING "\r\n",
	    "Cookie: __Host-bff_login=" BINDING "; __Host-bff_login=" BINDING "\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cookies); i++) {
		stand_browse("GET", A, GOOD, cookies[i], "");
		assert_answer(400);
		assert_int_equal(stand.broker.sent, 0);
	}
}

/* A browser with two sessions: which of them? */
static void of_two_old_sessions_none_is_named(void **state)
{
	char more[512];

	(void)state;
	(void)snprintf(more, sizeof more, "Cookie: __Host-bff_login=" BINDING "; %s; %s\r\n",
		       stand_cookie("bff_session", 's'), stand_cookie("bff_session", 't'));
	stand_browse("GET", A, GOOD, more, "");
	assert_int_equal(asked()->old_session.n, 0);
}

/* Judged again: the configuration may have changed since the login began. */
static void a_target_that_is_no_longer_ours_is_the_front_page(void **state)
{
	(void)state;
	stand_browse("GET", A, GOOD, COOKIE, "");
	finished(SV(SECRET), SV("https://evil.example/"));
	assert_answer(303);
	assert_has("\r\nLocation: https://a.example.com/\r\n");
	assert_lacks("evil");
}

static void what_just_fits_is_taken(void **state)
{
	static char target[8192], more[1024];

	(void)state;
	(void)snprintf(target, sizeof target, "/auth/callback?state=S&code=%04096d", 1);
	(void)snprintf(more, sizeof more, COOKIE "User-Agent: %0600d\r\n", 1);
	stand_browse("GET", A, target, more, "");
	assert_int_equal(asked()->code.n, 4096);
	assert_int_equal(asked()->user_agent.n, 512); /* cut: it is only shown */
}

/* A broker that takes no more is no fault of the browser's. */
static void without_a_broker(void **state)
{
	(void)state;
	stand.broker.refuses = ERR_UNAVAILABLE;
	stand_browse("GET", A, GOOD, COOKIE, "");
	assert_answer(503);
	stand.broker.refuses = ERR_LIMIT;
	stand.broker.up = false;
	stand_browse("GET", A, GOOD, COOKIE, "");
	assert_answer(503);
	assert_lacks("Set-Cookie");
}

static void failures(void **state)
{
	static const struct {
		enum ipc_error code;
		const char *status;
	} cases[] = {
	    {IPC_ERROR_PROVIDER, "400"},      {IPC_ERROR_BINDING, "400"},
	    {IPC_ERROR_ACCESS_DENIED, "403"}, {IPC_ERROR_PROVIDER_DOWN, "503"},
	    {IPC_ERROR_STORE, "503"},	      {IPC_ERROR_CONFIG_SKEW, "503"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char want[32];

		stand_browse("GET", A, GOOD, COOKIE, "");
		stand_failure(cases[i].code, 0, SV("https://a.example.com/x"));
		(void)snprintf(want, sizeof want, "HTTP/1.1 %s ", cases[i].status);
		assert_has(want);
		assert_lacks("detail_word");
		assert_lacks("Location");
		assert_lacks("Set-Cookie");
	}
	stand_browse("GET", A, GOOD, COOKIE, "");
	stand_broker(ERR_TIMEOUT, NULL);
	assert_answer(503);
	stand_browse("GET", A, GOOD, COOKIE, "");
	finished(SV("short"), SV("https://a.example.com/x"));
	assert_answer(503);
	assert_lacks("Set-Cookie");
}

static void a_silent_login_that_failed_says_so_on_its_target(void **state)
{
	static const struct {
		const char *target, *want;
	} cases[] = {
	    {"https://a.example.com/x", "https://a.example.com/x?login=required"},
	    {"https://a.example.com/x?y#z", "https://a.example.com/x?y&login=required#z"},
	    {"https://evil.example/", "https://a.example.com/?login=required"},
	    {"", "https://a.example.com/?login=required"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char want[128];

		stand_browse("GET", A, GOOD, COOKIE, "");
		stand_failure(IPC_ERROR_LOGIN_REQUIRED, 0, sv_str(cases[i].target));
		assert_answer(303);
		(void)snprintf(want, sizeof want, "\r\nLocation: %s\r\n", cases[i].want);
		assert_has(want);
		assert_lacks("Set-Cookie");
	}
}

static void a_stale_callback_lands_where_a_session_is(void **state)
{
	char more[512];

	(void)state;
	(void)snprintf(more, sizeof more, "Cookie: __Host-bff_login=" BINDING "; %s\r\n",
		       stand_cookie("bff_session", 's'));
	stand_browse("GET", A, GOOD, more, "");
	stand_failure(IPC_ERROR_STALE, 0, SV("https://a.example.com/x"));
	stand_live(SV("a"), SV("{}"), false);
	assert_answer(303);
	assert_has("\r\nLocation: https://a.example.com/x\r\n");
	assert_lacks("Set-Cookie");
	stand_browse("GET", A, GOOD, more, "");
	stand_failure(IPC_ERROR_STALE, 0, SV("https://a.example.com/x"));
	stand_dead(SV("revoked"));
	assert_answer(400);
	stand_browse("GET", A, GOOD, more, "");
	stand_failure(IPC_ERROR_STALE, 0, SV("https://a.example.com/x"));
	stand_rows(ERR_TIMEOUT, NULL, 0);
	assert_answer(503);
	stand_browse("GET", A, GOOD, COOKIE, "");
	stand_failure(IPC_ERROR_STALE, 0, SV("https://a.example.com/x"));
	assert_answer(400);
}

/* ---- by POST --------------------------------------------------------------------------------- */

static void no_post_where_none_was_asked_for(void **state)
{
	(void)state;
	stand_browse("POST", A, "/auth/callback", COOKIE FORM, "state=S&code=C");
	assert_answer(400);
	assert_int_equal(stand.broker.sent, 0);
}

static void a_response_by_post_is_put_away(void **state)
{
	struct ipc_message m = {.number = IPC_LOGIN_PARKED};
	const struct ipc_login_park *p = &stand.broker.asked.u.login_park;

	(void)state;
	stand_browse("POST", F, "/auth/callback?state=other&code=other", FORM,
		     "state=S%26&code=C&iss=I&more=x");
	assert_int_equal(stand.state, REQUEST_WAITING);
	assert_int_equal(stand.broker.asked.number, IPC_LOGIN_PARK);
	assert_int_equal(stand.broker.answer, IPC_LOGIN_PARKED);
	assert_sv_equal(p->app, SV("f"));
	assert_sv_equal(p->state, SV("S&"));
	assert_sv_equal(p->code, SV("C"));
	assert_sv_equal(p->iss, SV("I"));
	assert_int_equal(p->error.n, 0);
	m.u.login_parked.known = 1;
	stand_broker(ERR_OK, &m);
	assert_answer(303);
	assert_has("\r\nLocation: https://f.example.net/auth/callback?state=S%26\r\n");
	assert_lacks("Set-Cookie");
	stand_browse("POST", F, "/auth/callback", FORM, "state=S&error=access_denied");
	assert_sv_equal(p->error, SV("access_denied"));
	m.u.login_parked.known = 0; /* made up */
	stand_broker(ERR_OK, &m);
	assert_answer(400);
	assert_lacks("Location");
}

static void it_is_taken_by_a_get_that_names_the_state_alone(void **state)
{
	static const char *const bad[] = {"state=S&code=C", "state=S&error=e", "state=S&iss=I",
					  "state=S&code=",  "code=C",	       "state="};

	(void)state;
	stand_browse("GET", F, "/auth/callback?state=S", COOKIE, "");
	assert_sv_equal(asked()->state, SV("S"));
	assert_int_equal(asked()->code.n + asked()->error.n + asked()->iss.n, 0);
	finished(SV(SECRET), SV("https://f.example.net/x"));
	assert_answer(303);
	assert_has("\r\nLocation: https://f.example.net/x\r\n");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char target[128];

		(void)snprintf(target, sizeof target, "/auth/callback?%s", bad[i]);
		stand_browse("GET", F, target, COOKIE, "");
		assert_answer(400);
		assert_int_equal(stand.broker.sent, 0);
	}
	stand_browse("GET", F, "/auth/callback?state=S", "", "");
	assert_answer(400); /* of another browser */
}

static void posts_that_are_refused(void **state)
{
	static const struct {
		const char *more, *body;
	} cases[] = {
	    {"", "state=S&code=C"},
	    {"Content-Type: application/json\r\n", "state=S&code=C"},
	    {"Content-Type: multipart/form-data; boundary=x\r\n", "state=S&code=C"},
	    {FORM, ""},
	    {FORM, "code=C"},
	    {FORM, "state=S"},
	    {FORM, "state=S&code=C&error=e"},
	    {FORM, "state=S&code=C&code=C"},
	    {FORM, "state=S&state=S&code=C"},
	    {FORM, "state=S&code=C%0A"},
	};
	static char body[REQUEST_BODY_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		stand_browse("POST", F, "/auth/callback?state=S&code=C", cases[i].more,
			     cases[i].body);
		assert_answer(400);
		assert_int_equal(stand.broker.sent, 0);
	}
	(void)snprintf(body, sizeof body, "state=S&code=%04097d", 1);
	stand_browse("POST", F, "/auth/callback", FORM, body);
	assert_answer(400);
	(void)snprintf(body, sizeof body, "state=%0257d&code=C", 1);
	stand_browse("POST", F, "/auth/callback", FORM, body);
	assert_answer(400);
	assert_int_equal(stand.broker.sent, 0);
}

static void a_response_that_cannot_be_put_away(void **state)
{
	(void)state;
	stand_browse("POST", F, "/auth/callback", FORM, "state=S&code=C");
	stand_failure(IPC_ERROR_STORE, 1, SV_NONE);
	assert_answer(503);
	assert_has("\r\nRetry-After: 1\r\n");
	stand_browse("POST", F, "/auth/callback", FORM, "state=S&code=C");
	stand_broker(ERR_TIMEOUT, NULL);
	assert_answer(503);
	stand.broker.refuses = ERR_UNAVAILABLE;
	stand.broker.up = false;
	stand_browse("POST", F, "/auth/callback", FORM, "state=S&code=C");
	assert_answer(503);
	assert_lacks("Location");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
	    CASE(a_bound_session_is_good_for_its_client_alone),
	    CASE(a_login_counts),
	    CASE(a_login_lands_with_its_session),
	    CASE(the_session_of_before_is_remembered_no_more),
	    CASE(responses_that_are_none),
	    CASE(what_is_too_long_is_refused),
	    CASE(another_browser_is_refused),
	    CASE(of_two_old_sessions_none_is_named),
	    CASE(a_target_that_is_no_longer_ours_is_the_front_page),
	    CASE(what_just_fits_is_taken),
	    CASE(without_a_broker),
	    CASE(failures),
	    CASE(a_silent_login_that_failed_says_so_on_its_target),
	    CASE(a_stale_callback_lands_where_a_session_is),
	    CASE(no_post_where_none_was_asked_for),
	    CASE(a_response_by_post_is_put_away),
	    CASE(it_is_taken_by_a_get_that_names_the_state_alone),
	    CASE(posts_that_are_refused),
	    CASE(a_response_that_cannot_be_put_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

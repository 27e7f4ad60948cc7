#include "worker/handlers.h"

#include "tests/unit/worker/stand_in.h"

#define A "a.example.com"
<<<<<<< HEAD
#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"
#define BINDING "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI" /* 32 times b */
#define COOKIE "Cookie: __Host-bff_login=" BINDING "\r\n"
#define SECRET "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define GOOD "/auth/callback?state=S&code=C&iss=I"

/* The same app at a provider that answers by POST. */
static int open_form_post(void **state)
{
	(void)state;
	return stand_open_with(
	    CONFIG_TEXT_DATABASE CONFIG_TEXT_WEB CONFIG_TEXT_BROKER
	    "provider \"p\" { issuer = \"https://idp.example\" client_id = \"c\"\n"
	    "	client_secret_file = \"/s\" response_mode = form_post }\n"
	    "listen \"public\" { kind = public address = \"127.0.0.1:1\"\n"
	    "	trusted_peers = {\"127.0.0.1/32\"} }\n" CONFIG_TEXT_APP CONFIG_TEXT_IDENTITY
		CONFIG_TEXT_SERVICE CONFIG_TEXT_ROUTE);
}

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
=======
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
>>>>>>> unit-a
{
	struct ipc_message m = {.number = IPC_LOGIN_FINISHED};

	m.u.login_finished = (struct ipc_login_finished){.session = session,
							 .day = STAND_WALL_S / 86400,
<<<<<<< HEAD
							 .return_to = return_to,
=======
							 .return_to = sv_str(return_to),
>>>>>>> unit-a
							 .session_ref = SV("ref")};
	stand_broker(ERR_OK, &m);
}

<<<<<<< HEAD
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
=======
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
>>>>>>> unit-a
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
<<<<<<< HEAD
		char target[128];

		(void)snprintf(target, sizeof target, "/auth/callback?%s", queries[i]);
		stand_browse("GET", A, target, COOKIE, "");
		assert_answer(400);
		assert_lacks("Set-Cookie");
=======
		come_back(queries[i]);
		assert_answer(400);
		assert_has("Login failed");
		assert_lacks("Location");
>>>>>>> unit-a
		assert_int_equal(stand.broker.sent, 0);
	}
}

<<<<<<< HEAD
static void what_is_too_long_is_refused(void **state)
{
	static char target[8192];

	(void)state;
	(void)snprintf(target, sizeof target, "/auth/callback?state=%0257d&code=C", 1);
	stand_browse("GET", A, target, COOKIE, "");
	assert_answer(400);
	(void)snprintf(target, sizeof target, "/auth/callback?state=S&code=%04097d", 1);
	stand_browse("GET", A, target, COOKIE, "");
=======
/* RFC 9700 4.7: a response that another browser asked for. */
static void another_browsers_response_goes_no_further(void **state)
{
	(void)state;
	stand_browse("GET", A, "/auth/callback?state=s&code=c", "", "");
	assert_answer(400);
	assert_int_equal(stand.broker.sent, 0);
	stand_browse("GET", A, "/auth/callback?state=s&code=c",
		     "Cookie: __Host-bff_login=garbage\r\n", "");
>>>>>>> unit-a
	assert_answer(400);
	assert_int_equal(stand.broker.sent, 0);
}

<<<<<<< HEAD
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
=======
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
>>>>>>> unit-a
{
	static const struct {
		const char *target, *want;
	} cases[] = {
<<<<<<< HEAD
	    {"https://a.example.com/x", "https://a.example.com/x?login=required"},
	    {"https://a.example.com/x?y#z", "https://a.example.com/x?y&login=required#z"},
	    {"https://evil.example/", "https://a.example.com/?login=required"},
	    {"", "https://a.example.com/?login=required"},
=======
	    {"https://a.example.com/x", "https://a.example.com/x?login=required\r\n"},
	    {"https://a.example.com/x?y=1", "https://a.example.com/x?y=1&login=required\r\n"},
	    {"https://a.example.com/x#z?", "https://a.example.com/x?login=required#z?\r\n"},
	    {"https://evil.example/", "https://a.example.com/?login=required\r\n"},
>>>>>>> unit-a
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
<<<<<<< HEAD
		char want[128];

		stand_browse("GET", A, GOOD, COOKIE, "");
		stand_failure(IPC_ERROR_LOGIN_REQUIRED, 0, sv_str(cases[i].target));
		assert_answer(303);
		(void)snprintf(want, sizeof want, "\r\nLocation: %s\r\n", cases[i].want);
		assert_has(want);
=======
		come_back("state=s&error=login_required");
		stand_failure(IPC_ERROR_LOGIN_REQUIRED, 0, sv_str(cases[i].target));
		assert_answer(303);
		assert_has(cases[i].want);
>>>>>>> unit-a
		assert_lacks("Set-Cookie");
	}
}

<<<<<<< HEAD
static void a_stale_callback_lands_where_a_session_is(void **state)
{
	char more[512];

	(void)state;
	(void)snprintf(more, sizeof more, "Cookie: __Host-bff_login=" BINDING "; %s\r\n",
		       stand_cookie("bff_session", 's'));
	stand_browse("GET", A, GOOD, more, "");
	stand_failure(IPC_ERROR_STALE, 0, SV("https://a.example.com/x"));
=======
/* The same tab twice, or "back". */
static void a_stale_callback_lands_where_there_is_a_session(void **state)
{
	char cookies[256];

	(void)state;
	(void)snprintf(cookies, sizeof cookies, "; %s", stand_cookie("bff_session", 'o'));
	come_back_to(A, "state=s&code=c", cookies);
	stand_failure(IPC_ERROR_STALE, 0, SV("https://a.example.com/x"));
	assert_int_equal(stand.done, 0);
>>>>>>> unit-a
	stand_live(SV("a"), SV("{}"), false);
	assert_answer(303);
	assert_has("\r\nLocation: https://a.example.com/x\r\n");
	assert_lacks("Set-Cookie");
<<<<<<< HEAD
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
	stand_browse("POST", A, "/auth/callback?state=other&code=other", FORM,
		     "state=S%26&code=C&iss=I&more=x");
	assert_int_equal(stand.state, REQUEST_WAITING);
	assert_int_equal(stand.broker.asked.number, IPC_LOGIN_PARK);
	assert_int_equal(stand.broker.answer, IPC_LOGIN_PARKED);
	assert_sv_equal(p->app, SV("a"));
	assert_sv_equal(p->state, SV("S&"));
	assert_sv_equal(p->code, SV("C"));
	assert_sv_equal(p->iss, SV("I"));
	assert_int_equal(p->error.n, 0);
	m.u.login_parked.known = 1;
	stand_broker(ERR_OK, &m);
	assert_answer(303);
	assert_has("\r\nLocation: https://a.example.com/auth/callback?state=S%26\r\n");
	assert_lacks("Set-Cookie");
	stand_browse("POST", A, "/auth/callback", FORM, "state=S&error=access_denied");
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
	stand_browse("GET", A, "/auth/callback?state=S", COOKIE, "");
	assert_sv_equal(asked()->state, SV("S"));
	assert_int_equal(asked()->code.n + asked()->error.n + asked()->iss.n, 0);
	finished(SV(SECRET), SV("https://a.example.com/x"));
	assert_answer(303);
	assert_has("\r\nLocation: https://a.example.com/x\r\n");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char target[128];

		(void)snprintf(target, sizeof target, "/auth/callback?%s", bad[i]);
		stand_browse("GET", A, target, COOKIE, "");
		assert_answer(400);
		assert_int_equal(stand.broker.sent, 0);
	}
	stand_browse("GET", A, "/auth/callback?state=S", "", "");
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
		stand_browse("POST", A, "/auth/callback?state=S&code=C", cases[i].more,
			     cases[i].body);
		assert_answer(400);
		assert_int_equal(stand.broker.sent, 0);
	}
	(void)snprintf(body, sizeof body, "state=S&code=%04097d", 1);
	stand_browse("POST", A, "/auth/callback", FORM, body);
	assert_answer(400);
	(void)snprintf(body, sizeof body, "state=%0257d&code=C", 1);
	stand_browse("POST", A, "/auth/callback", FORM, body);
	assert_answer(400);
	assert_int_equal(stand.broker.sent, 0);
}

static void a_response_that_cannot_be_put_away(void **state)
{
	(void)state;
	stand_browse("POST", A, "/auth/callback", FORM, "state=S&code=C");
	stand_failure(IPC_ERROR_STORE, 1, SV_NONE);
	assert_answer(503);
	assert_has("\r\nRetry-After: 1\r\n");
	stand_browse("POST", A, "/auth/callback", FORM, "state=S&code=C");
	stand_broker(ERR_TIMEOUT, NULL);
	assert_answer(503);
	stand.broker.refuses = ERR_UNAVAILABLE;
	stand.broker.up = false;
	stand_browse("POST", A, "/auth/callback", FORM, "state=S&code=C");
	assert_answer(503);
	assert_lacks("Location");
=======
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
>>>>>>> unit-a
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
<<<<<<< HEAD
#define POSTS(name) cmocka_unit_test_setup_teardown(name, open_form_post, stand_close)
	    CASE(a_login_lands_with_its_session),
	    CASE(responses_that_are_none),
	    CASE(what_is_too_long_is_refused),
	    CASE(another_browser_is_refused),
	    CASE(failures),
	    CASE(a_silent_login_that_failed_says_so_on_its_target),
	    CASE(a_stale_callback_lands_where_a_session_is),
	    CASE(no_post_where_none_was_asked_for),
	    POSTS(a_response_by_post_is_put_away),
	    POSTS(it_is_taken_by_a_get_that_names_the_state_alone),
	    POSTS(posts_that_are_refused),
	    POSTS(a_response_that_cannot_be_put_away),
=======
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
>>>>>>> unit-a
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

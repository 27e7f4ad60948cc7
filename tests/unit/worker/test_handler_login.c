#include "worker/handlers.h"

#include "tests/unit/worker/stand_in.h"

#define A "a.example.com"
#define C "c.example.org"
#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"
#define BINDING "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI" /* 32 times b */
#define COOKIE "Cookie: __Host-bff_login=" BINDING "\r\n"

static const struct ipc_login_begin *asked(void)
{
	assert_int_equal(stand.state, REQUEST_WAITING);
	assert_int_equal(stand.broker.sent, 1);
	assert_int_equal(stand.broker.asked.number, IPC_LOGIN_BEGIN);
	assert_int_equal(stand.broker.answer, IPC_LOGIN_BEGUN);
	assert_int_equal(stand.broker.timeout_ms, TIMEOUT_BROKER_LOGIN_MS);
	return &stand.broker.asked.u.login_begin;
}

static void begun(struct sv location, struct sv binding)
{
	struct ipc_message m = {.number = IPC_LOGIN_BEGUN};

	m.u.login_begun = (struct ipc_login_begun){.location = location, .binding = binding};
	stand_broker(ERR_OK, &m);
}

static void a_login_begins(void **state)
{
	const struct ipc_login_begin *m;

	(void)state;
	stand_browse("GET", A, "/auth/login?return_to=%2Fx%3Fy&scope=admin", "", "");
	m = asked();
	assert_sv_equal(m->app, SV("a"));
	assert_sv_equal(m->origin, SV("https://a.example.com"));
	assert_sv_equal(m->return_to, SV("https://a.example.com/x?y"));
	assert_sv_equal(m->client, SV("192.0.2.0/24"));
	assert_sv_equal(m->correlation, request_correlation(stand.r));
	assert_int_equal(m->binding.n, 0);
	assert_int_equal(m->prompt.n + m->login_hint.n + m->acr_values.n + m->has_max_age, 0);
	begun(SV("https://idp.example/authorize?x"), SV("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"));
	assert_answer(302);
	assert_has("\r\nLocation: https://idp.example/authorize?x\r\n");
	assert_has("\r\nSet-Cookie: __Host-bff_login=" BINDING
		   "; Path=/; Secure; SameSite=Lax; HttpOnly\r\n");
	assert_has("\r\nReferrer-Policy: no-referrer\r\n");
}

static void all_that_is_asked_for_reaches_the_broker(void **state)
{
	const struct ipc_login_begin *m;

	(void)state;
	stand_browse(
	    "GET", A,
	    "/auth/login?prompt=none&login_hint=al+ice&acr_values=a+b&max_age=0&provider=p", COOKIE,
	    "");
	m = asked();
	assert_sv_equal(m->prompt, SV("none"));
	assert_sv_equal(m->login_hint, SV("al ice"));
	assert_sv_equal(m->acr_values, SV("a b"));
	assert_int_equal(m->has_max_age, 1);
	assert_int_equal(m->max_age_s, 0);
	assert_sv_equal(m->binding, SV("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"));
	assert_int_equal(m->session.n, 0);
	stand_browse("GET", A, "/auth/login?max_age=86400", "", "");
	assert_int_equal(asked()->max_age_s, 86400);
}

/* From the cookie alone, and a good one. */
static void the_session_that_came_along(void **state)
{
	char cookies[512];

	(void)state;
	(void)snprintf(cookies, sizeof cookies, "Cookie: %s\r\n", stand_cookie("bff_session", 's'));
	stand_browse("GET", A, "/auth/login?session=x", cookies, "");
	assert_sv_equal(asked()->session, SV("ssssssssssssssssssssssssssssssss"));
	cookies[strlen(cookies) - 5] ^= 1;
	stand_browse("GET", A, "/auth/login", cookies, "");
	assert_int_equal(asked()->session.n, 0);
}

static void what_is_refused_is_asked_of_nobody(void **state)
{
	static const char *const queries[] = {
	    "prompt=login",
	    "provider=q",
	    "max_age=1h",
	    "acr_values=%20a",
	    "return_to=/a&return_to=/b",
	    "login_hint=%zz",
	    "iss=https://evil.example",
	    "target_link_uri=/x",
	    "iss=https://idp.example&acr_values=weak",
	    /* It has failed there just now. */
	    "prompt=none&return_to=/x%3Flogin%3Drequired",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		char target[256];

		(void)snprintf(target, sizeof target, "/auth/login?%s", queries[i]);
		stand_browse("GET", A, target, "", "");
		assert_answer(400);
		assert_lacks("Location");
		assert_lacks("evil");
		assert_int_equal(stand.broker.sent, 0);
	}
}

static void a_target_elsewhere_is_the_front_page(void **state)
{
	(void)state;
	stand_browse("GET", A, "/auth/login?return_to=https://evil.example/", "", "");
	assert_sv_equal(asked()->return_to, SV("https://a.example.com/"));
	stand_browse("GET", A, "/auth/login?iss=https://idp.example&target_link_uri=//evil.example",
		     "", "");
	assert_sv_equal(asked()->return_to, SV("https://a.example.com/"));
}

/* ---- logins that do not hold ----------------------------------------------------------------- */

#define LOOP "__Host-bff_loop=3.1699999990"

static void the_fourth_login_in_a_minute_gets_a_page(void **state)
{
	char cookies[512];

	(void)state;
	stand_browse("GET", A, "/auth/login", "Cookie: __Host-bff_loop=2.1699999990\r\n", "");
	(void)asked();
	stand_browse("GET", A, "/auth/login", "Cookie: __Host-bff_loop=3.1699999900\r\n", "");
	(void)asked();
	stand_browse("GET", A, "/auth/login", "Cookie: " LOOP "\r\n", "");
	assert_answer(400);
	assert_int_equal(stand.broker.sent, 0);
	assert_has("does not send the session cookie back");
	assert_has("\r\nSet-Cookie: __Host-bff_loop=; Path=/; Secure; SameSite=Lax; HttpOnly; "
		   "Max-Age=0\r\n");
	stand_browse("GET", A, "/auth/login", "Cookie: " LOOP "; bff_session=garbage\r\n", "");
	assert_answer(400);
	assert_has("was not made here");
	(void)snprintf(cookies, sizeof cookies, "Cookie: " LOOP "; %s\r\n",
		       stand_cookie("bff_session", 's'));
	stand_browse("GET", A, "/auth/login", cookies, "");
	stand_dead(SV("unknown"));
	assert_answer(400);
	assert_has("its session is not known");
}

/* A step-up, a session that ended as it should, and an outage are no loop. */
static void other_logins_are_no_loop(void **state)
{
	char cookies[512];

	(void)state;
	(void)snprintf(cookies, sizeof cookies, "Cookie: " LOOP "; %s\r\n",
		       stand_cookie("bff_session", 's'));
	stand_browse("GET", A, "/auth/login?acr_values=gold", cookies, "");
	stand_live(SV("a"), SV("{}"), false);
	(void)asked();
	stand_browse("GET", A, "/auth/login", cookies, "");
	stand_dead(SV("revoked"));
	(void)asked();
	stand_browse("GET", A, "/auth/login", cookies, "");
	stand_rows(ERR_UNAVAILABLE, NULL, 0);
	(void)asked();
}

/* ---- started by a third party (OIDC Core 4) -------------------------------------------------- */

static void a_third_party_by_get(void **state)
{
	static const char *const dests[] = {"iframe", "frame", "object", "embed", "empty"};
	const char *target = "/auth/login?iss=https%3A%2F%2Fidp.example&login_hint=bob"
			     "&target_link_uri=https%3A%2F%2Fb.example.com%2Fdeep";

	(void)state;
	stand_browse("GET", A, target, "Sec-Fetch-Dest: document\r\n", "");
	assert_sv_equal(asked()->return_to, SV("https://b.example.com/deep"));
	assert_sv_equal(asked()->login_hint, SV("bob"));
	stand_browse("GET", A, target, "", "");
	(void)asked();
	for (size_t i = 0; i < ARRAY_LEN(dests); i++) {
		char field[64];

		(void)snprintf(field, sizeof field, "Sec-Fetch-Dest: %s\r\n", dests[i]);
		stand_browse("GET", A, target, field, "");
		assert_answer(400);
		assert_int_equal(stand.broker.sent, 0);
	}
}

/* The browser's cookies do not come with it: it starts over, with a GET. */
static void a_third_party_by_post(void **state)
{
	const char *body = "iss=https%3A%2F%2Fidp.example&login_hint=b%26b&target_link_uri=%2Fdeep";

	(void)state;
	stand_browse("POST", A, "/auth/login", FORM, body);
	assert_answer(303);
	assert_has("\r\nLocation: https://a.example.com/auth/login?return_to=https%3A%2F%2F"
		   "a.example.com%2Fdeep&login_hint=b%26b\r\n");
	assert_lacks("Set-Cookie");
	assert_int_equal(stand.broker.sent, 0);
	stand_browse("POST", A, "/auth/login",
		     "Content-Type: Application/X-WWW-Form-Urlencoded ; charset=utf-8\r\n", body);
	assert_answer(303);
}

static void posts_that_are_refused(void **state)
{
	static const struct {
		const char *more, *body;
	} cases[] = {
	    {"", "iss=https://idp.example"},
	    {"Content-Type: text/plain\r\n", "iss=https://idp.example"},
	    {FORM FORM, "iss=https://idp.example"},
	    {FORM, ""},
	    {FORM, "login_hint=bob"},
	    {FORM, "iss=https://evil.example"},
	    {FORM, "iss=https://idp.example&iss=https://idp.example"},
	    {FORM "Sec-Fetch-Dest: iframe\r\n", "iss=https://idp.example"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		/* What the query says counts for nothing. */
		stand_browse("POST", A, "/auth/login?iss=https://idp.example", cases[i].more,
			     cases[i].body);
		assert_answer(400);
		assert_lacks("Location");
		assert_int_equal(stand.broker.sent, 0);
	}
}

/* ---- login_origin ---------------------------------------------------------------------------- */

static void a_login_elsewhere_starts_over_there(void **state)
{
	(void)state;
	stand_browse(
	    "GET", C,
	    "/auth/login?return_to=/x&prompt=none&login_hint=a%26b&acr_values=g+s&max_age=7", "",
	    "");
	assert_answer(302);
	assert_has("\r\nLocation: https://login.example.org/auth/login?return_to=https%3A%2F%2F"
		   "c.example.org%2Fx&prompt=none&login_hint=a%26b&acr_values=g%20s&max_age=7\r\n");
	assert_int_equal(stand.broker.sent, 0);
	stand_browse("GET", "login.example.org", "/auth/login?return_to=https://c.example.org/x",
		     "", "");
	assert_sv_equal(asked()->origin, SV("https://login.example.org"));
	assert_sv_equal(asked()->return_to, SV("https://c.example.org/x"));
}

/* ---- the broker's no ------------------------------------------------------------------------- */

static void failures_are_pages(void **state)
{
	static const struct {
		enum ipc_error code;
		const char *status;
	} cases[] = {
	    {IPC_ERROR_LIMITED, "429"},	      {IPC_ERROR_PROVIDER_DOWN, "503"},
	    {IPC_ERROR_STORE, "503"},	      {IPC_ERROR_CONFIG_SKEW, "503"},
	    {IPC_ERROR_INTERNAL, "503"},      {IPC_ERROR_PROVIDER, "400"},
	    {IPC_ERROR_FORBIDDEN, "400"},     {IPC_ERROR_BINDING, "400"},
	    {IPC_ERROR_ACCESS_DENIED, "403"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char want[32];

		stand_browse("GET", A, "/auth/login", "", "");
		stand_failure(cases[i].code, 30, SV_NONE);
		(void)snprintf(want, sizeof want, "HTTP/1.1 %s ", cases[i].status);
		assert_has(want);
		assert_lacks("detail_word");
		assert_lacks("Set-Cookie");
		if (cases[i].status[0] != '4' || cases[i].status[2] == '9')
			assert_has("\r\nRetry-After: 30\r\n");
	}
}

static void without_a_broker(void **state)
{
	(void)state;
	stand_browse("GET", A, "/auth/login", "", "");
	stand_broker(ERR_TIMEOUT, NULL);
	assert_answer(503);
	stand.broker.refuses = ERR_UNAVAILABLE;
	stand_browse("GET", A, "/auth/login", "", "");
	assert_answer(503);
}

static void a_broker_that_answers_nonsense(void **state)
{
	(void)state;
	stand_browse("GET", A, "/auth/login", "", "");
	begun(SV("https://idp.example/"), SV("short"));
	assert_answer(503);
	assert_lacks("Location");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
	    CASE(the_fourth_login_in_a_minute_gets_a_page),
	    CASE(other_logins_are_no_loop),
	    CASE(a_login_begins),
	    CASE(all_that_is_asked_for_reaches_the_broker),
	    CASE(the_session_that_came_along),
	    CASE(what_is_refused_is_asked_of_nobody),
	    CASE(a_target_elsewhere_is_the_front_page),
	    CASE(a_third_party_by_get),
	    CASE(a_third_party_by_post),
	    CASE(posts_that_are_refused),
	    CASE(a_login_elsewhere_starts_over_there),
	    CASE(failures_are_pages),
	    CASE(without_a_broker),
	    CASE(a_broker_that_answers_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

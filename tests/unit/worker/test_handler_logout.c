#include "worker/handlers.h"

#include "tests/unit/worker/stand_in.h"
#include "worker/pages.h"

#define A "a.example.com"
#define BYE "https://a.example.com/bye"
#define END "https://idp.example.com/end"

#define STATE "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI" /* 32 times 'b' */
#define AWAY                                                                                       \
	"\r\nSet-Cookie: __Host-bff_logout=" STATE ".0; Path=/; Secure; SameSite=Lax; HttpOnly; "

static char fields[2048];

/* Of somebody with a session; `more` are further header lines. */
static void ask(const char *method, const char *target, const char *more, const char *body)
{
	(void)snprintf(fields, sizeof fields, "Cookie: %s\r\nContent-Length: %zu\r\n%s",
		       stand_cookie("bff_session", 's'), strlen(body), more);
	stand_browse(method, A, target, fields, body);
}

/* A POST as the page's script sends it. */
static void ask_as_script(const char *target, const char *more)
{
	static char all[1024];

	(void)snprintf(all, sizeof all, "X-CSRF-Token: %s\r\n%s", stand_csrf('s'), more);
	ask("POST", target, all, "");
}

static void logged_out(struct sv redirect_url, struct sv action, struct sv form)
{
	struct ipc_message m = {.number = IPC_LOGGED_OUT};

	m.u.logged_out = (struct ipc_logged_out){
	    .redirect_url = redirect_url,
	    .sessions = 1,
	    .action = action,
	    .form = form,
	    .state = redirect_url.n > 0 ? SV("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb") : SV_NONE};
	assert_int_equal(stand.state, REQUEST_WAITING);
	stand_broker(ERR_OK, &m);
	assert_int_equal(stand.done, 1);
}

static void assert_cookies_go(void)
{
	assert_has("\r\nSet-Cookie: bff_session=; ");
	assert_has("\r\nSet-Cookie: bff_csrf=; ");
	assert_has("\r\nSet-Cookie: __Host-bff_loop=; ");
	assert_has("\r\nCache-Control: no-store\r\n");
}

static void the_broker_ends_the_session_and_says_where_to_go(void **state)
{
	char secret[COOKIE_SECRET_LEN];

	(void)state;
	memset(secret, 's', sizeof secret);
	ask_as_script("/auth/logout", "");
	assert_int_equal(stand.broker.asked.number, IPC_LOGOUT);
	assert_sv_equal(stand.broker.asked.u.logout.session, sv_of(secret, sizeof secret));
	assert_sv_equal(stand.broker.asked.u.logout.app, SV("a"));
	assert_sv_equal(stand.broker.asked.u.logout.origin, SV("https://" A));
	assert_int_equal(stand.broker.asked.u.logout.everywhere, 0);
	logged_out(SV(END "?x=1"), SV_NONE, SV_NONE);
	assert_has("HTTP/1.1 303 ");
	assert_has("\r\nLocation: " END "?x=1\r\n");
	assert_has(AWAY "Max-Age=600\r\n");
	assert_has("\r\nReferrer-Policy: no-referrer\r\n");
	assert_cookies_go();
}

static void a_script_gets_json(void **state)
{
	(void)state;
	ask_as_script("/auth/logout", "Accept: application/json\r\n");
	logged_out(SV(END "?a=\"b\""), SV_NONE, SV_NONE);
	assert_has("HTTP/1.1 200 ");
	assert_has("\r\n\r\n{\"redirect_url\":\"" END "?a=\\\"b\\\"\"}");
	assert_lacks("Location:");
	assert_has(AWAY);
	assert_cookies_go();
}

/* RP-Initiated Logout 2, by POST. */
static void a_navigation_gets_the_form_and_a_script_does_not(void **state)
{
	const struct sv form =
	    SV("client_id=bff&post_logout_redirect_uri=https%3A%2F%2Fa%2F&state=s&"
	       "id_token_hint=a.b.c");

	(void)state;
	ask_as_script("/auth/logout", "Accept: text/html\r\n");
	logged_out(SV(END "?x"), SV(END), form);
	assert_has("HTTP/1.1 200 ");
	assert_has("\r\nContent-Type: text/html; charset=utf-8\r\n");
	assert_has("\r\nContent-Security-Policy: " PAGE_CSP_OF(PAGE_CSP_SCRIPT, "") "\r\n");
	assert_has("<form method=\"post\" action=\"" END "\">");
	assert_has("name=\"id_token_hint\" value=\"a.b.c\"");
	assert_lacks("Location:");
	assert_has(AWAY);
	assert_cookies_go();
	ask_as_script("/auth/logout", "Accept: application/json\r\n");
	logged_out(SV(END "?x"), SV(END), form);
	assert_has("{\"redirect_url\":\"" END "?x\"}");
	assert_lacks("a.b.c");
}

static void everywhere_is_asked_for_in_query_or_form(void **state)
{
	char form[128];

	(void)state;
	ask_as_script("/auth/logout?everywhere=true", "");
	assert_int_equal(stand.broker.asked.u.logout.everywhere, 1);
	ask_as_script("/auth/logout?everywhere=yes", "");
	assert_int_equal(stand.broker.asked.u.logout.everywhere, 0);
	(void)snprintf(form, sizeof form, "everywhere=true&csrf=%s", stand_csrf('s'));
	ask("POST", "/auth/logout", "", form);
	assert_int_equal(stand.broker.asked.u.logout.everywhere, 1);
	ask("POST", "/auth/logout?everywhere=true&everywhere=true", "", form);
	assert_has("HTTP/1.1 400 ");
	assert_int_equal(stand.broker.sent, 0);
}

/* Which requests may log somebody out (csrf.h says what the header lines mean). */
static void it_takes_the_csrf_token(void **state)
{
	static const struct {
		const char *method, *token, *more;
		bool in_query, in_form, want;
		const char *status;
	} rows[] = {
	    {"POST", "", "", false, false, false, "HTTP/1.1 403 "},
	    {"POST", "s", "", false, true, true, ""},
	    {"POST", "x", "", false, true, false, "HTTP/1.1 403 "},
	    {"POST", "s", "Origin: https://evil.example\r\n", false, true, false, "HTTP/1.1 403 "},
	    {"POST", "s", "Sec-Fetch-Site: cross-site\r\n", false, true, false, "HTTP/1.1 403 "},
	    {"POST", "s", "Origin: https://b.example.com\r\n", false, true, true, ""},
	    {"GET", "s", "", true, false, true, ""},
	    {"GET", "x", "", true, false, false, "HTTP/1.1 403 "},
	    {"GET", "", "", false, false, false, "HTTP/1.1 200 "}, /* the button */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char target[256], form[256];
		const char *token = rows[i].token[0] == '\0' ? "" : stand_csrf(rows[i].token[0]);

		(void)snprintf(target, sizeof target, "/auth/logout%s%s",
			       rows[i].in_query ? "?csrf=" : "", rows[i].in_query ? token : "");
		(void)snprintf(form, sizeof form, "%s%s", rows[i].in_form ? "csrf=" : "",
			       rows[i].in_form ? token : "");
		ask(rows[i].method, target, rows[i].more, form);
		assert_int_equal(stand.broker.sent, rows[i].want);
		if (!rows[i].want) {
			assert_has(rows[i].status);
			assert_lacks("Set-Cookie: bff_session=;");
		}
	}
	assert_has(stand_csrf('s')); /* in the button's form */
}

static void assert_nowhere(const char *title)
{
	assert_has("HTTP/1.1 200 ");
	assert_has(title);
	assert_lacks("Location:");
	assert_lacks("Set-Cookie:");
}

static void nobody_is_sent_to_the_page_after_logout(void **state)
{
	(void)state;
	stand_browse("POST", A, "/auth/logout", "", "");
	assert_int_equal(stand.broker.sent, 0);
	assert_has("HTTP/1.1 303 ");
	assert_has("\r\nLocation: " BYE "\r\n");
	assert_cookies_go();
	assert_lacks("bff_logout");
	stand_browse("POST", "c.example.org", "/auth/logout", "", "");
	assert_has("\r\nLocation: https://c.example.org/\r\n"); /* none is configured */
	stand_browse("GET", A, "/auth/logout", "Cookie: bff_session=v1.1.x.y\r\n", "");
	assert_nowhere("<h1>Logged out</h1>");
}

/* No end-session endpoint; it did not fit; or an answer of the broker's that is none. */
static void a_logout_that_stays_here_leads_on_at_once(void **state)
{
	(void)state;
	ask_as_script("/auth/logout", "");
	logged_out(SV_NONE, SV_NONE, SV_NONE);
	assert_has("\r\nLocation: " BYE "\r\n");
	assert_lacks("bff_logout");
	ask_as_script("/auth/logout?return_to=https%3A%2F%2Fwww.example.com%2Fbye%3Fa", "");
	logged_out(SV_NONE, SV_NONE, SV_NONE);
	assert_has("\r\nLocation: https://www.example.com/bye?a\r\n");
	ask_as_script("/auth/logout?return_to=https%3A%2F%2Fwww.example.com%2Fbye", "");
	logged_out(SV_NONE, SV_NONE, SV_NONE);
	assert_has("\r\nLocation: " BYE "\r\n");
	assert_cookies_go();
}

static void come_back(const char *host, const char *query, const char *cookie)
{
	static char more[1024], target[512];

	(void)snprintf(more, sizeof more, "%s%s%s", cookie[0] == '\0' ? "" : "Cookie: ", cookie,
		       cookie[0] == '\0' ? "" : "\r\n");
	(void)snprintf(target, sizeof target, "/auth/logout%s", query);
	stand_browse("GET", host, target, more, "");
	assert_int_equal(stand.broker.sent + stand.pg.queries, 0);
}

/* RP-Initiated Logout 3: the state of its own logout, and where that leads. */
static void with_its_state_a_browser_is_led_on(void **state)
{
	char more[1024];

	(void)state;
	come_back(A, "?state=" STATE, "x=y; __Host-bff_logout=" STATE ".0");
	assert_has("HTTP/1.1 303 ");
	assert_has("\r\nLocation: " BYE "\r\n");
	assert_has("\r\nSet-Cookie: __Host-bff_logout=; Path=/; Secure; SameSite=Lax; HttpOnly; "
		   "Max-Age=0\r\n");
	assert_has("\r\nSet-Cookie: __Host-bff_loop=; Path=/; Secure; SameSite=Lax; HttpOnly; "
		   "Max-Age=0\r\n");
	assert_has("\r\nCache-Control: no-store\r\n");
	assert_lacks("bff_session"); /* whoever logged in meanwhile */
	come_back(A, "?state=" STATE, "__Host-bff_logout=" STATE ".1");
	assert_has("\r\nLocation: https://www.example.com/bye?a\r\n");
	/* With a cookie_domain it comes back to the login_origin. */
	come_back("login.example.org", "?state=" STATE, "__Secure-bff_logout=" STATE ".0");
	assert_has("\r\nLocation: https://c.example.org/\r\n");
	assert_has("\r\nSet-Cookie: __Secure-bff_logout=; Path=/; Domain=example.org; Secure; ");
	assert_has("\r\nSet-Cookie: __Host-bff_loop=; "); /* logins are counted there */
	/* Whoever is logged in by now stays so. */
	(void)snprintf(more, sizeof more, "__Host-bff_logout=" STATE ".0; %s",
		       stand_cookie("bff_session", 's'));
	come_back(A, "?state=" STATE, more);
	assert_has("\r\nLocation: " BYE "\r\n");
}

static void without_its_state_a_browser_is_led_nowhere(void **state)
{
	static const struct {
		const char *query, *cookie;
	} rows[] = {
	    {"?state=" STATE, ""},
	    {"?state=" STATE, "__Secure-bff_logout=" STATE ".0"},
	    {"?state=" STATE, "bff_logout=" STATE ".0"},
	    {"?state=" STATE, "__Host-bff_logout=" STATE ".0; __Host-bff_logout=" STATE ".0"},
	    {"?state=" STATE, "__Host-bff_logout=" STATE},
	    {"?state=" STATE, "__Host-bff_logout=" STATE ".9"},
	    {"?state=x", "__Host-bff_logout=" STATE ".0"},
	    {"?state=", "__Host-bff_logout=" STATE ".0"},
	    {"", "__Host-bff_logout=" STATE ".0"},
	};
	char more[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		come_back(A, rows[i].query, rows[i].cookie);
		assert_nowhere("<h1>Logged out</h1>");
		(void)snprintf(more, sizeof more, "%s%s%s", rows[i].cookie,
			       rows[i].cookie[0] == '\0' ? "" : "; ",
			       stand_cookie("bff_session", 's'));
		come_back(A, rows[i].query, more);
		assert_nowhere("<h1>Log out</h1>"); /* the page tells the truth */
	}
	come_back(A, "?state=" STATE "&state=" STATE, "__Host-bff_logout=" STATE ".0");
	assert_has("HTTP/1.1 400 ");
	assert_lacks("Location:");
}

static void of_two_sessions_neither_is_ended(void **state)
{
	char two[1024];

	(void)state;
	(void)snprintf(two, sizeof two, "Cookie: %s; %s\r\nX-CSRF-Token: %s\r\n",
		       stand_cookie("bff_session", 's'), stand_cookie("bff_session", 't'),
		       stand_csrf('s'));
	stand_browse("POST", A, "/auth/logout", two, "");
	assert_has("HTTP/1.1 401 ");
	assert_int_equal(stand.broker.sent + stand.pg.queries, 0);
}

static void one_that_is_over_already_is_a_logout_too(void **state)
{
	(void)state;
	ask_as_script("/auth/logout", "");
	stand_failure(IPC_ERROR_NO_SESSION, 0, SV_NONE);
	assert_has("HTTP/1.1 303 ");
	assert_has("\r\nLocation: " BYE "\r\n");
	assert_cookies_go();
}

static void without_the_broker_the_session_ends_here(void **state)
{
	static const struct sv ended[] = {SV_INIT("t")};
	unsigned char want[CRYPT_SHA256_LEN];

	(void)state;
	assert_int_equal(crypt_sha256(SV("ssssssssssssssssssssssssssssssss"), want), ERR_OK);
	stand.broker.refuses = ERR_UNAVAILABLE;
	ask_as_script("/auth/logout", "");
	assert_int_equal(stand.pg.stmt, WORKER_SQL_SESSION_END);
	assert_memory_equal(stand.pg.param, want, sizeof want);
	assert_int_equal(stand.out.n, 0);
	stand_rows(ERR_OK, ended, 1);
	assert_has("\r\nLocation: " BYE "\r\n");
	assert_cookies_go();
	ask_as_script("/auth/logout", "");
	stand_rows(ERR_UNAVAILABLE, NULL, 0);
	assert_has("HTTP/1.1 503 ");
	assert_lacks("Set-Cookie");
	stand.pg.refuses = ERR_UNAVAILABLE;
	ask_as_script("/auth/logout", "");
	assert_has("HTTP/1.1 503 ");
	assert_lacks("Set-Cookie");
	stand.pg.refuses = ERR_OK;
	/* All the others' sessions it cannot end. */
	ask_as_script("/auth/logout?everywhere=true", "");
	assert_has("HTTP/1.1 503 ");
	assert_lacks("Set-Cookie");
	assert_int_equal(stand.pg.queries, 0);
}

/* It may say no as well as be away. */
static void a_broker_that_cannot_is_one_that_is_away(void **state)
{
	(void)state;
	ask_as_script("/auth/logout", "");
	stand_failure(IPC_ERROR_STORE, 0, SV_NONE);
	assert_int_equal(stand.pg.stmt, WORKER_SQL_SESSION_END);
	assert_int_equal(stand.pg.queries, 1);
	ask_as_script("/auth/logout", "");
	stand_broker(ERR_TIMEOUT, NULL);
	assert_int_equal(stand.pg.queries, 1);
}

static void a_form_that_cannot_be_kept_is_left_out(void **state)
{
	(void)state;
	ask_as_script("/auth/logout", "");
	stand.r->token.max = 16;
	logged_out(SV(END "?x"), SV(END), SV("client_id=bff&id_token_hint=a.b.c"));
	assert_has("HTTP/1.1 303 ");
	assert_has("\r\nLocation: " BYE "\r\n");
	assert_lacks("a.b.c");
	assert_lacks("bff_logout");
}

/* The user moved to another network: the session is good for nothing but its end. */
static void another_clients_session_ends_too(void **state)
{
	char secret[COOKIE_SECRET_LEN], head[512];

	(void)state;
	memset(secret, 's', sizeof secret);
	(void)snprintf(head, sizeof head, "Cookie: %s\r\nContent-Length: 0\r\nX-CSRF-Token: %s\r\n",
		       stand_cookie("bff_session", 's'), stand_csrf('s'));
	stand_browse("POST", "k.example.net", "/auth/logout", head, "");
	assert_int_equal(stand.broker.asked.number, IPC_LOGOUT);
	assert_sv_equal(stand.broker.asked.u.logout.session, sv_of(secret, sizeof secret));
	stand_broker(ERR_UNAVAILABLE, NULL);
	assert_int_equal(stand.state, REQUEST_WAITING); /* for the database, instead */
	assert_int_equal(stand.pg.queries, 1);
	(void)snprintf(head, sizeof head, "Cookie: %s\r\nContent-Length: 0\r\n",
		       stand_cookie("bff_session", 's'));
	stand_browse("POST", "k.example.net", "/auth/logout", head, "");
	assert_answer(403); /* not without the token */
}

/* At once, whenever the notification comes; and whatever the broker says, for the session may be
 * over. */
static void what_is_logged_out_is_remembered_no_more(void **state)
{
	static const struct sv ended[] = {SV_INIT("t")};

	(void)state;
	for (unsigned how = 0; how < 4; how++) {
		assert_int_equal(stand_reads('s'), how == 0 ? 1 : 0);
		assert_int_equal(stand_reads('s'), 0);
		stand.broker.refuses = how == 3 ? ERR_UNAVAILABLE : ERR_OK;
		ask_as_script("/auth/logout", "");
		if (how == 0)
			logged_out(SV(END), SV_NONE, SV_NONE);
		else if (how == 1)
			stand_failure(IPC_ERROR_NO_SESSION, 0, SV_NONE);
		else if (how == 2)
			stand_broker(ERR_TIMEOUT, NULL);
		else
			stand_rows(ERR_OK, ended, 1);
		assert_int_equal(stand_reads('s'), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
	    CASE(the_broker_ends_the_session_and_says_where_to_go),
	    CASE(a_script_gets_json),
	    CASE(a_navigation_gets_the_form_and_a_script_does_not),
	    CASE(everywhere_is_asked_for_in_query_or_form),
	    CASE(it_takes_the_csrf_token),
	    CASE(nobody_is_sent_to_the_page_after_logout),
	    CASE(of_two_sessions_neither_is_ended),
	    CASE(one_that_is_over_already_is_a_logout_too),
	    CASE(without_the_broker_the_session_ends_here),
	    CASE(what_is_logged_out_is_remembered_no_more),
	    CASE(another_clients_session_ends_too),
	    CASE(a_broker_that_cannot_is_one_that_is_away),
	    CASE(a_form_that_cannot_be_kept_is_left_out),
	    CASE(a_logout_that_stays_here_leads_on_at_once),
	    CASE(with_its_state_a_browser_is_led_on),
	    CASE(without_its_state_a_browser_is_led_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

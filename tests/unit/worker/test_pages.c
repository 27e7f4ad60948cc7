#include "worker/pages.h"

#include <openssl/evp.h>

#include "tests/unit/worker/page_dir.h"
#include "tests/unit/worker/stand_in.h"
#include "worker/login_loop.h"

/* A request that is full of what must not be echoed. */
static void ask(enum page page, struct sv csrf)
{
	stand_next();
	assert_int_equal(
	    stand_new(LISTEN_PUBLIC,
		      "GET /auth/x-MARK?MARK=<MARK> HTTP/1.1\r\nHost: a.example.com\r\n"
		      "Referer: https://a.example.com/MARK\r\nUser-Agent: MARK\r\n",
		      "MARK"),
	    ERR_OK);
	stand.r->app = config_app(stand.config, SV("a"));
	(void)strcpy(stand.r->failure_detail, "MARK");
	assert_int_equal(page_reply(stand.r, page, csrf), STEP_ANSWER);
}

static void every_page_is_fixed_and_locked_down(void **state)
{
	static const struct {
		enum page page;
		const char *status, *title;
	} cases[] = {
	    {PAGE_LOGIN_FAILED, "HTTP/1.1 400 ", "<h1>Login failed</h1>"},
	    {PAGE_LOGIN_DENIED, "HTTP/1.1 403 ", "<h1>Login refused</h1>"},
	    {PAGE_LOGIN_LIMITED, "HTTP/1.1 429 ", "<h1>Too many logins</h1>"},
	    {PAGE_UNAVAILABLE, "HTTP/1.1 503 ", "<h1>Not available right now</h1>"},
	    {PAGE_LOGOUT, "HTTP/1.1 200 ", "<h1>Log out</h1>"},
	    {PAGE_LOGGED_OUT, "HTTP/1.1 200 ", "<h1>Logged out</h1>"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ask(cases[i].page, cases[i].page == PAGE_LOGOUT ? SV("token") : SV_NONE);
		assert_has(cases[i].status);
		assert_has(cases[i].title);
		assert_has("\r\nContent-Type: text/html; charset=utf-8\r\n");
		assert_has("\r\nContent-Security-Policy: default-src 'none'; base-uri 'none'; "
			   "frame-ancestors 'none'\r\n");
		assert_has("\r\nReferrer-Policy: no-referrer\r\n");
		assert_has("\r\nX-Content-Type-Options: nosniff\r\n");
		assert_has("\r\nCache-Control: no-store\r\n");
		assert_has("\r\nX-Correlation-ID: ");
		assert_has("</body>\n</html>\n");
		assert_lacks("MARK");
		assert_lacks("<script");
		assert_int_equal(stand_has("<form"), cases[i].page == PAGE_LOGOUT);
		assert_int_equal(stand_has("Retry-After"), cases[i].page == PAGE_LOGIN_LIMITED ||
							       cases[i].page == PAGE_UNAVAILABLE);
	}
}

static void the_button_posts_the_token_to_the_apps_own_logout(void **state)
{
	(void)state;
	ask(PAGE_LOGOUT, SV("the-csrf-token"));
	assert_has("<form method=\"post\" action=\"/auth/logout\"><input type=\"hidden\" "
		   "name=\"csrf\" value=\"the-csrf-token\">");
}

static void the_brokers_patience_goes_before_our_own(void **state)
{
	(void)state;
	ask(PAGE_UNAVAILABLE, SV_NONE);
	assert_has("\r\nRetry-After: 2\r\n");
	stand.r->retry_after_s = 77;
	buf_clear(&stand.out);
	assert_int_equal(page_reply(stand.r, PAGE_LOGIN_LIMITED, SV_NONE), STEP_ANSWER);
	assert_has("\r\nRetry-After: 77\r\n");
}

/* Never half a page. */
static void a_page_that_does_not_fit_is_a_bare_500(void **state)
{
	(void)state;
	buf_done(&stand.out);
	stand.out.max = 512;
	ask(PAGE_UNAVAILABLE, SV_NONE);
	assert_has("HTTP/1.1 500 ");
	assert_has("\r\nContent-Length: 0\r\n");
	assert_lacks("html");
}

static void send_on(enum err want, const char *action, const char *form)
{
	ask(PAGE_LOGGED_OUT, SV_NONE); /* for a request */
	buf_clear(&stand.out);
	assert_int_equal(page_send_on(stand.r, sv_str(action), sv_str(form), &stand.out), want);
}

static void the_form_for_the_provider_is_escaped_and_of_known_fields(void **state)
{
	(void)state;
	send_on(ERR_OK, "https://idp/end?a=1&b=\"><script>",
		"client_id=%22%3E%3Cb%3E%27%26&state=s&other=x&id_token_hint=a.b.c");
	assert_has("action=\"https://idp/end?a=1&#38;b=&#34;&#62;&#60;script&#62;\">");
	assert_has("name=\"client_id\" value=\"&#34;&#62;&#60;b&#62;&#39;&#38;\">");
	assert_has("name=\"state\" value=\"s\">");
	assert_has("name=\"id_token_hint\" value=\"a.b.c\">");
	assert_has("<button type=\"submit\">Continue</button></form>");
	assert_lacks("post_logout_redirect_uri");
	assert_lacks("other");
	send_on(ERR_EXISTS, "https://idp/end", "state=s&state=s");
	send_on(ERR_SYNTAX, "https://idp/end", "state=%00");
}

static void the_form_submits_itself_by_the_one_script_that_may_run(void **state)
{
	static const struct sv script = SV_INIT(PAGE_SEND_ON_SCRIPT);
	unsigned char hash[CRYPT_SHA256_LEN], base64[64];
	char want[256];

	(void)state;
	send_on(ERR_OK, "https://idp/end", "state=s");
	assert_has("<script>" PAGE_SEND_ON_SCRIPT "</script>");
	assert_int_equal(crypt_sha256(script, hash), ERR_OK);
	assert_int_equal(EVP_EncodeBlock(base64, hash, sizeof hash), 44);
	(void)snprintf(want, sizeof want,
		       "default-src 'none'; script-src 'sha256-%s'; base-uri 'none'; "
		       "frame-ancestors 'none'",
		       (const char *)base64);
	assert_sv_equal(page_csp(stand.r, PAGE_SEND_ON), sv_str(want));
}

/* ---- an app's own ------------------------------------------------------------ */

static int open_with_pages(void **state)
{
	static const char at[] = "app \"a\" { ";
	static char text[sizeof stand_config + 64];
	const char *app = strstr(stand_config, at);

	(void)state;
	page_dir_make();
	(void)snprintf(text, sizeof text, "%.*s%spages = \"%s\" %s", (int)(app - stand_config),
		       stand_config, at, page_dir, app + strlen(at));
	return stand_open_with(text);
}

static int close_with_pages(void **state)
{
	page_files_free(&stand.w.pages);
	page_dir_remove();
	return stand_close(state);
}

static void read_pages(void)
{
	struct errmsg e = {""};

	if (page_files_new(stand.config, &stand.w.pages, &e) != ERR_OK)
		fail_msg("%s", e.text);
}

#define LOOKS "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
#define LOCKED "base-uri 'none'; frame-ancestors 'none'"

/* As it was written, with its status and what a page of ours always has, but for its looks. */
static void an_apps_own_page_is_shown_in_place_of_ours(void **state)
{
	char want[64];

	(void)state;
	page_dir_write("login-failed.html", SV("<b>&'\"</b>{{correlation_id}}."));
	page_dir_write("unavailable.html", SV("<i>later</i>"));
	read_pages();
	ask(PAGE_LOGIN_FAILED, SV_NONE);
	(void)snprintf(want, sizeof want, "\r\n\r\n<b>&'\"</b>" SV_FMT ".",
		       SV_ARG(request_correlation(stand.r)));
	assert_has("HTTP/1.1 400 ");
	assert_has(want);
	assert_has("\r\nContent-Type: text/html; charset=utf-8\r\n");
	assert_has("\r\nContent-Security-Policy: default-src 'none'; " LOOKS LOCKED "\r\n");
	assert_has("\r\nReferrer-Policy: no-referrer\r\n");
	assert_has("\r\nCache-Control: no-store\r\n");
	assert_lacks("MARK");
	ask(PAGE_UNAVAILABLE, SV_NONE);
	assert_has("HTTP/1.1 503 ");
	assert_has("\r\nRetry-After: 2\r\n");
	assert_has("\r\n\r\n<i>later</i>");
	/* A page it has none of, and an app that has none. */
	ask(PAGE_LOGGED_OUT, SV_NONE);
	assert_has("<h1>Logged out</h1>");
	assert_has("\r\nContent-Security-Policy: default-src 'none'; " LOCKED "\r\n");
	stand.r->app = config_app(stand.config, SV("c"));
	buf_clear(&stand.out);
	assert_int_equal(page_reply(stand.r, PAGE_LOGIN_FAILED, SV_NONE), STEP_ANSWER);
	assert_has("<h1>Login failed</h1>");
}

static void its_form_and_its_cause_are_filled_in(void **state)
{
	(void)state;
	page_dir_write("logout.html", SV("<p>{{form}}</p>"));
	page_dir_write("login-loop.html", SV("<p>{{cause}}</p>"));
	page_dir_write("send-on.html", SV("<p>{{form}}</p>"));
	read_pages();
	ask(PAGE_LOGOUT, SV("a\"b"));
	assert_has(
	    "<p><form method=\"post\" action=\"/auth/logout\"><input type=\"hidden\" "
	    "name=\"csrf\" value=\"a&#34;b\"><button type=\"submit\">Log out</button></form>");
	stand_next();
	assert_int_equal(stand_new(LISTEN_PUBLIC, "GET /auth/login HTTP/1.1\r\nHost: x\r\n", ""),
			 ERR_OK);
	stand.r->app = config_app(stand.config, SV("a"));
	stand.r->origin = &stand.r->app->origins.v[0];
	stand.r->session_why = REASON_NO_COOKIE;
	assert_int_equal(page_reply(stand.r, PAGE_LOGIN_LOOP, SV_NONE), STEP_ANSWER);
	assert_has("<p>Your browser does not send the session cookie back. It may block this "
		   "site&#39;s cookies");
	send_on(ERR_OK, "https://idp/end", "state=s");
	assert_has("<p><form method=\"post\" action=\"https://idp/end\">");
	assert_has("<script>" PAGE_SEND_ON_SCRIPT "</script>\n</p>");
	assert_sv_equal(page_csp(stand.r, PAGE_SEND_ON),
			SV("default-src 'none'; " PAGE_CSP_SCRIPT LOOKS LOCKED));
}

/* Whatever was read can be shown. */
static void the_largest_page_fits(void **state)
{
	static const enum reason reasons[] = {
#define REASON(name, word, denial) REASON_##name,
#include "worker/reason.def"
#undef REASON
	};
	static char text[PAGE_FILE_MAX];
	const struct sv cause = SV_INIT("{{cause}}");

	(void)state;
	memset(text, 'x', sizeof text);
	for (size_t i = 0; i < PAGE_PLACEHOLDERS_MAX; i++)
		memcpy(text + i * cause.n, cause.p, cause.n);
	page_dir_write("login-loop.html", sv_of(text, sizeof text));
	read_pages();
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (login_loop_cause(reasons[i]) == NULL)
			continue;
		ask(PAGE_LOGOUT, SV_NONE);
		stand.r->origin = &stand.r->app->origins.v[0];
		stand.r->session_why = reasons[i];
		buf_clear(&stand.out);
		assert_int_equal(page_reply(stand.r, PAGE_LOGIN_LOOP, SV_NONE), STEP_ANSWER);
		assert_has("HTTP/1.1 400 ");
		assert_has("xxxx");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
	    CASE(every_page_is_fixed_and_locked_down),
	    CASE(the_button_posts_the_token_to_the_apps_own_logout),
	    CASE(the_brokers_patience_goes_before_our_own),
	    CASE(a_page_that_does_not_fit_is_a_bare_500),
	    CASE(the_form_for_the_provider_is_escaped_and_of_known_fields),
	    CASE(the_form_submits_itself_by_the_one_script_that_may_run),
#define OWN_CASE(name) cmocka_unit_test_setup_teardown(name, open_with_pages, close_with_pages)
	    OWN_CASE(an_apps_own_page_is_shown_in_place_of_ours),
	    OWN_CASE(its_form_and_its_cause_are_filled_in),
	    OWN_CASE(the_largest_page_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

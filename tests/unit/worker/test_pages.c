#include "worker/pages.h"

#include <openssl/evp.h>

#include "tests/unit/worker/stand_in.h"

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
	stand_next();
	assert_int_equal(page_send_on(&stand.out, sv_str(action), sv_str(form)), want);
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
	assert_string_equal(PAGE_SEND_ON_CSP, want);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

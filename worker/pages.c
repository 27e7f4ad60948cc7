#include "worker/pages.h"

#include "worker/form.h"
#include "worker/login_loop.h"

#define HEAD(title)                                                                                \
	"<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"                      \
	"<meta name=\"viewport\" content=\"width=device-width\"><title>" title "</title></head>\n" \
	"<body>\n<h1>" title "</h1>\n"
#define FOOT "</body>\n</html>\n"

static const struct {
	unsigned status;
	const char *html;
} pages[] = {
    [PAGE_LOGIN_FAILED] = {400,
			   HEAD(
			       "Login failed") "<p>The login could not be completed. It may have "
					       "been started in another "
					       "browser, or too long ago. Please start again.</p>\n"
					       "<p><a href=\"/\">Back</a></p>\n" FOOT},
    [PAGE_LOGIN_DENIED] =
	{403, HEAD("Login refused") "<p>The login was cancelled, or this account may not be used "
				    "here.</p>\n<p><a href=\"/\">Back</a></p>\n" FOOT},
    [PAGE_LOGIN_LIMITED] =
	{429, HEAD("Too many logins") "<p>Too many logins were started. Please try again "
				      "later.</p>\n" FOOT},
    [PAGE_UNAVAILABLE] =
	{503,
	 HEAD("Not available right now") "<p>Please try again in a moment. Nobody has been logged "
					 "out.</p>\n" FOOT},
    [PAGE_LOGOUT] = {200, HEAD("Log out") "<form method=\"post\" action=\""},
    [PAGE_LOGIN_LOOP] = {400, HEAD("The login does not hold") "<p>You were logged in several times "
							      "within a minute, and each time the "
							      "next request came without a good "
							      "session.</p>\n<p>"},
    [PAGE_LOGGED_OUT] = {200, HEAD("Logged out") "<p>Nobody is logged in here with this "
						 "browser.</p>\n" FOOT},
};

static void add_button(struct request *r, struct sv csrf, struct buf *body)
{
	buf_add(body, r->app->auth_path);
	buf_add(body, SV("/logout\"><input type=\"hidden\" name=\"csrf\" value=\""));
	buf_add(body, csrf);
	buf_add(body, SV("\"><button type=\"submit\">Log out</button></form>\n" FOOT));
}

/* No form-action: browsers hold redirects to it, too, and the provider may well redirect. */
void page_headers(struct request *r, struct sv csp)
{
	http_reply_header(&r->reply, SV("Content-Security-Policy"), csp);
	http_reply_header(&r->reply, SV("Referrer-Policy"), SV("no-referrer"));
	http_reply_header(&r->reply, SV("X-Content-Type-Options"), SV("nosniff"));
}

static void add_escaped(struct buf *b, struct sv s)
{
	for (size_t i = 0; i < s.n; i++) {
		switch (s.p[i]) {
		case '&':
		case '<':
		case '>':
		case '"':
		case '\'':
			buf_addf(b, "&#%d;", s.p[i]);
			break;
		default:
			buf_add_char(b, s.p[i]);
		}
	}
}

enum err page_send_on(struct buf *body, struct sv action, struct sv form)
{
	struct form_field fields[] = {{.name = SV("client_id")},
				      {.name = SV("post_logout_redirect_uri")},
				      {.name = SV("state")},
				      {.name = SV("id_token_hint")}};
	struct buf decoded;
	char *scratch;
	enum err e = ERR_NOMEM;

	buf_init(&decoded, form.n + 1);
	scratch = buf_reserve(&decoded, form.n + 1);
	if (scratch != NULL)
		e = form_parse(form, fields, ARRAY_LEN(fields), scratch);
	buf_add(body, SV(HEAD("Logging out") "<form method=\"post\" action=\""));
	add_escaped(body, action);
	buf_add(body, SV("\">\n"));
	for (size_t i = 0; i < ARRAY_LEN(fields) && e == ERR_OK; i++) {
		if (fields[i].value.n == 0)
			continue;
		buf_add(body, SV("<input type=\"hidden\" name=\""));
		buf_add(body, fields[i].name);
		buf_add(body, SV("\" value=\""));
		add_escaped(body, fields[i].value);
		buf_add(body, SV("\">\n"));
	}
	buf_add(body,
		SV("<button type=\"submit\">Continue</button></form>\n<script>" PAGE_SEND_ON_SCRIPT
		   "</script>\n" FOOT));
	buf_done(&decoded);
	return e == ERR_OK && !buf_ok(body) ? ERR_NOMEM : e;
}

enum step page_reply(struct request *r, enum page page, struct sv csrf)
{
	unsigned status = pages[page].status;
	struct buf body, loop;
	enum step step;

	buf_init(&body, 8192);
	buf_init(&loop, 1024);
	buf_add(&body, sv_str(pages[page].html));
	if (page == PAGE_LOGOUT)
		add_button(r, csrf, &body);
	if (page == PAGE_LOGIN_LOOP) {
		buf_add(&body, sv_str(login_loop_cause(r->session_why)));
		buf_add(&body, SV("</p>\n<p><a href=\"/\">Try again</a></p>\n" FOOT));
	}
	request_reply(r, status);
	page_headers(r, SV(PAGE_CSP));
	if (status == 429 || status == 503)
		http_reply_header_u64(&r->reply, SV("Retry-After"),
				      r->retry_after_s > 0 ? r->retry_after_s
							   : REQUEST_RETRY_AFTER_S);
	if (page == PAGE_LOGIN_LOOP) {
		cookie_set_loop(&loop, r->origin, SV_NONE, 0); /* it counts anew */
		http_reply_header(&r->reply, SV("Set-Cookie"), buf_sv(&loop));
	}
	r->reply.bad = r->reply.bad || !buf_ok(&body) || !buf_ok(&loop);
	step = request_end(r, SV("text/html; charset=utf-8"), buf_sv(&body));
	buf_done(&loop);
	buf_done(&body);
	return step;
}

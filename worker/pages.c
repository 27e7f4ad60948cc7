#include "worker/pages.h"

#include "worker/form.h"
#include "worker/login_loop.h"
#include "worker/worker.h"

#define HEAD(title)                                                                                \
	"<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"                      \
	"<meta name=\"viewport\" content=\"width=device-width\"><title>" title "</title></head>\n" \
	"<body>\n<h1>" title "</h1>\n"
#define FOOT "</body>\n</html>\n"
#define BACK "<p><a href=\"/\">Back</a></p>\n"

static const unsigned statuses[PAGE_COUNT] = {
#define PAGE(name, file, status, takes) [PAGE_##name] = status,
#include "worker/page.def"
#undef PAGE
};

/* Templates, too. */
static const char *const built_in[PAGE_COUNT] = {
    [PAGE_LOGIN_FAILED] = HEAD("Login failed") "<p>The login could not be completed. It may have "
					       "been started in another browser, or too long ago. "
					       "Please start again.</p>\n" BACK FOOT,
    [PAGE_LOGIN_DENIED] = HEAD("Login refused") "<p>The login was cancelled, or this account may "
						"not be used here.</p>\n" BACK FOOT,
    [PAGE_LOGIN_LIMITED] = HEAD("Too many logins") "<p>Too many logins were started. Please try "
						   "again later.</p>\n" FOOT,
    [PAGE_LOGIN_LOOP] = HEAD("The login does not hold") "<p>You were logged in several times "
							"within a minute, and each time the next "
							"request came without a good "
							"session.</p>\n<p>{{cause}}</p>\n"
							"<p><a href=\"/\">Try again</a></p>\n" FOOT,
    [PAGE_UNAVAILABLE] = HEAD("Not available right now") "<p>Please try again in a moment. Nobody "
							 "has been logged out.</p>\n" FOOT,
    [PAGE_LOGOUT] = HEAD("Log out") "{{form}}" FOOT,
    [PAGE_SEND_ON] = HEAD("Logging out") "{{form}}" FOOT,
    [PAGE_LOGGED_OUT] = HEAD("Logged out") "<p>Nobody is logged in here with this "
					   "browser.</p>\n" FOOT,
};

static struct sv own(const struct request *r, enum page page)
{
	return page_files_find(r->w->pages, r->app, page);
}

static void fill(const struct request *r, enum page page, struct sv cause, struct sv form,
		 struct buf *body)
{
	struct page_values v = {
	    .correlation_id = request_correlation(r), .cause = cause, .form = form};
	struct sv text = own(r, page);

	page_template_fill(text.p == NULL ? sv_str(built_in[page]) : text, &v, body);
}

struct sv page_csp(const struct request *r, enum page page)
{
	if (own(r, page).p == NULL)
		return page == PAGE_SEND_ON ? SV(PAGE_CSP_OF(PAGE_CSP_SCRIPT, "")) : SV(PAGE_CSP);
	return page == PAGE_SEND_ON ? SV(PAGE_CSP_OF(PAGE_CSP_SCRIPT, PAGE_CSP_LOOKS))
				    : SV(PAGE_CSP_OF("", PAGE_CSP_LOOKS));
}

/* No form-action: browsers hold redirects to it, too, and the provider may well redirect. */
void page_headers(struct request *r, struct sv csp)
{
	http_reply_header(&r->reply, SV("Content-Security-Policy"), csp);
	http_reply_header(&r->reply, SV("Referrer-Policy"), SV("no-referrer"));
	http_reply_header(&r->reply, SV("X-Content-Type-Options"), SV("nosniff"));
}

static void add_input(struct buf *b, struct sv name, struct sv value)
{
	buf_add(b, SV("<input type=\"hidden\" name=\""));
	page_escape(b, name);
	buf_add(b, SV("\" value=\""));
	page_escape(b, value);
	buf_add(b, SV("\">"));
}

static void add_button(const struct request *r, struct sv csrf, struct buf *b)
{
	buf_add(b, SV("<form method=\"post\" action=\""));
	page_escape(b, r->app->auth_path);
	buf_add(b, SV("/logout\">"));
	add_input(b, SV("csrf"), csrf);
	buf_add(b, SV("<button type=\"submit\">Log out</button></form>\n"));
}

enum err page_send_on(const struct request *r, struct sv action, struct sv form, struct buf *body)
{
	struct form_field fields[] = {{.name = SV("client_id")},
				      {.name = SV("post_logout_redirect_uri")},
				      {.name = SV("state")},
				      {.name = SV("id_token_hint")}};
	struct buf decoded, html;
	char *scratch;
	enum err e = ERR_NOMEM;

	buf_init(&decoded, form.n + 1);
	buf_init(&html, body->max);
	scratch = buf_reserve(&decoded, form.n + 1);
	if (scratch != NULL)
		e = form_parse(form, fields, ARRAY_LEN(fields), scratch);
	buf_add(&html, SV("<form method=\"post\" action=\""));
	page_escape(&html, action);
	buf_add(&html, SV("\">\n"));
	for (size_t i = 0; i < ARRAY_LEN(fields) && e == ERR_OK; i++) {
		if (fields[i].value.n == 0)
			continue;
		add_input(&html, fields[i].name, fields[i].value);
		buf_add_char(&html, '\n');
	}
	buf_add(&html, SV("<button type=\"submit\">Continue</button></form>\n"
			  "<script>" PAGE_SEND_ON_SCRIPT "</script>\n"));
	fill(r, PAGE_SEND_ON, SV_NONE, buf_sv(&html), body);
	if (e == ERR_OK && (!buf_ok(&html) || !buf_ok(body)))
		e = ERR_NOMEM;
	buf_done(&html);
	buf_done(&decoded);
	return e;
}

enum step page_reply(struct request *r, enum page page, struct sv csrf)
{
	unsigned status = statuses[page];
	struct buf body, form, loop;
	struct sv cause = SV_NONE;
	enum step step;

	buf_init(&body, PAGE_BODY_MAX);
	buf_init(&form, 2048);
	buf_init(&loop, COOKIE_FIELD_MAX);
	if (page == PAGE_LOGOUT)
		add_button(r, csrf, &form);
	if (page == PAGE_LOGIN_LOOP)
		cause = sv_str(login_loop_cause(r->session_why));
	fill(r, page, cause, buf_sv(&form), &body);
	request_reply(r, status);
	page_headers(r, page_csp(r, page));
	if (status == 429 || status == 503)
		http_reply_header_u64(&r->reply, SV("Retry-After"),
				      r->retry_after_s > 0 ? r->retry_after_s
							   : REQUEST_RETRY_AFTER_S);
	if (page == PAGE_LOGIN_LOOP) {
		cookie_set_loop(&loop, r->origin, SV_NONE, 0); /* it counts anew */
		http_reply_cookie(&r->reply, &loop);
	}
	r->reply.bad = r->reply.bad || !buf_ok(&body) || !buf_ok(&form);
	step = request_end(r, SV("text/html; charset=utf-8"), buf_sv(&body));
	buf_done(&form);
	buf_done(&body);
	return step;
}

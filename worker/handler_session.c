#include "common/clock.h"
#include "worker/claim.h"
#include "worker/csrf.h"
#include "worker/denial.h"
#include "worker/form.h"
#include "worker/handlers.h"
#include "worker/return_to.h"
#include "worker/session.h"
#include "worker/worker.h"

#define SESSION_BODY_MAX 131072

/* The claims that the app shows its page, of those the session has. */
static enum err add_claims(struct request *r, struct buf *body)
{
	struct claims all;
	bool is_first = true;

	if (!claims_parse(r->session.claims, &all))
		return ERR_SYNTAX;
	buf_add(body, SV(",\"claims\":{"));
	for (size_t i = 0; i < r->app->page_claims.n; i++) {
		struct sv name = r->app->page_claims.v[i];
		struct sv value = claim_top(&all, name).json;

		if (value.n == 0)
			continue;
		if (!is_first)
			buf_add_char(body, ',');
		is_first = false;
		http_json_string(body, name);
		buf_add_char(body, ':');
		buf_add(body, value);
	}
	buf_add_char(body, '}');
	claims_done(&all);
	return ERR_OK;
}

/* Is this the first of the app's routes with that service? */
static bool is_new(const struct config *c, const struct config_app *app, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (c->routes[i].app == app && c->routes[i].service == c->routes[at].service)
			return false;
	return true;
}

static void add_services(struct request *r, struct buf *body)
{
	const struct config *c = r->w->config;
	bool is_first = true;

	buf_add(body, SV(",\"services\":["));
	for (size_t i = 0; i < c->nroutes; i++) {
		if (c->routes[i].app != r->app || c->routes[i].service == NULL ||
		    !is_new(c, r->app, i))
			continue;
		if (!is_first)
			buf_add_char(body, ',');
		is_first = false;
		http_json_string(body, c->routes[i].service->name);
	}
	buf_add_char(body, ']');
}

static void add_time(struct buf *body, struct sv key, int64_t left_ms)
{
	int64_t at = clock_wall_s() + left_ms / 1000;

	buf_add(body, key);
	buf_add_u64(body, at < 0 ? 0 : (uint64_t)at);
}

static enum err write_session(struct request *r, struct buf *body)
{
	struct sv secret = sv_of((const char *)r->cookie.secret, sizeof r->cookie.secret);
	char csrf[CSRF_TOKEN_LEN];
	enum err e = csrf_token(secret, csrf);

	if (e != ERR_OK)
		return e;
	buf_add(body, SV("{\"authenticated\":true,\"subject\":"));
	http_json_string(body, r->session.subject);
	e = add_claims(r, body);
	buf_add(body, SV(",\"csrf_token\":"));
	http_json_string(body, sv_of(csrf, sizeof csrf));
	add_time(body, SV(",\"expires_at\":"), r->session.absolute_left_ms);
	add_time(body, SV(",\"idle_expires_at\":"), r->session.idle_left_ms);
	add_services(r, body);
	buf_add(body, SV(",\"logout_url\":\""));
	buf_add(body, r->app->auth_path);
	buf_add(body, SV("/logout\"}"));
	if (e == ERR_OK && !buf_ok(body))
		e = ERR_LIMIT;
	return e;
}

enum step session_none(struct request *r)
{
	struct buf body, target, url;
	enum step step;

	buf_init(&body, 3 * IPC_URL_MAX);
	buf_init(&target, RETURN_TO_MAX + FORWARDED_ORIGIN_MAX);
	buf_init(&url, 3 * IPC_URL_MAX);
	(void)return_to_judge(r->app, r->origin, request_field(r, HTTP_REFERER), &target);
	login_url(r->app, r->origin, buf_sv(&target), &url);
	buf_add(&body, SV("{\"authenticated\":false,\"login_url\":"));
	http_json_string(&body, buf_sv(&url));
	buf_add_char(&body, '}');
	request_reply(r, 401);
	if (r->session_why == REASON_AMBIGUOUS) {
		struct buf cookie;

		buf_init(&cookie, COOKIE_FIELD_MAX);
		cookie_clear_session(&cookie, r->app, r->origin);
		http_reply_cookie(&r->reply, &cookie);
	}
	step = request_end(r, SV("application/json"), buf_sv(&body));
	buf_done(&body);
	buf_done(&target);
	buf_done(&url);
	return step;
}

enum step session_reply(struct request *r)
{
	struct form_field slide = {.name = SV("slide")};
	struct buf body;
	enum step step;
	enum err e;

	if (request_form(r, r->fw.url.query, &slide, 1) != ERR_OK)
		return deny(r, REASON_PARAMETER, "slide");
	if (r->session_why == REASON_STORE)
		return deny(r, REASON_STORE, NULL);
	if (!r->session.live)
		return session_none(r);
	if (!sv_eq(slide.value, SV("false")))
		session_in_use(r);
	buf_init(&body, SESSION_BODY_MAX);
	e = write_session(r, &body);
	if (e == ERR_OK) {
		request_reply(r, 200);
		step = request_end(r, SV("application/json"), buf_sv(&body));
	} else {
		step = deny(r, REASON_CLAIMS, err_text(e));
	}
	buf_done(&body);
	return step;
}

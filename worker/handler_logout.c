#include <assert.h>

#include "common/log.h"
#include "worker/csrf.h"
#include "worker/denial.h"
#include "worker/form.h"
#include "worker/handlers.h"
#include "worker/logout_return.h"
#include "worker/pages.h"
#include "worker/session.h"
#include "worker/worker.h"

enum { CSRF, EVERYWHERE, RETURN_TO, STATE, NPARAMS };

static bool wants_json(const struct request *r)
{
	static const char type[] = "application/json";
	struct sv accept = request_field(r, HTTP_ACCEPT);

	return accept.n >= sizeof type - 1 &&
	       memmem(accept.p, accept.n, type, sizeof type - 1) != NULL;
}

enum goodbye { GOODBYE_REDIRECT = 1, GOODBYE_JSON, GOODBYE_FORM };

/* The type of the body that goes with it. */
static struct sv add_body(const struct request *r, enum goodbye how, struct sv target,
			  struct buf *body)
{
	switch (how) {
	case GOODBYE_REDIRECT:
		return SV_NONE;
	case GOODBYE_JSON:
		buf_add(body, SV("{\"redirect_url\":"));
		http_json_string(body, target);
		buf_add_char(body, '}');
		return SV("application/json");
	case GOODBYE_FORM:
		if (page_send_on(r, target, buf_sv(&r->token), body) != ERR_OK)
			body->failed = true;
		return SV("text/html; charset=utf-8");
	}
	return SV_NONE;
}

/* Logged out: the cookies go, and the browser on, by way of the provider if r->target says so, with
 * the form in r->token if there is one. */
static enum step goodbye(struct request *r)
{
	enum goodbye how = r->wants_json    ? GOODBYE_JSON
			   : r->token.n > 0 ? GOODBYE_FORM
					    : GOODBYE_REDIRECT;
	struct buf cookie, target, body;
	enum err e = ERR_OK;
	struct sv type;
	enum step step;

	buf_init(&cookie, COOKIE_FIELD_MAX);
	buf_init(&target, IPC_URL_MAX);
	buf_init(&body, PAGE_SEND_ON_MAX);
	if (r->sent_away)
		buf_add(&target, buf_sv(&r->target));
	else
		e = logout_place_url(r->app, r->place, &target);
	assert(e == ERR_OK); /* a place of this very configuration */
	type = add_body(r, how, buf_sv(&target), &body);
	request_reply(r, how == GOODBYE_REDIRECT ? 303 : 200);
	if (how == GOODBYE_REDIRECT)
		http_reply_header(&r->reply, SV("Location"), buf_sv(&target));
	page_headers(r, how == GOODBYE_FORM ? page_csp(r, PAGE_SEND_ON) : SV(PAGE_CSP));
	cookie_clear_session(&cookie, r->app, r->origin);
	http_reply_cookie(&r->reply, &cookie);
	cookie_clear_csrf(&cookie, r->app, r->origin);
	http_reply_cookie(&r->reply, &cookie);
	cookie_set_loop(&cookie, r->origin, SV_NONE, 0);
	http_reply_cookie(&r->reply, &cookie);
	if (r->sent_away) {
		logout_return_set(&cookie, r->app, r->origin, r->binding, r->place);
		http_reply_cookie(&r->reply, &cookie);
	}
	r->reply.bad = r->reply.bad || !buf_ok(&target) || !buf_ok(&body);
	step = request_end(r, type, buf_sv(&body));
	buf_done(&target);
	buf_done(&body);
	return step;
}

static enum step refuse(struct request *r, enum reason why)
{
	return deny(r, why, "logout");
}

/* A script gets an address, where a browser that navigates may get a form. */
static void keep_target(struct request *r, const struct ipc_logged_out *m)
{
	bool by_form = m->form.n > 0 && !r->wants_json;

	buf_add(&r->target, by_form ? m->action : m->redirect_url);
	if (by_form)
		buf_add(&r->token, m->form);
	r->sent_away = r->target.n > 0 && buf_ok(&r->target) && buf_ok(&r->token) &&
		       m->state.n == sizeof r->binding;
	if (r->sent_away)
		memcpy(r->binding, m->state.p, sizeof r->binding);
	else
		buf_clear(&r->token);
}

static void on_logged_out(void *arg, enum err e, const struct ipc_message *m)
{
	struct request *r = arg;
	const struct trace trace = request_trace(r);

	r->call = NULL;
	r->waited = e;
	session_over(r);
	if (e == ERR_OK && m->number == IPC_LOGGED_OUT) {
		keep_target(r, &m->u.logged_out);
		log_info("logged_out", KS("app", r->app->name),
			 KU("sessions", m->u.logged_out.sessions), KS("id", request_correlation(r)),
			 KS_IF("trace_id", trace_id(&trace)));
	} else if (e == ERR_OK) {
		request_keep_failure(r, &m->u.failure);
	}
	request_resume(r);
}

static enum err ask(struct request *r)
{
	const struct trace trace = request_trace(r);
	const struct ipc_message m = {
	    .number = IPC_LOGOUT,
	    .u.logout = {.session = sv_of((const char *)r->cookie.secret, sizeof r->cookie.secret),
			 .app = r->app->name,
			 .origin = r->origin->text,
			 .everywhere = r->everywhere ? 1 : 0,
			 .correlation = request_correlation(r),
			 .traceparent = trace_text(&trace)},
	};

	return request_ask(r, &m, IPC_LOGGED_OUT, TIMEOUT_BROKER_LOGIN_MS, on_logged_out);
}

/* The token may come in the form or the query, where a page without script puts it. */
static enum reason check(const struct request *r, bool post, struct sv token)
{
	struct sv secret = sv_of((const char *)r->cookie.secret, sizeof r->cookie.secret);
	enum csrf_outcome outcome = csrf_check(r->app, SV("POST"), false, r->fields, secret);

	if (!post)
		return csrf_token_is(secret, token) ? REASON_NONE : REASON_CSRF;
	if (outcome == CSRF_ORIGIN)
		return REASON_ORIGIN;
	if (outcome == CSRF_OK || (token.n > 0 && csrf_token_is(secret, token)))
		return REASON_NONE;
	return REASON_CSRF;
}

/* Back from the provider: on to where the logout leads, whoever is logged in here by now. The
 * logins are counted on this origin, which is not always the one that was logged out from. */
static enum step lead_on(struct request *r, const struct buf *url)
{
	struct buf cookie;

	buf_init(&cookie, COOKIE_FIELD_MAX);
	request_reply(r, 303);
	http_reply_header(&r->reply, SV("Location"), buf_sv(url));
	page_headers(r, SV(PAGE_CSP));
	cookie_clear_logout(&cookie, r->app, r->origin);
	http_reply_cookie(&r->reply, &cookie);
	cookie_set_loop(&cookie, r->origin, SV_NONE, 0);
	http_reply_cookie(&r->reply, &cookie);
	r->reply.bad = r->reply.bad || !buf_ok(url);
	return request_end(r, SV_NONE, SV_NONE);
}

/* One that comes back from the provider without its state, or calls without the CSRF token, is led
 * nowhere; whoever is logged in has a button. */
static enum step show_page(struct request *r)
{
	struct sv secret = sv_of((const char *)r->cookie.secret, sizeof r->cookie.secret);
	char token[CSRF_TOKEN_LEN];

	if (r->cookie_found != COOKIE_OK)
		return page_reply(r, PAGE_LOGGED_OUT, SV_NONE);
	if (csrf_token(secret, token) != ERR_OK)
		return page_reply(r, PAGE_UNAVAILABLE, SV_NONE);
	return page_reply(r, PAGE_LOGOUT, sv_of(token, sizeof token));
}

/* "everywhere" and where it leads may stand in the query of a POST, too. */
static enum err read_params(struct request *r, bool post, struct form_field *params)
{
	struct form_field query[] = {{.name = SV("everywhere")}, {.name = SV("return_to")}};
	enum err e = ERR_OK;

	if (post)
		e = request_form(r, r->fw.url.query, query, ARRAY_LEN(query));
	if (e == ERR_OK)
		e = request_form(r, post ? r->from.body : r->fw.url.query, params, NPARAMS);
	r->everywhere =
	    sv_eq(query[0].value, SV("true")) || sv_eq(params[EVERYWHERE].value, SV("true"));
	r->place =
	    logout_place(r->app, r->origin,
			 params[RETURN_TO].value.n > 0 ? params[RETURN_TO].value : query[1].value);
	return e;
}

/* Without the CSRF token: back from the provider, or by a plain link. */
static enum step come_back(struct request *r, struct sv state)
{
	enum step step = STEP_NEXT;
	struct buf url;
	const char *why;

	buf_init(&url, IPC_URL_MAX);
	why = logout_return_refusal(r->fields, r->app, r->origin, state, &url);
	if (why == NULL)
		step = lead_on(r, &url);
	else if (state.p != NULL || strcmp(why, "no_cookie") != 0)
		deny_log(r, REASON_LOGOUT_STATE, why);
	buf_done(&url);
	return step;
}

enum step logout_check(struct request *r)
{
	struct form_field params[NPARAMS] = {[CSRF] = {.name = SV("csrf")},
					     [EVERYWHERE] = {.name = SV("everywhere")},
					     [RETURN_TO] = {.name = SV("return_to")},
					     [STATE] = {.name = SV("state")}};
	bool post = sv_eq(r->from.head->method, SV("POST"));
	bool plain;
	enum reason why;

	r->wants_json = wants_json(r);
	if (read_params(r, post, params) != ERR_OK)
		return refuse(r, REASON_PARAMETER);
	plain = !post && params[CSRF].value.n == 0;
	if (plain && come_back(r, params[STATE].value) == STEP_ANSWER)
		return STEP_ANSWER;
	session_cookie_to_end(r);
	if (r->session_why == REASON_STORE)
		return refuse(r, REASON_INTERNAL);
	if (r->cookie_found == COOKIE_AMBIGUOUS)
		return refuse(r, REASON_AMBIGUOUS); /* two sessions: neither was ended */
	if (plain)
		return show_page(r);
	if (r->cookie_found != COOKIE_OK)
		return goodbye(r); /* nobody there to be logged out */
	why = check(r, post, params[CSRF].value);
	if (why != REASON_NONE)
		return refuse(r, why);
	r->waited = ask(r);
	return r->waited == ERR_OK ? STEP_WAIT : STEP_NEXT;
}

/* Without the broker this one session is ended all the same; the broker revokes its grant when it
 * is back. "Everywhere" needs the broker. */
enum step logout_answered(struct request *r)
{
	const struct trace trace = request_trace(r);
	if (r->waited == ERR_OK && r->failure == IPC_ERROR_NONE)
		return goodbye(r);
	if (r->waited == ERR_OK && r->failure == IPC_ERROR_NO_SESSION)
		return goodbye(r);
	log_peer(LOG_WARN, "logout_without_broker", K("reason", login_failure_word(r)),
		 K("then", r->everywhere ? "503" : "session ended here"),
		 KS("id", request_correlation(r)), KS_IF("trace_id", trace_id(&trace)));
	if (r->everywhere)
		return refuse(r, REASON_BROKER);
	return session_end_here(r);
}

enum step logout_ended(struct request *r)
{
	if (r->waited != ERR_OK)
		return refuse(r, REASON_STORE);
	return goodbye(r);
}

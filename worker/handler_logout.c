#include "common/log.h"
#include "worker/csrf.h"
#include "worker/denial.h"
#include "worker/form.h"
#include "worker/handlers.h"
#include "worker/pages.h"
#include "worker/return_to.h"
#include "worker/session.h"
#include "worker/worker.h"

#define GOODBYE_BODY_MAX 65536 /* a page with the longest form, escaped */

enum { CSRF, EVERYWHERE, NPARAMS };

static bool wants_json(const struct request *r)
{
	static const char type[] = "application/json";
	struct sv accept = request_field(r, SV("Accept"));

	return accept.n >= sizeof type - 1 &&
	       memmem(accept.p, accept.n, type, sizeof type - 1) != NULL;
}

static struct sv local_target(const struct request *r)
{
	return r->app->after_logout.n > 0 ? r->app->after_logout.v[0] : SV_NONE;
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
		if (page_send_on(body, target, buf_sv(&r->token)) != ERR_OK)
			body->failed = true;
		return SV("text/html; charset=utf-8");
	}
	return SV_NONE;
}

/* Logged out: the cookies go, and the browser on to `url` (empty: the origin's front page), with
 * the form in r->token if there is one. */
static enum step goodbye(struct request *r, struct sv url)
{
	enum goodbye how = r->wants_json    ? GOODBYE_JSON
			   : r->token.n > 0 ? GOODBYE_FORM
					    : GOODBYE_REDIRECT;
	struct buf session, csrf, loop, target, body;
	struct sv type;
	enum step step;

	buf_init(&session, 1024);
	buf_init(&csrf, 1024);
	buf_init(&loop, 1024);
	buf_init(&target, IPC_URL_MAX + FORWARDED_ORIGIN_MAX);
	buf_init(&body, GOODBYE_BODY_MAX);
	if (url.n > 0)
		buf_add(&target, url);
	else
		(void)return_to_judge(r->app, r->origin, SV_NONE, &target); /* the default */
	cookie_clear_session(&session, r->app, r->origin);
	cookie_clear_csrf(&csrf, r->app, r->origin);
	cookie_set_loop(&loop, r->origin, SV_NONE, 0);
	type = add_body(r, how, buf_sv(&target), &body);
	request_reply(r, how == GOODBYE_REDIRECT ? 303 : 200);
	if (how == GOODBYE_REDIRECT)
		http_reply_header(&r->reply, SV("Location"), buf_sv(&target));
	page_headers(r, how == GOODBYE_FORM ? SV(PAGE_SEND_ON_CSP) : SV(PAGE_CSP));
	http_reply_header(&r->reply, SV("Set-Cookie"), buf_sv(&session));
	http_reply_header(&r->reply, SV("Set-Cookie"), buf_sv(&csrf));
	http_reply_header(&r->reply, SV("Set-Cookie"), buf_sv(&loop));
	r->reply.bad = r->reply.bad || !buf_ok(&session) || !buf_ok(&csrf) || !buf_ok(&loop) ||
		       !buf_ok(&target) || !buf_ok(&body);
	step = request_end(r, type, buf_sv(&body));
	buf_done(&session);
	buf_done(&csrf);
	buf_done(&loop);
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
	if (!buf_ok(&r->target) || !buf_ok(&r->token)) {
		buf_clear(&r->target);
		buf_clear(&r->token);
	}
}

static void on_logged_out(void *arg, enum err e, const struct ipc_message *m)
{
	struct request *r = arg;

	r->call = NULL;
	r->waited = e;
	session_over(r);
	if (e == ERR_OK && m->number == IPC_LOGGED_OUT) {
		keep_target(r, &m->u.logged_out);
		log_info("logged_out", KS("app", r->app->name),
			 KU("sessions", m->u.logged_out.sessions),
			 KS("id", request_correlation(r)));
	} else if (e == ERR_OK) {
		request_keep_failure(r, &m->u.failure);
	}
	request_resume(r);
}

static enum err ask(struct request *r)
{
	struct ipc_logout m = {
	    .session = sv_of((const char *)r->cookie.secret, sizeof r->cookie.secret),
	    .app = r->app->name,
	    .origin = r->origin->text,
	    .everywhere = r->everywhere ? 1 : 0,
	    .correlation = request_correlation(r),
	};
	uint32_t id = broker_next_id(r->w->broker);
	struct buf packet;
	enum err e;

	buf_init(&packet, IPC_FRAME_MAX);
	e = ipc_encode_logout(&packet, id, &m);
	if (e == ERR_OK)
		e = broker_send(r->w->broker, id, IPC_LOGGED_OUT, buf_sv(&packet),
				TIMEOUT_BROKER_LOGIN_MS, on_logged_out, r, &r->call);
	buf_done(&packet);
	return e;
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

static enum step show_button(struct request *r)
{
	struct sv secret = sv_of((const char *)r->cookie.secret, sizeof r->cookie.secret);
	char token[CSRF_TOKEN_LEN];

	if (csrf_token(secret, token) != ERR_OK)
		return page_reply(r, PAGE_UNAVAILABLE, SV_NONE);
	return page_reply(r, PAGE_LOGOUT, sv_of(token, sizeof token));
}

enum step logout_check(struct request *r)
{
	struct form_field params[NPARAMS] = {
	    [CSRF] = {.name = SV("csrf")}, [EVERYWHERE] = {.name = SV("everywhere")}};
	bool post = sv_eq(r->from.head->method, SV("POST"));
	struct form_field query_only = {.name = SV("everywhere")};
	enum reason why;

	r->wants_json = wants_json(r);
	if (post && request_form(r, r->fw.url.query, &query_only, 1) != ERR_OK)
		return refuse(r, REASON_PARAMETER);
	r->everywhere = sv_eq(query_only.value, SV("true"));
	if (request_form(r, post ? r->from.body : r->fw.url.query, params, NPARAMS) != ERR_OK)
		return refuse(r, REASON_PARAMETER);
	r->everywhere = r->everywhere || sv_eq(params[EVERYWHERE].value, SV("true"));
	session_cookie(r);
	if (r->session_why == REASON_STORE)
		return refuse(r, REASON_INTERNAL);
	if (r->cookie_found == COOKIE_AMBIGUOUS)
		return refuse(r, REASON_AMBIGUOUS); /* two sessions: neither was ended */
	if (r->cookie_found != COOKIE_OK)
		return goodbye(r, local_target(r)); /* nobody there to be logged out */
	if (!post && params[CSRF].value.n == 0)
		return show_button(r);
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
	if (r->waited == ERR_OK && r->failure == IPC_ERROR_NONE)
		return goodbye(r, r->target.n > 0 ? buf_sv(&r->target) : local_target(r));
	if (r->waited == ERR_OK && r->failure == IPC_ERROR_NO_SESSION)
		return goodbye(r, local_target(r));
	log_peer(LOG_WARN, "logout_without_broker", K("reason", login_failure_word(r)),
		 K("then", r->everywhere ? "503" : "session ended here"),
		 KS("id", request_correlation(r)));
	if (r->everywhere)
		return refuse(r, REASON_BROKER);
	return session_end_here(r);
}

enum step logout_ended(struct request *r)
{
	if (r->waited != ERR_OK)
		return refuse(r, REASON_STORE);
	return goodbye(r, local_target(r));
}

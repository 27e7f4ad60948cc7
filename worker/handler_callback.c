#include "common/clock.h"
#include "common/log.h"
#include "worker/client_binding.h"
#include "worker/client_prefix.h"
#include "worker/csrf.h"
#include "worker/denial.h"
#include "worker/form.h"
#include "worker/handlers.h"
#include "worker/login_loop.h"
#include "worker/login_wish.h"
#include "worker/pages.h"
#include "worker/return_to.h"
#include "worker/session.h"
#include "worker/worker.h"

#define USER_AGENT_MAX 512

enum { STATE, CODE, ISS, ERROR, NPARAMS };

static bool is_post(const struct request *r)
{
	return sv_eq(r->from.head->method, SV("POST"));
}

/* See login_loop.h. */
static void count_login(struct request *r)
{
	char value[LOGIN_LOOP_VALUE_MAX];
	struct buf loop;

	buf_init(&loop, COOKIE_FIELD_MAX);
	cookie_set_loop(&loop, r->origin,
			login_loop_next(r->fields, r->origin, clock_wall_s(), value),
			LOGIN_LOOP_WINDOW_S);
	http_reply_cookie(&r->reply, &loop);
}

/* Judged when the login began; judged again, because a configuration may have changed since. */
static enum step land(struct request *r, struct sv add, struct sv session, struct sv csrf)
{
	struct buf url, target;
	size_t hash;
	enum step step;

	buf_init(&url, IPC_URL_MAX);
	buf_init(&target, IPC_URL_MAX);
	(void)return_to_judge(r->app, r->origin, buf_sv(&r->target), &target); /* or the default */
	hash = sv_find(buf_sv(&target), '#');
	buf_add(&url, sv_cut(buf_sv(&target), 0, hash));
	if (add.n > 0) {
		buf_add_char(&url, sv_find(buf_sv(&url), '?') == url.n ? '?' : '&');
		buf_add(&url, add);
	}
	buf_add(&url, sv_cut(buf_sv(&target), hash, target.n));
	request_reply(r, 303);
	http_reply_header(&r->reply, SV("Location"), buf_sv(&url));
	http_reply_header(&r->reply, SV("Referrer-Policy"), SV("no-referrer"));
	if (session.n > 0)
		http_reply_header(&r->reply, SV("Set-Cookie"), session);
	if (csrf.n > 0)
		http_reply_header(&r->reply, SV("Set-Cookie"), csrf);
	if (session.n > 0)
		count_login(r);
	r->reply.bad = r->reply.bad || !buf_ok(&url) || !buf_ok(&target);
	step = request_end(r, SV_NONE, SV_NONE);
	buf_done(&target);
	buf_done(&url);
	return step;
}

static void on_finished(void *arg, enum err e, const struct ipc_message *m)
{
	struct request *r = arg;
	const struct trace trace = request_trace(r);

	r->call = NULL;
	r->waited = e;
	if (r->has_hash)
		session_over(r); /* the old one was replaced, or may have been */
	if (e == ERR_OK && m->number == IPC_LOGIN_FINISHED) {
		const struct ipc_login_finished *f = &m->u.login_finished;

		buf_add(&r->token, f->session);
		buf_add(&r->target, f->return_to);
		r->day = f->day;
		if (f->session.n != COOKIE_SECRET_LEN)
			r->waited = ERR_PROTOCOL;
		else
			log_info("login_finished", KS("app", r->app->name),
				 KS("session", f->session_ref), KS("id", request_correlation(r)),
				 KS_IF("trace_id", trace_id(&trace)));
	} else if (e == ERR_OK) {
		request_keep_failure(r, &m->u.failure);
	}
	if (!buf_ok(&r->target) || !buf_ok(&r->token))
		r->waited = ERR_LIMIT;
	request_resume(r);
}

static enum err ask(struct request *r, struct sv binding, const struct form_field *params)
{
	const struct trace trace = request_trace(r);
	char prefix[CLIENT_PREFIX_MAX];
	struct ipc_message m = {
	    .number = IPC_LOGIN_FINISH,
	    .u.login_finish = {.app = r->app->name,
			       .origin = r->origin->text,
			       .binding = binding,
			       .state = params[STATE].value,
			       .code = params[CODE].value,
			       .iss = params[ISS].value,
			       .error = params[ERROR].value,
			       .correlation = request_correlation(r),
			       .traceparent = trace_text(&trace),
			       .client = client_prefix(r->fw.client, prefix),
			       .user_agent =
				   sv_cut(request_field(r, HTTP_USER_AGENT), 0, USER_AGENT_MAX)},
	};

	session_cookie(r);
	/* Also one that was made for another client: it is replaced, not used. */
	if (r->cookie_found == COOKIE_OK || r->session_why == REASON_CLIENT)
		m.u.login_finish.old_session =
		    sv_of((const char *)r->cookie.secret, sizeof r->cookie.secret);
	return request_ask(r, &m, IPC_LOGIN_FINISHED, TIMEOUT_BROKER_LOGIN_MS, on_finished);
}

static enum step bad_callback(struct request *r, const char *detail)
{
	deny_log(r, REASON_PARAMETER, detail);
	return page_reply(r, PAGE_LOGIN_FAILED, SV_NONE);
}

/* --- a response by POST: without cookies it can only be put away --- */

static void on_parked(void *arg, enum err e, const struct ipc_message *m)
{
	struct request *r = arg;

	r->call = NULL;
	r->waited = e;
	if (e == ERR_OK && m->number == IPC_LOGIN_PARKED)
		r->failure = m->u.login_parked.known != 0 ? IPC_ERROR_NONE : IPC_ERROR_BINDING;
	else if (e == ERR_OK)
		request_keep_failure(r, &m->u.failure);
	request_resume(r);
}

/* "<origin><auth_path>/callback?state=...": where the browser comes back with its cookies. */
static void name_state(struct request *r, struct sv state)
{
	buf_add(&r->target, r->origin->text);
	buf_add(&r->target, r->app->auth_path);
	buf_add(&r->target, SV("/callback?state="));
	url_escape(&r->target, state);
}

static enum err ask_park(struct request *r, const struct form_field *params)
{
	const struct trace trace = request_trace(r);
	char prefix[CLIENT_PREFIX_MAX];
	const struct ipc_message m = {
	    .number = IPC_LOGIN_PARK,
	    .u.login_park = {.app = r->app->name,
			     .state = params[STATE].value,
			     .code = params[CODE].value,
			     .iss = params[ISS].value,
			     .error = params[ERROR].value,
			     .client = client_prefix(r->fw.client, prefix),
			     .correlation = request_correlation(r),
			     .traceparent = trace_text(&trace)},
	};
	enum err e = request_ask(r, &m, IPC_LOGIN_PARKED, TIMEOUT_BROKER_LOGIN_MS, on_parked);

	if (e == ERR_OK)
		name_state(r, params[STATE].value);
	return e;
}

static enum step parked(struct request *r)
{
	if (r->waited != ERR_OK || r->failure != IPC_ERROR_NONE || !buf_ok(&r->target))
		return login_failed(r);
	request_reply(r, 303);
	http_reply_header(&r->reply, SV("Location"), buf_sv(&r->target));
	http_reply_header(&r->reply, SV("Referrer-Policy"), SV("no-referrer"));
	return request_end(r, SV_NONE, SV_NONE);
}

/* --- what came --- */

/* RFC 6749 4.1.2: a code or an error, and by the way the request named. A GET after form_post
 * brings the state alone. */
static const char *bad_response(const struct form_field *params, bool post, bool form_post)
{
	if (post && !form_post)
		return "response_mode";
	if (params[STATE].value.n == 0)
		return "state";
	if (form_post && !post)
		return params[CODE].value.p == NULL && params[ERROR].value.p == NULL &&
			       params[ISS].value.p == NULL
			   ? NULL
			   : "response_mode";
	return (params[CODE].value.n == 0) == (params[ERROR].value.n == 0) ? "code_or_error" : NULL;
}

static enum err ask_finish(struct request *r, const struct form_field *params)
{
	unsigned char binding[COOKIE_SECRET_LEN];
	enum err e = ERR_NOT_FOUND;

	if (cookie_login_find(r->fields, r->origin, binding) == COOKIE_OK)
		e = ask(r, sv_of((const char *)binding, sizeof binding), params);
	explicit_bzero(binding, sizeof binding);
	return e;
}

enum step callback_ask(struct request *r)
{
	struct form_field params[NPARAMS] = {[STATE] = {.name = SV("state")},
					     [CODE] = {.name = SV("code")},
					     [ISS] = {.name = SV("iss")},
					     [ERROR] = {.name = SV("error")}};
	bool post = is_post(r);
	enum err e = post ? request_body_form(r, params, NPARAMS)
			  : request_form(r, r->fw.url.query, params, NPARAMS);
	const char *bad = post ? "body" : "query";

	if (e == ERR_OK)
		bad = bad_response(params, post,
				   r->app->provider->response_mode == RESPONSE_FORM_POST);
	if (bad != NULL)
		return bad_callback(r, bad);
	r->waited = post ? ask_park(r, params) : ask_finish(r, params);
	if (r->waited == ERR_NOT_FOUND)
		return bad_callback(r, "binding_cookie");
	if (r->waited == ERR_LIMIT && broker_client_up(r->w->broker))
		return bad_callback(r, "too_long");
	return r->waited == ERR_OK ? STEP_WAIT : STEP_NEXT;
}

static enum step welcome(struct request *r)
{
	const struct trace trace = request_trace(r);
	struct cookie_session s = {.day = r->day};
	char csrf[CSRF_TOKEN_LEN];
	struct buf value, session, readable;
	enum step step;
	enum err e;

	buf_init(&value, COOKIE_VALUE_MAX);
	buf_init(&session, COOKIE_FIELD_MAX);
	buf_init(&readable, COOKIE_FIELD_MAX);
	memcpy(s.secret, r->token.p, sizeof s.secret);
	s.bound = r->app->bind_session != 0;
	e = client_binding(r->app, buf_sv(&r->token), request_field(r, HTTP_USER_AGENT),
			   r->fw.client, s.client);
	if (e == ERR_OK)
		e = cookie_session_make(r->w->keys, &s, &value);
	cookie_session_wipe(&s);
	if (e == ERR_OK)
		e = csrf_token(buf_sv(&r->token), csrf);
	cookie_set_session(&session, r->app, r->origin, buf_sv(&value));
	if (e == ERR_OK)
		cookie_set_csrf(&readable, r->app, r->origin, sv_of(csrf, sizeof csrf));
	if (e == ERR_OK && buf_ok(&session) && buf_ok(&readable)) {
		step = land(r, SV_NONE, buf_sv(&session), buf_sv(&readable));
	} else {
		log_error("login_lost", K("error", err_text(e)), KS("id", request_correlation(r)),
			  KS_IF("trace_id", trace_id(&trace)));
		step = page_reply(r, PAGE_UNAVAILABLE, SV_NONE);
	}
	buf_done(&value);
	buf_done(&session);
	buf_done(&readable);
	return step;
}

enum step callback_answered(struct request *r)
{
	if (is_post(r))
		return parked(r);
	if (r->waited != ERR_OK)
		return login_failed(r);
	if (r->failure == IPC_ERROR_NONE)
		return welcome(r);
	if (r->failure == IPC_ERROR_LOGIN_REQUIRED)
		return land(r, LOGIN_REQUIRED_MARK, SV_NONE, SV_NONE);
	if (r->failure != IPC_ERROR_STALE)
		return login_failed(r);
	return session_find(r); /* the same tab twice, or "back": is there a session already? */
}

enum step callback_stale(struct request *r)
{
	if (r->session.live)
		return land(r, SV_NONE, SV_NONE, SV_NONE);
	if (r->session_why == REASON_STORE)
		r->failure = IPC_ERROR_STORE;
	return login_failed(r);
}

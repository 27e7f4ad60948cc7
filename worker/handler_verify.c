#include "common/clock.h"
#include "common/log.h"
#include "worker/csrf.h"
#include "worker/denial.h"
#include "worker/handlers.h"
#include "worker/navigation.h"
#include "worker/policy.h"
#include "worker/session.h"
#include "worker/worker.h"

/* What the edge says the browser asked for. */
FLAT enum step verify_forwarded(struct request *r)
{
	const char *why = NULL;
	const struct http_request *head = r->from.head;
	enum err e = forwarded_verify(r->from.listen->edge, head->method, head->target, r->fields,
				      &r->w->injected, &r->fw, &why);

	if (e == ERR_OK)
		return STEP_NEXT;
	if (e == ERR_DENIED)
		return deny(r, REASON_METHOD, why);
	return deny(r, e == ERR_SYNTAX ? REASON_FORWARDED : REASON_EDGE, why);
}

FLAT enum step verify_route(struct request *r)
{
	struct sv method = r->fw.method;
	enum route_outcome outcome;

	r->app = route_app(r->w->routes, r->fw.origin, &r->origin);
	if (r->app == NULL)
		return deny(r, REASON_HOST, NULL);
	r->preflight = navigation_is_preflight(r->fw.method, r->fields, &method);
	outcome = route_lookup(r->w->routes, r->app, r->fw.host, &r->fw.url, method, &r->route);
	if (r->preflight && (outcome != ROUTE_OK || !r->route->preflight)) {
		/* An OPTIONS like any other. */
		r->preflight = false;
		r->route = NULL;
		outcome = route_lookup(r->w->routes, r->app, r->fw.host, &r->fw.url, r->fw.method,
				       &r->route);
	}
	switch (outcome) {
	case ROUTE_OK:
		break;
	case ROUTE_NO_METHOD:
		return deny(r, REASON_METHOD, route_outcome_word(outcome));
	case ROUTE_ENCODED_SLASH:
		return deny(r, REASON_ENCODED_SLASH, NULL);
	case ROUTE_NO_HOST:
	case ROUTE_NO_PATH:
		return deny(r, REASON_ROUTE, route_outcome_word(outcome));
	}
	if (r->fw.websocket && !r->route->upgrade_websocket)
		return deny(r, REASON_UPGRADE, NULL);
	return STEP_NEXT;
}

enum step verify_session(struct request *r)
{
	if (r->preflight || r->route->session == SESSION_NONE)
		return STEP_NEXT;
	return session_find(r);
}

static enum step check_csrf(struct request *r)
{
	struct sv secret = sv_of((const char *)r->cookie.secret, sizeof r->cookie.secret);

	/* A handshake has no token to check: its Origin is judged even where csrf = off. */
	if (!r->route->csrf && !r->fw.websocket)
		return STEP_NEXT;
	switch (csrf_check(r->app, r->fw.method, r->fw.websocket, r->fields, secret)) {
	case CSRF_OK:
		return STEP_NEXT;
	case CSRF_TOKEN:
		return deny(r, REASON_CSRF, NULL);
	case CSRF_ORIGIN:
		return deny(r, REASON_ORIGIN, NULL);
	}
	return deny(r, REASON_CSRF, NULL);
}

static enum step check_rules(struct request *r)
{
	struct policy_session s = {
	    .subject = r->session.subject,
	    .claims = r->session.claims,
	    .acr = r->session.acr,
	    .auth_time_s = r->session.auth_time_s,
	};

	switch (policy_eval(r->w->policy, r->route, &s, clock_wall_s(), r->session.policy_bits,
			    &r->rule)) {
	case POLICY_OK:
		return STEP_NEXT;
	case POLICY_REQUIRE:
		return deny(r, REASON_REQUIRE, NULL);
	case POLICY_ACR:
		return deny(r, REASON_ACR, NULL);
	case POLICY_MAX_AGE:
		return deny(r, REASON_MAX_AGE, NULL);
	case POLICY_CLAIMS:
		break;
	}
	return deny(r, REASON_CLAIMS, NULL);
}

/* A session that cannot be judged is no "no": an outage and a doubled cookie are refused even
 * where a session is optional. What is refused is no use of the session. */
FLAT enum step verify_policy(struct request *r)
{
	const struct config_route *route = r->route;
	bool optional = r->preflight || route->session != SESSION_REQUIRED;
	enum step judged;

	if (!r->session.live &&
	    (!optional || r->session_why == REASON_STORE || r->session_why == REASON_AMBIGUOUS))
		return deny(r, r->session_why, NULL);
	if (!r->session.live)
		return STEP_NEXT;
	judged = check_csrf(r);
	if (judged == STEP_NEXT)
		judged = check_rules(r);
	if (judged == STEP_NEXT)
		session_in_use(r);
	return judged;
}

static enum err take_token(struct request *r, const struct ipc_token *m)
{
	if (m->access_token.n == 0)
		return ERR_OK;
	if (sv_has_control(m->access_token))
		return ERR_PROTOCOL;
	buf_add(&r->token, m->access_token);
	if (!buf_ok(&r->token)) {
		buf_clear(&r->token);
		return ERR_NOMEM;
	}
	session_keep_token(r, m->access_token,
			   m->expires_in_ms > INT32_MAX ? INT32_MAX : (int64_t)m->expires_in_ms);
	return ERR_OK;
}

static void on_token(void *arg, enum err e, const struct ipc_message *m)
{
	struct request *r = arg;

	r->call = NULL;
	r->waited = e;
	if (e == ERR_OK && m->number == IPC_TOKEN)
		r->waited = take_token(r, &m->u.token);
	else if (e == ERR_OK)
		request_keep_failure(r, &m->u.failure);
	request_resume(r);
}

static enum err ask_token(struct request *r)
{
	const struct trace trace = request_trace(r);
	const struct ipc_message m = {
	    .number = IPC_TOKEN_GET,
	    .u.token_get = {.session =
				sv_of((const char *)r->cookie.secret, sizeof r->cookie.secret),
			    .app = r->app->name,
			    .service = r->route->service->name,
			    .correlation = request_correlation(r),
			    .traceparent = trace_text(&trace)},
	};

	return request_ask(r, &m, IPC_TOKEN, r->w->config->web.token_wait_ms, on_token);
}

FLAT enum step verify_token(struct request *r)
{
	if (!r->session.live || r->route->service == NULL)
		return STEP_NEXT;
	r->bearer = session_token(r);
	if (r->bearer.n > 0)
		return STEP_NEXT;
	r->token_asked_ms = r->now_us / 1000;
	r->waited = ask_token(r);
	r->waited_for_token = r->waited == ERR_OK;
	return r->waited_for_token ? STEP_WAIT : STEP_NEXT;
}

/* The client's own Authorization, where the route passes it and no session applies. */
static enum err own_authorization(const struct request *r, struct sv *ret)
{
	enum err e;

	*ret = SV_NONE;
	if (r->preflight || r->session.live || r->route->authorization != AUTHORIZATION_PASS)
		return ERR_OK;
	e = http_fields_one(r->fields, HTTP_AUTHORIZATION, ret);
	return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* The session may have ended while we waited for its token. */
enum step verify_fresh(struct request *r)
{
	return r->waited_for_token ? session_find(r) : STEP_NEXT;
}

/* Empty: there is none to be had, and r->waited and r->failure say why. */
static struct sv service_token(const struct request *r)
{
	if (!r->session.live || r->route->service == NULL)
		return SV_NONE;
	return r->bearer.n > 0 ? r->bearer : buf_sv(&r->token);
}

/* Ready headers of the session, or made now and kept for the next request. */
static enum step allow(struct request *r, struct identity_values *v)
{
	const struct config_identity *set = r->route->identity;
	struct identity_note note = {.header = SV_NONE};
	struct buf *out = r->from.out;
	enum step step;
	size_t from;
	enum err e;

	v->ready = session_block(r, set);
	http_reply_begin(&r->reply, out, 200, r->from.reply_flags);
	buf_add(out, SV("Cache-Control: no-store\r\n"));
	from = out->n;
	e = identity_write(r->w->identities, v, out, &note);
	if (e != ERR_OK) {
		buf_clear(out);
		return e == ERR_LIMIT ? deny(r, REASON_ANSWER, note.reason)
				      : deny(r, REASON_CLAIMS, err_text(e));
	}
	if (note.header.n > 0)
		log_peer(LOG_WARN, "identity_left_out", KS("header", note.header),
			 K("reason", note.reason), KS("session", r->session.ref));
	step = request_end(r, SV_NONE, SV_NONE);
	if (v->ready.n == 0 && r->reply.status == 200)
		session_keep_block(r, set, sv_of(out->p + from, note.session_n));
	return step;
}

static enum err strip_cookies(struct request *r)
{
	void *chunk = pool_get(&r->w->chunks, CONN_CHUNK);

	if (chunk == NULL)
		return ERR_NOMEM;
	buf_init(&r->cookies, r->w->config->web.max_head);
	buf_lend(&r->cookies, chunk, CONN_CHUNK);
	cookie_strip(r->fields, r->w->cookie_names, r->w->ncookie_names, &r->cookies);
	return buf_ok(&r->cookies) ? ERR_OK : ERR_LIMIT;
}

FLAT enum step verify_reply(struct request *r)
{
	enum step judged = r->waited_for_token ? verify_policy(r) : STEP_NEXT;
	struct identity_values v = {
	    .session = r->session.live,
	    .set = r->route->identity,
	    .claims = r->session.claims,
	    .subject = r->session.subject,
	    .session_ref = r->session.ref,
	    .acr = r->session.acr,
	    .auth_time = r->session.auth_time_s,
	    .correlation = request_correlation(r),
	};

	if (judged != STEP_NEXT)
		return judged;
	v.bearer = service_token(r);
	if (r->session.live && r->route->service != NULL && v.bearer.n == 0)
		return deny(r, reason_of_broker(r), r->failure_detail);
	if (v.bearer.n == 0 && own_authorization(r, &v.authorization) != ERR_OK)
		return deny(r, REASON_AUTHORIZATION, "duplicate");
	if (strip_cookies(r) != ERR_OK)
		return deny(r, REASON_ANSWER, "cookie");
	v.cookie = buf_sv(&r->cookies);
	return allow(r, &v);
}

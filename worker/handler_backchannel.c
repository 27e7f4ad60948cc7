/* POST {auth_path}/backchannel-logout (OIDC Back-Channel Logout 1.0, 2.5 to 2.8). Whoever posts it
 * is nobody: no cookie and no CSRF token count, only what the broker finds the token to be. 200
 * comes after the commit that ends the sessions; nothing of the token is answered or logged. */
#include "common/contract.h"
#include "common/log.h"
#include "worker/denial.h"
#include "worker/form.h"
#include "worker/handlers.h"
#include "worker/worker.h"

static void on_done(void *arg, enum err e, const struct ipc_message *m)
{
	struct request *r = arg;
	const struct trace trace = request_trace(r);

	r->call = NULL;
	r->waited = e;
	if (e == ERR_OK && m->number == IPC_BACKCHANNEL_DONE) {
		r->accepted = m->u.backchannel_done.accepted == 1;
		if (r->accepted)
			log_info("backchannel_logout", KS("app", r->app->name),
				 KU("sessions", m->u.backchannel_done.sessions),
				 KS("id", request_correlation(r)),
				 KS_IF("trace_id", trace_id(&trace)));
		else
			deny_log(r, REASON_LOGOUT_TOKEN, "refused by the broker");
	} else if (e == ERR_OK) {
		request_keep_failure(r, &m->u.failure);
	}
	request_resume(r);
}

static enum err ask(struct request *r, struct sv logout_token)
{
	const struct trace trace = request_trace(r);
	const struct ipc_message m = {
	    .number = IPC_BACKCHANNEL,
	    .u.backchannel = {.app = r->app->name,
			      .logout_token = logout_token,
			      .correlation = request_correlation(r),
			      .traceparent = trace_text(&trace)},
	};

	return request_ask(r, &m, IPC_BACKCHANNEL_DONE, TIMEOUT_BROKER_LOGIN_MS, on_done);
}

/* 2.8: 400, and the one error word that fits all. */
static enum step refuse(struct request *r)
{
	request_reply(r, 400);
	return request_end(r, SV("application/json"), SV("{\"error\":\"invalid_request\"}"));
}

enum step backchannel_ask(struct request *r)
{
	struct form_field token = {.name = SV("logout_token")};

	if (request_form(r, r->from.body, &token, 1) != ERR_OK || token.value.n == 0 ||
	    token.value.n > IPC_LOGOUT_TOKEN_MAX) {
		deny_log(r, REASON_PARAMETER, "logout_token");
		return refuse(r);
	}
	r->waited = ask(r, token.value);
	return r->waited == ERR_OK ? STEP_WAIT : STEP_NEXT;
}

/* What is not the token's fault is worth another try: 503, whatever the word. */
enum step backchannel_answered(struct request *r)
{
	enum reason why = reason_of_broker(r);

	if (why == REASON_NONE && !r->accepted)
		return refuse(r);
	if (why == REASON_NONE) {
		request_reply(r, 200);
		return request_end(r, SV_NONE, SV_NONE);
	}
	if (reason_denial(why) != DENIAL_UNAVAILABLE)
		why = REASON_INTERNAL;
	return deny(r, why, "backchannel");
}

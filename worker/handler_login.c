#include "common/clock.h"
#include "common/log.h"
#include "worker/client_prefix.h"
#include "worker/denial.h"
#include "worker/form.h"
#include "worker/handlers.h"
#include "worker/login_loop.h"
#include "worker/login_wish.h"
#include "worker/pages.h"
#include "worker/return_to.h"
#include "worker/session.h"
#include "worker/worker.h"

static enum step redirect(struct request *r, unsigned status, struct sv location)
{
	request_reply(r, status);
	http_reply_header(&r->reply, SV("Location"), location);
	http_reply_header(&r->reply, SV("Referrer-Policy"), SV("no-referrer"));
	return request_end(r, SV_NONE, SV_NONE);
}

/* The login starts over: on login_origin, which binding cookie and callback belong to, or after a
 * POST, without whose cookies a browser would get a second binding. */
static enum step hop(struct request *r, unsigned status, struct sv return_to,
		     const struct login_wish *wish)
{
	struct buf url;
	enum step step;

	buf_init(&url, IPC_URL_MAX);
	login_url(r->app, r->origin, return_to, &url);
	login_url_add(&url, "prompt", wish->prompt);
	login_url_add(&url, "login_hint", wish->login_hint);
	login_url_add(&url, "acr_values", wish->acr_values);
	login_url_add(&url, "max_age", wish->max_age);
	step = buf_ok(&url) ? redirect(r, status, buf_sv(&url))
			    : page_reply(r, PAGE_LOGIN_FAILED, SV_NONE);
	buf_done(&url);
	return step;
}

static void on_begun(void *arg, enum err e, const struct ipc_message *m)
{
	struct request *r = arg;

	r->call = NULL;
	r->waited = e;
	if (e == ERR_OK && m->number == IPC_LOGIN_BEGUN) {
		buf_add(&r->target, m->u.login_begun.location);
		if (m->u.login_begun.binding.n == sizeof r->binding)
			memcpy(r->binding, m->u.login_begun.binding.p, sizeof r->binding);
		else
			r->waited = ERR_PROTOCOL;
	} else if (e == ERR_OK) {
		request_keep_failure(r, &m->u.failure);
	}
	if (!buf_ok(&r->target))
		r->waited = ERR_LIMIT;
	request_resume(r);
}

static enum err ask(struct request *r, struct sv return_to, const struct login_wish *wish)
{
	const struct trace trace = request_trace(r);
	unsigned char binding[COOKIE_SECRET_LEN];
	bool bound = cookie_login_find(r->fields, r->origin, binding) == COOKIE_OK;
	char prefix[CLIENT_PREFIX_MAX];
	struct ipc_message m = {
	    .number = IPC_LOGIN_BEGIN,
	    .u.login_begin = {.app = r->app->name,
			      .origin = r->origin->text,
			      .return_to = return_to,
			      .binding =
				  bound ? sv_of((const char *)binding, sizeof binding) : SV_NONE,
			      .client = client_prefix(r->fw.client, prefix),
			      .correlation = request_correlation(r),
			      .traceparent = trace_text(&trace),
			      .prompt = wish->prompt,
			      .login_hint = wish->login_hint,
			      .acr_values = wish->acr_values,
			      .has_max_age = wish->max_age.n > 0 ? 1 : 0,
			      .max_age_s = wish->max_age_s},
	};
	enum err e;

	session_cookie(r);
	if (r->cookie_found == COOKIE_OK)
		m.u.login_begin.session =
		    sv_of((const char *)r->cookie.secret, sizeof r->cookie.secret);
	e = request_ask(r, &m, IPC_LOGIN_BEGUN, TIMEOUT_BROKER_LOGIN_MS, on_begun);
	explicit_bzero(binding, sizeof binding);
	return e;
}

/* Nobody is to be logged in without seeing it (Core 4): not inside somebody's page. */
static bool framed(const struct request *r)
{
	struct sv dest = request_field(r, HTTP_SEC_FETCH_DEST);

	return dest.n > 0 && !sv_eq(dest, SV("document"));
}

static const char *read_wish(struct request *r, bool post, struct login_wish *ret)
{
	struct form_field params[LOGIN_NPARAMETERS];
	enum err e;
	const char *bad;

	login_wish_names(params);
	e = post ? request_body_form(r, params, LOGIN_NPARAMETERS)
		 : request_form(r, r->fw.url.query, params, LOGIN_NPARAMETERS);
	if (e != ERR_OK)
		return post ? "body" : "query";
	bad = login_wish_read(r->app, params, ret);
	if (bad == NULL && post && !ret->third_party)
		return "post";
	if (bad == NULL && ret->third_party && framed(r))
		return "framed";
	return bad;
}

static enum step start(struct request *r, bool post, struct sv return_to,
		       const struct login_wish *wish)
{
	struct sv login_origin = r->app->login_origin.text;

	if (wish->prompt.n > 0 && login_target_marked(return_to)) {
		deny_log(r, REASON_PARAMETER, "silent_loop");
		return page_reply(r, PAGE_LOGIN_FAILED, SV_NONE);
	}
	if (post || (login_origin.n > 0 && !sv_eq(login_origin, r->origin->text)))
		return hop(r, post ? 303 : 302, return_to, wish);
	r->waited = ask(r, return_to, wish);
	return r->waited == ERR_OK ? STEP_WAIT : STEP_NEXT;
}

/* Rarely more than the look at one cookie: after so many logins, is there a session at last? */
enum step login_loop(struct request *r)
{
	return login_loop_count(r->fields, r->origin, clock_wall_s()) < LOGIN_LOOP_MAX
		   ? STEP_NEXT
		   : session_find(r);
}

static bool loops(const struct request *r)
{
	return login_loop_count(r->fields, r->origin, clock_wall_s()) >= LOGIN_LOOP_MAX &&
	       !r->session.live && login_loop_cause(r->session_why) != NULL;
}

static enum step break_loop(struct request *r)
{
	const struct trace trace = request_trace(r);
	log_peer(LOG_WARN, "login_loop", K("reason", reason_word(r->session_why)),
		 KS("app", r->app->name), KS("client", r->fw.client),
		 KS("id", request_correlation(r)), KS_IF("trace_id", trace_id(&trace)));
	return page_reply(r, PAGE_LOGIN_LOOP, SV_NONE);
}

enum step login_begin(struct request *r)
{
	bool post = sv_eq(r->from.head->method, SV("POST"));
	struct login_wish wish;
	const char *bad = read_wish(r, post, &wish);
	struct buf return_to;
	enum step step;

	if (loops(r))
		return break_loop(r);
	if (bad != NULL) {
		deny_log(r, REASON_PARAMETER, bad);
		return page_reply(r, PAGE_LOGIN_FAILED, SV_NONE);
	}
	buf_init(&return_to, RETURN_TO_MAX + FORWARDED_ORIGIN_MAX);
	if (!return_to_judge(r->app, r->origin, wish.target, &return_to) && wish.target.n > 0)
		deny_log(r, REASON_RETURN_TO, "default instead");
	step = start(r, post, buf_sv(&return_to), &wish);
	buf_done(&return_to);
	return step;
}

/* The broker's "no" to a login, as a page. */
enum step login_failed(struct request *r)
{
	const struct trace trace = request_trace(r);
	enum page page = PAGE_UNAVAILABLE;

	if (r->waited == ERR_OK) {
		switch ((enum ipc_error)r->failure) {
		case IPC_ERROR_LIMITED:
			page = PAGE_LOGIN_LIMITED;
			break;
		case IPC_ERROR_ACCESS_DENIED:
			page = PAGE_LOGIN_DENIED;
			break;
		case IPC_ERROR_NONE:
		case IPC_ERROR_NO_SESSION:
		case IPC_ERROR_FORBIDDEN:
		case IPC_ERROR_STALE:
		case IPC_ERROR_BINDING:
		case IPC_ERROR_PROVIDER:
		case IPC_ERROR_REAUTHENTICATE:
		case IPC_ERROR_UPSTREAM:
		case IPC_ERROR_LOGIN_REQUIRED:
			page = PAGE_LOGIN_FAILED;
			break;
		case IPC_ERROR_INTERNAL:
		case IPC_ERROR_STORE:
		case IPC_ERROR_CONFIG_SKEW:
		case IPC_ERROR_PROVIDER_DOWN:
			break;
		}
	}
	log_peer(LOG_WARN, "login_failed", K("reason", login_failure_word(r)),
		 K("detail", r->failure_detail), KS("app", r->app->name),
		 KS("client", r->fw.client), KS("id", request_correlation(r)),
		 KS_IF("trace_id", trace_id(&trace)));
	return page_reply(r, page, SV_NONE);
}

const char *login_failure_word(const struct request *r)
{
	if (r->waited == ERR_OK)
		return ipc_error_word(r->failure);
	return reason_word(reason_of_broker(r));
}

enum step login_begun(struct request *r)
{
	struct buf cookie;

	if (r->waited != ERR_OK || r->failure != IPC_ERROR_NONE)
		return login_failed(r);
	buf_init(&cookie, COOKIE_FIELD_MAX);
	cookie_set_login(&cookie, r->origin, r->binding);
	request_reply(r, 302);
	http_reply_header(&r->reply, SV("Location"), buf_sv(&r->target));
	http_reply_header(&r->reply, SV("Referrer-Policy"), SV("no-referrer"));
	http_reply_cookie(&r->reply, &cookie);
	return request_end(r, SV_NONE, SV_NONE);
}

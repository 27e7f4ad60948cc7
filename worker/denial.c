#include "worker/denial.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/log.h"
#include "worker/count.h"
#include "worker/csrf.h"
#include "worker/login_wish.h"
#include "worker/navigation.h"
#include "worker/return_to.h"

static const struct {
	const char *word;
	enum denial denial;
} reasons[] = {
    [REASON_NONE] = {"none", DENIAL_FORBIDDEN},
#define REASON(name, word, denial) [REASON_##name] = {word, DENIAL_##denial},
#include "worker/reason.def"
#undef REASON
};

static const struct {
	unsigned status;
	struct sv error;
} dialect[] = {
    [DENIAL_LOGIN] = {401, {"unauthenticated", 15}},
    [DENIAL_STEP_UP] = {401, {"insufficient_user_authentication", 32}},
    [DENIAL_BAD] = {400, {"bad_request", 11}},
    [DENIAL_FORBIDDEN] = {403, {"forbidden", 9}},
    [DENIAL_CSRF] = {403, {"csrf", 4}},
    [DENIAL_ORIGIN] = {403, {"origin", 6}},
    [DENIAL_UPSTREAM] = {502, {"upstream_auth_failed", 20}},
    [DENIAL_UNAVAILABLE] = {503, {"unavailable", 11}},
};

const char *reason_word(enum reason why)
{
	return reasons[why].word;
}

enum denial reason_denial(enum reason why)
{
	return reasons[why].denial;
}

void login_url(const struct config_app *app, const struct config_origin *origin,
	       struct sv return_to, struct buf *out)
{
	buf_add(out, app->login_origin.text.n > 0 ? app->login_origin.text : origin->text);
	buf_add(out, app->auth_path);
	buf_add(out, SV("/login"));
	login_url_add(out, "return_to", return_to);
}

void login_url_add(struct buf *url, const char *name, struct sv value)
{
	struct sv so_far = buf_sv(url);

	if (value.n == 0)
		return;
	buf_add_char(url, sv_find(so_far, '?') < so_far.n ? '&' : '?');
	buf_add(url, sv_str(name));
	buf_add_char(url, '=');
	url_escape(url, value);
}

/* What the route asks of a login, in its order: one text each, empty where it asks for nothing.
 * config_check_route.c keeps them within LOGIN_ACR_VALUES_MAX, and free of '"' and '\\'. */
struct step_up {
	char acr_values[LOGIN_ACR_VALUES_MAX + 1], max_age[24];
};

static void step_up_of(const struct config_route *route, struct step_up *ret)
{
	size_t n = 0;

	*ret = (struct step_up){.acr_values = ""};
	for (size_t i = 0; i < route->acr.n; i++) {
		struct sv v = route->acr.v[i];

		if (n + v.n + 1 > LOGIN_ACR_VALUES_MAX)
			break;
		if (n > 0)
			ret->acr_values[n++] = ' ';
		memcpy(ret->acr_values + n, v.p, v.n);
		n += v.n;
	}
	if (route->max_age_ms > 0)
		(void)snprintf(ret->max_age, sizeof ret->max_age, "%" PRId64,
			       route->max_age_ms / 1000);
}

/* RFC 9470 3. */
static void add_challenge(struct request *r, const struct step_up *s)
{
	char text[LOGIN_ACR_VALUES_MAX + 128];
	bool acr = s->acr_values[0] != '\0', age = s->max_age[0] != '\0';
	int n = snprintf(text, sizeof text,
			 "Bearer error=\"insufficient_user_authentication\"%s%s%s%s%s%s",
			 acr ? ", acr_values=\"" : "", s->acr_values, acr ? "\"" : "",
			 age ? ", max_age=\"" : "", s->max_age, age ? "\"" : "");

	http_reply_header(&r->reply, SV("WWW-Authenticate"), sv_of(text, (size_t)n));
}

/* A navigation comes back to itself; a script's page is named by its Referer, if that is ours. */
static void add_login_url(struct request *r, bool navigates, const struct step_up *up,
			  struct buf *out)
{
	struct sv wish = navigates ? r->fw.url.target : request_field(r, HTTP_REFERER);
	struct buf target;

	buf_init(&target, RETURN_TO_MAX + FORWARDED_ORIGIN_MAX);
	if (!return_to_judge(r->app, r->origin, wish, &target) && !buf_ok(&target))
		buf_clear(&target);
	login_url(r->app, r->origin, buf_sv(&target), out);
	buf_done(&target);
	if (up != NULL) {
		login_url_add(out, "acr_values", sv_str(up->acr_values));
		login_url_add(out, "max_age", sv_str(up->max_age));
	}
}

static bool may_read(const struct config_app *app, struct sv origin)
{
	return config_origins_have(&app->cors_origins, origin) || csrf_origin_is_own(app, origin);
}

static void add_cors(struct request *r)
{
	struct sv origin = request_field(r, HTTP_ORIGIN);

	http_reply_header(&r->reply, SV("Vary"), SV("Origin"));
	if (origin.n == 0 || r->app == NULL || !may_read(r->app, origin))
		return;
	http_reply_header(&r->reply, SV("Access-Control-Allow-Origin"), origin);
	http_reply_header(&r->reply, SV("Access-Control-Allow-Credentials"), SV("true"));
}

/* Two good cookies of one name: neither can be believed, so the browser drops them. */
static void add_clearing(struct request *r)
{
	struct buf cookie;

	buf_init(&cookie, COOKIE_FIELD_MAX);
	cookie_clear_session(&cookie, r->app, r->origin);
	http_reply_cookie(&r->reply, &cookie);
}

void deny_log(const struct request *r, enum reason why, const char *detail)
{
	const struct trace trace = request_trace(r);
	enum log_level level = reasons[why].denial == DENIAL_UNAVAILABLE ? LOG_WARN : LOG_INFO;
	struct sv app = r->app == NULL ? SV("-") : r->app->name;
	struct sv route = r->route == NULL ? SV("-") : r->route->name;

	count_denied(r, why);
	log_peer(level, "denied", K("reason", reasons[why].word),
		 K("detail", detail == NULL ? "-" : detail), KS("listen", r->from.listen->name),
		 KS("app", app), KS("route", route), KS("rule", r->rule.n == 0 ? SV("-") : r->rule),
		 KS("session", r->session.ref), KS("method", r->fw.method),
		 KS("client", r->fw.client), KS("id", request_correlation(r)),
		 KS_IF("trace_id", trace_id(&trace)));
}

/* The URL of a login, for one who can do something about the denial. */
static void add_login(struct request *r, bool navigates, const struct step_up *up, struct buf *url)
{
	add_login_url(r, navigates, up, url);
	if (navigates)
		http_reply_header(&r->reply, SV("Location"), buf_sv(url));
	else if (r->from.listen->edge == EDGE_NGINX)
		http_reply_header(&r->reply, SV("X-Login-URL"), buf_sv(url));
}

enum step deny(struct request *r, enum reason why, const char *detail)
{
	enum denial kind = reasons[why].denial;
	bool nginx = r->from.listen->edge == EDGE_NGINX;
	bool up = kind == DENIAL_STEP_UP, login = up || kind == DENIAL_LOGIN;
	bool navigates =
	    login && navigation_redirects(r->route == NULL ? NO_LOGIN_401 : r->route->on_no_login,
					  r->fw.method, r->fw.websocket, r->fields);
	unsigned status = dialect[kind].status;
	struct step_up step_up;
	struct buf url, body;
	enum step step;

	r->denied = why;
	r->denied_detail = detail;
	deny_log(r, why, detail);
	if (navigates && !nginx)
		status = 302;
	if (nginx && kind == DENIAL_BAD)
		status = 403;
	buf_init(&url, 3 * (RETURN_TO_MAX + FORWARDED_ORIGIN_MAX + LOGIN_ACR_VALUES_MAX) + 512);
	buf_init(&body, url.max + 256);
	request_reply(r, status);
	if (up)
		step_up_of(r->route, &step_up);
	if (login)
		add_login(r, navigates, up ? &step_up : NULL, &url);
	if (up && status == 401)
		add_challenge(r, &step_up);
	if (nginx)
		http_reply_header(&r->reply, SV("X-Error"), dialect[kind].error);
	if (status != 302)
		add_cors(r);
	if (why == REASON_AMBIGUOUS)
		add_clearing(r);
	if (kind == DENIAL_UNAVAILABLE)
		http_reply_header_u64(&r->reply, SV("Retry-After"),
				      r->retry_after_s > 0 ? r->retry_after_s
							   : REQUEST_RETRY_AFTER_S);
	if (status != 302)
		http_json_error(&body, dialect[kind].error, buf_sv(&url));
	step = request_end(r, status == 302 ? SV_NONE : SV("application/json"), buf_sv(&body));
	buf_done(&url);
	buf_done(&body);
	return step;
}

enum reason reason_of_broker(const struct request *r)
{
	if (r->waited == ERR_TIMEOUT)
		return REASON_TOKEN_WAIT;
	if (r->waited != ERR_OK)
		return REASON_BROKER;
	switch ((enum ipc_error)r->failure) {
	case IPC_ERROR_NONE:
		return REASON_NONE;
	case IPC_ERROR_STORE:
		return REASON_STORE;
	case IPC_ERROR_CONFIG_SKEW:
		return REASON_CONFIG_SKEW;
	case IPC_ERROR_NO_SESSION:
		return REASON_ENDED;
	case IPC_ERROR_FORBIDDEN:
		return REASON_SERVICE;
	case IPC_ERROR_PROVIDER_DOWN:
		return REASON_PROVIDER_DOWN;
	case IPC_ERROR_REAUTHENTICATE:
		return REASON_GRANT;
	case IPC_ERROR_UPSTREAM:
		return REASON_UPSTREAM;
	case IPC_ERROR_INTERNAL:
	case IPC_ERROR_LIMITED:
	case IPC_ERROR_STALE:
	case IPC_ERROR_BINDING:
	case IPC_ERROR_PROVIDER:
	case IPC_ERROR_LOGIN_REQUIRED:
	case IPC_ERROR_ACCESS_DENIED:
		return REASON_INTERNAL;
	}
	return REASON_INTERNAL;
}

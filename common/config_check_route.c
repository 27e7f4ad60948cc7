#include "common/config_build.h"
#include "common/config_value.h"

static enum err check_hosts(const struct config_build *b, size_t i)
{
	const struct config_route *r = &b->c->routes[i];

	for (size_t k = 0; k < r->hosts.n; k++) {
		bool found = sv_eq(r->app->login_origin.host, r->hosts.v[k]);

		for (size_t m = 0; m < r->app->origins.n; m++)
			found = found || sv_eq(r->app->origins.v[m].host, r->hosts.v[k]);
		if (!found)
			return config_build_error(b, CONFIG_OPT_route_hosts, i,
						  "expected hosts of app \"" SV_FMT "\", " SV_FMT
						  " is none",
						  SV_ARG(r->app->name), SV_ARG(r->hosts.v[k]));
	}
	return ERR_OK;
}

static enum err check_path(const struct config_build *b, size_t i)
{
	const struct config_route *r = &b->c->routes[i];
	struct sv auth = r->app->auth_path;

	if (!config_is_canonical_path(r->path))
		return config_build_error(
		    b, CONFIG_OPT_route_path, i,
		    "expected a path that starts with /, without empty or dot "
		    "segments and needless percent-encoding");
	if (sv_eq(r->path, auth) || (sv_starts(r->path, auth) && r->path.p[auth.n] == '/'))
		return config_build_error(b, CONFIG_OPT_route_path, i,
					  "expected a path outside of the app's auth_path " SV_FMT
					  ", which answers first",
					  SV_ARG(auth));
	if (r->exact && sv_eq(r->path, SV("/api/auth/session")))
		return config_build_error(b, CONFIG_OPT_route_path, i,
					  "expected another path, bff itself answers this one");
	if (r->exact && r->encoded_slash)
		return config_build_error(
		    b, CONFIG_OPT_route_encoded_slash, i,
		    "expected refuse with exact = yes, it has no effect there");
	return ERR_OK;
}

static enum err check_methods(const struct config_build *b, size_t i)
{
	const struct config_route *r = &b->c->routes[i];

	for (size_t k = 0; k < r->methods.n; k++) {
		struct sv m = r->methods.v[k];
		bool ok = config_is_token(m);

		for (size_t c = 0; c < m.n; c++)
			ok = ok && !(m.p[c] >= 'a' && m.p[c] <= 'z');
		if (!ok)
			return config_build_error(b, CONFIG_OPT_route_methods, i,
						  "expected methods in capitals, such as GET");
		if (sv_eq(m, SV("CONNECT")) || sv_eq(m, SV("TRACE")))
			return config_build_error(b, CONFIG_OPT_route_methods, i,
						  "expected no " SV_FMT ", which is refused anyway",
						  SV_ARG(m));
	}
	if (r->upgrade_websocket && r->methods.n > 0 && !config_list_has(&r->methods, SV("GET")))
		return config_build_error(
		    b, CONFIG_OPT_route_upgrade, i,
		    "expected GET among the methods, WebSocket handshakes are "
		    "that");
	return ERR_OK;
}

/* Rules that can have no effect, as there is no session they could be about. */
static enum err check_without_session(const struct config_build *b, size_t i)
{
	const struct config_route *r = &b->c->routes[i];
	const struct {
		bool wrong;
		enum config_option_id id;
		const char *expected;
	} rules[] = {
	    {r->service != NULL, CONFIG_OPT_route_service, "no service"},
	    {r->csrf, CONFIG_OPT_route_csrf, "off"},
	    {r->identity != NULL, CONFIG_OPT_route_identity, "no identity"},
	};

	for (size_t k = 0; k < ARRAY_LEN(rules); k++)
		if (rules[k].wrong)
			return config_build_error(
			    b, rules[k].id, i,
			    "expected %s, as there is no session with session "
			    "= none",
			    rules[k].expected);
	return ERR_OK;
}

/* Where a request may pass without a session, whoever is refused with one leaves the cookie away.
 */
static enum err check_evadable(const struct config_build *b, size_t i)
{
	const struct config_route *r = &b->c->routes[i];
	const struct {
		bool there;
		const char *name;
	} rules[] = {
	    {r->acr.n > 0, "acr"},
	    {r->max_age_ms > 0, "max_age"},
	    {r->nrequires > 0, "require"},
	};

	for (size_t k = 0; k < ARRAY_LEN(rules); k++)
		if (rules[k].there)
			return config_build_error(b, CONFIG_OPT_route_session, i,
						  "expected required, as %s refuses nobody who may "
						  "come without a session",
						  rules[k].name);
	return ERR_OK;
}

static bool names_only(const struct config_list *methods, const struct config_list *these)
{
	for (size_t k = 0; k < methods->n; k++)
		if (!config_list_has(these, methods->v[k]))
			return false;
	return methods->n > 0;
}

/* Rules about methods that no request of the route has. */
static enum err check_ineffective(const struct config_build *b, size_t i)
{
	static const struct sv safe[] = {SV_INIT("GET"), SV_INIT("HEAD"), SV_INIT("OPTIONS")};
	const struct config_list all_safe = {safe, ARRAY_LEN(safe)};
	const struct config_route *r = &b->c->routes[i];

	if (!r->csrf && r->session != SESSION_NONE && names_only(&r->methods, &all_safe))
		return config_build_error(b, CONFIG_OPT_route_csrf, i,
					  "expected on, as none of the methods is asked for a "
					  "token anyway");
	if (r->on_no_login == NO_LOGIN_REDIRECT && r->methods.n > 0 &&
	    !config_list_has(&r->methods, SV("GET")) && !config_list_has(&r->methods, SV("HEAD")))
		return config_build_error(b, CONFIG_OPT_route_on_no_login, i,
					  "expected auto or 401, as GET and HEAD alone are "
					  "redirected and the methods have neither");
	if (r->preflight && config_list_has(&r->methods, SV("OPTIONS")))
		return config_build_error(b, CONFIG_OPT_route_preflight, i,
					  "expected refuse, as the methods name OPTIONS: give it a "
					  "route of its own");
	return ERR_OK;
}

static enum err check_session(const struct config_build *b, size_t i)
{
	const struct config_route *r = &b->c->routes[i];
	enum err err = r->session == SESSION_NONE ? check_without_session(b, i) : ERR_OK;

	if (err == ERR_OK && r->session != SESSION_REQUIRED)
		err = check_evadable(b, i);
	if (err == ERR_OK)
		err = check_ineffective(b, i);
	if (err != ERR_OK)
		return err;
	if (r->authorization == AUTHORIZATION_PASS && r->session == SESSION_REQUIRED)
		return config_build_error(b, CONFIG_OPT_route_authorization, i,
					  "expected pass with session = optional or none alone");
	if (r->authorization == AUTHORIZATION_PASS && r->service != NULL)
		return config_build_error(b, CONFIG_OPT_route_authorization, i,
					  "expected service, as the route has one");
	if (r->on_no_login != NO_LOGIN_AUTO && r->session != SESSION_REQUIRED)
		return config_build_error(
		    b, CONFIG_OPT_route_on_no_login, i,
		    "expected with session = required alone, it has no effect "
		    "here");
	if (r->service != NULL && r->service->provider != r->app->provider)
		return config_build_error(
		    b, CONFIG_OPT_route_service, i,
		    "expected a service of provider \"" SV_FMT
		    "\", who logs this app's users in; it is of \"" SV_FMT "\"",
		    SV_ARG(r->app->provider->name), SV_ARG(r->service->provider->name));
	return ERR_OK;
}

/* What a step-up asks of /auth/login, which takes words between single spaces, and whole seconds;
 * the words also stand between quotes in WWW-Authenticate. */
static enum err check_step_up(const struct config_build *b, size_t i)
{
	const struct config_route *r = &b->c->routes[i];
	size_t total = 0;

	for (size_t k = 0; k < r->acr.n; k++) {
		struct sv v = r->acr.v[k];

		for (size_t c = 0; c < v.n; c++)
			if (v.p[c] <= ' ' || v.p[c] > '~' || v.p[c] == '"' || v.p[c] == '\\')
				v.n = 0;
		if (v.n == 0)
			return config_build_error(b, CONFIG_OPT_route_acr, i,
						  "expected words of printable ASCII, without "
						  "blanks, quotes and backslashes");
		total += v.n + 1;
	}
	if (total > CONFIG_MAX_ACR + 1)
		return config_build_error(b, CONFIG_OPT_route_acr, i,
					  "expected at most %d bytes together", CONFIG_MAX_ACR);
	if (r->max_age_ms % 1000 != 0)
		return config_build_error(b, CONFIG_OPT_route_max_age, i, "expected whole seconds");
	return ERR_OK;
}

enum err config_check_routes(const struct config_build *b)
{
	size_t nrequires = 0;
	enum err err = ERR_OK;

	for (size_t i = 0; err == ERR_OK && i < b->c->nroutes; i++) {
		err = check_hosts(b, i);
		if (err == ERR_OK)
			err = check_path(b, i);
		if (err == ERR_OK)
			err = check_methods(b, i);
		if (err == ERR_OK)
			err = check_session(b, i);
		if (err == ERR_OK)
			err = check_step_up(b, i);
		if (err == ERR_OK)
			err = config_check_requires(b, i, nrequires);
		nrequires += b->c->routes[i].nrequires;
	}
	return err == ERR_OK ? config_check_overlap(b) : err;
}

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
	    {r->acr.n > 0, CONFIG_OPT_route_acr, "no value"},
	    {r->max_age_ms > 0, CONFIG_OPT_route_max_age, "0s"},
	    {r->nrequires > 0, CONFIG_OPT_route_session, "required or optional, for require"},
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

static enum err check_session(const struct config_build *b, size_t i)
{
	const struct config_route *r = &b->c->routes[i];
	enum err err = r->session == SESSION_NONE ? check_without_session(b, i) : ERR_OK;

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

/* first: of the route's rules among all. */
static enum err check_requires(const struct config_build *b, size_t i, size_t first)
{
	const struct config_route *r = &b->c->routes[i];

	for (size_t k = 0; k < r->nrequires; k++) {
		const struct config_require *q = &r->requires[k];

		if (q->op == 0)
			return config_build_error(b, CONFIG_OPT_require_claim, first + k,
						  "expected one of equals, contains, any, all, "
						  "domain beside it");
		if (!config_claim_is_kept(r->app->provider, q->claim))
			return config_build_error(b, CONFIG_OPT_require_claim, first + k,
						  "expected \"subject\" or a claim that the "
						  "provider's keep_claims has, else nobody passes");
		for (size_t m = 0; q->op == REQUIRE_DOMAIN && m < q->values.n; m++)
			if (!config_host_is_domain(q->values.v[m]))
				return config_build_error(b, CONFIG_OPT_require_domain, first + k,
							  "expected domains of at least two "
							  "labels, without @");
	}
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
			err = check_requires(b, i, nrequires);
		nrequires += b->c->routes[i].nrequires;
	}
	return err == ERR_OK ? config_check_overlap(b) : err;
}

#include "common/config_build.h"
#include "common/config_value.h"

/* Names of cookies that are ours already. */
static const char *const own_cookies[] = {"bff_csrf",	"bff_login",	     "__Host-bff_login",
					  "bff_logout", "__Host-bff_logout", "__Secure-bff_logout",
					  "bff_loop",	"__Host-bff_loop"};

static enum err check_scheme(const struct config_build *b, enum config_option_id id, size_t i,
			     const struct config_origin *o)
{
	if (o->scheme.n == 5 ||
	    (b->c->apps[i].insecure_loopback && config_host_is_loopback(o->host)))
		return ERR_OK;
	return config_build_error(b, id, i,
				  "expected https in " SV_FMT " (http is taken on loopback names "
				  "alone, with insecure_loopback = yes)",
				  SV_ARG(o->text));
}

static enum err check_schemes(const struct config_build *b, enum config_option_id id, size_t i,
			      const struct config_origins *list)
{
	enum err err = ERR_OK;

	for (size_t k = 0; err == ERR_OK && k < list->n; k++)
		err = check_scheme(b, id, i, &list->v[k]);
	return err;
}

static enum err check_after_logout(const struct config_build *b, size_t i)
{
	const struct config_list *list = &b->c->apps[i].after_logout;
	enum err err = ERR_OK;

	for (size_t k = 0; err == ERR_OK && k < list->n; k++) {
		char text[CONFIG_ORIGIN_TEXT];
		struct config_origin o;
		struct sv rest;

		if (config_parse_url(list->v[k], text, &o, &rest) != ERR_OK)
			return config_build_error(b, CONFIG_OPT_app_after_logout, i,
						  "expected absolute URLs");
		err = check_scheme(b, CONFIG_OPT_app_after_logout, i, &o);
	}
	return err;
}

static enum err check_cookie_domain(const struct config_build *b, size_t i)
{
	const struct config_app *a = &b->c->apps[i];

	if (a->cookie_domain.n == 0) {
		if (a->login_origin.text.n > 0 &&
		    !config_origins_have(&a->origins, a->login_origin.text))
			return config_build_error(
			    b, CONFIG_OPT_app_login_origin, i,
			    "expected one of the app's origins, as the cookie "
			    "has no cookie_domain");
		return ERR_OK;
	}
	for (size_t k = 0; k < a->cookie_domain.n; k++)
		if (a->cookie_domain.p[k] != sv_lower_char(a->cookie_domain.p[k]))
			return config_build_error(b, CONFIG_OPT_app_cookie_domain, i,
						  "expected lower-case letters");
	if (!config_host_is_domain(a->cookie_domain))
		return config_build_error(b, CONFIG_OPT_app_cookie_domain, i,
					  "expected a domain of at least two labels, without a "
					  "leading dot");
	if (a->login_origin.text.n == 0)
		return config_build_error(b, CONFIG_OPT_app_login_origin, i,
					  "expected an origin, as the app has a cookie_domain");
	if (!config_host_within(a->login_origin.host, a->cookie_domain))
		return config_build_error(b, CONFIG_OPT_app_cookie_domain, i,
					  "expected a parent of the login_origin's host " SV_FMT,
					  SV_ARG(a->login_origin.host));
	for (size_t k = 0; k < a->origins.n; k++)
		if (!config_host_within(a->origins.v[k].host, a->cookie_domain))
			return config_build_error(b, CONFIG_OPT_app_cookie_domain, i,
						  "expected a parent of every origin's host, it is "
						  "none of " SV_FMT,
						  SV_ARG(a->origins.v[k].host));
	return ERR_OK;
}

static enum err check_cookie_name(const struct config_build *b, size_t i)
{
	const struct config_app *a = &b->c->apps[i];
	struct sv host_prefix = SV("__Host-"), secure_prefix = SV("__Secure-");
	bool host = sv_eq_nocase(sv_cut(a->cookie_name, 0, host_prefix.n), host_prefix);
	bool secure = sv_eq_nocase(sv_cut(a->cookie_name, 0, secure_prefix.n), secure_prefix);
	bool http = a->login_origin.scheme.n == 4;

	if (!config_is_token(a->cookie_name))
		return config_build_error(b, CONFIG_OPT_app_cookie_name, i,
					  "expected a token (RFC 9110 5.6.2)");
	for (size_t k = 0; k < ARRAY_LEN(own_cookies); k++)
		if (sv_eq_nocase(a->cookie_name, sv_str(own_cookies[k])))
			return config_build_error(b, CONFIG_OPT_app_cookie_name, i,
						  "expected a name that is not another cookie's of "
						  "bff");
	for (size_t k = 0; k < a->origins.n; k++)
		http = http || a->origins.v[k].scheme.n == 4;
	if (host && a->cookie_domain.n > 0)
		return config_build_error(b, CONFIG_OPT_app_cookie_name, i,
					  "expected no prefix __Host- with a cookie_domain");
	if ((host || secure) && http)
		return config_build_error(b, CONFIG_OPT_app_cookie_name, i,
					  "expected no prefix __Host- or __Secure- with an http "
					  "origin, browsers refuse that");
	return ERR_OK;
}

static enum err check_times(const struct config_build *b, size_t i)
{
	const struct config_app *a = &b->c->apps[i];

	if (a->idle_timeout_ms > a->absolute_timeout_ms)
		return config_build_error(b, CONFIG_OPT_app_idle_timeout, i,
					  "expected at most the absolute_timeout");
	if (a->revalidate_ms >= a->absolute_timeout_ms)
		return config_build_error(b, CONFIG_OPT_app_revalidate, i,
					  "expected less than the absolute_timeout");
	return ERR_OK;
}

static enum err check_app(const struct config_build *b, size_t i)
{
	const struct config_app *a = &b->c->apps[i];
	enum err err = check_schemes(b, CONFIG_OPT_app_origins, i, &a->origins);

	if (err == ERR_OK && a->login_origin.text.n > 0)
		err = check_scheme(b, CONFIG_OPT_app_login_origin, i, &a->login_origin);
	if (err == ERR_OK)
		err = check_schemes(b, CONFIG_OPT_app_return_to, i, &a->return_to);
	if (err == ERR_OK)
		err = check_schemes(b, CONFIG_OPT_app_cors_origins, i, &a->cors_origins);
	if (err == ERR_OK)
		err = check_after_logout(b, i);
	if (err == ERR_OK && (!config_is_canonical_path(a->auth_path) || a->auth_path.n == 1 ||
			      a->auth_path.p[a->auth_path.n - 1] == '/'))
		err = config_build_error(b, CONFIG_OPT_app_auth_path, i,
					 "expected a path that starts with / and does not end "
					 "with it");
	if (err == ERR_OK)
		err = check_cookie_domain(b, i);
	if (err == ERR_OK)
		err = check_cookie_name(b, i);
	if (err == ERR_OK)
		err = check_times(b, i);
	for (size_t k = 0; err == ERR_OK && k < a->page_claims.n; k++)
		if (!config_claim_is_kept(a->provider, a->page_claims.v[k]))
			err = config_build_error(b, CONFIG_OPT_app_page_claims, i,
						 "expected claims that the provider's keep_claims "
						 "has, \"" SV_FMT "\" is dropped at login",
						 SV_ARG(a->page_claims.v[k]));
	return err;
}

/* The k-th origin of an app with its login_origin as the last; NULL beyond. */
static const struct config_origin *origin_at(const struct config_app *a, size_t k)
{
	if (k < a->origins.n)
		return &a->origins.v[k];
	return k == a->origins.n && a->login_origin.text.n > 0 ? &a->login_origin : NULL;
}

static bool share_origin(const struct config_app *a, const struct config_app *other,
			 const struct config_origin **ret)
{
	const struct config_origin *o, *p;

	for (size_t k = 0; (o = origin_at(a, k)) != NULL; k++)
		for (size_t m = 0; (p = origin_at(other, m)) != NULL; m++)
			if (sv_eq(o->text, p->text)) {
				*ret = o;
				return true;
			}
	return false;
}

/* Whether a browser may send a's session cookie to one of other's hosts; ports do not separate
 * cookies (RFC 6265 8.5). */
static bool cookie_reaches(const struct config_app *a, const struct config_app *other)
{
	const struct config_origin *o, *p;

	for (size_t m = 0; (p = origin_at(other, m)) != NULL; m++) {
		if (a->cookie_domain.n > 0 && config_host_within(p->host, a->cookie_domain))
			return true;
		for (size_t k = 0; (o = origin_at(a, k)) != NULL; k++)
			if (sv_eq(o->host, p->host))
				return true;
	}
	return false;
}

static enum err check_pair(const struct config_build *b, size_t i, size_t k)
{
	const struct config_app *a = &b->c->apps[i], *other = &b->c->apps[k];
	const struct config_origin *shared = NULL;

	if (share_origin(a, other, &shared)) {
		bool login = !config_origins_have(&a->origins, shared->text);

		return config_build_error(
		    b, login ? CONFIG_OPT_app_login_origin : CONFIG_OPT_app_origins, i,
		    "expected origins of its own, " SV_FMT " is one of app \"" SV_FMT "\"",
		    SV_ARG(shared->text), SV_ARG(other->name));
	}
	if (sv_eq(a->cookie_name, other->cookie_name) &&
	    (cookie_reaches(a, other) || cookie_reaches(other, a)))
		return config_build_error(b, CONFIG_OPT_app_cookie_name, i,
					  "expected a name of its own, as browsers send this app's "
					  "cookie and that of app \"" SV_FMT "\" to a common host",
					  SV_ARG(other->name));
	return ERR_OK;
}

enum err config_check_apps(const struct config_build *b)
{
	enum err err = ERR_OK;

	for (size_t i = 0; err == ERR_OK && i < b->c->napps; i++) {
		err = check_app(b, i);
		for (size_t k = 0; err == ERR_OK && k < i; k++)
			err = check_pair(b, i, k);
	}
	return err;
}

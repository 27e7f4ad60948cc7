#include "common/b64.h"
#include "worker/cookie.h"

static bool is_plain(const struct config_origin *origin)
{
	return sv_eq(origin->scheme, SV("http"));
}

struct sv cookie_login_name(const struct config_origin *origin)
{
	return is_plain(origin) ? SV(COOKIE_LOGIN_PLAIN) : SV(COOKIE_LOGIN);
}

struct sv cookie_loop_name(const struct config_origin *origin)
{
	return is_plain(origin) ? SV(COOKIE_LOOP_PLAIN) : SV(COOKIE_LOOP);
}

struct sv cookie_logout_name(const struct config_app *app, const struct config_origin *origin)
{
	if (is_plain(origin))
		return SV(COOKIE_LOGOUT_PLAIN);
	return app->cookie_domain.n > 0 ? SV(COOKIE_LOGOUT_DOMAIN) : SV(COOKIE_LOGOUT);
}

static void attributes(struct buf *out, const struct config_origin *origin, struct sv domain,
		       const char *same_site)
{
	buf_add(out, SV("; Path=/"));
	if (domain.n > 0) {
		buf_add(out, SV("; Domain="));
		buf_add(out, domain);
	}
	if (!is_plain(origin))
		buf_add(out, SV("; Secure"));
	buf_addf(out, "; SameSite=%s", same_site);
}

static const char *same_site_of(const struct config_app *app)
{
	switch (app->same_site) {
	case SAME_SITE_LAX:
		return "Lax";
	case SAME_SITE_STRICT:
		return "Strict";
	}
	return "Strict";
}

static void pair(struct buf *out, struct sv name, struct sv value)
{
	buf_add(out, name);
	buf_add_char(out, '=');
	buf_add(out, value);
}

void cookie_set_session(struct buf *out, const struct config_app *app,
			const struct config_origin *origin, struct sv value)
{
	pair(out, app->cookie_name, value);
	attributes(out, origin, app->cookie_domain, same_site_of(app));
	buf_add(out, SV("; HttpOnly"));
}

void cookie_set_csrf(struct buf *out, const struct config_app *app,
		     const struct config_origin *origin, struct sv token)
{
	pair(out, SV(COOKIE_CSRF), token);
	attributes(out, origin, app->cookie_domain, same_site_of(app));
}

void cookie_set_login(struct buf *out, const struct config_origin *origin,
		      const unsigned char binding[COOKIE_SECRET_LEN])
{
	char text[B64URL_LEN(COOKIE_SECRET_LEN)];

	pair(out, cookie_login_name(origin),
	     sv_of(text, b64url_encode(binding, COOKIE_SECRET_LEN, text)));
	/* Lax whatever the app says: the callback comes from the provider's site. */
	attributes(out, origin, SV_NONE, "Lax");
	buf_add(out, SV("; HttpOnly"));
	explicit_bzero(text, sizeof text);
}

void cookie_set_loop(struct buf *out, const struct config_origin *origin, struct sv value,
		     unsigned age_s)
{
	pair(out, cookie_loop_name(origin), value);
	attributes(out, origin, SV_NONE, "Lax");
	buf_addf(out, "; HttpOnly; Max-Age=%u", age_s);
}

void cookie_clear_session(struct buf *out, const struct config_app *app,
			  const struct config_origin *origin)
{
	cookie_set_session(out, app, origin, SV_NONE);
	buf_add(out, SV("; Max-Age=0"));
}

void cookie_clear_csrf(struct buf *out, const struct config_app *app,
		       const struct config_origin *origin)
{
	cookie_set_csrf(out, app, origin, SV_NONE);
	buf_add(out, SV("; Max-Age=0"));
}

static void logout(struct buf *out, const struct config_app *app,
		   const struct config_origin *origin, struct sv value, unsigned max_age_s)
{
	pair(out, cookie_logout_name(app, origin), value);
	/* Lax whatever the app says: the way back is from the provider's site. */
	attributes(out, origin, app->cookie_domain, "Lax");
	buf_addf(out, "; HttpOnly; Max-Age=%u", max_age_s);
}

void cookie_set_logout(struct buf *out, const struct config_app *app,
		       const struct config_origin *origin, struct sv value)
{
	logout(out, app, origin, value, COOKIE_LOGOUT_S);
}

void cookie_clear_logout(struct buf *out, const struct config_app *app,
			 const struct config_origin *origin)
{
	logout(out, app, origin, SV_NONE, 0);
}

/*
 * login_url - the addresses we send a browser to, and what an error in its return means
 *
 * Pure composers and tables (RFC 6749 4.1.1 and 4.1.2.1, RFC 7636 4.3, RFC 8707 2.1, OIDC Core
 * 3.1.2.1 and 3.1.2.6, RP-Initiated Logout 2, RFC 9207 2.4).
 */
#ifndef BFF_LOGIN_URL_H
#define BFF_LOGIN_URL_H

#include "common/buf.h"
#include "common/config.h"
#include "common/ipc.h"

#define LOGIN_SCOPES_MAX 4096

struct login_url {
	struct sv endpoint; /* authorization_endpoint, may have a query */
	const struct config_provider *provider;
	const struct config *config; /* its services name the resources asked for */
	bool consent_for_offline, access_type_offline; /* provider_traits */
	struct sv redirect_uri, state, nonce, code_challenge;
	struct sv prompt, login_hint; /* may be empty */
};
/* Appends the whole URL; the caller checks buf_ok(). */
void login_url_compose(struct buf *b, const struct login_url *u);

struct logout_url {
	struct sv endpoint; /* end_session_endpoint */
	struct sv client_id, post_logout_redirect_uri;
	struct sv id_token_hint; /* empty: none */
};
void logout_url_compose(struct buf *b, const struct logout_url *u);

/* The `error` of an authorization response; silent: the request said prompt=none. */
enum ipc_error login_error_meaning(struct sv error, bool silent);

/* RFC 9207: NULL when the response may be of this issuer, else a constant word. */
const char *login_iss_refusal(struct sv iss, struct sv issuer, bool iss_parameter_supported);

/* Where a browser lands after logout: the app's first after_logout, else the origin's root. */
void logout_target(struct buf *b, const struct config_app *app, struct sv origin);

/* Whether a login of this app may run on the origin. */
bool login_origin_ok(const struct config_app *app, struct sv origin);

#endif

/*
 * login_url - the addresses we send a browser to, and what an error in its return means
 *
 * Pure composers and tables (RFC 6749 4.1.1 and 4.1.2.1, RFC 7636 4.3, RFC 8707 2.1, RFC 9126 4,
 * OIDC Core 3.1.2.1 and 3.1.2.6, RP-Initiated Logout 2, RFC 9207 2.4).
 */
#ifndef BFF_LOGIN_URL_H
#define BFF_LOGIN_URL_H

#include "broker/provider.h"
#include "common/ipc.h"

#define LOGIN_SCOPES_MAX 4096
#define LOGIN_REQUEST_MAX 65536 /* parameters of one that is pushed; else a URL's end decides */

struct login_request {
	const struct config_provider *provider;
	const struct provider_traits *traits;
	struct sv redirect_uri, state, nonce, code_challenge;
	struct sv resources;			  /* login_resources() */
	struct sv prompt, login_hint, acr_values; /* may be empty */
	bool has_max_age;
	uint32_t max_age_s;
	struct sv claims;	 /* Core 5.5, as a token endpoint demanded; may be empty */
	struct sv id_token_hint; /* may be empty; only where no URL carries it */
};
/* Appends to an empty buffer the resources of the provider's services (RFC 8707), each once, by
 * spaces, in the order of the configuration. */
void login_resources(struct buf *b, const struct config *c, const struct config_provider *p);

/* Each appends form-encoded parameters to an empty buffer, whose buf_ok() the caller checks: the
 * authorization request itself, and what the browser carries of one that was pushed (RFC 9126 4).
 */
void login_request_compose(struct buf *b, const struct login_request *u);
void login_pushed_compose(struct buf *b, struct sv client_id, struct sv request_uri);

/* Appends the URL of an endpoint, which may have a query of its own, with parameters. */
void url_with_query(struct buf *b, struct sv endpoint, struct sv parameters);

struct logout_url {
	struct sv endpoint; /* end_session_endpoint */
	struct sv client_id, post_logout_redirect_uri, state;
	struct sv id_token_hint; /* empty: none */
};
void logout_url_compose(struct buf *b, const struct logout_url *u);

/* The same as a form, to post to the endpoint. */
void logout_form_compose(struct buf *b, const struct logout_url *u);

/* The `error` of an authorization response; silent: the request said prompt=none. */
enum ipc_error login_error_meaning(struct sv error, bool silent);

/* RFC 9207: NULL when the response may be of this issuer, else a constant word. */
const char *login_iss_refusal(struct sv iss, struct sv issuer, bool iss_parameter_supported);

/* Where the provider sends a browser back to: our own logout endpoint, on the app's login_origin or
 * else the origin. */
void logout_return_uri(struct buf *b, const struct config_app *app, struct sv origin);

/* Whether a login of this app may run on the origin. */
bool login_origin_ok(const struct config_app *app, struct sv origin);

#endif

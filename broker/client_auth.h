/*
 * client_auth - how we prove to a token endpoint which client we are
 *
 * client_secret_basic form-urlencodes id and secret before base64, as RFC 6749 2.3.1 wants and
 * libcurl does not; client_secret_post puts both into the form; private_key_jwt adds a signed
 * assertion (RFC 7523 2.2), a new one with each call, for the issuer or for a token endpoint on the
 * issuer's host; with mutual TLS (RFC 8705 2) the connection
 * proves it and the form only names the client. There is no `none`.
 */
#ifndef BFF_CLIENT_AUTH_H
#define BFF_CLIENT_AUTH_H

#include "broker/client_credential.h"

struct client_auth {
	const struct config_provider *provider;
	const struct client_credential *credential;
	enum config_alg rsa;	  /* of assertions by an RSA key */
	struct sv token_endpoint; /* assertion_audience may want it */
	int64_t now_s;
};

/* Adds to `form` or writes the Authorization header's value to `authorization`; both are the
 * caller's, hold secrets and are checked with buf_ok(). ERR_CONFIG without a credential,
 * ERR_DENIED where the token endpoint is not on the issuer's host and the assertion would be for
 * it, ERR_CRYPTO, ERR_NOMEM. */
WARN_UNUSED enum err client_auth_apply(const struct client_auth *a, struct buf *form,
				       struct buf *authorization);

#endif

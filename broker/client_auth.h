/*
 * client_auth - how we prove to a token endpoint which client we are (RFC 6749 2.3.1)
 *
 * Pure. client_secret_basic form-urlencodes id and secret before base64, as the RFC wants and
 * libcurl does not; client_secret_post puts both into the form.
 */
#ifndef BFF_CLIENT_AUTH_H
#define BFF_CLIENT_AUTH_H

#include "common/buf.h"
#include "common/config.h"

/* Adds to `form` or writes the Authorization header's value to `authorization`; both are the
 * caller's, hold secrets and are checked with buf_ok(). ERR_UNSUPPORTED for the methods that have
 * no shared secret; ERR_CONFIG without a secret. */
WARN_UNUSED enum err client_auth_apply(const struct config_provider *p, struct sv secret,
				       struct buf *form, struct buf *authorization);

#endif

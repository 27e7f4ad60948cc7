/*
 * http_trust - whom the TLS connections to one provider trust, and what they show of us
 *
 * Authorities, client certificate and the TLS sessions made under them, as OpenSSL has them: read
 * once, since every POST makes a connection, and libcurl would parse the PEM again for each. A
 * session is resumed under the same http_trust alone: what was verified under one authority, or
 * shown to be one client, counts for no other. Outlives its flights.
 */
#ifndef BFF_HTTP_TRUST_H
#define BFF_HTTP_TRUST_H

#include <curl/curl.h>

#include "common/sv.h"

struct http_trust;

/* ca: PEM of the authorities; empty: the system's, found as libcurl was built to. client: PEM of a
 * private key, its certificate and the chain; empty: none is shown. ERR_CONFIG: what is there
 * cannot be used; ERR_NOMEM. */
WARN_UNUSED enum err http_trust_new(struct sv ca, struct sv client, struct http_trust **ret);

/* Accepts NULL. */
void http_trust_free(struct http_trust **t);

/* NULL: no. */
bool http_trust_shows_certificate(const struct http_trust *t);

/* Has the easy handle use it. ERR_NOMEM. */
WARN_UNUSED enum err http_trust_set(const struct http_trust *t, CURL *easy);

#endif

/*
 * discovery - a provider's metadata document (OIDC Discovery 4, RFC 8414 3.3)
 *
 * Pure: the document in, checked endpoints or one word out. The issuer must be equal to the
 * configured one byte for byte, trailing slash included; every endpoint https, or http on a
 * loopback name under HTTP_LOOPBACK_TOO. Fetching and keeping is provider.c's.
 */
#ifndef BFF_DISCOVERY_H
#define BFF_DISCOVERY_H

#include "broker/http_url.h"
#include "broker/provider.h"
#include "common/buf.h"

#define DISCOVERY_BYTES_MAX (128 * 1024)

struct discovery {
	struct provider_metadata metadata; /* views into `text` */
	enum config_alg assertion_rsa;	   /* RS256 where that is all it lists, else PS256 */
	struct buf text;
};

/* <issuer without a final slash>/.well-known/openid-configuration (Discovery 4.1). ERR_SYNTAX: the
 * issuer has a query or fragment, or is not allowed by the policy. */
WARN_UNUSED enum err discovery_url(struct sv issuer, enum http_policy policy, struct buf *out);

/* MUTUAL_TLS: an endpoint that has an alias under mtls_endpoint_aliases (RFC 8705 5) is that. */
enum discovery_tls { DISCOVERY_PLAIN = 1, DISCOVERY_MUTUAL_TLS };

/* On failure *ret_detail is a constant word naming what is wrong. ERR_SYNTAX, ERR_LIMIT,
 * ERR_DENIED, ERR_UNSUPPORTED, ERR_NOMEM. */
WARN_UNUSED enum err discovery_parse(struct sv body, struct sv issuer, enum http_policy policy,
				     enum discovery_tls tls, struct discovery **ret,
				     const char **ret_detail);
void discovery_free(struct discovery **d);

#endif

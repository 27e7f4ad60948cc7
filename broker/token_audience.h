/*
 * token_audience - is this token the service's? As far as it can be read
 *
 * Pure. An access token is opaque to a client; where it is a JWT all the same (RFC 9068), its
 * audience is compared, because some providers silently answer with a token for another API
 * (Auth0), and sending that to a service gives it somebody else's token. No signature is checked:
 * the token came from the token endpoint, and nothing here is trusted, only refused.
 */
#ifndef BFF_TOKEN_AUDIENCE_H
#define BFF_TOKEN_AUDIENCE_H

#include "common/config.h"

/* What to think of one that cannot be read. Refused where the product ignores an audience that it
 * does not know: its tokens for APIs are JWTs. */
enum token_opaque { TOKEN_OPAQUE_PASSES = 1, TOKEN_OPAQUE_REFUSED };

/* False: a JWT whose aud does not hold the service's audience (else resource), or a refused opaque
 * token. True for services that name neither. */
bool token_audience_ok(const struct config_service *service, enum token_opaque opaque,
		       struct sv access_token);

/* False: the answer names its scope, were it none, and a scope of the service is missing there. Not
 * asked of openid, offline_access and names that end in /.default, which providers expand. */
bool token_scope_ok(const struct config_service *service, struct sv scope);

#endif

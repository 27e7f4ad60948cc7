/*
 * jwt_claims - what every token of a provider must say, whatever its kind (RFC 7519 4.1)
 *
 * Pure. The checks that ID tokens (OIDC Core 3.1.3.7) and logout tokens (Back-Channel Logout 2.6)
 * share; each reads one claim of a payload whose signature held. Strict where the specification is
 * soft: an audience beside ours is refused.
 */
#ifndef BFF_JWT_CLAIMS_H
#define BFF_JWT_CLAIMS_H

#include "broker/jwt_refusal.h"
#include "common/clock.h"
#include "common/sv.h"

#define JWT_SKEW_S CLOCK_SKEW_S
#define JWT_IAT_PAST_S 3600 /* an older one is not of this login or logout */
#define JWT_SUB_MAX 255	    /* Core 2 */
#define JWT_AUD_MAX 64	    /* elements: ZITADEL names all applications of a project */

struct json_object;

struct jwt_times {
	int64_t iat_s, exp_s;
};

WARN_UNUSED enum jwt_refusal jwt_iss(struct json_object *o, struct sv issuer);
WARN_UNUSED enum jwt_refusal jwt_aud(struct json_object *o, struct sv client_id);

/* exp and iat must be there; nbf is honoured. *ret is written only for JWT_NONE. */
WARN_UNUSED enum jwt_refusal jwt_times(struct json_object *o, int64_t now_s, struct jwt_times *ret);

/* JWT_NONE with *ret empty: not there. The views live as long as `o`. */
WARN_UNUSED enum jwt_refusal jwt_sub(struct json_object *o, struct sv *ret);
WARN_UNUSED enum jwt_refusal jwt_sid(struct json_object *o, struct sv *ret);

/* Not empty, and no control character. */
bool jwt_is_text(struct sv s);

#endif

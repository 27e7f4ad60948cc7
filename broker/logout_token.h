/*
 * logout_token - what a verified logout token must say (OIDC Back-Channel Logout 1.0, 2.4 and 2.6)
 *
 * Pure: payload, rules and the time in, who is to be logged out or one word out. Runs after the
 * signature held. No ID token passes (it has no event and has, mostly, a nonce), and id_token.c
 * takes no logout token. Claims it does not know are ignored.
 */
#ifndef BFF_LOGOUT_TOKEN_H
#define BFF_LOGOUT_TOKEN_H

#include "broker/jwt_claims.h"

#define LOGOUT_TOKEN_MAX 8192 /* bytes of the whole token, which comes from a stranger */
#define LOGOUT_JTI_MAX 512

struct logout_token_rules {
	struct sv issuer, client_id;
	struct sv typ; /* of the header; empty: absent */
	int64_t now_s;
};

/* The views live until logout_token_done(). Zero it before. */
struct logout_token {
	struct sv sub, sid; /* one of them may be empty */
	struct sv jti;
	int64_t iat_s;
	int64_t replayable_until_s; /* from then on the checks here refuse it */
	struct json_object *payload;
};

WARN_UNUSED enum jwt_refusal logout_token_check(struct sv payload,
						const struct logout_token_rules *rules,
						struct logout_token *ret);
void logout_token_done(struct logout_token *t);

#endif

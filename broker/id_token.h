/*
 * id_token - what a verified token's payload must say (OIDC Core 3.1.3.7, 3.1.3.8, 12.2), and what
 * UserInfo must (5.3.2, 5.3.4)
 *
 * Pure: payload, rules and the time in, claims or one word out. Runs after the signature held.
 * Strict where the specification is soft: an audience beside ours is refused (but see azp_decides),
 * as is a claim of a wrong type, whether needed or not, among those this file reads.
 */
#ifndef BFF_ID_TOKEN_H
#define BFF_ID_TOKEN_H

#include "broker/jwt_claims.h"
#include "broker/provider.h"
#include "common/buf.h"

#define ID_TOKEN_PAYLOAD_MAX 65536
#define ID_TOKEN_CLAIMS_MAX 16384 /* serialised, after keep_claims */

struct id_token_rules {
	struct sv issuer, client_id;
	enum config_alg alg; /* decides at_hash's digest */
	bool azp_decides; /* others beside us in aud pass where azp says that it is ours (preset.h)
			   */
	bool auth_time_moves; /* at a refresh it may be later than at the login (preset.h) */
	struct sv typ;	      /* of the header; empty: absent */
	struct sv subject_claim;
	bool userinfo_follows; /* an ID token without subject_claim may pass: subject is empty then
				*/
	struct config_list keep_claims;
	struct id_token_expect expect;
	int64_t now_s;
};

struct json_object;

/* The views of `claims` live until id_token_done(). Zero it before. */
struct id_token {
	struct id_token_claims claims;
	struct json_object *payload, *kept;
};

WARN_UNUSED enum jwt_refusal id_token_check(struct sv payload, const struct id_token_rules *rules,
					    struct id_token *ret);

/* UserInfo (Core 5.3.2) under the same rules, as far as they are about it: sub, subject and kept
 * claims; of a signed one also typ, and iss, aud and exp where it has them. */
WARN_UNUSED enum jwt_refusal userinfo_check(struct sv payload, const struct id_token_rules *rules,
					    struct id_token *ret);
WARN_UNUSED enum jwt_refusal
userinfo_check_signed(struct sv payload, const struct id_token_rules *rules, struct id_token *ret);

void id_token_done(struct id_token *t);

#endif

/*
 * login_claims - who logged in: what the ID token said, and UserInfo beside it
 *
 * Copies, because the session is made some turns of the loop after the ID token was verified.
 * UserInfo adds, and wins where both speak (OIDC Core 5.3.2 makes it of the same sub), except of
 * sub and iss. email and email_verified go together: they come from the same place. Pure.
 */
#ifndef BFF_LOGIN_CLAIMS_H
#define BFF_LOGIN_CLAIMS_H

#include "broker/provider.h"

/* Views are valid until login_claims_done(). Zero it before. */
struct login_claims {
	struct sv sub, subject, sid, email, acr;
	int64_t auth_time_s;
	struct sv claims; /* JSON object, after keep_claims */
	struct buf text, merged;
};

/* What the ID token said. ERR_NOMEM. */
WARN_UNUSED enum err login_claims_take(struct login_claims *c, const struct id_token_claims *from);

/* Adds what UserInfo said; `from` is the provider's claims_from, which has CLAIMS_USERINFO: without
 * CLAIMS_ID_TOKEN the ID token's own claims are dropped but for sub and iss. ERR_LIMIT: more than
 * a session may hold; ERR_NOMEM. Once. */
WARN_UNUSED enum err login_claims_merge(struct login_claims *c, unsigned from,
					const struct id_token_claims *userinfo);

void login_claims_done(struct login_claims *c);

#endif

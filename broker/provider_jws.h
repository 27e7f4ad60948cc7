/*
 * provider_jws - was this token signed by the provider, and what does it carry?
 *
 * The one place where a token meets the provider's keys: header against the pinned algorithm, then
 * the signature, and only then the payload. Fetches keys when there are none or they are old, and
 * once for a key that is not there, while the bucket has a token: logout tokens come from
 * strangers, who have a bucket of their own and cannot empty the one that logins need.
 * Used by provider_id_token.c and provider_logout_token.c.
 */
#ifndef BFF_PROVIDER_JWS_H
#define BFF_PROVIDER_JWS_H

#include "broker/jwt_refusal.h"
#include "broker/key_source.h"
#include "broker/provider.h"

/* Called exactly once, from the loop. ERR_OK: the signature held; typ (empty: absent) and payload
 * are valid during the call. Else `why` says what failed: ERR_CRYPTO (refused), ERR_UNAVAILABLE (no
 * keys to be had, or none of a stranger's that may be looked for now), ERR_CANCELED. */
typedef void (*provider_jws_fn)(void *arg, enum err e, struct sv typ, struct sv payload,
				enum jwt_refusal why);

/* Copies the token. */
WARN_UNUSED enum err provider_jws(struct provider *p, struct sv jwt, enum key_asker asker,
				  provider_jws_fn fn, void *arg);

#endif

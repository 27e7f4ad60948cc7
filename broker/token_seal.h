/*
 * token_seal - the sealed values of a grant and of its tokens
 *
 * Under which label each is sealed, under which name and configuration a service's token is filed,
 * and which of what stands in a row an asker can use. An access token is sealed together with the
 * lifetime it came with, from which token_judge() makes the refresh-ahead margin. Pure but for the
 * keys. SECURITY: what is opened is a struct secret.
 */
#ifndef BFF_TOKEN_SEAL_H
#define BFF_TOKEN_SEAL_H

#include "broker/token_row.h"
#include "broker/vault.h"
#include "common/crypt.h"

/* Filed under this name: the access token of the login itself. */
#define TOKEN_SESSION_SERVICE SV("@session")

/* The name a service's token is filed under. */
struct sv token_filed_as(const struct config_service *s);

/* SHA-256 over all of the configuration that decides what token a service gets. */
WARN_UNUSED enum err token_config_digest(const struct config_service *s,
					 unsigned char out[CRYPT_SHA256_LEN]);

/* Seals an access token with its lifetime for its row. */
WARN_UNUSED enum err token_seal(const struct keyring *ring, struct sv grant_id, struct sv filed_as,
				int64_t generation, struct sv token, int64_t ttl_ms,
				struct buf *out);

/*
 * Opens the token that the asker can use from this row. *ret is NULL and *held zero when there is
 * none: nothing stands there, it was filed under another configuration of the service, its time
 * is over, or it does not open (*ret_failure is then why, else ERR_OK). wall_s judges the `exp` of
 * an ID token.
 */
void token_open(const struct keyring *ring, const struct token_row *row,
		const struct token_ask *ask, int64_t wall_s, struct secret **ret,
		struct token_held *held, enum err *ret_failure);

/* The token itself in what token_open() gave for this service. */
struct sv token_view(const struct config_service *s, const struct secret *opened);

/* Labels of the sealed values of a grant; they borrow grant_id. */
struct vault_label token_refresh_label(struct sv grant_id, int64_t generation);
struct vault_label token_id_token_label(struct sv grant_id, int64_t generation);

#endif

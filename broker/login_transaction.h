/*
 * login_transaction - what the broker remembers of a login that is under way
 *
 * Nonce, PKCE verifier, issuer, whether it was silent, and what the ID token must say besides
 * (acr_values, max_age), sealed in the login's row under the hash of its state. Made by
 * login_begin(), opened once by login_finish().
 */
#ifndef BFF_LOGIN_TRANSACTION_H
#define BFF_LOGIN_TRANSACTION_H

#include "broker/provider.h"
#include "broker/vault.h"
#include "common/b64.h"
#include "common/crypt.h"

#define LOGIN_LIFETIME_MS 900000 /* from beginning to callback */
#define LOGIN_OPEN_MAX 32	 /* open ones of one browser */
#define LOGIN_WORD_LEN B64URL_LEN(32)

struct login_transaction {
	char nonce[LOGIN_WORD_LEN];
	char verifier[LOGIN_WORD_LEN]; /* RFC 7636 4.1: 43 characters, 256 bits */
	bool silent;		       /* prompt=none */
	/* Borrowed: of whoever began it, or of the opened secret. */
	struct sv issuer, acr_values; /* acr_values: by spaces; empty: any */
	bool has_max_age;
	uint32_t max_age_s;
};

/* base64url of 32 random bytes. ERR_CRYPTO. */
WARN_UNUSED enum err login_random_word(char out[LOGIN_WORD_LEN]);

/* Fresh nonce and verifier. */
WARN_UNUSED enum err login_transaction_new(struct login_transaction *ret);
void login_transaction_wipe(struct login_transaction *t);

/* BASE64URL(SHA-256(verifier)) (RFC 7636 4.2). */
WARN_UNUSED enum err login_challenge(const struct login_transaction *t, char out[LOGIN_WORD_LEN]);

WARN_UNUSED enum err login_transaction_seal(const struct keyring *ring, struct sv state_hash,
					    const struct login_transaction *t, struct buf *out);

/* ret's views borrow *room, which the caller frees. */
WARN_UNUSED enum err login_transaction_open(const struct keyring *ring, struct sv state_hash,
					    struct sv sealed, struct secret **room,
					    struct login_transaction *ret);

/*
 * Core 3.1.3.7, items 12 and 13: NULL when the ID token says what was asked for, else a constant
 * word. begun_s: when the login began; max_age is counted from there, as the provider counts it (a
 * person may take minutes for what comes after the password).
 */
const char *login_transaction_unmet(const struct login_transaction *t,
				    const struct id_token_claims *claims, int64_t begun_s);

#endif

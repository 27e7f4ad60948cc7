/*
 * vault - sealing what the database keeps for us and must not be able to read
 *
 * AES-256-GCM under a key of its own for every object: HKDF-SHA-256(ring key, salt = object id,
 * info = purpose). The additional data bind purpose, object id and generation, each with its
 * length, so that a sealed value moved to another row, column or generation does not open.
 * Format: u8 version = 1, u32 key id (big-endian), 12 bytes nonce, ciphertext, 16 bytes tag.
 *
 * Generation: of a refresh token, the one its row has once the token stands in it; of an access
 * token, the one of the grant it was filed with; 0 where an object is written once.
 */
#ifndef BFF_VAULT_H
#define BFF_VAULT_H

#include "broker/keyring.h"
#include "common/secret.h"

#define VAULT_OVERHEAD (1 + 4 + 12 + 16) /* bytes added to the plaintext */
#define VAULT_PLAIN_MAX 65536
#define VAULT_PURPOSE_MAX 96

/* What a sealed value is and where it belongs. */
struct vault_label {
	struct sv purpose; /* "login", "refresh", "id_token", "access:SERVICE" */
	struct sv object;  /* id of the row; never empty */
	int64_t generation;
};

/* Appends the sealed form of `plain` under the primary key. ERR_LIMIT, ERR_CRYPTO, ERR_NOMEM;
 * ERR_UNAVAILABLE: no primary key is known yet. */
WARN_UNUSED enum err vault_seal(const struct keyring *ring, const struct vault_label *label,
				struct sv plain, struct buf *out);

/* ERR_NO_KEY: sealed under a key that is not in the ring, or retired; ERR_UNSUPPORTED: another
 * version; ERR_CRYPTO: altered, or of another label. */
WARN_UNUSED enum err vault_open(const struct keyring *ring, const struct vault_label *label,
				struct sv sealed, struct secret **ret);

#endif

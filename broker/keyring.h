/*
 * keyring - the sealing keys of the key ring file, and what each may do
 *
 * The file holds the bytes: one key a line, `<id> <43 characters of base64url>`, id decimal
 * 1..4294967295; blank lines and lines that begin with # are skipped. PostgreSQL holds the states
 * (key_watch.c brings them): until it was heard every key opens and none seals.
 *
 *	pending       opens: so a key can reach every host before one of them seals with it
 *	primary       seals and opens; at most one
 *	decrypt-only  opens; what it sealed is being re-sealed
 *	retired       does nothing: may leave the file
 *
 * Keys are wiped with the ring. SECURITY: error sentences name lines, never content.
 */
#ifndef BFF_KEYRING_H
#define BFF_KEYRING_H

#include "common/buf.h"

#define KEYRING_KEY_LEN 32
#define KEYRING_KEYS_MAX 64
#define KEYRING_PRINT_LEN 8 /* of a fingerprint */

enum key_state { KEY_PENDING = 1, KEY_PRIMARY, KEY_DECRYPT_ONLY, KEY_RETIRED };

struct keyring;

/* Parses the file's content; `path` is for the sentence. At least one key. ERR_CONFIG, ERR_NOMEM,
 * ERR_CRYPTO. */
WARN_UNUSED enum err keyring_parse(struct sv text, const char *path, struct keyring **ret,
				   struct errmsg *e);

/* Wipes and frees. Accepts NULL. */
void keyring_free(struct keyring **k);

/* The state of key `id`; making one primary, in the ring or not, makes the one before
 * decrypt-only. */
void keyring_set_state(struct keyring *k, uint32_t id, enum key_state to);

/* The sealing key; borrowed from the ring. ERR_UNAVAILABLE: none is known yet. */
WARN_UNUSED enum err keyring_primary(const struct keyring *k, uint32_t *ret_id, struct sv *ret);

/* A key that opens, by id. ERR_NO_KEY. */
WARN_UNUSED enum err keyring_find(const struct keyring *k, uint32_t id, struct sv *ret);

/* The i-th key of the file, 0 <= i < keyring_count(): its id, state, and fingerprint, which is
 * derived one way from the key and tells two keys of one id apart. */
struct keyring_entry {
	uint32_t id;
	enum key_state state;
	unsigned char print[KEYRING_PRINT_LEN];
};
size_t keyring_count(const struct keyring *k);
struct keyring_entry keyring_entry(const struct keyring *k, size_t i);

/* Appends a fresh line with this id. ERR_CRYPTO, ERR_NOMEM. */
WARN_UNUSED enum err keyring_fresh_line(uint32_t id, struct buf *out);

#endif

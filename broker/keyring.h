/*
 * keyring - the sealing keys of the key ring file
 *
 * One key a line: `<id> <state> <43 characters of base64url>`, id decimal 1..4294967295, state one
 * of `primary` (seals and opens), `decrypt-only`, `pending` (opens already, so that a host can be
 * promoted before its peers are). Blank lines and lines that begin with # are skipped; exactly
 * one key is primary; an id or key given twice is refused. Keys are wiped with the ring.
 *
 * SECURITY: error sentences name lines, never content.
 */
#ifndef BFF_KEYRING_H
#define BFF_KEYRING_H

#include "common/buf.h"

#define KEYRING_KEY_LEN 32
#define KEYRING_KEYS_MAX 64

struct keyring;

/* Parses the file's content; `path` is for the sentence. ERR_CONFIG, ERR_NOMEM. */
WARN_UNUSED enum err keyring_parse(struct sv text, const char *path, struct keyring **ret,
				   struct errmsg *e);

/* Wipes and frees. Accepts NULL. */
void keyring_free(struct keyring **k);

/* The sealing key; borrowed from the ring. */
struct sv keyring_primary(const struct keyring *k, uint32_t *ret_id);

/* A key by id, of any state. ERR_NOT_FOUND. */
WARN_UNUSED enum err keyring_find(const struct keyring *k, uint32_t id, struct sv *ret);

size_t keyring_count(const struct keyring *k);

/* Appends a fresh line with this id and state `primary`. ERR_CRYPTO, ERR_NOMEM. */
WARN_UNUSED enum err keyring_fresh_line(uint32_t id, struct buf *out);

#endif

/*
 * cookie_keys - the keys of the session cookie's tag
 *
 * What stands in the file that web.cookie_keys names; read once at start. cookie_keys_parse()
 * and cookie_keys_free() are declared in cookie.h; this header is for cookie.c alone.
 * SECURITY: keys are wiped when freed, and no message holds a byte of one.
 */
#ifndef BFF_COOKIE_KEYS_H
#define BFF_COOKIE_KEYS_H

#include "common/crypt.h"

struct cookie_keys;

/* The i-th key, the first being the one that signs; NULL: there are fewer. */
const struct crypt_hmac_key *cookie_keys_nth(const struct cookie_keys *k, size_t i);

#endif

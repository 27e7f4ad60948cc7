/*
 * jwks - a provider's key set (RFC 7517), parsed into EVP keys once
 *
 * Keeps RSA (2048..8192 bits), EC P-256 and OKP Ed25519 public keys that are for verifying
 * signatures; every other element, and a bad one, is skipped, as RFC 7517 5 wants. Each kept key
 * has passed EVP_PKEY_public_check(). Pure; immutable once parsed.
 */
#ifndef BFF_JWKS_H
#define BFF_JWKS_H

#include <json-c/json.h>

#include "broker/jose.h"

#define JWKS_BYTES_MAX (256 * 1024)
#define JWKS_ELEMENTS_MAX 100 /* of the array, kept or not; more is ERR_LIMIT */
#define JWKS_TRIES_MAX 4      /* keys tried for one token */

struct jwk {
	EVP_PKEY *pkey;
	enum jose_key_type type;
	enum config_alg alg; /* 0: the key names none */
	bool has_kid;
	char kid[JOSE_KID_MAX];
	size_t kid_n;
};

/* One element. ERR_UNSUPPORTED: not a kind we use or not for signatures; ERR_SYNTAX, ERR_CRYPTO:
 * bad. The caller frees ret->pkey. */
WARN_UNUSED enum err jwk_read(struct json_object *o, struct jwk *ret);

struct jwks;

/* ERR_SYNTAX, ERR_LIMIT, ERR_EXISTS, ERR_NOMEM. A set without a usable key is ERR_OK. */
WARN_UNUSED enum err jwks_parse(struct sv body, struct jwks **ret);
void jwks_free(struct jwks **s);
size_t jwks_count(const struct jwks *s);

/* The next key that may have signed under this header, NULL at the end: same kid (a token without
 * one: any), type as the algorithm wants, alg equal or absent. *at starts at 0. */
const struct jwk *jwks_next(const struct jwks *s, const struct jose_header *h, size_t *at);

/* Tries the fitting keys, at most JWKS_TRIES_MAX. JWT_NONE, JWT_KEY (none fits), JWT_SIGNATURE. */
WARN_UNUSED enum jwt_refusal jwks_verify(const struct jwks *s, const struct jose_token *t);

#endif

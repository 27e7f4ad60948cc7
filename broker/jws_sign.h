/*
 * jws_sign - signing JOSE (JWS compact, RFC 7515) on OpenSSL EVP, and public keys as JWK
 *
 * For what the broker says of itself: client assertions and the key set it publishes. The other
 * half is jose.h, which verifies. Header and payload are the caller's JSON, taken as they are.
 */
#ifndef BFF_JWS_SIGN_H
#define BFF_JWS_SIGN_H

#include "broker/jose.h"

#define JWK_THUMBPRINT_LEN 43 /* SHA-256 in base64url */

/* The name of an algorithm in a header. */
const char *jws_alg_name(enum config_alg alg);

/* Appends header.payload.signature. ERR_CRYPTO: the key does not go with the algorithm, or OpenSSL
 * failed; ERR_NOMEM. */
WARN_UNUSED enum err jws_sign(EVP_PKEY *key, enum config_alg alg, struct sv header,
			      struct sv payload, struct buf *out);

/* The thumbprint of the public key (RFC 7638), no NUL. ERR_CRYPTO, ERR_NOMEM. */
WARN_UNUSED enum err jwk_thumbprint(EVP_PKEY *key, char out[JWK_THUMBPRINT_LEN]);

/* Appends the public half as {"kty":...,"kid":...,"use":"sig"} (RFC 7517). alg is left out: an RSA
 * key signs what the provider takes. ERR_CRYPTO, ERR_NOMEM. */
WARN_UNUSED enum err jwk_write(EVP_PKEY *key, struct sv kid, struct buf *out);

#endif

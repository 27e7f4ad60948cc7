/*
 * jose - signed tokens (JWS compact, RFC 7515) on OpenSSL EVP
 *
 * Verifies RS256, PS256, ES256 and EdDSA (Ed25519). The algorithm is pinned by the caller, never
 * chosen by the token: header, key and pin must agree. Of the header alg, kid, typ and cty are
 * believed; jku, x5u, jwk and x5c are ignored, crit is refused; no `none`, no HS*, no encryption,
 * no compression. SECURITY: sizes are checked first, the header is read by a fixed scan, and
 * the payload is handed out only after the signature held.
 */
#ifndef BFF_JOSE_H
#define BFF_JOSE_H

#include <openssl/types.h>

#include "broker/jwt_refusal.h"
#include "common/buf.h"
#include "common/config.h"

#define JOSE_TOKEN_MAX 32768
#define JOSE_HEADER_MAX 2048 /* decoded */
#define JOSE_KID_MAX 256
#define JOSE_TYP_MAX 64
#define JOSE_SIGNATURE_MAX 1024 /* RSA 8192 */
#define JOSE_RSA_BITS_MIN 2048
#define JOSE_RSA_BITS_MAX 8192

/* kty and crv of a key, as far as our algorithms need them. */
enum jose_key_type { JOSE_KEY_RSA = 1, JOSE_KEY_P256, JOSE_KEY_ED25519 };

struct jose_header {
	enum config_alg alg;
	bool has_kid;
	char kid[JOSE_KID_MAX];
	size_t kid_n;
	char typ[JOSE_TYP_MAX];
	size_t typ_n; /* 0: absent */
};

/* A token taken apart; the views point into the text that was parsed. */
struct jose_token {
	struct jose_header header;
	struct sv signing_input; /* header.payload */
	struct sv payload;	 /* still base64url */
	unsigned char signature[JOSE_SIGNATURE_MAX];
	size_t signature_n;
};

/* Takes the token apart and checks its header against the pinned algorithm. */
WARN_UNUSED enum jwt_refusal jose_parse(struct sv jwt, enum config_alg pinned,
					struct jose_token *ret);

/* The type of key that an algorithm works with. */
enum jose_key_type jose_key_type(enum config_alg alg);

/* Of a key; 0: one that none of our algorithms works with. */
enum jose_key_type jose_key_type_of(const EVP_PKEY *key);

/* Padding, salt and mask of an RSA algorithm, for verifying and signing alike; true for others. */
bool jose_set_padding(enum config_alg alg, EVP_PKEY_CTX *ctx);

/* ERR_OK only if the signature holds under `key`, whose type is checked too. ERR_CRYPTO. */
WARN_UNUSED enum err jose_verify(const struct jose_token *t, EVP_PKEY *key);

/* Decodes the payload into `out` (initialised by the caller). Only after jose_verify(). */
WARN_UNUSED enum err jose_payload(const struct jose_token *t, struct buf *out);

/* "RS256" and so on to the number; 0 for what we do not verify. Takes "Ed25519" (RFC 9864) too. */
enum config_alg jose_alg(struct sv name);

#endif

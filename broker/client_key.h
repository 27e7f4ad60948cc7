/*
 * client_key - the private keys by which a provider knows us
 *
 * Read once from a PEM file, which may hold several: the first signs, all are published, so that a
 * new key can be made known before it is used, and an old one stay known after (RFC 7517, kid =
 * RFC 7638). A certificate in the same file belongs to the key that it certifies: a provider that
 * knows keys by their certificates (Entra) is told its thumbprint (RFC 7515 4.1.8), and mutual TLS
 * shows it.
 */
#ifndef BFF_CLIENT_KEY_H
#define BFF_CLIENT_KEY_H

#include "broker/jws_sign.h"

#define CLIENT_KEYS_MAX 8
#define CLIENT_ASSERTION_TTL_S 60

struct client_key {
	EVP_PKEY *pkey;
	enum jose_key_type type;
	char kid[JWK_THUMBPRINT_LEN];
	bool has_certificate;
	char x5t[JWK_THUMBPRINT_LEN]; /* x5t#S256 */
};

struct client_keys {
	size_t n; /* at least one */
	struct client_key keys[CLIENT_KEYS_MAX];
	bool certificate_first; /* the file's first certificate is that of the first key */
};

/* ERR_CONFIG with a reason in *ret_why, a constant text without anything of the file; ERR_NOMEM. */
WARN_UNUSED enum err client_keys_read(struct sv pem, struct client_keys **ret,
				      const char **ret_why);
void client_keys_free(struct client_keys **k);

/* ERR_CONFIG: it holds no certificate. */
WARN_UNUSED enum err client_certificates_check(struct sv pem);

/* {"keys":[...]}, what to register at the provider. */
WARN_UNUSED enum err client_keys_print(const struct client_keys *k, struct buf *out);

/* Appends a fresh assertion of the first key (RFC 7523 3): iss = sub = client_id, one audience, a
 * jti never used before. `rsa`: the algorithm of RSA keys. ERR_CRYPTO, ERR_NOMEM. */
WARN_UNUSED enum err client_assertion(const struct client_keys *k, enum config_alg rsa,
				      struct sv client_id, struct sv audience, int64_t now_s,
				      struct buf *out);

#endif

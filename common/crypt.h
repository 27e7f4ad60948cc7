/*
 * crypt - the few primitives more than one program needs, on OpenSSL EVP
 *
 * Not linked into bffd. All sizes in bytes. A failure of OpenSSL itself is ERR_CRYPTO.
 */
#ifndef BFF_CRYPT_H
#define BFF_CRYPT_H

#include "common/sv.h"

#define CRYPT_SHA256_LEN 32

/* n bytes from the system's CSPRNG. ERR_CRYPTO: refuse whatever needed them. */
WARN_UNUSED enum err crypt_random(void *out, size_t n);

/* Neither this nor the next allocates. */
WARN_UNUSED enum err crypt_sha256(struct sv in, unsigned char out[CRYPT_SHA256_LEN]);

/* HMAC-SHA-256 (RFC 2104). */
WARN_UNUSED enum err crypt_hmac_sha256(struct sv key, struct sv in,
				       unsigned char out[CRYPT_SHA256_LEN]);

/* The same in two steps, for a key that is used again and again: what depends on it alone is done
 * once. SECURITY: as good as the key; whoever holds one wipes it. */
struct crypt_hmac_key {
	uint32_t inner[CRYPT_SHA256_LEN / 4], outer[CRYPT_SHA256_LEN / 4];
};
void crypt_hmac_key_init(struct crypt_hmac_key *k, struct sv key);
void crypt_hmac_keyed(const struct crypt_hmac_key *k, struct sv in,
		      unsigned char out[CRYPT_SHA256_LEN]);

/* HKDF-SHA-256, extract and expand (RFC 5869); out_len <= 8160. */
WARN_UNUSED enum err crypt_hkdf_sha256(struct sv key, struct sv salt, struct sv info, void *out,
				       size_t out_len);

/* Equality in time that depends on the lengths alone. */
bool crypt_equal(struct sv a, struct sv b);

#endif

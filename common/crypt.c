#include "common/crypt.h"

#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_Init() and its kind, see hash_two() */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdlib.h>

enum err crypt_random(void *out, size_t n)
{
	if (n > INT32_MAX || RAND_bytes(out, (int)n) != 1)
		return ERR_CRYPTO;
	return ERR_OK;
}

/* Rule Zero: OpenSSL wants EVP used, which fetches the algorithm or allocates a context for each
 * hash, three of them a request; the functions beneath do neither, and cannot fail. */
static void hash_two(struct sv a, struct sv b, unsigned char out[CRYPT_SHA256_LEN])
{
	SHA256_CTX ctx;

	(void)SHA256_Init(&ctx);
	(void)SHA256_Update(&ctx, a.p, a.n);
	(void)SHA256_Update(&ctx, b.p, b.n);
	(void)SHA256_Final(out, &ctx);
	OPENSSL_cleanse(&ctx, sizeof ctx);
}

enum err crypt_sha256(struct sv in, unsigned char out[CRYPT_SHA256_LEN])
{
	hash_two(in, SV_NONE, out);
	return ERR_OK;
}

enum err crypt_hmac_sha256(struct sv key, struct sv in, unsigned char out[CRYPT_SHA256_LEN])
{
	unsigned char block[SHA256_CBLOCK] = {0}, inner[SHA256_CBLOCK], outer[SHA256_CBLOCK];
	unsigned char mac[CRYPT_SHA256_LEN];

	if (key.n > sizeof block)
		hash_two(key, SV_NONE, block);
	else if (key.n > 0)
		memcpy(block, key.p, key.n);
	for (size_t i = 0; i < sizeof block; i++) {
		inner[i] = block[i] ^ 0x36;
		outer[i] = block[i] ^ 0x5c;
	}
	hash_two(sv_of((const char *)inner, sizeof inner), in, mac);
	hash_two(sv_of((const char *)outer, sizeof outer), sv_of((const char *)mac, sizeof mac),
		 out);
	OPENSSL_cleanse(block, sizeof block);
	OPENSSL_cleanse(inner, sizeof inner);
	OPENSSL_cleanse(outer, sizeof outer);
	OPENSSL_cleanse(mac, sizeof mac);
	return ERR_OK;
}

/* OSSL_PARAM takes non-const pointers but only reads an input's bytes. */
static OSSL_PARAM octets(const char *name, struct sv s)
{
	union {
		const void *in;
		void *out;
	} u = {.in = s.p == NULL ? "" : s.p};

	return OSSL_PARAM_construct_octet_string(name, u.out, s.n);
}

enum err crypt_hkdf_sha256(struct sv key, struct sv salt, struct sv info, void *out, size_t out_len)
{
	char digest[] = "SHA256";
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
			       octets(OSSL_KDF_PARAM_KEY, key), octets(OSSL_KDF_PARAM_SALT, salt),
			       octets(OSSL_KDF_PARAM_INFO, info), OSSL_PARAM_construct_end()};
	int ok = ctx != NULL && EVP_KDF_derive(ctx, out, out_len, params) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok ? ERR_OK : ERR_CRYPTO;
}

bool crypt_equal(struct sv a, struct sv b)
{
	return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

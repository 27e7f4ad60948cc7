#include "common/crypt.h"

#include <assert.h>

#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_Init() and its kind, see sha256() */
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
static void sha256(struct sv in, unsigned char out[CRYPT_SHA256_LEN])
{
	SHA256_CTX ctx;

	(void)SHA256_Init(&ctx);
	(void)SHA256_Update(&ctx, in.p, in.n);
	(void)SHA256_Final(out, &ctx);
	OPENSSL_cleanse(&ctx, sizeof ctx);
}

enum err crypt_sha256(struct sv in, unsigned char out[CRYPT_SHA256_LEN])
{
	sha256(in, out);
	return ERR_OK;
}

/* A hash that has seen one block: the key's, under one of the two pads of RFC 2104. */
static void state_after(unsigned char block[SHA256_CBLOCK], unsigned char pad,
			uint32_t state[CRYPT_SHA256_LEN / 4])
{
	SHA256_CTX ctx;

	for (size_t i = 0; i < SHA256_CBLOCK; i++)
		block[i] ^= pad;
	(void)SHA256_Init(&ctx);
	(void)SHA256_Update(&ctx, block, SHA256_CBLOCK);
	static_assert(sizeof ctx.h == CRYPT_SHA256_LEN, "the state is that of SHA-256");
	memcpy(state, ctx.h, sizeof ctx.h);
	OPENSSL_cleanse(&ctx, sizeof ctx);
}

static void hash_from(const uint32_t state[CRYPT_SHA256_LEN / 4], struct sv in,
		      unsigned char out[CRYPT_SHA256_LEN])
{
	SHA256_CTX ctx;

	(void)SHA256_Init(&ctx);
	memcpy(ctx.h, state, sizeof ctx.h);
	ctx.Nl = SHA256_CBLOCK * 8; /* bits so far */
	(void)SHA256_Update(&ctx, in.p, in.n);
	(void)SHA256_Final(out, &ctx);
	OPENSSL_cleanse(&ctx, sizeof ctx);
}

void crypt_hmac_key_init(struct crypt_hmac_key *k, struct sv key)
{
	unsigned char block[SHA256_CBLOCK] = {0};

	if (key.n > sizeof block)
		sha256(key, block);
	else if (key.n > 0)
		memcpy(block, key.p, key.n);
	state_after(block, 0x36, k->inner);
	state_after(block, 0x36 ^ 0x5c, k->outer); /* the first pad off, the other on */
	OPENSSL_cleanse(block, sizeof block);
}

void crypt_hmac_keyed(const struct crypt_hmac_key *k, struct sv in,
		      unsigned char out[CRYPT_SHA256_LEN])
{
	unsigned char mac[CRYPT_SHA256_LEN];

	hash_from(k->inner, in, mac);
	hash_from(k->outer, sv_of((const char *)mac, sizeof mac), out);
	OPENSSL_cleanse(mac, sizeof mac);
}

enum err crypt_hmac_sha256(struct sv key, struct sv in, unsigned char out[CRYPT_SHA256_LEN])
{
	struct crypt_hmac_key k;

	crypt_hmac_key_init(&k, key);
	crypt_hmac_keyed(&k, in, out);
	OPENSSL_cleanse(&k, sizeof k);
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

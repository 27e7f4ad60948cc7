#include "common/crypt.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>

enum err crypt_random(void *out, size_t n)
{
	if (n > INT32_MAX || RAND_bytes(out, (int)n) != 1)
		return ERR_CRYPTO;
	return ERR_OK;
}

enum err crypt_sha256(struct sv in, unsigned char out[CRYPT_SHA256_LEN])
{
	unsigned len = 0;

	if (EVP_Digest(in.p, in.n, out, &len, EVP_sha256(), NULL) != 1 || len != CRYPT_SHA256_LEN)
		return ERR_CRYPTO;
	return ERR_OK;
}

/* The context is no more than that; the type keeps OpenSSL out of the header. */
struct crypt_hasher {
	EVP_MD_CTX *ctx;
};

enum err crypt_hasher_new(struct crypt_hasher **ret)
{
	struct crypt_hasher *h = calloc(1, sizeof *h);

	if (h == NULL)
		return ERR_NOMEM;
	h->ctx = EVP_MD_CTX_new();
	if (h->ctx == NULL || EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) != 1) {
		crypt_hasher_free(&h);
		return ERR_CRYPTO;
	}
	*ret = h;
	return ERR_OK;
}

void crypt_hasher_free(struct crypt_hasher **h)
{
	if (*h == NULL)
		return;
	EVP_MD_CTX_free((*h)->ctx);
	free(*h);
	*h = NULL;
}

/* Of both, one after the other. */
static enum err hash_two(struct crypt_hasher *h, struct sv a, struct sv b,
			 unsigned char out[CRYPT_SHA256_LEN])
{
	unsigned len = 0;

	if (EVP_DigestInit_ex(h->ctx, NULL, NULL) != 1 || EVP_DigestUpdate(h->ctx, a.p, a.n) != 1 ||
	    EVP_DigestUpdate(h->ctx, b.p, b.n) != 1 || EVP_DigestFinal_ex(h->ctx, out, &len) != 1 ||
	    len != CRYPT_SHA256_LEN)
		return ERR_CRYPTO;
	return ERR_OK;
}

enum err crypt_hasher_sha256(struct crypt_hasher *h, struct sv in,
			     unsigned char out[CRYPT_SHA256_LEN])
{
	return hash_two(h, in, SV_NONE, out);
}

/* RFC 2104 by hand: OpenSSL's own contexts allocate whenever one is used again. */
enum err crypt_hasher_hmac(struct crypt_hasher *h, struct sv key, struct sv in,
			   unsigned char out[CRYPT_SHA256_LEN])
{
	unsigned char inner[CRYPT_SHA256_BLOCK], outer[CRYPT_SHA256_BLOCK];
	unsigned char mac[CRYPT_SHA256_LEN];
	enum err e;

	if (key.n > CRYPT_SHA256_BLOCK)
		return ERR_LIMIT;
	for (size_t i = 0; i < CRYPT_SHA256_BLOCK; i++) {
		unsigned char k = i < key.n ? (unsigned char)key.p[i] : 0;

		inner[i] = k ^ 0x36;
		outer[i] = k ^ 0x5c;
	}
	e = hash_two(h, sv_of((const char *)inner, sizeof inner), in, mac);
	if (e == ERR_OK)
		e = hash_two(h, sv_of((const char *)outer, sizeof outer),
			     sv_of((const char *)mac, sizeof mac), out);
	OPENSSL_cleanse(inner, sizeof inner);
	OPENSSL_cleanse(outer, sizeof outer);
	OPENSSL_cleanse(mac, sizeof mac);
	return e;
}

enum err crypt_hmac_sha256(struct sv key, struct sv in, unsigned char out[CRYPT_SHA256_LEN])
{
	unsigned len = 0;

	if (key.n > INT32_MAX || HMAC(EVP_sha256(), key.p, (int)key.n, (const unsigned char *)in.p,
				      in.n, out, &len) == NULL)
		return ERR_CRYPTO;
	return len == CRYPT_SHA256_LEN ? ERR_OK : ERR_CRYPTO;
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

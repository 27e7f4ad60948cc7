/* signer - real keys and hand-made tokens for the tests: makes what an honest provider would, and
 * what a dishonest one might. */
#ifndef BFF_TEST_SIGNER_H
#define BFF_TEST_SIGNER_H

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "common/b64.h"
#include "common/buf.h"
#include "common/config.h"
#include "tests/unit/unit.h"

static inline EVP_PKEY *signer_key(enum config_alg alg)
{
	EVP_PKEY *k = alg == ALG_ES256	 ? EVP_EC_gen("P-256")
		      : alg == ALG_EDDSA ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
					 : EVP_RSA_gen(2048);

	assert_non_null(k);
	return k;
}

static inline void put_b64(struct buf *b, const void *p, size_t n)
{
	char *at = buf_reserve(b, B64URL_LEN(n) + 1);

	assert_non_null(at);
	b->n += b64url_encode(p, n, at);
}

static inline void put_bn(struct buf *b, EVP_PKEY *key, const char *param, int len)
{
	unsigned char bytes[1024];
	BIGNUM *bn = NULL;

	assert_int_equal(EVP_PKEY_get_bn_param(key, param, &bn), 1);
	if (len == 0)
		len = BN_num_bytes(bn);
	assert_int_equal(BN_bn2binpad(bn, bytes, len), len);
	put_b64(b, bytes, (size_t)len);
	BN_free(bn);
}

/* {"kty":...,<extra>}; extra is "" or ",\"kid\":\"k1\"" and the like. */
static inline void put_jwk(struct buf *b, EVP_PKEY *key, const char *extra)
{
	unsigned char raw[32];
	size_t n = sizeof raw;

	if (EVP_PKEY_is_a(key, "RSA")) {
		buf_addf(b, "{\"kty\":\"RSA\",\"n\":\"");
		put_bn(b, key, OSSL_PKEY_PARAM_RSA_N, 0);
		buf_addf(b, "\",\"e\":\"");
		put_bn(b, key, OSSL_PKEY_PARAM_RSA_E, 0);
	} else if (EVP_PKEY_is_a(key, "EC")) {
		buf_addf(b, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"");
		put_bn(b, key, OSSL_PKEY_PARAM_EC_PUB_X, 32);
		buf_addf(b, "\",\"y\":\"");
		put_bn(b, key, OSSL_PKEY_PARAM_EC_PUB_Y, 32);
	} else {
		assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &n), 1);
		buf_addf(b, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
		put_b64(b, raw, n);
	}
	buf_addf(b, "\"%s}", extra);
	assert_true(buf_ok(b));
}

/* The raw signature of `in`; its length. */
static inline size_t sign_raw(EVP_PKEY *key, enum config_alg alg, struct sv in,
			      unsigned char out[1024])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL;
	size_t n = 1024;

	assert_int_equal(
	    EVP_DigestSignInit(ctx, &pctx, alg == ALG_EDDSA ? NULL : EVP_sha256(), NULL, key), 1);
	if (alg == ALG_PS256) {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, 32), 1);
	}
	assert_int_equal(EVP_DigestSign(ctx, out, &n, (const unsigned char *)in.p, in.n), 1);
	EVP_MD_CTX_free(ctx);
	if (alg == ALG_ES256) {
		const unsigned char *p = out;
		ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)n);

		assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 32), 32);
		assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 32, 32), 32);
		ECDSA_SIG_free(sig);
		n = 64;
	}
	return n;
}

/* header.payload.signature, each as given. */
static inline void put_token(struct buf *b, EVP_PKEY *key, enum config_alg alg, const char *header,
			     const char *payload)
{
	unsigned char sig[1024];
	size_t n;

	put_b64(b, header, strlen(header));
	buf_add_char(b, '.');
	put_b64(b, payload, strlen(payload));
	n = sign_raw(key, alg, buf_sv(b), sig);
	buf_add_char(b, '.');
	put_b64(b, sig, n);
	assert_true(buf_ok(b));
}

#endif

#include "broker/jws_sign.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "common/b64.h"
#include "common/crypt.h"

#define P256_COORDINATE 32
#define MEMBERS_MAX 4096 /* a JWK of 8192 bits takes 1,500 */

const char *jws_alg_name(enum config_alg alg)
{
	switch (alg) {
	case ALG_RS256:
		return "RS256";
	case ALG_PS256:
		return "PS256";
	case ALG_ES256:
		return "ES256";
	case ALG_EDDSA:
		return "EdDSA";
	}
	return "";
}

static void add_b64url(struct buf *out, const void *p, size_t n)
{
	char *at = buf_reserve(out, B64URL_LEN(n));

	if (at != NULL)
		out->n += b64url_encode(p, n, at);
}

/* DER to r || s (RFC 7518 3.4). */
static bool ecdsa_raw(unsigned char *sig, size_t *n)
{
	const unsigned char *p = sig;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)*n);
	bool ok = s != NULL &&
		  BN_bn2binpad(ECDSA_SIG_get0_r(s), sig, P256_COORDINATE) == P256_COORDINATE &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(s), sig + P256_COORDINATE, P256_COORDINATE) ==
		      P256_COORDINATE;

	ECDSA_SIG_free(s);
	*n = (size_t)2 * P256_COORDINATE;
	return ok;
}

static bool sign_raw(EVP_PKEY *key, enum config_alg alg, struct sv in,
		     unsigned char out[JOSE_SIGNATURE_MAX], size_t *ret_n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL; /* owned by ctx */
	bool ok;

	*ret_n = JOSE_SIGNATURE_MAX;
	ok = ctx != NULL && jose_key_type_of(key) == jose_key_type(alg) &&
	     EVP_DigestSignInit(ctx, &pctx, alg == ALG_EDDSA ? NULL : EVP_sha256(), NULL, key) ==
		 1 &&
	     jose_set_padding(alg, pctx) &&
	     EVP_DigestSign(ctx, out, ret_n, (const unsigned char *)in.p, in.n) == 1 &&
	     (alg != ALG_ES256 || ecdsa_raw(out, ret_n));
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

enum err jws_sign(EVP_PKEY *key, enum config_alg alg, struct sv header, struct sv payload,
		  struct buf *out)
{
	unsigned char sig[JOSE_SIGNATURE_MAX];
	size_t from = out->n, n;

	add_b64url(out, header.p, header.n);
	buf_add_char(out, '.');
	add_b64url(out, payload.p, payload.n);
	if (!buf_ok(out))
		return ERR_NOMEM;
	if (!sign_raw(key, alg, sv_cut(buf_sv(out), from, out->n), sig, &n))
		return ERR_CRYPTO;
	buf_add_char(out, '.');
	add_b64url(out, sig, n);
	return buf_ok(out) ? ERR_OK : ERR_NOMEM;
}

/* len 0: as short as it goes (RFC 7518 2, Base64urlUInt). */
static bool add_number(struct buf *b, EVP_PKEY *key, const char *param, int len)
{
	unsigned char bytes[JOSE_RSA_BITS_MAX / 8];
	BIGNUM *n = NULL;
	bool ok =
	    EVP_PKEY_get_bn_param(key, param, &n) == 1 && BN_num_bytes(n) <= (int)sizeof bytes;

	if (ok && len == 0)
		len = BN_num_bytes(n);
	ok = ok && BN_bn2binpad(n, bytes, len) == len;
	if (ok)
		add_b64url(b, bytes, (size_t)len);
	BN_free(n);
	return ok;
}

/* The required members, in the order and spelling that RFC 7638 3.2 hashes; no closing brace. */
static enum err add_members(struct buf *b, EVP_PKEY *key)
{
	unsigned char raw[P256_COORDINATE];
	size_t n = sizeof raw;
	bool ok = false;

	switch (jose_key_type_of(key)) {
	case JOSE_KEY_RSA:
		buf_addf(b, "{\"e\":\"");
		ok = add_number(b, key, OSSL_PKEY_PARAM_RSA_E, 0);
		buf_addf(b, "\",\"kty\":\"RSA\",\"n\":\"");
		ok = ok && add_number(b, key, OSSL_PKEY_PARAM_RSA_N, 0);
		break;
	case JOSE_KEY_P256:
		buf_addf(b, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
		ok = add_number(b, key, OSSL_PKEY_PARAM_EC_PUB_X, P256_COORDINATE);
		buf_addf(b, "\",\"y\":\"");
		ok = ok && add_number(b, key, OSSL_PKEY_PARAM_EC_PUB_Y, P256_COORDINATE);
		break;
	case JOSE_KEY_ED25519:
		buf_addf(b, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"");
		ok = EVP_PKEY_get_raw_public_key(key, raw, &n) == 1;
		if (ok)
			add_b64url(b, raw, n);
		break;
	}
	ERR_clear_error();
	buf_add_char(b, '"');
	if (!ok)
		return ERR_CRYPTO;
	return buf_ok(b) ? ERR_OK : ERR_NOMEM;
}

enum err jwk_thumbprint(EVP_PKEY *key, char out[JWK_THUMBPRINT_LEN])
{
	unsigned char hash[CRYPT_SHA256_LEN];
	struct buf b;
	enum err e;

	buf_init(&b, MEMBERS_MAX);
	e = add_members(&b, key);
	buf_add_char(&b, '}');
	if (e == ERR_OK)
		e = buf_ok(&b) ? crypt_sha256(buf_sv(&b), hash) : ERR_NOMEM;
	if (e == ERR_OK)
		(void)b64url_encode(hash, sizeof hash, out);
	buf_done(&b);
	return e;
}

enum err jwk_write(EVP_PKEY *key, struct sv kid, struct buf *out)
{
	enum err e = add_members(out, key);

	buf_addf(out, ",\"kid\":\"" SV_FMT "\",\"use\":\"sig\"}", SV_ARG(kid));
	return e == ERR_OK && !buf_ok(out) ? ERR_NOMEM : e;
}

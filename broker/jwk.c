/* One key of jwks.h. */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "broker/json_strict.h"
#include "broker/jwks.h"
#include "common/b64.h"

#define RSA_E_MAX 8 /* bytes */
#define COORDINATE 32

static enum err octets(struct json_object *o, const char *name, unsigned char *out, size_t max,
		       size_t *ret_n)
{
	struct sv text;
	enum err e = json_get_string(o, name, B64URL_LEN(JOSE_RSA_BITS_MAX / 8 + 1), &text);

	return e == ERR_OK ? b64url_decode(text, out, max, ret_n) : ERR_SYNTAX;
}

/* Consumes the builder. SECURITY: it holds pointers to what was pushed until to_param(). */
static EVP_PKEY *build(const char *type, OSSL_PARAM_BLD **bld)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(*bld);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(*bld);
	*bld = NULL;
	return key;
}

static enum err read_rsa(struct json_object *o, EVP_PKEY **ret)
{
	unsigned char n[JOSE_RSA_BITS_MAX / 8], exponent[RSA_E_MAX];
	size_t n_len = 0, e_len = 0;
	BIGNUM *bn = NULL, *be = NULL;
	OSSL_PARAM_BLD *bld = NULL;
	EVP_PKEY *key = NULL;
	bool ok;

	if (octets(o, "n", n, sizeof n, &n_len) != ERR_OK ||
	    octets(o, "e", exponent, sizeof exponent, &e_len) != ERR_OK)
		return ERR_SYNTAX;
	bn = BN_bin2bn(n, (int)n_len, NULL);
	be = BN_bin2bn(exponent, (int)e_len, NULL);
	ok = bn != NULL && be != NULL && BN_num_bits(bn) >= JOSE_RSA_BITS_MIN &&
	     BN_num_bits(bn) <= JOSE_RSA_BITS_MAX && BN_is_odd(bn) && BN_is_odd(be) &&
	     !BN_is_one(be);
	if (ok && (bld = OSSL_PARAM_BLD_new()) != NULL &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn) == 1 &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be) == 1)
		key = build("RSA", &bld);
	OSSL_PARAM_BLD_free(bld);
	BN_free(bn);
	BN_free(be);
	*ret = key;
	return key == NULL ? ERR_CRYPTO : ERR_OK;
}

static enum err read_p256(struct json_object *o, EVP_PKEY **ret)
{
	unsigned char point[1 + 2 * COORDINATE] = {0x04}; /* uncompressed */
	size_t x_n = 0, y_n = 0;
	OSSL_PARAM_BLD *bld;
	EVP_PKEY *key = NULL;

	/* RFC 7518 6.2.1.2: full size, leading zeros kept. */
	if (octets(o, "x", point + 1, COORDINATE, &x_n) != ERR_OK || x_n != COORDINATE ||
	    octets(o, "y", point + 1 + COORDINATE, COORDINATE, &y_n) != ERR_OK || y_n != COORDINATE)
		return ERR_SYNTAX;
	bld = OSSL_PARAM_BLD_new();
	if (bld != NULL &&
	    OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) ==
		1 &&
	    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) ==
		1)
		key = build("EC", &bld);
	OSSL_PARAM_BLD_free(bld);
	*ret = key;
	return key == NULL ? ERR_CRYPTO : ERR_OK;
}

static enum err read_ed25519(struct json_object *o, EVP_PKEY **ret)
{
	unsigned char x[COORDINATE];
	size_t n = 0;

	if (octets(o, "x", x, sizeof x, &n) != ERR_OK || n != sizeof x)
		return ERR_SYNTAX;
	*ret = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, x, n);
	return *ret == NULL ? ERR_CRYPTO : ERR_OK;
}

/* use and key_ops allow verifying (RFC 7517 4.2, 4.3). */
static enum err check_use(struct json_object *o)
{
	struct json_object *ops;
	struct sv use;
	enum err e = json_get_string(o, "use", JSON_KEY_MAX, &use);

	if (e != ERR_NOT_FOUND && (e != ERR_OK || !sv_eq(use, SV("sig"))))
		return ERR_UNSUPPORTED;
	e = json_get_array(o, "key_ops", &ops);
	if (e != ERR_NOT_FOUND && (e != ERR_OK || !json_array_has(ops, SV("verify"))))
		return ERR_UNSUPPORTED;
	return ERR_OK;
}

static enum err check_type(struct json_object *o, enum jose_key_type *ret)
{
	struct sv kty, crv = SV_NONE;
	enum err e = json_get_string(o, "kty", JSON_KEY_MAX, &kty);

	if (e != ERR_OK)
		return ERR_SYNTAX;
	e = json_get_string(o, "crv", JSON_KEY_MAX, &crv);
	if (e != ERR_OK && e != ERR_NOT_FOUND)
		return ERR_SYNTAX;
	if (sv_eq(kty, SV("RSA")))
		*ret = JOSE_KEY_RSA;
	else if (sv_eq(kty, SV("EC")) && sv_eq(crv, SV("P-256")))
		*ret = JOSE_KEY_P256;
	else if (sv_eq(kty, SV("OKP")) && sv_eq(crv, SV("Ed25519")))
		*ret = JOSE_KEY_ED25519;
	else
		return ERR_UNSUPPORTED;
	return ERR_OK;
}

/* alg and kid, both optional. */
static enum err read_names(struct json_object *o, struct jwk *k)
{
	struct sv s;
	enum err e = json_get_string(o, "alg", JSON_KEY_MAX, &s);

	if (e == ERR_OK) {
		k->alg = jose_alg(s);
		if (k->alg == 0 || jose_key_type(k->alg) != k->type)
			return ERR_UNSUPPORTED;
	} else if (e != ERR_NOT_FOUND) {
		return ERR_SYNTAX;
	}
	e = json_get_string(o, "kid", sizeof k->kid, &s);
	if (e == ERR_NOT_FOUND)
		return ERR_OK;
	if (e != ERR_OK)
		return ERR_SYNTAX;
	k->has_kid = true;
	k->kid_n = s.n;
	if (s.n > 0)
		memcpy(k->kid, s.p, s.n);
	return ERR_OK;
}

static bool public_ok(EVP_PKEY *key)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	bool ok = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;

	EVP_PKEY_CTX_free(ctx);
	return ok;
}

enum err jwk_read(struct json_object *o, struct jwk *ret)
{
	struct jwk k = {.pkey = NULL};
	enum err e = check_type(o, &k.type);

	if (e == ERR_OK)
		e = check_use(o);
	if (e == ERR_OK)
		e = read_names(o, &k);
	if (e != ERR_OK)
		return e;
	switch (k.type) {
	case JOSE_KEY_RSA:
		e = read_rsa(o, &k.pkey);
		break;
	case JOSE_KEY_P256:
		e = read_p256(o, &k.pkey);
		break;
	case JOSE_KEY_ED25519:
		e = read_ed25519(o, &k.pkey);
		break;
	}
	if (e == ERR_OK && !public_ok(k.pkey))
		e = ERR_CRYPTO;
	ERR_clear_error();
	if (e != ERR_OK) {
		EVP_PKEY_free(k.pkey);
		return e;
	}
	*ret = k;
	return ERR_OK;
}

#include "broker/jose.h"

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "broker/json_strict.h"
#include "common/b64.h"

#define P256_COORDINATE 32
#define ED25519_SIGNATURE 64
#define P256_DER_MAX 80 /* SEQUENCE of two INTEGERs of at most 33 bytes: 72 */

enum config_alg jose_alg(struct sv name)
{
	static const struct {
		struct sv name;
		enum config_alg alg;
	} algs[] = {
	    {{"RS256", 5}, ALG_RS256}, {{"PS256", 5}, ALG_PS256},   {{"ES256", 5}, ALG_ES256},
	    {{"EdDSA", 5}, ALG_EDDSA}, {{"Ed25519", 7}, ALG_EDDSA},
	};

	for (size_t i = 0; i < ARRAY_LEN(algs); i++)
		if (sv_eq(name, algs[i].name))
			return algs[i].alg;
	return 0;
}

enum jose_key_type jose_key_type(enum config_alg alg)
{
	switch (alg) {
	case ALG_RS256:
	case ALG_PS256:
		return JOSE_KEY_RSA;
	case ALG_ES256:
		return JOSE_KEY_P256;
	case ALG_EDDSA:
		return JOSE_KEY_ED25519;
	}
	return 0;
}

struct header_scan {
	struct jose_header h;
	bool crit;
};

static enum err header_member(void *arg, struct sv key, struct sv value)
{
	struct header_scan *s = arg;
	char alg[16];
	size_t alg_n = 0;
	enum err e;

	if (sv_find(key, '\\') != key.n)
		return ERR_SYNTAX; /* nobody spells a header parameter with escapes but to hide it
				    */
	if (sv_eq(key, SV("alg"))) {
		e = json_strict_string(value, alg, sizeof alg, &alg_n);
		if (e == ERR_OK)
			s->h.alg = jose_alg(sv_of(alg, alg_n));
		return e == ERR_LIMIT ? ERR_OK : e; /* a longer name is none of ours */
	}
	if (sv_eq(key, SV("kid"))) {
		s->h.has_kid = true;
		return json_strict_string(value, s->h.kid, sizeof s->h.kid, &s->h.kid_n);
	}
	if (sv_eq(key, SV("typ"))) {
		e = json_strict_string(value, s->h.typ, sizeof s->h.typ, &s->h.typ_n);
		return e == ERR_OK && s->h.typ_n == 0 ? ERR_SYNTAX : e;
	}
	/* b64 (RFC 7797) means something only with crit; it is refused all the same. zip is JWE's.
	 */
	if (sv_eq(key, SV("crit")) || sv_eq(key, SV("b64")))
		s->crit = true;
	return ERR_OK;
}

static enum jwt_refusal read_header(struct sv part, enum config_alg pinned, struct jose_header *ret)
{
	char text[JOSE_HEADER_MAX];
	struct header_scan s = {.crit = false};
	size_t n = 0;
	enum err e = b64url_decode(part, text, sizeof text, &n);

	if (e == ERR_LIMIT)
		return JWT_SIZE;
	if (e != ERR_OK)
		return JWT_PARTS;
	if (json_strict_object(sv_of(text, n), sizeof text, header_member, &s) != ERR_OK)
		return JWT_HEADER;
	if (s.crit)
		return JWT_CRIT;
	if (s.h.alg == 0 || s.h.alg != pinned)
		return JWT_ALG;
	*ret = s.h;
	return JWT_NONE;
}

enum jwt_refusal jose_parse(struct sv jwt, enum config_alg pinned, struct jose_token *ret)
{
	size_t dots = 0, at[2] = {0, 0};
	struct sv signature;
	enum jwt_refusal r;
	enum err e;

	if (jwt.n > JOSE_TOKEN_MAX)
		return JWT_SIZE;
	for (size_t i = 0; i < jwt.n; i++) {
		if (jwt.p[i] != '.')
			continue;
		if (dots < 2)
			at[dots] = i;
		dots++;
	}
	if (dots != 2)
		return dots == 4 ? JWT_ENCRYPTED : JWT_PARTS;
	r = read_header(sv_cut(jwt, 0, at[0]), pinned, &ret->header);
	if (r != JWT_NONE)
		return r;
	ret->signing_input = sv_cut(jwt, 0, at[1]);
	ret->payload = sv_cut(jwt, at[0] + 1, at[1]);
	signature = sv_cut(jwt, at[1] + 1, jwt.n);
	e = b64url_decode(signature, ret->signature, sizeof ret->signature, &ret->signature_n);
	if (e != ERR_OK)
		return e == ERR_LIMIT ? JWT_SIZE : JWT_PARTS;
	return ret->signature_n == 0 ? JWT_SIGNATURE : JWT_NONE;
}

enum jose_key_type jose_key_type_of(const EVP_PKEY *key)
{
	char group[32];
	size_t n;

	if (EVP_PKEY_is_a(key, "RSA") == 1)
		return JOSE_KEY_RSA;
	if (EVP_PKEY_is_a(key, "ED25519") == 1)
		return JOSE_KEY_ED25519;
	if (EVP_PKEY_is_a(key, "EC") == 1 &&
	    EVP_PKEY_get_group_name(key, group, sizeof group, &n) == 1 &&
	    strcmp(group, "prime256v1") == 0)
		return JOSE_KEY_P256;
	return 0;
}

/* r || s, which has exactly one length (RFC 7518 3.4), to DER. */
static bool ecdsa_der(const struct jose_token *t, unsigned char out[P256_DER_MAX], size_t *ret_n)
{
	unsigned char *p = out;
	BIGNUM *r = NULL, *s = NULL;
	ECDSA_SIG *sig = NULL;
	int n = 0;

	if (t->signature_n != (size_t)2 * P256_COORDINATE)
		return false;
	r = BN_bin2bn(t->signature, P256_COORDINATE, NULL);
	s = BN_bin2bn(t->signature + P256_COORDINATE, P256_COORDINATE, NULL);
	sig = ECDSA_SIG_new();
	if (r != NULL && s != NULL && sig != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL; /* the signature's now */
		n = i2d_ECDSA_SIG(sig, NULL);
		n = n > 0 && n <= P256_DER_MAX ? i2d_ECDSA_SIG(sig, &p) : 0;
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	if (n <= 0)
		return false;
	*ret_n = (size_t)n;
	return true;
}

bool jose_set_padding(enum config_alg alg, EVP_PKEY_CTX *ctx)
{
	switch (alg) {
	case ALG_RS256:
		return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
	case ALG_PS256:
		return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1 &&
		       EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1;
	case ALG_ES256:
	case ALG_EDDSA:
		return true;
	}
	return false;
}

enum err jose_verify(const struct jose_token *t, EVP_PKEY *key)
{
	enum config_alg alg = t->header.alg;
	unsigned char der[P256_DER_MAX];
	const unsigned char *sig = t->signature;
	size_t sig_n = t->signature_n;
	EVP_MD_CTX *ctx;
	EVP_PKEY_CTX *pctx = NULL; /* owned by ctx */
	bool ok;

	if (jose_key_type_of(key) != jose_key_type(alg))
		return ERR_CRYPTO;
	if (alg == ALG_ES256) {
		if (!ecdsa_der(t, der, &sig_n))
			return ERR_CRYPTO;
		sig = der;
	}
	if (alg == ALG_EDDSA && sig_n != ED25519_SIGNATURE)
		return ERR_CRYPTO;
	if (jose_key_type(alg) == JOSE_KEY_RSA && sig_n != (size_t)EVP_PKEY_get_size(key))
		return ERR_CRYPTO; /* RFC 8017 8.1.2, 8.2.2: the length is the modulus's */
	ctx = EVP_MD_CTX_new();
	/* Ed25519 hashes by itself: no digest, and one shot only. */
	ok = ctx != NULL &&
	     EVP_DigestVerifyInit(ctx, &pctx, alg == ALG_EDDSA ? NULL : EVP_sha256(), NULL, key) ==
		 1 &&
	     jose_set_padding(alg, pctx) &&
	     EVP_DigestVerify(ctx, sig, sig_n, (const unsigned char *)t->signing_input.p,
			      t->signing_input.n) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok ? ERR_OK : ERR_CRYPTO;
}

enum err jose_payload(const struct jose_token *t, struct buf *out)
{
	char *at = buf_reserve(out, t->payload.n);
	size_t n = 0;
	enum err e;

	if (at == NULL)
		return ERR_NOMEM;
	e = b64url_decode(t->payload, at, t->payload.n, &n);
	if (e == ERR_OK)
		out->n += n;
	return e;
}

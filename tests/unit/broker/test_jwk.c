#include "broker/json_strict.h"
#include "broker/jwks.h"

#include "tests/unit/broker/signer.h"

static enum err read_text(struct sv text, struct jwk *k)
{
	struct json_object *o = NULL;
	enum err e;

	assert_int_equal(json_strict_parse(text, 100000, &o), ERR_OK);
	*k = (struct jwk){.pkey = NULL};
	e = jwk_read(o, k);
	(void)json_object_put(o);
	return e;
}

/* A key of this algorithm with these further members. */
static enum err read_made(enum config_alg alg, const char *extra, struct jwk *k)
{
	EVP_PKEY *key = signer_key(alg);
	struct buf b;
	enum err e;

	buf_init(&b, 100000);
	put_jwk(&b, key, extra);
	e = read_text(buf_sv(&b), k);
	if (e == ERR_OK)
		assert_int_equal(EVP_PKEY_eq(k->pkey, key), 1);
	buf_done(&b);
	EVP_PKEY_free(key);
	return e;
}

static void members_decide_the_use(void **state)
{
	static const struct {
		enum config_alg alg;
		const char *extra;
		enum err want;
	} rows[] = {
	    {ALG_RS256, "", ERR_OK},
	    {ALG_ES256, ",\"alg\":\"ES256\",\"use\":\"sig\",\"kid\":\"a\"", ERR_OK},
	    {ALG_EDDSA, ",\"alg\":\"EdDSA\"", ERR_OK},
	    {ALG_EDDSA, ",\"alg\":\"Ed25519\"", ERR_OK},
	    {ALG_RS256, ",\"alg\":\"PS256\",\"key_ops\":[\"verify\"]", ERR_OK},
	    {ALG_RS256, ",\"x5c\":[\"AA\"],\"x5t\":\"AA\",\"unknown\":{}", ERR_OK},
	    {ALG_ES256, ",\"use\":\"enc\"", ERR_UNSUPPORTED},
	    {ALG_ES256, ",\"use\":1", ERR_UNSUPPORTED},
	    {ALG_ES256, ",\"key_ops\":[\"sign\"]", ERR_UNSUPPORTED},
	    {ALG_ES256, ",\"key_ops\":[]", ERR_UNSUPPORTED},
	    {ALG_ES256, ",\"key_ops\":\"verify\"", ERR_UNSUPPORTED},
	    {ALG_RS256, ",\"alg\":\"RSA-OAEP\"", ERR_UNSUPPORTED},
	    {ALG_RS256, ",\"alg\":\"RS512\"", ERR_UNSUPPORTED},
	    {ALG_RS256, ",\"alg\":\"ES256\"", ERR_UNSUPPORTED},
	    {ALG_RS256, ",\"alg\":\"HS256\"", ERR_UNSUPPORTED},
	    {ALG_ES256, ",\"alg\":1", ERR_SYNTAX},
	    {ALG_ES256, ",\"kid\":1", ERR_SYNTAX},
	    {ALG_ES256, ",\"kid\":null", ERR_SYNTAX},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct jwk k;
		enum err got = read_made(rows[i].alg, rows[i].extra, &k);

		if (got != rows[i].want)
			fail_msg("%s: %s", rows[i].extra, err_text(got));
		EVP_PKEY_free(k.pkey);
	}
}

static void kid_and_alg_are_kept(void **state)
{
	struct jwk k;

	(void)state;
	assert_int_equal(read_made(ALG_ES256, ",\"kid\":\"a/b\",\"alg\":\"ES256\"", &k), ERR_OK);
	assert_true(k.has_kid);
	assert_sv_equal(sv_of(k.kid, k.kid_n), SV("a/b"));
	assert_int_equal(k.alg, ALG_ES256);
	assert_int_equal(k.type, JOSE_KEY_P256);
	EVP_PKEY_free(k.pkey);
	assert_int_equal(read_made(ALG_ES256, "", &k), ERR_OK);
	assert_false(k.has_kid);
	assert_int_equal(k.alg, 0);
	EVP_PKEY_free(k.pkey);
}

#define B32 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

static void bad_keys_are_refused(void **state)
{
	static const struct {
		struct sv in;
		enum err want;
	} rows[] = {
	    {SV_INIT("{}"), ERR_SYNTAX},
	    {SV_INIT("{\"kty\":\"oct\",\"k\":\"AA\"}"), ERR_UNSUPPORTED},
	    {SV_INIT("{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\",\"y\":\"AA\"}"),
	     ERR_UNSUPPORTED},
	    {SV_INIT("{\"kty\":\"EC\",\"crv\":1}"), ERR_SYNTAX},
	    {SV_INIT("{\"kty\":\"EC\",\"crv\":\"P-256\"}"), ERR_SYNTAX},
	    /* off the curve */
	    {SV_INIT("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" B32 "\",\"y\":\"" B32 "\"}"),
	     ERR_CRYPTO},
	    /* short and long coordinates */
	    {SV_INIT("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAEC\",\"y\":\"" B32 "\"}"),
	     ERR_SYNTAX},
	    {SV_INIT("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" B32 "AAAA\",\"y\":\"" B32 "\"}"),
	     ERR_SYNTAX},
	    {SV_INIT("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" B32 "=\",\"y\":\"" B32 "\"}"),
	     ERR_SYNTAX},
	    {SV_INIT("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAEC\"}"), ERR_SYNTAX},
	    {SV_INIT("{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" B32 "\"}"), ERR_UNSUPPORTED},
	    {SV_INIT("{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}"), ERR_CRYPTO},
	    {SV_INIT("{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"\"}"), ERR_CRYPTO},
	    {SV_INIT("{\"kty\":\"RSA\",\"e\":\"AQAB\"}"), ERR_SYNTAX},
	    {SV_INIT("{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":3}"), ERR_SYNTAX},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct jwk k;
		enum err got = read_text(rows[i].in, &k);

		if (got != rows[i].want)
			fail_msg("%s: %s", rows[i].in.p, err_text(got));
		assert_null(k.pkey);
	}
}

/* An RSA key with a modulus of so many bytes and this exponent, both only as numbers. */
static enum err read_rsa_numbers(EVP_PKEY *key, size_t cut, const char *e)
{
	struct jwk k;
	unsigned char n[2048];
	BIGNUM *bn = NULL;
	size_t len;
	struct buf b;
	enum err got;

	assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &bn), 1);
	len = (size_t)BN_bn2bin(bn, n);
	BN_free(bn);
	buf_init(&b, 100000);
	buf_addf(&b, "{\"kty\":\"RSA\",\"n\":\"");
	put_b64(&b, n + cut, len - cut);
	buf_addf(&b, "\",\"e\":\"%s\"}", e);
	got = read_text(buf_sv(&b), &k);
	EVP_PKEY_free(k.pkey);
	buf_done(&b);
	return got;
}

static void rsa_sizes_and_exponents_are_bounded(void **state)
{
	EVP_PKEY *good = EVP_RSA_gen(2048), *small = EVP_RSA_gen(1024);

	(void)state;
	assert_int_equal(read_rsa_numbers(good, 0, "AQAB"), ERR_OK);
	assert_int_equal(read_rsa_numbers(small, 0, "AQAB"), ERR_CRYPTO);
	assert_int_equal(read_rsa_numbers(good, 1, "AQAB"), ERR_CRYPTO);	   /* 2040 bits */
	assert_int_equal(read_rsa_numbers(good, 0, "AQ"), ERR_CRYPTO);		   /* 1 */
	assert_int_equal(read_rsa_numbers(good, 0, "Ag"), ERR_CRYPTO);		   /* 2 */
	assert_int_equal(read_rsa_numbers(good, 0, "AA"), ERR_CRYPTO);		   /* 0 */
	assert_int_equal(read_rsa_numbers(good, 0, "AQAAAAAAAAAAAQ"), ERR_SYNTAX); /* 10 bytes */
	EVP_PKEY_free(good);
	EVP_PKEY_free(small);
}

static void a_modulus_over_the_limit_is_refused(void **state)
{
	unsigned char n[1025];
	struct jwk k;
	struct buf b;

	(void)state;
	memset(n, 0xff, sizeof n);
	buf_init(&b, 100000);
	buf_addf(&b, "{\"kty\":\"RSA\",\"n\":\"");
	put_b64(&b, n, sizeof n);
	buf_addf(&b, "\",\"e\":\"AQAB\"}");
	assert_int_equal(read_text(buf_sv(&b), &k), ERR_SYNTAX);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(members_decide_the_use),
	    cmocka_unit_test(kid_and_alg_are_kept),
	    cmocka_unit_test(bad_keys_are_refused),
	    cmocka_unit_test(rsa_sizes_and_exponents_are_bounded),
	    cmocka_unit_test(a_modulus_over_the_limit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

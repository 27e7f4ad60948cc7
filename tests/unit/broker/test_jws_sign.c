#include "broker/jws_sign.h"

#include "broker/json_strict.h"
#include "broker/jwks.h"
#include "tests/unit/broker/signer.h"

static const enum config_alg algs[] = {ALG_RS256, ALG_PS256, ALG_ES256, ALG_EDDSA};

static void what_is_signed_verifies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
		EVP_PKEY *key = signer_key(algs[i]), *other = signer_key(algs[i]);
		struct jose_token t;
		struct buf b, header;

		buf_init(&b, 10000);
		buf_init(&header, 100);
		buf_addf(&header, "{\"alg\":\"%s\"}", jws_alg_name(algs[i]));
		buf_add(&b, SV("before"));
		assert_int_equal(jws_sign(key, algs[i], buf_sv(&header), SV("{\"sub\":\"a\"}"), &b),
				 ERR_OK);
		assert_int_equal(jose_parse(sv_cut(buf_sv(&b), strlen("before"), b.n), algs[i], &t),
				 JWT_NONE);
		assert_int_equal(jose_verify(&t, key), ERR_OK);
		assert_int_equal(jose_verify(&t, other), ERR_CRYPTO);
		buf_done(&b);
		buf_done(&header);
		EVP_PKEY_free(key);
		EVP_PKEY_free(other);
	}
}

/* Both numbers of an ECDSA signature are padded: one in 128 begins with a zero. */
static void every_ecdsa_signature_has_its_length(void **state)
{
	EVP_PKEY *key = signer_key(ALG_ES256);

	(void)state;
	for (int i = 0; i < 600; i++) {
		struct jose_token t;
		struct buf b;

		buf_init(&b, 1000);
		assert_int_equal(jws_sign(key, ALG_ES256, SV("{\"alg\":\"ES256\"}"), SV("{}"), &b),
				 ERR_OK);
		assert_int_equal(jose_parse(buf_sv(&b), ALG_ES256, &t), JWT_NONE);
		assert_int_equal(t.signature_n, 64);
		assert_int_equal(jose_verify(&t, key), ERR_OK);
		buf_done(&b);
	}
	EVP_PKEY_free(key);
}

static void a_key_signs_only_what_it_can(void **state)
{
	EVP_PKEY *p384 = EVP_EC_gen("P-384");
	struct buf b;

	(void)state;
	buf_init(&b, 10000);
	for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
		EVP_PKEY *key = signer_key(algs[i]);

		for (size_t k = 0; k < ARRAY_LEN(algs); k++)
			assert_int_equal(
			    jws_sign(key, algs[k], SV("{}"), SV("{}"), &b),
			    jose_key_type(algs[k]) == jose_key_type(algs[i]) ? ERR_OK : ERR_CRYPTO);
		assert_int_equal(jws_sign(p384, algs[i], SV("{}"), SV("{}"), &b), ERR_CRYPTO);
		EVP_PKEY_free(key);
	}
	buf_done(&b);
	EVP_PKEY_free(p384);
}

static void a_token_has_a_limit(void **state)
{
	EVP_PKEY *key = signer_key(ALG_ES256);

	(void)state;
	for (size_t max = 0; max < 93; max++) { /* "e30.e30." and 86 */
		struct buf b;

		buf_init(&b, max);
		assert_int_equal(jws_sign(key, ALG_ES256, SV("{}"), SV("{}"), &b), ERR_NOMEM);
		buf_done(&b);
	}
	EVP_PKEY_free(key);
}

static EVP_PKEY *from_jwk(const char *text)
{
	struct json_object *o = NULL;
	struct jwk k;

	assert_int_equal(json_strict_parse(sv_str(text), 10000, &o), ERR_OK);
	assert_int_equal(jwk_read(o, &k), ERR_OK);
	json_object_put(o);
	return k.pkey;
}

/* RFC 7638 3.1, RFC 8037 A.3. */
static void thumbprints_are_those_of_the_rfcs(void **state)
{
	static const struct {
		const char *jwk, *want;
	} rows[] = {
	    {"{\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtV"
	     "T86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-"
	     "5JsGY4Hc5n9yBXArwl93l"
	     "qt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"
	     "FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajr"
	     "n1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-"
	     "c"
	     "sFCur-kEgU8awapJzKnqDKgw\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}",
	     "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
	    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_"
	     "7TyWQHOg7hcvPapiMlrwIaaPcHU"
	     "Ro\"}",
	     "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		EVP_PKEY *key = from_jwk(rows[i].jwk);
		char got[JWK_THUMBPRINT_LEN];

		assert_int_equal(jwk_thumbprint(key, got), ERR_OK);
		assert_sv_equal(sv_of(got, sizeof got), sv_str(rows[i].want));
		EVP_PKEY_free(key);
	}
}

/* What is published is the public half alone, and verifies. */
static void a_published_key_verifies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
		EVP_PKEY *key = signer_key(algs[i]), *public;
		struct json_object *o = NULL, *unwanted;
		struct jose_token t;
		struct jwk read;
		struct buf b, jwk, header;

		buf_init(&b, 10000);
		buf_init(&jwk, 10000);
		buf_init(&header, 100);
		assert_int_equal(jwk_write(key, SV("k1"), &jwk), ERR_OK);
		assert_int_equal(json_strict_parse(buf_sv(&jwk), 10000, &o), ERR_OK);
		assert_int_equal(jwk_read(o, &read), ERR_OK);
		assert_sv_equal(sv_of(read.kid, read.kid_n), SV("k1"));
		assert_int_equal(read.alg, 0);
		assert_false(json_object_object_get_ex(o, "d", &unwanted));
		assert_true(json_object_object_get_ex(o, "use", &unwanted));
		public = read.pkey;
		buf_addf(&header, "{\"alg\":\"%s\"}", jws_alg_name(algs[i]));
		assert_int_equal(jws_sign(key, algs[i], buf_sv(&header), SV("{}"), &b), ERR_OK);
		assert_int_equal(jose_parse(buf_sv(&b), algs[i], &t), JWT_NONE);
		assert_int_equal(jose_verify(&t, public), ERR_OK);
		json_object_put(o);
		EVP_PKEY_free(key);
		EVP_PKEY_free(public);
		buf_done(&b);
		buf_done(&jwk);
		buf_done(&header);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_signed_verifies),
	    cmocka_unit_test(every_ecdsa_signature_has_its_length),
	    cmocka_unit_test(a_key_signs_only_what_it_can),
	    cmocka_unit_test(a_token_has_a_limit),
	    cmocka_unit_test(thumbprints_are_those_of_the_rfcs),
	    cmocka_unit_test(a_published_key_verifies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

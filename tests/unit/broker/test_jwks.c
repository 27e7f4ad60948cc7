#include "broker/jwks.h"

#include "tests/unit/broker/signer.h"

static EVP_PKEY *rsa, *ec, *ec2, *ed;

static int set_up(void **state)
{
	(void)state;
	rsa = signer_key(ALG_RS256);
	ec = signer_key(ALG_ES256);
	ec2 = signer_key(ALG_ES256);
	ed = signer_key(ALG_EDDSA);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(ec2);
	EVP_PKEY_free(ed);
	return 0;
}

struct element {
	EVP_PKEY *key;
	const char *extra;
};

/* A set of up to four keys, with rubbish between them. */
static struct jwks *set_of(const struct element *e, size_t n)
{
	struct jwks *s = NULL;
	struct buf b;

	buf_init(&b, 1000000);
	buf_addf(&b, "{\"keys\":[1,{},{\"kty\":\"oct\",\"k\":\"AA\"},null");
	for (size_t i = 0; i < n; i++) {
		buf_add_char(&b, ',');
		put_jwk(&b, e[i].key, e[i].extra);
	}
	buf_addf(&b, ",{\"kty\":\"RSA\",\"n\":\"AA\",\"e\":\"AA\"}],\"more\":1}");
	assert_int_equal(jwks_parse(buf_sv(&b), &s), ERR_OK);
	buf_done(&b);
	return s;
}

static enum jwt_refusal judge(const struct jwks *s, EVP_PKEY *key, enum config_alg alg,
			      const char *header)
{
	struct jose_token t;
	enum jwt_refusal r;
	struct buf b;

	buf_init(&b, 100000);
	put_token(&b, key, alg, header, "{}");
	r = jose_parse(buf_sv(&b), alg, &t);
	if (r == JWT_NONE)
		r = jwks_verify(s, &t);
	buf_done(&b);
	return r;
}

#define ES_NO_KID "{\"alg\":\"ES256\"}"
#define ES_K1 "{\"alg\":\"ES256\",\"kid\":\"k1\"}"
#define ES_K2 "{\"alg\":\"ES256\",\"kid\":\"k2\"}"

static void rubbish_is_skipped(void **state)
{
	struct jwks *s = set_of((struct element[]){{rsa, ""}, {ec, ""}, {ed, ""}}, 3);

	(void)state;
	assert_int_equal(jwks_count(s), 3);
	jwks_free(&s);
	assert_null(s);
	jwks_free(&s);
	assert_int_equal(jwks_count(NULL), 0);
}

static void kid_selects(void **state)
{
	struct jwks *s =
	    set_of((struct element[]){{ec, ",\"kid\":\"k1\""}, {ec2, ",\"kid\":\"k2\""}}, 2);

	(void)state;
	assert_int_equal(judge(s, ec, ALG_ES256, ES_K1), JWT_NONE);
	assert_int_equal(judge(s, ec2, ALG_ES256, ES_K2), JWT_NONE);
	assert_int_equal(judge(s, ec2, ALG_ES256, ES_K1), JWT_SIGNATURE);
	assert_int_equal(judge(s, ec, ALG_ES256, "{\"alg\":\"ES256\",\"kid\":\"k3\"}"), JWT_KEY);
	assert_int_equal(judge(s, ec, ALG_ES256, "{\"alg\":\"ES256\",\"kid\":\"\"}"), JWT_KEY);
	/* none named: those that fit are tried */
	assert_int_equal(judge(s, ec2, ALG_ES256, ES_NO_KID), JWT_NONE);
	jwks_free(&s);
}

static void a_key_without_kid_serves_only_tokens_without_one(void **state)
{
	struct jwks *s = set_of((struct element[]){{ec, ""}}, 1);

	(void)state;
	assert_int_equal(judge(s, ec, ALG_ES256, ES_NO_KID), JWT_NONE);
	assert_int_equal(judge(s, ec, ALG_ES256, ES_K1), JWT_KEY);
	jwks_free(&s);
}

/* FAPI 2.0 5.4.3: decoys of the same kid. */
static void a_doubled_kid_is_told_apart_by_type_and_alg(void **state)
{
	struct jwks *s = set_of((struct element[]){{rsa, ",\"kid\":\"k1\""},
						   {ed, ",\"kid\":\"k1\""},
						   {ec2, ",\"kid\":\"k1\",\"use\":\"enc\""},
						   {ec, ",\"kid\":\"k1\",\"alg\":\"ES256\""}},
				4);

	(void)state;
	assert_int_equal(judge(s, ec, ALG_ES256, ES_K1), JWT_NONE);
	assert_int_equal(judge(s, ec2, ALG_ES256, ES_K1), JWT_SIGNATURE);
	assert_int_equal(judge(s, rsa, ALG_RS256, "{\"alg\":\"RS256\",\"kid\":\"k1\"}"), JWT_NONE);
	assert_int_equal(judge(s, ed, ALG_EDDSA, "{\"alg\":\"EdDSA\",\"kid\":\"k1\"}"), JWT_NONE);
	jwks_free(&s);
}

static void the_alg_of_a_key_binds(void **state)
{
	struct jwks *s = set_of((struct element[]){{rsa, ",\"alg\":\"PS256\""}}, 1);

	(void)state;
	assert_int_equal(judge(s, rsa, ALG_PS256, "{\"alg\":\"PS256\"}"), JWT_NONE);
	assert_int_equal(judge(s, rsa, ALG_RS256, "{\"alg\":\"RS256\"}"), JWT_KEY);
	jwks_free(&s);
}

static void not_every_key_of_a_large_set_is_tried(void **state)
{
	struct jwks *s =
	    set_of((struct element[]){{ec2, ""}, {ec2, ""}, {ec2, ""}, {ec2, ""}, {ec, ""}}, 5);

	(void)state;
	assert_int_equal(judge(s, ec, ALG_ES256, ES_NO_KID), JWT_SIGNATURE);
	jwks_free(&s);
}

static void bad_sets_are_refused(void **state)
{
	static const struct {
		struct sv in;
		enum err want;
	} rows[] = {
	    {SV_INIT("{\"keys\":[]}"), ERR_OK},
	    {SV_INIT("{}"), ERR_SYNTAX},
	    {SV_INIT("[]"), ERR_SYNTAX},
	    {SV_INIT("{\"keys\":{}}"), ERR_SYNTAX},
	    {SV_INIT("{\"keys\":null}"), ERR_SYNTAX},
	    {SV_INIT("{\"keys\":[],\"keys\":[]}"), ERR_EXISTS},
	    {SV_INIT("<html>"), ERR_SYNTAX},
	    {SV_INIT(""), ERR_SYNTAX},
	};
	struct jwks *s;
	struct buf b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		s = NULL;
		assert_int_equal(jwks_parse(rows[i].in, &s), rows[i].want);
		jwks_free(&s);
	}
	for (size_t n = JWKS_ELEMENTS_MAX; n <= JWKS_ELEMENTS_MAX + 1; n++) {
		buf_init(&b, 100000);
		buf_addf(&b, "{\"keys\":[0");
		for (size_t i = 1; i < n; i++)
			buf_addf(&b, ",0");
		buf_addf(&b, "]}");
		assert_int_equal(jwks_parse(buf_sv(&b), &s),
				 n == JWKS_ELEMENTS_MAX ? ERR_OK : ERR_LIMIT);
		jwks_free(&s);
		buf_done(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rubbish_is_skipped),
	    cmocka_unit_test(kid_selects),
	    cmocka_unit_test(a_key_without_kid_serves_only_tokens_without_one),
	    cmocka_unit_test(a_doubled_kid_is_told_apart_by_type_and_alg),
	    cmocka_unit_test(the_alg_of_a_key_binds),
	    cmocka_unit_test(not_every_key_of_a_large_set_is_tried),
	    cmocka_unit_test(bad_sets_are_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

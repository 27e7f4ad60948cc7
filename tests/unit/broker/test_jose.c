#include "broker/jose.h"

#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "tests/unit/broker/signer.h"

static const struct {
	enum config_alg alg;
	const char *name, *header;
} algs[] = {
    {ALG_RS256, "RS256", "{\"alg\":\"RS256\",\"kid\":\"k1\",\"typ\":\"JWT\"}"},
    {ALG_PS256, "PS256", "{\"alg\":\"PS256\",\"kid\":\"k1\",\"typ\":\"JWT\"}"},
    {ALG_ES256, "ES256", "{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"JWT\"}"},
    {ALG_EDDSA, "EdDSA", "{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"JWT\"}"},
};
static EVP_PKEY *keys[ARRAY_LEN(algs)];

static int set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(algs); i++)
		keys[i] = signer_key(algs[i].alg);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(algs); i++)
		EVP_PKEY_free(keys[i]);
	return 0;
}

/* The first word that refuses, JWT_NONE when it verifies. */
static enum jwt_refusal judge(struct sv jwt, enum config_alg pinned, EVP_PKEY *key)
{
	struct jose_token t;
	enum jwt_refusal r = jose_parse(jwt, pinned, &t);

	if (r != JWT_NONE)
		return r;
	return jose_verify(&t, key) == ERR_OK ? JWT_NONE : JWT_SIGNATURE;
}

static void assert_refusal(const char *what, enum jwt_refusal got, enum jwt_refusal want)
{
	if (got != want)
		fail_msg("%s: got \"%s\", want \"%s\"", what, jwt_refusal_word(got),
			 jwt_refusal_word(want));
}

static void honest_tokens_verify(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
		struct jose_token t;
		struct buf b, payload;

		buf_init(&b, 100000);
		buf_init(&payload, 100000);
		put_token(&b, keys[i], algs[i].alg, algs[i].header, "{\"sub\":\"a\"}");
		assert_int_equal(jose_parse(buf_sv(&b), algs[i].alg, &t), JWT_NONE);
		assert_int_equal(jose_verify(&t, keys[i]), ERR_OK);
		assert_sv_equal(sv_of(t.header.kid, t.header.kid_n), SV("k1"));
		assert_sv_equal(sv_of(t.header.typ, t.header.typ_n), SV("JWT"));
		assert_int_equal(jose_payload(&t, &payload), ERR_OK);
		assert_sv_equal(buf_sv(&payload), SV("{\"sub\":\"a\"}"));
		buf_done(&b);
		buf_done(&payload);
	}
}

/* Each pair of pinned algorithm, token and key that do not belong together. */
static void only_the_pinned_algorithm_with_its_own_key_verifies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
		struct buf b;

		buf_init(&b, 100000);
		put_token(&b, keys[i], algs[i].alg, algs[i].header, "{}");
		for (size_t j = 0; j < ARRAY_LEN(algs); j++) {
			if (i == j)
				continue;
			assert_refusal(algs[j].name, judge(buf_sv(&b), algs[j].alg, keys[i]),
				       JWT_ALG);
			assert_refusal(algs[j].name, judge(buf_sv(&b), algs[i].alg, keys[j]),
				       JWT_SIGNATURE);
		}
		buf_done(&b);
	}
}

static void broken_signatures_are_refused(void **state)
{
	enum { FLIP_FIRST, FLIP_LAST, ZERO, SHORT, LONG, EMPTY, HALF, WAYS };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
		for (int way = 0; way < WAYS; way++) {
			unsigned char sig[1025];
			struct buf b;
			size_t n;

			buf_init(&b, 100000);
			put_b64(&b, algs[i].header, strlen(algs[i].header));
			buf_add(&b, SV(".e30"));
			n = sign_raw(keys[i], algs[i].alg, buf_sv(&b), sig);
			sig[n] = 0;
			if (way == FLIP_FIRST)
				sig[0] ^= 1;
			if (way == FLIP_LAST)
				sig[n - 1] ^= 1;
			if (way == ZERO)
				memset(sig, 0, n);
			n = way == SHORT   ? n - 1
			    : way == LONG  ? n + 1
			    : way == HALF  ? n / 2
			    : way == EMPTY ? 0
					   : n;
			buf_add_char(&b, '.');
			put_b64(&b, sig, n);
			assert_refusal(algs[i].name, judge(buf_sv(&b), algs[i].alg, keys[i]),
				       JWT_SIGNATURE);
			buf_done(&b);
		}
	}
}

/* Any changed character of what was signed. */
static void a_changed_token_is_refused(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100000);
	put_token(&b, keys[2], ALG_ES256, algs[2].header, "{\"sub\":\"alice\",\"aud\":\"app\"}");
	for (size_t i = 0; i < b.n; i++) {
		char was = b.p[i];

		b.p[i] = was == 'A' ? 'B' : 'A';
		assert_int_not_equal(judge(buf_sv(&b), ALG_ES256, keys[2]), JWT_NONE);
		b.p[i] = was;
	}
	assert_int_equal(judge(buf_sv(&b), ALG_ES256, keys[2]), JWT_NONE);
	for (size_t n = 0; n < b.n; n++)
		assert_int_not_equal(judge(sv_of(b.p, n), ALG_ES256, keys[2]), JWT_NONE);
	buf_done(&b);
}

static void headers_are_scanned_strictly(void **state)
{
	static const struct {
		const char *header;
		enum jwt_refusal want;
	} rows[] = {
	    {"{\"alg\":\"ES256\"}", JWT_NONE},
	    {"{\"alg\":\"ES256\",\"kid\":\"a\\/b\"}", JWT_NONE},
	    {"{\"alg\":\"ES256\",\"cty\":\"JWT\"}", JWT_NONE},
	    /* ignored, not followed */
	    {"{\"alg\":\"ES256\",\"jku\":\"https://evil.example/keys\"}", JWT_NONE},
	    {"{\"alg\":\"ES256\",\"x5u\":\"https://evil.example/x\",\"x5c\":[\"AA\"]}", JWT_NONE},
	    {"{\"alg\":\"ES256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"}}", JWT_NONE},
	    {"{\"alg\":\"none\"}", JWT_ALG},
	    {"{\"alg\":\"None\"}", JWT_ALG},
	    {"{\"alg\":\"HS256\"}", JWT_ALG},
	    {"{\"alg\":\"RS256\"}", JWT_ALG},
	    {"{\"alg\":\"es256\"}", JWT_ALG},
	    {"{\"alg\":\"ES256 \"}", JWT_ALG},
	    {"{\"alg\":\"\"}", JWT_ALG},
	    {"{\"alg\":\"a name that is longer than any\"}", JWT_ALG},
	    {"{}", JWT_ALG},
	    {"{\"kid\":\"k1\"}", JWT_ALG},
	    {"{\"alg\":\"ES256\",\"crit\":[\"exp\"]}", JWT_CRIT},
	    {"{\"alg\":\"ES256\",\"crit\":[]}", JWT_CRIT},
	    {"{\"alg\":\"ES256\",\"crit\":null}", JWT_CRIT},
	    {"{\"alg\":\"ES256\",\"b64\":false}", JWT_CRIT},
	    {"{\"alg\":\"ES256\",\"\\u0063\\u0072\\u0069\\u0074\":[\"exp\"]}", JWT_HEADER},
	    {"{\"\\u0061lg\":\"ES256\"}", JWT_HEADER},
	    {"{\"alg\":\"ES256\",\"alg\":\"none\"}", JWT_HEADER},
	    {"{\"alg\":\"none\",\"alg\":\"ES256\"}", JWT_HEADER},
	    {"{\"alg\":[\"ES256\"]}", JWT_HEADER},
	    {"{\"alg\":null}", JWT_HEADER},
	    {"{\"alg\":\"ES256\",\"kid\":1}", JWT_HEADER},
	    {"{\"alg\":\"ES256\",\"typ\":[]}", JWT_HEADER},
	    {"{\"alg\":\"ES256\",\"typ\":\"\"}", JWT_HEADER},
	    {"{\"alg\":\"ES256\"} ", JWT_NONE},
	    {"{\"alg\":\"ES256\"}x", JWT_HEADER},
	    {"[\"ES256\"]", JWT_HEADER},
	    {"\"ES256\"", JWT_HEADER},
	    {"", JWT_HEADER},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;

		buf_init(&b, 100000);
		put_token(&b, keys[2], ALG_ES256, rows[i].header, "{}");
		assert_refusal(rows[i].header, judge(buf_sv(&b), ALG_ES256, keys[2]), rows[i].want);
		buf_done(&b);
	}
}

static void shapes_are_refused_before_anything_is_decoded(void **state)
{
	static char big[JOSE_TOKEN_MAX + 2], header[JOSE_TOKEN_MAX + 1];
	static const struct {
		struct sv in;
		enum jwt_refusal want;
	} rows[] = {
	    {SV_INIT(""), JWT_PARTS},
	    {SV_INIT("."), JWT_PARTS},
	    {SV_INIT(".."), JWT_HEADER},
	    {SV_INIT("a.b"), JWT_PARTS},
	    {SV_INIT("a.b.c.d"), JWT_PARTS},
	    {SV_INIT("a.b.c.d.e"), JWT_ENCRYPTED},
	    {SV_INIT("a.b.c.d.e.f"), JWT_PARTS},
	    {SV_INIT("e30=.e30.AA"), JWT_PARTS},
	    {SV_INIT("e 30.e30.AA"), JWT_PARTS},
	    {SV_INIT("e31.e30.AA"), JWT_PARTS}, /* unused bits set */
	    {SV_INIT("{\"alg\":\"ES256\"}.e30.AA"), JWT_PARTS},
	    {SV_INIT("eyJhbGciOiJFUzI1NiJ9.e30."), JWT_SIGNATURE},
	    {SV_INIT("eyJhbGciOiJFUzI1NiJ9.e30.A"), JWT_PARTS},
	    {SV_INIT("eyJhbGciOiJFUzI1NiJ9.e30.AB+/"), JWT_PARTS},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_refusal(rows[i].in.p, judge(rows[i].in, ALG_ES256, keys[2]), rows[i].want);
	memset(big, 'A', sizeof big - 1);
	assert_refusal("big", judge(sv_str(big), ALG_ES256, keys[2]), JWT_SIZE);
	memset(header, 'A', JOSE_HEADER_MAX * 2);
	memcpy(header + JOSE_HEADER_MAX * 2, ".e30.AA", 8);
	assert_refusal("header", judge(sv_str(header), ALG_ES256, keys[2]), JWT_SIZE);
	memset(header, 'A', JOSE_SIGNATURE_MAX * 2);
	memcpy(header, "eyJhbGciOiJFUzI1NiJ9.e30.", 25);
	header[JOSE_SIGNATURE_MAX * 2 + 1] = '\0';
	assert_refusal("signature", judge(sv_str(header), ALG_ES256, keys[2]), JWT_SIZE);
}

/* The public key's own bytes as an HMAC key: the token says HS256, the pin does not. */
static void hs256_with_the_public_key_is_refused(void **state)
{
	unsigned char *der = NULL, mac[32];
	const char *header = "{\"alg\":\"HS256\"}";
	int n = i2d_PUBKEY(keys[0], &der);
	size_t mac_n = 0;
	struct buf b;

	(void)state;
	assert_true(n > 0);
	buf_init(&b, 100000);
	put_b64(&b, header, strlen(header));
	buf_add(&b, SV(".e30"));
	assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, der, (size_t)n,
				  (const unsigned char *)b.p, b.n, mac, sizeof mac, &mac_n));
	buf_add_char(&b, '.');
	put_b64(&b, mac, mac_n);
	for (size_t i = 0; i < ARRAY_LEN(algs); i++)
		assert_refusal("HS256", judge(buf_sv(&b), algs[i].alg, keys[i]), JWT_ALG);
	buf_done(&b);
	OPENSSL_free(der);
}

/* PS256 wants its salt as long as the digest. */
static void a_pss_salt_of_another_length_is_refused(void **state)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL;
	unsigned char sig[1024];
	size_t n = sizeof sig;
	struct buf b;

	(void)state;
	buf_init(&b, 100000);
	put_b64(&b, algs[1].header, strlen(algs[1].header));
	buf_add(&b, SV(".e30"));
	assert_int_equal(EVP_DigestSignInit(ctx, &pctx, EVP_sha256(), NULL, keys[1]), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, 20), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, (const unsigned char *)b.p, b.n), 1);
	buf_add_char(&b, '.');
	put_b64(&b, sig, n);
	assert_refusal("salt", judge(buf_sv(&b), ALG_PS256, keys[1]), JWT_SIGNATURE);
	EVP_MD_CTX_free(ctx);
	buf_done(&b);
}

static void names_of_algorithms(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(algs); i++)
		assert_int_equal(jose_alg(sv_str(algs[i].name)), algs[i].alg);
	assert_int_equal(jose_alg(SV("Ed25519")), ALG_EDDSA);
	assert_int_equal(jose_alg(SV("none")), 0);
	assert_int_equal(jose_alg(SV("HS256")), 0);
	assert_int_equal(jose_alg(SV("ES384")), 0);
	assert_int_equal(jose_alg(SV("")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(honest_tokens_verify),
	    cmocka_unit_test(only_the_pinned_algorithm_with_its_own_key_verifies),
	    cmocka_unit_test(broken_signatures_are_refused),
	    cmocka_unit_test(a_changed_token_is_refused),
	    cmocka_unit_test(headers_are_scanned_strictly),
	    cmocka_unit_test(shapes_are_refused_before_anything_is_decoded),
	    cmocka_unit_test(hs256_with_the_public_key_is_refused),
	    cmocka_unit_test(a_pss_salt_of_another_length_is_refused),
	    cmocka_unit_test(names_of_algorithms),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

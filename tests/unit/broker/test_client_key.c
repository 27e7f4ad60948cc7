#include "broker/client_key.h"

#include "broker/json_strict.h"
#include "broker/jwks.h"
#include "common/crypt.h"
#include "tests/unit/broker/certificates.h"

#define NOW 1700000000

static struct {
	EVP_PKEY *rsa, *ec, *ed;
	struct buf pem;
} t;

static int set_up(void **state)
{
	(void)state;
	t.rsa = signer_key(ALG_PS256);
	t.ec = signer_key(ALG_ES256);
	t.ed = signer_key(ALG_EDDSA);
	buf_init(&t.pem, 1000000);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(t.rsa);
	EVP_PKEY_free(t.ec);
	EVP_PKEY_free(t.ed);
	buf_done(&t.pem);
	return 0;
}

static struct client_keys *read_keys(void)
{
	struct client_keys *k = NULL;
	const char *why = "";
	enum err e = client_keys_read(buf_sv(&t.pem), &k, &why);

	if (e != ERR_OK)
		fail_msg("%s: %s", err_text(e), why);
	return k;
}

static void refused(const char *want)
{
	struct client_keys *k = NULL;
	const char *why = "";

	assert_int_equal(client_keys_read(buf_sv(&t.pem), &k, &why), ERR_CONFIG);
	assert_null(k);
	if (strstr(why, want) == NULL)
		fail_msg("want %s, got %s", want, why);
	buf_clear(&t.pem);
}

static void all_kinds_are_read_in_their_order(void **state)
{
	struct client_keys *k;

	(void)state;
	buf_add(&t.pem, SV("a comment\n"));
	put_key(&t.pem, t.ec, NULL);
	put_old_key(&t.pem, t.rsa);
	put_key(&t.pem, t.ed, NULL);
	put_old_key(&t.pem, t.ec);
	k = read_keys();
	assert_int_equal(k->n, 4);
	assert_int_equal(k->keys[0].type, JOSE_KEY_P256);
	assert_int_equal(k->keys[1].type, JOSE_KEY_RSA);
	assert_int_equal(k->keys[2].type, JOSE_KEY_ED25519);
	assert_int_equal(EVP_PKEY_eq(k->keys[0].pkey, t.ec), 1);
	assert_memory_equal(k->keys[0].kid, k->keys[3].kid, JWK_THUMBPRINT_LEN);
	assert_false(k->keys[0].has_certificate || k->certificate_first);
	client_keys_free(&k);
	client_keys_free(&k);
}

static void files_that_are_none_are_refused(void **state)
{
	EVP_PKEY *small = EVP_RSA_gen(1024), *p384 = EVP_EC_gen("P-384"), *x;
	BIO *bio = BIO_new(BIO_s_mem());

	(void)state;
	refused("expected private keys in PEM");
	buf_add(&t.pem, SV("secret"));
	refused("expected private keys in PEM");
	put_key(&t.pem, t.ec, "passphrase");
	refused("without a passphrase");
	put_key(&t.pem, small, NULL);
	refused("RSA (2048");
	put_key(&t.pem, p384, NULL);
	refused("EC P-256");
	assert_int_equal(PEM_write_bio_PUBKEY(bio, t.ec), 1);
	take_bio(&t.pem, bio);
	refused("private keys and certificates alone");
	buf_add(&t.pem, SV("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"));
	refused("one cannot be read");
	put_key(&t.pem, t.ec, NULL);
	t.pem.n -= 30; /* its end */
	refused("expected private keys in PEM");
	put_key(&t.pem, t.ec, NULL);
	buf_add(&t.pem, SV("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
	refused("expected certificates");
	for (int i = 0; i <= CLIENT_KEYS_MAX; i++) {
		x = signer_key(ALG_EDDSA);
		put_key(&t.pem, x, NULL);
		EVP_PKEY_free(x);
	}
	refused("at most 8");
	EVP_PKEY_free(small);
	EVP_PKEY_free(p384);
}

static void certificates_go_with_their_keys(void **state)
{
	X509 *ca = certificate_new("ca", t.ed, NULL, NULL),
	     *leaf = certificate_new("app", t.ec, ca, t.ed);
	unsigned char hash[CRYPT_SHA256_LEN], *der = NULL;
	char want[JWK_THUMBPRINT_LEN];
	struct client_keys *k;
	int n = i2d_X509(leaf, &der);

	(void)state;
	assert_int_equal(crypt_sha256(sv_of((char *)der, (size_t)n), hash), ERR_OK);
	b64url_encode(hash, sizeof hash, want);
	OPENSSL_free(der);
	put_certificate(&t.pem, leaf);
	put_certificate(&t.pem, ca);
	put_key(&t.pem, t.ec, NULL);
	put_key(&t.pem, t.rsa, NULL);
	k = read_keys();
	assert_int_equal(k->n, 2);
	assert_true(k->certificate_first && k->keys[0].has_certificate);
	assert_memory_equal(k->keys[0].x5t, want, sizeof want);
	assert_false(k->keys[1].has_certificate);
	client_keys_free(&k);
	/* the chain the wrong way round: what TLS would show first is not the key's */
	buf_clear(&t.pem);
	put_key(&t.pem, t.ec, NULL);
	put_certificate(&t.pem, ca);
	put_certificate(&t.pem, leaf);
	k = read_keys();
	assert_true(k->keys[0].has_certificate);
	assert_false(k->certificate_first);
	client_keys_free(&k);
	X509_free(ca);
	X509_free(leaf);
}

static void authorities_are_certificates_alone(void **state)
{
	X509 *ca = certificate_new("ca", t.ec, NULL, NULL);

	(void)state;
	assert_int_equal(client_certificates_check(SV("")), ERR_CONFIG);
	assert_int_equal(client_certificates_check(SV("no PEM")), ERR_CONFIG);
	put_certificate(&t.pem, ca);
	put_certificate(&t.pem, ca);
	assert_int_equal(client_certificates_check(buf_sv(&t.pem)), ERR_OK);
	put_key(&t.pem, t.ec, NULL);
	assert_int_equal(client_certificates_check(buf_sv(&t.pem)), ERR_CONFIG);
	X509_free(ca);
}

/* All are published, each under its thumbprint. */
static void the_printed_set_verifies_what_the_first_signs(void **state)
{
	struct client_keys *k;
	struct jwks *set = NULL;
	struct jose_token token;
	struct buf out, jwt;

	(void)state;
	put_key(&t.pem, t.rsa, NULL);
	put_key(&t.pem, t.ec, NULL);
	k = read_keys();
	buf_init(&out, 10000);
	buf_init(&jwt, 10000);
	assert_int_equal(client_keys_print(k, &out), ERR_OK);
	assert_int_equal(jwks_parse(buf_sv(&out), &set), ERR_OK);
	assert_int_equal(jwks_count(set), 2);
	assert_int_equal(
	    client_assertion(k, ALG_RS256, SV("app"), SV("https://i.example"), NOW, &jwt), ERR_OK);
	assert_int_equal(jose_parse(buf_sv(&jwt), ALG_RS256, &token), JWT_NONE);
	assert_sv_equal(sv_of(token.header.kid, token.header.kid_n),
			sv_of(k->keys[0].kid, JWK_THUMBPRINT_LEN));
	assert_int_equal(jwks_verify(set, &token), JWT_NONE);
	jwks_free(&set);
	client_keys_free(&k);
	buf_done(&out);
	buf_done(&jwt);
}

/* The payload, after the signature held under the key; the caller puts it. */
static struct json_object *assertion(const struct client_keys *k, enum config_alg rsa,
				     enum config_alg want)
{
	struct json_object *o = NULL;
	struct jose_token token;
	struct buf jwt, payload;

	buf_init(&jwt, 10000);
	buf_init(&payload, 10000);
	assert_int_equal(
	    client_assertion(k, rsa, SV("a\"pp"), SV("https://i.example/x"), NOW, &jwt), ERR_OK);
	assert_int_equal(jose_parse(buf_sv(&jwt), want, &token), JWT_NONE);
	assert_int_equal(jose_verify(&token, k->keys[0].pkey), ERR_OK);
	assert_int_equal(jose_payload(&token, &payload), ERR_OK);
	assert_int_equal(json_strict_parse(buf_sv(&payload), 10000, &o), ERR_OK);
	buf_done(&jwt);
	buf_done(&payload);
	return o;
}

/* RFC 7523 3, Core 9: who, for whom, once, and not for long. */
static void an_assertion_says_what_it_must(void **state)
{
	struct json_object *a, *b;
	struct client_keys *k;
	struct sv s, jti;
	int64_t at;

	(void)state;
	put_key(&t.pem, t.ec, NULL);
	k = read_keys();
	a = assertion(k, ALG_PS256, ALG_ES256);
	b = assertion(k, ALG_PS256, ALG_ES256);
	assert_int_equal(json_get_string(a, "iss", 100, &s), ERR_OK);
	assert_sv_equal(s, SV("a\"pp"));
	assert_int_equal(json_get_string(a, "sub", 100, &s), ERR_OK);
	assert_sv_equal(s, SV("a\"pp"));
	assert_int_equal(json_get_string(a, "aud", 100, &s), ERR_OK); /* not an array */
	assert_sv_equal(s, SV("https://i.example/x"));
	assert_int_equal(json_get_int(a, "iat", &at), ERR_OK);
	assert_int_equal(at, NOW);
	assert_int_equal(json_get_int(a, "exp", &at), ERR_OK);
	assert_int_equal(at, NOW + 60);
	assert_int_equal(json_get_string(a, "jti", 100, &jti), ERR_OK);
	assert_int_equal(jti.n, 22);
	assert_int_equal(json_get_string(b, "jti", 100, &s), ERR_OK);
	assert_false(sv_eq(jti, s));
	json_object_put(a);
	json_object_put(b);
	client_keys_free(&k);
}

static void the_algorithm_is_the_keys(void **state)
{
	const struct {
		EVP_PKEY *key;
		enum config_alg rsa, want;
	} rows[] = {
	    {t.rsa, ALG_PS256, ALG_PS256},
	    {t.rsa, ALG_RS256, ALG_RS256},
	    {t.ec, ALG_RS256, ALG_ES256},
	    {t.ed, ALG_PS256, ALG_EDDSA},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct client_keys *k;

		buf_clear(&t.pem);
		put_key(&t.pem, rows[i].key, NULL);
		k = read_keys();
		json_object_put(assertion(k, rows[i].rsa, rows[i].want));
		client_keys_free(&k);
	}
}

/* Entra finds the key by its certificate. */
static void a_certified_key_is_named_by_its_certificate_too(void **state)
{
	X509 *self = certificate_new("app", t.rsa, NULL, NULL);
	char header[512], want[128];
	struct client_keys *k;
	struct buf jwt;
	size_t n = 0;

	(void)state;
	put_key(&t.pem, t.rsa, NULL);
	put_certificate(&t.pem, self);
	k = read_keys();
	buf_init(&jwt, 10000);
	assert_int_equal(client_assertion(k, ALG_PS256, SV("app"), SV("i"), NOW, &jwt), ERR_OK);
	assert_int_equal(b64url_decode(sv_cut(buf_sv(&jwt), 0, sv_find(buf_sv(&jwt), '.')), header,
				       sizeof header - 1, &n),
			 ERR_OK);
	header[n] = '\0';
	snprintf(want, sizeof want, "\"x5t#S256\":\"%.*s\"", JWK_THUMBPRINT_LEN, k->keys[0].x5t);
	assert_non_null(strstr(header, want));
	buf_done(&jwt);
	client_keys_free(&k);
	X509_free(self);
}

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(all_kinds_are_read_in_their_order),
	    WITH(files_that_are_none_are_refused),
	    WITH(certificates_go_with_their_keys),
	    WITH(authorities_are_certificates_alone),
	    WITH(the_printed_set_verifies_what_the_first_signs),
	    WITH(an_assertion_says_what_it_must),
	    WITH(the_algorithm_is_the_keys),
	    WITH(a_certified_key_is_named_by_its_certificate_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

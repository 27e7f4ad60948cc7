#include "broker/client_auth.h"

#include "broker/json_strict.h"
#include "tests/unit/broker/certificates.h"

static struct http_trust *trust_with_certificate(void)
{
	EVP_PKEY *key = signer_key(ALG_ES256);
	X509 *x = certificate_new("app", key, NULL, NULL);
	struct http_trust *t = NULL;
	struct buf pem;

	buf_init(&pem, 10000);
	put_key(&pem, key, NULL);
	put_certificate(&pem, x);
	assert_int_equal(http_trust_new(SV_NONE, buf_sv(&pem), &t), ERR_OK);
	buf_done(&pem);
	X509_free(x);
	EVP_PKEY_free(key);
	return t;
}

static void each_method_puts_the_secret_where_it_belongs(void **state)
{
	static const struct {
		enum config_client_auth method;
		struct sv id, secret;
		enum err want;
		struct sv want_form, want_authorization;
	} rows[] = {
	    {CLIENT_SECRET_BASIC, SV_INIT("app"), SV_INIT("secret"), ERR_OK, SV_INIT("x=y"),
	     SV_INIT("Basic YXBwOnNlY3JldA==")},
	    /* a%3Ab:s3cr%2Bet+%26 */
	    {CLIENT_SECRET_BASIC, SV_INIT("a:b"), SV_INIT("s3cr+et &"), ERR_OK, SV_INIT("x=y"),
	     SV_INIT("Basic YSUzQWI6czNjciUyQmV0KyUyNg==")},
	    {CLIENT_SECRET_POST, SV_INIT("a:b"), SV_INIT("s3cr+et &"), ERR_OK,
	     SV_INIT("x=y&client_id=a%3Ab&client_secret=s3cr%2Bet+%26"), SV_INIT("")},
	    {CLIENT_SECRET_BASIC, SV_INIT("app"), SV_INIT(""), ERR_CONFIG, SV_INIT("x=y"),
	     SV_INIT("")},
	    {CLIENT_SECRET_POST, SV_INIT("app"), SV_INIT(""), ERR_CONFIG, SV_INIT("x=y"),
	     SV_INIT("")},
	    {CLIENT_PRIVATE_KEY_JWT, SV_INIT("app"), SV_INIT(""), ERR_CONFIG, SV_INIT("x=y"),
	     SV_INIT("")},
	    {CLIENT_TLS, SV_INIT("app"), SV_INIT(""), ERR_CONFIG, SV_INIT("x=y"), SV_INIT("")},
	    {CLIENT_TLS, SV_INIT("a:b"), SV_INIT("its key"), ERR_OK, SV_INIT("x=y&client_id=a%3Ab"),
	     SV_INIT("")},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_provider p = {.client_auth = rows[i].method, .client_id = rows[i].id};
		struct client_credential credential = {.secret = NULL};
		const struct client_auth auth = {.provider = &p, .credential = &credential};
		struct buf form, authorization;

		if (rows[i].method == CLIENT_TLS && rows[i].secret.n > 0)
			credential.trust = trust_with_certificate();
		else if (rows[i].secret.n > 0)
			assert_int_equal(secret_new(rows[i].secret, &credential.secret), ERR_OK);
		buf_init(&form, 1000);
		buf_init(&authorization, 1000);
		buf_add(&form, SV("x=y"));
		assert_int_equal(client_auth_apply(&auth, &form, &authorization), rows[i].want);
		assert_sv_equal(buf_sv(&form), rows[i].want_form);
		assert_sv_equal(buf_sv(&authorization), rows[i].want_authorization);
		buf_done(&form);
		buf_done(&authorization);
		secret_free(&credential.secret);
		http_trust_free(&credential.trust);
	}
}

/* RFC 6749 3.1: a parameter once, in whatever form it stands already. */
static void the_client_is_named_once(void **state)
{
	static const enum config_client_auth methods[] = {CLIENT_SECRET_POST, CLIENT_TLS};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		struct config_provider p = {.client_auth = methods[i], .client_id = SV("app")};
		struct client_credential credential = {.secret = NULL};
		const struct client_auth auth = {.provider = &p, .credential = &credential};
		struct buf form, authorization;

		assert_int_equal(secret_new(SV("s"), &credential.secret), ERR_OK);
		credential.trust = trust_with_certificate();
		buf_init(&form, 1000);
		buf_init(&authorization, 1000);
		buf_add(&form, SV("client_id=app&x=y"));
		assert_int_equal(client_auth_apply(&auth, &form, &authorization), ERR_OK);
		assert_sv_equal(buf_sv(&form), methods[i] == CLIENT_TLS
						   ? SV("client_id=app&x=y")
						   : SV("client_id=app&x=y&client_secret=s"));
		buf_done(&form);
		secret_free(&credential.secret);
		http_trust_free(&credential.trust);
	}
}

/* RFC 7523 3, item 3: a plain string. */
static void assert_audience(struct sv form, const char *want)
{
	const char *at = memmem(form.p, form.n, "client_assertion=", 17);
	struct json_object *o = NULL;
	struct jose_token token;
	struct buf payload;
	struct sv got;

	assert_non_null(at);
	buf_init(&payload, 10000);
	at += 17;
	assert_int_equal(jose_parse(sv_of(at, (size_t)(form.p + form.n - at)), ALG_ES256, &token),
			 JWT_NONE);
	assert_int_equal(jose_payload(&token, &payload), ERR_OK);
	assert_int_equal(json_strict_parse(buf_sv(&payload), 10000, &o), ERR_OK);
	assert_int_equal(json_get_string(o, "aud", 1000, &got), ERR_OK);
	assert_sv_equal(got, sv_str(want));
	(void)json_object_put(o);
	buf_done(&payload);
}

/* RFC 7523 2.2. */
static void an_assertion_stands_in_the_form(void **state)
{
	struct config_provider p = {.client_auth = CLIENT_PRIVATE_KEY_JWT,
				    .client_id = SV("app"),
				    .issuer = SV("https://i.example")};
	struct client_credential *credential = NULL;
	struct client_auth auth = {.provider = &p, .rsa = ALG_PS256, .now_s = 1700000000};
	EVP_PKEY *key = signer_key(ALG_ES256);
	struct buf pem, form, authorization;
	struct jose_token token;
	struct sv want = SV("x=y&client_id=app&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3A"
			    "client-assertion-type%3Ajwt-bearer&client_assertion=");
	struct errmsg msg;

	(void)state;
	buf_init(&pem, 10000);
	buf_init(&form, 10000);
	buf_init(&authorization, 1000);
	put_key(&pem, key, NULL);
	assert_int_equal(
	    client_credential_new(&p, &(struct client_files){.secret = buf_sv(&pem), .ca = SV_NONE},
				  &credential, &msg),
	    ERR_OK);
	auth.credential = credential;
	buf_add(&form, SV("x=y"));
	assert_int_equal(client_auth_apply(&auth, &form, &authorization), ERR_OK);
	assert_sv_equal(buf_sv(&authorization), SV(""));
	assert_sv_equal(sv_cut(buf_sv(&form), 0, want.n), want);
	assert_int_equal(jose_parse(sv_cut(buf_sv(&form), want.n, form.n), ALG_ES256, &token),
			 JWT_NONE);
	assert_int_equal(jose_verify(&token, key), ERR_OK);
	client_credential_free(&credential);
	EVP_PKEY_free(key);
	buf_done(&pem);
	buf_done(&form);
}

/* research: B.2; null: refused. */
static void an_assertion_is_for_the_issuer_or_its_token_endpoint(void **state)
{
	static const struct {
		enum config_assertion_audience audience;
		const char *issuer, *endpoint, *want;
	} rows[] = {
	    {AUDIENCE_ISSUER, "https://i.example", "https://i.example/token", "https://i.example"},
	    {AUDIENCE_ISSUER, "https://i.example", "https://evil.example/t", "https://i.example"},
	    {AUDIENCE_TOKEN_ENDPOINT, "https://i.example/x", "https://i.example/x/token?t=1",
	     "https://i.example/x/token?t=1"},
	    {AUDIENCE_TOKEN_ENDPOINT, "https://I.example", "https://i.example:8443/token",
	     "https://i.example:8443/token"},
	    {AUDIENCE_TOKEN_ENDPOINT, "https://i.example", "https://evil.example/t", NULL},
	    {AUDIENCE_TOKEN_ENDPOINT, "https://i.example", "https://i.example.evil/t", NULL},
	    {AUDIENCE_TOKEN_ENDPOINT, "https://i.example", "https://a.i.example/t", NULL},
	    {AUDIENCE_TOKEN_ENDPOINT, "https://i.example", "", NULL},
	};
	EVP_PKEY *key = signer_key(ALG_ES256);
	struct buf pem;

	(void)state;
	buf_init(&pem, 10000);
	put_key(&pem, key, NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_provider p = {.client_auth = CLIENT_PRIVATE_KEY_JWT,
					    .client_id = SV("app"),
					    .issuer = sv_str(rows[i].issuer),
					    .assertion_audience = rows[i].audience};
		struct client_credential *credential = NULL;
		struct client_auth auth = {.provider = &p,
					   .rsa = ALG_PS256,
					   .token_endpoint = sv_str(rows[i].endpoint),
					   .now_s = 1700000000};
		struct buf form, authorization;
		struct errmsg msg;

		buf_init(&form, 10000);
		buf_init(&authorization, 1000);
		assert_int_equal(client_credential_new(
				     &p,
				     &(struct client_files){.secret = buf_sv(&pem), .ca = SV_NONE},
				     &credential, &msg),
				 ERR_OK);
		auth.credential = credential;
		assert_int_equal(client_auth_apply(&auth, &form, &authorization),
				 rows[i].want == NULL ? ERR_DENIED : ERR_OK);
		if (rows[i].want == NULL)
			assert_int_equal(form.n, 0);
		else
			assert_audience(buf_sv(&form), rows[i].want);
		client_credential_free(&credential);
		buf_done(&form);
	}
	EVP_PKEY_free(key);
	buf_done(&pem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_client_is_named_once),
	    cmocka_unit_test(an_assertion_stands_in_the_form),
	    cmocka_unit_test(an_assertion_is_for_the_issuer_or_its_token_endpoint),
	    cmocka_unit_test(each_method_puts_the_secret_where_it_belongs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

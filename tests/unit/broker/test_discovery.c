#include "broker/discovery.h"

#include "tests/unit/unit.h"

#define ISS "\"issuer\":\"https://idp.example\""
#define AUTHZ ",\"authorization_endpoint\":\"https://idp.example/authorize\""
#define TOKEN ",\"token_endpoint\":\"https://idp.example/token\""
#define KEYS ",\"jwks_uri\":\"https://idp.example/keys\""
#define GOOD ISS AUTHZ TOKEN KEYS

static void documents_are_judged(void **state)
{
	static const struct {
		const char *body;
		enum err want;
		const char *want_detail;
	} rows[] = {
	    {"{" GOOD "}", ERR_OK, ""},
	    {"{" GOOD ",\"unknown\":{\"a\":[]}}", ERR_OK, ""},
	    {"{" GOOD ",\"end_session_endpoint\":null}", ERR_OK, ""},
	    {"{" GOOD ",\"response_types_supported\":[\"id_token\",\"code\"]}", ERR_OK, ""},
	    {"{" GOOD ",\"code_challenge_methods_supported\":[\"plain\",\"S256\"]}", ERR_OK, ""},
	    {"", ERR_SYNTAX, "json"},
	    {"<html>", ERR_SYNTAX, "json"},
	    {"[]", ERR_SYNTAX, "json"},
	    {"{" GOOD ",\"issuer\":\"https://evil.example\"}", ERR_EXISTS, "json"},
	    {"{" GOOD ",}", ERR_SYNTAX, "json"},
	    /* the issuer, byte for byte */
	    {"{\"issuer\":\"https://idp.example/\"" AUTHZ TOKEN KEYS "}", ERR_DENIED, "issuer"},
	    {"{\"issuer\":\"https://IDP.example\"" AUTHZ TOKEN KEYS "}", ERR_DENIED, "issuer"},
	    {"{\"issuer\":\"https://idp.example.evil\"" AUTHZ TOKEN KEYS "}", ERR_DENIED, "issuer"},
	    {"{\"issuer\":[]" AUTHZ TOKEN KEYS "}", ERR_DENIED, "issuer"},
	    {"{\"a\":1" AUTHZ TOKEN KEYS "}", ERR_DENIED, "issuer"},
	    /* what must be there */
	    {"{" ISS TOKEN KEYS "}", ERR_SYNTAX, "authorization_endpoint"},
	    {"{" ISS AUTHZ KEYS "}", ERR_SYNTAX, "token_endpoint"},
	    {"{" ISS AUTHZ TOKEN "}", ERR_SYNTAX, "jwks_uri"},
	    {"{" ISS AUTHZ KEYS ",\"token_endpoint\":null}", ERR_SYNTAX, "token_endpoint"},
	    {"{" ISS AUTHZ KEYS ",\"token_endpoint\":1}", ERR_SYNTAX, "token_endpoint"},
	    /* where it may be */
	    {"{" ISS AUTHZ KEYS ",\"token_endpoint\":\"http://idp.example/token\"}", ERR_DENIED,
	     "token_endpoint"},
	    {"{" ISS AUTHZ KEYS ",\"token_endpoint\":\"http://127.0.0.1/token\"}", ERR_DENIED,
	     "token_endpoint"},
	    {"{" ISS AUTHZ KEYS ",\"token_endpoint\":\"/token\"}", ERR_DENIED, "token_endpoint"},
	    {"{" ISS AUTHZ KEYS ",\"token_endpoint\":\"https://a@idp.example/\"}", ERR_SYNTAX,
	     "token_endpoint"},
	    {"{" ISS AUTHZ TOKEN ",\"jwks_uri\":\"file:///etc/passwd\"}", ERR_DENIED, "jwks_uri"},
	    {"{" GOOD ",\"revocation_endpoint\":\"http://idp.example/\"}", ERR_DENIED,
	     "revocation_endpoint"},
	    {"{" GOOD ",\"end_session_endpoint\":7}", ERR_SYNTAX, "end_session_endpoint"},
	    /* what it can */
	    {"{" GOOD ",\"code_challenge_methods_supported\":[\"plain\"]}", ERR_UNSUPPORTED,
	     "code_challenge_methods_supported"},
	    {"{" GOOD ",\"code_challenge_methods_supported\":[]}", ERR_UNSUPPORTED,
	     "code_challenge_methods_supported"},
	    {"{" GOOD ",\"code_challenge_methods_supported\":\"S256\"}", ERR_SYNTAX,
	     "code_challenge_methods_supported"},
	    {"{" GOOD ",\"response_types_supported\":[\"id_token\"]}", ERR_UNSUPPORTED,
	     "response_types_supported"},
	    {"{" GOOD ",\"grant_types_supported\":[\"implicit\"]}", ERR_UNSUPPORTED,
	     "grant_types_supported"},
	    {"{" GOOD ",\"token_endpoint_auth_signing_alg_values_supported\":7}", ERR_SYNTAX,
	     "token_endpoint_auth_signing_alg_values_supported"},
	    {"{" GOOD ",\"require_pushed_authorization_requests\":1}", ERR_SYNTAX,
	     "require_pushed_authorization_requests"},
	    {"{" GOOD ",\"require_pushed_authorization_requests\":false}", ERR_OK, ""},
	    {"{" GOOD ",\"require_pushed_authorization_requests\":true}", ERR_SYNTAX,
	     "pushed_authorization_request_endpoint"},
	    {"{" GOOD ",\"pushed_authorization_request_endpoint\":\"http://idp.example/par\"}",
	     ERR_DENIED, "pushed_authorization_request_endpoint"},
	    {"{" GOOD ",\"authorization_response_iss_parameter_supported\":\"yes\"}", ERR_SYNTAX,
	     "authorization_response_iss_parameter_supported"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct discovery *d = NULL;
		const char *detail = NULL;
		enum err got = discovery_parse(sv_str(rows[i].body), SV("https://idp.example"),
					       HTTP_ONLY_HTTPS, DISCOVERY_PLAIN, &d, &detail);

		if (got != rows[i].want || strcmp(detail, rows[i].want_detail) != 0)
			fail_msg("%s: %s %s", rows[i].body, err_text(got), detail);
		assert_int_equal(d != NULL, got == ERR_OK);
		discovery_free(&d);
	}
}

static void all_endpoints_are_read(void **state)
{
	struct discovery *d = NULL;
	const char *detail;

	(void)state;
	assert_int_equal(
	    discovery_parse(
		SV("{" GOOD ",\"end_session_endpoint\":\"https:\\/\\/idp.example\\/end\","
		   "\"revocation_endpoint\":\"https://idp.example/revoke\","
		   "\"userinfo_endpoint\":\"https://idp.example/me\","
		   "\"pushed_authorization_request_endpoint\":\"https://idp.example/par\","
		   "\"require_pushed_authorization_requests\":true,"
		   "\"authorization_response_iss_parameter_supported\":true}"),
		SV("https://idp.example"), HTTP_ONLY_HTTPS, DISCOVERY_PLAIN, &d, &detail),
	    ERR_OK);
	assert_sv_equal(d->metadata.issuer, SV("https://idp.example"));
	assert_sv_equal(d->metadata.authorization_endpoint, SV("https://idp.example/authorize"));
	assert_sv_equal(d->metadata.token_endpoint, SV("https://idp.example/token"));
	assert_sv_equal(d->metadata.jwks_uri, SV("https://idp.example/keys"));
	assert_sv_equal(d->metadata.end_session_endpoint, SV("https://idp.example/end"));
	assert_sv_equal(d->metadata.revocation_endpoint, SV("https://idp.example/revoke"));
	assert_sv_equal(d->metadata.userinfo_endpoint, SV("https://idp.example/me"));
	assert_sv_equal(d->metadata.pushed_authorization_request_endpoint,
			SV("https://idp.example/par"));
	assert_true(d->metadata.iss_parameter_supported);
	assert_true(d->metadata.require_pushed);
	discovery_free(&d);
	assert_null(d);
	discovery_free(&d);
}

#define ALIASES                                                                                    \
	",\"mtls_endpoint_aliases\":{\"token_endpoint\":\"https://tls.example/token\","            \
	"\"authorization_endpoint\":\"https://tls.example/no\",\"x\":1}"

/* RFC 8705 5: where the client goes, not the browser. */
static void aliases_are_for_mutual_tls(void **state)
{
	static const struct {
		const char *body;
		enum discovery_tls tls;
		enum err want;
		const char *want_token;
	} rows[] = {
	    {"{" GOOD ALIASES "}", DISCOVERY_PLAIN, ERR_OK, "https://idp.example/token"},
	    {"{" GOOD ALIASES "}", DISCOVERY_MUTUAL_TLS, ERR_OK, "https://tls.example/token"},
	    {"{" GOOD "}", DISCOVERY_MUTUAL_TLS, ERR_OK, "https://idp.example/token"},
	    {"{" GOOD ",\"mtls_endpoint_aliases\":{}}", DISCOVERY_MUTUAL_TLS, ERR_OK,
	     "https://idp.example/token"},
	    {"{" GOOD ",\"mtls_endpoint_aliases\":[]}", DISCOVERY_MUTUAL_TLS, ERR_SYNTAX, ""},
	    {"{" GOOD ",\"mtls_endpoint_aliases\":{\"token_endpoint\":\"http://tls.example/\"}}",
	     DISCOVERY_MUTUAL_TLS, ERR_DENIED, ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct discovery *d = NULL;
		const char *detail;

		assert_int_equal(discovery_parse(sv_str(rows[i].body), SV("https://idp.example"),
						 HTTP_ONLY_HTTPS, rows[i].tls, &d, &detail),
				 rows[i].want);
		if (d == NULL)
			continue;
		assert_sv_equal(d->metadata.token_endpoint, sv_str(rows[i].want_token));
		assert_sv_equal(d->metadata.authorization_endpoint,
				SV("https://idp.example/authorize"));
		discovery_free(&d);
	}
}

#define ALGS ",\"token_endpoint_auth_signing_alg_values_supported\":"

static void assertions_are_signed_as_it_takes_them(void **state)
{
	static const struct {
		const char *body;
		enum config_alg want;
	} rows[] = {
	    {"{" GOOD "}", ALG_PS256},
	    {"{" GOOD ALGS "[\"RS256\",\"PS256\"]}", ALG_PS256},
	    {"{" GOOD ALGS "[\"RS256\",\"ES256\"]}", ALG_RS256},
	    {"{" GOOD ALGS "[\"ES256\"]}", ALG_PS256},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct discovery *d = NULL;
		const char *detail;

		assert_int_equal(discovery_parse(sv_str(rows[i].body), SV("https://idp.example"),
						 HTTP_ONLY_HTTPS, DISCOVERY_PLAIN, &d, &detail),
				 ERR_OK);
		assert_int_equal(d->assertion_rsa, rows[i].want);
		discovery_free(&d);
	}
}

static void loopback_is_taken_only_when_told(void **state)
{
	struct sv body = SV("{\"issuer\":\"http://127.0.0.1:9\","
			    "\"authorization_endpoint\":\"http://localhost:9/authorize\","
			    "\"token_endpoint\":\"http://127.0.0.1:9/token\","
			    "\"jwks_uri\":\"http://[::1]:9/keys\"}");
	struct discovery *d = NULL;
	const char *detail;

	(void)state;
	assert_int_equal(discovery_parse(body, SV("http://127.0.0.1:9"), HTTP_ONLY_HTTPS,
					 DISCOVERY_PLAIN, &d, &detail),
			 ERR_DENIED);
	assert_int_equal(discovery_parse(body, SV("http://127.0.0.1:9"), HTTP_LOOPBACK_TOO,
					 DISCOVERY_PLAIN, &d, &detail),
			 ERR_OK);
	discovery_free(&d);
}

static void the_place_follows_from_the_issuer(void **state)
{
	static const struct {
		const char *issuer;
		enum err want_err;
		const char *want;
	} rows[] = {
	    {"https://idp.example", ERR_OK, "https://idp.example/.well-known/openid-configuration"},
	    {"https://idp.example/", ERR_OK,
	     "https://idp.example/.well-known/openid-configuration"},
	    {"https://idp.example/a/b", ERR_OK,
	     "https://idp.example/a/b/.well-known/openid-configuration"},
	    {"https://idp.example/a/", ERR_OK,
	     "https://idp.example/a/.well-known/openid-configuration"},
	    {"https://idp.example/?a", ERR_SYNTAX, ""},
	    {"https://idp.example/#a", ERR_SYNTAX, ""},
	    {"http://idp.example", ERR_DENIED, ""},
	    {"", ERR_DENIED, ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;

		buf_init(&b, 1000);
		assert_int_equal(discovery_url(sv_str(rows[i].issuer), HTTP_ONLY_HTTPS, &b),
				 rows[i].want_err);
		assert_sv_equal(buf_sv(&b), sv_str(rows[i].want));
		buf_done(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(documents_are_judged),
	    cmocka_unit_test(all_endpoints_are_read),
	    cmocka_unit_test(aliases_are_for_mutual_tls),
	    cmocka_unit_test(assertions_are_signed_as_it_takes_them),
	    cmocka_unit_test(loopback_is_taken_only_when_told),
	    cmocka_unit_test(the_place_follows_from_the_issuer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

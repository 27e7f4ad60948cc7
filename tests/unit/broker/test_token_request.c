#include "broker/token_request.h"

#include "tests/unit/unit.h"

static void everything_but_the_plain_is_escaped(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	form_escape(&b, SV("azAZ09-._*~ +&=%/\r\n\x80\xff"));
	assert_sv_equal(buf_sv(&b), SV("azAZ09-._*%7E+%2B%26%3D%25%2F%0D%0A%80%FF"));
	buf_done(&b);
	form_add(&b, SV("a"), SV(""));
	form_add(&b, SV("b&"), SV("c=d"));
	assert_sv_equal(buf_sv(&b), SV("a=&b%26=c%3Dd"));
	buf_done(&b);
}

static void a_code_goes_with_its_verifier(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	token_request_code(&b, SV("c&x"), SV("https://a.example/auth/callback"), SV("v-1"));
	assert_sv_equal(buf_sv(&b),
			SV("grant_type=authorization_code&code=c%26x&redirect_uri="
			   "https%3A%2F%2Fa.example%2Fauth%2Fcallback&code_verifier=v-1"));
	buf_done(&b);
}

#define PLAIN "grant_type=refresh_token&refresh_token=rt%2F1"

static void a_refresh_carries_the_selector_of_its_service(void **state)
{
	static const struct sv scopes[] = {SV_INIT("api://a/read"), SV_INIT("write")};
	static const struct {
		enum config_grant grant;
		size_t nscopes;
		enum err want_err;
		struct sv want;
	} rows[] = {
	    {GRANT_SESSION, 2, ERR_OK, SV_INIT(PLAIN)},
	    {GRANT_ID_TOKEN, 2, ERR_OK, SV_INIT(PLAIN)},
	    {GRANT_RESOURCE, 0, ERR_OK, SV_INIT(PLAIN "&resource=https%3A%2F%2Fa.example%2F")},
	    {GRANT_RESOURCE, 2, ERR_OK,
	     SV_INIT(PLAIN
		     "&resource=https%3A%2F%2Fa.example%2F&scope=api%3A%2F%2Fa%2Fread+write")},
	    {GRANT_AUDIENCE, 1, ERR_OK,
	     SV_INIT(PLAIN "&audience=urn%3Aa&scope=api%3A%2F%2Fa%2Fread")},
	    {GRANT_SCOPE, 2, ERR_OK, SV_INIT(PLAIN "&scope=api%3A%2F%2Fa%2Fread+write")},
	    {GRANT_EXCHANGE, 0, ERR_UNSUPPORTED, SV_INIT("")},
	    {GRANT_OBO, 0, ERR_UNSUPPORTED, SV_INIT("")},
	    {GRANT_CLIENT_CREDENTIALS, 0, ERR_UNSUPPORTED, SV_INIT("")},
	};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_service s = {.grant = rows[i].grant,
					   .resource = SV("https://a.example/"),
					   .audience = SV("urn:a"),
					   .scope = {scopes, rows[i].nscopes}};

		assert_int_equal(token_request_refresh(&b, SV("rt/1"), &s), rows[i].want_err);
		assert_sv_equal(buf_sv(&b), rows[i].want);
		buf_done(&b);
	}
	assert_int_equal(token_request_refresh(&b, SV("rt/1"), NULL), ERR_OK);
	assert_sv_equal(buf_sv(&b), SV(PLAIN));
	buf_done(&b);
}

static void a_revocation_hints_its_kind(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	token_request_revoke(&b, SV("rt"));
	assert_sv_equal(buf_sv(&b), SV("token=rt&token_type_hint=refresh_token"));
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everything_but_the_plain_is_escaped),
	    cmocka_unit_test(a_code_goes_with_its_verifier),
	    cmocka_unit_test(a_refresh_carries_the_selector_of_its_service),
	    cmocka_unit_test(a_revocation_hints_its_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

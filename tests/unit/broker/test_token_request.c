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

static const struct config_provider generic = {.preset = PRESET_GENERIC};

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

		assert_int_equal(token_request_refresh(&b, SV("rt/1"), &generic, &s),
				 rows[i].want_err);
		assert_sv_equal(buf_sv(&b), rows[i].want);
		buf_done(&b);
	}
	assert_int_equal(token_request_refresh(&b, SV("rt/1"), &generic, NULL), ERR_OK);
	assert_sv_equal(buf_sv(&b), SV(PLAIN));
	buf_done(&b);
}

/* Entra, authentik: A.2. */
static void some_providers_want_the_scope_each_time(void **state)
{
	static const struct sv login[] = {SV_INIT("openid"), SV_INIT("offline_access")};
	static const struct sv api[] = {SV_INIT("api://a/.default")};
	static const struct sv both[] = {SV_INIT("x"), SV_INIT("offline_access")};
	static const struct {
		enum config_grant grant;
		struct config_list scope;
		size_t nlogin;
		const char *want;
	} rows[] = {
	    {GRANT_SESSION, {NULL, 0}, 2, PLAIN "&scope=openid+offline_access"},
	    {GRANT_SESSION, {NULL, 0}, 1, PLAIN "&scope=openid"},
	    {GRANT_SCOPE, {api, 1}, 2, PLAIN "&scope=api%3A%2F%2Fa%2F.default+offline_access"},
	    {GRANT_SCOPE, {api, 1}, 1, PLAIN "&scope=api%3A%2F%2Fa%2F.default"},
	    {GRANT_SCOPE, {both, 2}, 2, PLAIN "&scope=x+offline_access"},
	    /* the scope of a service that selects nothing is not sent */
	    {GRANT_ID_TOKEN, {api, 1}, 2, PLAIN "&scope=openid+offline_access"},
	};
	static const enum config_preset presets[] = {PRESET_ENTRA, PRESET_AUTHENTIK};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t k = 0; k < ARRAY_LEN(presets); k++) {
			struct config_provider p = {.preset = presets[k],
						    .scopes = {login, rows[i].nlogin}};
			struct config_service s = {.grant = rows[i].grant, .scope = rows[i].scope};

			assert_int_equal(token_request_refresh(&b, SV("rt/1"), &p, &s), ERR_OK);
			assert_sv_equal(buf_sv(&b), sv_str(rows[i].want));
			buf_done(&b);
		}
	}
}

#define EXCHANGE                                                                                   \
	"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=at%2F" \
	"1&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&"            \
	"requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3A"
#define OBO                                                                                        \
	"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=at%2F1&"       \
	"requested_token_use=on_behalf_of"

static void a_token_is_exchanged_as_its_service_says(void **state)
{
	static const struct sv scopes[] = {SV_INIT("a"), SV_INIT("b")};
	static const struct {
		enum config_preset preset;
		enum config_grant grant;
		const char *resource, *audience;
		size_t nscopes;
		const char *want; /* NULL: ERR_UNSUPPORTED */
	} rows[] = {
	    {PRESET_KEYCLOAK, GRANT_EXCHANGE, "", "orders", 2,
	     EXCHANGE "access_token&audience=orders&scope=a+b"},
	    {PRESET_ZITADEL, GRANT_EXCHANGE, "", "orders", 0, EXCHANGE "jwt&audience=orders"},
	    {PRESET_PING, GRANT_EXCHANGE, "urn:x", "orders", 0,
	     EXCHANGE "access_token&resource=urn%3Ax&audience=orders"},
	    {PRESET_ENTRA, GRANT_OBO, "", "expected-only", 2, OBO "&scope=a+b"},
	    {PRESET_GENERIC, GRANT_SCOPE, "", "", 1, NULL},
	    {PRESET_GENERIC, GRANT_SESSION, "", "", 0, NULL},
	    {PRESET_GENERIC, GRANT_CLIENT_CREDENTIALS, "", "", 0, NULL},
	};
	struct buf b;

	(void)state;
	buf_init(&b, 2000);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_provider p = {.preset = rows[i].preset};
		struct config_service s = {.grant = rows[i].grant,
					   .resource = sv_str(rows[i].resource),
					   .audience = sv_str(rows[i].audience),
					   .scope = {scopes, rows[i].nscopes}};

		assert_int_equal(token_request_exchange(&b, SV("at/1"), &p, &s),
				 rows[i].want == NULL ? ERR_UNSUPPORTED : ERR_OK);
		assert_sv_equal(buf_sv(&b), sv_str(rows[i].want));
		buf_done(&b);
	}
}

static void a_client_asks_for_itself(void **state)
{
	static const struct sv scopes[] = {SV_INIT("api://search/.default")};
	struct config_provider p = {.preset = PRESET_AUTH0};
	struct config_service s = {.grant = GRANT_CLIENT_CREDENTIALS, .audience = SV("api://s")};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(token_request_client_credentials(&b, &p, &s), ERR_OK);
	assert_sv_equal(buf_sv(&b), SV("grant_type=client_credentials&audience=api%3A%2F%2Fs"));
	buf_done(&b);
	p.preset = PRESET_ENTRA; /* knows no such parameter */
	s.scope = (struct config_list){scopes, 1};
	assert_int_equal(token_request_client_credentials(&b, &p, &s), ERR_OK);
	assert_sv_equal(buf_sv(&b), SV("grant_type=client_credentials&scope="
				       "api%3A%2F%2Fsearch%2F.default"));
	buf_done(&b);
	s.grant = GRANT_SCOPE;
	assert_int_equal(token_request_client_credentials(&b, &p, &s), ERR_UNSUPPORTED);
}

static void a_parameter_is_found_by_its_whole_name(void **state)
{
	static const struct {
		const char *form;
		bool want;
	} rows[] = {
	    {"", false},	 {"id=1", true},	 {"a=1&id=", true},
	    {"id", true},	 {"client_id=1", false}, {"a=id&b=id=", false},
	    {"a=1&&id=2", true}, {"idx=1", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;

		buf_init(&b, 100);
		buf_add(&b, sv_str(rows[i].form));
		if (form_has(&b, SV("id")) != rows[i].want)
			fail_msg("%s", rows[i].form);
		buf_done(&b);
	}
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
	    cmocka_unit_test(some_providers_want_the_scope_each_time),
	    cmocka_unit_test(a_token_is_exchanged_as_its_service_says),
	    cmocka_unit_test(a_client_asks_for_itself),
	    cmocka_unit_test(a_parameter_is_found_by_its_whole_name),
	    cmocka_unit_test(a_revocation_hints_its_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

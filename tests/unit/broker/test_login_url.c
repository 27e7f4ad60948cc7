#include "broker/login_url.h"

#include "tests/unit/unit.h"

static const struct sv scopes[] = {SV_INIT("openid"), SV_INIT("offline_access")};
static const struct config_provider idp = {.name = SV_INIT("idp"),
					   .issuer = SV_INIT("https://idp.example"),
					   .client_id = SV_INIT("bff & co"),
					   .scopes = {scopes, 2}};
static const struct config_provider other = {.name = SV_INIT("other"), .scopes = {scopes, 1}};
static const struct config_service services[] = {
    {.provider = &idp, .grant = GRANT_RESOURCE, .resource = SV_INIT("https://crm.example")},
    {.provider = &other, .grant = GRANT_RESOURCE, .resource = SV_INIT("https://not.ours")},
    {.provider = &idp, .grant = GRANT_AUDIENCE, .resource = SV_INIT("https://not.asked")},
    {.provider = &idp, .grant = GRANT_RESOURCE, .resource = SV_INIT("urn:orders?a=b")},
    {.provider = &idp, .grant = GRANT_RESOURCE, .resource = SV_INIT("https://crm.example")},
    {.provider = &idp, .grant = GRANT_SESSION},
};
static const struct config conf = {.services = services, .nservices = ARRAY_LEN(services)};

static void the_whole_url(void **state)
{
	const struct login_url u = {.endpoint = SV("https://idp.example/auth"),
				    .provider = &idp,
				    .config = &conf,
				    .redirect_uri = SV("https://app.example/auth/callback"),
				    .state = SV("S"),
				    .nonce = SV("N"),
				    .code_challenge = SV("C"),
				    .login_hint = SV("a&prompt=none")};
	const struct sv want = SV("https://idp.example/auth?response_type=code&client_id=bff+%26+co"
				  "&redirect_uri=https%3A%2F%2Fapp.example%2Fauth%2Fcallback"
				  "&scope=openid+offline_access&state=S&nonce=N&code_challenge=C"
				  "&code_challenge_method=S256&resource=https%3A%2F%2Fcrm.example"
				  "&resource=urn%3Aorders%3Fa%3Db&login_hint=a%26prompt%3Dnone");
	struct buf got;

	(void)state;
	buf_init(&got, IPC_URL_MAX);
	login_url_compose(&got, &u);
	assert_true(buf_ok(&got));
	assert_int_equal(got.n, want.n);
	assert_memory_equal(got.p, want.p, want.n);
	buf_done(&got);
}

static void an_endpoint_with_a_query_keeps_it(void **state)
{
	const struct login_url u = {.endpoint = SV("https://idp.example/auth?tenant=7"),
				    .provider = &other,
				    .config = &conf};
	struct buf got;

	(void)state;
	buf_init(&got, IPC_URL_MAX);
	login_url_compose(&got, &u);
	assert_true(
	    sv_starts(buf_sv(&got), SV("https://idp.example/auth?tenant=7&response_type=code&")));
	buf_done(&got);
}

static void prompts(void **state)
{
	static const struct {
		const struct config_provider *provider;
		bool consent;
		const char *prompt, *want; /* want NULL: no prompt at all */
	} rows[] = {
	    {&idp, true, "", "consent"},
	    {&idp, false, "", NULL},
	    {&other, true, "", NULL},
	    {&idp, true, "none", "none"},
	    {&idp, true, "login", "login+consent"},
	    {&idp, false, "login", "login"},
	    {&idp, true, "consent", "consent"},
	    {&idp, true, "select_account", "select_account+consent"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct login_url u = {.endpoint = SV("https://idp.example/auth"),
					    .provider = rows[i].provider,
					    .config = &conf,
					    .consent_for_offline = rows[i].consent,
					    .prompt = sv_str(rows[i].prompt)};
		struct buf got;
		char *at;

		buf_init(&got, IPC_URL_MAX);
		login_url_compose(&got, &u);
		buf_add_char(&got, '\0');
		assert_true(buf_ok(&got));
		at = strstr(got.p, "&prompt=");
		if (rows[i].want == NULL)
			assert_null(at);
		else
			assert_string_equal(at + strlen("&prompt="), rows[i].want);
		buf_done(&got);
	}
}

/* Google: research A.2. */
static void offline_access_may_be_a_parameter(void **state)
{
	static const struct {
		const struct config_provider *provider;
		bool access_type, want;
	} rows[] = {{&idp, true, true}, {&idp, false, false}, {&other, true, false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct login_url u = {.endpoint = SV("https://idp.example/auth"),
					    .provider = rows[i].provider,
					    .config = &conf,
					    .access_type_offline = rows[i].access_type};
		struct buf got;

		buf_init(&got, IPC_URL_MAX);
		login_url_compose(&got, &u);
		buf_add_char(&got, '\0');
		assert_int_equal(strstr(got.p, "&access_type=offline") != NULL, rows[i].want);
		assert_int_equal(strstr(got.p, "offline_access") != NULL,
				 rows[i].provider == &idp && !rows[i].access_type);
		buf_done(&got);
	}
}

static void a_url_that_is_too_long_fails(void **state)
{
	static char hint[IPC_URL_MAX];
	const struct login_url u = {.endpoint = SV("https://idp.example/auth"),
				    .provider = &idp,
				    .config = &conf,
				    .login_hint = {hint, sizeof hint}};
	struct buf got;

	(void)state;
	buf_init(&got, IPC_URL_MAX);
	login_url_compose(&got, &u);
	assert_false(buf_ok(&got));
	buf_done(&got);
}

static void errors_of_the_authorization_endpoint(void **state)
{
	static const struct {
		const char *error;
		bool silent;
		enum ipc_error want;
	} rows[] = {
	    {"access_denied", false, IPC_ERROR_ACCESS_DENIED},
	    {"access_denied", true, IPC_ERROR_ACCESS_DENIED},
	    {"login_required", true, IPC_ERROR_LOGIN_REQUIRED},
	    {"interaction_required", true, IPC_ERROR_LOGIN_REQUIRED},
	    {"consent_required", true, IPC_ERROR_LOGIN_REQUIRED},
	    {"account_selection_required", true, IPC_ERROR_LOGIN_REQUIRED},
	    {"login_required", false, IPC_ERROR_PROVIDER},
	    {"temporarily_unavailable", false, IPC_ERROR_PROVIDER_DOWN},
	    {"server_error", true, IPC_ERROR_PROVIDER_DOWN},
	    {"invalid_request", false, IPC_ERROR_PROVIDER},
	    {"Access_Denied", false, IPC_ERROR_PROVIDER},
	    {"", false, IPC_ERROR_PROVIDER},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(login_error_meaning(sv_str(rows[i].error), rows[i].silent),
				 rows[i].want);
}

static void issuers(void **state)
{
	static const struct {
		const char *iss;
		bool supported;
		const char *want;
	} rows[] = {
	    {"https://idp.example", true, NULL},
	    {"https://idp.example", false, NULL},
	    {"", false, NULL},
	    {"", true, "iss_missing"},
	    {"https://idp.example/", true, "iss_mismatch"},
	    {"https://IDP.example", false, "iss_mismatch"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *got =
		    login_iss_refusal(sv_str(rows[i].iss), idp.issuer, rows[i].supported);

		if (rows[i].want == NULL)
			assert_null(got);
		else
			assert_string_equal(got, rows[i].want);
	}
}

static void after_logout(void **state)
{
	static const struct sv bye[] = {SV_INIT("https://www.example/bye"), SV_INIT("https://b")};
	const struct config_app plain = {.name = SV("a")},
				set = {.name = SV("b"), .after_logout = {bye, 2}};
	struct logout_url u = {.endpoint = SV("https://idp.example/end"), .client_id = SV("bff")};
	struct buf target, url;

	(void)state;
	buf_init(&target, IPC_URL_MAX);
	buf_init(&url, IPC_URL_MAX);
	logout_target(&target, &plain, SV("https://app.example"));
	assert_true(sv_eq(buf_sv(&target), SV("https://app.example/")));
	buf_clear(&target);
	logout_target(&target, &set, SV("https://app.example"));
	assert_true(sv_eq(buf_sv(&target), bye[0]));
	u.post_logout_redirect_uri = buf_sv(&target);
	logout_url_compose(&url, &u);
	assert_true(sv_eq(buf_sv(&url), SV("https://idp.example/end?client_id=bff&post_logout_"
					   "redirect_uri=https%3A%2F%2Fwww.example%2Fbye")));
	buf_clear(&url);
	u.id_token_hint = SV("a.b.c");
	logout_url_compose(&url, &u);
	assert_true(sv_ends(buf_sv(&url), SV("&id_token_hint=a.b.c")));
	buf_done(&target);
	buf_done(&url);
}

static void origins_of_a_login(void **state)
{
	static const struct config_origin own[] = {{.text = SV_INIT("https://a.example")},
						   {.text = SV_INIT("https://b.example")}};
	const struct config_app each = {.origins = {own, 2}};
	const struct config_app one = {.origins = {own, 2},
				       .login_origin = {.text = SV("https://login.example")}};

	(void)state;
	assert_true(login_origin_ok(&each, SV("https://b.example")));
	assert_false(login_origin_ok(&each, SV("https://login.example")));
	assert_false(login_origin_ok(&each, SV("")));
	assert_true(login_origin_ok(&one, SV("https://login.example")));
	assert_false(login_origin_ok(&one, SV("https://a.example")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_whole_url),
	    cmocka_unit_test(an_endpoint_with_a_query_keeps_it),
	    cmocka_unit_test(prompts),
	    cmocka_unit_test(offline_access_may_be_a_parameter),
	    cmocka_unit_test(a_url_that_is_too_long_fails),
	    cmocka_unit_test(errors_of_the_authorization_endpoint),
	    cmocka_unit_test(issuers),
	    cmocka_unit_test(after_logout),
	    cmocka_unit_test(origins_of_a_login),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

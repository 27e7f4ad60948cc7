#include "broker/login_url.h"

#include "tests/unit/unit.h"

static const struct sv scopes[] = {SV_INIT("openid"), SV_INIT("offline_access")};
static const struct config_provider idp = {.name = SV_INIT("idp"),
					   .issuer = SV_INIT("https://idp.example"),
					   .client_id = SV_INIT("bff & co"),
					   .scopes = {scopes, 2}};
static const struct config_provider other = {.name = SV_INIT("other"), .scopes = {scopes, 1}};
static const struct config_provider bystander = {.name = SV_INIT("none")};
static const struct config_service services[] = {
    {.provider = &idp, .grant = GRANT_RESOURCE, .resource = SV_INIT("https://crm.example")},
    {.provider = &other, .grant = GRANT_RESOURCE, .resource = SV_INIT("https://not.ours")},
    {.provider = &idp, .grant = GRANT_AUDIENCE, .resource = SV_INIT("https://not.asked")},
    {.provider = &idp, .grant = GRANT_RESOURCE, .resource = SV_INIT("urn:orders?a=b")},
    {.provider = &idp, .grant = GRANT_RESOURCE, .resource = SV_INIT("https://crm.example")},
    {.provider = &idp, .grant = GRANT_SESSION},
};
static const struct config conf = {.services = services, .nservices = ARRAY_LEN(services)};

static const struct provider_traits bare = {.rotates = true},
				    consent = {.consent_for_offline = true},
				    google = {.consent_for_offline = true,
					      .access_type_offline = true};

/* Zero-terminated. */
static void compose(struct buf *got, const struct login_request *u)
{
	buf_init(got, IPC_URL_MAX);
	login_request_compose(got, u);
	assert_true(buf_ok(got));
	buf_add_char(got, '\0');
}

static void the_whole_request(void **state)
{
	struct login_request u = {.provider = &idp,
				  .traits = &bare,
				  .resources = SV("https://crm.example urn:orders?a=b"),
				  .redirect_uri = SV("https://app.example/auth/callback"),
				  .state = SV("S"),
				  .nonce = SV("N"),
				  .code_challenge = SV("C"),
				  .login_hint = SV("a&prompt=none")};
	struct buf got;

	(void)state;
	compose(&got, &u);
	assert_string_equal(got.p, "response_type=code&client_id=bff+%26+co"
				   "&redirect_uri=https%3A%2F%2Fapp.example%2Fauth%2Fcallback"
				   "&scope=openid+offline_access&state=S&nonce=N&code_challenge=C"
				   "&code_challenge_method=S256&resource=https%3A%2F%2Fcrm.example"
				   "&resource=urn%3Aorders%3Fa%3Db&login_hint=a%26prompt%3Dnone");
	buf_done(&got);
	u.acr_values = SV("gold silver&x=1");
	compose(&got, &u);
	assert_non_null(strstr(got.p, "&acr_values=gold+silver%26x%3D1"));
	assert_null(strstr(got.p, "max_age"));
	assert_null(strstr(got.p, "response_mode"));
	buf_done(&got);
	u.has_max_age = true; /* of 0 */
	compose(&got, &u);
	assert_non_null(strstr(got.p, "&max_age=0"));
	buf_done(&got);
}

static void resources_are_those_of_the_providers_services(void **state)
{
	struct buf got;

	(void)state;
	buf_init(&got, IPC_URL_MAX);
	login_resources(&got, &conf, &idp);
	assert_true(sv_eq(buf_sv(&got), SV("https://crm.example urn:orders?a=b")));
	buf_clear(&got);
	login_resources(&got, &conf, &bystander);
	assert_true(buf_ok(&got) && got.n == 0);
	buf_done(&got);
}

static void a_form_post_provider_is_asked_for_it(void **state)
{
	struct config_provider posts = idp;
	const struct login_request u = {.provider = &posts, .traits = &bare};
	struct buf got;

	(void)state;
	posts.response_mode = RESPONSE_FORM_POST;
	compose(&got, &u);
	assert_non_null(strstr(got.p, "&response_mode=form_post"));
	buf_done(&got);
}

static void where_offline_access_is_no_scope(void **state)
{
	const struct login_request u = {.provider = &idp, .traits = &google};
	struct buf got;

	(void)state;
	compose(&got, &u);
	assert_non_null(strstr(got.p, "&scope=openid&"));
	assert_non_null(strstr(got.p, "&access_type=offline"));
	assert_non_null(strstr(got.p, "&prompt=consent"));
	buf_done(&got);
}

static void endpoints_with_and_without_a_query(void **state)
{
	struct buf got;

	(void)state;
	buf_init(&got, IPC_URL_MAX);
	url_with_query(&got, SV("https://idp.example/auth?tenant=7"), SV("a=b"));
	assert_true(sv_eq(buf_sv(&got), SV("https://idp.example/auth?tenant=7&a=b")));
	buf_clear(&got);
	url_with_query(&got, SV("https://idp.example/auth"), SV("a=b"));
	assert_true(sv_eq(buf_sv(&got), SV("https://idp.example/auth?a=b")));
	buf_done(&got);
}

/* RFC 9126 4: these two, and nothing of what was pushed. */
static void what_a_browser_carries_of_a_pushed_request(void **state)
{
	struct buf got;

	(void)state;
	buf_init(&got, IPC_URL_MAX);
	login_pushed_compose(&got, SV("bff & co"), SV("urn:x:1&state=2"));
	assert_true(
	    sv_eq(buf_sv(&got), SV("client_id=bff+%26+co&request_uri=urn%3Ax%3A1%26state%3D2")));
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
		const struct login_request u = {.provider = rows[i].provider,
						.traits = rows[i].consent ? &consent : &bare,
						.prompt = sv_str(rows[i].prompt)};
		struct buf got;
		char *at;

		compose(&got, &u);
		at = strstr(got.p, "&prompt=");
		if (rows[i].want == NULL)
			assert_null(at);
		else
			assert_string_equal(at + strlen("&prompt="), rows[i].want);
		buf_done(&got);
	}
}

static void a_request_that_is_too_long_fails(void **state)
{
	static char hint[IPC_URL_MAX];
	const struct login_request u = {
	    .provider = &idp, .traits = &bare, .login_hint = {hint, sizeof hint}};
	struct buf got;

	(void)state;
	buf_init(&got, IPC_URL_MAX);
	login_request_compose(&got, &u);
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

static void the_way_to_the_end_session_endpoint_and_back(void **state)
{
	const struct config_app plain = {.name = SV("a"), .auth_path = SV("/auth")},
				elsewhere = {.name = SV("b"),
					     .auth_path = SV("/x/y"),
					     .login_origin = {.text = SV("https://login.example")}};
	struct logout_url u = {
	    .endpoint = SV("https://idp.example/end"), .client_id = SV("bff"), .state = SV("s-1")};
	struct buf target, url;

	(void)state;
	buf_init(&target, IPC_URL_MAX);
	buf_init(&url, IPC_URL_MAX);
	logout_return_uri(&target, &elsewhere, SV("https://app.example"));
	assert_sv_equal(buf_sv(&target), SV("https://login.example/x/y/logout"));
	buf_clear(&target);
	logout_return_uri(&target, &plain, SV("https://app.example"));
	assert_sv_equal(buf_sv(&target), SV("https://app.example/auth/logout"));
	u.post_logout_redirect_uri = buf_sv(&target);
	logout_url_compose(&url, &u);
	assert_sv_equal(buf_sv(&url),
			SV("https://idp.example/end?client_id=bff&post_logout_redirect_"
			   "uri=https%3A%2F%2Fapp.example%2Fauth%2Flogout&state=s-1"));
	buf_clear(&url);
	u.endpoint = SV("https://idp.example/end?tenant=1");
	logout_url_compose(&url, &u);
	assert_sv_equal(buf_sv(&url),
			SV("https://idp.example/end?tenant=1&client_id=bff&post_logout_"
			   "redirect_uri=https%3A%2F%2Fapp.example%2Fauth%2Flogout&state=s-1"));
	buf_clear(&url);
	u.id_token_hint = SV("a.b.c");
	logout_url_compose(&url, &u);
	assert_true(sv_ends(buf_sv(&url), SV("&state=s-1&id_token_hint=a.b.c")));
	buf_clear(&url);
	logout_form_compose(&url, &u);
	assert_sv_equal(buf_sv(&url), SV("client_id=bff&post_logout_redirect_uri=https%3A%2F%2Fapp."
					 "example%2Fauth%2Flogout&state=s-1&id_token_hint=a.b.c"));
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
	    cmocka_unit_test(the_whole_request),
	    cmocka_unit_test(resources_are_those_of_the_providers_services),
	    cmocka_unit_test(a_form_post_provider_is_asked_for_it),
	    cmocka_unit_test(where_offline_access_is_no_scope),
	    cmocka_unit_test(endpoints_with_and_without_a_query),
	    cmocka_unit_test(what_a_browser_carries_of_a_pushed_request),
	    cmocka_unit_test(prompts),
	    cmocka_unit_test(a_request_that_is_too_long_fails),
	    cmocka_unit_test(errors_of_the_authorization_endpoint),
	    cmocka_unit_test(issuers),
	    cmocka_unit_test(the_way_to_the_end_session_endpoint_and_back),
	    cmocka_unit_test(origins_of_a_login),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

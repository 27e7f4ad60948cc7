#include "broker/token_row.h"

#include "tests/unit/unit.h"

static const struct config_provider idp = {
    .name = SV_INIT("idp"), .issuer = SV_INIT("https://idp.example"), .client_id = SV_INIT("bff")};
static const struct config_service crm = {.name = SV_INIT("crm"),
					  .provider = &idp,
					  .grant = GRANT_RESOURCE,
					  .resource = SV_INIT("urn:crm")};
static const struct config_service own = {
    .name = SV_INIT("own"), .provider = &idp, .grant = GRANT_SESSION};
static const struct config_service idt = {
    .name = SV_INIT("idt"), .provider = &idp, .grant = GRANT_ID_TOKEN};
static const struct config_service exchange = {
    .name = SV_INIT("ex"), .provider = &idp, .grant = GRANT_EXCHANGE};
static const struct config_service obo = {
    .name = SV_INIT("obo"), .provider = &idp, .grant = GRANT_OBO};
static const struct config_service robot = {
    .name = SV_INIT("robot"), .provider = &idp, .grant = GRANT_CLIENT_CREDENTIALS};

static struct token_row live_row(void)
{
	return (struct token_row){.state = SV("live"),
				  .app = SV("demo"),
				  .provider = SV("idp"),
				  .issuer = SV("https://idp.example"),
				  .grant_id = SV_INIT("\0grant"),
				  .generation = 4,
				  .grant_live = true,
				  .refresh_sealed = SV("sealed"),
				  .token_generation = 3,
				  .id_token_generation = 2};
}

static void who_gets_what(void **state)
{
	static const struct {
		const char *session, *app, *provider, *issuer;
		bool grant_live, refreshable;
		const struct config_service *service;
		int64_t left_ms, ttl_ms;
		enum token_next want;
		enum ipc_error refusal;
	} rows[] = {
#define GOOD "live", "demo", "idp", "https://idp.example", true
	    {GOOD, true, &crm, 200000, 300000, TOKEN_ANSWER, 0},
	    {GOOD, true, &crm, 30001, 300000, TOKEN_ANSWER, 0},
	    {GOOD, true, &crm, 30000, 300000, TOKEN_ANSWER_AND_RENEW, 0},
	    {GOOD, true, &crm, 359000, 3600000, TOKEN_ANSWER_AND_RENEW, 0}, /* ten per cent */
	    {GOOD, true, &crm, 11000, 30000, TOKEN_ANSWER, 0},		    /* at most a third */
	    {GOOD, true, &crm, 10000, 30000, TOKEN_ANSWER_AND_RENEW, 0},
	    {GOOD, true, &crm, 999, 300000, TOKEN_REFRESH, 0},
	    {GOOD, true, &crm, 0, 0, TOKEN_REFRESH, 0},
	    {GOOD, false, &crm, 10000, 300000, TOKEN_ANSWER, 0},
	    {GOOD, false, &crm, 0, 0, TOKEN_REFUSE, IPC_ERROR_UPSTREAM},
	    {GOOD, false, &own, 0, 0, TOKEN_REFUSE, IPC_ERROR_REAUTHENTICATE},
	    {GOOD, false, &idt, 0, 0, TOKEN_REFUSE, IPC_ERROR_REAUTHENTICATE},
	    /* An exchange needs no refresh token, only a grant that lives. */
	    {GOOD, false, &exchange, 200000, 300000, TOKEN_ANSWER, 0},
	    {GOOD, false, &exchange, 10000, 300000, TOKEN_ANSWER_AND_RENEW, 0},
	    {GOOD, false, &exchange, 0, 0, TOKEN_REFRESH, 0},
	    {GOOD, false, &obo, 0, 0, TOKEN_REFRESH, 0},
	    /* A service's own token is nobody's, but asked for by a session. */
	    {GOOD, true, &robot, 0, 0, TOKEN_OF_SERVICE, 0},
	    {GOOD, false, &robot, 0, 0, TOKEN_OF_SERVICE, 0},
#undef GOOD
	    {"live", "demo", "idp", "https://idp.example", false, true, &robot, 0, 0,
	     TOKEN_OF_SERVICE, 0},
	    {"live", "demo", "idp", "https://idp.example", false, true, &exchange, 0, 0,
	     TOKEN_REFUSE, IPC_ERROR_REAUTHENTICATE},
	    {"logout", "demo", "idp", "https://idp.example", true, true, &robot, 0, 0, TOKEN_REFUSE,
	     IPC_ERROR_NO_SESSION},
	    {"live", "other", "idp", "https://idp.example", true, true, &robot, 0, 0, TOKEN_REFUSE,
	     IPC_ERROR_NO_SESSION},
	    {"live", "demo", "idp2", "https://idp.example", true, true, &robot, 0, 0, TOKEN_REFUSE,
	     IPC_ERROR_REAUTHENTICATE},
	    {"logout", "demo", "idp", "https://idp.example", true, true, &crm, 200000, 300000,
	     TOKEN_REFUSE, IPC_ERROR_NO_SESSION},
	    {"unknown", "", "", "", false, false, &crm, 0, 0, TOKEN_REFUSE, IPC_ERROR_NO_SESSION},
	    {"live", "other", "idp", "https://idp.example", true, true, &crm, 200000, 300000,
	     TOKEN_REFUSE, IPC_ERROR_NO_SESSION},
	    {"live", "demo", "idp2", "https://idp.example", true, true, &crm, 200000, 300000,
	     TOKEN_REFUSE, IPC_ERROR_REAUTHENTICATE},
	    {"live", "demo", "idp", "https://evil.example", true, true, &crm, 0, 0, TOKEN_REFUSE,
	     IPC_ERROR_REAUTHENTICATE},
	    {"live", "demo", "idp", "https://idp.example", false, true, &crm, 0, 0, TOKEN_REFUSE,
	     IPC_ERROR_REAUTHENTICATE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct token_row row = live_row();
		const struct token_ask ask = {.app = SV("demo"), .service = rows[i].service};
		const struct token_held held = {rows[i].left_ms, rows[i].ttl_ms};
		struct token_verdict got;

		row.state = sv_str(rows[i].session);
		row.app = sv_str(rows[i].app);
		row.provider = sv_str(rows[i].provider);
		row.issuer = sv_str(rows[i].issuer);
		row.grant_live = rows[i].grant_live;
		if (!rows[i].refreshable)
			row.refresh_sealed = SV_NONE;
		got = token_judge(&row, &ask, &held);
		assert_int_equal(got.next, rows[i].want);
		assert_int_equal(got.refusal, rows[i].refusal);
	}
}

/* Before anything is sent; what stands there is answered all the same. */
static void a_resource_that_the_login_did_not_ask_for_is_not_asked_for(void **state)
{
	static const struct {
		bool known;
		const char *resources;
		const struct config_service *service;
		int64_t left_ms;
		enum token_next want;
	} rows[] = {
	    {true, "urn:orders urn:crm", &crm, 0, TOKEN_REFRESH},
	    {true, "urn:orders", &crm, 0, TOKEN_REFUSE},
	    {true, "urn:crm2", &crm, 0, TOKEN_REFUSE},
	    {true, "", &crm, 0, TOKEN_REFUSE},
	    {true, "", &crm, 200000, TOKEN_ANSWER},
	    {true, "", &own, 0, TOKEN_REFRESH},
	    {true, "", &exchange, 0, TOKEN_REFRESH},
	    {true, "", &robot, 0, TOKEN_OF_SERVICE},
	    {false, "", &crm, 0, TOKEN_REFRESH},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct token_row row = live_row();
		const struct token_ask ask = {.app = SV("demo"), .service = rows[i].service};
		const struct token_held held = {rows[i].left_ms, 300000};
		struct token_verdict got;

		row.resources_known = rows[i].known;
		row.resources = sv_str(rows[i].resources);
		got = token_judge(&row, &ask, &held);
		assert_int_equal(got.next, rows[i].want);
		if (got.next != TOKEN_REFUSE)
			continue;
		assert_int_equal(got.refusal, IPC_ERROR_REAUTHENTICATE);
		assert_string_equal(got.detail, "resource_not_asked_for");
	}
}

static void jitter_is_the_grants_and_at_most_a_quarter(void **state)
{
	struct token_row row = live_row();
	const struct token_ask ask = {.app = SV("demo"), .service = &crm};
	struct token_held held = {37400, 300000};

	(void)state;
	row.grant_id = SV("\xffgrant");
	assert_int_equal(token_judge(&row, &ask, &held).next, TOKEN_ANSWER_AND_RENEW);
	held.left_ms = 37500;
	assert_int_equal(token_judge(&row, &ask, &held).next, TOKEN_ANSWER);
}

static void an_app_uses_what_its_routes_name(void **state)
{
	static const struct config_app apps[2];
	static const struct config_route routes[] = {{.app = &apps[0]},
						     {.app = &apps[0], .service = &crm},
						     {.app = &apps[1], .service = &own}};
	static const struct config c = {.routes = routes, .nroutes = ARRAY_LEN(routes)};

	(void)state;
	assert_true(token_app_uses(&c, &apps[0], &crm));
	assert_false(token_app_uses(&c, &apps[0], &own));
	assert_false(token_app_uses(&c, &apps[1], &crm));
	assert_true(token_app_uses(&c, &apps[1], &own));
	assert_false(token_app_uses(&c, &apps[0], &idt));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_gets_what),
	    cmocka_unit_test(a_resource_that_the_login_did_not_ask_for_is_not_asked_for),
	    cmocka_unit_test(jitter_is_the_grants_and_at_most_a_quarter),
	    cmocka_unit_test(an_app_uses_what_its_routes_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/token_row.h"

#include "broker/token_reply.h"
#include "common/b64.h"
#include "tests/unit/broker/ring.h"

#define NOW_S 1700000000

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

static void digests_tell_configurations_apart(void **state)
{
	static const struct sv scope_a[] = {SV_INIT("a"), SV_INIT("b")},
			       scope_b[] = {SV_INIT("ab")};
	static const struct config_provider client2 = {.name = SV_INIT("idp"),
						       .issuer = SV_INIT("https://idp.example"),
						       .client_id = SV_INIT("bff2")};
	struct config_service s[6] = {crm, crm, crm, crm, crm, crm};
	unsigned char digests[6][CRYPT_SHA256_LEN], same[CRYPT_SHA256_LEN];

	(void)state;
	s[1].resource = SV("urn:orders");
	s[2].grant = GRANT_AUDIENCE;
	s[3].scope = (struct config_list){scope_a, 2};
	s[4].scope = (struct config_list){scope_b, 1};
	s[5].provider = &client2;
	for (size_t i = 0; i < ARRAY_LEN(s); i++) {
		assert_int_equal(token_config_digest(&s[i], digests[i]), ERR_OK);
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(digests[i], digests[k], CRYPT_SHA256_LEN);
	}
	/* The login's own tokens come in one answer and are filed together. */
	assert_int_equal(token_config_digest(&own, digests[0]), ERR_OK);
	assert_int_equal(token_config_digest(&idt, same), ERR_OK);
	assert_memory_equal(digests[0], same, CRYPT_SHA256_LEN);
}

/* Opens the row for the service and expects this much left; a token only then. */
static enum err open_and_expect(const struct keyring *ring, const struct token_row *row,
				const struct config_service *s, struct sv digest,
				int64_t want_left_ms)
{
	const struct token_ask ask = {.app = SV("demo"), .service = s, .config_digest = digest};
	struct token_held held;
	struct secret *got = NULL;
	enum err failure = ERR_OK;

	token_open(ring, row, &ask, NOW_S, &got, &held, &failure);
	assert_int_equal(held.left_ms, want_left_ms);
	assert_true((got != NULL) == (want_left_ms > 0));
	if (got != NULL && s->grant != GRANT_ID_TOKEN)
		assert_true(sv_eq(token_view(s, got), SV("the token")));
	secret_free(&got);
	return failure;
}

static void access_tokens_open_for_their_service_alone(void **state)
{
	struct keyring *ring = ring_of(RING_ONE);
	struct token_row row = live_row();
	struct buf sealed;

	(void)state;
	buf_init(&sealed, 4096);
	assert_int_equal(
	    token_seal(ring, row.grant_id, SV("crm"), 3, SV("the token"), 300000, &sealed), ERR_OK);
	row.token_sealed = buf_sv(&sealed);
	row.token_left_ms = 1234;
	row.token_config = SV("digest");
	assert_int_equal(open_and_expect(ring, &row, &crm, SV("digest"), 1234), ERR_OK);
	assert_int_equal(open_and_expect(ring, &row, &crm, SV("another"), 0), ERR_OK);
	assert_int_equal(open_and_expect(ring, &row, &own, SV("digest"), 0), ERR_CRYPTO);
	row.token_generation = 4;
	assert_int_equal(open_and_expect(ring, &row, &crm, SV("digest"), 0), ERR_CRYPTO);
	row.token_generation = 3;
	row.token_left_ms = 0;
	assert_int_equal(open_and_expect(ring, &row, &crm, SV("digest"), 0), ERR_OK);
	row.token_left_ms = 1234;
	row.token_config = SV_NONE;
	assert_int_equal(open_and_expect(ring, &row, &crm, SV("digest"), 0), ERR_OK);
	row.state = SV("logout");
	assert_int_equal(open_and_expect(ring, &row, &crm, SV("digest"), 0), ERR_OK);
	buf_done(&sealed);
	keyring_free(&ring);
}

static void the_logins_token_needs_no_digest(void **state)
{
	struct keyring *ring = ring_of(RING_ONE);
	struct token_row row = live_row();
	struct buf sealed;

	(void)state;
	buf_init(&sealed, 4096);
	assert_int_equal(token_seal(ring, row.grant_id, TOKEN_SESSION_SERVICE, 3, SV("the token"),
				    300000, &sealed),
			 ERR_OK);
	row.token_sealed = buf_sv(&sealed);
	row.token_left_ms = 1234;
	assert_int_equal(open_and_expect(ring, &row, &own, SV("digest"), 1234), ERR_OK);
	buf_done(&sealed);
	keyring_free(&ring);
}

static void id_tokens_end_with_their_exp(void **state)
{
	static const struct {
		const char *payload;
		int64_t want_left_ms;
	} rows[] = {
	    {"{\"exp\":1700000100,\"iat\":1699999900}", 100000},
	    {"{\"exp\":1700000000,\"iat\":1699999900}", 0},
	    {"{\"exp\":9007199254740991,\"iat\":1699999900}", INT64_C(1000) * TOKEN_TTL_MAX_S},
	    {"{\"exp\":1699999999,\"iat\":1699999900}", 0},
	    {"{\"iat\":1699999900}", 0},
	    {"{\"exp\":\"1700000100\",\"iat\":1}", 0},
	    {"not json", 0},
	};
	struct keyring *ring = ring_of(RING_ONE);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct token_row row = live_row();
		struct vault_label label = token_id_token_label(row.grant_id, 2);
		struct buf jwt, sealed;
		char body[256];
		size_t n = b64url_encode(rows[i].payload, strlen(rows[i].payload), body);

		buf_init(&jwt, 4096);
		buf_init(&sealed, 4096);
		buf_addf(&jwt, "e30.%.*s.c2ln", (int)n, body);
		assert_int_equal(vault_seal(ring, &label, buf_sv(&jwt), &sealed), ERR_OK);
		row.id_token_sealed = buf_sv(&sealed);
		assert_int_equal(
		    open_and_expect(ring, &row, &idt, SV("digest"), rows[i].want_left_ms), ERR_OK);
		/* Whatever a provider says there is something to count with. */
		assert_true(token_margin_ms(rows[i].want_left_ms, row.grant_id) <=
			    rows[i].want_left_ms);
		buf_done(&jwt);
		buf_done(&sealed);
	}
	keyring_free(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_gets_what),
	    cmocka_unit_test(a_resource_that_the_login_did_not_ask_for_is_not_asked_for),
	    cmocka_unit_test(jitter_is_the_grants_and_at_most_a_quarter),
	    cmocka_unit_test(an_app_uses_what_its_routes_name),
	    cmocka_unit_test(digests_tell_configurations_apart),
	    cmocka_unit_test(access_tokens_open_for_their_service_alone),
	    cmocka_unit_test(the_logins_token_needs_no_digest),
	    cmocka_unit_test(id_tokens_end_with_their_exp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/token_seal.h"

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

static struct token_row live_row(void)
{
	return (struct token_row){.state = SV("live"),
				  .grant_id = SV_INIT("\0grant"),
				  .token_generation = 3,
				  .id_token_generation = 2};
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
	    cmocka_unit_test(digests_tell_configurations_apart),
	    cmocka_unit_test(access_tokens_open_for_their_service_alone),
	    cmocka_unit_test(the_logins_token_needs_no_digest),
	    cmocka_unit_test(id_tokens_end_with_their_exp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

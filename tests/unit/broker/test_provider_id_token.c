#include "broker/key_source.h"

#include "tests/unit/broker/provider_fixture.h"

static void ask(struct sv jwt, const char *nonce, struct seen *s)
{
	struct id_token_expect expect = {.nonce = sv_str(nonce)};

	*s = (struct seen){.allow = true};
	assert_int_equal(provider_id_token(t.provider, jwt, &expect, on_id_token, s), ERR_OK);
	assert_int_equal(s->calls, 0);
	loop_until(t.base, &s->done);
	assert_int_equal(s->calls, 1);
}

static void a_good_token_gives_its_claims(void **state)
{
	struct seen s;

	(void)state;
	ask(id_token(t.key, ES256_K1, ",\"nonce\":\"n-1\""), "n-1", &s);
	assert_int_equal(s.e, ERR_OK);
	assert_string_equal(s.sub, "alice");
	assert_string_equal(s.claims, "{\"email\":\"a@example.com\"}");
	assert_int_equal(server_hits(&t.server, "GET /keys"), 1);
}

static void every_algorithm_works(void **state)
{
	static const struct {
		enum config_alg alg;
		const char *header;
	} rows[] = {
	    {ALG_RS256, "{\"alg\":\"RS256\",\"kid\":\"k1\"}"},
	    {ALG_PS256, "{\"alg\":\"PS256\",\"kid\":\"k1\"}"},
	    {ALG_ES256, "{\"alg\":\"ES256\",\"kid\":\"k1\"}"},
	    {ALG_EDDSA, "{\"alg\":\"EdDSA\",\"kid\":\"k1\"}"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seen s;

		assert_int_equal(set_up(state), 0);
		EVP_PKEY_free(t.key);
		t.key = signer_key(rows[i].alg);
		t.config.signing_alg = rows[i].alg;
		serve_key(t.key, ",\"kid\":\"k1\"");
		start_provider();
		loop_for_metadata();
		ask(id_token(t.key, rows[i].header, ",\"nonce\":\"n-1\""), "n-1", &s);
		assert_int_equal(s.e, ERR_OK);
		(void)tear_down(state);
	}
}

static void refusals_name_what_failed(void **state)
{
	EVP_PKEY *other = signer_key(ALG_ES256);
	struct seen s;

	(void)state;
	ask(id_token(t.key, ES256_K1, ",\"nonce\":\"n-2\""), "n-1", &s);
	assert_int_equal(s.e, ERR_CRYPTO);
	assert_string_equal(s.detail, "nonce");
	ask(id_token(other, ES256_K1, ",\"nonce\":\"n-1\""), "n-1", &s);
	assert_int_equal(s.e, ERR_CRYPTO);
	assert_string_equal(s.detail, "signature");
	ask(SV("nonsense"), "n-1", &s);
	assert_string_equal(s.detail, "parts");
	EVP_PKEY_free(other);
}

/* Rotated just before signing: one fetch brings the new key, however fresh the old set is. */
static void a_rotated_key_is_fetched(void **state)
{
	EVP_PKEY *next = signer_key(ALG_ES256);
	struct seen s;

	(void)state;
	ask(id_token(t.key, ES256_K1, ",\"nonce\":\"n\""), "n", &s);
	serve_key(next, ",\"kid\":\"k2\"");
	ask(id_token(next, "{\"alg\":\"ES256\",\"kid\":\"k2\"}", ",\"nonce\":\"n\""), "n", &s);
	assert_int_equal(s.e, ERR_OK);
	assert_int_equal(server_hits(&t.server, "GET /keys"), 2);
	EVP_PKEY_free(next);
}

static void unknown_keys_cost_two_fetches_then_one_a_minute(void **state)
{
	struct seen s;

	(void)state;
	clock_set(1000000, clock_wall_s());
	for (unsigned i = 0; i < 10; i++) {
		ask(id_token(t.key, "{\"alg\":\"ES256\",\"kid\":\"unknown\"}", ""), "n", &s);
		assert_int_equal(s.e, ERR_CRYPTO);
		assert_string_equal(s.detail, "key");
	}
	assert_int_equal(server_hits(&t.server, "GET /keys"), 3);
}

static void without_keys_it_is_unavailable(void **state)
{
	struct seen s;

	(void)state;
	server_on(&t.server, "GET /keys", 500, "");
	start_provider();
	loop_for_metadata();
	ask(id_token(t.key, ES256_K1, ",\"nonce\":\"n\""), "n", &s);
	assert_int_equal(s.e, ERR_UNAVAILABLE);
	assert_string_equal(s.detail, "no_keys");
	serve_key(t.key, ",\"kid\":\"k1\"");
	ask(id_token(t.key, ES256_K1, ",\"nonce\":\"n\""), "n", &s);
	assert_int_equal(s.e, ERR_OK);
}

static void many_questions_share_one_fetch(void **state)
{
	struct id_token_expect expect = {.nonce = SV("n")};
	struct seen s[20] = {{.done = false}};

	(void)state;
	ask(id_token(t.key, ES256_K1, ",\"nonce\":\"n\""), "n", &s[0]);
	clock_set(clock_boot_ms() + KEYS_FRESH_MS, clock_wall_s());
	s[0].done = false;
	for (size_t i = 0; i < ARRAY_LEN(s); i++)
		assert_int_equal(provider_id_token(t.provider,
						   id_token(t.key, ES256_K1, ",\"nonce\":\"n\""),
						   &expect, on_id_token, &s[i]),
				 ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(s); i++) {
		loop_until(t.base, &s[i].done);
		assert_int_equal(s[i].e, ERR_OK);
	}
	assert_int_equal(server_hits(&t.server, "GET /keys"), 2);
}

#define READY(fn) cmocka_unit_test_setup_teardown(fn, set_up_ready, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    READY(a_good_token_gives_its_claims),
	    cmocka_unit_test(every_algorithm_works),
	    READY(refusals_name_what_failed),
	    READY(a_rotated_key_is_fetched),
	    READY(unknown_keys_cost_two_fetches_then_one_a_minute),
	    cmocka_unit_test_setup_teardown(without_keys_it_is_unavailable, set_up, tear_down),
	    READY(many_questions_share_one_fetch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

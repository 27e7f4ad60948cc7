#include "broker/login_transaction.h"

#include "tests/unit/broker/ring.h"

static void what_was_begun_is_what_is_finished(void **state)
{
	struct keyring *ring = ring_of(RING_ONE);
	struct login_transaction want = {.issuer = SV("https://idp.example"), .silent = true}, got;
	struct secret *room = NULL;
	struct buf sealed;

	(void)state;
	buf_init(&sealed, 4096);
	assert_int_equal(login_transaction_new(&want), ERR_OK);
	assert_int_equal(login_transaction_seal(ring, SV("state hash"), &want, &sealed), ERR_OK);
	assert_int_equal(
	    login_transaction_open(ring, SV("state hash"), buf_sv(&sealed), &room, &got), ERR_OK);
	assert_memory_equal(got.nonce, want.nonce, sizeof got.nonce);
	assert_memory_equal(got.verifier, want.verifier, sizeof got.verifier);
	assert_true(got.silent);
	assert_true(sv_eq(got.issuer, want.issuer));
	secret_free(&room);
	assert_int_equal(
	    login_transaction_open(ring, SV("other hash"), buf_sv(&sealed), &room, &got),
	    ERR_CRYPTO);
	assert_null(room);
	buf_done(&sealed);
	keyring_free(&ring);
}

/* Seals, opens, compares; *ret_n is the size of the sealed form. */
static void round_trip(const struct login_transaction *want, size_t *ret_n)
{
	struct keyring *ring = ring_of(RING_ONE);
	struct login_transaction got;
	struct secret *room = NULL;
	struct buf sealed;

	buf_init(&sealed, 4096);
	assert_int_equal(login_transaction_seal(ring, SV("h"), want, &sealed), ERR_OK);
	assert_int_equal(login_transaction_open(ring, SV("h"), buf_sv(&sealed), &room, &got),
			 ERR_OK);
	assert_true(sv_eq(got.issuer, want->issuer));
	assert_true(sv_eq(got.acr_values, want->acr_values));
	assert_int_equal(got.has_max_age, want->has_max_age);
	assert_int_equal(got.max_age_s, want->has_max_age ? want->max_age_s : 0);
	*ret_n = sealed.n;
	secret_free(&room);
	buf_done(&sealed);
	keyring_free(&ring);
}

static void what_the_id_token_must_say_is_sealed_with_it(void **state)
{
	struct login_transaction t = {.issuer = SV("https://idp.example")};
	size_t plain, n;

	(void)state;
	assert_int_equal(login_transaction_new(&t), ERR_OK);
	round_trip(&t, &plain);
	/* What the version before wrote, and reads. */
	assert_int_equal(plain, VAULT_OVERHEAD + 2 * LOGIN_WORD_LEN + 1 + t.issuer.n);
	t.acr_values = SV("gold silver");
	round_trip(&t, &n);
	t.has_max_age = true;
	round_trip(&t, &n);
	t.max_age_s = UINT32_MAX;
	round_trip(&t, &n);
	t.acr_values = SV_NONE;
	round_trip(&t, &n);
}

/* Core 3.1.3.7, items 12 and 13. */
static void an_id_token_that_does_not_say_what_was_asked_for(void **state)
{
	enum { BEGUN = 1700000000, SKEW = 60 };
	static const struct {
		const char *acr_values;
		bool has_max_age;
		uint32_t max_age_s;
		const char *acr;
		bool has_auth_time;
		int64_t auth_time_s;
		const char *want;
	} rows[] = {
	    {"", false, 0, "", false, BEGUN - 100000, NULL},
	    {"gold", false, 0, "gold", false, 0, NULL},
	    {"silver gold", false, 0, "gold", false, 0, NULL},
	    {"gold silver", false, 0, "gold", false, 0, NULL},
	    {"gold", false, 0, "", false, 0, "acr_missing"},
	    {"gold", false, 0, "silver", false, 0, "acr_unmet"},
	    {"gold", false, 0, "gol", false, 0, "acr_unmet"},
	    {"gold", false, 0, "Gold", false, 0, "acr_unmet"},
	    {"gold silver", false, 0, "gold silver", false, 0, "acr_unmet"},
	    {"", true, 300, "", false, BEGUN, "auth_time_missing"},
	    {"", true, 300, "", true, BEGUN - 300 - SKEW, NULL},
	    {"", true, 300, "", true, BEGUN - 300 - SKEW - 1, "max_age_unmet"},
	    {"", true, 0, "", true, BEGUN - SKEW, NULL},
	    {"", true, 0, "", true, BEGUN - SKEW - 1, "max_age_unmet"},
	    {"", true, UINT32_MAX, "", true, 0, NULL},
	    {"gold", true, 300, "gold", true, BEGUN - 1000, "max_age_unmet"},
	    {"gold", true, 300, "silver", true, BEGUN, "acr_unmet"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct login_transaction t = {.acr_values = sv_str(rows[i].acr_values),
						    .has_max_age = rows[i].has_max_age,
						    .max_age_s = rows[i].max_age_s};
		const struct id_token_claims claims = {.acr = sv_str(rows[i].acr),
						       .has_auth_time = rows[i].has_auth_time,
						       .auth_time_s = rows[i].auth_time_s};
		const char *got = login_transaction_unmet(&t, &claims, BEGUN);

		if (rows[i].want == NULL)
			assert_null(got);
		else
			assert_string_equal(got, rows[i].want);
	}
}

static void the_challenge_is_that_of_rfc_7636(void **state)
{
	/* Appendix B. */
	struct login_transaction t = {.silent = false};
	char got[LOGIN_WORD_LEN];

	(void)state;
	memcpy(t.verifier, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", LOGIN_WORD_LEN);
	assert_int_equal(login_challenge(&t, got), ERR_OK);
	assert_memory_equal(got, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", LOGIN_WORD_LEN);
}

static void words_differ(void **state)
{
	struct login_transaction one, two;

	(void)state;
	assert_int_equal(login_transaction_new(&one), ERR_OK);
	assert_int_equal(login_transaction_new(&two), ERR_OK);
	assert_memory_not_equal(one.nonce, two.nonce, sizeof one.nonce);
	assert_memory_not_equal(one.verifier, two.verifier, sizeof one.verifier);
	assert_memory_not_equal(one.nonce, one.verifier, sizeof one.nonce);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_begun_is_what_is_finished),
	    cmocka_unit_test(what_the_id_token_must_say_is_sealed_with_it),
	    cmocka_unit_test(an_id_token_that_does_not_say_what_was_asked_for),
	    cmocka_unit_test(the_challenge_is_that_of_rfc_7636),
	    cmocka_unit_test(words_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

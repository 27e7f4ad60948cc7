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
	    cmocka_unit_test(the_challenge_is_that_of_rfc_7636),
	    cmocka_unit_test(words_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

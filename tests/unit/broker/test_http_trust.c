#include "broker/http_trust.h"

#include "tests/unit/broker/certificates.h"

/* What connections make of one is in test_http_easy.c. */
static void what_cannot_be_used_is_refused(void **state)
{
	EVP_PKEY *key = signer_key(ALG_ES256), *other = signer_key(ALG_ES256);
	X509 *x = certificate_new("app", key, NULL, NULL);
	struct buf pair, alone, foreign;
	struct http_trust *t = NULL;

	(void)state;
	buf_init(&pair, 10000);
	buf_init(&alone, 10000);
	buf_init(&foreign, 10000);
	put_key(&pair, key, NULL);
	put_certificate(&pair, x);
	put_certificate(&alone, x);
	put_key(&foreign, other, NULL);
	put_certificate(&foreign, x);
	const struct {
		struct sv ca, client;
		enum err want;
		bool shows;
	} rows[] = {
	    {SV_NONE, SV_NONE, ERR_OK, false},
	    {buf_sv(&alone), SV_NONE, ERR_OK, false},
	    {SV_NONE, buf_sv(&pair), ERR_OK, true},
	    {buf_sv(&alone), buf_sv(&pair), ERR_OK, true},
	    {SV("no PEM"), SV_NONE, ERR_CONFIG, false},
	    {SV_NONE, SV("no PEM"), ERR_CONFIG, false},
	    {SV_NONE, buf_sv(&alone), ERR_CONFIG, false}, /* without its key */
	    {SV_NONE, buf_sv(&foreign), ERR_CONFIG, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(http_trust_new(rows[i].ca, rows[i].client, &t), rows[i].want);
		assert_int_equal(t != NULL, rows[i].want == ERR_OK);
		assert_int_equal(http_trust_shows_certificate(t), rows[i].shows);
		http_trust_free(&t);
		http_trust_free(&t);
	}
	buf_done(&pair);
	buf_done(&alone);
	buf_done(&foreign);
	X509_free(x);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_cannot_be_used_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

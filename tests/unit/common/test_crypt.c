#include "common/crypt.h"

#include "tests/unit/unit.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

static void hex(const unsigned char *in, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		(void)sprintf(out + 2 * i, "%02x", in[i]);
}

/* FIPS 180-2 B.1, RFC 4231 4.3, RFC 5869 A.1 */
static void published_vectors(void **state)
{
	static const unsigned char salt[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
	static const unsigned char info[] = {0xf0, 0xf1, 0xf2, 0xf3, 0xf4,
					     0xf5, 0xf6, 0xf7, 0xf8, 0xf9};
	unsigned char ikm[22], out[42];
	char text[85];

	(void)state;
	assert_int_equal(crypt_sha256(SV("abc"), out), ERR_OK);
	hex(out, 32, text);
	assert_string_equal(text,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(crypt_hmac_sha256(SV("Jefe"), SV("what do ya want for nothing?"), out),
			 ERR_OK);
	hex(out, 32, text);
	assert_string_equal(text,
			    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(ikm, 0x0b, sizeof ikm);
	assert_int_equal(crypt_hkdf_sha256(sv_of((char *)ikm, sizeof ikm),
					   sv_of((const char *)salt, sizeof salt),
					   sv_of((const char *)info, sizeof info), out, 42),
			 ERR_OK);
	hex(out, 42, text);
	assert_string_equal(text, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
				  "34007208d5b887185865");
}

static void equality_wants_length_and_bytes(void **state)
{
	(void)state;
	assert_true(crypt_equal(SV("abc"), SV("abc")));
	assert_true(crypt_equal(SV(""), SV_NONE));
	assert_false(crypt_equal(SV("abc"), SV("abd")));
	assert_false(crypt_equal(SV("abc"), SV("ab")));
}

static void random_bytes_differ(void **state)
{
	unsigned char a[32], b[32];

	(void)state;
	assert_int_equal(crypt_random(a, sizeof a), ERR_OK);
	assert_int_equal(crypt_random(b, sizeof b), ERR_OK);
	assert_memory_not_equal(a, b, sizeof a);
}

/* The same as OpenSSL's own, for every length around a block and below it. */
static void hashes_and_macs_are_openssls(void **state)
{
	unsigned char want[CRYPT_SHA256_LEN], got[CRYPT_SHA256_LEN];
	char key[200], text[600];
	unsigned len = 0;

	(void)state;
	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (char)(i * 7 + 1);
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)(i * 13);
	for (size_t n = 0; n <= sizeof key; n++) {
		struct sv in = sv_of(text, 3 * n);

		assert_int_equal(crypt_sha256(in, got), ERR_OK);
		assert_int_equal(EVP_Digest(in.p, in.n, want, &len, EVP_sha256(), NULL), 1);
		assert_memory_equal(got, want, sizeof got);
		assert_int_equal(crypt_hmac_sha256(sv_of(key, n), in, got), ERR_OK);
		assert_non_null(
		    HMAC(EVP_sha256(), key, (int)n, (const unsigned char *)in.p, in.n, want, &len));
		assert_memory_equal(got, want, sizeof got);
	}
	assert_int_equal(crypt_sha256(SV_NONE, got), ERR_OK);
	assert_int_equal(EVP_Digest("", 0, want, &len, EVP_sha256(), NULL), 1);
	assert_memory_equal(got, want, sizeof got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hashes_and_macs_are_openssls),
	    cmocka_unit_test(published_vectors),
	    cmocka_unit_test(equality_wants_length_and_bytes),
	    cmocka_unit_test(random_bytes_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "common/b64.h"

#include "tests/unit/unit.h"

static void every_length_round_trips(void **state)
{
	unsigned char in[64], back[64];
	char text[96];

	(void)state;
	for (size_t n = 0; n <= sizeof in; n++) {
		size_t got_n = 99, len;

		for (size_t i = 0; i < n; i++)
			in[i] = (unsigned char)(i * 37 + n);
		len = b64url_encode(in, n, text);
		assert_int_equal(len, B64URL_LEN(n));
		assert_int_equal(b64url_decode(sv_of(text, len), back, sizeof back, &got_n),
				 ERR_OK);
		assert_int_equal(got_n, n);
		assert_memory_equal(in, back, n);
	}
}

static void only_one_spelling_is_taken(void **state)
{
	static const struct sv bad[] = {
	    SV_INIT("A"),
	    SV_INIT("AAAAA"),
	    SV_INIT("AB"),
	    SV_INIT("AAB"),
	    SV_INIT("AA=="),
	    SV_INIT("AA+A"),
	    SV_INIT("AA/A"),
	    SV_INIT("AA A"),
	    SV_INIT("AAA\n"),
	    SV_INIT("AAA="),
	    SV_INIT("\xc3\xa4"
		    "AA"),
	};
	unsigned char out[8];
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(b64url_decode(bad[i], out, sizeof out, &n), ERR_SYNTAX);
	assert_int_equal(b64url_decode(SV("AAAAAAAAAAAA"), out, sizeof out, &n), ERR_LIMIT);
	assert_int_equal(b64url_decode(SV("_-8"), out, sizeof out, &n), ERR_OK);
	assert_int_equal(n, 2);
	assert_memory_equal(out, "\xff\xef", 2);
}

static void plain_base64_pads(void **state)
{
	char out[16];

	(void)state;
	assert_sv_equal(sv_of(out, b64_encode("f", 1, out)), SV("Zg=="));
	assert_sv_equal(sv_of(out, b64_encode("fo", 2, out)), SV("Zm8="));
	assert_sv_equal(sv_of(out, b64_encode("foo", 3, out)), SV("Zm9v"));
	assert_sv_equal(sv_of(out, b64_encode("\xff\xef\xff", 3, out)), SV("/+//"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_length_round_trips),
	    cmocka_unit_test(only_one_spelling_is_taken),
	    cmocka_unit_test(plain_base64_pads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/cookie_keys.h"

#include "tests/unit/torture.h"
#include "worker/cookie.h"

#define KEY_1 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define KEY_2 "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"
#define SHORT_31 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void keys_come_in_the_order_of_the_file(void **state)
{
	struct cookie_keys *k = NULL;
	struct errmsg e;
	struct crypt_hmac_key want;

	(void)state;
	assert_int_equal(cookie_keys_parse(SV("# old one last\n\n" KEY_2 "\r\n" KEY_1), &k, &e),
			 ERR_OK);
	crypt_hmac_key_init(&want, SV("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
				      "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"));
	assert_memory_equal(cookie_keys_nth(k, 0), &want, sizeof want);
	crypt_hmac_key_init(&want, SV_NONE); /* which all zeros are to HMAC */
	assert_memory_equal(cookie_keys_nth(k, 1), &want, sizeof want);
	assert_null(cookie_keys_nth(k, 2));
	cookie_keys_free(&k);
	assert_null(k);
	cookie_keys_free(&k);
}

static void bad_files_are_refused_by_line(void **state)
{
	static const struct {
		struct sv file;
		const char *want;
	} cases[] = {
	    {SV_INIT(""), "no key"},
	    {SV_INIT("\n# nothing\n"), "no key"},
	    {SV_INIT(KEY_1 "\n" KEY_1), "line 2: the same"},
	    {SV_INIT(KEY_1 "\nx y"), "line 2: not base64url"},
	    {SV_INIT(KEY_1 "="), "line 1: not base64url"},
	    {SV_INIT(" " KEY_1), "line 1: not base64url"},
	    {SV_INIT(SHORT_31), "line 1: a key has at least 32 bytes"},
	    {SV_INIT("AAAA"), "line 1: a key has at least 32 bytes"},
	    {SV_INIT("first = " KEY_1), "line 1: not base64url"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cookie_keys *k = NULL;
		struct errmsg e = {""};

		assert_int_equal(cookie_keys_parse(cases[i].file, &k, &e), ERR_CONFIG);
		assert_null(k);
		assert_non_null(strstr(e.text, cases[i].want));
		assert_null(strstr(e.text, "AAAA"));
	}
}

static void limits_hold(void **state)
{
	char file[4096];
	struct cookie_keys *k = NULL;
	struct errmsg e;
	size_t n = 0;

	(void)state;
	memset(file, 'A', 400);
	assert_int_equal(cookie_keys_parse(sv_of(file, 400), &k, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "at most 256 bytes"));
	for (int i = 0; i <= COOKIE_KEYS_MAX; i++) {
		n += (size_t)snprintf(file + n, sizeof file - n,
				      "%cAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", 'A' + i);
		assert_int_equal(cookie_keys_parse(sv_of(file, n), &k, &e),
				 i < COOKIE_KEYS_MAX ? ERR_OK : ERR_CONFIG);
		cookie_keys_free(&k);
	}
	assert_non_null(strstr(e.text, "line 9: more than 8"));
}

static enum err attempt(void *arg)
{
	struct cookie_keys *k = NULL;
	struct errmsg e;
	enum err err = cookie_keys_parse(SV(KEY_1 "\n" KEY_2), &k, &e);

	(void)arg;
	assert_true((k != NULL) == (err == ERR_OK));
	cookie_keys_free(&k);
	return err;
}

static void without_memory_there_are_none(void **state)
{
	(void)state;
	assert_true(torture(attempt, NULL) >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys_come_in_the_order_of_the_file),
	    cmocka_unit_test(bad_files_are_refused_by_line),
	    cmocka_unit_test(limits_hold),
	    cmocka_unit_test(without_memory_there_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

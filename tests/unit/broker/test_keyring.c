#include "broker/keyring.h"

#include "tests/unit/unit.h"

#define A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define B "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA"

static void rings(void **state)
{
	const struct {
		const char *text;
		const char *want; /* NULL: accepted; else what the sentence says */
	} cases[] = {
	    {"1 primary " A "\n", NULL},
	    {"1 primary " A, NULL},
	    {"# comment\n\n  7\tprimary  " A "  \n2 pending " B "\n", NULL},
	    {"1 primary " A "\n2 decrypt-only " B "\n", NULL},
	    {"", "no primary key"},
	    {"1 decrypt-only " A "\n", "no primary key"},
	    {"1 primary " A "\n2 primary " B "\n", "ring:2: second primary"},
	    {"1 primary " A "\n1 pending " B "\n", "ring:2: key id or key stands twice"},
	    {"1 primary " A "\n2 pending " A "\n", "ring:2: key id or key stands twice"},
	    {"0 primary " A "\n", "ring:1: key id"},
	    {"4294967296 primary " A "\n", "ring:1: key id"},
	    {"-1 primary " A "\n", "ring:1: key id"},
	    {"1 Primary " A "\n", "ring:1: state"},
	    {"1 retired " A "\n", "ring:1: state"},
	    {"1 primary short\n", "ring:1: key: expected 43"},
	    {"1 primary " A "A\n", "ring:1: key: expected 43"},
	    {"1 primary\n", "ring:1: key: expected 43"},
	    {"1 primary " A " more\n", "ring:1: expected: id state key"},
	    {"1 primary BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB\n", "ring:1: key: expected 43"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct keyring *k = NULL;
		struct errmsg e = {""};
		enum err got = keyring_parse(sv_str(cases[i].text), "ring", &k, &e);

		if (cases[i].want == NULL) {
			assert_int_equal(got, ERR_OK);
		} else {
			assert_int_equal(got, ERR_CONFIG);
			assert_non_null(strstr(e.text, cases[i].want));
			assert_null(strstr(e.text, "AAAAA"));
			assert_null(k);
		}
		keyring_free(&k);
	}
}

static void keys_are_found_by_id(void **state)
{
	struct keyring *k = NULL;
	struct errmsg e;
	struct sv key = SV_NONE, primary;
	uint32_t id = 0;

	(void)state;
	assert_int_equal(
	    keyring_parse(SV("7 decrypt-only " A "\n9 primary " B "\n"), "ring", &k, &e), ERR_OK);
	primary = keyring_primary(k, &id);
	assert_int_equal(id, 9);
	assert_int_equal(primary.n, KEYRING_KEY_LEN);
	assert_int_equal(keyring_find(k, 9, &key), ERR_OK);
	assert_true(sv_eq(key, primary));
	assert_int_equal(keyring_find(k, 7, &key), ERR_OK);
	assert_int_equal(key.p[0], 0);
	assert_int_equal(keyring_find(k, 8, &key), ERR_NOT_FOUND);
	assert_int_equal(keyring_count(k), 2);
	keyring_free(&k);
}

static void too_many_keys(void **state)
{
	struct keyring *k = NULL;
	struct errmsg e;
	struct buf text;

	(void)state;
	buf_init(&text, 65536);
	for (uint32_t i = 1; i <= KEYRING_KEYS_MAX + 1; i++) {
		size_t from = text.n;

		assert_int_equal(keyring_fresh_line(i, &text), ERR_OK);
		if (i > 1)
			memcpy(memmem(text.p + from, text.n - from, "primary", 7), "pending", 7);
	}
	assert_int_equal(keyring_parse(buf_sv(&text), "ring", &k, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "ring:65: too many keys"));
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rings),
	    cmocka_unit_test(keys_are_found_by_id),
	    cmocka_unit_test(too_many_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

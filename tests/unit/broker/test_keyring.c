#include "broker/keyring.h"

#include "tests/unit/broker/ring.h"

#define A RING_KEY_A
#define B RING_KEY_B

static void rings(void **state)
{
	const struct {
		const char *text;
		const char *want; /* NULL: accepted; else what the sentence says */
	} cases[] = {
	    {"1 " A "\n", NULL},
	    {"1 " A, NULL},
	    {"# comment\n\n  7\t " A "  \n2 " B "\n", NULL},
	    {"", "no key: expected at least one"},
	    {"# 1 " A "\n", "no key: expected at least one"},
	    {"1 " A "\n1 " B "\n", "ring:2: key id or key stands twice"},
	    {"1 " A "\n2 " A "\n", "ring:2: key id or key stands twice"},
	    {"0 " A "\n", "ring:1: key id"},
	    {"4294967296 " A "\n", "ring:1: key id"},
	    {"-1 " A "\n", "ring:1: key id"},
	    {"1 short\n", "ring:1: key: expected 43"},
	    {"1 " A "A\n", "ring:1: key: expected 43"},
	    {"1\n", "ring:1: key: expected 43"},
	    {"1 primary " A "\n", "ring:1: expected: id key"},
	    {"1 " A " more\n", "ring:1: expected: id key"},
	    {"1 BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB\n", "ring:1: key: expected 43"},
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

/* Before the database said anything every key opens and none seals. */
static void states_come_from_elsewhere(void **state)
{
	struct keyring *k = NULL;
	struct errmsg e;
	struct sv key = SV_NONE, primary = SV_NONE;
	uint32_t id = 0;

	(void)state;
	assert_int_equal(keyring_parse(SV("7 " A "\n9 " B "\n"), "ring", &k, &e), ERR_OK);
	assert_int_equal(keyring_primary(k, &id, &primary), ERR_UNAVAILABLE);
	assert_int_equal(keyring_find(k, 7, &key), ERR_OK);
	assert_int_equal(key.p[0], 0);
	assert_int_equal(keyring_find(k, 8, &key), ERR_NO_KEY);
	keyring_set_state(k, 7, KEY_PRIMARY);
	keyring_set_state(k, 8, KEY_PRIMARY); /* not ours: the one we have stops sealing */
	assert_int_equal(keyring_primary(k, &id, &primary), ERR_UNAVAILABLE);
	keyring_set_state(k, 7, KEY_PRIMARY);
	keyring_set_state(k, 9, KEY_PRIMARY);
	assert_int_equal(keyring_primary(k, &id, &primary), ERR_OK);
	assert_int_equal(id, 9);
	assert_int_equal(primary.n, KEYRING_KEY_LEN);
	assert_int_equal(keyring_entry(k, 0).state, KEY_DECRYPT_ONLY);
	assert_int_equal(keyring_find(k, 7, &key), ERR_OK);
	keyring_set_state(k, 7, KEY_RETIRED);
	assert_int_equal(keyring_find(k, 7, &key), ERR_NO_KEY);
	assert_int_equal(keyring_count(k), 2);
	keyring_free(&k);
}

static void fingerprints_tell_keys_apart_and_are_no_part_of_them(void **state)
{
	struct keyring *one = ring_of("1 pending " A "\n2 pending " B "\n");
	struct keyring *two = ring_of("2 pending " A "\n");
	struct keyring_entry a = keyring_entry(one, 0), b = keyring_entry(one, 1);
	struct sv key = SV_NONE;

	(void)state;
	assert_memory_not_equal(a.print, b.print, sizeof a.print);
	assert_memory_equal(a.print, keyring_entry(two, 0).print, sizeof a.print);
	assert_int_equal(keyring_find(one, 1, &key), ERR_OK);
	assert_null(memmem(key.p, key.n, a.print, sizeof a.print));
	keyring_free(&one);
	keyring_free(&two);
}

static void too_many_keys(void **state)
{
	struct keyring *k = NULL;
	struct errmsg e;
	struct buf text;

	(void)state;
	buf_init(&text, 65536);
	for (uint32_t i = 1; i <= KEYRING_KEYS_MAX + 1; i++)
		assert_int_equal(keyring_fresh_line(i, &text), ERR_OK);
	assert_int_equal(keyring_parse(buf_sv(&text), "ring", &k, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "ring:65: too many keys"));
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rings),
	    cmocka_unit_test(states_come_from_elsewhere),
	    cmocka_unit_test(fingerprints_tell_keys_apart_and_are_no_part_of_them),
	    cmocka_unit_test(too_many_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

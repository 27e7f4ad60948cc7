#include "broker/vault.h"

#include "tests/unit/broker/ring.h"

#define RING_2 "2 primary " RING_KEY_B "\n1 decrypt-only " RING_KEY_A "\n"
#define RING_3 "2 primary " RING_KEY_B "\n"
#define RING_4 "2 primary " RING_KEY_B "\n1 retired " RING_KEY_A "\n"

static const struct vault_label label = {
    .purpose = {"refresh", 7}, .object = {"grant-1", 7}, .generation = 3};

static struct buf sealed_with(const struct keyring *k, struct sv plain)
{
	struct buf b;

	buf_init(&b, VAULT_PLAIN_MAX + VAULT_OVERHEAD);
	assert_int_equal(vault_seal(k, &label, plain, &b), ERR_OK);
	assert_int_equal(b.n, plain.n + VAULT_OVERHEAD);
	return b;
}

static void what_was_sealed_opens(void **state)
{
	static char big[VAULT_PLAIN_MAX];
	const struct sv plains[] = {SV(""), SV("x"), SV("a refresh token"), {big, sizeof big}};
	struct keyring *k = ring_of(RING_ONE);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(plains); i++) {
		struct buf b = sealed_with(k, plains[i]);
		struct secret *got = NULL;

		assert_int_equal(vault_open(k, &label, buf_sv(&b), &got), ERR_OK);
		assert_true(sv_eq(secret_view(got), plains[i]));
		secret_free(&got);
		buf_done(&b);
	}
	keyring_free(&k);
}

static void another_label_does_not_open(void **state)
{
	const struct vault_label labels[] = {
	    {SV("refresh"), SV("grant-1"), 4},	{SV("refresh"), SV("grant-2"), 3},
	    {SV("id_token"), SV("grant-1"), 3}, {SV("refreshg"), SV("rant-1"), 3},
	    {SV("refres"), SV("hgrant-1"), 3},	{SV("refresh"), SV("grant-1"), -3},
	};
	struct keyring *k = ring_of(RING_ONE);
	struct buf b = sealed_with(k, SV("token"));

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
		struct secret *got = NULL;

		assert_int_equal(vault_open(k, &labels[i], buf_sv(&b), &got), ERR_CRYPTO);
		assert_null(got);
	}
	buf_done(&b);
	keyring_free(&k);
}

/* The key is the object's own and the format is the header's: what is stored must open in any
 * version. */
static void what_another_program_sealed_opens(void **state)
{
	static const unsigned char sealed[] = {
	    0x01, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06,
	    0x07, 0x08, 0x09, 0x0a, 0x0b, 0xf2, 0x33, 0x3c, 0x6f, 0x5d, 0x84, 0x90,
	    0x07, 0x53, 0x62, 0x18, 0x93, 0x8f, 0x28, 0xd6, 0xb0, 0x53, 0x2c, 0x6d,
	    0xbd, 0x19, 0xd0, 0x22, 0x30, 0x96, 0xc2, 0x10, 0x08, 0xea, 0xe3, 0x97};
	struct keyring *k = ring_of(RING_ONE);
	struct secret *got = NULL;

	(void)state;
	assert_int_equal(vault_open(k, &label, sv_of((const char *)sealed, sizeof sealed), &got),
			 ERR_OK);
	assert_sv_equal(secret_view(got), SV("a refresh token"));
	secret_free(&got);
	keyring_free(&k);
}

static void every_changed_byte_and_every_truncation_is_refused(void **state)
{
	struct keyring *k = ring_of(RING_ONE);
	struct buf b = sealed_with(k, SV("token"));
	struct secret *got = NULL;

	(void)state;
	for (size_t i = 0; i < b.n; i++) {
		b.p[i] = (char)(b.p[i] ^ 1);
		assert_int_not_equal(vault_open(k, &label, buf_sv(&b), &got), ERR_OK);
		b.p[i] = (char)(b.p[i] ^ 1);
		assert_int_not_equal(vault_open(k, &label, sv_cut(buf_sv(&b), 0, i), &got), ERR_OK);
	}
	assert_null(got);
	buf_done(&b);
	keyring_free(&k);
}

static void two_seals_of_one_value_differ(void **state)
{
	struct keyring *k = ring_of(RING_ONE);
	struct buf one = sealed_with(k, SV("token")), two = sealed_with(k, SV("token"));

	(void)state;
	assert_false(sv_eq(buf_sv(&one), buf_sv(&two)));
	buf_done(&one);
	buf_done(&two);
	keyring_free(&k);
}

static void a_rotated_ring_opens_the_old_and_an_unknown_key_is_an_error_of_its_own(void **state)
{
	struct keyring *old = ring_of(RING_ONE), *rotated = ring_of(RING_2),
		       *unknown = ring_of(RING_3), *retired = ring_of(RING_4);
	struct buf b = sealed_with(old, SV("token"));
	struct secret *got = NULL;

	(void)state;
	assert_int_equal(vault_open(rotated, &label, buf_sv(&b), &got), ERR_OK);
	secret_free(&got);
	assert_int_equal(vault_open(unknown, &label, buf_sv(&b), &got), ERR_NO_KEY);
	assert_int_equal(vault_open(retired, &label, buf_sv(&b), &got), ERR_NO_KEY);
	b.p[0] = 2;
	assert_int_equal(vault_open(old, &label, buf_sv(&b), &got), ERR_UNSUPPORTED);
	buf_done(&b);
	keyring_free(&old);
	keyring_free(&rotated);
	keyring_free(&unknown);
	keyring_free(&retired);
}

static void nothing_is_sealed_until_a_primary_key_is_known(void **state)
{
	struct keyring *k = ring_of("1 pending " RING_KEY_A "\n");
	struct buf b;

	(void)state;
	buf_init(&b, 256);
	assert_int_equal(vault_seal(k, &label, SV("x"), &b), ERR_UNAVAILABLE);
	assert_int_equal(b.n, 0);
	buf_done(&b);
	keyring_free(&k);
}

static void what_is_too_long_or_without_a_place_is_not_sealed(void **state)
{
	static char big[VAULT_PLAIN_MAX + 1];
	const struct vault_label nowhere = {.purpose = SV("refresh")};
	struct keyring *k = ring_of(RING_ONE);
	struct buf b;

	(void)state;
	buf_init(&b, 2 * VAULT_PLAIN_MAX);
	assert_int_equal(vault_seal(k, &label, sv_of(big, sizeof big), &b), ERR_LIMIT);
	assert_int_equal(vault_seal(k, &nowhere, SV("x"), &b), ERR_RANGE);
	assert_int_equal(b.n, 0);
	buf_done(&b);
	keyring_free(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_sealed_opens),
	    cmocka_unit_test(another_label_does_not_open),
	    cmocka_unit_test(what_another_program_sealed_opens),
	    cmocka_unit_test(every_changed_byte_and_every_truncation_is_refused),
	    cmocka_unit_test(two_seals_of_one_value_differ),
	    cmocka_unit_test(
		a_rotated_ring_opens_the_old_and_an_unknown_key_is_an_error_of_its_own),
	    cmocka_unit_test(nothing_is_sealed_until_a_primary_key_is_known),
	    cmocka_unit_test(what_is_too_long_or_without_a_place_is_not_sealed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

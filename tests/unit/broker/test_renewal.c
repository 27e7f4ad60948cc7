#include "broker/renewal.h"

#include "tests/unit/unit.h"

#define TTL 600000
#define MARGIN 60000 /* ten per cent, of a grant whose id begins with 0 */

static const unsigned char *bytes_of(unsigned n)
{
	static unsigned char b[4][CRYPT_SHA256_LEN];
	static unsigned at;
	unsigned char *p = b[at++ % ARRAY_LEN(b)];

	memset(p, 0, CRYPT_SHA256_LEN);
	memcpy(p, &n, sizeof n);
	return p;
}

static struct renewals *make(size_t max)
{
	struct renewals *r = NULL;

	assert_int_equal(renewals_new(max, 0x1234567, &r), ERR_OK);
	return r;
}

static struct renewal *note(struct renewals *r, unsigned session, int64_t expires_ms,
			    enum renewal_by by, int64_t now_ms)
{
	return renewals_note(r, bytes_of(session), bytes_of(7), SV("\0grant"), expires_ms, TTL, by,
			     now_ms);
}

static int64_t due_of(int64_t expires_ms)
{
	return expires_ms - MARGIN + RENEWAL_SLACK_MS;
}

static void due_when_the_margin_begins(void **state)
{
	struct renewals *r = make(10);
	const struct renewal *got;

	(void)state;
	assert_int_equal(renewals_wait_ms(r, 0), -1);
	assert_non_null(note(r, 1, TTL, RENEWAL_BY_REQUEST, 0));
	assert_int_equal(renewals_wait_ms(r, 1000), due_of(TTL) - 1000);
	assert_null(renewals_due(r, due_of(TTL) - 1));
	got = renewals_due(r, due_of(TTL));
	assert_non_null(got);
	assert_memory_equal(got->hash, bytes_of(1), CRYPT_SHA256_LEN);
	assert_memory_equal(got->id, bytes_of(7), CRYPT_SHA256_LEN);
	renewals_free(&r);
}

static void tried_again_less_and_less_often_until_the_end(void **state)
{
	struct renewals *r = make(10);
	int64_t now = due_of(TTL);

	(void)state;
	assert_non_null(note(r, 1, TTL, RENEWAL_BY_REQUEST, 0));
	for (int64_t wait = RENEWAL_RETRY_MS; now < TTL; wait *= 2) {
		assert_non_null(renewals_due(r, now));
		assert_null(renewals_due(r, now));
		assert_int_equal(renewals_wait_ms(r, now), wait);
		note(r, 1, TTL, RENEWAL_BY_US, now + 1); /* the same token: no progress */
		assert_null(renewals_due(r, now + wait - 1));
		now += wait;
	}
	assert_null(renewals_due(r, now)); /* nothing is left to serve */
	assert_int_equal(renewals_count(r), 0);
	renewals_free(&r);
}

static void a_new_token_starts_over(void **state)
{
	struct renewals *r = make(10);

	(void)state;
	assert_non_null(note(r, 1, TTL, RENEWAL_BY_REQUEST, 0));
	assert_non_null(renewals_due(r, due_of(TTL)));
	assert_non_null(note(r, 1, 2 * TTL - MARGIN, RENEWAL_BY_US, due_of(TTL) + 100));
	assert_int_equal(renewals_count(r), 1);
	assert_int_equal(renewals_wait_ms(r, 0), due_of(2 * TTL - MARGIN));
	renewals_free(&r);
}

static void unused_for_a_lifetime_is_forgotten(void **state)
{
	struct renewals *r = make(10);
	struct renewal *holder = NULL;

	(void)state;
	renewal_hold(note(r, 1, TTL, RENEWAL_BY_REQUEST, 0), &holder);
	holder->used_ms = 5000; /* as token_cache does at a hit */
	note(r, 1, TTL + 6000 + MARGIN, RENEWAL_BY_US, 6000);
	assert_null(renewals_due(r, due_of(TTL + 6000 + MARGIN)));
	assert_null(holder); /* it was told */
	assert_int_equal(renewals_count(r), 0);
	note(r, 1, TTL, RENEWAL_BY_REQUEST, 0);
	note(r, 1, TTL + 6000 + MARGIN, RENEWAL_BY_US, 6000);
	note(r, 1, TTL, RENEWAL_BY_REQUEST, 7000); /* used, though by the token of before */
	assert_non_null(renewals_due(r, due_of(TTL + 6000 + MARGIN)));
	renewals_free(&r);
}

static void ours_alone_makes_none(void **state)
{
	struct renewals *r = make(10);

	(void)state;
	assert_null(note(r, 1, TTL, RENEWAL_BY_US, 0));
	assert_int_equal(renewals_count(r), 0);
	renewals_free(&r);
}

static void limits(void **state)
{
	struct renewals *r = make(3);
	char id[TOKEN_GRANT_ID_MAX + 1] = {0};

	(void)state;
	assert_null(renewals_note(r, bytes_of(9), bytes_of(7), sv_of(id, sizeof id), TTL, TTL,
				  RENEWAL_BY_REQUEST, 0));
	assert_null(
	    renewals_note(r, bytes_of(9), bytes_of(7), SV_NONE, TTL, TTL, RENEWAL_BY_REQUEST, 0));
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(note(r, i, TTL, RENEWAL_BY_REQUEST, 0) != NULL, i < 3);
	assert_non_null(note(r, 2, TTL, RENEWAL_BY_REQUEST, 1)); /* known already */
	renewals_free(&r);
}

static void who_holds_is_told_once(void **state)
{
	struct renewals *r = make(3);
	struct renewal *one = NULL, *two = NULL;

	(void)state;
	renewal_hold(note(r, 1, TTL, RENEWAL_BY_REQUEST, 0), &one);
	renewal_hold(note(r, 1, TTL, RENEWAL_BY_REQUEST, 0), &two);
	assert_null(one);
	assert_non_null(two);
	renewal_release(&two);
	assert_null(two);
	renewal_release(&two);
	renewals_free(&r);
}

#define MANY 5000

/* In the order of their times, whatever the order of noting. */
static void many_come_in_order(void **state)
{
	struct renewals *r = make(MANY);
	const struct renewal *x;
	int64_t last = 0;
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		note(r, i, TTL + (int64_t)(i * 7919 % MANY), RENEWAL_BY_REQUEST, 100);
	for (unsigned i = 0; i < MANY; i += 3) /* every third gets another time */
		note(r, i, TTL + 300000 + (int64_t)(i * 104729 % MANY), RENEWAL_BY_REQUEST, 400000);
	for (int64_t now = due_of(TTL); renewals_wait_ms(r, now) >= 0;
	     now += renewals_wait_ms(r, now)) {
		while ((x = renewals_due(r, now)) != NULL) {
			int64_t due = due_of(x->expires_ms);

			if (x->tries > 1)
				continue;
			assert_true(due >= last && due <= now);
			last = due;
			n++;
		}
	}
	assert_int_equal(n, MANY);
	renewals_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(due_when_the_margin_begins),
	    cmocka_unit_test(tried_again_less_and_less_often_until_the_end),
	    cmocka_unit_test(a_new_token_starts_over),
	    cmocka_unit_test(unused_for_a_lifetime_is_forgotten),
	    cmocka_unit_test(ours_alone_makes_none),
	    cmocka_unit_test(limits),
	    cmocka_unit_test(who_holds_is_told_once),
	    cmocka_unit_test(many_come_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

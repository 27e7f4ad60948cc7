#include "worker/session_memory.h"

#include "common/clock.h"
#include "tests/unit/loop.h"
#include "tests/unit/torture.h"

#define NOW 1000000

static struct {
	struct event_base *base;
	struct session_memory *m;
	unsigned leases_used;
	unsigned ended;
	struct sv payload; /* what on_ended() was last told */
} f;

void __wrap_pg_lease_used(struct pg *p);

void __wrap_pg_lease_used(struct pg *p)
{
	(void)p;
	f.leases_used++;
}

static void on_ended(void *arg, struct sv payload)
{
	assert_ptr_equal(arg, &f);
	f.ended++;
	f.payload = payload;
}

static void open_as(enum session_memory_mode mode)
{
	clock_set(NOW, 0);
	f.leases_used = f.ended = 0;
	f.base = event_base_new();
	assert_non_null(f.base);
	assert_int_equal(session_memory_new(f.base, mode, &f.m), ERR_OK);
	session_memory_on_ended(f.m, on_ended, &f);
}

static int close_all(void **state)
{
	(void)state;
	session_memory_free(&f.m);
	session_memory_free(&f.m);
	event_base_free(f.base);
	clock_unset();
	return 0;
}

static const unsigned char *hash(unsigned char n)
{
	static unsigned char h[2][CRYPT_SHA256_LEN];
	static unsigned at;

	at ^= 1;
	memset(h[at], n, sizeof h[at]);
	return h[at];
}

static struct session_entry *entry(void)
{
	static const struct session_row row = {
	    .app = SV_INIT("a"), .idle_left_ms = 60000, .absolute_left_ms = 50000};
	const struct session_entry_of of = {.sent_ms = clock_boot_ms(), .idle_ms = 60000};
	struct session_entry *e = NULL;

	assert_int_equal(session_entry_new(&row, &of, &e), ERR_OK);
	return e;
}

static struct session_seen seen(void)
{
	return (struct session_seen){.trip = {.conn = 0, .serial = 1, .sent_ms = clock_boot_ms()},
				     .tick = session_memory_tick(f.m)};
}

static void renew(void)
{
	struct pg_listener l = session_memory_listener(f.m);
	struct pg_trip t = {.conn = 0, .serial = 1, .sent_ms = clock_boot_ms()};

	l.renewed(l.arg, &t);
}

static bool put(unsigned char n)
{
	struct session_entry *e = entry(), *kept = e;
	struct session_seen s = seen();
	bool filed = session_memory_put(f.m, hash(n), &s, &e);

	assert_ptr_equal(e, filed ? NULL : kept);
	session_entry_free(&e);
	return filed;
}

static void what_is_filed_is_got_under_the_lease(void **state)
{
	(void)state;
	open_as(SESSION_MEMORY_LISTEN);
	assert_null(session_memory_get(f.m, hash(1)));
	assert_int_equal(f.leases_used, 1);
	assert_false(put(1)); /* no lease yet */
	renew();
	assert_true(put(1));
	assert_non_null(session_memory_get(f.m, hash(1)));
	assert_null(session_memory_get(f.m, hash(2)));
	clock_set(NOW + PG_LEASE_MS, 0);
	assert_null(session_memory_get(f.m, hash(1)));
	renew();
	assert_non_null(session_memory_get(f.m, hash(1)));
}

static void what_may_have_ended_goes_and_is_told(void **state)
{
	struct pg_listener l;
	struct session_seen before;

	(void)state;
	open_as(SESSION_MEMORY_LISTEN);
	l = session_memory_listener(f.m);
	renew();
	assert_true(put(1));
	assert_true(put(2));
	before = seen();
	assert_true(session_memory_believes(f.m, hash(1), &before));
	l.notified(l.arg, SV("0101010101010101"));
	assert_int_equal(f.ended, 1);
	assert_sv_equal(f.payload, SV("0101010101010101"));
	assert_null(session_memory_get(f.m, hash(1)));
	assert_non_null(session_memory_get(f.m, hash(2)));
	assert_false(session_memory_believes(f.m, hash(1), &before));
	assert_false(session_memory_still_believes(f.m, hash(1), &before));
	assert_true(session_memory_still_believes(f.m, hash(2), &before));
	l.disturbed(l.arg, 0);
	assert_int_equal(f.ended, 2);
	assert_int_equal(f.payload.n, 0);
	assert_null(session_memory_get(f.m, hash(2)));
	renew();
	assert_true(put(3));
	before = seen();
	session_memory_end(f.m, hash(3));
	assert_null(session_memory_get(f.m, hash(3)));
	assert_false(session_memory_believes(f.m, hash(3), &before));
	assert_true(put(4));
	before = seen();
	session_memory_forget(f.m, hash(4));
	assert_null(session_memory_get(f.m, hash(4)));
	assert_true(session_memory_believes(f.m, hash(4), &before));
}

static void off_it_keeps_nothing(void **state)
{
	struct session_seen s;

	(void)state;
	open_as(SESSION_MEMORY_OFF);
	renew();
	assert_false(put(1));
	assert_null(session_memory_get(f.m, hash(1)));
	assert_int_equal(f.leases_used, 0);
	s = seen();
	assert_true(session_memory_believes(f.m, hash(1), &s)); /* what was just read */
	assert_false(session_memory_still_believes(f.m, hash(1), &s));
	clock_set(NOW + PG_LEASE_MS, 0);
	assert_false(session_memory_believes(f.m, hash(1), &s));
}

static void what_nobody_asks_for_is_swept(void **state)
{
	(void)state;
	open_as(SESSION_MEMORY_LISTEN);
	renew();
	assert_true(put(1));
	assert_int_equal(session_memory_stats(f.m).entries, 1);
	assert_true(session_memory_stats(f.m).bytes > sizeof(struct session_row));
	clock_set(NOW + SESSION_CACHE_ENTRY_MS, 0);
	assert_int_equal(event_base_loop(f.base, EVLOOP_ONCE), 0);
	assert_int_equal(session_memory_stats(f.m).entries, 0);
	assert_int_equal(session_memory_stats(f.m).bytes, 0);
	assert_int_equal(event_base_loop(f.base, EVLOOP_ONCE), 1); /* and no timer is left */
}

static void what_grows_is_counted(void **state)
{
	struct session_entry *e;
	size_t before, entry_before;
	static const char key;

	(void)state;
	open_as(SESSION_MEMORY_LISTEN);
	renew();
	assert_true(put(1));
	before = session_memory_stats(f.m).bytes;
	e = session_memory_get(f.m, hash(1));
	entry_before = session_entry_bytes(e);
	session_entry_add_block(e, &key, SV("0123456789"));
	session_memory_grew(f.m, hash(1), e);
	assert_int_equal(session_memory_stats(f.m).bytes - before,
			 session_entry_bytes(e) - entry_before);
}

static enum err make(void *arg)
{
	struct session_memory *m = NULL;
	enum err rc = session_memory_new(f.base, SESSION_MEMORY_LISTEN, &m);

	(void)arg;
	assert_true((m != NULL) == (rc == ERR_OK));
	session_memory_free(&m);
	return rc;
}

static void without_memory_there_is_none(void **state)
{
	(void)state;
	open_as(SESSION_MEMORY_LISTEN);
	assert_true(torture(make, NULL) >= 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(what_is_filed_is_got_under_the_lease, close_all),
	    cmocka_unit_test_teardown(what_may_have_ended_goes_and_is_told, close_all),
	    cmocka_unit_test_teardown(off_it_keeps_nothing, close_all),
	    cmocka_unit_test_teardown(what_nobody_asks_for_is_swept, close_all),
	    cmocka_unit_test_teardown(what_grows_is_counted, close_all),
	    cmocka_unit_test_teardown(without_memory_there_is_none, close_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

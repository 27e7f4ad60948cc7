/* Rule Zero: over 400 lines, because listening and polling keep the same promises, tested alike. */
#include "worker/session_memory.h"

#include "common/clock.h"
#include "tests/unit/loop.h"
#include "tests/unit/torture.h"

#define NOW 1000000

/* What the next poll is answered. */
struct pg_rows {
	const char *upto, *named;
	struct pg_trip trip;
};

static struct {
	struct {
		unsigned n;
		enum err refuses;
		char since[64]; /* "(null)" */
		pg_fn fn;
		void *arg;
		int64_t sent_ms;
	} poll;
	struct event_base *base;
	struct session_memory *m;
	unsigned leases_used;
	unsigned ended;
	struct sv payload; /* what on_ended() was last told */
	enum err random_fails;
	size_t random_n; /* bytes that were drawn */
} f;

#define STMT 3

enum err __real_crypt_random(void *out, size_t n);
enum err __wrap_crypt_random(void *out, size_t n);
void __wrap_pg_lease_used(struct pg *p);
enum err __wrap_pg_query(struct pg *p, unsigned stmt, const struct pg_param *params, pg_fn fn,
			 void *arg, struct pg_call **ret);
void __wrap_pg_call_cancel(struct pg_call **c);
size_t __wrap_pg_rows_count(const struct pg_rows *r);
struct sv __wrap_pg_rows_sv(const struct pg_rows *r, size_t row, unsigned col);
const struct pg_trip *__wrap_pg_rows_trip(const struct pg_rows *r);

enum err __wrap_crypt_random(void *out, size_t n)
{
	f.random_n += n;
	return f.random_fails != ERR_OK ? f.random_fails : __real_crypt_random(out, n);
}

enum err __wrap_pg_query(struct pg *p, unsigned stmt, const struct pg_param *params, pg_fn fn,
			 void *arg, struct pg_call **ret)
{
	(void)p;
	assert_int_equal(stmt, STMT);
	if (f.poll.refuses != ERR_OK)
		return f.poll.refuses;
	f.poll.n++;
	(void)snprintf(f.poll.since, sizeof f.poll.since, "%.*s",
		       params[0].p == NULL ? 6 : (int)params[0].n,
		       params[0].p == NULL ? "(null)" : (const char *)params[0].p);
	f.poll.fn = fn;
	f.poll.arg = arg;
	f.poll.sent_ms = clock_boot_ms();
	*ret = (struct pg_call *)&f.poll; /* never looked into */
	return ERR_OK;
}

void __wrap_pg_call_cancel(struct pg_call **c)
{
	*c = NULL;
}

size_t __wrap_pg_rows_count(const struct pg_rows *r)
{
	return r->upto == NULL ? 0 : 1;
}

struct sv __wrap_pg_rows_sv(const struct pg_rows *r, size_t row, unsigned col)
{
	assert_int_equal(row, 0);
	return sv_str(col == 0 ? r->upto : r->named);
}

const struct pg_trip *__wrap_pg_rows_trip(const struct pg_rows *r)
{
	return &r->trip;
}

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
	static const struct session_row row = {.idle_left_ms = 60000, .absolute_left_ms = 50000};
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

static struct session_entry *get(unsigned char n)
{
	return session_memory_get(f.m, hash(n), clock_boot_ms());
}

static bool put_of(unsigned char n, unsigned conn, uint64_t serial)
{
	struct session_entry *e = entry(), *kept = e;
	struct session_seen s = seen();
	bool filed;

	s.trip.conn = conn;
	s.trip.serial = serial;
	filed = session_memory_put(f.m, hash(n), &s, &e);

	assert_ptr_equal(e, filed ? NULL : kept);
	session_entry_free(&e);
	return filed;
}

static bool put(unsigned char n)
{
	return put_of(n, 0, 1);
}

static void what_is_filed_is_got_under_the_lease(void **state)
{
	(void)state;
	open_as(SESSION_MEMORY_LISTEN);
	assert_null(get(1));
	assert_int_equal(f.leases_used, 1);
	assert_false(put(1)); /* no lease yet */
	renew();
	assert_true(put(1));
	assert_non_null(get(1));
	assert_null(get(2));
	clock_set(NOW + PG_LEASE_MS, 0);
	assert_null(get(1));
	renew();
	assert_non_null(get(1));
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
	assert_null(get(1));
	assert_non_null(get(2));
	assert_false(session_memory_believes(f.m, hash(1), &before));
	assert_false(session_memory_still_believes(f.m, hash(1), &before));
	assert_true(session_memory_still_believes(f.m, hash(2), &before));
	l.disturbed(l.arg, 0);
	assert_int_equal(f.ended, 2);
	assert_int_equal(f.payload.n, 0);
	assert_null(get(2));
	renew();
	assert_true(put(3));
	before = seen();
	session_memory_end(f.m, hash(3));
	assert_null(get(3));
	assert_false(session_memory_believes(f.m, hash(3), &before));
	assert_true(put(4));
	before = seen();
	session_memory_forget(f.m, hash(4));
	assert_null(get(4));
	assert_true(session_memory_believes(f.m, hash(4), &before));
}

/* Neither is a lease asked for, nor anything counted or believed: whose it is nobody knows yet. */
static void to_expect_is_not_to_ask(void **state)
{
	struct session_cache_stats before;

	(void)state;
	open_as(SESSION_MEMORY_LISTEN);
	session_memory_expect(f.m, hash(1));
	renew();
	assert_true(put(1));
	before = session_memory_stats(f.m);
	session_memory_expect(f.m, hash(1));
	session_memory_expect(f.m, hash(2));
	assert_int_equal(f.leases_used, 0);
	assert_int_equal(session_memory_stats(f.m).hits, before.hits);
	assert_int_equal(session_memory_stats(f.m).misses, before.misses);
	assert_non_null(get(1));
	assert_null(get(2));
}

static void off_it_keeps_nothing(void **state)
{
	struct session_seen s;

	(void)state;
	open_as(SESSION_MEMORY_OFF);
	renew();
	assert_false(put(1));
	assert_null(get(1));
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
	e = get(1);
	entry_before = session_entry_bytes(e);
	session_entry_add_block(e, &key, SV("0123456789"));
	session_memory_grew(f.m, hash(1), e);
	assert_int_equal(session_memory_stats(f.m).bytes - before,
			 session_entry_bytes(e) - entry_before);
}

/* --- polled --- */

static void turn(void)
{
	loop_turn(f.base);
}

static void polled(enum err e, const char *upto, const char *named)
{
	/* Any connection of the pool: there is one lease for all. */
	struct pg_rows rows = {upto, named, {.conn = 5, .serial = 99, .sent_ms = f.poll.sent_ms}};

	f.poll.fn(f.poll.arg, e, e == ERR_OK ? &rows : NULL);
}

static void open_polling(void)
{
	open_as(SESSION_MEMORY_POLL);
	session_memory_use_pool(f.m, NULL, STMT);
	memset(&f.poll, 0, sizeof f.poll);
	assert_null(get(1));
	turn();
	assert_int_equal(f.poll.n, 1);
	assert_string_equal(f.poll.since, "(null)");
	polled(ERR_OK, "c1", "flush");
	assert_int_equal(f.ended, 1);
}

static void polling_renews_one_lease_for_all(void **state)
{
	(void)state;
	open_polling();
	assert_int_equal(loop_asked_ms(), PG_RENEW_MS);
	assert_true(put_of(1, 7, 12)); /* of a connection that has no lease of its own */
	assert_non_null(get(1));
	assert_true(put_of(2, 3, 44)); /* nor do two connections keep two */
	assert_non_null(get(1));
	clock_set(NOW + 1500, 0);
	turn();
	assert_int_equal(f.poll.n, 2);
	assert_string_equal(f.poll.since, "c1");
	clock_set(NOW + 1900, 0);
	polled(ERR_OK, "c2", "");
	clock_set(NOW + 1500 + PG_LEASE_MS - 1, 0); /* from its sending on */
	assert_non_null(get(1));
	clock_set(NOW + 1500 + PG_LEASE_MS, 0);
	assert_null(get(1));
	assert_int_equal(f.leases_used, 0);
}

static void what_a_poll_names_goes(void **state)
{
	struct session_seen before;

	(void)state;
	open_polling();
	assert_true(put(1));
	assert_true(put(2));
	assert_true(put(3));
	before = seen();
	assert_non_null(get(1));
	turn();
	polled(ERR_OK, "c2", "0101010101010101 0202020202020202");
	assert_null(get(1));
	assert_null(get(2));
	assert_non_null(get(3));
	assert_false(session_memory_believes(f.m, hash(1), &before));
	assert_int_equal(f.ended, 3);
	turn();
	polled(ERR_OK, "c3", "flush");
	assert_null(get(3));
}

/* A cursor that does not fit is none to go on from: all may have ended, and nothing is promised. */
static void a_cursor_that_is_too_long_is_a_flush(void **state)
{
	size_t n = 70000;
	char *cursor = malloc(n + 1);

	(void)state;
	assert_non_null(cursor);
	memset(cursor, '1', n);
	cursor[n] = '\0';
	open_polling();
	assert_true(put(1));
	assert_non_null(get(1));
	clock_set(NOW + PG_LEASE_MS - 1, 0);
	turn();
	polled(ERR_OK, cursor, "");
	free(cursor);
	assert_int_equal(f.ended, 2);
	assert_sv_equal(f.payload, SV("flush"));
	assert_null(get(1));
	clock_set(NOW + PG_LEASE_MS, 0);
	assert_false(put(1)); /* not renewed by that */
	turn();
	assert_string_equal(f.poll.since, "(null)");
	polled(ERR_OK, "c9", "flush");
	assert_true(put(1));
}

/* One that fails renews nothing, and the next goes on from where the last good one was. */
static void a_poll_that_fails_loses_nothing(void **state)
{
	(void)state;
	open_polling();
	assert_true(put(1));
	assert_non_null(get(1));
	turn();
	polled(ERR_UNAVAILABLE, NULL, NULL);
	clock_set(NOW + PG_LEASE_MS, 0);
	f.poll.refuses = ERR_UNAVAILABLE;
	assert_null(get(1));
	turn();
	f.poll.refuses = ERR_OK;
	assert_null(get(1));
	turn();
	assert_string_equal(f.poll.since, "c1");
	polled(ERR_OK, NULL, NULL); /* no row is no answer */
	assert_null(get(1));
	turn();
	assert_string_equal(f.poll.since, "c1");
	polled(ERR_OK, "c2", "");
	assert_non_null(get(1));
}

static void while_nobody_asks_nothing_is_polled(void **state)
{
	(void)state;
	open_polling();
	turn(); /* used once since the last: once more */
	turn();
	assert_int_equal(f.poll.n, 1);
	assert_null(get(1));
	assert_int_equal(loop_asked_ms(), 0); /* and then at once */
	turn();
	assert_int_equal(f.poll.n, 2);
	turn(); /* under way: no second one beside it */
	assert_null(get(1));
	turn();
	assert_int_equal(f.poll.n, 2);
}

/* A row that was read before a poll named its session is not filed, whichever came first. */
static void a_row_overtaken_by_a_poll_is_not_filed(void **state)
{
	struct session_entry *e;
	struct session_seen before;

	(void)state;
	open_polling();
	before = seen();
	assert_null(get(1));
	turn();
	polled(ERR_OK, "c2", "0101010101010101");
	e = entry();
	assert_false(session_memory_put(f.m, hash(1), &before, &e));
	session_entry_free(&e);
}

/* Without a secret of its own no memory: whoever knew it could choose who meets whom. */
static void the_secret_is_random(void **state)
{
	struct session_memory *m = NULL;

	(void)state;
	f.random_n = 0;
	open_as(SESSION_MEMORY_LISTEN);
	assert_int_equal(f.random_n, sizeof(uint64_t));
	f.random_fails = ERR_CRYPTO;
	assert_int_equal(session_memory_new(f.base, SESSION_MEMORY_LISTEN, &m), ERR_CRYPTO);
	f.random_fails = ERR_OK;
	assert_null(m);
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
	    cmocka_unit_test_teardown(to_expect_is_not_to_ask, close_all),
	    cmocka_unit_test_teardown(off_it_keeps_nothing, close_all),
	    cmocka_unit_test_teardown(what_nobody_asks_for_is_swept, close_all),
	    cmocka_unit_test_teardown(what_grows_is_counted, close_all),
	    cmocka_unit_test_teardown(polling_renews_one_lease_for_all, close_all),
	    cmocka_unit_test_teardown(what_a_poll_names_goes, close_all),
	    cmocka_unit_test_teardown(a_cursor_that_is_too_long_is_a_flush, close_all),
	    cmocka_unit_test_teardown(a_poll_that_fails_loses_nothing, close_all),
	    cmocka_unit_test_teardown(while_nobody_asks_nothing_is_polled, close_all),
	    cmocka_unit_test_teardown(a_row_overtaken_by_a_poll_is_not_filed, close_all),
	    cmocka_unit_test_teardown(the_secret_is_random, close_all),
	    cmocka_unit_test_teardown(without_memory_there_is_none, close_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

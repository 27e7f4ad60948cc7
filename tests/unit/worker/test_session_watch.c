#include "worker/session_watch.h"

#include "common/clock.h"
#include "tests/unit/loop.h"
#include "tests/unit/torture.h"
#include "worker/denial.h"

#define NOW 1000000
#define STMT 5

struct pg_rows {
	const char *state;
	int64_t idle_ms, absolute_ms;
};
struct pg_call {
	pg_fn fn;
	void *arg;
	unsigned char hash[CRYPT_SHA256_LEN];
};

static struct {
	struct event_base *base;
	struct session_watches *s;
	enum err refuses;
	struct pg_call calls[SESSION_WATCH_READS_MAX + 1];
	size_t ncalls, cancels, leases_used;
	unsigned told, why, lives;
	int64_t idle_ms, absolute_ms; /* as it was last told */
	bool deaf;		      /* what pg_hears() denies */
	bool stops;		      /* when it hears that the session lives */
	struct session_watch w;
} f;

enum err __wrap_pg_query(struct pg *p, unsigned stmt, const struct pg_param *params, pg_fn fn,
			 void *arg, struct pg_call **ret);
void __wrap_pg_call_cancel(struct pg_call **c);
void __wrap_pg_lease_used(struct pg *p);
bool __wrap_pg_hears(const struct pg *p);
size_t __wrap_pg_rows_count(const struct pg_rows *r);
struct sv __wrap_pg_rows_sv(const struct pg_rows *r, size_t row, unsigned col);
int64_t __wrap_pg_rows_i64(const struct pg_rows *r, size_t row, unsigned col);

enum err __wrap_pg_query(struct pg *p, unsigned stmt, const struct pg_param *params, pg_fn fn,
			 void *arg, struct pg_call **ret)
{
	struct pg_call *c = &f.calls[f.ncalls];

	(void)p;
	assert_int_equal(stmt, STMT);
	assert_int_equal(params[0].n, CRYPT_SHA256_LEN);
	if (f.refuses != ERR_OK)
		return f.refuses;
	assert_true(f.ncalls < ARRAY_LEN(f.calls));
	f.ncalls++;
	*c = (struct pg_call){.fn = fn, .arg = arg};
	memcpy(c->hash, params[0].p, sizeof c->hash);
	*ret = c;
	return ERR_OK;
}

void __wrap_pg_call_cancel(struct pg_call **c)
{
	f.cancels += *c != NULL;
	*c = NULL;
}

void __wrap_pg_lease_used(struct pg *p)
{
	(void)p;
	f.leases_used++;
}

bool __wrap_pg_hears(const struct pg *p)
{
	(void)p;
	return !f.deaf;
}

size_t __wrap_pg_rows_count(const struct pg_rows *r)
{
	return r->state == NULL ? 0 : 1;
}

struct sv __wrap_pg_rows_sv(const struct pg_rows *r, size_t row, unsigned col)
{
	assert_int_equal(row, 0);
	return col == 0 ? sv_str(r->state) : SV("demo");
}

int64_t __wrap_pg_rows_i64(const struct pg_rows *r, size_t row, unsigned col)
{
	assert_int_equal(row, 0);
	assert_true(col == 7 || col == 8);
	return col == 7 ? r->idle_ms : r->absolute_ms;
}

/* The last query's answer. */
static void answer(enum err e, const char *state, int64_t idle_ms, int64_t absolute_ms)
{
	struct pg_rows rows = {state, idle_ms, absolute_ms};
	struct pg_call *c = &f.calls[--f.ncalls];

	c->fn(c->arg, e, e == ERR_OK ? &rows : NULL);
}

static int open_all(void **state)
{
	(void)state;
	memset(&f, 0, sizeof f);
	clock_set(NOW, 0);
	f.base = event_base_new();
	assert_non_null(f.base);
	assert_int_equal(session_watches_new(f.base, NULL, STMT, &f.s), ERR_OK);
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	session_watches_free(&f.s);
	session_watches_free(&f.s);
	event_base_free(f.base);
	clock_unset();
	return 0;
}

static const unsigned char *hash(unsigned char n)
{
	static unsigned char h[CRYPT_SHA256_LEN];

	memset(h, n, sizeof h);
	return h;
}

static void on_end(void *arg, unsigned why)
{
	assert_ptr_equal(arg, &f);
	assert_null(f.w.in);
	f.told++;
	f.why = why;
}

static void on_lives(void *arg, int64_t idle_left_ms, int64_t absolute_left_ms)
{
	assert_ptr_equal(arg, &f);
	f.lives++;
	f.idle_ms = idle_left_ms;
	f.absolute_ms = absolute_left_ms;
	if (f.stops)
		session_watch_stop(&f.w);
}

static const struct session_watcher watcher = {on_end, on_lives};

static void watch(struct session_watch *w, unsigned char n, int64_t left_ms)
{
	assert_int_equal(session_watch_start(f.s, w, hash(n), SV("demo"), left_ms, &watcher, &f),
			 ERR_OK);
}

static void turn(void)
{
	assert_int_equal(event_base_loop(f.base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
}

static void an_end_is_told_once_with_its_reason(void **state)
{
	(void)state;
	watch(&f.w, 1, 3600000);
	turn();
	assert_int_equal(f.ncalls, 0); /* not due */
	session_watches_ended(f.s, SV("0202020202020202"));
	turn();
	assert_int_equal(f.ncalls, 0); /* another's */
	session_watches_ended(f.s, SV("0101010101010101"));
	assert_int_equal(loop_asked_ms(), 0);
	turn();
	assert_int_equal(f.ncalls, 1);
	assert_memory_equal(f.calls[0].hash, hash(1), CRYPT_SHA256_LEN);
	turn();
	assert_int_equal(f.ncalls, 1); /* it is being read */
	answer(ERR_OK, "revoked", 0, 0);
	assert_int_equal(f.told, 1);
	assert_int_equal(f.why, REASON_REVOKED);
	assert_int_equal(session_watches_count(f.s), 0);
	session_watch_stop(&f.w);
	session_watches_ended(f.s, SV("flush"));
	assert_int_equal(f.told, 1);
}

static void what_may_have_ended_is_asked_for(void **state)
{
	static const char *const payloads[] = {"flush", "", "what?"};

	(void)state;
	watch(&f.w, 1, 3600000);
	for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
		session_watches_ended(f.s, sv_str(payloads[i]));
		turn();
		assert_int_equal(f.ncalls, 1);
		answer(ERR_OK, "live", 3600000, 3600000);
		assert_int_equal(f.told, 0);
		turn();
		assert_int_equal(f.ncalls, 0);
	}
	session_watch_stop(&f.w);
}

static void limits_are_met_and_moved(void **state)
{
	const int64_t near = SESSION_WATCH_NEAR_MS;

	(void)state;
	watch(&f.w, 1, near + 5000);
	clock_set(NOW + 4999, 0);
	turn();
	assert_int_equal(f.ncalls, 0);
	clock_set(NOW + 5000, 0);
	turn();
	answer(ERR_OK, "live", near + 7000, near + 3000); /* it was used; the other is nearer */
	assert_int_equal(f.lives, 1);
	assert_int_equal(f.idle_ms, near + 7000);
	assert_int_equal(f.absolute_ms, near + 3000);
	clock_set(NOW + 7999, 0);
	turn();
	assert_int_equal(f.ncalls, 0);
	clock_set(NOW + 8000, 0);
	turn();
	answer(ERR_OK, "expired", 0, 0);
	assert_int_equal(f.why, REASON_EXPIRED);
	assert_int_equal(f.lives, 1);
	watch(&f.w, 1, 1000 * (int64_t)SESSION_WATCH_READ_MS);
	clock_set(NOW + 8000 + SESSION_WATCH_READ_MS, 0); /* whatever notifications are worth */
	turn();
	assert_int_equal(f.ncalls, 1);
	answer(ERR_OK, "live", 1, 1);
	session_watch_stop(&f.w);
}

/* Use moves the idle limit, and nobody tells of it. */
static void near_its_end_it_is_read_often(void **state)
{
	(void)state;
	watch(&f.w, 1, SESSION_WATCH_NEAR_MS);
	turn();
	assert_int_equal(f.ncalls, 1); /* at once */
	answer(ERR_OK, "live", SESSION_WATCH_NEAR_MS, 3600000);
	clock_set(NOW + SESSION_WATCH_NEAR_READ_MS - 1, 0);
	turn();
	assert_int_equal(f.ncalls, 0);
	clock_set(NOW + SESSION_WATCH_NEAR_READ_MS, 0);
	turn();
	answer(ERR_OK, "live", 1000, 3600000);
	clock_set(NOW + SESSION_WATCH_NEAR_READ_MS + 1000, 0);
	turn();
	answer(ERR_OK, "idle", 0, 0);
	assert_int_equal(f.why, REASON_IDLE);
	assert_int_equal(f.lives, 2);
}

static void where_nobody_tells_each_is_read_every_tick(void **state)
{
	(void)state;
	f.deaf = true;
	watch(&f.w, 1, 3600000);
	for (int i = 1; i < 7; i++) {
		int64_t tick = NOW + (int64_t)i * SESSION_WATCH_TICK_MS;

		clock_set(tick, 0);
		turn();
		assert_int_equal(f.ncalls, 1);
		/* However long the answer takes, if less than half of the time to the next. */
		clock_set(tick + (i % 2) * SESSION_WATCH_NEXT_TICK_MS, 0);
		answer(i % 3 == 0 ? ERR_TIMEOUT : ERR_OK, "live", 3600000, 3600000);
		clock_set(tick + (i % 2 + 1) * SESSION_WATCH_NEXT_TICK_MS - 1, 0);
		turn();
		assert_int_equal(f.ncalls, 0); /* nor sooner, where there are many */
	}
}

static void who_hears_that_it_lives_may_stop(void **state)
{
	(void)state;
	f.stops = true;
	watch(&f.w, 1, 0);
	turn();
	answer(ERR_OK, "live", 3600000, 3600000);
	assert_int_equal(session_watches_count(f.s), 0);
	turn();
	assert_int_equal(f.ncalls, 0);
}

static void an_outage_ends_no_session(void **state)
{
	(void)state;
	watch(&f.w, 1, 0);
	f.refuses = ERR_UNAVAILABLE;
	turn();
	turn();
	assert_int_equal(loop_asked_ms(), SESSION_WATCH_TICK_MS);
	f.refuses = ERR_OK;
	turn();
	answer(ERR_TIMEOUT, NULL, 0, 0);
	turn();
	assert_int_equal(f.ncalls, 0); /* in a second again */
	clock_set(NOW + SESSION_WATCH_TICK_MS, 0);
	turn();
	answer(ERR_OK, NULL, 0, 0); /* no row: nobody's end either */
	clock_set(NOW + 2 * SESSION_WATCH_TICK_MS, 0);
	turn();
	assert_int_equal(f.told, 0);
	answer(ERR_OK, "idle", 0, 0);
	assert_int_equal(f.told, 1);
	assert_true(f.leases_used > 0);
}

/* The row may be of before the notification. */
static void an_end_while_it_is_read_is_asked_for_again(void **state)
{
	(void)state;
	watch(&f.w, 1, 0);
	turn();
	session_watches_ended(f.s, SV("0101010101010101"));
	answer(ERR_OK, "live", 3600000, 3600000);
	assert_int_equal(f.told, 0);
	turn();
	answer(ERR_OK, "revoked", 0, 0);
	assert_int_equal(f.told, 1);
}

static void another_apps_session_is_an_end(void **state)
{
	(void)state;
	assert_int_equal(session_watch_start(f.s, &f.w, hash(1), SV("other"), 0, &watcher, &f),
			 ERR_OK);
	turn();
	answer(ERR_OK, "live", 1000, 1000);
	assert_int_equal(f.why, REASON_OTHER_APP);
}

static void stopped_it_is_forgotten_with_its_query(void **state)
{
	(void)state;
	watch(&f.w, 1, 0);
	turn();
	session_watch_stop(&f.w);
	session_watch_stop(&f.w);
	assert_int_equal(f.cancels, 1);
	assert_int_equal(session_watches_count(f.s), 0);
	f.ncalls = 0;
	turn();
	assert_int_equal(f.ncalls, 0);
	watch(&f.w, 1, 0);
	turn(); /* and its number of reads is free again */
	assert_int_equal(f.ncalls, 1);
}

static void there_are_so_many_and_so_many_reads(void **state)
{
	struct session_watch *many = calloc(SESSION_WATCHES_MAX, sizeof *many);
	struct session_watch extra = {0};
	size_t reads = 0;

	(void)state;
	assert_non_null(many);
	for (size_t i = 0; i < SESSION_WATCHES_MAX; i++)
		watch(&many[i], 1, 3600000);
	assert_int_equal(session_watch_start(f.s, &extra, hash(1), SV("demo"), 0, &watcher, &f),
			 ERR_LIMIT);
	session_watch_stop(&extra);
	session_watches_ended(f.s, SV("flush"));
	while (reads < SESSION_WATCHES_MAX) { /* no tick passes in between */
		turn();
		assert_int_equal(f.ncalls, SESSION_WATCH_READS_MAX);
		reads += f.ncalls;
		while (f.ncalls > 0)
			answer(ERR_OK, "live", 3600000, 3600000);
		assert_int_equal(loop_asked_ms(),
				 reads < SESSION_WATCHES_MAX ? 0 : SESSION_WATCH_TICK_MS);
	}
	turn();
	assert_int_equal(f.ncalls, 0);
	session_watches_free(&f.s); /* with all of them */
	assert_null(many[0].in);
	free(many);
}

static enum err make(void *arg)
{
	struct session_watches *s = NULL;
	enum err rc = session_watches_new(f.base, NULL, STMT, &s);

	(void)arg;
	assert_true((s != NULL) == (rc == ERR_OK));
	session_watches_free(&s);
	return rc;
}

static void without_memory_there_is_none(void **state)
{
	(void)state;
	assert_true(torture(make, NULL) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
	    CASE(an_end_is_told_once_with_its_reason),
	    CASE(what_may_have_ended_is_asked_for),
	    CASE(limits_are_met_and_moved),
	    CASE(near_its_end_it_is_read_often),
	    CASE(where_nobody_tells_each_is_read_every_tick),
	    CASE(who_hears_that_it_lives_may_stop),
	    CASE(an_outage_ends_no_session),
	    CASE(an_end_while_it_is_read_is_asked_for_again),
	    CASE(another_apps_session_is_an_end),
	    CASE(stopped_it_is_forgotten_with_its_query),
	    CASE(there_are_so_many_and_so_many_reads),
	    CASE(without_memory_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

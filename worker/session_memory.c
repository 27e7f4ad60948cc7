#include "worker/session_memory.h"

#include <stdlib.h>

#include "common/clock.h"

#define POLL_TRIP_CONN 0
#define POLL_TRIP_SERIAL 1
#define POLL_CURSOR_MAX 65536 /* a snapshot of as many transactions as a server can have */

enum poll_column { COL_UPTO, COL_NAMED };

struct session_memory {
	enum session_memory_mode mode;
	struct session_cache *cache;
	struct pg *pg;
	struct event *sweep, *poll;
	session_ended_fn ended;
	void *ended_arg;
	/* SESSION_MEMORY_POLL */
	unsigned poll_stmt;
	bool used, timer_set;
	struct pg_call *polling;
	struct buf cursor; /* what the next poll goes on from; empty: nothing was asked yet */
};

static void free_value(void *arg, void *value)
{
	struct session_entry *e = value;

	(void)arg;
	session_entry_free(&e);
}

static void set_timer(struct event *timer, int64_t ms)
{
	struct timeval tv = clock_timeval(ms);

	(void)evtimer_add(timer, &tv); /* fails without memory alone; the next use tries again */
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct session_memory *m = arg;

	(void)fd;
	(void)what;
	session_cache_sweep(m->cache, clock_boot_ms());
	if (session_cache_stats(m->cache).entries > 0)
		set_timer(m->sweep, SESSION_MEMORY_SWEEP_MS);
}

static void say_ended(struct session_memory *m, struct sv payload)
{
	session_cache_notified(m->cache, payload);
	if (m->ended != NULL)
		m->ended(m->ended_arg, payload);
}

/* --- the revocation log, polled --- */

/* Words of 16 digits, or one that is none and so is a flush. */
static void say_all(struct session_memory *m, struct sv words)
{
	while (words.n > 0) {
		size_t end = sv_find(words, ' ');

		say_ended(m, sv_cut(words, 0, end));
		words = sv_cut(words, end + 1, words.n);
	}
}

static void on_polled(void *arg, enum err e, const struct pg_rows *rows)
{
	struct session_memory *m = arg;
	struct pg_trip trip;

	m->polling = NULL;
	if (e == ERR_OK && pg_rows_count(rows) != 1)
		e = ERR_PROTOCOL;
	if (e != ERR_OK)
		return; /* the lease is not renewed; the next one goes on from the same place */
	buf_clear(&m->cursor);
	buf_add(&m->cursor, pg_rows_sv(rows, 0, COL_UPTO));
	if (!buf_ok(&m->cursor)) { /* from the beginning, which is a flush */
		buf_clear(&m->cursor);
		say_ended(m, SV("flush"));
		return;
	}
	say_all(m, pg_rows_sv(rows, 0, COL_NAMED));
	trip = (struct pg_trip){.conn = POLL_TRIP_CONN,
				.serial = POLL_TRIP_SERIAL,
				.sent_ms = pg_rows_trip(rows)->sent_ms};
	session_cache_renewed(m->cache, &trip);
}

static void poll_now(struct session_memory *m)
{
	struct pg_param since = m->cursor.n == 0 ? PG_NULL : PG_SV(buf_sv(&m->cursor));

	m->used = false;
	if (m->polling == NULL &&
	    pg_query(m->pg, m->poll_stmt, &since, on_polled, m, &m->polling) != ERR_OK)
		m->polling = NULL; /* the lease is not renewed; the next one asks again */
}

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
	struct session_memory *m = arg;

	(void)fd;
	(void)what;
	m->timer_set = false;
	if (!m->used)
		return; /* nobody asked: the lease ends */
	poll_now(m);
	m->timer_set = true;
	set_timer(m->poll, PG_RENEW_MS);
}

/* The first use after a pause asks at once. */
static void keep_leases(struct session_memory *m)
{
	switch (m->mode) {
	case SESSION_MEMORY_OFF:
		return;
	case SESSION_MEMORY_LISTEN:
		pg_lease_used(m->pg);
		return;
	case SESSION_MEMORY_POLL:
		break;
	}
	m->used = true;
	if (m->timer_set)
		return;
	m->timer_set = true;
	set_timer(m->poll, 0);
}

/* --- the object --- */

enum err session_memory_new(struct event_base *base, enum session_memory_mode mode,
			    struct session_memory **ret)
{
	struct session_memory *m = calloc(1, sizeof *m);
	struct session_cache_options o = {
	    .max_bytes = SESSION_MEMORY_MAX_BYTES, .free_value = free_value, .arg = m};
	enum err rc = m == NULL ? ERR_NOMEM : crypt_random(&o.secret, sizeof o.secret);

	if (m == NULL)
		return rc;
	m->mode = mode;
	buf_init(&m->cursor, POLL_CURSOR_MAX);
	m->sweep = evtimer_new(base, on_sweep, m);
	m->poll = evtimer_new(base, on_poll, m);
	if (rc == ERR_OK && (m->sweep == NULL || m->poll == NULL))
		rc = ERR_NOMEM;
	if (rc == ERR_OK)
		rc = session_cache_new(&o, &m->cache);
	if (rc != ERR_OK) {
		session_memory_free(&m);
		return rc;
	}
	*ret = m;
	return ERR_OK;
}

void session_memory_free(struct session_memory **pm)
{
	struct session_memory *m = *pm;

	*pm = NULL;
	if (m == NULL)
		return;
	pg_call_cancel(&m->polling);
	if (m->sweep != NULL)
		event_free(m->sweep);
	if (m->poll != NULL)
		event_free(m->poll);
	session_cache_free(&m->cache);
	buf_done(&m->cursor);
	free(m);
}

static void on_notified(void *arg, struct sv payload)
{
	say_ended(arg, payload);
}

static void on_renewed(void *arg, const struct pg_trip *t)
{
	struct session_memory *m = arg;

	session_cache_renewed(m->cache, t);
}

static void on_disturbed(void *arg, unsigned conn)
{
	struct session_memory *m = arg;

	session_cache_disturbed(m->cache, conn);
	if (m->ended != NULL)
		m->ended(m->ended_arg, SV_NONE);
}

struct pg_listener session_memory_listener(struct session_memory *m)
{
	return (struct pg_listener){on_notified, on_renewed, on_disturbed, m};
}

void session_memory_use_pool(struct session_memory *m, struct pg *pg, unsigned poll_stmt)
{
	m->pg = pg;
	m->poll_stmt = poll_stmt;
}

void session_memory_on_ended(struct session_memory *m, session_ended_fn fn, void *arg)
{
	m->ended = fn;
	m->ended_arg = arg;
}

void session_memory_expect(const struct session_memory *m,
			   const unsigned char hash[CRYPT_SHA256_LEN])
{
	session_cache_expect(m->cache, hash);
}

struct session_entry *session_memory_get(struct session_memory *m,
					 const unsigned char hash[CRYPT_SHA256_LEN], int64_t now_ms)
{
	keep_leases(m);
	return session_cache_get(m->cache, hash, now_ms);
}

uint64_t session_memory_tick(const struct session_memory *m)
{
	return session_cache_tick(m->cache);
}

/* While polling there is one lease for all connections. */
static struct pg_trip trip_of(const struct session_memory *m, const struct session_seen *seen)
{
	struct pg_trip t = seen->trip;

	if (m->mode == SESSION_MEMORY_POLL) {
		t.conn = POLL_TRIP_CONN;
		t.serial = POLL_TRIP_SERIAL;
	}
	return t;
}

bool session_memory_believes(struct session_memory *m, const unsigned char hash[CRYPT_SHA256_LEN],
			     const struct session_seen *seen)
{
	const struct session_read r = {.hash = hash, .trip = &seen->trip, .tick = seen->tick};

	return session_cache_believes(m->cache, &r, clock_boot_ms());
}

bool session_memory_still_believes(struct session_memory *m,
				   const unsigned char hash[CRYPT_SHA256_LEN],
				   const struct session_seen *seen)
{
	return m->mode != SESSION_MEMORY_OFF && session_memory_believes(m, hash, seen);
}

bool session_memory_put(struct session_memory *m, const unsigned char hash[CRYPT_SHA256_LEN],
			const struct session_seen *seen, struct session_entry **e)
{
	struct pg_trip trip = trip_of(m, seen);
	const struct session_read r = {.hash = hash, .trip = &trip, .tick = seen->tick};
	struct session_row row = session_entry_row(*e, trip.sent_ms);
	int64_t left_ms =
	    row.idle_left_ms < row.absolute_left_ms ? row.idle_left_ms : row.absolute_left_ms;

	if (m->mode == SESSION_MEMORY_OFF ||
	    !session_cache_put(m->cache, &r, left_ms, *e, session_entry_bytes(*e), clock_boot_ms()))
		return false;
	*e = NULL;
	if (!evtimer_pending(m->sweep, NULL))
		set_timer(m->sweep, SESSION_MEMORY_SWEEP_MS);
	return true;
}

void session_memory_grew(struct session_memory *m, const unsigned char hash[CRYPT_SHA256_LEN],
			 const struct session_entry *e)
{
	session_cache_resize(m->cache, hash, session_entry_bytes(e));
}

void session_memory_forget(struct session_memory *m, const unsigned char hash[CRYPT_SHA256_LEN])
{
	struct session_entry *e = session_cache_take(m->cache, hash);

	session_entry_free(&e);
}

void session_memory_end(struct session_memory *m, const unsigned char hash[CRYPT_SHA256_LEN])
{
	session_cache_end(m->cache, hash);
}

struct session_cache_stats session_memory_stats(const struct session_memory *m)
{
	return session_cache_stats(m->cache);
}

#include "worker/session_memory.h"

#include <stdlib.h>

#include "common/clock.h"

struct session_memory {
	enum session_memory_mode mode;
	struct session_cache *cache;
	struct pg *pg;
	struct event *sweep;
	session_ended_fn ended;
	void *ended_arg;
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
	m->sweep = evtimer_new(base, on_sweep, m);
	if (rc == ERR_OK && m->sweep == NULL)
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
	if (m->sweep != NULL)
		event_free(m->sweep);
	session_cache_free(&m->cache);
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

void session_memory_use_pool(struct session_memory *m, struct pg *pg)
{
	m->pg = pg;
}

void session_memory_on_ended(struct session_memory *m, session_ended_fn fn, void *arg)
{
	m->ended = fn;
	m->ended_arg = arg;
}

struct session_entry *session_memory_get(struct session_memory *m,
					 const unsigned char hash[CRYPT_SHA256_LEN])
{
	if (m->mode == SESSION_MEMORY_LISTEN)
		pg_lease_used(m->pg);
	return session_cache_get(m->cache, hash, clock_boot_ms());
}

uint64_t session_memory_tick(const struct session_memory *m)
{
	return session_cache_tick(m->cache);
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
	const struct session_read r = {.hash = hash, .trip = &seen->trip, .tick = seen->tick};
	struct session_row row = session_entry_row(*e, seen->trip.sent_ms);
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

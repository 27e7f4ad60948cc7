/*
 * session_cache - rows of sessions in memory, for as long as nothing can have ended them
 *
 * What was read about a session, by the SHA-256 of its secret. The cache may only say yes: NULL
 * means "read the row", never "there is no such session". It says yes while
 *	- the connection that read the row is undisturbed and holds its lease: its last round trip
 *	  that completed was sent less than PG_LEASE_MS ago (see pg.h for why that proves anything);
 *	- no notification named the session, and none was a flush, since the row's query was sent;
 *	- the row's idle and absolute limits and SESSION_CACHE_ENTRY_MS, all counted from the
 *	  sending of its query, have not passed.
 * So a session whose end was acknowledged is refused PG_LEASE_MS later at the latest, whatever
 * breaks. Whoever waits for anything after a yes asks again.
 *
 * A value is its owner's, who is called once to free it; tokens beside a session go with it. It
 * begins with a struct session_cached, so that filing it allocates nothing. When the owner's bytes
 * grow past the limit, or there is no memory to find more by, the oldest go first. A hit allocates
 * nothing and makes no system call. Pure of I/O: time and events are arguments, so that a model
 * test can drive it; the events are those of struct pg_listener.
 *
 * With many sessions most are no longer near the processor, so a hit looks at no value but its own,
 * and reads of that what stands together: the end of struct session_cached, and what comes next.
 *
 * Flooding: keys are hashes of 256 random bits of ours that the database knew; where they are
 * looked for is chosen by a secret factor all the same.
 */
#ifndef BFF_SESSION_CACHE_H
#define BFF_SESSION_CACHE_H

#include <sys/queue.h>

#include "common/crypt.h"
#include "common/pg.h"

#define SESSION_CACHE_ENTRY_MS 30000
#define SESSION_CACHE_CONNECTIONS_MAX 64 /* of a pool; database.connections is at most that */
#define SESSION_CACHE_CHANNEL "bff_revoked"

struct session_cache;

/* What a value begins with; the cache's alone, from session_cache_put() until the value is taken or
 * freed. The owner initialises nothing of it. */
struct session_cached {
	TAILQ_ENTRY(session_cached) by_age;
	size_t bytes;
	/* What a hit reads. */
	unsigned conn;
	uint64_t serial;
	int64_t ends_ms; /* first moment at which it no longer counts */
	unsigned char hash[CRYPT_SHA256_LEN];
};

struct session_cache_options {
	size_t max_bytes;
	uint64_t secret; /* random */
	void (*free_value)(void *arg, void *value);
	void *arg;
};

WARN_UNUSED enum err session_cache_new(const struct session_cache_options *o,
				       struct session_cache **ret);
void session_cache_free(struct session_cache **c);

/* The value of a session that is live now; NULL: read the row. Borrowed until the next call that
 * is not a get. */
void *session_cache_get(struct session_cache *c, const unsigned char hash[CRYPT_SHA256_LEN],
			int64_t now_ms);

/* This session is about to be asked for: what stands there is on its way from memory meanwhile, as
 * far as a hit reads it. Of a hash that nobody vouched for, too: says, changes and counts nothing.
 */
void session_cache_expect(const struct session_cache *c,
			  const unsigned char hash[CRYPT_SHA256_LEN]);

/* To be noted right before a query is sent, and given back with what it read: counts notifications
 * and ends, so that their order is exact within a millisecond, too. */
uint64_t session_cache_tick(const struct session_cache *c);

/* What a query read: sent with this trip at this tick. */
struct session_read {
	const unsigned char *hash; /* CRYPT_SHA256_LEN */
	const struct pg_trip *trip;
	uint64_t tick;
};

/* Whether a row may be judged by: no notification named the session since the query was sent, and
 * that is not PG_LEASE_MS ago. Otherwise it is to be read again. Needs no lease. */
bool session_cache_believes(struct session_cache *c, const struct session_read *r, int64_t now_ms);

/* Files what was read. left_ms: to the nearer of the session's limits. value: begins with a struct
 * session_cached. bytes: all that it holds, that included. False: not filed, the value stays the
 * caller's (who may answer with it once, right now). One that stood there is freed first. */
WARN_UNUSED bool session_cache_put(struct session_cache *c, const struct session_read *r,
				   int64_t left_ms, void *value, size_t bytes, int64_t now_ms);

/* Takes the value out, live or not: to be brought up to date by the row just read, and put again.
 * NULL: none. Now the caller's. */
void *session_cache_take(struct session_cache *c, const unsigned char hash[CRYPT_SHA256_LEN]);

/* The value that session_cache_get() gave for this hash now holds so many bytes. Evicts others, and
 * if need be this one: the value may be gone afterwards. */
void session_cache_resize(struct session_cache *c, const unsigned char hash[CRYPT_SHA256_LEN],
			  size_t bytes);

/* The session ended, or is about to, by our own doing. */
void session_cache_end(struct session_cache *c, const unsigned char hash[CRYPT_SHA256_LEN]);

/* A notification: the first 16 hex digits of a hash, or `flush`; anything else counts as flush. */
void session_cache_notified(struct session_cache *c, struct sv payload);

/* Whether a notification may mean this session. Pure. */
bool session_cache_names(struct sv payload, const unsigned char hash[CRYPT_SHA256_LEN]);

/* A round trip completed. */
void session_cache_renewed(struct session_cache *c, const struct pg_trip *t);

/* The connection broke, or may have missed something: what came over it goes. Looks at all entries:
 * seldom enough. */
void session_cache_disturbed(struct session_cache *c, unsigned conn);

/* Frees entries whose time is over; cheap, for a timer: nothing else frees those nobody asks for.
 */
void session_cache_sweep(struct session_cache *c, int64_t now_ms);

struct session_cache_stats {
	size_t entries, bytes;
	uint64_t hits, misses, evictions;
};
struct session_cache_stats session_cache_stats(const struct session_cache *c);

#endif

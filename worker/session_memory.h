/*
 * session_memory - the worker's sessions in memory, on the loop and fed by the pool
 *
 * common/session_cache (which says when it may say yes) with values of session_entry.h. It hears of
 * revocations in one of two ways. SESSION_MEMORY_LISTEN: it is the pool's listener, and rows live
 * under the lease of the connection that read them. SESSION_MEMORY_POLL, where LISTEN is not to be
 * had: it asks the database every PG_RENEW_MS what ended since it last asked, while anybody uses
 * what it has; all rows live under one lease, which an answer renews from the sending of its
 * question. SESSION_MEMORY_OFF: it keeps nothing, and every question is a read.
 *
 * Whoever waits for anything after session_memory_get() asks again: what it gave is gone by then.
 */
#ifndef BFF_SESSION_MEMORY_H
#define BFF_SESSION_MEMORY_H

#include <event2/event.h>

#include "common/session_cache.h"
#include "worker/session_entry.h"

#define SESSION_MEMORY_MAX_BYTES ((size_t)64 * 1024 * 1024) /* of one worker */
#define SESSION_MEMORY_SWEEP_MS 5000

enum session_memory_mode {
	SESSION_MEMORY_OFF = 1,
	SESSION_MEMORY_LISTEN,
	SESSION_MEMORY_POLL,
};

struct session_memory;

/* What may have ended: the first 16 hex digits of a hash, or anything else: each may have. */
typedef void (*session_ended_fn)(void *arg, struct sv payload);

WARN_UNUSED enum err session_memory_new(struct event_base *base, enum session_memory_mode mode,
					struct session_memory **ret);
void session_memory_free(struct session_memory **m);

/* For pg_options; of a pool that is opened with SESSION_CACHE_CHANNEL. */
struct pg_listener session_memory_listener(struct session_memory *m);

/* The pool that rows come from; poll_stmt: the number of `revocations`, for
 * SESSION_MEMORY_POLL. */
void session_memory_use_pool(struct session_memory *m, struct pg *pg, unsigned poll_stmt);

/* Told of all that may end a session, after the memory itself. */
void session_memory_on_ended(struct session_memory *m, session_ended_fn fn, void *arg);

/* It is about to be asked for: see session_cache_expect(). */
void session_memory_expect(const struct session_memory *m,
			   const unsigned char hash[CRYPT_SHA256_LEN]);

/* The session of this hash, if it is live at now_ms, which is clock_boot_ms(); NULL: read it.
 * Borrowed until the loop turns. */
struct session_entry *session_memory_get(struct session_memory *m,
					 const unsigned char hash[CRYPT_SHA256_LEN],
					 int64_t now_ms);

/* To be noted right before a query is sent. */
uint64_t session_memory_tick(const struct session_memory *m);

/* Which row: sent with this trip, when session_memory_tick() was `tick`. */
struct session_seen {
	struct pg_trip trip;
	uint64_t tick;
};

/* Whether what was read may be judged by, still: see session_cache_believes(). */
bool session_memory_believes(struct session_memory *m, const unsigned char hash[CRYPT_SHA256_LEN],
			     const struct session_seen *seen);

/* The same after a wait for something else: in mode OFF never. */
bool session_memory_still_believes(struct session_memory *m,
				   const unsigned char hash[CRYPT_SHA256_LEN],
				   const struct session_seen *seen);

/* Files what was read. True: *e is the memory's, and set to NULL. False: it stays the caller's. */
bool session_memory_put(struct session_memory *m, const unsigned char hash[CRYPT_SHA256_LEN],
			const struct session_seen *seen, struct session_entry **e);

/* The entry that session_memory_get() gave grew. It may be gone afterwards. */
void session_memory_grew(struct session_memory *m, const unsigned char hash[CRYPT_SHA256_LEN],
			 const struct session_entry *e);

/* A row said "no". */
void session_memory_forget(struct session_memory *m, const unsigned char hash[CRYPT_SHA256_LEN]);

/* The session ended, or may have, by our own doing. */
void session_memory_end(struct session_memory *m, const unsigned char hash[CRYPT_SHA256_LEN]);

struct session_cache_stats session_memory_stats(const struct session_memory *m);

#endif

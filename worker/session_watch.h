/*
 * session_watch - tells when a session that somebody watches ends
 *
 * For answers that last (event streams): whoever holds one embeds a struct session_watch and is
 * called once, from the loop, when the session is no longer live: revoked or otherwise ended within
 * milliseconds of the notification, past a limit within SESSION_WATCH_TICK_MS, and after whatever
 * else may have ended it (a flush, a connection that broke) once the database was asked. It says
 * why. Before that it is told the times left at each read: as soon as the nearer limit is
 * SESSION_WATCH_NEAR_MS away, and from then on every SESSION_WATCH_NEAR_READ_MS, since use moves
 * it. While the database is out of reach nobody is told: an outage ends no session, and the
 * question is asked again every SESSION_WATCH_TICK_MS.
 *
 * Watching is no use of a session: its idle limit comes nearer. One timer for all; an idle watch
 * costs a look at a number a tick, and one read every SESSION_WATCH_READ_MS; where the pool does
 * not hear of revocations, one every tick.
 */
#ifndef BFF_SESSION_WATCH_H
#define BFF_SESSION_WATCH_H

#include <event2/event.h>
#include <sys/queue.h>

#include "common/crypt.h"
#include "common/pg.h"

#define SESSION_WATCHES_MAX 10000   /* of one worker */
#define SESSION_WATCH_READS_MAX 500 /* under way at a time */
#define SESSION_WATCH_TICK_MS 1000
/* What is to be read at each tick is due so long after the last answer, which may take as long. */
#define SESSION_WATCH_NEXT_TICK_MS (SESSION_WATCH_TICK_MS / 2)
#define SESSION_WATCH_READ_MS 60000 /* read at least so often */
#define SESSION_WATCH_NEAR_MS 60000
#define SESSION_WATCH_NEAR_READ_MS 5000

struct session_watches;

struct session_watcher {
	/* why: an enum reason, never REASON_NONE and never REASON_STORE. The watch is over when
	 * this is called, and its memory the owner's again. */
	void (*ended)(void *arg, unsigned why);
	/* Read, and live; so long yet. The owner may stop the watch. */
	void (*lives)(void *arg, int64_t idle_left_ms, int64_t absolute_left_ms);
};

/* Embedded by its owner, zeroed; the members are session_watch.c's. */
struct session_watch {
	TAILQ_ENTRY(session_watch) link;
	struct session_watches *in; /* NULL: not watching */
	struct pg_call *query;
	int64_t due_ms; /* to be read then */
	struct sv app;
	const struct session_watcher *tell;
	void *arg;
	unsigned char hash[CRYPT_SHA256_LEN];
};

/* stmt: the number of session_get. Of a pool that outlives it. ERR_NOMEM. */
WARN_UNUSED enum err session_watches_new(struct event_base *base, struct pg *pg, unsigned stmt,
					 struct session_watches **ret);
/* Ends all watches, telling nobody. */
void session_watches_free(struct session_watches **s);

/* What session_memory_on_ended() tells. */
void session_watches_ended(void *arg, struct sv payload);

/* Watches the session of this hash, an app's, which was live a moment ago and has left_ms to the
 * nearer of its limits. `app` and `tell` outlive the watch. ERR_LIMIT (SESSION_WATCHES_MAX). */
WARN_UNUSED enum err session_watch_start(struct session_watches *s, struct session_watch *w,
					 const unsigned char hash[CRYPT_SHA256_LEN], struct sv app,
					 int64_t left_ms, const struct session_watcher *tell,
					 void *arg);

/* No more; accepts one that is over, or was never started. */
void session_watch_stop(struct session_watch *w);

size_t session_watches_count(const struct session_watches *s);

#endif

/*
 * session_events - streams that tell a page of its session (WHATWG HTML, server-sent events)
 *
 * A stream is what remains of a request for session events: it watches one session
 * (session_watch.h) and writes to the connection that took it over from the request. It says:
 *
 *	live	  at once, with the times of its limits; and again when use moved them away
 *	expiring  once, when the nearer limit is SESSION_EVENTS_EXPIRING_S away; the same data
 *	ended	  the session is over, and so is the stream; why is nobody's business
 *
 * A comment every so often keeps it open in proxies and finds out about clients that are gone.
 * Whoever does not read is dropped, and every stream ends after SESSION_EVENTS_LAST_MS at most: the
 * browser opens it again. None of this is use of the session, and an outage of the database says
 * nothing. One timer for all, while there are any.
 */
#ifndef BFF_SESSION_EVENTS_H
#define BFF_SESSION_EVENTS_H

#include "common/buf.h"
#include "worker/session_watch.h"

#define SESSION_EVENTS_EXPIRING_S (SESSION_WATCH_NEAR_MS / 1000)
#define SESSION_EVENTS_A_SESSION 32 /* streams of one session on one worker */
#define SESSION_EVENTS_SHARE 2	    /* of web.max_connections at most this part are streams */
#define SESSION_EVENTS_BUSY_S 30    /* Retry-After where there are too many */
#define SESSION_EVENTS_TICK_MS 1000
/* Drawn for each stream, so that many that began together do not stay so. */
#define SESSION_EVENTS_BEAT_MIN_MS 15000
#define SESSION_EVENTS_BEAT_MAX_MS 30000
#define SESSION_EVENTS_LAST_MIN_MS (14 * 60 * 1000)
#define SESSION_EVENTS_LAST_MS (15 * 60 * 1000)
#define SESSION_EVENTS_RETRY_MIN_MS 500 /* the browser opens it again after so long */
#define SESSION_EVENTS_RETRY_MAX_MS 2500
#define SESSION_EVENTS_TEXT_MAX 192 /* bytes said at a time */

struct conn;
struct session_events;
struct session_stream;

/* max: of streams. Of watches that outlive it. ERR_NOMEM. */
WARN_UNUSED enum err session_events_new(struct event_base *base, struct session_watches *watches,
					size_t max, struct session_events **ret);
/* Of which there are no streams any more. Accepts NULL, as session_events_count() does. */
void session_events_free(struct session_events **e);

size_t session_events_count(const struct session_events *e);

/* The worker drains: every stream ends now, or as soon as its head is written. */
void session_events_end(struct session_events *e);

/* Of which session, and how its answer is framed. */
struct session_stream_of {
	const unsigned char *hash; /* CRYPT_SHA256_LEN */
	struct sv app;		   /* outlives the stream */
	int64_t idle_left_ms, absolute_left_ms;
	bool chunked; /* RFC 9112 7.1; else it ends with the connection */
};

/* ERR_LIMIT, ERR_NOMEM, ERR_CRYPTO. */
WARN_UNUSED enum err session_stream_open(struct session_events *e,
					 const struct session_stream_of *of,
					 struct session_stream **ret);
/* Without a word. */
void session_stream_free(struct session_stream **s);

/* Appends what the body begins with. */
void session_stream_greet(struct session_stream *s, struct buf *out);

/* The greeting is written; the connection, which owns the stream from here on, takes what is said
 * by conn_stream_write(), and is closed when the stream ends: possibly within this call. */
void session_stream_begin(struct session_stream *s, struct conn *c);

#endif

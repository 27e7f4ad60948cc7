/*
 * conn - one HTTP/1.x connection
 *
 * Reads heads, hands one request at a time to request.c, writes answers in order. What a client
 * pipelines waits in the one input buffer (at most max_head bytes, then the socket fills), which
 * is freed while the connection idles. Limits: web.max_head, web.max_headers, web.head_timeout
 * (also for the first byte after accept), web.idle_timeout, CONN_WRITE_MS for a client that does
 * not read.
 *
 * A body is read only where request_body_max() says so. Any other request with one is answered with
 * `Connection: close`, the write side is shut, and what still comes is read and dropped for at most
 * CONN_LINGER_MS and CONN_LINGER_BYTES, so that the answer is not lost in a reset and no byte of
 * a body can ever be taken for the next request's head.
 *
 * An answer that lasts (session_events.h) is what remains once its head is written: the connection
 * then holds no buffer and never comes to another request. What the client sends meanwhile ends it,
 * as does a client that does not take what is written.
 *
 * A connection owns its descriptor and frees itself through the worker's list of the dead, at the
 * end of the turn: so any callback may close it.
 */
#ifndef BFF_CONN_H
#define BFF_CONN_H

#include <event2/event.h>
#include <sys/queue.h>

#include "common/sv.h"

#define CONN_READ 4096	/* bytes asked of the kernel at a time, once CONN_CHUNK are there */
#define CONN_CHUNK 8192 /* bytes a buffer starts with; one that grew beyond is not kept */
#define CONN_WRITE_MS 10000
#define CONN_LINGER_MS 2000
#define CONN_LINGER_BYTES (256 * 1024)
#define CONN_OUT_MAX (256 * 1024) /* bytes of answers not yet taken by the kernel */

struct worker;
struct config_listen;
struct conn;

TAILQ_HEAD(conn_list, conn);

/* The connections of one worker. */
struct conns {
	struct conn_list live, dead;
	size_t n; /* live ones */
};

void conns_init(struct conns *cs);

/* Takes *fd (accepted, non-blocking). peer: IPv6 address, IPv4 mapped. ERR_NOMEM. */
WARN_UNUSED enum err conn_new(struct worker *w, const struct config_listen *listen, int *fd,
			      const unsigned char peer[16]);

/* For streams: ERR_IO where the kernel does not take all of it at once; the connection, and the
 * stream with it, are then gone. */
WARN_UNUSED enum err conn_stream_write(struct conn *c, struct sv text);

/* Its memory, and that of the request or stream it carries, goes at the end of the turn or before;
 * nothing more is called on it. */
void conn_close(struct conn *c);

/* While draining: the connections that wait for a request and have sent none of it. */
void conns_close_idle(struct conns *cs);

/* All of them, at once; and frees the dead. */
void conns_close_all(struct conns *cs);
void conns_reap(struct conns *cs);

#endif

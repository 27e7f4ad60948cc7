/*
 * acceptor - takes new connections from the listeners, as long as there is room
 *
 * The listeners stand in an epoll descriptor of their own, with EPOLLEXCLUSIVE, and that one in
 * libevent's loop: so one connection wakes few workers. Out of descriptors or memory, or at
 * web.max_connections, the listeners are taken out and come back on a timer or when a connection
 * ends; other workers go on accepting meanwhile.
 */
#ifndef BFF_ACCEPTOR_H
#define BFF_ACCEPTOR_H

#include <event2/event.h>

#include "common/err.h"

#define ACCEPTOR_TURN 16      /* connections a listener gives in one turn: the others want some */
#define ACCEPTOR_RETRY_MS 100 /* after EMFILE and the like */

struct worker;
struct acceptor;

/* For the listeners CONTRACT_FD_LISTEN to + nlisten; accepts nothing yet. */
WARN_UNUSED enum err acceptor_new(struct worker *w, unsigned nlisten, struct acceptor **ret,
				  struct errmsg *e);
void acceptor_free(struct acceptor **a);

WARN_UNUSED enum err acceptor_start(struct acceptor *a);
/* For good: a worker that drains. */
void acceptor_stop(struct acceptor *a);

/* A connection ended: there may be room again. */
void acceptor_room(struct acceptor *a);

#endif

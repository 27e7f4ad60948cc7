/*
 * ipc_socket - one SOCK_SEQPACKET connection on the event loop, for either side
 *
 * Whole packets only. All sends of one turn of the loop leave together at its end, in few system
 * calls and without an allocation each. They queue up to IPC_QUEUE_MAX bytes; beyond that the peer
 * is not reading and ipc_socket_send() says ERR_LIMIT. A received packet's bytes are wiped after
 * on_packet returns, a sent one's after the kernel took it. No descriptors are ever
 * received (no control buffer). on_close is called once, from the loop, never from within
 * a call of the owner; after it the object may only be freed.
 */
#ifndef BFF_IPC_SOCKET_H
#define BFF_IPC_SOCKET_H

#include <event2/event.h>

#include "common/ipc.h"

#define IPC_QUEUE_MAX (4 * 1024 * 1024)

struct ipc_socket;

struct ipc_socket_events {
	/* One packet; anything but ERR_OK closes the connection (on_close follows). */
	enum err (*on_packet)(void *arg, struct sv packet);
	/* Peer gone, error, or closed by an on_packet verdict. */
	void (*on_close)(void *arg, enum err why);
};

/* Takes *fd (connected, set to -1). */
WARN_UNUSED enum err ipc_socket_new(struct event_base *base, int *fd,
				    const struct ipc_socket_events *events, void *arg,
				    struct ipc_socket **ret);

/* Safe in a callback of the same object: freed at the end of the turn. What was sent before goes
 * out as far as the kernel takes it at once. */
void ipc_socket_free(struct ipc_socket **s);

/* Queues one packet (copied). ERR_LIMIT, ERR_UNAVAILABLE after close. */
WARN_UNUSED enum err ipc_socket_send(struct ipc_socket *s, struct sv packet);

#endif

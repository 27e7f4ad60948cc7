/*
 * peer - one worker's connection
 *
 * Accepts only the uid of broker.peer_user (SO_PEERCRED), wants a hello first, and drops the
 * connection on whatever dispatch refuses. Requests that are under way when the connection
 * closes go on without it.
 */
#ifndef BFF_PEER_H
#define BFF_PEER_H

#include "broker/request.h"

#define PEER_REQUESTS_MAX 2048 /* under way on one connection */

struct ipc_socket;

struct peer {
	struct peer *next, **prev;
	struct broker *broker;
	struct ipc_socket *socket;
	enum ipc_phase phase;
	struct edition *edition; /* NULL: unknown so far */
	unsigned char digest[CRYPT_SHA256_LEN];
	struct request *requests;
	size_t nrequests;
	uint64_t serial; /* for logs */
};

/* Takes *fd. Refused and failed ones are closed and logged. */
void peer_accept(struct broker *b, int *fd);

/* While draining: closes the peer if nothing is under way on it. */
void peer_close_idle(struct peer **p);

/* Closes at once; requests under way lose their peer. */
void peer_free(struct peer **p);

/* Sends m as the answer to the request of that id; m's views are borrowed for the call, and no copy
 * of them stays behind. ERR_LIMIT when a field is over its maximum, ERR_NOMEM: nothing was sent. A
 * peer that is closing or does not read gets nothing, which is logged and no error. */
WARN_UNUSED enum err peer_answer(struct peer *p, uint32_t id, const struct ipc_message *m);

/* ERR_PROTOCOL: other binaries or a second hello; or what peer_answer() says. The peer is to be
 * dropped. */
WARN_UNUSED enum err peer_hello(struct peer *p, uint32_t id, const struct ipc_hello *m);

/* A request of this peer. Answered already: ERR_LIMIT, ERR_CONFIG, and ERR_UNAVAILABLE until the
 * database said which key seals. Not answered: ERR_NOMEM. */
WARN_UNUSED enum err peer_request(struct peer *p, const struct ipc_message *m,
				  struct sv correlation, struct request **ret);

#endif

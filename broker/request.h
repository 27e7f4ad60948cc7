/*
 * request - one request of a worker, from its packet to its one answer
 *
 * Made by the peer that it came over, handed to a handler, and consumed by request_answer() or
 * request_fail(), exactly once. The peer may be gone by then: the answer is dropped, and whatever
 * the request set in motion goes on. Holds a reference to the peer's edition.
 */
#ifndef BFF_REQUEST_H
#define BFF_REQUEST_H

#include "broker/broker.h"
#include "common/ipc.h"
#include "common/trace.h"

struct request {
	struct request *next, **prev; /* of the peer's requests under way */
	struct broker *broker;
	struct peer *peer; /* NULL: gone */
	struct edition *edition;
	uint32_t id;
	const char *name; /* of the message */
	unsigned message; /* metrics_message() */
	char correlation[IPC_NAME_MAX + 1];
	struct trace trace;
	/* Of one that waits for a service's own token: for token_again(). */
	unsigned char hash[CRYPT_SHA256_LEN];
	const struct edition_use *use; /* of the edition */
};

/* What goes with a failure; zeros where there is nothing. */
struct request_failure {
	uint32_t retry_after_s;
	struct sv return_to;
	const char *detail; /* constant word, for logs on both sides */
};

/* Sends m, whose number says which answer it is; its views are borrowed for the call. What cannot
 * be encoded (a field over its maximum, no memory) fails the request with INTERNAL, and is logged.
 * Consumes the request. */
void request_answer(struct request **r, const struct ipc_message *m);

void request_fail(struct request **r, enum ipc_error code, struct request_failure why);

/* For handlers: a request_failure of a detail alone. */
static inline struct request_failure request_detail(const char *detail)
{
	return (struct request_failure){.detail = detail};
}

/* The answer to a query that failed: always STORE, with the code as detail. */
void request_fail_store(struct request **r, enum err e);

#endif

/*
 * waiters - the requests that wait for one token
 *
 * Each waits WAITER_PATIENCE_MS at most: then it fails with `late`, which the owner keeps true to
 * what it is doing, and is off the list. What they wait for goes on without them. The list stays
 * where it is while it is not empty.
 */
#ifndef BFF_WAITERS_H
#define BFF_WAITERS_H

#include "broker/request.h"
#include "common/contract.h"

#define WAITERS_MAX 4096 /* for one token */
#define WAITER_PATIENCE_MS (TIMEOUT_IDP_MS + 2000)

struct waiter;
struct waiters {
	struct waiter *first;
	size_t n;
	enum ipc_error late;
};

/* Consumes the request: without room it fails at once. */
void waiters_add(struct waiters *w, struct request **r);

/* All of them, each exactly once; the list is empty then. */
void waiters_answer(struct waiters *w, struct sv token, int64_t left_ms);
void waiters_fail(struct waiters *w, enum ipc_error code, const char *detail, uint32_t retry_s);

/* One of them, unanswered and the caller's; NULL: none is left. */
struct request *waiters_take(struct waiters *w);

/* The answer to one request that need not wait. */
void waiters_answer_one(struct request **r, struct sv token, int64_t left_ms);

#endif

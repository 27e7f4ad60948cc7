/*
 * broker_client - the worker's one connection to the broker
 *
 * Connects by itself, says hello with the digest of what the broker acts by, reconnects with
 * back-off and jitter. While it is down a request fails at once: nobody waits for a reconnect. A
 * broker that does not know our configuration answers each request with CONFIG_SKEW. Requests are
 * matched to answers by id; each has a deadline. An answer nobody asked for, or of the wrong kind,
 * drops the connection: all that wait on it get ERR_UNAVAILABLE.
 *
 * A callback is called exactly once, from the loop, never from within broker_send(); not after
 * broker_cancel(). SECURITY: messages carry session secrets and tokens; packets are wiped.
 */
#ifndef BFF_BROKER_CLIENT_H
#define BFF_BROKER_CLIENT_H

#include <event2/event.h>

#include "common/crypt.h"
#include "common/ipc.h"
#include "common/metrics.h"

#define BROKER_PENDING_MAX 4096 /* requests without an answer yet; a power of two */
#define BROKER_RETRY_MIN_MS 100
#define BROKER_RETRY_MAX_MS 5000
#define BROKER_HELLO_MS 2000

struct broker_client;
struct broker_call;

/* m: the answer or FAILURE, valid during the call; NULL unless e == ERR_OK. e: ERR_TIMEOUT,
 * ERR_UNAVAILABLE. */
typedef void (*broker_fn)(void *arg, enum err e, const struct ipc_message *m);

/* Starts connecting. `path` outlives it. */
WARN_UNUSED enum err broker_client_new(struct event_base *base, const char *path,
				       const unsigned char digest[CRYPT_SHA256_LEN],
				       struct broker_client **ret);
/* No callback is called any more. */
void broker_client_free(struct broker_client **b);

/* Calls are counted from here on. */
void broker_client_count(struct broker_client *b, struct metrics *m);

/* Called with every first outcome and change: up or not. */
void broker_client_on_state(struct broker_client *b, void (*fn)(void *arg, bool up), void *arg);
bool broker_client_up(const struct broker_client *b);

/* The id for the next request; encode the message with it, then send it. */
uint32_t broker_next_id(struct broker_client *b);

/* Sends one encoded request. ERR_UNAVAILABLE (down), ERR_LIMIT, ERR_NOMEM. */
WARN_UNUSED enum err broker_send(struct broker_client *b, uint32_t id, enum ipc_number answer,
				 struct sv packet, int64_t timeout_ms, broker_fn fn, void *arg,
				 struct broker_call **ret);

/* The callback will not be called. Sets *c to NULL; accepts NULL. */
void broker_cancel(struct broker_call **c);

#endif

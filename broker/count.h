/*
 * count - what the broker counts, told to whoever scrapes a worker
 *
 * Counters stand where things happen; what others keep (pool, cache, key ring, breakers) is looked
 * at when a METRICS_GET comes. It is answered at once, also without a database, and also to a
 * worker whose configuration is unknown.
 */
#ifndef BFF_COUNT_H
#define BFF_COUNT_H

#include "broker/broker.h"
#include "broker/peer.h"
#include "common/ipc.h"

void count_tell(struct peer *p, uint32_t id, const struct ipc_metrics_get *m);

/* Brings over what others keep. */
void count_sample(struct broker *b);

/* The provider's number among the names. */
struct metrics_at count_provider(const struct broker *b, const struct config_provider *p);

#endif

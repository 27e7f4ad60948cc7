/*
 * count - what a worker counts, and under which labels
 *
 * Calls into common/metrics from the few places where something happens: a connection comes and
 * goes, a request begins, waits, is denied, is answered. Names of the configuration are looked up
 * once, at the start. What others keep (cache, pool, logger) is brought over by count_sample(),
 * with every heartbeat and right before a scrape, so its numbers are at most CONTRACT_HEARTBEAT_MS
 * old. Of the clock a request reads two values. No allocation after count_new(). Every function
 * accepts a worker without counters.
 */
#ifndef BFF_COUNT_H
#define BFF_COUNT_H

#include "common/metrics.h"
#include "worker/denial.h"

struct count;

/* slab: of the memory behind CONTRACT_FD_METRICS, or METRICS_SLAB_NONE: the worker counts for
 * itself alone, as it does where that memory is another version's or was spoilt. ERR_IO, ERR_NOMEM
 * with a sentence. */
WARN_UNUSED enum err count_new(const struct config *c, unsigned slab, struct count **ret,
			       struct errmsg *e);
void count_free(struct count **c);

/* For pg, broker_client and the printer. NULL without counters. */
struct metrics *count_metrics(const struct count *c);

/* A connection of a listener; what it sent was refused before it was a request. */
void count_opened(struct worker *w, const struct config_listen *l);
void count_closed(struct worker *w, const struct config_listen *l);
void count_refused(struct worker *w, unsigned status);
void count_accept_paused(struct worker *w);

/* In a request's life, in this order. */
void count_begun(struct request *r);
void count_untrusted(const struct request *r);
void count_waits(struct request *r); /* r->call: for the broker; else for the database */
void count_denied(const struct request *r, enum reason why);
void count_answered(const struct request *r);
void count_over(struct request *r);

void count_sample(struct worker *w);

#endif

/*
 * service - one generation of workers
 *
 * A configuration, the sockets lent to it, and one slot a worker. Made beside the one in force,
 * proven ready, then put in its place; or given up. Owned by the supervisor, which keeps at most
 * one in force, one on trial and some that drain.
 */
#ifndef BFF_MASTER_SERVICE_H
#define BFF_MASTER_SERVICE_H

#include "common/config.h"
#include "master/listen.h"
#include "master/slot.h"

struct service {
	struct service *next; /* in the list of those that drain */
	const char *worker;   /* path; the supervisor's */
	struct tally *tally;  /* the supervisor's, set by it */
	unsigned generation;
	struct config *config;
	struct listen_plan listen;
	struct slot *slots;
	size_t n;
	bool has_failed; /* a worker of it did not make it */
	int failed_exit; /* that worker's exit status, else -1 */
	struct errmsg failure;
};

/* Takes the configuration (also on failure). ERR_NOMEM with a sentence. */
WARN_UNUSED enum err service_new(struct config **config, const struct listen_plan *listen,
				 const char *worker, unsigned generation, struct event_base *base,
				 struct service **ret, struct errmsg *e);

/* Accepts NULL. Processes that still run are left to drain by themselves. */
void service_free(struct service **s);

/* Starts every worker. A worker that cannot be forked marks the service as failed. */
void service_start(struct service *s);

void service_stop(struct service *s);	 /* every worker drains */
void service_abandon(struct service *s); /* the same, but workers on trial are killed */

/* Remembers the first failure; the sentence ends up in the log when the service is on trial. */
__attribute__((format(printf, 2, 3))) void service_failed(struct service *s, const char *fmt, ...);

size_t service_count(const struct service *s, enum slot_state state);
bool service_is_ready(const struct service *s); /* every worker */
bool service_is_gone(const struct service *s);	/* no process is left, none wanted */

/* The slot of a process, or NULL. */
struct slot *service_find(struct service *s, pid_t pid);

#endif

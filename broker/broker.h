/*
 * broker - the process: its loop, its connections, its jobs
 *
 * One struct broker is passed down; there is no other state. It starts without database, provider
 * or worker, and only a configuration that cannot be used keeps it from starting. SIGTERM drains:
 * no new peers, every request and refresh under way is brought to its end (a successor refresh
 * token in memory is worth waiting for), then broker_run() returns.
 */
#ifndef BFF_BROKER_H
#define BFF_BROKER_H

#include <event2/event.h>
#include <sys/types.h>

#include "broker/broker_sql.h"
#include "broker/edition.h"
#include "broker/keyring.h"
#include "broker/rate_limit.h"
#include "common/buf.h"
#include "common/session_cache.h"

#define BROKER_PEERS_MAX 256
#define BROKER_LISTENERS_MAX 4
#define BACKCHANNEL_MAX 64 /* logout tokens under judgement; further ones are put off */
#define BROKER_OWNER_LEN 16
#define BROKER_DRAIN_MS 25000 /* then what is still under way is given up */

struct peer;
struct grant_table;
struct key_watch;
struct reseal;
struct revalidation;
struct revocation;
struct service_tokens;
struct sweep;
struct token_memory;

/* Token requests since the start. */
struct broker_counts {
	uint64_t from_memory; /* answered without the database */
	uint64_t read;	      /* judged by the row */
	uint64_t waited;      /* of those: for a provider */
	uint64_t ahead;	      /* renewals that nobody waited for */
};

struct broker {
	struct event_base *base;
	struct pg *pg;
	struct http_client *http;
	struct keyring *ring;
	struct editions editions;
	struct rate_limit *limits;    /* of beginnings */
	struct rate_limit *responses; /* of what comes back, so that it leaves beginnings alone */
	struct grant_table *grants;
	struct service_tokens *service_tokens;
	struct token_memory *tokens;
	struct revalidation *revalidation;
	struct revocation *revocation;
	struct sweep *sweep;
	struct reseal *reseal;
	struct key_watch *keys;
	unsigned char owner[BROKER_OWNER_LEN]; /* this process, in leases */
	uid_t peer_uid;
	struct peer *peers;
	size_t npeers;
	size_t nbackchannels;  /* logout tokens under judgement */
	uint64_t peer_serials; /* names connections in the log */
	struct buf packet;     /* of the answer being sent; its memory stays, wiped */
	struct broker_counts counts;
	struct metrics *metrics;
	struct broker_counts counted; /* of these so much is in metrics */
	struct session_cache_stats cache_counted;
	uint64_t log_counted;
	struct event *listeners[BROKER_LISTENERS_MAX];
	size_t nlisteners;
	struct event *on_term, *on_int, *drain_timer;
	bool draining;
	bool stopping; /* nothing is retried any more */
};

/* fds: listening sockets handed in, or nfds == 0: binds broker.socket. On success *config and the
 * descriptors are taken; on failure the process is expected to end: *config is taken (and NULL) or
 * still the caller's, and some of the descriptors may be closed. */
WARN_UNUSED enum err broker_new(const char *config_path, struct config **config, const int *fds,
				size_t nfds, struct broker **ret, struct errmsg *e);
void broker_free(struct broker **b);

/* Returns after SIGTERM or SIGINT and the drain. */
void broker_run(struct broker *b);

/* Called by whoever finished something while draining: looks whether all is done. */
void broker_drained(struct broker *b);

/* Everything `bff-broker -t` checks beside the file itself: secrets, key ring, peer_user. */
WARN_UNUSED enum err broker_check(const struct config *c, struct errmsg *e);

/* Random bytes or death: a broker without randomness must not go on. */
void broker_random(void *out, size_t n);

#endif

/*
 * worker - one worker process: its loop, listeners, pools, and how it ends
 *
 * Ready (CONTRACT_READY) once the database pool and the broker connection had a first outcome,
 * after CONTRACT_WARM_UP_MS at the latest: starting needs neither. SIGTERM or the end of the status
 * channel drains: no more accepting, answers carry `Connection: close`, streams end, idle
 * connections have CONTRACT_DRAIN_IDLE_MS for one more request, and the process ends with the last
 * one.
 */
#ifndef BFF_WORKER_H
#define BFF_WORKER_H

#include <event2/event.h>

#include "common/config.h"
#include "common/contract.h"
#include "common/pg.h"
#include "worker/acceptor.h"
#include "worker/broker_client.h"
#include "worker/conn.h"
#include "worker/cookie.h"
#include "worker/identity.h"
#include "worker/listeners.h"
#include "worker/page_files.h"
#include "worker/policy.h"
#include "worker/pool.h"
#include "worker/request.h"
#include "worker/route.h"
#include "worker/session_events.h"
#include "worker/session_memory.h"
#include "worker/session_watch.h"
#include "worker/touch.h"

enum worker_statement {
#define SQL(name, nparams, kind, text) WORKER_SQL_##name,
#include "worker/worker_sql.def"
#undef SQL
};

#define WORKER_POOLED 64 /* pieces of each kind that are kept: so many requests wait at once */

struct worker {
	struct event_base *base;
	struct config *config;
	struct pg *pg;
	struct session_memory *memory;
	struct session_watches *watches;
	struct session_events *events;
	struct broker_client *broker;
	struct cookie_keys *keys;
	struct route_table *routes;
	struct identity_table *identities;
	struct policy_table *policy;
	struct touch *touch;
	struct page_files *pages; /* NULL: the built-in ones */
	struct count *count;	  /* NULL: nothing is counted */
	struct injected injected; /* identity_names() */
	struct sv *cookie_names;  /* of ours, which never go on to a service */
	size_t ncookie_names;
	struct conns conns;
	/* What a request needs and gives back; see pool.h. */
	struct pool requests, fields, chunks;
	struct request_ids ids;
	unsigned nlisten, slab;
	struct listeners *listeners;
	struct acceptor *acceptor;
	bool draining, ready, pg_seen, broker_seen;
	unsigned generation;
	struct event *ev_reap, *ev_heartbeat, *ev_warm_up, *ev_term, *ev_status, *ev_drain_idle;
};

/* Runs until drained. Returns an enum contract_exit. Takes *config. */
int worker_run(struct config **config, unsigned nlisten, unsigned generation, unsigned slab);

/* What is compiled of w->config alone: routes, identities, policy and the names. ERR_CONFIG,
 * ERR_NOMEM, with a sentence; what was made so far is worker_tables_free()'s in any case. */
WARN_UNUSED enum err worker_tables_make(struct worker *w, struct errmsg *e);
void worker_tables_free(struct worker *w);

/* conn.c: a connection is gone; its memory goes at the end of the turn. */
void worker_conn_closed(struct worker *w);

#endif

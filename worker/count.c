#include "worker/count.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/contract.h"
#include "common/log.h"
#include "worker/endpoint.h"
#include "worker/worker.h"

/* The words of METRICS_WORDS_outcome. */
static_assert(DENIAL_LOGIN == 1 && DENIAL_STEP_UP == 2 && DENIAL_BAD == 3 &&
		  DENIAL_FORBIDDEN == 4 && DENIAL_CSRF == 5 && DENIAL_ORIGIN == 6 &&
		  DENIAL_UPSTREAM == 7 && DENIAL_UNAVAILABLE == 8,
	      "outcomes in the order of denials");
#define OUTCOME_ALLOWED 0

struct count {
	struct metrics *metrics;
	const struct config *config;
	unsigned *listens, *routes; /* numbers of names, in the configuration's order */
	/* Of these so many were counted. */
	uint64_t log_suppressed;
	struct session_cache_stats cache;
};

static unsigned *numbers(size_t n)
{
	return calloc(n + 1, sizeof(unsigned)); /* one more, so that none is no failure */
}

static enum err open_own(const struct config *c, struct metrics **ret)
{
	enum err rc = metrics_new(NULL, ret);

	if (rc == ERR_OK && !metrics_add_names(*ret, c))
		log_warn("metrics_names_full",
			 K("then", "what is beyond the limit is counted as \"-\""));
	return rc;
}

/* SECURITY: any worker can write anything into the memory of all, also what makes it look like
 * another version's. That is no reason not to serve. */
static enum err open_memory(const struct config *c, unsigned slab, struct metrics **ret)
{
	enum err rc;

	if (slab == METRICS_SLAB_NONE)
		return open_own(c, ret);
	rc = metrics_attach(CONTRACT_FD_METRICS, slab, ret);
	if (rc != ERR_UNSUPPORTED)
		return rc;
	log_error("metrics_memory_refused", K("error", err_text(rc)),
		  K("then", "this worker is not in /metrics"));
	return open_own(c, ret);
}

enum err count_new(const struct config *c, unsigned slab, struct count **ret, struct errmsg *e)
{
	struct count *x = calloc(1, sizeof *x);
	enum err rc = ERR_NOMEM;

	if (x != NULL) {
		x->config = c;
		x->listens = numbers(c->nlistens);
		x->routes = numbers(c->nroutes);
	}
	if (x != NULL && x->listens != NULL && x->routes != NULL)
		rc = open_memory(c, slab, &x->metrics);
	if (rc != ERR_OK) {
		count_free(&x);
		return errmsg_set(e, rc, "memory for metrics: %s", err_text(rc));
	}
	for (size_t i = 0; i < c->nlistens; i++)
		x->listens[i] = metrics_name(x->metrics, METRICS_listen, c->listens[i].name);
	for (size_t i = 0; i < c->nroutes; i++)
		x->routes[i] = metrics_name(x->metrics, METRICS_route, c->routes[i].name);
	*ret = x;
	return ERR_OK;
}

void count_free(struct count **c)
{
	if (*c == NULL)
		return;
	metrics_free(&(*c)->metrics); /* the gauges are the master's to empty: it reaps us */
	free((*c)->listens);
	free((*c)->routes);
	free(*c);
	*c = NULL;
}

struct metrics *count_metrics(const struct count *c)
{
	return c == NULL ? NULL : c->metrics;
}

static unsigned listen_of(const struct count *x, const struct config_listen *l)
{
	return x->listens[l - x->config->listens];
}

/* ---- connections --------------------------------------------------------------------------- */

void count_opened(struct worker *w, const struct config_listen *l)
{
	struct metrics_at at;

	if (w->count == NULL)
		return;
	at = METRICS_AT(listen_of(w->count, l));
	metrics_count(w->count->metrics, METRIC_CONNECTIONS_ACCEPTED, at);
	metrics_move(w->count->metrics, METRIC_CONNECTIONS, at, 1);
}

void count_closed(struct worker *w, const struct config_listen *l)
{
	if (w->count != NULL)
		metrics_move(w->count->metrics, METRIC_CONNECTIONS,
			     METRICS_AT(listen_of(w->count, l)), -1);
}

void count_refused(struct worker *w, unsigned status)
{
	metrics_count(count_metrics(w->count), METRIC_HTTP_REFUSED,
		      METRICS_AT(metrics_code(status)));
}

void count_accept_paused(struct worker *w)
{
	metrics_count(count_metrics(w->count), METRIC_ACCEPT_PAUSED, METRICS_AT(0));
}

/* ---- requests ------------------------------------------------------------------------------ */

void count_begun(struct request *r)
{
	r->endpoint = ENDPOINT_NONE;
	r->waited_for = METRICS_WAITED_NOTHING;
	r->is_counted_waiting = false;
}

void count_untrusted(const struct request *r)
{
	const struct count *x = r->w->count;

	if (x != NULL)
		metrics_count(x->metrics, METRIC_UNTRUSTED_PEERS,
			      METRICS_AT(listen_of(x, r->from.listen)));
}

void count_waits(struct request *r)
{
	unsigned what = r->call != NULL ? METRICS_WAITED_BROKER : METRICS_WAITED_DATABASE;

	if (r->waited_for < what)
		r->waited_for = what; /* of both, the one that takes longer */
	if (!r->is_counted_waiting)
		metrics_move(count_metrics(r->w->count), METRIC_IN_FLIGHT, METRICS_AT(0), 1);
	r->is_counted_waiting = true;
}

void count_denied(const struct request *r, enum reason why)
{
	struct metrics *m = count_metrics(r->w->count);

	metrics_count(m, METRIC_DENIALS, METRICS_AT(why));
	if (r->rule.n > 0 && r->route != NULL && m != NULL)
		metrics_count(m, METRIC_POLICY_DENIALS,
			      METRICS_AT(metrics_rule(m, r->route->name, r->rule)));
}

static void verify_answered(const struct request *r, const struct count *x)
{
	unsigned route = r->route == NULL ? 0 : x->routes[r->route - x->config->routes];
	unsigned outcome =
	    r->denied == REASON_NONE ? OUTCOME_ALLOWED : (unsigned)reason_denial(r->denied);

	metrics_count(x->metrics, METRIC_VERIFY_REQUESTS, METRICS_AT(route, outcome));
	metrics_observe(x->metrics, METRIC_VERIFY_DURATION, METRICS_AT(r->waited_for),
			clock_boot_us() - r->begun_us);
}

void count_answered(const struct request *r)
{
	const struct count *x = r->w->count;

	if (x == NULL)
		return;
	metrics_count(x->metrics, METRIC_HTTP_REQUESTS,
		      METRICS_AT(r->endpoint, metrics_code(r->reply.status)));
	if (r->from.listen->kind == LISTEN_VERIFY)
		verify_answered(r, x);
}

void count_over(struct request *r)
{
	if (r->is_counted_waiting)
		metrics_move(count_metrics(r->w->count), METRIC_IN_FLIGHT, METRICS_AT(0), -1);
	r->is_counted_waiting = false;
}

/* ---- what others keep ---------------------------------------------------------------------- */

static void sample_cache(struct count *x, const struct session_memory *memory)
{
	const struct session_cache_stats now = session_memory_stats(memory);
	struct session_cache_stats *before = &x->cache;

	metrics_set(x->metrics, METRIC_CACHE_ENTRIES, METRICS_AT(0), now.entries);
	metrics_set(x->metrics, METRIC_CACHE_BYTES, METRICS_AT(0), now.bytes);
	metrics_follow(x->metrics, METRIC_CACHE_HITS, METRICS_AT(0), now.hits, &before->hits);
	metrics_follow(x->metrics, METRIC_CACHE_MISSES, METRICS_AT(0), now.misses, &before->misses);
	metrics_follow(x->metrics, METRIC_CACHE_EVICTIONS, METRICS_AT(0), now.evictions,
		       &before->evictions);
}

void count_sample(struct worker *w)
{
	struct count *x = w->count;
	struct pg_state pg;

	if (x == NULL)
		return;
	sample_cache(x, w->memory);
	pg = pg_state(w->pg);
	metrics_set(x->metrics, METRIC_DB_CONNECTIONS, METRICS_AT(0), pg.up);
	metrics_set(x->metrics, METRIC_DB_CONNECTIONS_MAX, METRICS_AT(0), pg.connections);
	metrics_set(x->metrics, METRIC_DB_IN_FLIGHT, METRICS_AT(0), pg.calls);
	metrics_set(x->metrics, METRIC_SESSION_STREAMS, METRICS_AT(0),
		    session_events_count(w->events));
	metrics_set(x->metrics, METRIC_IPC_CONNECTIONS, METRICS_AT(0), broker_client_up(w->broker));
	metrics_follow(x->metrics, METRIC_LOG_SUPPRESSED, METRICS_AT(0), log_suppressed(),
		       &x->log_suppressed);
}

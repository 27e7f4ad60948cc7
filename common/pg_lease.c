/* pg_lease - what a pool that listens tells, and the round trips that keep leases alive; see pg.h.
 */
#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/pg_internal.h"

static void renew_after(struct pg *p, int64_t ms)
{
	struct timeval tv = clock_timeval(ms);

	p->renew_set = evtimer_add(p->renew, &tv) == 0; /* else: the next use tries again */
}

static void renew(struct pg_conn *c)
{
	struct pg_call *call;

	if (c->broken || c->ncalls >= PG_CALLS_MAX)
		return;
	call = calloc(1, sizeof *call);
	if (call == NULL)
		return; /* the lease ends, and with it the use of it */
	if (!pg_send_sync(c, call))
		free(call);
}

static void on_renew(evutil_socket_t fd, short what, void *arg)
{
	struct pg *p = arg;
	int64_t now = clock_boot_ms();

	(void)fd;
	(void)what;
	p->renew_set = false;
	if (p->closed || !p->lease_used)
		return; /* nobody asked: an idle pool stays idle, and its leases end */
	p->lease_used = false;
	for (size_t i = 0; i < p->nconns; i++)
		if (p->conns[i].state == PG_UP && now - p->conns[i].trip.sent_ms >= PG_RENEW_MS / 2)
			renew(&p->conns[i]);
	renew_after(p, PG_RENEW_MS);
}

/* The first use after a pause renews at once, for the lease may be about to end. */
void pg_lease_used(struct pg *p)
{
	p->lease_used = true;
	if (!p->renew_set && p->listen != NULL && !p->closed)
		renew_after(p, 0);
}

enum err pg_lease_init(struct pg *p, const struct pg_options *o)
{
	if (o->channel == NULL)
		return ERR_OK;
	assert(o->listener.notified != NULL && o->listener.renewed != NULL &&
	       o->listener.disturbed != NULL);
	p->listener = o->listener;
	p->renew = evtimer_new(p->base, on_renew, p);
	if (asprintf(&p->listen, "listen \"%s\"", o->channel) == -1)
		p->listen = NULL;
	return p->listen != NULL && p->renew != NULL ? ERR_OK : ERR_NOMEM;
}

/* A pooler tells its clients a number of its own making, and nothing else tells it from the server:
 * in transaction mode it drops what is notified between two transactions, and yet each of them may
 * find the same session there, listening, and a notification of its own come back. In session mode
 * all comes through, until somebody reloads the pooler with another mode. */
void pg_lease_judge(struct pg_conn *c, const PGresult *r)
{
	char told[16];

	(void)snprintf(told, sizeof told, "%d", PQbackendPID(c->pq));
	c->is_direct = PQntuples(r) == 1 && strcmp(PQgetvalue(r, 0, 0), told) == 0;
	if (c->is_direct || c->pg->told_pooler)
		return;
	c->pg->told_pooler = true;
	log_warn("database_pooler", K("host", pg_target_name(c->pg->target, c->target)),
		 K("effect", "nothing is remembered, since a pooler may lose notifications"),
		 K("hint", "set database.revocations = poll"));
}

void pg_lease_disturb(struct pg_conn *c)
{
	struct pg *p = c->pg;

	c->trip.serial = ++p->serials;
	if (c->lease_from_us != 0)
		metrics_count(p->metrics.metrics, p->metrics.lease_lost, METRICS_AT(0));
	c->lease_from_us = 0;
	if (p->listen != NULL && !p->closed)
		p->listener.disturbed(p->listener.arg, c->trip.conn);
}

/* Whoever relied on an older trip had no lease: then nothing was late for anybody. */
static void count_lag(const struct pg_conn *c)
{
	const struct pg_metrics *m = &c->pg->metrics;
	int64_t lag_us;

	if (m->metrics == NULL)
		return;
	lag_us = clock_boot_us() - c->lease_from_us;
	if (lag_us < PG_LEASE_MS * 1000)
		metrics_observe(m->metrics, m->revocation_lag, METRICS_AT(0), lag_us);
}

/* This trip was sent while the lease of the last one may have lasted. */
static void count_held(struct pg_conn *c, int64_t sent_us)
{
	const struct pg_metrics *m = &c->pg->metrics;
	int64_t held_us = c->lease_from_us == 0 ? 0 : sent_us - c->lease_from_us;

	if (held_us > PG_LEASE_MS * 1000)
		held_us = PG_LEASE_MS * 1000;
	if (held_us > 0)
		metrics_add(m->metrics, m->lease_held, METRICS_AT(0), (uint64_t)held_us);
	c->lease_from_us = sent_us;
}

void pg_lease_notify(struct pg_conn *c)
{
	struct pg *p = c->pg;
	PGnotify *n;

	while (!p->closed && c->state == PG_UP && (n = PQnotifies(c->pq)) != NULL) {
		count_lag(c);
		if (p->listen != NULL)
			p->listener.notified(p->listener.arg, sv_str(n->extra));
		PQfreemem(n);
	}
}

/* The lease first: the call's answer may be filed under it. */
void pg_lease_tell(struct pg_conn *c, const struct pg_call *call)
{
	const struct pg *p = c->pg;

	if (p->listen == NULL || !c->is_direct || c->broken || call->trip.serial != c->trip.serial)
		return;
	count_held(c, call->sent_us);
	p->listener.renewed(p->listener.arg, &call->trip);
}

#include "common/clock.h"
#include "common/pg_internal.h"

static bool is_broken(struct pg_conn *c)
{
	c->broken = true;
	event_active(c->soon, 0, 0);
	return false;
}

/* The group, if one is open, is complete: its last call is the last of all. libpq sends with it all
 * that it holds. */
static bool sync(struct pg_conn *c)
{
	int left;

	c->grouped = 0;
	c->ntrips++;
	if (PQpipelineSync(c->pq) != 1)
		return is_broken(c);
	left = PQflush(c->pq); /* no system call if nothing is left */
	if (left == 1)
		pg_conn_want(c, EV_READ | EV_WRITE);
	return left != -1 || is_broken(c);
}

bool pg_send_group(struct pg_conn *c)
{
	struct pg_call *last = TAILQ_LAST(&c->calls, pg_calls);

	if (c->grouped == 0)
		return true;
	last->synced = true;
	last->left_us = clock_boot_us();
	return sync(c);
}

void pg_send_soon(struct pg_conn *c)
{
	if (c->grouped > 0 && !pg_conn_is_ahead(c))
		event_active(c->soon, 0, 0);
}

/* now_us: from before anything of it was sent. All of a group count as sent when its first was: not
 * one of its answers can be older than that. */
static void enqueue(struct pg_conn *c, struct pg_call *call, int64_t now_us)
{
	int64_t now_ms = now_us / 1000;

	if (c->grouped == 0)
		c->trip.sent_ms = now_ms;
	call->trip = c->trip;
	call->sent_us = now_us;
	call->deadline_ms = now_ms + c->pg->query_timeout_ms;
	TAILQ_INSERT_TAIL(&c->calls, call, link);
	c->ncalls++;
	if (!c->timer_set) {
		c->timer_set = true;
		pg_conn_timer_set(c, c->pg->query_timeout_ms);
	}
}

bool pg_send(struct pg_conn *c, struct pg_call *call, const char *const *values, const int *lengths,
	     const int *formats)
{
	const struct pg_statement *s = &c->pg->statements[call->stmt];
	int64_t now = clock_boot_us();

	call->synced = s->kind == PG_ALONE;
	if (call->synced && !pg_send_group(c))
		return false;
	if (PQsendQueryPrepared(c->pq, c->pg->names[call->stmt], (int)s->nparams, values, lengths,
				formats, 1) != 1)
		return is_broken(c);
	if (call->synced && !sync(c))
		return false;
	enqueue(c, call, now);
	if (call->synced)
		return true;
	c->grouped++;
	if (c->grouped < PG_GROUP_MAX)
		pg_send_soon(c);
	else /* broken: the call is under way all the same, and ends with it */
		(void)pg_send_group(c);
	return true;
}

bool pg_send_sync(struct pg_conn *c, struct pg_call *call)
{
	int64_t now = clock_boot_us();

	call->stmt = PG_STMT_NONE;
	call->synced = true;
	if (!sync(c))
		return false;
	enqueue(c, call, now);
	return true;
}

void pg_send_flush(struct pg_conn *c)
{
	int left;

	left = pg_send_group(c) ? PQflush(c->pq) : -1;
	if (left == -1)
		pg_conn_drop(c, "database_connection_lost", NULL);
	else
		pg_conn_want(c, left == 1 ? EV_READ | EV_WRITE : EV_READ);
}

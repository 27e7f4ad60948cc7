#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/pg_internal.h"

static const char *call_name(const struct pg *p, const struct pg_call *call)
{
	return call->stmt == PG_STMT_NONE ? "sync" : p->statements[call->stmt].name;
}

/* Answers come in order, so the first call's deadline is the next; looked at when the timer
 * fires, not at every answer. */
void pg_pipeline_on_timer(struct pg_conn *c)
{
	const struct pg_call *first = TAILQ_FIRST(&c->calls);
	int64_t left;

	c->timer_set = false;
	if (first == NULL)
		return;
	left = first->deadline_ms - clock_boot_ms();
	if (left <= 0) {
		pg_conn_drop(c, "database_query_timeout", call_name(c->pg, first));
		return;
	}
	c->timer_set = true;
	pg_conn_timer_set(c, left);
}

static void count(const struct pg_metrics *m, const struct pg_call *call, enum err e)
{
	if (m->metrics == NULL || call->stmt == PG_STMT_NONE)
		return;
	metrics_observe(m->metrics, m->duration, METRICS_AT(0), clock_boot_us() - call->sent_us);
	if (e != ERR_OK)
		metrics_count(m->metrics, m->errors, METRICS_AT(metrics_failure(e)));
}

void pg_call_end(struct pg_conn *c, struct pg_call *call, enum err e)
{
	struct pg_rows rows;

	if (c != NULL) {
		TAILQ_REMOVE(&c->calls, call, link);
		c->ncalls--;
		count(&c->pg->metrics, call, e);
	}
	if (e == ERR_OK)
		pg_rows_of(call, &rows);
	if (call->fn != NULL)
		call->fn(call->arg, e, e == ERR_OK ? &rows : NULL);
	PQclear(call->result);
	free(call);
}

static bool in_class(const char *sqlstate, const char *class)
{
	return strncmp(sqlstate, class, strlen(class)) == 0;
}

enum error_effect { ERROR_OF_STATEMENT = 1, ERROR_DISTURBS, ERROR_DROPS };

/* What an error of the server means to the caller, and to the connection. One that no statement of
 * ours explains may stand for a notification that was not delivered. */
static enum err judge_error(const PGresult *r, enum error_effect *ret)
{
	const char *sqlstate = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);

	/* Prepared statements that are gone or stale, a primary that became read-only, a session
	 * that ends: a new connection is another matter. Out of resources: this one is none. */
	*ret = ERROR_DROPS;
	if (sqlstate == NULL || in_class(sqlstate, "08") || in_class(sqlstate, "57P") ||
	    in_class(sqlstate, "25006") || in_class(sqlstate, "26000") ||
	    in_class(sqlstate, "0A000") ||
	    (severity != NULL &&
	     (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0)))
		return ERR_UNAVAILABLE;
	*ret = ERROR_DISTURBS;
	if (in_class(sqlstate, "53"))
		return ERR_UNAVAILABLE;
	*ret = ERROR_OF_STATEMENT;
	if (in_class(sqlstate, "57014") || in_class(sqlstate, "55P03"))
		return ERR_TIMEOUT; /* statement_timeout, lock_timeout */
	if (in_class(sqlstate, "23") || in_class(sqlstate, "40"))
		return ERR_CONFLICT;
	if (strcmp(sqlstate, "42501") == 0 || strcmp(sqlstate, "BF001") == 0)
		return ERR_DENIED;
	if (!in_class(sqlstate, "22") && !in_class(sqlstate, "BF") && !in_class(sqlstate, "P0"))
		*ret = ERROR_DISTURBS;
	return ERR_PROTOCOL;
}

/* How a call ended whose transaction is over. Of a transaction at most one fails by itself. */
static enum err judge(const struct pg *p, const struct pg_call *call, enum error_effect *effect)
{
	bool is_sync = call->stmt == PG_STMT_NONE && call->result == NULL;
	ExecStatusType status = is_sync ? PGRES_COMMAND_OK : PQresultStatus(call->result);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return ERR_OK;
	if (status == PGRES_PIPELINE_ABORTED)
		return ERR_CONFLICT; /* not run: one before it in its group failed */
	if (!pg_prepare_is_shared(call_name(p, call), call->result))
		log_warn("database_error", K("statement", call_name(p, call)),
			 K("sqlstate", PQresultErrorField(call->result, PG_DIAG_SQLSTATE)),
			 K("error", PQresultErrorField(call->result, PG_DIAG_MESSAGE_PRIMARY)));
	return judge_error(call->result, effect);
}

/* A group's last call is answered: did it wait for others of ours? */
static void see_queue(struct pg_conn *c, const struct pg_call *last)
{
	int64_t took_us = clock_boot_us() - last->left_us;

	if (c->fastest_us == 0 || took_us < c->fastest_us)
		c->fastest_us = took_us;
	c->queues = took_us > PG_QUEUE_FACTOR * c->fastest_us;
}

/* The first transaction is over: that of the first call, or of the group it begins. */
static void first_done(struct pg_conn *c)
{
	struct pg_call *call;
	struct pg *p = c->pg;
	enum error_effect effect = ERROR_OF_STATEMENT;
	bool last;

	c->answering = NULL;
	c->ntrips--;
	pg_lease_notify(c);
	if (p->closed)
		return;
	TAILQ_FOREACH(call, &c->calls, link)
	{
		call->e = judge(p, call, &effect);
		if (!call->synced)
			continue;
		if (call->left_us != 0)
			see_queue(c, call);
		break;
	}
	c->broken = c->broken || effect == ERROR_DROPS;
	if (effect != ERROR_OF_STATEMENT)
		pg_lease_disturb(c);
	pg_lease_tell(c, TAILQ_FIRST(&c->calls));
	do {
		if (p->closed)
			return;
		call = TAILQ_FIRST(&c->calls);
		last = call->synced;
		pg_call_end(c, call, call->e);
	} while (!last);
	if (effect == ERROR_DROPS && !p->closed && c->state == PG_UP)
		pg_conn_drop(c, "database_connection_lost", "the server's error asks for it");
}

/* Each call has one. A transaction can fail after its rows came (at its commit): the error then
 * counts, for the last of a group; what the others have read they have read. */
static void keep_result(struct pg_conn *c, PGresult *r)
{
	struct pg_call *call = c->answering == NULL ? TAILQ_FIRST(&c->calls) : c->answering;

	if (call->result != NULL && !call->synced)
		call = TAILQ_NEXT(call, link);
	c->answering = call;
	if (call->result != NULL && PQresultStatus(r) != PGRES_FATAL_ERROR) {
		PQclear(r);
		return;
	}
	PQclear(call->result);
	call->result = r;
}

static void drain(struct pg_conn *c)
{
	struct pg *p = c->pg;
	unsigned nulls = 0;

	while (!p->closed && c->state == PG_UP && PQisBusy(c->pq) == 0 && c->ncalls > 0) {
		PGresult *r = PQgetResult(c->pq);

		if (r == NULL) {
			/* One ends each query; more mean that libpq expects nothing. */
			if (++nulls > 2)
				break;
			continue;
		}
		nulls = 0;
		if (PQresultStatus(r) == PGRES_PIPELINE_SYNC) {
			PQclear(r);
			first_done(c);
		} else {
			keep_result(c, r);
		}
	}
	pg_lease_notify(c);
	if (p->closed || c->state != PG_UP)
		return;
	if (PQstatus(c->pq) == CONNECTION_BAD)
		pg_conn_drop(c, "database_connection_lost", NULL);
	else
		pg_send_soon(c);
}

void pg_pipeline_on_io(struct pg_conn *c, short what)
{
	if ((what & EV_WRITE) != 0) {
		pg_send_flush(c);
		if (c->state != PG_UP)
			return;
	}
	if ((what & EV_READ) == 0)
		return;
	/* Reading flushes as well: a group leaves whole. */
	if (!pg_send_group(c))
		return;
	/* Under TLS what did not fit into libpq's buffer is not seen on the socket: ask again. */
	if (PQconsumeInput(c->pq) == 0 || (PQsslInUse(c->pq) == 1 && PQconsumeInput(c->pq) == 0)) {
		pg_conn_drop(c, "database_connection_lost", NULL);
		return;
	}
	drain(c);
}

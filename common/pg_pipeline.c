#include "common/clock.h"
#include "common/log.h"
#include "common/pg_internal.h"

static const char *call_name(const struct pg *p, const struct pg_call *call)
{
	return call->stmt == PG_STMT_NONE ? "sync" : p->statements[call->stmt].name;
}

static bool is_grouped(const struct pg *p, const struct pg_call *call)
{
	return call->stmt != PG_STMT_NONE && p->statements[call->stmt].kind == PG_GROUPED;
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

static void count(const struct pg_metrics *m, const struct pg_call *call, enum err e,
		  int64_t now_us)
{
	if (m->metrics == NULL || call->stmt == PG_STMT_NONE)
		return;
	metrics_observe(m->metrics, m->duration, METRICS_AT(0), now_us - call->sent_us);
	if (e != ERR_OK)
		metrics_count(m->metrics, m->errors, METRICS_AT(metrics_failure(e)));
}

struct pg_call *pg_call_take(struct pg_conn *c, enum err e, int64_t now_us)
{
	struct pg_call *call = TAILQ_FIRST(&c->calls);

	if (call == NULL)
		return NULL;
	TAILQ_REMOVE(&c->calls, call, link);
	c->ncalls--;
	count(&c->pg->metrics, call, e, now_us);
	return call;
}

void pg_call_end(struct pg *p, struct pg_call *call, enum err e, const struct pg_rows *rows)
{
	if (call->fn != NULL)
		call->fn(call->arg, e, rows);
	pg_call_free(p, call);
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

/* How a transaction ended that is over: that of n calls like this one. */
static enum err judge(const struct pg *p, const struct pg_call *call, size_t n, const PGresult *r,
		      enum error_effect *effect)
{
	bool is_sync = call->stmt == PG_STMT_NONE && r == NULL;
	ExecStatusType status = is_sync ? PGRES_COMMAND_OK : PQresultStatus(r);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return is_grouped(p, call) && (size_t)PQntuples(r) != n ? ERR_PROTOCOL : ERR_OK;
	if (!pg_prepare_is_shared(call_name(p, call), r))
		log_warn("database_error", K("statement", call_name(p, call)),
			 K("sqlstate", PQresultErrorField(r, PG_DIAG_SQLSTATE)),
			 K("error", PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY)));
	return judge_error(r, effect);
}

/* A group's last call is answered: did it wait for others of ours? */
static void see_queue(struct pg_conn *c, const struct pg_call *last, int64_t now_us)
{
	int64_t took_ns = (now_us - last->left_us) * 1000;

	c->fastest_ns += c->fastest_ns / PG_FORGET; /* the server may be slower for good */
	if (c->fastest_ns == 0 || took_ns < c->fastest_ns)
		c->fastest_ns = took_ns;
	c->queues = took_ns > PG_QUEUE_FACTOR * c->fastest_ns;
}

/* Ends the calls of a transaction: one, or a group's, each with its row. */
static void end_calls(struct pg_conn *c, size_t n, enum err e, const PGresult *result,
		      int64_t now_us)
{
	struct pg *p = c->pg;
	struct pg_rows rows;

	for (size_t i = 0; i < n && !p->closed; i++) {
		struct pg_call *call = pg_call_take(c, e, now_us);

		if (e == ERR_OK && is_grouped(p, call))
			pg_rows_of(result, (int)i, 1, call, &rows);
		else if (e == ERR_OK)
			pg_rows_of(result, 0, PQntuples(result), call, &rows);
		pg_call_end(p, call, e, e == ERR_OK ? &rows : NULL);
	}
}

/* An error of the server or its state would come again for each. */
static bool may_be_ones(enum err e)
{
	return e == ERR_PROTOCOL || e == ERR_CONFLICT || e == ERR_DENIED;
}

static void ask_again(struct pg_conn *c, size_t n)
{
	for (; n > 0 && !c->pg->closed; n--) {
		struct pg_call *call = TAILQ_FIRST(&c->calls);

		TAILQ_REMOVE(&c->calls, call, link);
		c->ncalls--;
		pg_send_again(c, call);
	}
}

/* The first transaction is over, that of the first call or group. */
static void first_done(struct pg_conn *c)
{
	struct pg *p = c->pg;
	struct pg_call *first = TAILQ_FIRST(&c->calls), *last = first;
	enum error_effect effect = ERROR_OF_STATEMENT;
	int64_t now_us = clock_boot_us();
	PGresult *result;
	size_t n = 1;
	enum err e;

	c->ntrips--;
	pg_lease_notify(c);
	if (p->closed)
		return;
	for (; !last->synced; n++)
		last = TAILQ_NEXT(last, link);
	result = c->result;
	c->result = NULL;
	e = judge(p, first, n, result, &effect);
	if (is_grouped(p, first))
		see_queue(c, last, now_us);
	c->broken = c->broken || effect == ERROR_DROPS;
	if (effect == ERROR_OF_STATEMENT)
		pg_lease_tell(c, first);
	else
		pg_lease_disturb(c);
	if (n > 1 && may_be_ones(e))
		ask_again(c, n);
	else
		end_calls(c, n, e, result, now_us);
	PQclear(result);
	if (effect == ERROR_DROPS && !p->closed && c->state == PG_UP)
		pg_conn_drop(c, "database_connection_lost", "the server's error asks for it");
}

/* A transaction can fail after its rows came (at its commit): the error then counts. */
static void keep_result(struct pg_conn *c, PGresult *r)
{
	if (c->result != NULL && PQresultStatus(r) != PGRES_FATAL_ERROR) {
		PQclear(r);
		return;
	}
	PQclear(c->result);
	c->result = r;
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
	/* An answer is what a group waits for. */
	if (!pg_send_group(c))
		return;
	/* Under TLS what did not fit into libpq's buffer is not seen on the socket: ask again. */
	if (PQconsumeInput(c->pq) == 0 || (PQsslInUse(c->pq) == 1 && PQconsumeInput(c->pq) == 0)) {
		pg_conn_drop(c, "database_connection_lost", NULL);
		return;
	}
	drain(c);
}

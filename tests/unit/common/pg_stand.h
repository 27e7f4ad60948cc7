/*
 * pg_stand - a pool whose libpq is played by the test
 *
 * What pg calls of libpq is noted in pq.trace; what libpq says comes from the queues of the test:
 * pq.poll for PQconnectPoll(), pq_result() for PQgetResult(). Nothing is sent anywhere. The test
 * drives a connection by pg_conn_on_io(), pg_conn_on_timer() and the loop; the clock stands still
 * but for pq_pass(), and timers wait (loop.h). At the end every result must have been cleared and
 * every connection finished, once.
 */
#ifndef BFF_TESTS_PG_STAND_H
#define BFF_TESTS_PG_STAND_H

#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/pg_internal.h"
#include "tests/unit/loop.h"

#define PQ_RESULTS 512
#define PQ_TIMEOUT_MS 1000
#define PQ_BACKEND 4711

enum { STATEMENT_A, STATEMENT_B };
static const struct pg_statement pq_statements[] = {{"a", "select $1", 1, PG_GROUPED},
						    {"b", "select 1", 0, PG_ALONE}};

struct pq_result {
	bool null, cleared;
	ExecStatusType status;
	const char *sqlstate, *severity;
};

static struct {
	struct event_base *base;
	struct pg *pg;
	int sockets[2];
	char trace[8192];
	size_t trace_n;
	PostgresPollingStatusType poll;
	ConnStatusType status; /* what PQstatus() says */
	bool start_fails, send_fails, consume_fails, ssl;
	int flush; /* what PQflush() says */
	struct pq_result results[PQ_RESULTS];
	size_t nresults, taken;
	char value[16]; /* of any row */
	unsigned started, finished, consumed;
	unsigned nready, nunready;
	PQnoticeReceiver notice; /* what libpq calls of its own accord, */
	void *notice_arg;
	const struct pq_result *notice_comes; /* and with what, when it reads next */
	int64_t now_ms;
	char events[4096]; /* of the log, one a line */
} pq;

static inline void pq_note(const char *what, const char *more)
{
	pq.trace_n += (size_t)snprintf(pq.trace + pq.trace_n, sizeof pq.trace - pq.trace_n, "%s%s ",
				       what, more);
	assert_true(pq.trace_n < sizeof pq.trace);
}

static inline void pq_forget(void)
{
	pq.trace_n = 0;
	pq.trace[0] = '\0';
	pq.events[0] = '\0';
}

/* ---- libpq ------------------------------------------------------------------------------- */

#define PQ_WRAP(type, name, params)                                                                \
	type __wrap_##name params;                                                                 \
	type __wrap_##name params

#define PQ_CONN ((PGconn *)&pq)

PQ_WRAP(PGconn *, PQconnectStartParams, (const char *const *keys, const char *const *values, int x))
{
	(void)x;
	for (size_t i = 0; keys[i] != NULL; i++)
		if (strcmp(keys[i], "host") == 0 && values[i] != NULL)
			pq_note("start=", values[i]);
	for (size_t i = 0; keys[i] != NULL; i++)
		if (strcmp(keys[i], "password") == 0 && values[i] != NULL)
			pq_note("password=", values[i]);
	if (pq.start_fails)
		return NULL;
	pq.started++;
	return PQ_CONN;
}

PQ_WRAP(void, PQfinish, (PGconn * c))
{
	assert_ptr_equal(c, PQ_CONN);
	pq_note("finish", "");
	pq.finished++;
}

PQ_WRAP(PostgresPollingStatusType, PQconnectPoll, (PGconn * c))
{
	(void)c;
	/* It may close the socket: nobody may wait for it meanwhile. */
	for (size_t i = 0; i < pq.pg->nconns; i++)
		assert_true(pq.pg->conns[i].state != PG_CONNECTING || pq.pg->conns[i].io_want == 0);
	pq_note("poll", "");
	return pq.poll;
}

PQ_WRAP(ConnStatusType, PQstatus, (const PGconn *c))
{
	(void)c;
	return pq.status;
}

PQ_WRAP(int, PQsocket, (const PGconn *c))
{
	(void)c;
	return pq.sockets[0];
}

PQ_WRAP(char *, PQerrorMessage, (const PGconn *c))
{
	static char text[] = "broken\npipe\n";

	(void)c;
	return text;
}

PQ_WRAP(PQnoticeReceiver, PQsetNoticeReceiver, (PGconn * c, PQnoticeReceiver fn, void *arg))
{
	assert_ptr_equal(c, PQ_CONN);
	assert_non_null(fn);
	pq.notice = fn;
	pq.notice_arg = arg;
	return NULL;
}

PQ_WRAP(int, PQsetnonblocking, (PGconn * c, int on))
{
	(void)c;
	assert_int_equal(on, 1);
	return 0;
}

PQ_WRAP(int, PQenterPipelineMode, (PGconn * c))
{
	(void)c;
	pq_note("pipeline", "");
	return 1;
}

PQ_WRAP(int, PQsendPrepare,
	(PGconn * c, const char *name, const char *sql, int n, const Oid *types))
{
	(void)c;
	(void)n;
	(void)types;
	assert_string_equal(sql, pq_statements[name[0] - 'a'].sql);
	pq_note("prepare=", (const char[]){name[0], '\0'});
	return pq.send_fails ? 0 : 1;
}

PQ_WRAP(int, PQsendQueryPrepared,
	(PGconn * c, const char *name, int n, const char *const *values, const int *lengths,
	 const int *formats, int result_format))
{
	(void)c;
	(void)n;
	(void)values;
	(void)lengths;
	(void)formats;
	assert_int_equal(result_format, 1);
	pq_note("query=", (const char[]){name[0], '\0'});
	return pq.send_fails ? 0 : 1;
}

PQ_WRAP(int, PQsendQueryParams,
	(PGconn * c, const char *sql, int n, const Oid *types, const char *const *values,
	 const int *lengths, const int *formats, int result_format))
{
	(void)c;
	(void)types;
	(void)values;
	(void)lengths;
	(void)formats;
	assert_int_equal(n, 0);
	assert_int_equal(result_format, 0);
	pq_note("ask=", sql);
	return pq.send_fails ? 0 : 1;
}

PQ_WRAP(int, PQpipelineSync, (PGconn * c))
{
	(void)c;
	pq_note("sync", "");
	return 1;
}

PQ_WRAP(int, PQflush, (PGconn * c))
{
	(void)c;
	return pq.flush;
}

PQ_WRAP(int, PQconsumeInput, (PGconn * c))
{
	(void)c;
	pq.consumed++;
	if (pq.notice_comes != NULL)
		pq.notice(pq.notice_arg, (const PGresult *)(const void *)pq.notice_comes);
	pq.notice_comes = NULL;
	return pq.consume_fails ? 0 : 1;
}

PQ_WRAP(int, PQsslInUse, (PGconn * c))
{
	(void)c;
	return pq.ssl ? 1 : 0;
}

PQ_WRAP(int, PQisBusy, (PGconn * c))
{
	(void)c;
	return pq.taken == pq.nresults ? 1 : 0;
}

PQ_WRAP(PGresult *, PQgetResult, (PGconn * c))
{
	struct pq_result *r;

	(void)c;
	assert_true(pq.taken < pq.nresults);
	r = &pq.results[pq.taken++];
	return r->null ? NULL : (PGresult *)r;
}

PQ_WRAP(ExecStatusType, PQresultStatus, (const PGresult *r))
{
	return r == NULL ? PGRES_FATAL_ERROR : ((const struct pq_result *)(const void *)r)->status;
}

PQ_WRAP(char *, PQresultErrorField, (const PGresult *r, int field))
{
	const struct pq_result *x = (const void *)r;
	static char texts[4][8]; /* the caller looks at several at once */
	static unsigned at;
	char *text = texts[++at % 4];
	const char *s = field == PG_DIAG_SQLSTATE		 ? x->sqlstate
			: field == PG_DIAG_SEVERITY_NONLOCALIZED ? x->severity
								 : "text";

	(void)snprintf(text, sizeof texts[0], "%s", s == NULL ? "" : s);
	return s == NULL ? NULL : text;
}

PQ_WRAP(void, PQclear, (PGresult * r))
{
	struct pq_result *x = (void *)r;

	if (x == NULL)
		return;
	assert_false(x->cleared);
	x->cleared = true;
}

PQ_WRAP(int, PQntuples, (const PGresult *r))
{
	(void)r;
	return 1;
}

PQ_WRAP(int, PQnfields, (const PGresult *r))
{
	(void)r;
	return 0;
}

PQ_WRAP(PGnotify *, PQnotifies, (PGconn * c))
{
	(void)c;
	return NULL;
}

/* What the other end calls itself, and what the one row of an answer says. */
PQ_WRAP(int, PQbackendPID, (const PGconn *c))
{
	(void)c;
	return PQ_BACKEND;
}

PQ_WRAP(char *, PQgetvalue, (const PGresult *r, int row, int col))
{
	(void)r;
	assert_int_equal(row + col, 0);
	return pq.value;
}

PQ_WRAP(void, log_write,
	(enum log_level level, const char *event, const struct log_field *v, size_t n))
{
	(void)level;
	(void)v;
	(void)n;
	if (strcmp(event, "database_connection") != 0 &&
	    strlen(pq.events) + strlen(event) + 2 < sizeof pq.events)
		(void)strcat(strcat(pq.events, event), "\n");
}

/* ---- what tests call ---------------------------------------------------------------------- */

static inline void pq_result(ExecStatusType status, const char *sqlstate, const char *severity)
{
	assert_true(pq.nresults < PQ_RESULTS);
	pq.results[pq.nresults++] =
	    (struct pq_result){.status = status, .sqlstate = sqlstate, .severity = severity};
}

/* What libpq puts after each answer. */
static inline void pq_null(void)
{
	assert_true(pq.nresults < PQ_RESULTS);
	pq.results[pq.nresults++] = (struct pq_result){.null = true};
}

static inline void pq_on_ready(void *arg, bool ready)
{
	assert_ptr_equal(arg, &pq);
	assert_int_equal(pg_ready(pq.pg), ready);
	if (ready)
		pq.nready++;
	else
		pq.nunready++;
}

static inline void pq_pass(int64_t ms)
{
	pq.now_ms += ms;
	clock_set(pq.now_ms, 1700000000);
}

static inline void pq_open(const char *conninfo, unsigned connections, const char *password_file)
{
	struct pg_options o = {.conninfo = conninfo,
			       .statements = pq_statements,
			       .nstatements = 2,
			       .connections = connections,
			       .password_file = password_file,
			       .query_timeout_ms = PQ_TIMEOUT_MS};
	struct errmsg e;

	memset(&pq, 0, sizeof pq);
	loop_hold();
	pq_pass(1000000);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pq.sockets), 0);
	pq.base = event_base_new();
	assert_non_null(pq.base);
	pq.poll = PGRES_POLLING_WRITING;
	assert_int_equal(pg_open(pq.base, &o, &pq.pg, &e), ERR_OK);
	pg_on_ready(pq.pg, pq_on_ready, &pq);
}

static inline void pq_close(void)
{
	pg_close(&pq.pg);
	assert_null(pq.pg);
	event_base_free(pq.base);
	(void)close(pq.sockets[0]);
	(void)close(pq.sockets[1]);
	assert_int_equal(pq.started, pq.finished);
	for (size_t i = 0; i < pq.taken; i++)
		assert_true(pq.results[i].null || pq.results[i].cleared);
	clock_unset();
}

static inline void pq_io(struct pg_conn *c, short what)
{
	pg_conn_on_io(-1, what, c);
}

static inline void pq_timer(struct pg_conn *c)
{
	pg_conn_on_timer(-1, EV_TIMEOUT, c);
}

/* Both statements prepared, and the sync. */
static inline void pq_prepared(void)
{
	for (int i = 0; i < 2; i++) {
		pq_result(PGRES_COMMAND_OK, NULL, NULL);
		pq_null();
	}
	pq_result(PGRES_PIPELINE_SYNC, NULL, NULL);
}

/* From waiting to up. */
static inline void pq_up(struct pg_conn *c)
{
	pq_timer(c);
	pq.poll = PGRES_POLLING_OK;
	pq_io(c, EV_WRITE);
	assert_int_equal(c->state, PG_PREPARING);
	pq_prepared();
	pq_io(c, EV_READ | EV_WRITE);
	assert_int_equal(c->state, PG_UP);
	pq_forget();
}

#endif

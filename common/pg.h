/*
 * pg - asynchronous PostgreSQL on the event loop, in pipeline mode
 *
 * A pool of `connections` connections under one role. Every statement of a process stands in
 * one table and is prepared right after connecting; a statement that does not prepare makes the
 * connection unusable and is logged as a schema mismatch. All queries issued in one turn of
 * the loop leave as one write with one sync each, so that each is its own transaction.
 *
 * A query's callback is called exactly once, from the loop, never from within pg_query().
 * While no connection is up, pg_query() fails at once with ERR_UNAVAILABLE: it never waits
 * for a reconnect. Reconnection runs with back-off and jitter; the password file is read anew for
 * every connection. A query that gets no answer within query_timeout_ms drops its connection:
 * its callers get ERR_TIMEOUT (their own deadline) or ERR_UNAVAILABLE (the others on it).
 * A standby is refused: every connection must be read-write. Hosts of a multi-host conninfo
 * are tried in turn, each within TIMEOUT_CONNECT_MS. libpq resolves a host's name when connecting
 * starts, which blocks; a Unix socket, an IP address, or hostaddr beside host does not.
 *
 * SECURITY: parameters and results are not logged; an error's SQLSTATE and primary message are.
 */
#ifndef BFF_PG_H
#define BFF_PG_H

#include <event2/event.h>

#include "common/secret.h"
#include "common/sv.h"

#define PG_PARAMS_MAX 32   /* of one statement */
#define PG_CALLS_MAX 16384 /* under way on one connection; more: ERR_LIMIT */

struct pg;
struct pg_call;
struct pg_rows;

/* One row of a process's table. Parameters are text or bytea as pg_param says; results come in
 * binary, so a statement returns only text, int8, int4, bool, bytea. */
struct pg_statement {
	const char *name;
	const char *sql;
	unsigned nparams;
};

struct pg_options {
	const char *conninfo;
	const char *user;	   /* the role; overrides conninfo */
	const char *password_file; /* resolved path, or NULL for none (peer, trust) */
	enum secret_file_mode password_file_mode; /* 0 = strict */
	const char *application_name;
	const struct pg_statement *statements;
	size_t nstatements;
	unsigned connections;
	int64_t query_timeout_ms;
};

struct pg_param {
	const void *p; /* NULL = SQL null */
	size_t n;
	bool binary; /* bytea and int8 (big-endian) as bytes; else text */
};

#define PG_SV(s) ((struct pg_param){.p = (s).p == NULL ? "" : (s).p, .n = (s).n})
#define PG_BYTES(ptr, len) ((struct pg_param){.p = (ptr), .n = (len), .binary = true})
#define PG_NULL ((struct pg_param){.p = NULL})

/* rows is NULL unless e == ERR_OK, and valid during the call only. ERR_CONFLICT: SQLSTATE
 * class 23 or 40; ERR_DENIED: 42501 or BF001 (refused by a verb of ours); ERR_TIMEOUT also: the
 * server's own statement or lock timeout; ERR_UNAVAILABLE also: the server is going down, out of
 * resources or read-only, and whatever was sent on a connection that broke, done or not; other
 * errors of the server: ERR_PROTOCOL. */
typedef void (*pg_fn)(void *arg, enum err e, const struct pg_rows *rows);

/* Starts connecting; needs no server to be up. Copies what it needs of the options except the
 * statement table, which must outlive it. */
WARN_UNUSED enum err pg_open(struct event_base *base, const struct pg_options *o, struct pg **ret,
			     struct errmsg *e);

/* Callbacks of queries under way are called with ERR_CANCELED first. */
void pg_close(struct pg **p);

/* True while at least one connection can take a query. */
bool pg_ready(const struct pg *p);

/* Called on every change of pg_ready(). */
void pg_on_ready(struct pg *p, void (*fn)(void *arg, bool ready), void *arg);

/* Sends statement number `stmt` with its nparams parameters (copied). ret may be NULL.
 * ERR_UNAVAILABLE; ERR_LIMIT (PG_CALLS_MAX, or parameters too large), ERR_SYNTAX (NUL in text),
 * ERR_NOMEM. */
WARN_UNUSED enum err pg_query(struct pg *p, unsigned stmt, const struct pg_param *params, pg_fn fn,
			      void *arg, struct pg_call **ret);

/* The callback will not be called; the query may still run. Sets *c to NULL. */
void pg_call_cancel(struct pg_call **c);

size_t pg_rows_count(const struct pg_rows *r);
bool pg_rows_null(const struct pg_rows *r, size_t row, unsigned col);
/* Bytes of a text or bytea value; empty for null. Borrowed during the callback. */
struct sv pg_rows_sv(const struct pg_rows *r, size_t row, unsigned col);
/* An int8 or int4; 0 for null. */
int64_t pg_rows_i64(const struct pg_rows *r, size_t row, unsigned col);
bool pg_rows_bool(const struct pg_rows *r, size_t row, unsigned col);

#endif

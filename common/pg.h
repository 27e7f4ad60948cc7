/*
 * pg - asynchronous PostgreSQL on the event loop, in pipeline mode
 *
 * A pool of `connections` connections under one role. Every statement of a process stands in
 * one table and is prepared right after connecting; a statement that does not prepare makes the
 * connection unusable and is logged as a schema mismatch.
 *
 * A statement is a transaction of its own, unless its row of the table says PG_GROUPED: those of
 * one turn of the loop, PG_GROUP_MAX at most, share one transaction of one connection, which is one
 * write and one round trip. Where the server is what takes the time, and two transactions are under
 * way on every connection, a group waits for the next answer and takes up the turns until then: the
 * more is asked for, the larger the groups. Only what changes nothing may be grouped, and only what
 * needs no time of its own: now() is the same for a group, that of its first; each still sees what
 * was committed before it ran. If one fails, those behind it did not run and get ERR_CONFLICT: ask
 * again.
 *
 * A query's callback is called exactly once, from the loop, never from within pg_query().
 * While no connection is up, pg_query() fails at once with ERR_UNAVAILABLE: it never waits
 * for a reconnect. Reconnection runs with back-off and jitter; the password file is read anew for
 * every connection. A query that gets no answer within query_timeout_ms drops its connection:
 * its callers get ERR_TIMEOUT (their own deadline) or ERR_UNAVAILABLE (the others on it).
 *
 * With a channel every connection LISTENs on it before its first query. PostgreSQL delivers what is
 * pending before it says that it is ready, so a round trip that completed proves: every
 * notification that was committed before it was sent has been told. That is the connection's
 * lease, PG_LEASE_MS from the sending of that round trip; pg_lease_used() keeps it alive. What came
 * over a connection is worth nothing any more once `disturbed` was called for it: it broke, or an
 * error came that no statement of ours explains. Behind a pooler, which may lose notifications
 * without a word, a connection never gives a lease, which is logged once. Without a channel nothing
 * of all this is told, and nobody holds a lease either: there somebody has to ask for what ended.
 *
 * A standby is refused: every connection must be read-write. Hosts of a multi-host conninfo
 * are tried in turn, each within TIMEOUT_CONNECT_MS. libpq resolves a host's name when connecting
 * starts, which blocks; a Unix socket, an IP address, or hostaddr beside host does not.
 *
 * SECURITY: parameters and results are not logged; an error's SQLSTATE and primary message are.
 */
#ifndef BFF_PG_H
#define BFF_PG_H

#include <event2/event.h>

#include "common/metrics.h"
#include "common/secret.h"
#include "common/sv.h"

#define PG_PARAMS_MAX 32   /* of one statement */
#define PG_RECORD_MAX 16   /* fields of a record that are seen */
#define PG_CALLS_MAX 16384 /* under way on one connection at most; more: ERR_LIMIT */
#define PG_GROUP_MAX 32	   /* far from what libpq sends before it is told to (64 KiB) */
#define PG_LEASE_MS 2000   /* a lease is over so long after its round trip was sent */
#define PG_RENEW_MS 500	   /* between two round trips of a connection whose lease is used */

struct pg;
struct pg_call;
struct pg_rows;

enum pg_kind {
	PG_ALONE = 0, /* a transaction, whatever it does */
	PG_GROUPED,   /* reads, and may share its transaction with others that do */
};

/* One row of a process's table. Parameters are text or bytea as pg_param says; results come in
 * binary, so a statement returns only text, int8, int4, bool, bytea; or one record of them, whose
 * fields are then the columns: half the work for libpq, which is told of one column only. */
struct pg_statement {
	const char *name;
	const char *sql;
	unsigned nparams;
	enum pg_kind kind;
};

/* One round trip, of a statement or a group: its connection, by number in the pool and by a serial
 * that no other connection has and that a disturbance changes, and clock_boot_ms() before it was
 * sent. */
struct pg_trip {
	unsigned conn; /* < pg_options.connections */
	uint64_t serial;
	int64_t sent_ms;
};

/* What is told of connections that listen. In order: a notification that stands before an answer
 * is told before that answer's callback, and so is the renewal that the answer is. */
struct pg_listener {
	void (*notified)(void *arg, struct sv payload); /* borrowed during the call */
	void (*renewed)(void *arg, const struct pg_trip *t);
	void (*disturbed)(void *arg, unsigned conn);
	void *arg;
};

/* Which metrics a pool counts in; the revocation's is the lag of its notification, at most: since
 * the sending of the last completed round trip, which had not told it. */
struct pg_metrics {
	struct metrics *metrics; /* NULL: none */
	enum metric duration, errors, lease_held, lease_lost, revocation_lag;
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
	unsigned pipeline;   /* calls under way on one connection; 0: PG_CALLS_MAX */
	const char *channel; /* an SQL identifier to LISTEN on; NULL: none */
	struct pg_listener listener;
	struct pg_metrics metrics;
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
 * class 23 or 40, or the failure of another one of a group; ERR_DENIED: 42501 or BF001 (refused by
 * a verb of ours); ERR_TIMEOUT also: the server's own statement or lock timeout; ERR_UNAVAILABLE
 * also: the server is going down, out of resources or read-only, and whatever was sent on a
 * connection that broke, done or not; other errors of the server: ERR_PROTOCOL. */
typedef void (*pg_fn)(void *arg, enum err e, const struct pg_rows *rows);

/* Starts connecting; needs no server to be up. Copies what it needs of the options except the
 * statement table, which must outlive it. */
WARN_UNUSED enum err pg_open(struct event_base *base, const struct pg_options *o, struct pg **ret,
			     struct errmsg *e);

/* Callbacks of queries under way are called with ERR_CANCELED first. */
void pg_close(struct pg **p);

/* True while at least one connection can take a query. */
bool pg_ready(const struct pg *p);

/* Whether what is notified arrives at each connection that is up: it has a channel, and there is no
 * pooler in between. */
bool pg_hears(const struct pg *p);

/* What the pool is at now. */
struct pg_state {
	unsigned connections, up;
	size_t calls; /* under way */
};
struct pg_state pg_state(const struct pg *p);

/* Called on every change of pg_ready(). */
void pg_on_ready(struct pg *p, void (*fn)(void *arg, bool ready), void *arg);

/* Sends statement number `stmt` with its nparams parameters (copied). ret may be NULL.
 * ERR_UNAVAILABLE; ERR_LIMIT (pg_options.pipeline, or parameters too large), ERR_SYNTAX (NUL in
 * text), ERR_NOMEM. */
WARN_UNUSED enum err pg_query(struct pg *p, unsigned stmt, const struct pg_param *params, pg_fn fn,
			      void *arg, struct pg_call **ret);

/* The callback will not be called; the query may still run. Sets *c to NULL. */
void pg_call_cancel(struct pg_call **c);

/* Somebody relied on a lease: idle connections make round trips while this goes on. Cheap: no
 * system call but once in PG_RENEW_MS. */
void pg_lease_used(struct pg *p);

/* Of the query that these rows answer. */
const struct pg_trip *pg_rows_trip(const struct pg_rows *r);
size_t pg_rows_count(const struct pg_rows *r);
bool pg_rows_null(const struct pg_rows *r, size_t row, unsigned col);
/* Bytes of a text or bytea value; empty for null. Borrowed during the callback. */
struct sv pg_rows_sv(const struct pg_rows *r, size_t row, unsigned col);
/* An int8 or int4; 0 for null. */
int64_t pg_rows_i64(const struct pg_rows *r, size_t row, unsigned col);
bool pg_rows_bool(const struct pg_rows *r, size_t row, unsigned col);

#endif

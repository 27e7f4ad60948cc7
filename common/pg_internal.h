/*
 * pg_internal - what the parts of pg share; nobody else includes it
 *
 *	pg.c		the interface: open, close, query, rows
 *	pg_target.c	the conninfo taken apart, one set of parameters a host
 *	pg_connect.c	a connection's way up: connect, back off
 *	pg_prepare.c	the rest of it: statements, LISTEN, whose session it is
 *	pg_send.c	a connection that is up: calls, groups of them, when they leave
 *	pg_pipeline.c	a connection that is up: answers, errors, deadlines
 *	pg_lease.c	notifications, leases and what disturbs them
 *
 * Callbacks may call anything in pg.h, pg_close() too: whoever runs them does so between pg_enter()
 * and pg_leave() and looks at pg->closed afterwards; the last pg_leave() frees a closed pool.
 */
#ifndef BFF_PG_INTERNAL_H
#define BFF_PG_INTERNAL_H

#include <libpq-fe.h>
#include <sys/queue.h>

#include "common/buf.h"
#include "common/pg.h"

#define PG_HOSTS_MAX 16
#define PG_TEXT_MAX (1024 * 1024) /* all text parameters of one call */
#define PG_STMT_NONE UINT32_MAX
#define PG_TRIPS_AHEAD 2  /* the server works on one while it is sent the next */
#define PG_QUEUE_FACTOR 2 /* a group that took more than so many times the fastest had to queue */
#define PG_FORGET 1024	  /* by this part of it the fastest grows with each group */
#define PG_SPARE_MAX 256  /* calls whose memory is kept for others */
#define PG_NAME_MAX 64	  /* of a prepared statement, as the server keeps it (NAMEDATALEN) */
#define PG_BACKOFF_MIN_MS 100
#define PG_BACKOFF_MAX_MS 5000

enum pg_conn_state {
	PG_DOWN = 1,   /* waits for its timer to try again */
	PG_CONNECTING, /* PQconnectPoll; the timer limits this host */
	PG_PREPARING,  /* every statement sent; the same timer */
	PG_UP,	       /* the timer is that of the first call's deadline */
};

struct pg_call {
	TAILQ_ENTRY(pg_call) link;
	pg_fn fn; /* NULL once canceled */
	void *arg;
	int64_t deadline_ms; /* clock_boot_ms() */
	struct pg_trip trip;
	int64_t sent_us;
	int64_t left_us; /* the last of a group: when that was sent */
	unsigned stmt;	 /* PG_STMT_NONE: a bare sync, for the lease */
	uint8_t key_n;
	char key[PG_KEY_MAX]; /* of a grouped statement */
	bool synced;	      /* a sync follows: the last of its transaction */
};
TAILQ_HEAD(pg_calls, pg_call);

struct pg_conn {
	struct pg *pg;
	enum pg_conn_state state;
	PGconn *pq;
	struct event *io;    /* of PQsocket; waits for io_want */
	struct event *timer; /* meaning by state */
	struct event *soon;  /* end of this turn of the loop: send the group, or drop if broken */
	short io_want;
	bool is_direct; /* to PostgreSQL itself, so that what it notifies arrives; from PG_UP on */
	bool broken;	/* found where no callback may run */
	bool timer_set; /* PG_UP: `timer` is pending */
	size_t target;	/* host in use or next to try */
	size_t tried;	/* hosts that failed since the last success or wait */
	unsigned failures;
	size_t nprepared;
	struct pg_trip trip;   /* the last one sent, or the group that is open */
	int64_t sent_us;       /* the same */
	struct pg_call *group; /* the first of those at the end of `calls` that were not sent yet */
	size_t grouped;	       /* how many they are */
	int64_t lease_from_us; /* sending of the last one that completed undisturbed; 0: none */
	size_t ncalls;
	size_t ntrips;	       /* transactions under way: syncs sent, not answered */
	int64_t fastest_ns;    /* of the groups answered lately; 0: none yet */
	bool queues;	       /* the last one took over PG_QUEUE_FACTOR times that */
	struct pg_calls calls; /* in the order their answers come */
	PGresult *result;      /* of the first transaction, whose end has not come */
};

struct pg_target;

struct pg {
	struct event_base *base;
	struct pg_target *target;
	char *password_file;
	enum secret_file_mode password_file_mode;
	const struct pg_statement *statements;
	size_t nstatements;
	char (*names)[PG_NAME_MAX]; /* that the server knows them by */
	int64_t query_timeout_ms;
	size_t max_calls;
	char *listen; /* the statement; NULL: no channel */
	struct pg_listener listener;
	struct pg_metrics metrics;
	uint64_t serials;
	struct event *renew; /* of leases */
	bool renew_set, lease_used;
	struct pg_conn *conns;
	size_t nconns, nup;
	size_t npooled;	  /* of those that are up: not direct */
	bool told_pooler; /* in the log */
	void (*ready_fn)(void *arg, bool ready);
	void *ready_arg;
	struct buf text; /* parameters of the call being sent, with NULs */
	struct pg_calls spare;
	size_t nspare;
	unsigned depth;
	bool closed;
};

struct pg_rows {
	const PGresult *result;
	const struct pg_trip *trip;
	int first, n; /* rows of the result that are the call's */
	bool is_record;
	/* Of the first record. */
	size_t nfields;
	struct sv fields[PG_RECORD_MAX];
};

/* pg.c */
/* What a call's callback is given: n rows of the result. */
void pg_rows_of(const PGresult *result, int first, int n, const struct pg_call *call,
		struct pg_rows *ret);
/* NULL without memory; pg_call_end() gives it back. */
struct pg_call *pg_call_new(struct pg *p, unsigned stmt);
void pg_call_free(struct pg *p, struct pg_call *call);
void pg_enter(struct pg *p);
void pg_leave(struct pg *p);

/* pg_target.c: keywords and values for PQconnectStartParams, one set a host. */
WARN_UNUSED enum err pg_target_new(const struct pg_options *o, struct pg_target **ret,
				   struct errmsg *e);
void pg_target_free(struct pg_target **t);
size_t pg_target_hosts(const struct pg_target *t);
/* "host:port" or a socket's directory, for the log. */
const char *pg_target_name(const struct pg_target *t, size_t host);
/* Starts connecting to a host; NULL without memory. password may be NULL. */
PGconn *pg_target_connect(struct pg_target *t, size_t host, const char *password);

/* pg_connect.c */
/* Sets the one state, and tells pg_on_ready() what follows from it. */
void pg_conn_set_state(struct pg_conn *c, enum pg_conn_state state);
/* This host failed: the next one, or a wait when all did. detail NULL: libpq's last error. */
void pg_conn_host_failed(struct pg_conn *c, const char *event, const char *detail);
/* The connection is no good: closes it, ends its calls (ERR_TIMEOUT for those past their
 * deadline, ERR_UNAVAILABLE for the others) and sets the time of the next try. */
void pg_conn_drop(struct pg_conn *c, const char *why, const char *detail);
/* Waits for `want` (EV_READ, EV_WRITE) of the socket as it is now. */
void pg_conn_want(struct pg_conn *c, short want);
void pg_conn_close(struct pg_conn *c);
void pg_conn_timer_set(struct pg_conn *c, int64_t ms);
void pg_conn_on_io(evutil_socket_t fd, short what, void *arg);
void pg_conn_on_timer(evutil_socket_t fd, short what, void *arg);
void pg_conn_on_soon(evutil_socket_t fd, short what, void *arg);

/* pg_prepare.c */
WARN_UNUSED enum err pg_prepare_names(struct pg *p);
void pg_prepare_start(struct pg_conn *c);
void pg_prepare_on_io(struct pg_conn *c, short what);
/* An error that says that others use this session, too; if so, logs it. */
bool pg_prepare_is_shared(const char *statement, const PGresult *r);

/* pg_send.c */
/* So much is under way that a group waits, to leave with the next answer or when it is full. The
 * server takes one transaction after the other, so nothing is lost by it as long as they queue
 * there; but where the time goes by on the wire, the next one is on its way meanwhile. */
static inline bool pg_conn_is_ahead(const struct pg_conn *c)
{
	return c->queues && c->ntrips >= PG_TRIPS_AHEAD;
}

/* Of these false: the connection is broken, and `soon` will drop it. */
/* One call and its sync. */
bool pg_send(struct pg_conn *c, struct pg_call *call, const char *const *values, const int *lengths,
	     const int *formats);
/* One of a group, which leaves with `soon` unless the connection is ahead. */
bool pg_send_grouped(struct pg_conn *c, struct pg_call *call);
/* As a group that nobody joins. It is under way then, whatever becomes of the connection. */
void pg_send_again(struct pg_conn *c, struct pg_call *call);
/* A bare sync behind all that there is. */
bool pg_send_sync(struct pg_conn *c, struct pg_call *call);
/* The group that is open, if one is. */
bool pg_send_group(struct pg_conn *c);
/* Has the group leave at the end of the turn, if one is open and need not wait. */
void pg_send_soon(struct pg_conn *c);
/* All there is; drops a broken connection. */
void pg_send_flush(struct pg_conn *c);

/* pg_pipeline.c */
void pg_pipeline_on_io(struct pg_conn *c, short what);
void pg_pipeline_on_timer(struct pg_conn *c);
/* Takes the first call off its connection and counts that it ended so; NULL: there is none. */
struct pg_call *pg_call_take(struct pg_conn *c, enum err e, int64_t now_us);
/* Runs its callback and frees it. */
void pg_call_end(struct pg *p, struct pg_call *call, enum err e, const struct pg_rows *rows);

/* pg_lease.c */
WARN_UNUSED enum err pg_lease_init(struct pg *p, const struct pg_options *o);
/* Whether the connection is direct: its row is the server's own number of the session. */
void pg_lease_judge(struct pg_conn *c, const PGresult *r);
/* What came over the connection so far is no longer to be relied on. */
void pg_lease_disturb(struct pg_conn *c);
/* Tells the notifications that came; the pool may be closed, the connection broken afterwards. */
void pg_lease_notify(struct pg_conn *c);
/* Tells that this round trip completed; before its callback, which may file under the lease. */
void pg_lease_tell(struct pg_conn *c, const struct pg_call *call);

#endif

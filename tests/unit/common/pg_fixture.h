/*
 * pg_fixture - a real PostgreSQL, run by tests/lib/postgres.py at our command, a pool on it, and
 * answers as they come. Run from the top.
 */
#ifndef BFF_PG_FIXTURE_H
#define BFF_PG_FIXTURE_H

#include <unistd.h>

#include <sys/stat.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/pg.h"
#include "tests/unit/unit.h"

#define PATIENCE_S 30

/* ---- the server --------------------------------------------------------------------------- */

static struct {
	pid_t pid;
	FILE *in, *out;
	char conninfo[512], tcp[512];
} server;

__attribute__((unused)) static char *command(const char *line)
{
	static char answer[4096];

	fprintf(server.in, "%s\n", line);
	fflush(server.in);
	if (fgets(answer, sizeof answer, server.out) == NULL)
		fail_msg("no answer to %s", line);
	answer[strcspn(answer, "\n")] = '\0';
	if (strncmp(answer, "ok", 2) != 0)
		fail_msg("%s: %s", line, answer);
	return answer + (answer[2] == ' ' ? 3 : 2);
}

static int start_server(void **state)
{
	int to[2], from[2];
	char line[16];

	(void)state;
	log_set_level(LOG_ERROR);
	if (pipe(to) == -1 || pipe(from) == -1 || (server.pid = fork()) == -1)
		return -1;
	if (server.pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[1]);
		close(from[0]);
		unsetenv("LD_PRELOAD");
		execlp("python3", "python3", "tests/lib/postgres.py", (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	server.in = fdopen(to[1], "w");
	server.out = fdopen(from[0], "r");
	if (fgets(line, sizeof line, server.out) == NULL || strncmp(line, "ok", 2) != 0)
		return -1;
	snprintf(server.conninfo, sizeof server.conninfo, "%s", command("conninfo"));
	snprintf(server.tcp, sizeof server.tcp, "%s", command("tcp"));
	command("sql create function raise(code text) returns text language plpgsql as "
		"$$ begin raise exception using errcode = code; end $$");
	command("sql create table late (x int unique deferrable initially deferred)");
	command("sql insert into late values (1)");
	command("sql create role bff_test login password 'right'");
	return 0;
}

static int stop_server(void **state)
{
	int status;

	(void)state;
	fclose(server.in);
	fclose(server.out);
	return waitpid(server.pid, &status, 0) == server.pid && status == 0 ? 0 : -1;
}

/* ---- a pool, and answers as they come -------------------------------------------------------- */

enum { TYPES, ECHO, RAISE, SLEEP, LATE, XID, LENGTH };
static const struct pg_statement STATEMENTS[] = {
    [TYPES] = {"types", "select $1::text, $2::int8, $3::int4, $4::bool, $5::bytea, null::text", 5,
	       PG_ALONE},
    [ECHO] = {"echo", "select $1::int8", 1, PG_ALONE},
    [RAISE] = {"raise", "select raise($1)", 1, PG_ALONE},
    [SLEEP] = {"sleep", "select 1 from pg_sleep($1::int8)", 1, PG_ALONE},
    [LATE] = {"late", "insert into late values (1) returning x", 0, PG_ALONE},
    [XID] = {"xid", "select pg_current_xact_id()::text", 0, PG_ALONE},
    [LENGTH] = {"length", "select octet_length($1::bytea)::int8", 1, PG_ALONE},
};

struct fixture {
	struct event_base *base;
	struct pg *pg;
	struct event *patience;
	bool late;
	unsigned nready, nunready;
};

struct answer {
	unsigned calls;
	enum err e;
	int64_t i64;
	struct fixture *f;
};

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	((struct fixture *)arg)->late = true;
}

static void on_ready(void *arg, bool ready)
{
	struct fixture *f = arg;

	if (ready)
		f->nready++;
	else
		f->nunready++;
}

static void open_pool(struct fixture *f, struct pg_options o)
{
	struct timeval tv = {.tv_sec = PATIENCE_S};
	struct errmsg e;

	*f = (struct fixture){.base = event_base_new()};
	if (o.conninfo == NULL)
		o.conninfo = server.conninfo;
	if (o.statements == NULL) {
		o.statements = STATEMENTS;
		o.nstatements = ARRAY_LEN(STATEMENTS);
	}
	if (o.connections == 0)
		o.connections = 2;
	if (o.query_timeout_ms == 0)
		o.query_timeout_ms = 20000;
	o.application_name = "test_pg";
	assert_int_equal(pg_open(f->base, &o, &f->pg, &e), ERR_OK);
	pg_on_ready(f->pg, on_ready, f);
	f->patience = evtimer_new(f->base, on_patience, f);
	evtimer_add(f->patience, &tv);
}

static void close_pool(struct fixture *f)
{
	pg_close(&f->pg);
	event_free(f->patience);
	event_base_free(f->base);
}

#define RUN_UNTIL(f, condition)                                                                    \
	while (!(condition)) {                                                                     \
		event_base_loop((f)->base, EVLOOP_ONCE);                                           \
		if ((f)->late)                                                                     \
			fail_msg("never: %s", #condition);                                         \
	}

static void on_answer(void *arg, enum err e, const struct pg_rows *rows)
{
	struct answer *a = arg;

	a->calls++;
	a->e = e;
	if (e == ERR_OK && pg_rows_count(rows) > 0)
		a->i64 = pg_rows_i64(rows, 0, 0);
	assert_true((rows != NULL) == (e == ERR_OK));
}

static struct pg_param i64_param(int64_t v, unsigned char out[8])
{
	for (unsigned i = 0; i < 8; i++)
		out[i] = (unsigned char)((uint64_t)v >> (56 - 8 * i));
	return PG_BYTES(out, 8);
}

static enum err ask_i64(struct fixture *f, unsigned stmt, int64_t v, struct answer *a)
{
	unsigned char raw[8];
	struct pg_param p = i64_param(v, raw);

	return pg_query(f->pg, stmt, &p, on_answer, a, NULL);
}

#endif

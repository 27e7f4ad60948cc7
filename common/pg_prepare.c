/*
 * pg_prepare - what a new connection is sent before its first query, in one round trip: the
 * statements, LISTEN, and the question whose session this is
 *
 * The server's name of a statement has a digest of its text in it. Behind a pooler that shares
 * sessions of the server without knowing of prepared statements, ours may be there already, and be
 * another version's; so a name never runs another text, and what comes of it is an error.
 */
#include <assert.h>
#include <stdlib.h>

#include "common/crypt.h"
#include "common/log.h"
#include "common/pg_internal.h"

#define WHOSE "select pg_catalog.pg_backend_pid()"

enum err pg_prepare_names(struct pg *p)
{
	p->names = calloc(p->nstatements, sizeof *p->names);
	if (p->names == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < p->nstatements; i++) {
		unsigned char d[CRYPT_SHA256_LEN];
		enum err rc = crypt_sha256(sv_str(p->statements[i].sql), d);
		int n;

		if (rc != ERR_OK)
			return rc;
		n = snprintf(p->names[i], sizeof p->names[i], "%s_%02x%02x%02x%02x",
			     p->statements[i].name, d[0], d[1], d[2], d[3]);
		assert(n > 0 && (size_t)n < sizeof p->names[i]); /* else the digest were cut off */
	}
	return ERR_OK;
}

static bool ask(const struct pg_conn *c, const char *sql)
{
	return PQsendQueryParams(c->pq, sql, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

void pg_prepare_start(struct pg_conn *c)
{
	const struct pg *p = c->pg;
	bool ok = PQsetnonblocking(c->pq, 1) == 0 && PQenterPipelineMode(c->pq) == 1;

	pg_conn_set_state(c, PG_PREPARING);
	c->nprepared = 0;
	c->is_direct = false;
	for (size_t i = 0; ok && i < p->nstatements; i++)
		ok = PQsendPrepare(c->pq, p->names[i], p->statements[i].sql, 0, NULL) == 1;
	if (ok && p->listen != NULL)
		ok = ask(c, p->listen) && ask(c, WHOSE);
	if (!ok || PQpipelineSync(c->pq) != 1 || PQflush(c->pq) == -1) {
		pg_conn_host_failed(c, "database_connect_failed", NULL);
		return;
	}
	pg_conn_want(c, EV_READ | EV_WRITE);
}

bool pg_prepare_is_shared(const char *statement, const PGresult *r)
{
	const char *sqlstate = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	/* There already, or not there any more: a session that is ours alone knows neither. */
	if (sqlstate == NULL || (strcmp(sqlstate, "42P05") != 0 && strcmp(sqlstate, "26000") != 0))
		return false;
	log_error("database_pooler_unfit", K("statement", statement), K("sqlstate", sqlstate),
		  K("error", PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY)),
		  K("hint",
		    "a pooler in transaction mode has to know prepared statements: PgBouncer "
		    "from 1.21 with max_prepared_statements; or pool_mode = session"));
	return true;
}

static void refused(struct pg_conn *c, const PGresult *r)
{
	const char *name =
	    c->nprepared < c->pg->nstatements ? c->pg->statements[c->nprepared].name : "listen";
	const char *sqlstate = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

	/* Insufficient resources, or the server goes down: not the schema's fault. */
	if (sqlstate == NULL || strncmp(sqlstate, "53", 2) == 0 ||
	    strncmp(sqlstate, "57P", 3) == 0) {
		pg_conn_host_failed(c, "database_connect_failed", message);
		return;
	}
	if (!pg_prepare_is_shared(name, r))
		log_error("database_schema_mismatch", K("statement", name), K("sqlstate", sqlstate),
			  K("error", message), K("hint", "run sql/migrate of this version"));
	pg_conn_host_failed(c, "database_connect_failed", "a statement does not prepare");
}

static void is_up(struct pg_conn *c)
{
	(void)event_del(c->timer);
	c->tried = 0;
	c->failures = 0;
	log_info("database_connected", K("host", pg_target_name(c->pg->target, c->target)),
		 KI("backend", PQbackendPID(c->pq)));
	pg_conn_set_state(c, PG_UP);
	pg_lease_notify(c);
}

void pg_prepare_on_io(struct pg_conn *c, short what)
{
	unsigned nulls = 0;

	if ((what & EV_WRITE) != 0)
		pg_conn_want(c, PQflush(c->pq) == 1 ? EV_READ | EV_WRITE : EV_READ);
	if (PQconsumeInput(c->pq) == 0) {
		pg_conn_host_failed(c, "database_connect_failed", NULL);
		return;
	}
	while (PQisBusy(c->pq) == 0) {
		PGresult *r = PQgetResult(c->pq);
		ExecStatusType status;

		if (r == NULL && ++nulls > 1) { /* one ends each answer; more: nothing will come */
			pg_conn_host_failed(c, "database_connect_failed", NULL);
			return;
		}
		if (r == NULL)
			continue;
		nulls = 0;
		status = PQresultStatus(r);
		if (status == PGRES_TUPLES_OK) {
			pg_lease_judge(c, r);
		} else if (status != PGRES_COMMAND_OK && status != PGRES_PIPELINE_SYNC) {
			refused(c, r);
			PQclear(r);
			return;
		}
		PQclear(r);
		c->nprepared++;
		if (status != PGRES_PIPELINE_SYNC)
			continue;
		is_up(c);
		return;
	}
}

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/pg_internal.h"

#define OID_RECORD 2249 /* of pg_type: fixed */

static void destroy(struct pg *p)
{
	for (size_t i = 0; i < p->nconns; i++) {
		struct pg_conn *c = &p->conns[i];

		if (c->io != NULL)
			event_free(c->io);
		if (c->timer != NULL)
			event_free(c->timer);
		if (c->soon != NULL)
			event_free(c->soon);
	}
	free(p->conns);
	free(p->names);
	if (p->renew != NULL)
		event_free(p->renew);
	free(p->listen);
	pg_target_free(&p->target);
	free(p->password_file);
	buf_done(&p->text);
	for (struct pg_call *call; (call = TAILQ_FIRST(&p->spare)) != NULL; free(call))
		TAILQ_REMOVE(&p->spare, call, link);
	free(p);
}

void pg_enter(struct pg *p)
{
	p->depth++;
}

void pg_leave(struct pg *p)
{
	if (--p->depth == 0 && p->closed)
		destroy(p);
}

static bool conn_init(struct pg *p, struct pg_conn *c, unsigned number)
{
	c->pg = p;
	c->trip.conn = number;
	c->state = PG_DOWN;
	TAILQ_INIT(&c->calls);
	c->io = event_new(p->base, -1, EV_READ, pg_conn_on_io, c);
	c->timer = evtimer_new(p->base, pg_conn_on_timer, c);
	c->soon = event_new(p->base, -1, 0, pg_conn_on_soon, c);
	return c->io != NULL && c->timer != NULL && c->soon != NULL;
}

enum err pg_open(struct event_base *base, const struct pg_options *o, struct pg **ret,
		 struct errmsg *e)
{
	struct pg *p = calloc(1, sizeof *p);
	enum err rc = ERR_NOMEM;

	assert(o->connections > 0 && o->query_timeout_ms > 0);
	if (p == NULL)
		return errmsg_set(e, rc, "%s", err_text(rc));
	p->base = base;
	p->statements = o->statements;
	p->nstatements = o->nstatements;
	p->query_timeout_ms = o->query_timeout_ms;
	p->max_calls = o->pipeline == 0 ? PG_CALLS_MAX : o->pipeline;
	p->metrics = o->metrics;
	p->password_file_mode =
	    o->password_file_mode == 0 ? SECRET_FILE_STRICT : o->password_file_mode;
	buf_init(&p->text, PG_TEXT_MAX);
	TAILQ_INIT(&p->spare);
	p->conns = calloc(o->connections, sizeof *p->conns);
	if (p->conns != NULL)
		p->nconns = o->connections;
	if (o->password_file != NULL)
		p->password_file = strdup(o->password_file);
	if (p->conns != NULL && (o->password_file == NULL || p->password_file != NULL))
		rc = pg_prepare_names(p);
	if (rc == ERR_OK)
		rc = pg_lease_init(p, o);
	if (rc != ERR_OK) {
		(void)errmsg_set(e, rc, "%s", err_text(rc));
		goto fail;
	}
	rc = pg_target_new(o, &p->target, e);
	if (rc != ERR_OK)
		goto fail;
	for (size_t i = 0; i < p->nconns; i++) {
		if (!conn_init(p, &p->conns[i], (unsigned)i)) {
			rc = errmsg_set(e, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
			goto fail;
		}
		pg_conn_timer_set(&p->conns[i], 0); /* connect from the loop */
	}
	*ret = p;
	return ERR_OK;
fail:
	destroy(p);
	return rc;
}

void pg_close(struct pg **p)
{
	struct pg *x = *p;

	if (x == NULL)
		return;
	*p = NULL;
	pg_enter(x);
	x->closed = true;
	for (size_t i = 0; i < x->nconns; i++) {
		struct pg_conn *c = &x->conns[i];
		struct pg_call *call;

		pg_conn_close(c);
		pg_conn_set_state(c, PG_DOWN);
		while ((call = pg_call_take(c, ERR_CANCELED, clock_boot_us())) != NULL)
			pg_call_end(x, call, ERR_CANCELED, NULL);
	}
	pg_leave(x);
}

bool pg_ready(const struct pg *p)
{
	return p->nup > 0;
}

bool pg_hears(const struct pg *p)
{
	return p->listen != NULL && p->npooled == 0;
}

struct pg_state pg_state(const struct pg *p)
{
	struct pg_state s = {.connections = (unsigned)p->nconns, .up = (unsigned)p->nup};

	for (size_t i = 0; i < p->nconns; i++)
		s.calls += p->conns[i].ncalls;
	return s;
}

void pg_on_ready(struct pg *p, void (*fn)(void *arg, bool ready), void *arg)
{
	p->ready_fn = fn;
	p->ready_arg = arg;
}

/* The less the better: a group that leaves with this turn, so that those of a turn are together; an
 * idle connection; a group that waits; the one with the fewest calls under way. */
static size_t rank(const struct pg_conn *c, enum pg_kind kind)
{
	if (c->ncalls == 0)
		return 1;
	if (kind == PG_GROUPED && c->grouped > 0)
		return pg_conn_is_ahead(c) ? 2 : 0;
	return 2 + c->ncalls;
}

static enum err choose(struct pg *p, enum pg_kind kind, struct pg_conn **ret)
{
	struct pg_conn *best = NULL;
	enum err rc = ERR_UNAVAILABLE;

	for (size_t i = 0; i < p->nconns; i++) {
		struct pg_conn *c = &p->conns[i];

		if (c->state != PG_UP || c->broken)
			continue;
		if (c->ncalls >= p->max_calls)
			rc = ERR_LIMIT;
		else if (best == NULL || rank(c, kind) < rank(best, kind))
			best = c;
	}
	*ret = best;
	return best == NULL ? rc : ERR_OK;
}

/* Text parameters end with NUL for libpq, so one with a NUL inside would be cut: refused. */
static enum err encode(struct pg *p, const struct pg_param *params, unsigned n, const char **values,
		       int *lengths, int *formats)
{
	size_t at[PG_PARAMS_MAX] = {0};

	buf_clear(&p->text);
	for (unsigned i = 0; i < n; i++) {
		if (params[i].n > INT_MAX)
			return ERR_LIMIT;
		values[i] = params[i].p;
		lengths[i] = (int)params[i].n;
		formats[i] = params[i].binary ? 1 : 0;
		if (params[i].p == NULL || params[i].binary)
			continue;
		if (params[i].n > 0 && memchr(params[i].p, '\0', params[i].n) != NULL)
			return ERR_SYNTAX;
		at[i] = p->text.n;
		buf_add(&p->text, sv_of(params[i].p, params[i].n));
		buf_add_char(&p->text, '\0');
	}
	if (!buf_ok(&p->text))
		return ERR_LIMIT;
	for (unsigned i = 0; i < n; i++) /* the buffer no longer moves */
		if (params[i].p != NULL && !params[i].binary)
			values[i] = p->text.p + at[i];
	return ERR_OK;
}

struct pg_call *pg_call_new(struct pg *p, unsigned stmt)
{
	struct pg_call *call = TAILQ_FIRST(&p->spare);

	if (call != NULL) {
		TAILQ_REMOVE(&p->spare, call, link);
		p->nspare--;
	} else {
		call = malloc(sizeof *call);
	}
	if (call != NULL)
		*call = (struct pg_call){.stmt = stmt};
	return call;
}

void pg_call_free(struct pg *p, struct pg_call *call)
{
	if (p->nspare == PG_SPARE_MAX) {
		free(call);
		return;
	}
	TAILQ_INSERT_HEAD(&p->spare, call, link);
	p->nspare++;
}

static enum err send_alone(struct pg_conn *c, struct pg_call *call, const struct pg_param *params)
{
	const char *values[PG_PARAMS_MAX];
	int lengths[PG_PARAMS_MAX], formats[PG_PARAMS_MAX];
	unsigned n = c->pg->statements[call->stmt].nparams;
	enum err rc;

	assert(n <= PG_PARAMS_MAX);
	rc = encode(c->pg, params, n, values, lengths, formats);
	if (rc == ERR_OK && !pg_send(c, call, values, lengths, formats))
		rc = ERR_UNAVAILABLE;
	return rc;
}

static enum err send_grouped(struct pg_conn *c, struct pg_call *call, const struct pg_param *key)
{
	assert(key->binary && key->n <= PG_KEY_MAX);
	memcpy(call->key, key->p, key->n);
	call->key_n = (uint8_t)key->n;
	return pg_send_grouped(c, call) ? ERR_OK : ERR_UNAVAILABLE;
}

enum err pg_query(struct pg *p, unsigned stmt, const struct pg_param *params, pg_fn fn, void *arg,
		  struct pg_call **ret)
{
	struct pg_call *call;
	struct pg_conn *c = NULL;
	enum pg_kind kind;
	enum err rc;

	assert(stmt < p->nstatements);
	kind = p->statements[stmt].kind;
	rc = p->closed ? ERR_UNAVAILABLE : choose(p, kind, &c);
	if (rc != ERR_OK)
		return rc;
	call = pg_call_new(p, stmt);
	if (call == NULL)
		return ERR_NOMEM;
	call->fn = fn;
	call->arg = arg;
	rc = kind == PG_GROUPED ? send_grouped(c, call, params) : send_alone(c, call, params);
	if (rc != ERR_OK) {
		pg_call_free(p, call);
		return rc;
	}
	if (ret != NULL)
		*ret = call;
	return ERR_OK;
}

void pg_call_cancel(struct pg_call **c)
{
	if (*c == NULL)
		return;
	(*c)->fn = NULL;
	*c = NULL;
}

const struct pg_trip *pg_rows_trip(const struct pg_rows *r)
{
	return r->trip;
}

size_t pg_rows_count(const struct pg_rows *r)
{
	return (size_t)r->n;
}

static uint32_t read_u32(const char *p)
{
	uint32_t x;

	memcpy(&x, p, sizeof x);
	return be32toh(x);
}

static int64_t read_i64(const char *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof x);
	return (int64_t)be64toh(x);
}

/* A record as record_send() of PostgreSQL writes it: the number of its fields; of each the type,
 * the length, all ones for null, and the value. What is not there is null. */
static size_t take_record(struct sv fields[PG_RECORD_MAX], struct sv record)
{
	const char *p = record.p;
	size_t left = record.n, n;

	if (left < 4)
		return 0;
	n = read_u32(p);
	p += 4;
	left -= 4;
	for (size_t i = 0; i < n; i++) {
		uint32_t len;

		if (i == PG_RECORD_MAX || left < 8)
			return i;
		len = read_u32(p + 4);
		p += 8;
		left -= 8;
		fields[i] = SV_NONE;
		if (len == UINT32_MAX)
			continue;
		if (len > left)
			return i;
		fields[i] = sv_of(p, len);
		p += len;
		left -= len;
	}
	return n;
}

static struct sv value(const PGresult *r, int row, int col)
{
	if (PQgetisnull(r, row, col) == 1)
		return SV_NONE;
	return sv_of(PQgetvalue(r, row, col), (size_t)PQgetlength(r, row, col));
}

void pg_rows_of(const PGresult *result, int first, int n, const struct pg_call *call,
		struct pg_rows *ret)
{
	ret->result = result;
	ret->trip = &call->trip;
	ret->first = first;
	ret->n = n;
	ret->is_record = PQnfields(result) == 1 && PQftype(result, 0) == OID_RECORD;
	if (ret->is_record)
		ret->nfields = take_record(ret->fields, value(result, first, 0));
}

bool pg_rows_null(const struct pg_rows *r, size_t row, unsigned col)
{
	return pg_rows_sv(r, row, col).p == NULL;
}

struct sv pg_rows_sv(const struct pg_rows *r, size_t row, unsigned col)
{
	if (r->is_record)
		return row == 0 && col < r->nfields ? r->fields[col] : SV_NONE;
	return value(r->result, r->first + (int)row, (int)col);
}

int64_t pg_rows_i64(const struct pg_rows *r, size_t row, unsigned col)
{
	struct sv v = pg_rows_sv(r, row, col);

	if (v.n == sizeof(int32_t))
		return (int32_t)read_u32(v.p);
	return v.n == sizeof(int64_t) ? read_i64(v.p) : 0;
}

bool pg_rows_bool(const struct pg_rows *r, size_t row, unsigned col)
{
	struct sv v = pg_rows_sv(r, row, col);

	return v.n == 1 && v.p[0] != 0;
}

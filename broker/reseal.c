#include "broker/reseal.h"

#include <stdlib.h>

#include "broker/token_seal.h"
#include "common/clock.h"
#include "common/log.h"

struct reseal {
	struct broker *broker;
	struct event *timer;
	char after[TOKEN_GRANT_ID_MAX]; /* the id the walk has come to; empty at its beginning */
	size_t after_len;
	bool walking, again;
	bool full;	/* the batch: more may follow */
	size_t pending; /* puts of this batch under way */
	uint64_t resealed, unreadable, failed;
};

static void batch_done(struct reseal *r);

static void on_put(void *arg, enum err e, const struct pg_rows *rows)
{
	struct reseal *r = arg;

	(void)rows;
	r->pending--;
	r->resealed += e == ERR_OK;
	r->failed += e != ERR_OK;
	metrics_count(r->broker->metrics, METRIC_B_RESEALED, METRICS_AT(e != ERR_OK));
	if (r->pending == 0 && !r->broker->stopping)
		batch_done(r);
}

/* Opens and seals one value; an empty `out` means: leave what stands there. */
static void again_under_primary(struct reseal *r, const struct vault_label *label, struct sv sealed,
				struct buf *out)
{
	struct secret *plain = NULL;
	enum err rc;

	buf_init(out, VAULT_PLAIN_MAX + VAULT_OVERHEAD);
	if (sealed.n == 0)
		return;
	rc = vault_open(r->broker->ring, label, sealed, &plain);
	if (rc == ERR_OK)
		rc = vault_seal(r->broker->ring, label, secret_view(plain), out);
	if (rc != ERR_OK) {
		buf_clear(out);
		if (r->unreadable++ == 0)
			log_error("not_resealed", K("why", err_text(rc)),
				  KS("what", label->purpose), K("then", "it stays as it is"));
	}
	secret_free(&plain);
}

enum { REFRESH, ID_TOKEN, PREVIOUS, NVALUES };

/* Columns: see RESEAL_TAKE. */
static void put(struct reseal *r, const struct pg_rows *rows, size_t i)
{
	struct sv id = pg_rows_sv(rows, i, 0), old[NVALUES];
	struct vault_label labels[NVALUES] = {
	    [REFRESH] = token_refresh_label(id, pg_rows_i64(rows, i, 3)),
	    [ID_TOKEN] = token_id_token_label(id, pg_rows_i64(rows, i, 5)),
	    [PREVIOUS] = token_refresh_label(id, pg_rows_i64(rows, i, 7))};
	struct pg_param params[1 + 2 * NVALUES] = {PG_BYTES(id.p, id.n)};
	struct buf out[NVALUES];
	bool any = false;
	enum err rc;

	for (unsigned k = 0; k < NVALUES; k++) {
		old[k] = pg_rows_sv(rows, i, 2 + 2 * k);
		again_under_primary(r, &labels[k], old[k], &out[k]);
		any = any || out[k].n > 0;
		/* An old value that is null is equal to nothing: what was not opened stays. */
		params[1 + 2 * k] = out[k].n > 0 ? PG_BYTES(old[k].p, old[k].n) : PG_NULL;
		params[2 + 2 * k] = sql_bytes_or_null(buf_sv(&out[k]));
	}
	if (any) {
		rc = pg_query(r->broker->pg, SQL_RESEAL_PUT, params, on_put, r, NULL);
		r->pending += rc == ERR_OK;
		r->failed += rc != ERR_OK;
	}
	for (unsigned k = 0; k < NVALUES; k++)
		buf_done(&out[k]);
}

static void begin(struct reseal *r)
{
	r->walking = true;
	r->again = false;
	r->after_len = 0;
	r->resealed = r->unreadable = r->failed = 0;
}

static void end(struct reseal *r)
{
	const struct timeval later = clock_timeval(RESEAL_RETRY_MS);

	r->walking = false;
	if (r->failed > 0)
		(void)evtimer_add(r->timer, &later);
	if (r->resealed + r->unreadable + r->failed > 0)
		log_info("resealed", KU("grants", r->resealed), KU("unreadable", r->unreadable),
			 KU("failed", r->failed));
}

static void on_rows(void *arg, enum err e, const struct pg_rows *rows)
{
	struct reseal *r = arg;
	size_t n = e == ERR_OK ? pg_rows_count(rows) : 0;

	if (r->broker->stopping)
		return;
	if (e != ERR_OK) {
		log_warn("reseal_failed", K("why", err_text(e)), K("then", "tried again"));
		r->failed++;
	}
	r->full = n == RESEAL_ROWS;
	for (size_t i = 0; i < n; i++) {
		struct sv id = pg_rows_sv(rows, i, 0);

		if (pg_rows_bool(rows, i, 1))
			put(r, rows, i);
		if (id.n <= sizeof r->after) {
			memcpy(r->after, id.p, id.n);
			r->after_len = id.n;
		}
	}
	if (r->pending == 0)
		batch_done(r);
}

static void take(struct reseal *r)
{
	struct sql_i64 rows_max;
	const struct pg_param params[] = {PG_BYTES(r->after, r->after_len),
					  sql_i64(&rows_max, RESEAL_ROWS)};
	enum err rc = pg_query(r->broker->pg, SQL_RESEAL_TAKE, params, on_rows, r, NULL);

	if (rc != ERR_OK) {
		r->failed++;
		end(r);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct reseal *r = arg;

	(void)fd;
	(void)what;
	if (r->broker->draining)
		return;
	if (!r->walking)
		begin(r);
	take(r);
}

static void batch_done(struct reseal *r)
{
	const struct timeval pause = clock_timeval(RESEAL_PAUSE_MS);

	if (r->again)
		begin(r);
	else if (!r->full) {
		end(r);
		return;
	}
	(void)evtimer_add(r->timer, &pause); /* fails without memory alone; the next pass does it */
}

void reseal_start(struct reseal *r)
{
	if (r->walking) {
		r->again = true;
		return;
	}
	begin(r);
	take(r);
}

enum err reseal_new(struct broker *b, struct reseal **ret)
{
	struct reseal *r = calloc(1, sizeof *r);

	if (r == NULL)
		return ERR_NOMEM;
	r->broker = b;
	r->timer = evtimer_new(b->base, on_timer, r);
	if (r->timer == NULL) {
		free(r);
		return ERR_NOMEM;
	}
	*ret = r;
	return ERR_OK;
}

void reseal_free(struct reseal **r)
{
	if (*r == NULL)
		return;
	event_free((*r)->timer);
	free(*r);
	*r = NULL;
}

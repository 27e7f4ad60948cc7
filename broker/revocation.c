#include "broker/revocation.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/job_timer.h"
#include "broker/token_seal.h"
#include "common/contract.h"
#include "common/log.h"

static_assert(REVOCATION_BATCH * TIMEOUT_IDP_MS < REVOCATION_LEASE_MS, "a batch within its lease");

struct ended_grant {
	unsigned char id[TOKEN_GRANT_ID_MAX];
	size_t id_len;
	char provider[CONFIG_NAME_MAX + 1];
	size_t provider_len;
	struct buf issuer;
	int64_t tries;
	struct secret *token; /* NULL: did not open */
};

struct revocation {
	struct broker *broker;
	struct event *timer;
	struct ended_grant batch[REVOCATION_BATCH];
	size_t n, at; /* batch[at] is under way */
	bool running, again;
};

int64_t revocation_delay_ms(int64_t tries, uint32_t retry_after_s, unsigned char random)
{
	static const struct job_delays d = {REVOCATION_FIRST_DELAY_MS, REVOCATION_MAX_DELAY_MS};

	return job_delay_ms(&d, tries, retry_after_s, random);
}

static void ended_grant_done(struct ended_grant *g)
{
	secret_free(&g->token);
	buf_done(&g->issuer);
}

static void next(struct revocation *r);

static void batch_over(struct revocation *r)
{
	bool full = r->n == REVOCATION_BATCH;

	r->running = false;
	r->n = 0;
	job_timer_set(r->timer, full || r->again ? REVOCATION_KICK_MS : REVOCATION_EVERY_MS);
	r->again = false;
}

static void on_noted(void *arg, enum err e, const struct pg_rows *rows)
{
	struct revocation *r = arg;

	(void)rows;
	/* The lease ends by itself and another round takes it up. */
	if (e != ERR_OK && e != ERR_CANCELED)
		log_warn("revocation_not_noted", K("why", err_text(e)),
			 K("then", "retried after its lease"));
	ended_grant_done(&r->batch[r->at]);
	r->at++;
	if (!r->broker->stopping)
		next(r);
}

static enum err done(struct revocation *r, const struct ended_grant *g)
{
	const struct pg_param params[] = {PG_BYTES(g->id, g->id_len),
					  PG_BYTES(r->broker->owner, sizeof r->broker->owner)};

	return pg_query(r->broker->pg, SQL_REVOCATION_DONE, params, on_noted, r, NULL);
}

static enum err put_off(struct revocation *r, const struct ended_grant *g, enum err why,
			uint32_t retry_after_s)
{
	struct sql_i64 delay;
	unsigned char jitter;

	broker_random(&jitter, sizeof jitter);
	const struct pg_param params[] = {
	    PG_BYTES(g->id, g->id_len), PG_BYTES(r->broker->owner, sizeof r->broker->owner),
	    sql_i64(&delay, revocation_delay_ms(g->tries, retry_after_s, jitter)),
	    sql_bool(why == ERR_DENIED)};

	return pg_query(r->broker->pg, SQL_REVOCATION_RETRY, params, on_noted, r, NULL);
}

static void on_revoked(void *arg, enum err e, uint32_t retry_after_s)
{
	struct revocation *r = arg;
	const struct ended_grant *g = &r->batch[r->at];
	struct sv provider = sv_of(g->provider, g->provider_len);
	enum err rc;

	if (e == ERR_CANCELED && r->broker->stopping)
		return;
	if (e != ERR_OK) /* canceled, too: its provider left the configuration meanwhile */
		log_warn("revocation_failed", KS("provider", provider), K("why", err_text(e)),
			 KI("tries", g->tries), K("then", "put off"));
	else
		log_info("grant_revoked", KS("provider", provider), KI("tries", g->tries));
	rc = e == ERR_OK ? done(r, g) : put_off(r, g, e, retry_after_s);
	if (rc != ERR_OK)
		on_noted(r, rc, NULL);
}

static void next(struct revocation *r)
{
	struct ended_grant *g = &r->batch[r->at];
	struct provider *p;
	enum err rc = ERR_UNSUPPORTED;

	if (r->at >= r->n) {
		batch_over(r);
		return;
	}
	/* SECURITY: nothing of one provider goes to another that took its name. */
	p = editions_provider(&r->broker->editions, sv_of(g->provider, g->provider_len),
			      buf_sv(&g->issuer));
	if (p != NULL && g->token != NULL)
		rc = provider_revoke(p, secret_view(g->token), on_revoked, r);
	if (rc != ERR_OK)
		on_revoked(r, rc == ERR_CANCELED ? ERR_UNAVAILABLE : rc, 0);
}

static void take(struct revocation *r, const struct pg_rows *rows, size_t i)
{
	struct ended_grant *g = &r->batch[i];
	struct sv id = pg_rows_sv(rows, i, 0), provider = pg_rows_sv(rows, i, 1);
	struct vault_label label = token_refresh_label(id, pg_rows_i64(rows, i, 2));
	enum err rc;

	*g = (struct ended_grant){.tries = pg_rows_i64(rows, i, 4)};
	buf_init(&g->issuer, CONFIG_MAX_BYTES);
	buf_add(&g->issuer, pg_rows_sv(rows, i, 5));
	if (id.n > sizeof g->id || provider.n > sizeof g->provider)
		return;
	memcpy(g->id, id.p, id.n);
	g->id_len = id.n;
	memcpy(g->provider, provider.p, provider.n);
	g->provider_len = provider.n;
	rc = vault_open(r->broker->ring, &label, pg_rows_sv(rows, i, 3), &g->token);
	if (rc != ERR_OK)
		log_error("refresh_token_not_opened", K("why", err_text(rc)),
			  K("then", "its revocation is put off"));
}

static void on_taken(void *arg, enum err e, const struct pg_rows *rows)
{
	struct revocation *r = arg;

	r->at = 0;
	r->n = e == ERR_OK ? pg_rows_count(rows) : 0;
	if (r->n > REVOCATION_BATCH)
		r->n = REVOCATION_BATCH;
	for (size_t i = 0; i < r->n; i++)
		take(r, rows, i);
	if (!r->broker->stopping)
		next(r);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct revocation *r = arg;
	struct sql_i64 lease, batch;
	const struct pg_param params[] = {PG_BYTES(r->broker->owner, sizeof r->broker->owner),
					  sql_i64(&lease, REVOCATION_LEASE_MS),
					  sql_i64(&batch, REVOCATION_BATCH)};

	(void)fd;
	(void)what;
	r->running = true;
	if (r->broker->draining ||
	    pg_query(r->broker->pg, SQL_REVOCATION_TAKE, params, on_taken, r, NULL) != ERR_OK)
		batch_over(r);
}

enum err revocation_new(struct broker *b, struct revocation **ret)
{
	struct revocation *r = calloc(1, sizeof *r);

	if (r == NULL)
		return ERR_NOMEM;
	r->broker = b;
	r->timer = evtimer_new(b->base, on_timer, r);
	if (r->timer == NULL) {
		free(r);
		return ERR_NOMEM;
	}
	job_timer_set(r->timer, REVOCATION_EVERY_MS);
	*ret = r;
	return ERR_OK;
}

void revocation_free(struct revocation **r)
{
	if (*r == NULL)
		return;
	for (size_t i = 0; i < (*r)->n; i++)
		ended_grant_done(&(*r)->batch[i]);
	event_free((*r)->timer);
	free(*r);
	*r = NULL;
}

void revocation_kick(struct revocation *r)
{
	if (r->running)
		r->again = true;
	else
		job_timer_set(r->timer, REVOCATION_KICK_MS);
}

#include "broker/revalidation.h"

#include <stdlib.h>

#include "broker/grant_table.h"
#include "broker/job_timer.h"
#include "broker/login_claims.h"
#include "common/log.h"

static_assert(HOLDOFF_WELL_MS > REVALIDATION_MAX_DELAY_MS + REVALIDATION_MAX_DELAY_MS / 4,
	      "who was put off sees every answer");

struct revalidation {
	struct broker *broker;
	struct event *timer;
	size_t nchecks;
};

/* One session, from its row to the note of what came of it. */
struct check {
	struct revalidation *all;
	struct edition *edition; /* referenced; NULL: none has the app */
	const struct config_app *app;
	unsigned char hash[CRYPT_SHA256_LEN];
	struct login_claims claims;
	int64_t tries;
};

int64_t revalidation_delay_ms(int64_t tries, uint32_t retry_after_s, unsigned char random)
{
	static const struct job_delays d = {REVALIDATION_FIRST_DELAY_MS, REVALIDATION_MAX_DELAY_MS};

	return job_delay_ms(&d, tries, retry_after_s, random);
}

static void check_free(struct check *c)
{
	c->all->nchecks--;
	edition_unref(&c->edition);
	login_claims_done(&c->claims);
	free(c);
}

/* --- what came of it --- */

/* Its lease ends by itself, and another round takes it up. */
static void on_noted(void *arg, enum err e, const struct pg_rows *rows)
{
	struct check *c = arg;

	(void)rows;
	if (e != ERR_OK && e != ERR_CANCELED)
		log_warn("revalidation_not_noted", K("why", err_text(e)),
			 K("then", "asked again after its lease"));
	check_free(c);
}

static void note(struct check *c, enum broker_statement what, const struct pg_param *params)
{
	enum err rc = c->all->broker->stopping
			  ? ERR_CANCELED
			  : pg_query(c->all->broker->pg, what, params, on_noted, c, NULL);

	if (rc != ERR_OK)
		on_noted(c, rc, NULL);
}

#define HASH_AND_OWNER                                                                             \
	PG_BYTES(c->hash, sizeof c->hash),                                                         \
	    PG_BYTES(c->all->broker->owner, sizeof c->all->broker->owner)

enum claims_fate { CLAIMS_STAY = 1, CLAIMS_REPLACED };

static void done(struct check *c, int64_t next_ms, enum claims_fate fate)
{
	bool replaced = fate == CLAIMS_REPLACED;
	struct sql_i64 next;
	const struct pg_param params[] = {HASH_AND_OWNER, sql_i64(&next, next_ms),
					  replaced ? PG_SV(c->claims.claims) : PG_NULL,
					  replaced ? PG_SV(c->claims.email) : PG_NULL};

	note(c, SQL_REVALIDATION_DONE, params);
}

static void put_off(struct check *c, const char *why, uint32_t retry_after_s)
{
	unsigned char random;
	struct sql_i64 delay;
	int64_t ms;

	broker_random(&random, sizeof random);
	ms = revalidation_delay_ms(c->tries, retry_after_s, random);
	const struct pg_param params[] = {HASH_AND_OWNER, sql_i64(&delay, ms)};

	log_warn("revalidation_put_off", K("why", why), KI("tries", c->tries),
		 KI("retry_in_ms", ms));
	note(c, SQL_REVALIDATION_RETRY, params);
}

static void end_session(struct check *c, const char *why)
{
	const struct pg_param params[] = {HASH_AND_OWNER};

	log_info("revalidation_ends_session", KS("app", c->app->name), K("why", why));
	note(c, SQL_REVALIDATION_END, params);
}

/* --- asking --- */

static void on_userinfo(void *arg, enum err e, const struct id_token_claims *userinfo,
			const char *detail)
{
	struct check *c = arg;

	if (e == ERR_OK)
		e = login_claims_merge(&c->claims, c->app->provider->claims_from, userinfo);
	if (e == ERR_OK)
		done(c, c->app->revalidate_ms, CLAIMS_REPLACED);
	else
		put_off(c, detail == NULL || *detail == '\0' ? err_text(e) : detail, 0);
}

/* UserInfo beside the ID token that came; without one, beside nothing: what the provider no longer
 * says does not stay. */
static enum err userinfo(struct check *c, const struct grant_checked *got)
{
	struct provider *p = edition_provider(c->edition, c->app->provider->name);

	if (c->claims.claims.n == 0) {
		const struct id_token_claims none = {.sub = got->sub, .claims = SV("{}")};
		enum err rc = login_claims_take(&c->claims, &none);

		if (rc != ERR_OK)
			return rc;
	}
	return provider_userinfo(p, got->access_token, c->claims.sub, on_userinfo, c);
}

static void on_checked(void *arg, const struct grant_checked *got)
{
	struct check *c = arg;
	bool from_userinfo = (c->app->provider->claims_from & CLAIMS_USERINFO) != 0;
	enum err rc;

	if (got->code == IPC_ERROR_NO_SESSION) {
		done(c, 0, CLAIMS_STAY);
		return;
	}
	if (got->code == IPC_ERROR_REAUTHENTICATE) {
		end_session(c, got->detail);
		return;
	}
	if (got->code != IPC_ERROR_NONE) {
		put_off(c, got->detail, got->retry_after_s);
		return;
	}
	c->claims = *got->claims;
	*got->claims = (struct login_claims){.claims = SV_NONE};
	if (!from_userinfo) {
		done(c, c->app->revalidate_ms,
		     c->claims.claims.n > 0 ? CLAIMS_REPLACED : CLAIMS_STAY);
		return;
	}
	rc = userinfo(c, got);
	if (rc != ERR_OK)
		put_off(c, err_text(rc), 0);
}

static void ask(struct check *c, const struct pg_rows *rows, size_t i)
{
	const struct config_provider *p = c->app->provider;
	const struct config_service own = {
	    .name = TOKEN_SESSION_SERVICE, .provider = p, .grant = GRANT_SESSION};
	unsigned char digest[CRYPT_SHA256_LEN];
	const struct grant_ask ask = {.grant_id = pg_rows_sv(rows, i, 5),
				      .app = c->app->name,
				      .hash = c->hash,
				      .digest = digest,
				      .edition = c->edition,
				      .provider = p,
				      .kind = GRANT_JOB_CHECK,
				      .checked = on_checked,
				      .arg = c};

	/* It may be back with the next reload. */
	if (!sv_eq(pg_rows_sv(rows, i, 2), p->name) || !sv_eq(pg_rows_sv(rows, i, 3), p->issuer))
		put_off(c, "other_provider", 0);
	else if (token_config_digest(&own, digest) != ERR_OK)
		put_off(c, "memory", 0);
	else
		grant_table_ask(c->all->broker->grants, &ask, NULL);
}

/* --- the queue --- */

static void take(struct revalidation *r, const struct pg_rows *rows, size_t i)
{
	struct sv hash = pg_rows_sv(rows, i, 0), app = pg_rows_sv(rows, i, 1);
	struct check *c = hash.n == sizeof c->hash ? calloc(1, sizeof *c) : NULL;

	if (c == NULL)
		return; /* its lease ends by itself */
	c->all = r;
	r->nchecks++;
	memcpy(c->hash, hash.p, sizeof c->hash);
	c->tries = pg_rows_i64(rows, i, 6);
	c->edition = editions_app(&r->broker->editions, app, &c->app);
	if (c->edition != NULL)
		edition_ref(c->edition);
	if (c->edition == NULL)
		put_off(c, "unknown_app", 0);
	else if (c->app->revalidate_ms == 0)
		done(c, 0, CLAIMS_STAY);
	else
		ask(c, rows, i);
}

static void on_taken(void *arg, enum err e, const struct pg_rows *rows)
{
	struct revalidation *r = arg;
	size_t n = e == ERR_OK ? pg_rows_count(rows) : 0;

	if (r->broker->stopping)
		return;
	for (size_t i = 0; i < n; i++)
		take(r, rows, i);
	job_timer_set(r->timer,
		      n == REVALIDATION_BATCH ? REVALIDATION_AGAIN_MS : REVALIDATION_EVERY_MS);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct revalidation *r = arg;
	struct sql_i64 lease, batch;
	const struct pg_param params[] = {PG_BYTES(r->broker->owner, sizeof r->broker->owner),
					  sql_i64(&lease, REVALIDATION_LEASE_MS),
					  sql_i64(&batch, REVALIDATION_BATCH)};

	(void)fd;
	(void)what;
	if (r->broker->draining)
		return;
	if (r->nchecks + REVALIDATION_BATCH > REVALIDATION_MAX ||
	    pg_query(r->broker->pg, SQL_REVALIDATION_TAKE, params, on_taken, r, NULL) != ERR_OK)
		job_timer_set(r->timer, REVALIDATION_EVERY_MS);
}

enum err revalidation_new(struct broker *b, struct revalidation **ret)
{
	struct revalidation *r = calloc(1, sizeof *r);

	if (r == NULL)
		return ERR_NOMEM;
	r->broker = b;
	r->timer = evtimer_new(b->base, on_timer, r);
	if (r->timer == NULL) {
		free(r);
		return ERR_NOMEM;
	}
	job_timer_set(r->timer, REVALIDATION_EVERY_MS);
	*ret = r;
	return ERR_OK;
}

void revalidation_free(struct revalidation **r)
{
	if (*r == NULL)
		return;
	event_free((*r)->timer);
	free(*r);
	*r = NULL;
}

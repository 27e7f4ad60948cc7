/* grant_flight - one refresh: lease, send, check, store or give back; see grant.h for the order. */
#include "broker/grant.h"
#include "common/clock.h"
#include "common/log.h"

void grant_flight_wipe(struct grant *g)
{
	secret_free(&g->refresh_token);
	buf_done(&g->refresh_sealed);
	buf_done(&g->id_token_sealed);
	buf_done(&g->token_sealed);
}

static struct provider *provider_of(const struct grant *g)
{
	return edition_provider(g->jobs->edition, g->jobs->service->provider->name);
}

static unsigned char random_byte(void)
{
	unsigned char b;

	broker_random(&b, sizeof b);
	return b;
}

static void retry_later(struct grant *g, event_callback_fn fn)
{
	const struct timeval pause = {.tv_usec = LEASE_COMMIT_RETRY_MS * 1000};

	if (g->timer != NULL)
		event_free(g->timer);
	g->timer = evtimer_new(g->broker->base, fn, g);
	if (g->timer == NULL || evtimer_add(g->timer, &pause) != 0)
		grant_job_fail(g, IPC_ERROR_INTERNAL, "no_timer", 1);
}

/* --- giving the lease back, or ending the grant --- */

static void release(struct grant *g);

static void on_release_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	release(arg);
}

/* Waiters need not stay for it, but the count of attempts is worth retrying for. */
static void release_failed(struct grant *g, enum err e)
{
	if (e == ERR_CANCELED || lease_left_ms(&g->lease, clock_boot_ms()) == 0) {
		log_warn("lease_not_given_back", K("why", err_text(e)),
			 K("then", "it ends by itself; the attempt stays counted"));
		grant_job_fail(g, IPC_ERROR_STORE, err_text(e), 1);
		return;
	}
	grant_waiters_fail(g, IPC_ERROR_STORE, err_text(e), 1);
	retry_later(g, on_release_timer);
}

static void on_released(void *arg, enum err e, const struct pg_rows *rows)
{
	struct grant *g = arg;
	bool done = e == ERR_OK && pg_rows_count(rows) == 1 && pg_rows_bool(rows, 0, 0);

	if (e != ERR_OK)
		release_failed(g, e);
	else if (g->verdict.answer == IPC_ERROR_NONE ||
		 (g->verdict.next == LEASE_END_GRANT && !done))
		grant_read(g); /* the generation moved on, or the session is gone: see */
	else
		grant_job_fail(g, g->verdict.answer, g->detail, g->retry_after_s);
}

static void release(struct grant *g)
{
	struct sql_i64 generation;
	const struct pg_param params[] = {PG_BYTES(g->id, g->id_len),
					  sql_i64(&generation, g->lease.generation),
					  PG_BYTES(g->broker->owner, sizeof g->broker->owner),
					  PG_BYTES(g->lease.attempt, sizeof g->lease.attempt),
					  sql_bool(g->verdict.next != LEASE_GIVE_BACK)};
	/* GRANT_DEAD takes the first four of them. */
	enum broker_statement what =
	    g->verdict.next == LEASE_END_GRANT ? SQL_GRANT_DEAD : SQL_GRANT_RELEASE;
	enum err rc = pg_query(g->broker->pg, what, params, on_released, g, NULL);

	if (rc != ERR_OK)
		release_failed(g, rc);
}

static void give_back(struct grant *g, struct lease_verdict v, const char *detail)
{
	g->verdict = v;
	g->detail = detail;
	grant_flight_wipe(g);
	grant_set_state(g, GRANT_RELEASING);
	release(g);
}

/* --- storing the successor --- */

static void store(struct grant *g);

static void on_store_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	store(arg);
}

static void store_failed(struct grant *g, enum err e)
{
	if (e == ERR_CANCELED || clock_boot_ms() >= g->ended_try_ms) {
		log_error("refresh_lost", KS("service", g->jobs->service->name),
			  K("why", err_text(e)),
			  K("then", "the refresh token of before is tried once more"));
		grant_job_fail(g, IPC_ERROR_STORE, err_text(e), 1);
		return;
	}
	if (lease_left_ms(&g->lease, clock_boot_ms()) == 0)
		grant_waiters_fail(g, IPC_ERROR_STORE, err_text(e), 1);
	retry_later(g, on_store_timer);
}

static void on_stored(void *arg, enum err e, const struct pg_rows *rows)
{
	struct grant *g = arg;

	if (e != ERR_OK || pg_rows_count(rows) != 1) {
		store_failed(g, e == ERR_OK ? ERR_PROTOCOL : e);
		return;
	}
	/* Not committed: an earlier try of ours was, unseen, or the lease was lost. Reading tells.
	 */
	if (!pg_rows_bool(rows, 0, 0))
		log_warn("refresh_not_stored", KS("service", g->jobs->service->name),
			 K("then", "reading what stands there"));
	else
		g->jobs->stored = g->token_sealed.n > 0;
	grant_flight_wipe(g);
	if (g->verdict.answer != IPC_ERROR_NONE)
		grant_job_fail(g, g->verdict.answer, g->detail, g->retry_after_s);
	else
		grant_read(g);
}

static void store(struct grant *g)
{
	struct grant_job *j = g->jobs;
	struct sql_i64 generation, ttl;
	struct sv filed_as = token_filed_as(j->service);
	const struct pg_param params[] = {PG_BYTES(g->id, g->id_len),
					  sql_i64(&generation, g->lease.generation),
					  PG_BYTES(g->broker->owner, sizeof g->broker->owner),
					  PG_BYTES(g->lease.attempt, sizeof g->lease.attempt),
					  sql_bytes_or_null(buf_sv(&g->refresh_sealed)),
					  sql_bytes_or_null(buf_sv(&g->id_token_sealed)),
					  PG_BYTES(j->hash, sizeof j->hash),
					  PG_SV(filed_as),
					  sql_bytes_or_null(buf_sv(&g->token_sealed)),
					  sql_i64(&ttl, g->ttl_ms),
					  PG_BYTES(j->digest, sizeof j->digest)};
	enum err rc = pg_query(g->broker->pg, SQL_GRANT_COMMIT, params, on_stored, g, NULL);

	if (rc != ERR_OK)
		store_failed(g, rc);
}

static void begin_store(struct grant *g)
{
	g->ended_try_ms = clock_boot_ms() + GRANT_STORE_MAX_MS;
	grant_set_state(g, GRANT_STORING);
	store(g);
}

/* --- the provider's answer --- */

static void on_id_token(void *arg, enum err e, const struct id_token_claims *claims,
			const char *detail)
{
	struct grant *g = arg;

	(void)claims; /* what counts of it, Core 12.2, was judged: it is as expected or refused */
	if (e != ERR_OK)
		buf_done(&g->id_token_sealed);
	/* Core 12.2: whoever answers with another's ID token is not believed at all; the successor
	 * is stored all the same, so that it can be revoked. */
	if (e == ERR_CRYPTO) {
		log_error("refresh_refused", KS("service", g->jobs->service->name),
			  K("why", detail), K("then", "tokens of this answer are dropped"));
		buf_done(&g->token_sealed);
		g->verdict.answer = IPC_ERROR_UPSTREAM;
		g->detail = "id_token_refused";
	}
	begin_store(g);
}

/* Seals what the answer brought under the generation that it will stand in. */
static enum err seal_answer(struct grant *g, const struct token_reply *reply)
{
	const struct keyring *ring = g->broker->ring;
	int64_t generation = g->lease.generation + 1;
	struct vault_label refresh = token_refresh_label(grant_id(g), generation);
	struct vault_label id_token = token_id_token_label(grant_id(g), generation);
	enum err rc = ERR_OK;

	g->ttl_ms = reply->expires_in_s * 1000;
	if (reply->refresh_token.n > 0)
		rc = vault_seal(ring, &refresh, reply->refresh_token, &g->refresh_sealed);
	if (rc == ERR_OK && reply->outcome == TOKEN_OK && reply->access_token.n > 0)
		rc = token_seal(ring, grant_id(g), token_filed_as(g->jobs->service), generation,
				reply->access_token, g->ttl_ms, &g->token_sealed);
	if (rc == ERR_OK && reply->outcome == TOKEN_OK && reply->id_token.n > 0)
		rc = vault_seal(ring, &id_token, reply->id_token, &g->id_token_sealed);
	return rc;
}

static void take_answer(struct grant *g, const struct token_reply *reply)
{
	struct id_token_expect expect = {.access_token = reply->access_token,
					 .sub = sv_of(g->sub, g->sub_len)};
	enum err rc = seal_answer(g, reply);

	if (rc != ERR_OK) {
		log_error("refresh_lost", KS("service", g->jobs->service->name),
			  K("why", err_text(rc)), K("then", "the lease is given up"));
		give_back(g, (struct lease_verdict){LEASE_GIVE_UP, IPC_ERROR_INTERNAL, 0}, "seal");
		return;
	}
	if (g->id_token_sealed.n == 0) {
		begin_store(g);
		return;
	}
	grant_set_state(g, GRANT_CHECKING);
	rc = provider_id_token(provider_of(g), reply->id_token, &expect, on_id_token, g);
	if (rc != ERR_OK)
		on_id_token(g, rc, NULL, "not_checked");
}

static void hold_off(struct grant *g, const struct token_reply *reply)
{
	struct grant_job *j = g->jobs;
	struct holdoffs *h = &j->edition->holdoffs;
	int64_t now = clock_boot_ms();
	enum ipc_error answer = g->verdict.answer;
	int64_t s = reply->retry_after_s == 0 ? 1 : reply->retry_after_s;

	/* Others of this provider are not told to log in again for one that was. */
	if (answer == IPC_ERROR_REAUTHENTICATE)
		answer = IPC_ERROR_PROVIDER_DOWN;
	switch (g->verdict.holdoff) {
	case LEASE_HOLDOFF_NONE:
		if (reply->outcome == TOKEN_OK)
			holdoff_clear(h, j->service->provider);
		break;
	case LEASE_HOLDOFF_PROVIDER:
		holdoff_failed(h, j->service->provider, answer, now, random_byte());
		break;
	case LEASE_HOLDOFF_THROTTLE:
		holdoff_for(h, j->service->provider, answer, now,
			    1000 * (s > HOLDOFF_THROTTLE_MAX_S ? HOLDOFF_THROTTLE_MAX_S : s),
			    random_byte());
		break;
	case LEASE_HOLDOFF_SERVICE:
		holdoff_for(h, j->service, answer, now, HOLDOFF_SERVICE_MS, random_byte());
		break;
	}
}

static void on_reply(void *arg, enum err e, const struct token_reply *reply)
{
	static const struct token_reply not_sent = {.outcome = TOKEN_NOT_SENT,
						    .detail = "no_metadata"};
	struct grant *g = arg;

	/* Without a reply nothing left; a cancel comes with the end of the process, in mid-flight.
	 */
	if (e == ERR_CANCELED) {
		grant_job_fail(g, IPC_ERROR_PROVIDER_DOWN, "stopping", 1);
		return;
	}
	if (e != ERR_OK)
		reply = &not_sent;
	secret_free(&g->refresh_token);
	g->verdict = lease_judge_outcome(reply->outcome, g->lease.attempts,
					 provider_traits(provider_of(g))->rotates);
	g->detail = reply->detail;
	g->retry_after_s = reply->retry_after_s;
	if (g->verdict.answer == IPC_ERROR_PROVIDER_DOWN && g->retry_after_s == 0)
		g->retry_after_s = 1;
	hold_off(g, reply);
	if (reply->outcome != TOKEN_OK)
		log_warn("refresh_failed", KS("provider", g->jobs->service->provider->name),
			 KS("service", g->jobs->service->name), K("why", reply->detail),
			 KI("attempts", g->lease.attempts),
			 K("answer", ipc_error_word(g->verdict.answer)));
	/* A refusal that rotated the token all the same: its successor must not be lost. */
	if (reply->outcome == TOKEN_OK ||
	    (reply->outcome == TOKEN_MISCONFIGURED && reply->refresh_token.n > 0))
		take_answer(g, reply);
	else
		give_back(g, g->verdict, g->detail);
}

static bool before_send(void *arg)
{
	const struct grant *g = arg;

	return lease_may_send(&g->lease, clock_boot_ms());
}

/* --- the lease --- */

static void send_refresh(struct grant *g)
{
	const struct config_service *s = g->jobs->service;
	bool own = s->grant == GRANT_SESSION || s->grant == GRANT_ID_TOKEN;
	enum err rc;

	grant_set_state(g, GRANT_SENDING);
	rc = provider_refresh(provider_of(g), secret_view(g->refresh_token), own ? NULL : s,
			      before_send, on_reply, g);
	if (rc != ERR_OK)
		on_reply(g, rc == ERR_CANCELED ? ERR_UNAVAILABLE : rc, NULL);
}

static void on_leased(void *arg, enum err e, const struct pg_rows *rows)
{
	struct grant *g = arg;
	const struct provider_traits *traits = provider_traits(provider_of(g));
	struct lease_row row = {0};

	if (e != ERR_OK || pg_rows_count(rows) != 1) {
		/* Perhaps counted, certainly not sent. */
		give_back(g, (struct lease_verdict){LEASE_GIVE_BACK, IPC_ERROR_STORE, 0},
			  err_text(e));
		return;
	}
	row.leased = pg_rows_bool(rows, 0, 0);
	row.generation = pg_rows_i64(rows, 0, 1);
	row.attempts = pg_rows_i64(rows, 0, 2);
	row.lease_left_ms = pg_rows_i64(rows, 0, 3);
	row.live = sv_eq(pg_rows_sv(rows, 0, 4), SV("live"));
	g->lease.attempts = row.attempts;
	switch (lease_judge_start(&row, traits->rotates)) {
	case LEASE_SEND:
		send_refresh(g);
		break;
	case LEASE_EXHAUSTED:
		log_warn("refresh_given_up", KS("service", g->jobs->service->name),
			 KI("attempts", row.attempts),
			 K("then", "the session ends: a token of unknown fate is not sent again"));
		give_back(g, (struct lease_verdict){LEASE_END_GRANT, IPC_ERROR_REAUTHENTICATE, 0},
			  "attempts_used_up");
		break;
	case LEASE_LOST:
	case LEASE_ENDED:
		grant_flight_wipe(g);
		grant_pause(g, row.lease_left_ms > 0 ? LEASE_POLL_MS : 1);
		break;
	}
}

void grant_flight_begin(struct grant *g, const struct token_row *row)
{
	struct vault_label label = token_refresh_label(grant_id(g), row->refresh_generation);
	struct sql_i64 generation, length;
	enum err rc;

	if (row->sub.n > sizeof g->sub || provider_of(g) == NULL) {
		grant_job_fail(g, IPC_ERROR_INTERNAL, "no_provider", 0);
		return;
	}
	rc = vault_open(g->broker->ring, &label, row->refresh_sealed, &g->refresh_token);
	if (rc != ERR_OK) {
		log_error("refresh_token_not_opened", K("why", err_text(rc)),
			  K("then", "the session stays; is a key missing in the key ring?"));
		grant_job_fail(g, IPC_ERROR_INTERNAL, "key_ring", 0);
		return;
	}
	memcpy(g->sub, row->sub.p, row->sub.n);
	g->sub_len = row->sub.n;
	g->lease = (struct lease){.generation = row->generation, .asked_at_ms = clock_boot_ms()};
	broker_random(g->lease.attempt, sizeof g->lease.attempt);
	grant_set_state(g, GRANT_LEASING);
	const struct pg_param params[] = {PG_BYTES(g->id, g->id_len),
					  sql_i64(&generation, g->lease.generation),
					  PG_BYTES(g->broker->owner, sizeof g->broker->owner),
					  PG_BYTES(g->lease.attempt, sizeof g->lease.attempt),
					  sql_i64(&length, TIMEOUT_LEASE_MS)};
	rc = pg_query(g->broker->pg, SQL_GRANT_LEASE, params, on_leased, g, NULL);
	if (rc != ERR_OK)
		grant_job_fail(g, IPC_ERROR_STORE, err_text(rc), 1);
}

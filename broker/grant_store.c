/* grant_store - what a reply brought: sealed, checked, filed, and only then answered. */
#include "broker/grant.h"
#include "broker/http_client.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"

static void store(struct grant_job *j);

/* A token that was had without a lease is no loss; a successor is. */
static void store_failed(struct grant_job *j, enum err e)
{
	if (!j->leased) {
		grant_job_fail(j, IPC_ERROR_STORE, err_text(e), 1);
		return;
	}
	if (e == ERR_CANCELED || clock_boot_ms() >= j->ended_try_ms) {
		log_error("refresh_lost", KS("service", grant_job_wants(j)->name),
			  K("why", err_text(e)),
			  K("then", "the refresh token of before is tried once more"));
		grant_job_fail(j, IPC_ERROR_STORE, err_text(e), 1);
		return;
	}
	if (lease_left_ms(&j->lease, clock_boot_ms()) == 0)
		waiters_fail(&j->waiters, IPC_ERROR_STORE, err_text(e), 1);
	grant_job_later(j, LEASE_COMMIT_RETRY_MS, store);
}

static void on_stored(void *arg, enum err e, const struct pg_rows *rows)
{
	struct grant_job *j = arg;

	if (e != ERR_OK || pg_rows_count(rows) != 1) {
		store_failed(j, e == ERR_OK ? ERR_PROTOCOL : e);
		return;
	}
	FAULT_POINT("refresh.committed");
	/* Not stored: an earlier try of ours was, unseen; the lease was lost; or the session ended.
	 * Reading tells. */
	if (!pg_rows_bool(rows, 0, 0))
		log_warn("token_not_stored", KS("service", grant_job_wants(j)->name),
			 K("then", "reading what stands there"));
	else if (j->token_sealed.n == 0)
		; /* a successor alone */
	else if (j->subject)
		j->subject_age = SUBJECT_RENEWED;
	else
		j->stored = true;
	grant_job_wipe(j);
	if (j->verdict.answer != IPC_ERROR_NONE)
		grant_job_fail(j, j->verdict.answer, j->detail, j->retry_after_s);
	else
		grant_read(j);
}

static enum err commit(struct grant_job *j)
{
	struct broker *b = j->grant->broker;
	bool keeps = provider_traits(grant_job_provider(j))->grace_ms > 0;
	struct sql_i64 generation, ttl;
	struct sv filed_as = token_filed_as(grant_job_wants(j)), digest = grant_job_digest(j);
	const struct pg_param params[] = {PG_BYTES(j->grant->id, j->grant->id_len),
					  sql_i64(&generation, j->lease.generation),
					  PG_BYTES(b->owner, sizeof b->owner),
					  PG_BYTES(j->lease.attempt, sizeof j->lease.attempt),
					  sql_bytes_or_null(buf_sv(&j->refresh_sealed)),
					  sql_bytes_or_null(buf_sv(&j->id_token_sealed)),
					  PG_BYTES(j->hash, sizeof j->hash),
					  PG_SV(filed_as),
					  sql_bytes_or_null(buf_sv(&j->token_sealed)),
					  sql_i64(&ttl, j->ttl_ms),
					  PG_BYTES(digest.p, digest.n),
					  sql_bool(keeps)};

	return pg_query(b->pg, SQL_GRANT_COMMIT, params, on_stored, j, NULL);
}

static enum err put(struct grant_job *j)
{
	struct sql_i64 generation, ttl;
	struct sv filed_as = token_filed_as(grant_job_wants(j)), digest = grant_job_digest(j);
	const struct pg_param params[] = {PG_BYTES(j->hash, sizeof j->hash),
					  PG_BYTES(j->grant->id, j->grant->id_len),
					  sql_i64(&generation, j->lease.generation),
					  PG_SV(filed_as),
					  PG_BYTES(j->token_sealed.p, j->token_sealed.n),
					  sql_i64(&ttl, j->ttl_ms),
					  PG_BYTES(digest.p, digest.n),
					  sql_bytes_or_null(buf_sv(&j->refresh_sealed)),
					  sql_bytes_or_null(buf_sv(&j->id_token_sealed))};

	return pg_query(j->grant->broker->pg, SQL_TOKEN_PUT, params, on_stored, j, NULL);
}

static void store(struct grant_job *j)
{
	enum err rc = j->leased ? commit(j) : put(j);

	if (rc != ERR_OK)
		store_failed(j, rc);
}

static void begin_store(struct grant_job *j)
{
	if (!j->leased && j->token_sealed.n == 0) {
		grant_job_fail(j, j->verdict.answer, j->detail, j->retry_after_s);
		return;
	}
	j->ended_try_ms = clock_boot_ms() + GRANT_STORE_MAX_MS;
	grant_job_set_state(j, GRANT_STORING);
	FAULT_POINT("refresh.store");
	store(j);
}

static void on_id_token(void *arg, enum err e, const struct id_token_claims *claims,
			const char *detail)
{
	struct grant_job *j = arg;

	if (e == ERR_OK && j->kind == GRANT_JOB_CHECK)
		e = login_claims_take(&j->claims, claims); /* what a check is made for */
	if (e != ERR_OK)
		buf_done(&j->id_token_sealed);
	/* Nothing was checked: a check is made again. */
	if (e != ERR_OK && e != ERR_CRYPTO && j->kind == GRANT_JOB_CHECK) {
		j->verdict.answer = IPC_ERROR_PROVIDER_DOWN;
		j->detail = "id_token_not_checked";
	}
	/* Core 12.2: whoever answers with another's ID token is not believed at all; the successor
	 * is stored all the same, so that it can be revoked. */
	if (e == ERR_CRYPTO) {
		log_error("refresh_refused", KS("service", grant_job_wants(j)->name),
			  K("why", detail), K("then", "tokens of this answer are dropped"));
		buf_done(&j->token_sealed);
		j->verdict.answer = IPC_ERROR_UPSTREAM;
		j->detail = "id_token_refused";
		grant_job_refuse(j, IPC_ERROR_UPSTREAM);
	}
	begin_store(j);
}

/* Under the generation that a lease's commit makes; a lone token's just names what it was sealed
 * under. */
static enum err seal_reply(struct grant_job *j, const struct token_reply *reply)
{
	const struct keyring *ring = j->grant->broker->ring;
	struct sv id = grant_id(j->grant);
	int64_t generation = j->lease.generation + 1;
	struct vault_label refresh = token_refresh_label(id, generation);
	struct vault_label id_token = token_id_token_label(id, generation);
	bool ours = reply->outcome == TOKEN_OK;
	/* The one of before that worked and was not rotated is the current one again. */
	struct sv successor = reply->refresh_token.n == 0 && j->refresh_token != NULL
				  ? secret_view(j->refresh_token)
				  : reply->refresh_token;
	enum err rc = ERR_OK;

	j->ttl_ms = reply->expires_in_s * 1000;
	if (j->state != GRANT_EXCHANGING && successor.n > 0)
		rc = vault_seal(ring, &refresh, successor, &j->refresh_sealed);
	if (rc == ERR_OK && ours && reply->access_token.n > 0)
		rc = token_seal(ring, id, token_filed_as(grant_job_wants(j)), generation,
				reply->access_token, j->ttl_ms, &j->token_sealed);
	if (rc == ERR_OK && ours && j->state != GRANT_EXCHANGING && reply->id_token.n > 0)
		rc = vault_seal(ring, &id_token, reply->id_token, &j->id_token_sealed);
	return rc;
}

void grant_store_reply(struct grant_job *j, const struct token_reply *reply)
{
	struct id_token_expect expect = {.access_token = reply->access_token,
					 .sub = sv_of(j->sub, j->sub_len),
					 .auth_time_s = j->auth_time_s};
	enum err rc = seal_reply(j, reply);

	if (rc != ERR_OK) {
		log_error("refresh_lost", KS("service", grant_job_wants(j)->name),
			  K("why", err_text(rc)), K("then", "the lease is given up"));
		grant_give_back(
		    j,
		    (struct lease_verdict){LEASE_UNKNOWN, IPC_ERROR_INTERNAL, LEASE_HOLDOFF_NONE},
		    "seal");
		return;
	}
	if (j->id_token_sealed.n == 0) {
		begin_store(j);
		return;
	}
	if (j->has_nonce)
		expect.nonce_hash = sv_of((const char *)j->nonce_hash, sizeof j->nonce_hash);
	grant_job_set_state(j, GRANT_CHECKING);
	http_client_trace(j->grant->broker->http, &j->trace);
	rc = provider_id_token(grant_job_provider(j), reply->id_token, &expect, on_id_token, j);
	http_client_trace(j->grant->broker->http, NULL);
	if (rc != ERR_OK)
		on_id_token(j, rc, NULL, "not_checked");
}

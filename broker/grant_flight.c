/* grant_flight - one refresh: lease, send, give back; see grant.h for the order. */
#include "broker/count.h"
#include "broker/grant.h"
#include "broker/http_client.h"
#include "broker/token_reply.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"

/* --- giving the lease back, or ending the grant --- */

static void release(struct grant_job *j);

/* Waiters need not stay for it, but the count of attempts is worth retrying for. */
static void release_failed(struct grant_job *j, enum err e)
{
	if (e == ERR_CANCELED || lease_left_ms(&j->lease, clock_boot_ms()) == 0) {
		log_warn("lease_not_given_back", K("why", err_text(e)),
			 K("then", "it ends by itself; the attempt stays counted"));
		grant_job_fail(j, IPC_ERROR_STORE, err_text(e), 1);
		return;
	}
	waiters_fail(&j->waiters, IPC_ERROR_STORE, err_text(e), 1);
	grant_job_later(j, LEASE_COMMIT_RETRY_MS, release);
}

static void on_released(void *arg, enum err e, const struct pg_rows *rows)
{
	struct grant_job *j = arg;
	bool done = e == ERR_OK && pg_rows_count(rows) == 1 && pg_rows_bool(rows, 0, 0);

	if (e == ERR_OK && !done && j->unheard) {
		j->unheard = false;
		waiters_fail(&j->waiters, j->verdict.answer, j->detail, j->retry_after_s);
		grant_job_later(j, LEASE_LATE_MS, release);
	} else if (e != ERR_OK)
		release_failed(j, e);
	else if (j->verdict.answer == IPC_ERROR_NONE ||
		 (j->verdict.next == LEASE_END_GRANT && !done))
		grant_read(j); /* the generation moved on, or the session is gone: see */
	else
		grant_job_fail(j, j->verdict.answer, j->detail, j->retry_after_s);
}

static void release(struct grant_job *j)
{
	struct broker *b = j->grant->broker;
	struct sql_i64 generation;
	struct sv fate = lease_fate_word(j->verdict.next);
	const struct pg_param params[] = {
	    PG_BYTES(j->grant->id, j->grant->id_len), sql_i64(&generation, j->lease.generation),
	    PG_BYTES(b->owner, sizeof b->owner),
	    PG_BYTES(j->lease.attempt, sizeof j->lease.attempt), PG_SV(fate)};
	/* GRANT_DEAD takes the first four of them. */
	enum broker_statement what =
	    j->verdict.next == LEASE_END_GRANT ? SQL_GRANT_DEAD : SQL_REFRESH_RELEASE;
	enum err rc;

	FAULT_POINT("refresh.release");
	rc = pg_query(b->pg, what, params, on_released, j, NULL);
	if (rc != ERR_OK)
		release_failed(j, rc);
}

void grant_give_back(struct grant_job *j, struct lease_verdict v, const char *detail)
{
	j->verdict = v;
	j->detail = detail;
	grant_job_wipe(j);
	if (!j->leased) {
		grant_job_fail(j, v.answer, detail, j->retry_after_s);
		return;
	}
	grant_job_set_state(j, GRANT_RELEASING);
	release(j);
}

static void on_challenge_kept(void *arg, enum err e, const struct pg_rows *rows)
{
	struct grant_job *j = arg;

	(void)rows;
	if (e != ERR_OK)
		log_warn("challenge_not_kept", K("why", err_text(e)),
			 K("then", "the next login does not bring what the provider wants"));
	grant_give_back(j, j->verdict, j->detail);
}

/* First this: whoever is answered may begin that login at once. */
void grant_refused(struct grant_job *j, const struct token_reply *reply)
{
	const struct pg_param params[] = {PG_BYTES(j->grant->id, j->grant->id_len),
					  PG_SV(reply->claims)};
	enum err rc;

	if (reply->claims.n == 0) {
		grant_give_back(j, j->verdict, j->detail);
		return;
	}
	rc =
	    pg_query(j->grant->broker->pg, SQL_GRANT_CHALLENGE, params, on_challenge_kept, j, NULL);
	if (rc != ERR_OK)
		on_challenge_kept(j, rc, NULL);
}

/* --- the provider's answer --- */

static void send_refresh(struct grant_job *j);

static void on_previous(void *arg, enum err e, const struct pg_rows *rows)
{
	struct grant_job *j = arg;
	struct vault_label label;

	if (e != ERR_OK) { /* ends nothing: it is asked again from the start */
		j->retry_after_s = 1;
		grant_give_back(
		    j, (struct lease_verdict){LEASE_UNUSED, IPC_ERROR_STORE, LEASE_HOLDOFF_NONE},
		    err_text(e));
		return;
	}
	if (pg_rows_count(rows) == 1 &&
	    lease_judge_previous(&j->lease, pg_rows_i64(rows, 0, 2), j->previous_asked_ms,
				 provider_traits(grant_job_provider(j))) &&
	    lease_may_send(&j->lease, clock_boot_ms())) {
		label = token_refresh_label(grant_id(j->grant), pg_rows_i64(rows, 0, 1));
		e = vault_open(j->grant->broker->ring, &label, pg_rows_sv(rows, 0, 0),
			       &j->refresh_token);
		if (e == ERR_OK) {
			log_warn("refresh_previous", KS("provider", j->service->provider->name),
				 K("then", "the refresh token of before is tried once"));
			send_refresh(j);
			return;
		}
		log_error("refresh_token_not_opened", K("why", err_text(e)),
			  K("then", "the grant ends"));
	}
	grant_give_back(j, j->verdict, j->detail);
}

/* The successor is dead to the provider, which may have lost it (a backup put back, a write that
 * did not last) or never have committed it. Where it honours an old token for a while, the one of
 * before gets us a new one. Once, under the same lease, counted like any other. */
static void try_previous(struct grant_job *j)
{
	struct broker *b = j->grant->broker;
	struct sql_i64 generation;
	const struct pg_param params[] = {PG_BYTES(j->grant->id, j->grant->id_len),
					  sql_i64(&generation, j->lease.generation),
					  PG_BYTES(b->owner, sizeof b->owner),
					  PG_BYTES(j->lease.attempt, sizeof j->lease.attempt)};
	enum err rc;

	j->previous = true;
	j->previous_asked_ms = clock_boot_ms();
	grant_job_set_state(j, GRANT_LEASING);
	rc = pg_query(b->pg, SQL_PREVIOUS_TAKE, params, on_previous, j, NULL);
	if (rc != ERR_OK)
		on_previous(j, rc, NULL);
}

static void on_reply(void *arg, enum err e, const struct token_reply *reply)
{
	static const struct token_reply not_sent = {.outcome = TOKEN_NOT_SENT,
						    .detail = "no_metadata"};
	struct grant_job *j = arg;

	/* Without a reply nothing left; a cancel comes with the end of the process, in mid-flight.
	 */
	if (e == ERR_CANCELED) {
		grant_job_fail(j, IPC_ERROR_PROVIDER_DOWN, "stopping", 1);
		return;
	}
	FAULT_POINT("refresh.answered");
	if (j->too_late && j->previous) { /* the answer to its successor stands */
		grant_give_back(j, j->verdict, j->detail);
		return;
	}
	if (j->too_late) { /* nothing to do with the provider: see what the others made of it */
		grant_give_back(
		    j, (struct lease_verdict){LEASE_UNUSED, IPC_ERROR_NONE, LEASE_HOLDOFF_NONE},
		    "too_late");
		return;
	}
	if (e != ERR_OK)
		reply = &not_sent;
	if (!j->previous || reply->outcome != TOKEN_OK)
		secret_free(&j->refresh_token);
	j->verdict = lease_judge_reply(reply, provider_traits(grant_job_provider(j))->rotates);
	j->detail = reply->detail;
	j->retry_after_s = reply->retry_after_s;
	if (j->verdict.answer == IPC_ERROR_PROVIDER_DOWN && j->retry_after_s == 0)
		j->retry_after_s = 1;
	grant_job_note(j, &j->verdict, reply->retry_after_s);
	if (reply->outcome != TOKEN_OK)
		LOG_CALL(log_write, token_outcome_level(reply->outcome), "refresh_failed",
			 KS("provider", j->service->provider->name),
			 KS("service", grant_job_wants(j)->name), K("why", reply->detail),
			 KI("attempts", j->lease.attempts),
			 K("answer", ipc_error_word(j->verdict.answer)));
	if (j->verdict.next == LEASE_COMMIT) {
		grant_store_reply(j, reply);
	} else if (j->verdict.next == LEASE_END_GRANT && !j->leased) {
		/* Not believed without the lease, under which the row is read again. */
		j->kind = GRANT_JOB_TOKEN;
		grant_read(j);
	} else if (j->verdict.next == LEASE_END_GRANT && !j->previous &&
		   provider_traits(grant_job_provider(j))->grace_ms > 0) {
		try_previous(j);
	} else {
		grant_refused(j, reply);
	}
}

static bool before_send(void *arg)
{
	struct grant_job *j = arg;

	FAULT_POINT("refresh.last_check");
	j->too_late = !lease_may_send(&j->lease, clock_boot_ms());
	return !j->too_late;
}

/* A check is nobody's request: it never spends what may be a login on a provider that may be away.
 */
static enum holdoff_asker asker(const struct grant_job *j)
{
	if (j->kind == GRANT_JOB_CHECK && j->lease.last)
		return HOLDOFF_WHEN_WELL;
	return j->lease.spared ? HOLDOFF_LAST_ATTEMPT : HOLDOFF_ANY;
}

static void send_refresh(struct grant_job *j)
{
	const struct config_service *s = grant_job_wants(j);
	bool own = s->grant == GRANT_SESSION || s->grant == GRANT_ID_TOKEN;
	enum ipc_error held = grant_job_admit(j, asker(j), &j->retry_after_s);
	enum err rc;

	if (held != IPC_ERROR_NONE) {
		grant_give_back(j, (struct lease_verdict){LEASE_UNUSED, held, LEASE_HOLDOFF_NONE},
				"held_off");
		return;
	}
	grant_job_set_state(j, GRANT_SENDING);
	http_client_trace(j->grant->broker->http, &j->trace);
	rc = provider_refresh(grant_job_provider(j), secret_view(j->refresh_token), own ? NULL : s,
			      j->leased ? before_send : NULL, on_reply, j);
	http_client_trace(j->grant->broker->http, NULL);
	if (rc != ERR_OK)
		on_reply(j, rc == ERR_CANCELED ? ERR_UNAVAILABLE : rc, NULL);
}

/* --- the lease --- */

static void exhausted(struct grant_job *j)
{
	metrics_count(j->grant->broker->metrics, METRIC_B_REFRESH_GIVEN_UP,
		      count_provider(j->grant->broker, j->service->provider));
	log_warn("refresh_given_up", KS("service", grant_job_wants(j)->name),
		 KI("attempts", j->lease.attempts),
		 K("then",
		   "a refresh token of unknown fate is not sent again: a new login is asked for"));
	grant_job_refuse(j, IPC_ERROR_REAUTHENTICATE);
	j->retry_after_s = 0;
	grant_give_back(j,
			(struct lease_verdict){LEASE_UNUSED,
					       grant_job_unasked(j, IPC_ERROR_REAUTHENTICATE),
					       LEASE_HOLDOFF_NONE},
			"attempts_used_up");
}

static void on_leased(void *arg, enum err e, const struct pg_rows *rows)
{
	struct grant_job *j = arg;
	struct lease_row row = {0};

	if (e != ERR_OK || pg_rows_count(rows) != 1) {
		/* Perhaps counted, now or in a moment, certainly not sent. */
		j->unheard = e != ERR_OK;
		j->retry_after_s = 1;
		grant_give_back(
		    j, (struct lease_verdict){LEASE_UNUSED, IPC_ERROR_STORE, LEASE_HOLDOFF_NONE},
		    err_text(e));
		return;
	}
	FAULT_POINT("refresh.leased");
	row.leased = pg_rows_bool(rows, 0, 0);
	row.generation = pg_rows_i64(rows, 0, 1);
	row.attempts = pg_rows_i64(rows, 0, 2);
	row.lease_left_ms = pg_rows_i64(rows, 0, 3);
	row.live = sv_eq(pg_rows_sv(rows, 0, 4), SV("live"));
	row.since_first_ms = pg_rows_i64(rows, 0, 5);
	switch (lease_judge_start(&j->lease, &row, provider_traits(grant_job_provider(j)))) {
	case LEASE_SEND:
		if (j->lease.attempts > 1)
			metrics_count(j->grant->broker->metrics, METRIC_B_REFRESH_REPEATED,
				      count_provider(j->grant->broker, j->service->provider));
		send_refresh(j);
		break;
	case LEASE_EXHAUSTED:
		exhausted(j);
		break;
	case LEASE_LOST:
	case LEASE_ENDED:
		grant_job_wipe(j);
		grant_job_wait(j, GRANT_PAUSED);
		grant_job_later(j, row.lease_left_ms > 0 ? LEASE_POLL_MS : 1, grant_read);
		break;
	}
}

static void lease(struct grant_job *j)
{
	struct broker *b = j->grant->broker;
	struct sql_i64 generation, length;
	const struct pg_param params[] = {PG_BYTES(j->grant->id, j->grant->id_len),
					  sql_i64(&generation, j->lease.generation),
					  PG_BYTES(b->owner, sizeof b->owner),
					  PG_BYTES(j->lease.attempt, sizeof j->lease.attempt),
					  sql_i64(&length, TIMEOUT_LEASE_MS)};
	enum err rc;

	grant_job_set_state(j, GRANT_LEASING);
	FAULT_POINT("refresh.before_lease");
	rc = pg_query(b->pg, SQL_REFRESH_LEASE, params, on_leased, j, NULL);
	if (rc != ERR_OK)
		grant_job_fail(j, IPC_ERROR_STORE, err_text(rc), 1);
}

void grant_flight_begin(struct grant_job *j, const struct token_row *row)
{
	struct vault_label label = token_refresh_label(grant_id(j->grant), row->refresh_generation);
	enum err rc;

	if (row->sub.n > sizeof j->sub) {
		grant_job_fail(j, IPC_ERROR_INTERNAL, "sub", 0);
		return;
	}
	rc = vault_open(j->grant->broker->ring, &label, row->refresh_sealed, &j->refresh_token);
	if (rc != ERR_OK) {
		log_error("refresh_token_not_opened", K("why", err_text(rc)),
			  K("then", "the session stays; is a key missing in the key ring?"));
		grant_job_fail(j, IPC_ERROR_INTERNAL, "key_ring", 0);
		return;
	}
	memcpy(j->sub, row->sub.p, row->sub.n);
	j->sub_len = row->sub.n;
	j->has_nonce = row->nonce_hash.n == sizeof j->nonce_hash;
	if (j->has_nonce)
		memcpy(j->nonce_hash, row->nonce_hash.p, sizeof j->nonce_hash);
	j->auth_time_s = row->auth_time_s;
	j->retry_after_s = 0;
	j->unheard = j->too_late = j->previous = false;
	j->lease = (struct lease){.generation = row->generation, .asked_at_ms = clock_boot_ms()};
	broker_random(j->lease.attempt, sizeof j->lease.attempt);
	if (j->leased)
		lease(j);
	else
		send_refresh(j);
}

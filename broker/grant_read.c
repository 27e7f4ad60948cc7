/* grant_read - what stands there now, and what a job does about it; see grant.h. */
#include "broker/grant.h"
#include "broker/token_memory.h"
#include "common/clock.h"
#include "common/log.h"

static bool exchanges(const struct grant_job *j)
{
	return !j->subject &&
	       (j->service->grant == GRANT_EXCHANGE || j->service->grant == GRANT_OBO);
}

/* The provider is to be asked whatever stands there. */
static bool insists(const struct grant_job *j)
{
	if (j->subject)
		return j->subject_age == SUBJECT_TO_RENEW;
	return j->kind == GRANT_JOB_CHECK && !j->stored;
}

static void refresh(struct grant_job *j, const struct token_row *row)
{
	int64_t now = clock_boot_ms();
	bool unleased = j->kind == GRANT_JOB_PREFETCH && !j->subject &&
			!provider_traits(grant_job_provider(j))->rotates;

	if (!row->grant_live || row->refresh_sealed.n == 0) {
		grant_job_fail(j, IPC_ERROR_REAUTHENTICATE,
			       row->grant_live ? "no_refresh_token" : "grant_over", 0);
		return;
	}
	if (!unleased && !grant_job_hold(j))
		return;
	if (!unleased && row->lease_left_ms > 0 && now - j->begun_ms < WAITER_PATIENCE_MS) {
		grant_job_wait(j, GRANT_PAUSED);
		grant_job_later(j, LEASE_POLL_MS, grant_read);
	} else if (!unleased && row->lease_left_ms > 0) {
		grant_job_fail(j, IPC_ERROR_PROVIDER_DOWN, "leased_elsewhere", 1);
	} else {
		j->rounds++;
		j->leased = !unleased;
		grant_flight_begin(j, row);
	}
}

/* What stands there will not do. */
static void have_one(struct grant_job *j, const struct token_row *row)
{
	uint32_t left_s = 0;
	enum ipc_error held = grant_job_held(j, &left_s);

	if (held != IPC_ERROR_NONE) {
		grant_job_fail(j, grant_job_unasked(j, held), "held_off", left_s);
	} else if (j->stored) {
		grant_job_refuse(j, IPC_ERROR_UPSTREAM);
		grant_job_fail(j, IPC_ERROR_UPSTREAM, "token_too_short_lived", 0);
	} else if (j->rounds > GRANT_ROUNDS_MAX) {
		grant_job_fail(j, IPC_ERROR_INTERNAL, "too_many_rounds", 1);
	} else if (grant_job_provider(j) == NULL) {
		grant_job_fail(j, IPC_ERROR_INTERNAL, "no_provider", 0);
	} else if (exchanges(j)) {
		j->rounds++;
		j->subject = true;
		grant_read(j);
	} else {
		refresh(j, row);
	}
}

static void go_on(struct grant_job *j, const struct token_row *row, const struct secret *token,
		  const struct token_held *held, struct token_verdict v)
{
	bool good = v.next == TOKEN_ANSWER ||
		    (v.next == TOKEN_ANSWER_AND_RENEW && (j->stored || j->waiters.first != NULL));
	struct sv view = token == NULL ? SV_NONE : token_view(grant_job_wants(j), token);

	if (v.next == TOKEN_REFUSE)
		grant_job_fail(j, v.refusal, v.detail, 0);
	else if (insists(j) || !(good || (j->subject && v.next == TOKEN_ANSWER_AND_RENEW)))
		have_one(j, row);
	else if (j->subject)
		grant_exchange_begin(j, row, view);
	else
		grant_job_answer(j, view, held->left_ms);
}

static struct session_read read_of(const struct grant_job *j, const struct pg_rows *rows)
{
	return (struct session_read){.hash = j->hash, .trip = pg_rows_trip(rows), .tick = j->tick};
}

static void keep(const struct grant_job *j, const struct pg_rows *rows, const struct token_row *row,
		 const struct token_held *held, struct sv token)
{
	const struct edition_use *use =
	    edition_uses_find(&j->edition->uses, sv_of(j->app, j->app_len), j->service->name);
	const struct token_read t = {.read = read_of(j, rows),
				     .row = row,
				     .held = held,
				     .token = token,
				     .by = j->waiters.first == NULL ? RENEWAL_BY_US
								    : RENEWAL_BY_REQUEST};

	if (use != NULL)
		token_memory_file(j->grant->broker->tokens, use, &t);
}

static void on_row(void *arg, enum err e, const struct pg_rows *rows)
{
	struct grant_job *j = arg;
	const struct config_service *wants = grant_job_wants(j);
	const struct token_ask ask = {.app = sv_of(j->app, j->app_len),
				      .service = wants,
				      .config_digest = grant_job_digest(j)};
	struct session_read read;
	struct token_row row;
	struct token_held held;
	struct token_verdict v;
	struct secret *token = NULL;
	enum err opened = ERR_OK;

	if (e == ERR_OK)
		e = token_row_read(rows, &row);
	if (e != ERR_OK) {
		grant_job_fail(j, IPC_ERROR_STORE, err_text(e), 1);
		return;
	}
	/* The session may have ended since: it is judged as it is when the job goes on. */
	read = read_of(j, rows);
	if (!token_memory_believes(j->grant->broker->tokens, &read)) {
		if (++j->rounds > GRANT_ROUNDS_MAX)
			grant_job_fail(j, IPC_ERROR_STORE, "named_again_and_again", 1);
		else
			grant_read(j);
		return;
	}
	token_open(j->grant->broker->ring, &row, &ask, clock_wall_s(), &token, &held, &opened);
	if (opened != ERR_OK)
		log_error("token_not_opened", KS("service", wants->name),
			  K("why", err_text(opened)), K("then", "fetching another"));
	v = token_judge(&row, &ask, &held);
	if (!j->subject && (v.next == TOKEN_ANSWER || v.next == TOKEN_ANSWER_AND_RENEW))
		keep(j, rows, &row, &held, token_view(wants, token));
	go_on(j, &row, token, &held, v);
	secret_free(&token);
}

void grant_read(struct grant_job *j)
{
	struct sv filed_as = token_filed_as(grant_job_wants(j));
	const struct pg_param params[] = {PG_BYTES(j->hash, sizeof j->hash), PG_SV(filed_as)};
	enum err rc;

	grant_job_set_state(j, GRANT_READING);
	j->tick = token_memory_tick(j->grant->broker->tokens);
	rc = pg_query(j->grant->broker->pg, SQL_TOKEN_READ, params, on_row, j, NULL);
	if (rc != ERR_OK)
		grant_job_fail(j, IPC_ERROR_STORE, err_text(rc), 1);
}

#include "broker/grant.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/grant_table.h"
#include "common/clock.h"
#include "common/log.h"

struct sv grant_id(const struct grant *g)
{
	return sv_of((const char *)g->id, g->id_len);
}

static const char *state_word(enum grant_state s)
{
	switch (s) {
	case GRANT_IDLE:
		return "idle";
	case GRANT_READING:
		return "reading";
	case GRANT_PAUSED:
		return "paused";
	case GRANT_LEASING:
		return "leasing";
	case GRANT_SENDING:
		return "sending";
	case GRANT_CHECKING:
		return "checking";
	case GRANT_STORING:
		return "storing";
	case GRANT_RELEASING:
		return "releasing";
	}
	return "?";
}

/* Bit n: may be entered from state n. */
#define FROM(s) (1U << (s))
static const unsigned legal[] = {
    [GRANT_IDLE] = FROM(GRANT_READING) | FROM(GRANT_PAUSED) | FROM(GRANT_LEASING) |
		   FROM(GRANT_SENDING) | FROM(GRANT_CHECKING) | FROM(GRANT_STORING) |
		   FROM(GRANT_RELEASING),
    [GRANT_READING] = FROM(GRANT_IDLE) | FROM(GRANT_PAUSED) | FROM(GRANT_LEASING) |
		      FROM(GRANT_STORING) | FROM(GRANT_RELEASING),
    [GRANT_PAUSED] = FROM(GRANT_READING) | FROM(GRANT_LEASING),
    [GRANT_LEASING] = FROM(GRANT_READING),
    [GRANT_SENDING] = FROM(GRANT_LEASING),
    [GRANT_CHECKING] = FROM(GRANT_SENDING),
    [GRANT_STORING] = FROM(GRANT_SENDING) | FROM(GRANT_CHECKING),
    [GRANT_RELEASING] = FROM(GRANT_LEASING) | FROM(GRANT_SENDING),
};

void grant_set_state(struct grant *g, enum grant_state to)
{
	log_debug("grant_state", K("from", state_word(g->state)), K("to", state_word(to)));
	assert((legal[to] & FROM(g->state)) != 0);
	g->state = to;
}

/* --- waiters and jobs --- */

static void on_waiter_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct grant_waiter *w = arg;
	enum grant_state state = w->job->grant->state;
	bool store = state == GRANT_STORING || state == GRANT_READING;

	(void)fd;
	(void)what;
	if (w->request != NULL)
		request_fail(&w->request, store ? IPC_ERROR_STORE : IPC_ERROR_PROVIDER_DOWN,
			     (struct request_failure){.retry_after_s = 1, .detail = "wait_over"});
}

static void add_waiter(struct grant *g, struct grant_job *j, struct request **r)
{
	const struct timeval patience = {.tv_sec = GRANT_WAIT_MS / 1000,
					 .tv_usec = GRANT_WAIT_MS % 1000 * 1000};
	struct grant_waiter *w;

	if (r == NULL)
		return;
	w = g->nwaiters < GRANT_WAITERS_MAX ? calloc(1, sizeof *w) : NULL;
	if (w != NULL)
		w->deadline = evtimer_new(g->broker->base, on_waiter_deadline, w);
	if (w == NULL || w->deadline == NULL || evtimer_add(w->deadline, &patience) != 0) {
		if (w != NULL && w->deadline != NULL)
			event_free(w->deadline);
		free(w);
		request_fail(
		    r, IPC_ERROR_PROVIDER_DOWN,
		    (struct request_failure){.retry_after_s = 1, .detail = "too_many_waiters"});
		return;
	}
	w->job = j;
	w->request = *r;
	*r = NULL;
	w->next = j->waiters;
	j->waiters = w;
	g->nwaiters++;
}

static void waiter_free(struct grant *g, struct grant_waiter *w)
{
	event_free(w->deadline);
	free(w);
	g->nwaiters--;
}

bool grant_job_is(const struct grant_job *j, const struct config_service *s,
		  const unsigned char *digest)
{
	return memcmp(j->digest, digest, sizeof j->digest) == 0 && j->service->grant == s->grant;
}

static struct grant_job *add_job(struct grant *g, const struct grant_ask *ask)
{
	struct grant_job *j, **end = &g->jobs;

	if (g->njobs >= GRANT_JOBS_MAX || ask->app.n > sizeof j->app)
		return NULL;
	j = calloc(1, sizeof *j);
	if (j == NULL)
		return NULL;
	j->grant = g;
	j->edition = ask->edition;
	edition_ref(j->edition);
	j->service = ask->service;
	memcpy(j->app, ask->app.p, ask->app.n);
	j->app_len = ask->app.n;
	memcpy(j->digest, ask->digest, sizeof j->digest);
	memcpy(j->hash, ask->hash, sizeof j->hash);
	j->begun_ms = clock_boot_ms();
	while (*end != NULL)
		end = &(*end)->next;
	*end = j;
	g->njobs++;
	return j;
}

void grant_ask(struct grant *g, const struct grant_ask *ask, struct request **r)
{
	struct grant_job *j = g->jobs;

	while (j != NULL && !grant_job_is(j, ask->service, ask->digest))
		j = j->next;
	if (j == NULL)
		j = add_job(g, ask);
	if (j != NULL)
		add_waiter(g, j, r);
	else if (r != NULL)
		request_fail(r, IPC_ERROR_PROVIDER_DOWN,
			     (struct request_failure){.retry_after_s = 1, .detail = "queue_full"});
	if (g->state == GRANT_IDLE && g->jobs != NULL)
		grant_read(g);
	else if (g->jobs == NULL)
		grant_table_drop(g);
}

/* The first job is done: the next one, or the end of this object. */
static void pop_job(struct grant *g)
{
	struct grant_job *j = g->jobs;

	assert(j->waiters == NULL);
	g->jobs = j->next;
	g->njobs--;
	edition_unref(&j->edition);
	free(j);
	grant_flight_wipe(g);
	if (g->broker->stopping)
		return;
	grant_set_state(g, GRANT_IDLE);
	if (g->jobs != NULL)
		grant_read(g);
	else
		grant_table_drop(g);
}

void grant_waiters_fail(struct grant *g, enum ipc_error code, const char *detail, uint32_t retry_s)
{
	struct grant_job *j = g->jobs;

	while (j->waiters != NULL) {
		struct grant_waiter *w = j->waiters;

		j->waiters = w->next;
		if (w->request != NULL)
			request_fail(
			    &w->request, code,
			    (struct request_failure){.retry_after_s = retry_s, .detail = detail});
		waiter_free(g, w);
	}
}

void grant_job_fail(struct grant *g, enum ipc_error code, const char *detail, uint32_t retry_s)
{
	grant_waiters_fail(g, code, detail, retry_s);
	pop_job(g);
}

void grant_job_answer(struct grant *g, struct sv token, int64_t left_ms)
{
	struct ipc_token m = {.access_token = token, .expires_in_ms = (uint64_t)left_ms};
	struct grant_job *j = g->jobs;

	while (j->waiters != NULL) {
		struct grant_waiter *w = j->waiters;

		j->waiters = w->next;
		if (w->request != NULL) {
			struct buf packet;
			enum err rc;

			buf_init(&packet, IPC_FRAME_MAX);
			rc = ipc_encode_token(&packet, w->request->id, &m);
			request_answer(&w->request, rc, &packet);
		}
		waiter_free(g, w);
	}
	pop_job(g);
}

/* --- reading --- */

/* What a reading that asks for a refresh leads to. */
static void refresh_or_wait(struct grant *g, const struct token_row *row)
{
	struct grant_job *j = g->jobs;
	int64_t now = clock_boot_ms();
	uint32_t left_s = 0;
	enum ipc_error held = holdoff_judge(&j->edition->holdoffs, j->service, now, &left_s);

	if (held == IPC_ERROR_NONE)
		held = holdoff_judge(&j->edition->holdoffs, j->service->provider, now, &left_s);
	if (held != IPC_ERROR_NONE)
		grant_job_fail(g, held, "held_off", left_s);
	else if (j->stored)
		grant_job_fail(g, IPC_ERROR_UPSTREAM, "token_too_short_lived", 0);
	else if (row->lease_left_ms > 0 && now - j->begun_ms < GRANT_WAIT_MS)
		grant_pause(g, LEASE_POLL_MS);
	else if (row->lease_left_ms > 0)
		grant_job_fail(g, IPC_ERROR_PROVIDER_DOWN, "leased_elsewhere", 1);
	else if (++j->rounds > GRANT_ROUNDS_MAX)
		grant_job_fail(g, IPC_ERROR_INTERNAL, "too_many_rounds", 1);
	else
		grant_flight_begin(g, row);
}

static void on_row(void *arg, enum err e, const struct pg_rows *rows)
{
	struct grant *g = arg;
	struct grant_job *j = g->jobs;
	const struct token_ask ask = {.app = sv_of(j->app, j->app_len),
				      .service = j->service,
				      .config_digest =
					  sv_of((const char *)j->digest, sizeof j->digest)};
	struct token_row row;
	struct token_held held;
	struct token_verdict v;
	struct secret *token = NULL;
	enum err opened = ERR_OK;

	if (e == ERR_OK)
		e = token_row_read(rows, &row);
	if (e != ERR_OK) {
		grant_job_fail(g, IPC_ERROR_STORE, err_text(e), 1);
		return;
	}
	token_open(g->broker->ring, &row, &ask, clock_wall_s(), &token, &held, &opened);
	if (opened != ERR_OK)
		log_error("token_not_opened", KS("service", j->service->name),
			  K("why", err_text(opened)), K("then", "fetching another"));
	v = token_judge(&row, &ask, &held);
	if (v.next == TOKEN_REFUSE)
		grant_job_fail(g, v.refusal, v.detail, 0);
	else if (v.next == TOKEN_ANSWER ||
		 (v.next == TOKEN_ANSWER_AND_RENEW && (j->stored || j->waiters != NULL)))
		grant_job_answer(g, token_view(j->service, token), held.left_ms);
	else
		refresh_or_wait(g, &row);
	secret_free(&token);
}

void grant_read(struct grant *g)
{
	struct grant_job *j = g->jobs;
	struct sv filed_as = token_filed_as(j->service);
	const struct pg_param params[] = {PG_BYTES(j->hash, sizeof j->hash), PG_SV(filed_as)};
	enum err rc;

	grant_set_state(g, GRANT_READING);
	rc = pg_query(g->broker->pg, SQL_TOKEN_SESSION, params, on_row, g, NULL);
	if (rc != ERR_OK)
		grant_job_fail(g, IPC_ERROR_STORE, err_text(rc), 1);
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	grant_read(arg);
}

void grant_pause(struct grant *g, int64_t ms)
{
	const struct timeval pause = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	grant_set_state(g, GRANT_PAUSED);
	if (g->timer != NULL)
		event_free(g->timer);
	g->timer = evtimer_new(g->broker->base, on_pause_over, g);
	if (g->timer == NULL || evtimer_add(g->timer, &pause) != 0)
		grant_job_fail(g, IPC_ERROR_INTERNAL, "no_timer", 1);
}

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

/* --- states --- */

static const char *state_word(enum grant_state s)
{
	switch (s) {
	case GRANT_NEW:
		return "new";
	case GRANT_READING:
		return "reading";
	case GRANT_QUEUED:
		return "queued";
	case GRANT_PAUSED:
		return "paused";
	case GRANT_LEASING:
		return "leasing";
	case GRANT_SENDING:
		return "sending";
	case GRANT_EXCHANGING:
		return "exchanging";
	case GRANT_CHECKING:
		return "checking";
	case GRANT_STORING:
		return "storing";
	case GRANT_RELEASING:
		return "releasing";
	case GRANT_ENDED:
		return "ended";
	}
	return "?";
}

/* Bit n: may be entered from state n. */
#define FROM(s) (1U << (s))
static const unsigned legal[] = {
    [GRANT_READING] = FROM(GRANT_NEW) | FROM(GRANT_READING) | FROM(GRANT_QUEUED) |
		      FROM(GRANT_PAUSED) | FROM(GRANT_SENDING) | FROM(GRANT_EXCHANGING) |
		      FROM(GRANT_STORING) | FROM(GRANT_RELEASING),
    [GRANT_QUEUED] = FROM(GRANT_READING),
    [GRANT_PAUSED] = FROM(GRANT_READING) | FROM(GRANT_LEASING),
    [GRANT_LEASING] = FROM(GRANT_READING) | FROM(GRANT_SENDING),
    [GRANT_SENDING] = FROM(GRANT_LEASING) | FROM(GRANT_READING),
    [GRANT_EXCHANGING] = FROM(GRANT_READING),
    [GRANT_CHECKING] = FROM(GRANT_SENDING),
    [GRANT_STORING] = FROM(GRANT_SENDING) | FROM(GRANT_EXCHANGING) | FROM(GRANT_CHECKING),
    [GRANT_RELEASING] = FROM(GRANT_LEASING) | FROM(GRANT_SENDING),
    [GRANT_ENDED] = ~FROM(GRANT_ENDED),
};

void grant_job_set_state(struct grant_job *j, enum grant_state to)
{
	log_debug("grant_state", K("from", state_word(j->state)), K("to", state_word(to)));
	assert((legal[to] & FROM(j->state)) != 0);
	j->state = to;
	j->waiters.late =
	    to == GRANT_STORING || to == GRANT_READING ? IPC_ERROR_STORE : IPC_ERROR_PROVIDER_DOWN;
}

void grant_job_wait(struct grant_job *j, enum grant_state to)
{
	metrics_count(j->grant->broker->metrics, METRIC_B_GRANT_WAITS,
		      METRICS_AT(to == GRANT_QUEUED ? METRICS_WAIT_QUEUED : METRICS_WAIT_LEASED));
	grant_job_set_state(j, to);
}

/* --- jobs --- */

const struct config_service *grant_job_wants(const struct grant_job *j)
{
	return j->subject ? &j->own : j->service;
}

struct sv grant_job_digest(const struct grant_job *j)
{
	const unsigned char *d = j->subject ? j->own_digest : j->digest;

	return sv_of((const char *)d, CRYPT_SHA256_LEN);
}

struct provider *grant_job_provider(const struct grant_job *j)
{
	return edition_provider(j->edition, j->service->provider->name);
}

/* Digests of session and id_token are one, but their tokens are not. */
static enum config_grant ask_grant(const struct grant_ask *ask)
{
	return ask->service == NULL ? GRANT_SESSION : ask->service->grant;
}

struct grant_job *grant_find(const struct grant *g, const struct grant_ask *ask)
{
	bool check = ask->kind == GRANT_JOB_CHECK;
	struct grant_job *j = g->jobs;

	while (j != NULL && !((j->kind == GRANT_JOB_CHECK) == check &&
			      memcmp(j->digest, ask->digest, sizeof j->digest) == 0 &&
			      j->service->grant == ask_grant(ask)))
		j = j->next;
	return j;
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
	j->kind = ask->kind;
	j->state = GRANT_NEW;
	j->own = (struct config_service){.name = TOKEN_SESSION_SERVICE,
					 .provider = ask->service == NULL ? ask->provider
									  : ask->service->provider,
					 .grant = GRANT_SESSION};
	j->service = ask->service == NULL ? &j->own : ask->service;
	if (token_config_digest(&j->own, j->own_digest) != ERR_OK) {
		free(j);
		return NULL;
	}
	j->edition = ask->edition;
	edition_ref(j->edition);
	memcpy(j->app, ask->app.p, ask->app.n);
	j->app_len = ask->app.n;
	memcpy(j->digest, ask->digest, sizeof j->digest);
	memcpy(j->hash, ask->hash, sizeof j->hash);
	j->checked = ask->checked;
	j->checked_arg = ask->arg;
	j->begun_ms = clock_boot_ms();
	buf_init(&j->refresh_sealed, VAULT_PLAIN_MAX + VAULT_OVERHEAD);
	buf_init(&j->id_token_sealed, VAULT_PLAIN_MAX + VAULT_OVERHEAD);
	buf_init(&j->token_sealed, VAULT_PLAIN_MAX + VAULT_OVERHEAD);
	while (*end != NULL)
		end = &(*end)->next;
	*end = j;
	g->njobs++;
	return j;
}

void grant_turn_away(const struct grant_ask *ask, struct request **r, const char *detail)
{
	if (r != NULL)
		request_fail(r, IPC_ERROR_PROVIDER_DOWN,
			     (struct request_failure){.retry_after_s = 1, .detail = detail});
	if (ask->checked != NULL)
		ask->checked(ask->arg, &(struct grant_checked){.code = IPC_ERROR_PROVIDER_DOWN,
							       .detail = detail,
							       .retry_after_s = 1});
}

void grant_ask(struct grant *g, const struct grant_ask *ask, struct request **r)
{
	struct grant_job *j = grant_find(g, ask);
	bool joins = j != NULL;

	if (j == NULL)
		j = add_job(g, ask);
	if (j == NULL || (joins && ask->checked != NULL))
		grant_turn_away(ask, r, j == NULL ? "queue_full" : "checked_already");
	else if (r != NULL) {
		if (!joins)
			j->trace = (*r)->trace;
		waiters_add(&j->waiters, r);
	}
	if (j == NULL && g->jobs == NULL)
		grant_table_drop(g);
	else if (j != NULL && !joins)
		grant_read(j);
}

void grant_job_wipe(struct grant_job *j)
{
	secret_free(&j->refresh_token);
	buf_done(&j->refresh_sealed);
	buf_done(&j->id_token_sealed);
	buf_done(&j->token_sealed);
}

/* The next one that waits for the refresh token looks whether it still needs it. */
static void wake(struct grant *g)
{
	struct grant_job *j = g->jobs;

	while (j != NULL && j->state != GRANT_QUEUED)
		j = j->next;
	if (g->holder == NULL && j != NULL)
		grant_read(j);
}

/* Its waiters were told. The last statement of whoever calls it. */
static void end(struct grant_job *j)
{
	struct grant *g = j->grant;
	struct grant_job **p = &g->jobs;

	assert(j->waiters.first == NULL);
	grant_job_set_state(j, GRANT_ENDED);
	while (*p != j)
		p = &(*p)->next;
	*p = j->next;
	g->njobs--;
	if (g->holder == j)
		g->holder = NULL;
	grant_job_wipe(j);
	login_claims_done(&j->claims);
	if (j->timer != NULL)
		event_free(j->timer);
	edition_unref(&j->edition);
	explicit_bzero(j, sizeof *j);
	free(j);
	if (g->broker->stopping)
		return;
	if (g->jobs == NULL)
		grant_table_drop(g);
	else
		wake(g);
}

static void tell_checked(struct grant_job *j, const struct grant_checked *c)
{
	grant_checked_fn fn = j->checked;

	j->checked = NULL;
	if (fn != NULL)
		fn(j->checked_arg, c);
}

void grant_job_fail(struct grant_job *j, enum ipc_error code, const char *detail, uint32_t retry_s)
{
	waiters_fail(&j->waiters, code, detail, retry_s);
	tell_checked(
	    j, &(struct grant_checked){.code = code, .detail = detail, .retry_after_s = retry_s});
	end(j);
}

void grant_job_answer(struct grant_job *j, struct sv token, int64_t left_ms)
{
	waiters_answer(&j->waiters, token, left_ms);
	tell_checked(j, &(struct grant_checked){.code = IPC_ERROR_NONE,
						.detail = "",
						.access_token = token,
						.sub = sv_of(j->sub, j->sub_len),
						.claims = &j->claims});
	end(j);
}

bool grant_job_hold(struct grant_job *j)
{
	struct grant *g = j->grant;

	if (g->holder != NULL && g->holder != j) {
		grant_job_wait(j, GRANT_QUEUED);
		return false;
	}
	g->holder = j;
	return true;
}

void grant_job_unhold(struct grant_job *j)
{
	if (j->grant->holder == j)
		j->grant->holder = NULL;
	wake(j->grant); /* j is still of this grant, which therefore stays */
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct grant_job *j = arg;

	(void)fd;
	(void)what;
	j->later(j);
}

void grant_job_later(struct grant_job *j, int64_t ms, void (*fn)(struct grant_job *j))
{
	const struct timeval tv = clock_timeval(ms);

	j->later = fn;
	if (j->timer == NULL)
		j->timer = evtimer_new(j->grant->broker->base, on_timer, j);
	if (j->timer == NULL || evtimer_add(j->timer, &tv) != 0)
		grant_job_fail(j, IPC_ERROR_INTERNAL, "no_timer", 1);
}

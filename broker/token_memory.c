#include "broker/token_memory.h"

#include <stdlib.h>

#include "broker/grant_table.h"
#include "broker/peer.h"
#include "common/clock.h"

struct token_memory {
	struct broker *broker;
	struct renewals *renewals;
	struct token_cache *cache;
	struct event *renew, *sweep;
	int64_t renew_at_ms; /* INT64_MAX: not set */
};

/* --- timers --- */

static void set_timer(struct event *timer, int64_t ms)
{
	struct timeval tv = clock_timeval(ms);

	(void)evtimer_add(timer, &tv); /* fails without memory alone; the next filing tries again */
}

static void plan(struct token_memory *m, int64_t now_ms, int64_t least_ms)
{
	int64_t wait = renewals_wait_ms(m->renewals, now_ms);

	if (wait == -1)
		return;
	if (wait < least_ms)
		wait = least_ms;
	if (now_ms + wait >= m->renew_at_ms)
		return;
	m->renew_at_ms = now_ms + wait;
	set_timer(m->renew, wait);
}

/* What is used now may stand in an edition that was not there when it was used. */
static void renew(struct token_memory *m, const struct renewal *r)
{
	for (struct edition *ed = m->broker->editions.newest; ed != NULL; ed = ed->next) {
		const struct edition_use *use = edition_uses_by_id(&ed->uses, r->id);
		struct grant_ask ask = {.grant_id = sv_of((const char *)r->grant_id, r->grant_id_n),
					.hash = r->hash,
					.edition = ed,
					.kind = GRANT_JOB_TOKEN};

		if (use == NULL)
			continue;
		ask.app = use->app->name;
		ask.service = use->service;
		ask.digest = use->digest;
		token_memory_renew(m->broker, &ask);
		return;
	}
}

static void on_renew(evutil_socket_t fd, short what, void *arg)
{
	struct token_memory *m = arg;
	int64_t now = clock_boot_ms();
	const struct renewal *r;

	(void)fd;
	(void)what;
	m->renew_at_ms = INT64_MAX;
	if (m->broker->draining)
		return;
	while (grant_table_count(m->broker->grants) < TOKEN_MEMORY_UNDER_WAY &&
	       (r = renewals_due(m->renewals, now)) != NULL)
		renew(m, r);
	plan(m, now, TOKEN_MEMORY_PACE_MS);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct token_memory *m = arg;
	struct session_cache *s = token_cache_sessions(m->cache);

	(void)fd;
	(void)what;
	session_cache_sweep(s, clock_boot_ms());
	if (session_cache_stats(s).entries > 0)
		set_timer(m->sweep, TOKEN_MEMORY_SWEEP_MS);
}

/* --- the object --- */

enum err token_memory_new(struct broker *b, struct token_memory **ret)
{
	struct token_memory *m = calloc(1, sizeof *m);
	uint64_t secrets[2];
	enum err rc = ERR_NOMEM;

	if (m == NULL)
		return rc;
	broker_random(secrets, sizeof secrets);
	m->broker = b;
	m->renew_at_ms = INT64_MAX;
	m->renew = evtimer_new(b->base, on_renew, m);
	m->sweep = evtimer_new(b->base, on_sweep, m);
	if (m->renew != NULL && m->sweep != NULL)
		rc = renewals_new(RENEWALS_MAX, secrets[0], &m->renewals);
	if (rc == ERR_OK)
		rc = token_cache_new(TOKEN_CACHE_MAX_BYTES, secrets[1], m->renewals, &m->cache);
	if (rc != ERR_OK) {
		token_memory_free(&m);
		return rc;
	}
	*ret = m;
	return ERR_OK;
}

void token_memory_free(struct token_memory **pm)
{
	struct token_memory *m = *pm;

	*pm = NULL;
	if (m == NULL)
		return;
	if (m->renew != NULL)
		event_free(m->renew);
	if (m->sweep != NULL)
		event_free(m->sweep);
	token_cache_free(&m->cache);
	renewals_free(&m->renewals);
	free(m);
}

static void on_notified(void *arg, struct sv payload)
{
	struct token_memory *m = arg;

	session_cache_notified(token_cache_sessions(m->cache), payload);
}

static void on_renewed(void *arg, const struct pg_trip *t)
{
	struct token_memory *m = arg;

	session_cache_renewed(token_cache_sessions(m->cache), t);
}

static void on_disturbed(void *arg, unsigned conn)
{
	struct token_memory *m = arg;

	session_cache_disturbed(token_cache_sessions(m->cache), conn);
}

struct pg_listener token_memory_listener(struct token_memory *m)
{
	return (struct pg_listener){on_notified, on_renewed, on_disturbed, m};
}

/* web.session_cache = off: every answer is made from a row that was read for it. */
static bool may_answer(const struct token_memory *m)
{
	return m->broker->editions.newest->config->web.session_cache;
}

bool token_memory_answer(struct peer *p, uint32_t id, const struct ipc_token_get *m)
{
	struct token_memory *t = p->broker->tokens;
	const struct edition_use *use =
	    p->edition == NULL ? NULL : edition_uses_find(&p->edition->uses, m->app, m->service);
	unsigned char hash[CRYPT_SHA256_LEN];
	struct ipc_message answer = {.number = IPC_TOKEN};
	struct token_found found;

	if (use == NULL || !may_answer(t) || m->session.n != IPC_SECRET_LEN ||
	    crypt_sha256(m->session, hash) != ERR_OK ||
	    token_cache_find(t->cache, hash, use, clock_boot_ms(), &found) != TOKEN_ANSWER)
		return false;
	pg_lease_used(p->broker->pg);
	answer.u.token = (struct ipc_token){.access_token = found.token,
					    .expires_in_ms = (uint64_t)found.left_ms};
	if (peer_answer(p, id, &answer) != ERR_OK)
		return false;
	p->broker->counts.from_memory++;
	return true;
}

bool token_memory_allows(struct token_memory *m, const unsigned char hash[CRYPT_SHA256_LEN],
			 const struct edition_use *use)
{
	struct token_found found;

	if (!may_answer(m) ||
	    token_cache_find(m->cache, hash, use, clock_boot_ms(), &found) != TOKEN_OF_SERVICE)
		return false;
	pg_lease_used(m->broker->pg);
	return true;
}

struct session_cache_stats token_memory_stats(const struct token_memory *m)
{
	return session_cache_stats(token_cache_sessions(m->cache));
}

size_t token_memory_renewals(const struct token_memory *m)
{
	return renewals_count(m->renewals);
}

uint64_t token_memory_tick(const struct token_memory *m)
{
	return session_cache_tick(token_cache_sessions(m->cache));
}

bool token_memory_believes(struct token_memory *m, const struct session_read *r)
{
	return session_cache_believes(token_cache_sessions(m->cache), r, clock_boot_ms());
}

void token_memory_file(struct token_memory *m, const struct edition_use *use,
		       const struct token_read *t)
{
	const struct token_filing f = {.read = t->read,
				       .id = use->id,
				       .row = t->row,
				       .held = *t->held,
				       .token = t->token,
				       .by = t->by};
	int64_t now = clock_boot_ms();

	token_cache_file(m->cache, &f, now);
	plan(m, now, 0);
	if (!evtimer_pending(m->sweep, NULL))
		set_timer(m->sweep, TOKEN_MEMORY_SWEEP_MS);
}

void token_memory_end(struct token_memory *m, const unsigned char hash[CRYPT_SHA256_LEN])
{
	session_cache_end(token_cache_sessions(m->cache), hash);
}

void token_memory_renew(struct broker *b, const struct grant_ask *ask)
{
	uint32_t left_s = 0;

	if (b->draining || grant_table_busy(b->grants, ask) ||
	    grant_held(b->grants, ask, &left_s) != IPC_ERROR_NONE)
		return;
	b->counts.ahead++;
	grant_table_ask(b->grants, ask, NULL);
}

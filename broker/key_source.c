#include "broker/key_source.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bucket.h"
#include "common/clock.h"
#include "common/log.h"

struct key_source {
	struct http_client *http;
	enum http_policy policy;
	struct sv name;
	const struct http_trust *trust;
	struct buf uri;
	struct jwks *keys;
	int64_t fetched_at_ms, failed_at_ms; /* 0: never */
	struct bucket unknown[KEY_ASKERS];
	struct http_flight *flight;
	TAILQ_HEAD(waiters, key_waiter) waiters;
};

enum err key_source_new(struct http_client *http, enum http_policy policy, struct sv name,
			const struct http_trust *trust, struct key_source **ret)
{
	struct key_source *ks = calloc(1, sizeof *ks);

	if (ks == NULL)
		return ERR_NOMEM;
	ks->http = http;
	ks->policy = policy;
	ks->name = name;
	ks->trust = trust;
	buf_init(&ks->uri, HTTP_URL_MAX);
	for (size_t i = 0; i < KEY_ASKERS; i++)
		bucket_init(&ks->unknown[i], KEYS_UNKNOWN_BURST, KEYS_UNKNOWN_EVERY_MS,
			    clock_boot_ms());
	TAILQ_INIT(&ks->waiters);
	*ret = ks;
	return ERR_OK;
}

void key_source_free(struct key_source **ks)
{
	if (*ks == NULL)
		return;
	assert(TAILQ_EMPTY(&(*ks)->waiters));
	http_flight_cancel(&(*ks)->flight);
	jwks_free(&(*ks)->keys);
	buf_done(&(*ks)->uri);
	free(*ks);
	*ks = NULL;
}

const struct jwks *key_source_keys(struct key_source *ks)
{
	if (ks->keys != NULL && clock_boot_ms() - ks->fetched_at_ms >= KEYS_STALE_MS)
		jwks_free(&ks->keys);
	return ks->keys;
}

bool key_source_wants_fetch(struct key_source *ks)
{
	int64_t now = clock_boot_ms();

	if (key_source_keys(ks) == NULL)
		return true;
	if (now - ks->fetched_at_ms < KEYS_FRESH_MS)
		return false;
	return ks->failed_at_ms == 0 || now - ks->failed_at_ms >= KEYS_RETRY_MS;
}

bool key_source_allows_unknown(struct key_source *ks, enum key_asker asker)
{
	return bucket_take(&ks->unknown[asker], clock_boot_ms());
}

static void wake(struct key_source *ks)
{
	struct waiters woken = TAILQ_HEAD_INITIALIZER(woken);
	struct key_waiter *w;

	/* First all out of the queue: a woken one may ask for the next fetch. */
	TAILQ_CONCAT(&woken, &ks->waiters, link);
	TAILQ_FOREACH(w, &woken, link)
	w->waiting = false;
	while ((w = TAILQ_FIRST(&woken)) != NULL) {
		TAILQ_REMOVE(&woken, w, link);
		w->fn(w->arg);
	}
}

static void on_answer(void *arg, const struct http_response *r)
{
	struct key_source *ks = arg;
	struct jwks *keys = NULL;
	enum err e = ERR_UNAVAILABLE;

	ks->flight = NULL;
	if (r->outcome == HTTP_ANSWERED && r->status == 200)
		e = jwks_parse(r->body, &keys);
	if (e == ERR_OK) {
		jwks_free(&ks->keys);
		ks->keys = keys;
		ks->fetched_at_ms = clock_boot_ms();
		ks->failed_at_ms = 0;
		log_info("provider_keys", KS("provider", ks->name), KU("keys", jwks_count(keys)));
	} else {
		ks->failed_at_ms = clock_boot_ms();
		log_warn("provider_keys_failed", KS("provider", ks->name), KI("status", r->status),
			 K("detail", r->detail), K("error", err_text(e)),
			 K("next", key_source_keys(ks) == NULL ? "none to serve" : "serving old"));
	}
	wake(ks);
}

enum err key_source_fetch(struct key_source *ks, struct key_waiter *w)
{
	struct http_request r = {.url = buf_sv(&ks->uri),
				 .policy = ks->policy,
				 .trust = ks->trust,
				 .provider = ks->name,
				 .what = METRICS_REQUEST_JWKS,
				 .fn = on_answer,
				 .arg = ks};
	enum err e = ERR_OK;

	if (ks->uri.n == 0)
		return ERR_UNAVAILABLE;
	if (ks->flight == NULL)
		e = http_client_send(ks->http, &r, &ks->flight);
	if (e == ERR_OK && w != NULL) {
		TAILQ_INSERT_TAIL(&ks->waiters, w, link);
		w->waiting = true;
	}
	return e;
}

enum err key_source_set_uri(struct key_source *ks, struct sv uri)
{
	if (sv_eq(buf_sv(&ks->uri), uri))
		return ERR_OK;
	buf_clear(&ks->uri);
	buf_add(&ks->uri, uri);
	jwks_free(&ks->keys); /* and what is under way from the old place is not wanted either */
	http_flight_cancel(&ks->flight);
	if (!TAILQ_EMPTY(&ks->waiters) && key_source_fetch(ks, NULL) != ERR_OK)
		wake(ks);
	return buf_ok(&ks->uri) ? ERR_OK : ERR_NOMEM;
}

void key_source_cancel(struct key_source *ks, struct key_waiter *w)
{
	if (w->waiting)
		TAILQ_REMOVE(&ks->waiters, w, link);
	w->waiting = false;
}

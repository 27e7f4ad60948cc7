#include "broker/provider_jws.h"

#include <stdlib.h>

#include "broker/jose.h"
#include "broker/provider_call.h"

struct judgement {
	struct provider_call call; /* first */
	struct event *soon;
	struct key_waiter waiter;
	struct buf jwt;
	struct jose_token token;
	enum key_asker asker;
	bool fetched;	      /* a fetch for freshness was tried */
	bool fetched_unknown; /* and one because the key was not there */
	provider_jws_fn fn;
	void *arg;
};

static void judgement_end(struct judgement *j)
{
	TAILQ_REMOVE(&j->call.provider->calls, &j->call, link);
	key_source_cancel(j->call.provider->keys, &j->waiter);
	if (j->soon != NULL)
		event_free(j->soon);
	j->soon = NULL;
}

static void judgement_free(struct judgement *j)
{
	buf_done(&j->jwt);
	free(j);
}

static void refuse(struct judgement *j, enum err e, enum jwt_refusal why)
{
	judgement_end(j);
	j->fn(j->arg, e, SV_NONE, SV_NONE, why);
	judgement_free(j);
}

static void judgement_cancel(struct provider_call *call)
{
	refuse((struct judgement *)call, ERR_CANCELED, JWT_NONE);
}

/* The signature held. */
static void hand_out(struct judgement *j)
{
	struct buf payload;

	buf_init(&payload, JOSE_TOKEN_MAX);
	if (jose_payload(&j->token, &payload) != ERR_OK) {
		refuse(j, ERR_CRYPTO, JWT_PAYLOAD);
	} else {
		judgement_end(j);
		j->fn(j->arg, ERR_OK, sv_of(j->token.header.typ, j->token.header.typ_n),
		      buf_sv(&payload), JWT_NONE);
		judgement_free(j);
	}
	buf_done(&payload);
}

/* One step: with the keys there are, or after a fetch; each kind of fetch at most once. */
static void judge(struct judgement *j)
{
	struct key_source *ks = j->call.provider->keys;
	enum jwt_refusal why;
	bool looked;

	if (!j->fetched && key_source_wants_fetch(ks)) {
		j->fetched = true;
		if (key_source_fetch(ks, &j->waiter) == ERR_OK)
			return;
	}
	if (key_source_keys(ks) == NULL) {
		refuse(j, ERR_UNAVAILABLE, JWT_NO_KEYS);
		return;
	}
	why = jwks_verify(key_source_keys(ks), &j->token);
	if (why == JWT_NONE) {
		hand_out(j);
		return;
	}
	looked = j->fetched || j->fetched_unknown;
	/* Rotated just before signing: a new kid, or no kid or the same one and a signature that
	 * does not hold. Not after a fetch of our own that has just brought this very set. */
	if (!looked && key_source_allows_unknown(ks, j->asker)) {
		j->fetched_unknown = true;
		if (key_source_fetch(ks, &j->waiter) == ERR_OK)
			return;
	}
	/* A stranger's key that we did not look for may be the provider's newest: come again. */
	if (!looked && why == JWT_KEY && j->asker == KEYS_FOR_STRANGER)
		refuse(j, ERR_UNAVAILABLE, why);
	else
		refuse(j, ERR_CRYPTO, why);
}

static void on_keys(void *arg)
{
	judge(arg);
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
	struct judgement *j = arg;
	enum jwt_refusal why;

	(void)fd;
	(void)what;
	why = jose_parse(buf_sv(&j->jwt), j->call.provider->config->signing_alg, &j->token);
	if (why != JWT_NONE)
		refuse(j, ERR_CRYPTO, why);
	else
		judge(j);
}

enum err provider_jws(struct provider *p, struct sv jwt, enum key_asker asker, provider_jws_fn fn,
		      void *arg)
{
	struct judgement *j = calloc(1, sizeof *j);

	if (j == NULL)
		return ERR_NOMEM;
	/* One more than jose_parse() takes: what is too long is refused there, with its word. */
	buf_init(&j->jwt, JOSE_TOKEN_MAX + 1);
	buf_add(&j->jwt, sv_cut(jwt, 0, JOSE_TOKEN_MAX + 1));
	j->soon = event_new(p->base, -1, 0, on_soon, j);
	if (j->soon == NULL || !buf_ok(&j->jwt)) {
		if (j->soon != NULL)
			event_free(j->soon);
		judgement_free(j);
		return ERR_NOMEM;
	}
	j->call.provider = p;
	j->call.cancel = judgement_cancel;
	j->waiter = (struct key_waiter){.fn = on_keys, .arg = j};
	j->asker = asker;
	j->fn = fn;
	j->arg = arg;
	TAILQ_INSERT_TAIL(&p->calls, &j->call, link);
	event_active(j->soon, EV_TIMEOUT, 0);
	return ERR_OK;
}

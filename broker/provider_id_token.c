/* provider_id_token() of provider.h: the token against the key set, then its claims. */
#include <stdlib.h>

#include "broker/provider_call.h"
#include "common/clock.h"

#define COPIES_MAX (4 * JOSE_TOKEN_MAX)

struct judgement {
	struct provider_call call; /* first */
	struct event *soon;
	struct key_waiter waiter;
	struct buf copies; /* of jwt and expect */
	struct jose_token token;
	struct id_token_expect expect;
	struct sv jwt;
	bool fetched;	      /* a fetch for freshness was tried */
	bool fetched_unknown; /* and one because the key was not there */
	provider_check_fn check;
	provider_id_token_fn fn;
	void *arg;
};

struct id_token_rules provider_rules(const struct provider *p, const struct id_token_expect *expect)
{
	const struct config_provider *c = p->config;

	return (struct id_token_rules){.issuer = c->issuer,
				       .client_id = c->client_id,
				       .alg = c->signing_alg,
				       .subject_claim = c->subject_claim,
				       .userinfo_follows = (c->claims_from & CLAIMS_USERINFO) != 0,
				       .keep_claims = c->keep_claims,
				       .expect = *expect,
				       .now_s = clock_wall_s()};
}

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
	buf_done(&j->copies);
	free(j);
}

static void judgement_cancel(struct provider_call *call)
{
	struct judgement *j = (struct judgement *)call;

	judgement_end(j);
	j->fn(j->arg, ERR_CANCELED, NULL, "");
	judgement_free(j);
}

static void refuse(struct judgement *j, enum err e, enum jwt_refusal why)
{
	judgement_end(j);
	j->fn(j->arg, e, NULL, jwt_refusal_word(why));
	judgement_free(j);
}

/* The signature held. */
static void check_claims(struct judgement *j)
{
	struct id_token_rules rules = provider_rules(j->call.provider, &j->expect);
	struct id_token t = {.payload = NULL};
	enum jwt_refusal why = JWT_PAYLOAD;
	struct buf payload;

	rules.typ = sv_of(j->token.header.typ, j->token.header.typ_n);
	buf_init(&payload, JOSE_TOKEN_MAX);
	if (jose_payload(&j->token, &payload) == ERR_OK)
		why = j->check(buf_sv(&payload), &rules, &t);
	buf_done(&payload);
	if (why != JWT_NONE) {
		refuse(j, ERR_CRYPTO, why);
		return;
	}
	judgement_end(j);
	j->fn(j->arg, ERR_OK, &t.claims, "");
	id_token_done(&t);
	judgement_free(j);
}

/* One step: with the keys there are, or after a fetch; each kind of fetch at most once. */
static void judge(struct judgement *j)
{
	struct key_source *ks = j->call.provider->keys;
	enum jwt_refusal why;

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
		check_claims(j);
		return;
	}
	/* Rotated just before signing: a new kid, or no kid or the same one and a signature that
	 * does not hold. Not after a fetch of our own that has just brought this very set. */
	if (!j->fetched && !j->fetched_unknown && key_source_allows_unknown(ks)) {
		j->fetched_unknown = true;
		if (key_source_fetch(ks, &j->waiter) == ERR_OK)
			return;
	}
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
	why = jose_parse(j->jwt, j->call.provider->config->signing_alg, &j->token);
	if (why != JWT_NONE)
		refuse(j, ERR_CRYPTO, why);
	else
		judge(j);
}

static struct sv copy(struct judgement *j, struct sv s)
{
	const char *at = buf_reserve(&j->copies, s.n); /* moves nothing: room was made for all */

	buf_add(&j->copies, s);
	return sv_of(at, s.n);
}

enum err provider_judge(struct provider *p, struct sv jwt, const struct id_token_expect *expect,
			provider_check_fn check, provider_id_token_fn fn, void *arg)
{
	struct judgement *j = calloc(1, sizeof *j);

	if (j == NULL)
		return ERR_NOMEM;
	buf_init(&j->copies, COPIES_MAX);
	j->soon = event_new(p->base, -1, 0, on_soon, j);
	if (j->soon == NULL ||
	    buf_reserve(&j->copies, jwt.n + expect->nonce.n + expect->access_token.n +
					expect->sub.n + 1) == NULL) {
		if (j->soon != NULL)
			event_free(j->soon);
		judgement_free(j);
		return ERR_NOMEM;
	}
	j->jwt = copy(j, jwt);
	j->expect.nonce = copy(j, expect->nonce);
	j->expect.access_token = copy(j, expect->access_token);
	j->expect.sub = copy(j, expect->sub);
	j->call.provider = p;
	j->call.cancel = judgement_cancel;
	j->waiter = (struct key_waiter){.fn = on_keys, .arg = j};
	j->check = check;
	j->fn = fn;
	j->arg = arg;
	TAILQ_INSERT_TAIL(&p->calls, &j->call, link);
	event_active(j->soon, EV_TIMEOUT, 0);
	return ERR_OK;
}

enum err provider_id_token(struct provider *p, struct sv jwt, const struct id_token_expect *expect,
			   provider_id_token_fn fn, void *arg)
{
	return provider_judge(p, jwt, expect, id_token_check, fn, arg);
}

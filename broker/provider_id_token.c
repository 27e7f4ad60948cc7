/* provider_id_token() of provider.h: signature, then what an ID token must say. */
#include <stdlib.h>

#include "broker/jose.h"
#include "broker/provider_call.h"
#include "broker/provider_jws.h"
#include "common/clock.h"
#include "common/preset.h"

struct question {
	struct provider *provider;
	struct buf copies; /* of expect */
	struct id_token_expect expect;
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
				       .azp_decides = preset_of(c->preset)->shares_id_tokens,
				       .auth_time_moves = preset_of(c->preset)->moves_auth_time,
				       .subject_claim = c->subject_claim,
				       .userinfo_follows = (c->claims_from & CLAIMS_USERINFO) != 0,
				       .keep_claims = c->keep_claims,
				       .expect = *expect,
				       .now_s = clock_wall_s()};
}

static void question_free(struct question *q)
{
	buf_done(&q->copies);
	free(q);
}

static void on_verified(void *arg, enum err e, struct sv typ, struct sv payload,
			enum jwt_refusal why)
{
	struct question *q = arg;
	struct id_token_rules rules = provider_rules(q->provider, &q->expect);
	struct id_token t = {.payload = NULL};

	rules.typ = typ;
	if (e == ERR_OK) {
		why = q->check(payload, &rules, &t);
		e = why == JWT_NONE ? ERR_OK : ERR_CRYPTO;
	}
	q->fn(q->arg, e, e == ERR_OK ? &t.claims : NULL, jwt_refusal_word(why));
	id_token_done(&t);
	question_free(q);
}

static struct sv copy(struct question *q, struct sv s)
{
	const char *at = buf_reserve(&q->copies, s.n); /* moves nothing: room was made for all */

	buf_add(&q->copies, s);
	return sv_of(at, s.n);
}

enum err provider_judge(struct provider *p, struct sv jwt, const struct id_token_expect *expect,
			provider_check_fn check, provider_id_token_fn fn, void *arg)
{
	size_t room =
	    expect->nonce.n + expect->access_token.n + expect->sub.n + expect->nonce_hash.n + 1;
	struct question *q = calloc(1, sizeof *q);
	enum err e = ERR_NOMEM;

	if (q == NULL)
		return ERR_NOMEM;
	q->provider = p;
	q->check = check;
	q->fn = fn;
	q->arg = arg;
	buf_init(&q->copies, 3 * JOSE_TOKEN_MAX);
	if (buf_reserve(&q->copies, room) != NULL) {
		q->expect.nonce = copy(q, expect->nonce);
		q->expect.access_token = copy(q, expect->access_token);
		q->expect.sub = copy(q, expect->sub);
		q->expect.nonce_hash = copy(q, expect->nonce_hash);
		q->expect.auth_time_s = expect->auth_time_s;
		e = provider_jws(p, jwt, KEYS_FOR_PROVIDER, on_verified, q);
	}
	if (e != ERR_OK)
		question_free(q);
	return e;
}

enum err provider_id_token(struct provider *p, struct sv jwt, const struct id_token_expect *expect,
			   provider_id_token_fn fn, void *arg)
{
	return provider_judge(p, jwt, expect, id_token_check, fn, arg);
}

/* provider_logout_token() of provider.h: signature, then what a logout token must say. */
#include <stdlib.h>

#include "broker/logout_token.h"
#include "broker/provider_call.h"
#include "broker/provider_jws.h"
#include "common/clock.h"

struct question {
	struct provider *provider;
	provider_logout_token_fn fn;
	void *arg;
};

static void on_verified(void *arg, enum err e, struct sv typ, struct sv payload,
			enum jwt_refusal why)
{
	struct question *q = arg;
	struct logout_token_rules rules = {.issuer = q->provider->config->issuer,
					   .client_id = q->provider->config->client_id,
					   .typ = typ,
					   .now_s = clock_wall_s()};
	struct logout_token t = {.payload = NULL};

	if (e == ERR_OK) {
		why = logout_token_check(payload, &rules, &t);
		e = why == JWT_NONE ? ERR_OK : ERR_CRYPTO;
	}
	q->fn(q->arg, e, e == ERR_OK ? &t : NULL, jwt_refusal_word(why));
	logout_token_done(&t);
	free(q);
}

enum err provider_logout_token(struct provider *p, struct sv jwt, provider_logout_token_fn fn,
			       void *arg)
{
	struct question *q = calloc(1, sizeof *q);
	enum err e;

	if (q == NULL)
		return ERR_NOMEM;
	*q = (struct question){.provider = p, .fn = fn, .arg = arg};
	e = provider_jws(p, jwt, KEYS_FOR_STRANGER, on_verified, q);
	if (e != ERR_OK)
		free(q);
	return e;
}

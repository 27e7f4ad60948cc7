/*
 * provider_call - what the files of a provider share
 *
 * provider.c owns metadata and life; provider_request.c the endpoints that the client authenticates
 * to; provider_jws.c the judgement of signatures, provider_id_token.c and provider_logout_token.c
 * that of claims; provider_userinfo.c UserInfo; provider_breaker.c what is not asked for a while. A
 * call is one question under way.
 */
#ifndef BFF_PROVIDER_CALL_H
#define BFF_PROVIDER_CALL_H

#include <sys/queue.h>

#include "broker/client_credential.h"
#include "broker/discovery.h"
#include "broker/holdoff.h"
#include "broker/http_client.h"
#include "broker/id_token.h"
#include "broker/key_source.h"
#include "broker/provider.h"
#include "broker/provider_breaker.h"

/* Head of each kind of call. cancel() takes it off the list, calls back with ERR_CANCELED, frees.
 */
struct provider_call {
	TAILQ_ENTRY(provider_call) link;
	struct provider *provider;
	void (*cancel)(struct provider_call *call);
};

struct provider {
	struct event_base *base;
	struct http_client *http;
	const struct config_provider *config;
	enum http_policy policy;
	struct provider_traits traits;
	struct client_credential *credential;
	struct discovery *discovery; /* NULL: never had */
	struct http_flight *flight;  /* of discovery */
	struct event *timer;	     /* next discovery */
	unsigned failures;	     /* of discovery, in a row */
	struct key_source *keys;
	struct provider_breaker pushes, userinfos;
	TAILQ_HEAD(, provider_call) calls;
};

/* What the payload must say once the signature held. */
typedef enum jwt_refusal (*provider_check_fn)(struct sv payload, const struct id_token_rules *rules,
					      struct id_token *ret);

/* provider_id_token() with another check. */
WARN_UNUSED enum err provider_judge(struct provider *p, struct sv jwt,
				    const struct id_token_expect *expect, provider_check_fn check,
				    provider_id_token_fn fn, void *arg);

/* The rules of the provider's configuration, as of now, without `typ`. */
struct id_token_rules provider_rules(const struct provider *p,
				     const struct id_token_expect *expect);

#endif

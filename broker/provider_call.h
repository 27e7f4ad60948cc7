/*
 * provider_call - what the three files of a provider share
 *
 * provider.c owns metadata and life; provider_request.c the token endpoint and revocation;
 * provider_id_token.c the judgement of ID tokens. A call is one question under way.
 */
#ifndef BFF_PROVIDER_CALL_H
#define BFF_PROVIDER_CALL_H

#include <sys/queue.h>

#include "broker/client_credential.h"
#include "broker/discovery.h"
#include "broker/http_client.h"
#include "broker/key_source.h"
#include "broker/provider.h"

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
	TAILQ_HEAD(, provider_call) calls;
};

#endif

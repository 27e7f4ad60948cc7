#include "broker/provider.h"

#include <stdlib.h>

#include "broker/provider_call.h"
#include "common/clock.h"
#include "common/crypt.h"
#include "common/log.h"
#include "common/preset.h"

#define DISCOVERY_EVERY_MS (60 * 60 * 1000)
#define DISCOVERY_RETRY_MIN_MS 1000
#define DISCOVERY_RETRY_MAX_MS 60000

static struct provider_traits traits_of(const struct config_provider *c)
{
	const struct preset *preset = preset_of(c->preset);

	return (struct provider_traits){.rotates = preset->rotation == ROTATION_SINGLE_USE,
					.consent_for_offline = preset->offline != OFFLINE_SCOPE,
					.access_type_offline =
					    preset->offline == OFFLINE_ACCESS_TYPE,
					.grace_ms = c->grace_ms};
}

const struct provider_traits *provider_traits(const struct provider *p)
{
	return &p->traits;
}

const struct provider_metadata *provider_metadata(struct provider *p)
{
	return p->discovery == NULL ? NULL : &p->discovery->metadata;
}

/* ms less up to a half: hosts that lost a provider together do not come back together. */
static int64_t jittered(int64_t ms)
{
	uint32_t r;

	if (crypt_random(&r, sizeof r) != ERR_OK)
		return ms;
	return ms - (int64_t)(r % (uint32_t)(ms / 2));
}

static void again_in(struct provider *p, int64_t ms)
{
	struct timeval tv = clock_timeval(ms);

	(void)event_add(p->timer, &tv); /* a timer that exists already cannot fail to be set */
}

static void discovery_failed(struct provider *p, enum err e, int status, const char *detail)
{
	int64_t ms = DISCOVERY_RETRY_MAX_MS;

	if (p->failures < 6)
		ms = (int64_t)DISCOVERY_RETRY_MIN_MS << p->failures;
	ms = jittered(ms > DISCOVERY_RETRY_MAX_MS ? DISCOVERY_RETRY_MAX_MS : ms);
	p->failures++;
	log_warn("provider_discovery_failed", KS("provider", p->config->name),
		 KS("issuer", p->config->issuer), K("error", err_text(e)), KI("status", status),
		 K("detail", detail), KI("retry_in_ms", ms),
		 K("next", p->discovery == NULL ? "logins answer 503" : "keeping the last good"));
	again_in(p, ms);
}

static void discovery_had(struct provider *p, struct discovery **d)
{
	enum err e = key_source_set_uri(p->keys, (*d)->metadata.jwks_uri);

	if (e != ERR_OK) {
		discovery_free(d);
		discovery_failed(p, e, 200, "jwks_uri");
		return;
	}
	if (p->discovery == NULL || p->failures > 0)
		log_info("provider_ready", KS("provider", p->config->name),
			 KS("issuer", p->config->issuer));
	discovery_free(&p->discovery);
	p->discovery = *d;
	p->failures = 0;
	again_in(p, jittered(DISCOVERY_EVERY_MS));
	/* Ahead of the first login; one that fails is repeated by whoever needs the keys. */
	if (key_source_wants_fetch(p->keys) && key_source_fetch(p->keys, NULL) != ERR_OK)
		log_warn("provider_keys_failed", KS("provider", p->config->name),
			 K("next", "at the first login"));
}

static void on_discovery(void *arg, const struct http_response *r)
{
	struct provider *p = arg;
	struct discovery *d = NULL;
	const char *detail = r->detail;
	enum err e = ERR_UNAVAILABLE;

	p->flight = NULL;
	if (r->outcome == HTTP_ANSWERED && r->status == 200)
		e = discovery_parse(r->body, p->config->issuer, p->policy,
				    http_trust_shows_certificate(p->credential->trust)
					? DISCOVERY_MUTUAL_TLS
					: DISCOVERY_PLAIN,
				    &d, &detail);
	if (e == ERR_OK)
		discovery_had(p, &d);
	else
		discovery_failed(p, e, r->status, detail);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct provider *p = arg;
	struct http_request r = {.policy = p->policy,
				 .trust = p->credential->trust,
				 .provider = p->config->name,
				 .what = METRICS_REQUEST_DISCOVERY,
				 .fn = on_discovery,
				 .arg = p};
	struct buf url;
	enum err e;

	(void)fd;
	(void)what;
	buf_init(&url, HTTP_URL_MAX);
	e = discovery_url(p->config->issuer, p->policy, &url);
	r.url = buf_sv(&url);
	if (e == ERR_OK)
		e = http_client_send(p->http, &r, &p->flight);
	buf_done(&url);
	if (e != ERR_OK)
		discovery_failed(p, e, 0, "request");
}

enum err provider_new(struct event_base *base, struct http_client *http,
		      const struct config_provider *config, struct client_credential **credential,
		      struct provider **ret)
{
	struct provider *p = calloc(1, sizeof *p);

	if (p == NULL)
		return ERR_NOMEM;
	p->base = base;
	p->http = http;
	p->config = config;
	p->policy = config->insecure_loopback ? HTTP_LOOPBACK_TOO : HTTP_ONLY_HTTPS;
	p->traits = traits_of(config);
	TAILQ_INIT(&p->calls);
	p->timer = evtimer_new(base, on_timer, p);
	if (p->timer == NULL || key_source_new(http, p->policy, config->name, (*credential)->trust,
					       &p->keys) != ERR_OK) {
		provider_free(&p);
		return ERR_NOMEM;
	}
	p->credential = *credential;
	*credential = NULL;
	again_in(p, 0);
	*ret = p;
	return ERR_OK;
}

void provider_free(struct provider **ret_p)
{
	struct provider *p = *ret_p;
	struct provider_call *call;

	if (p == NULL)
		return;
	while ((call = TAILQ_FIRST(&p->calls)) != NULL)
		call->cancel(call);
	http_flight_cancel(&p->flight);
	key_source_free(&p->keys);
	if (p->timer != NULL)
		event_free(p->timer);
	discovery_free(&p->discovery);
	client_credential_free(&p->credential);
	free(p);
	*ret_p = NULL;
}

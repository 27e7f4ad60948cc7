/* provider_fixture - a provider object against the scripted server: discovery, keys and token
 * endpoint on one port, a key of its own, and waiting for callbacks. */
#ifndef BFF_TEST_PROVIDER_FIXTURE_H
#define BFF_TEST_PROVIDER_FIXTURE_H

#include "broker/client_credential.h"
#include "broker/http_client.h"
#include "broker/provider.h"
#include "common/clock.h"
#include "tests/unit/broker/server.h"
#include "tests/unit/broker/signer.h"

#define DISCOVERY "GET /.well-known/openid-configuration"

static struct {
	struct event_base *base;
	struct server server;
	struct http_client *http;
	struct provider *provider;
	struct config_provider config;
	struct config_service service;
	char issuer[64];
	EVP_PKEY *key;
	struct buf pem;	 /* of private keys, in place of the client secret */
	struct buf text; /* scratch */
} t;

/* What the callbacks saw. */
struct seen {
	bool done;
	unsigned calls;
	enum err e;
	enum token_outcome outcome;
	char access_token[256], refresh_token[256], detail[64], sub[64], claims[256],
	    request_uri[256];
	uint32_t retry_after_s;
	int64_t expires_in_s;
	bool allow;
};

static inline void text_of(char *out, size_t max, struct sv s)
{
	snprintf(out, max, SV_FMT, SV_ARG(s));
}

static inline void on_token(void *arg, enum err e, const struct token_reply *r)
{
	struct seen *s = arg;

	s->done = true;
	s->calls++;
	s->e = e;
	if (r == NULL)
		return;
	s->outcome = r->outcome;
	s->expires_in_s = r->expires_in_s;
	s->retry_after_s = r->retry_after_s;
	text_of(s->access_token, sizeof s->access_token, r->access_token);
	text_of(s->refresh_token, sizeof s->refresh_token, r->refresh_token);
	text_of(s->detail, sizeof s->detail, sv_str(r->detail));
}

static inline void on_revoked(void *arg, enum err e, uint32_t retry_after_s)
{
	struct seen *s = arg;

	s->done = true;
	s->calls++;
	s->e = e;
	s->retry_after_s = retry_after_s;
}

static inline void on_pushed(void *arg, enum err e, struct sv request_uri, const char *detail)
{
	struct seen *s = arg;

	s->done = true;
	s->calls++;
	s->e = e;
	text_of(s->request_uri, sizeof s->request_uri, request_uri);
	text_of(s->detail, sizeof s->detail, sv_str(detail));
}

static inline void on_id_token(void *arg, enum err e, const struct id_token_claims *c,
			       const char *detail)
{
	struct seen *s = arg;

	s->done = true;
	s->calls++;
	s->e = e;
	text_of(s->detail, sizeof s->detail, sv_str(detail));
	if (c != NULL) {
		text_of(s->sub, sizeof s->sub, c->sub);
		text_of(s->claims, sizeof s->claims, c->claims);
	}
}

static inline bool may_send(void *arg)
{
	return ((struct seen *)arg)->allow;
}

/* The server's metadata; `extra` begins with a comma or is empty. */
static inline void serve_metadata(const char *issuer, const char *extra)
{
	char body[2048];

	snprintf(body, sizeof body,
		 "{\"issuer\":\"%s\",\"authorization_endpoint\":\"%s/authorize\","
		 "\"token_endpoint\":\"%s/token\",\"jwks_uri\":\"%s/keys\"%s}",
		 issuer, t.issuer, t.issuer, t.issuer, extra);
	server_on(&t.server, DISCOVERY, 200, body);
}

static inline void serve_key(EVP_PKEY *key, const char *extra)
{
	buf_clear(&t.text);
	buf_addf(&t.text, "{\"keys\":[");
	put_jwk(&t.text, key, extra);
	buf_addf(&t.text, "]}");
	buf_add_char(&t.text, '\0');
	server_on(&t.server, "GET /keys", 200, t.text.p);
}

static inline void loop_for_metadata(void)
{
	for (int i = 0; provider_metadata(t.provider) == NULL; i++) {
		assert_true(i < 10000);
		assert_int_equal(event_base_loop(t.base, EVLOOP_ONCE), 0);
	}
}

static inline void loop_for_hits(const char *path, unsigned hits)
{
	for (int i = 0; server_hits(&t.server, path) < hits; i++) {
		assert_true(i < 100000);
		assert_int_equal(event_base_loop(t.base, EVLOOP_ONCE), 0);
	}
}

/* Everything but the provider, so that a test may change the configuration first. */
static inline int set_up(void **state)
{
	static const struct sv keep[] = {SV_INIT("email"), SV_INIT("name")};

	(void)state;
	memset(&t, 0, sizeof t);
	t.base = event_base_new();
	server_start(&t.server, t.base);
	snprintf(t.issuer, sizeof t.issuer, "http://127.0.0.1:%u", t.server.port);
	t.config = (struct config_provider){.name = SV("idp"),
					    .preset = PRESET_OIDC_PROVIDER,
					    .issuer = sv_str(t.issuer),
					    .client_id = SV("app"),
					    .client_auth = CLIENT_SECRET_BASIC,
					    .signing_alg = ALG_ES256,
					    .subject_claim = SV("sub"),
					    .keep_claims = {keep, 2},
					    .insecure_loopback = true};
	t.service = (struct config_service){.name = SV("orders"),
					    .provider = &t.config,
					    .grant = GRANT_RESOURCE,
					    .resource = SV("https://orders.example/")};
	t.key = signer_key(ALG_ES256);
	buf_init(&t.text, 1024 * 1024);
	buf_init(&t.pem, 1024 * 1024);
	serve_metadata(t.issuer, "");
	serve_key(t.key, ",\"kid\":\"k1\"");
	return http_client_new(t.base, &t.http) == ERR_OK ? 0 : -1;
}

static inline void start_provider(void)
{
	struct client_credential *credential = NULL;
	struct sv secret = t.pem.n > 0 ? buf_sv(&t.pem) : SV("s3cr+et &");
	struct errmsg msg;

	assert_int_equal(client_credential_new(
			     &t.config, &(struct client_files){.secret = secret, .ca = SV_NONE},
			     &credential, &msg),
			 ERR_OK);
	assert_int_equal(provider_new(t.base, t.http, &t.config, &credential, &t.provider), ERR_OK);
	assert_null(credential);
}

static inline int set_up_ready(void **state)
{
	if (set_up(state) != 0)
		return -1;
	start_provider();
	loop_for_metadata();
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	provider_free(&t.provider);
	http_client_free(&t.http);
	server_stop(&t.server);
	event_base_free(t.base);
	EVP_PKEY_free(t.key);
	buf_done(&t.text);
	buf_done(&t.pem);
	clock_unset();
	return 0;
}

/* A token of our own key with these claims besides the usual ones. */
static inline struct sv id_token(EVP_PKEY *key, const char *header, const char *extra)
{
	char payload[1024];
	long long now = (long long)clock_wall_s();

	snprintf(payload, sizeof payload,
		 "{\"iss\":\"%s\",\"sub\":\"alice\",\"aud\":\"app\",\"iat\":%lld,\"exp\":%lld,"
		 "\"email\":\"a@example.com\",\"secret\":\"dropped\"%s}",
		 t.issuer, now, now + 300, extra);
	buf_clear(&t.text);
	put_token(&t.text, key, t.config.signing_alg, header, payload);
	return buf_sv(&t.text);
}

#define ES256_K1 "{\"alg\":\"ES256\",\"kid\":\"k1\"}"

#endif

#include "broker/client_auth.h"

#include "broker/token_request.h"
#include "common/b64.h"
#include "common/config_value.h"

#define CREDENTIALS_MAX (3 * (SECRET_FILE_MAX + 4096))

static enum err basic(const struct config_provider *p, struct sv secret, struct buf *authorization)
{
	struct buf pair;
	char *at;
	enum err e = ERR_NOMEM;

	buf_init(&pair, CREDENTIALS_MAX);
	form_escape(&pair, p->client_id);
	buf_add_char(&pair, ':');
	form_escape(&pair, secret);
	buf_add(authorization, SV("Basic "));
	at = buf_ok(&pair) ? buf_reserve(authorization, 4 * ((pair.n + 2) / 3)) : NULL;
	if (at != NULL) {
		authorization->n += b64_encode(pair.p, pair.n, at);
		e = ERR_OK;
	}
	buf_done(&pair);
	return e;
}

/* A pushed authorization request has it already. */
static void add_client_id(const struct config_provider *p, struct buf *form)
{
	if (!form_has(form, SV("client_id")))
		form_add(form, SV("client_id"), p->client_id);
}

static bool same_host(struct sv a, struct sv b)
{
	char text_a[CONFIG_ORIGIN_TEXT], text_b[CONFIG_ORIGIN_TEXT];
	struct config_origin of_a, of_b;
	struct sv rest;

	return config_parse_url(a, text_a, &of_a, &rest) == ERR_OK &&
	       config_parse_url(b, text_b, &of_b, &rest) == ERR_OK &&
	       sv_eq_nocase(of_a.host, of_b.host);
}

/* SECURITY: the audience is the issuer, alone: an assertion for one server is of no use at another.
 * Metadata that name another's token endpoint would have us sign for that one; hence its host must
 * be the issuer's where the endpoint is the audience. */
static enum err audience(const struct client_auth *a, struct sv *ret)
{
	*ret = a->provider->issuer;
	if (a->provider->assertion_audience != AUDIENCE_TOKEN_ENDPOINT)
		return ERR_OK;
	*ret = a->token_endpoint;
	return same_host(a->provider->issuer, a->token_endpoint) ? ERR_OK : ERR_DENIED;
}

static enum err add_assertion(const struct client_auth *a, struct buf *form)
{
	const struct config_provider *p = a->provider;
	struct buf jwt;
	struct sv aud;
	enum err e = audience(a, &aud);

	if (e != ERR_OK)
		return e;

	buf_init(&jwt, JOSE_TOKEN_MAX);
	e = client_assertion(a->credential->keys, a->rsa, p->client_id, aud, a->now_s, &jwt);
	if (e == ERR_OK) {
		add_client_id(p, form);
		form_add(form, SV("client_assertion_type"),
			 SV("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
		form_add(form, SV("client_assertion"), buf_sv(&jwt));
	}
	buf_done(&jwt);
	return e;
}

enum err client_auth_apply(const struct client_auth *a, struct buf *form, struct buf *authorization)
{
	const struct config_provider *p = a->provider;
	struct sv secret = a->credential == NULL ? SV_NONE : secret_view(a->credential->secret);
	bool has_keys = a->credential != NULL && a->credential->keys != NULL;
	enum err e = ERR_CONFIG;

	switch (p->client_auth) {
	case CLIENT_SECRET_BASIC:
		if (secret.n > 0)
			e = basic(p, secret, authorization);
		break;
	case CLIENT_SECRET_POST:
		if (secret.n == 0)
			break;
		add_client_id(p, form);
		form_add(form, SV("client_secret"), secret);
		e = ERR_OK;
		break;
	case CLIENT_PRIVATE_KEY_JWT:
		if (has_keys)
			e = add_assertion(a, form);
		break;
	case CLIENT_TLS:
		if (a->credential == NULL || !http_trust_shows_certificate(a->credential->trust))
			break;
		add_client_id(p, form);
		e = ERR_OK;
		break;
	}
	return e == ERR_OK && !buf_ok(form) ? ERR_NOMEM : e;
}

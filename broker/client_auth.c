#include "broker/client_auth.h"

#include "broker/token_request.h"
#include "common/b64.h"

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

/* The audience is the issuer, alone: an assertion for one server is of no use at another. */
static enum err add_assertion(const struct client_auth *a, struct buf *form)
{
	const struct config_provider *p = a->provider;
	struct buf jwt;
	enum err e;

	buf_init(&jwt, JOSE_TOKEN_MAX);
	e = client_assertion(a->credential->keys, a->rsa, p->client_id, p->issuer, a->now_s, &jwt);
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
		if (secret.n == 0)
			break;
		add_client_id(p, form);
		e = ERR_OK;
		break;
	}
	return e == ERR_OK && !buf_ok(form) ? ERR_NOMEM : e;
}

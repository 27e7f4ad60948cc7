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

enum err client_auth_apply(const struct config_provider *p, struct sv secret, struct buf *form,
			   struct buf *authorization)
{
	switch (p->client_auth) {
	case CLIENT_SECRET_BASIC:
		return secret.n == 0 ? ERR_CONFIG : basic(p, secret, authorization);
	case CLIENT_SECRET_POST:
		if (secret.n == 0)
			return ERR_CONFIG;
		add_client_id(p, form);
		form_add(form, SV("client_secret"), secret);
		return buf_ok(form) ? ERR_OK : ERR_NOMEM;
	case CLIENT_PRIVATE_KEY_JWT:
	case CLIENT_TLS:
		return ERR_UNSUPPORTED;
	}
	return ERR_UNSUPPORTED;
}

#include "broker/prefetch.h"

#include "broker/grant_table.h"
#include "broker/service_token.h"

void prefetch(struct broker *b, struct edition *ed, const struct config_app *app,
	      struct sv grant_id, const unsigned char hash[CRYPT_SHA256_LEN])
{
	const struct config *c = ed->config;

	for (size_t i = 0; i < c->nservices && !b->draining; i++) {
		const struct config_service *s = &c->services[i];
		unsigned char digest[CRYPT_SHA256_LEN];
		const struct grant_ask ask = {.grant_id = grant_id,
					      .app = app->name,
					      .hash = hash,
					      .digest = digest,
					      .edition = ed,
					      .service = s,
					      .kind = GRANT_JOB_PREFETCH};

		if (!s->prefetch || s->provider != app->provider || !token_app_uses(c, app, s) ||
		    token_config_digest(s, digest) != ERR_OK)
			continue;
		if (s->grant == GRANT_CLIENT_CREDENTIALS)
			service_token_ask(b->service_tokens, ed, s, digest, NULL);
		else
			grant_table_ask(b->grants, &ask, NULL);
	}
}

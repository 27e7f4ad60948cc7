#include "worker/client_binding.h"

#include "common/crypt.h"
#include "worker/client_prefix.h"

#define LABEL SV("bff client v1")
#define TEXT_MAX (sizeof "bff client v1" + 1 + CRYPT_SHA256_LEN + CLIENT_PREFIX_MAX)

enum err client_binding(const struct config_app *app, struct sv secret, struct sv user_agent,
			struct sv address, unsigned char out[COOKIE_CLIENT_LEN])
{
	unsigned char mac[CRYPT_SHA256_LEN], agent[CRYPT_SHA256_LEN];
	char prefix[CLIENT_PREFIX_MAX];
	struct buf text;
	enum err e = ERR_OK;

	buf_init(&text, TEXT_MAX);
	buf_add(&text, LABEL);
	buf_add_char(&text, (char)('0' + app->bind_session));
	if ((app->bind_session & BIND_USER_AGENT) != 0) {
		e = crypt_sha256(user_agent, agent);
		buf_add(&text, sv_of((const char *)agent, sizeof agent));
	}
	if ((app->bind_session & BIND_ADDRESS) != 0)
		buf_add(&text, client_prefix(address, prefix));
	if (e == ERR_OK)
		e = buf_ok(&text) ? crypt_hmac_sha256(secret, buf_sv(&text), mac) : ERR_NOMEM;
	if (e == ERR_OK)
		memcpy(out, mac, COOKIE_CLIENT_LEN);
	buf_done(&text);
	return e;
}

bool client_binding_holds(const struct config_app *app, const struct cookie_session *s,
			  struct sv user_agent, struct sv address)
{
	struct sv secret = sv_of((const char *)s->secret, sizeof s->secret);
	unsigned char want[COOKIE_CLIENT_LEN];

	if (app->bind_session == 0)
		return true;
	return s->bound && client_binding(app, secret, user_agent, address, want) == ERR_OK &&
	       crypt_equal(sv_of((const char *)want, sizeof want),
			   sv_of((const char *)s->client, sizeof s->client));
}

#include "broker/provider.h"
enum err provider_userinfo(struct provider *p, struct sv access_token, struct sv sub,
			   provider_id_token_fn fn, void *arg)
{
	(void)p;
	(void)access_token;
	(void)sub;
	(void)fn;
	(void)arg;
	return ERR_UNSUPPORTED;
}

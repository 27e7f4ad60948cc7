/*
 * edition_use - which app may use which service, looked up in one step
 *
 * Made once for an edition from its routes: an app's service that no route names is not there, and
 * neither is one of another provider. SECURITY: this is what a taken-over worker can ask tokens of.
 */
#ifndef BFF_EDITION_USE_H
#define BFF_EDITION_USE_H

#include "common/config.h"
#include "common/crypt.h"

struct edition_use {
	const struct config_app *app;
	const struct config_service *service;
	unsigned char digest[CRYPT_SHA256_LEN]; /* token_config_digest() of the service */
	/* Names what is had by whom: the app, the digest, and the kind of grant. The same in every
	 * edition in which nothing of that changed. */
	unsigned char id[CRYPT_SHA256_LEN];
};

struct edition_uses {
	struct edition_use *v;
	size_t n;
	uint32_t *slots; /* 1 + index into v; 0: free */
	size_t mask;
};

WARN_UNUSED enum err edition_uses_make(const struct config *c, struct edition_uses *ret);
void edition_uses_done(struct edition_uses *u);

/* NULL: not allowed, or no such names. */
const struct edition_use *edition_uses_find(const struct edition_uses *u, struct sv app,
					    struct sv service);

/* NULL: not in this edition any more. */
const struct edition_use *edition_uses_by_id(const struct edition_uses *u,
					     const unsigned char id[CRYPT_SHA256_LEN]);

#endif

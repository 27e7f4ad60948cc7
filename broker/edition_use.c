#include "broker/edition_use.h"

#include <stdlib.h>

#include "broker/token_seal.h"

/* Keys are those of our own configuration, so nobody can crowd a slot. */
static size_t spread(struct sv app, struct sv service)
{
	uint64_t h = sv_hash(SV_HASH_START, app);

	h = sv_hash(sv_hash(h, SV("\xff")), service); /* a byte in no name between them */
	return (size_t)(h ^ h >> 32);
}

static enum err make_id(struct edition_use *u)
{
	struct buf b;
	enum err rc = ERR_NOMEM;

	buf_init(&b, CONFIG_NAME_MAX + CRYPT_SHA256_LEN + 64);
	buf_add(&b, sv_of((const char *)u->digest, sizeof u->digest));
	buf_add_u64(&b, (uint64_t)u->service->grant);
	buf_add_char(&b, ':');
	buf_add(&b, u->app->name);
	if (buf_ok(&b))
		rc = crypt_sha256(buf_sv(&b), u->id);
	buf_done(&b);
	return rc;
}

static enum err add(struct edition_uses *u, const struct config_route *r)
{
	struct edition_use use = {.app = r->app, .service = r->service};
	size_t at;
	enum err rc;

	if (r->service == NULL || r->service->provider != r->app->provider ||
	    edition_uses_find(u, r->app->name, r->service->name) != NULL)
		return ERR_OK;
	rc = token_config_digest(use.service, use.digest);
	if (rc == ERR_OK)
		rc = make_id(&use);
	if (rc != ERR_OK)
		return rc;
	at = spread(r->app->name, r->service->name) & u->mask;
	while (u->slots[at] != 0)
		at = (at + 1) & u->mask;
	u->v[u->n++] = use;
	u->slots[at] = (uint32_t)u->n;
	return ERR_OK;
}

enum err edition_uses_make(const struct config *c, struct edition_uses *ret)
{
	struct edition_uses u = {0};
	size_t nslots = 8;
	enum err rc = ERR_OK;

	while (nslots < 2 * c->nroutes)
		nslots *= 2;
	u.mask = nslots - 1;
	u.v = calloc(c->nroutes + 1, sizeof *u.v);
	u.slots = calloc(nslots, sizeof *u.slots);
	if (u.v == NULL || u.slots == NULL)
		rc = ERR_NOMEM;
	for (size_t i = 0; rc == ERR_OK && i < c->nroutes; i++)
		rc = add(&u, &c->routes[i]);
	if (rc != ERR_OK) {
		edition_uses_done(&u);
		return rc;
	}
	*ret = u;
	return ERR_OK;
}

void edition_uses_done(struct edition_uses *u)
{
	free(u->v);
	free(u->slots);
	*u = (struct edition_uses){0};
}

const struct edition_use *edition_uses_find(const struct edition_uses *u, struct sv app,
					    struct sv service)
{
	size_t at = spread(app, service) & u->mask;

	for (; u->slots[at] != 0; at = (at + 1) & u->mask) {
		const struct edition_use *x = &u->v[u->slots[at] - 1];

		if (sv_eq(x->app->name, app) && sv_eq(x->service->name, service))
			return x;
	}
	return NULL;
}

const struct edition_use *edition_uses_by_id(const struct edition_uses *u,
					     const unsigned char id[CRYPT_SHA256_LEN])
{
	for (size_t i = 0; i < u->n; i++)
		if (memcmp(u->v[i].id, id, CRYPT_SHA256_LEN) == 0)
			return &u->v[i];
	return NULL;
}

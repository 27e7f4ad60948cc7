/*
 * edition - one reading of the configuration, with its providers at run time
 *
 * A worker's hello names the edition it was started with by the digest of its provider, service
 * and app sections. While a peer, a request or a refresh uses an edition it stays; besides those
 * the newest and up to EDITIONS_MAX in all, so that a worker that crashes and comes back with the
 * configuration of before is still understood. A digest that none has makes the file be read
 * once more: EDITION_REREADS at once, then one every EDITION_REREAD_MS.
 *
 * A provider whose section did not change is shared with the edition before, so that metadata and
 * keys survive a reload; its client secret and keys are then those of before, too.
 *
 * Failure: a file that does not load changes nothing.
 */
#ifndef BFF_EDITION_H
#define BFF_EDITION_H

#include <event2/event.h>

#include "broker/bucket.h"
#include "broker/edition_use.h"
#include "broker/holdoff.h"
#include "broker/provider.h"
#include "common/crypt.h"

#define EDITIONS_MAX 8
#define EDITION_REREADS 4
#define EDITION_REREAD_MS 1000

struct edition {
	struct edition *next; /* older */
	unsigned refs;
	struct config *config;
	unsigned char digest[CRYPT_SHA256_LEN];
	struct provider **providers; /* of config->providers, in order */
	struct edition **lenders;    /* whose providers[i] it is; NULL: our own */
	struct holdoffs holdoffs;
	struct edition_uses uses;
};

struct editions {
	struct event_base *base;
	struct http_client *http;
	const char *path;
	struct edition *newest;
	size_t n;
	struct bucket rereads;
};

/* Without editions; borrows all three. */
void editions_init(struct editions *e, struct event_base *base, struct http_client *http,
		   const char *path);

/* Takes *config, also on failure, and makes it the newest. ERR_CONFIG: a file of a client secret,
 * key or authority. */
WARN_UNUSED enum err editions_add(struct editions *e, struct config **config, struct errmsg *msg);

/* Ends its providers: their pending callbacks come now, with ERR_CANCELED. */
void edition_stop(struct edition *ed);

/* Frees all; nobody holds one any more. */
void editions_done(struct editions *e);

/* By digest, re-reading the file when none has it; NULL: unknown (logged). Not referenced. */
struct edition *editions_find(struct editions *e, struct sv digest);

void edition_ref(struct edition *ed);
/* Sets *ed to NULL. Accepts NULL. */
void edition_unref(struct edition **ed);

/* NULL: not in this edition. */
struct provider *edition_provider(const struct edition *ed, struct sv name);

/* What is held off of this provider of this edition, under *p: as of the provider itself, those
 * who share it share that, and a reload forgets nothing. Services have theirs in ed->holdoffs. */
struct holdoffs *edition_holdoffs(struct edition *ed, const struct config_provider **p);

/* Of the newest edition that has it with this issuer; NULL: none. */
struct provider *editions_provider(const struct editions *e, struct sv name, struct sv issuer);

/* The newest edition that has this app, not referenced, and the app in it; NULL: none. */
struct edition *editions_app(const struct editions *e, struct sv name,
			     const struct config_app **ret_app);

/* Reads every client secret, key and authority once and forgets it: `bff-broker -t`. */
WARN_UNUSED enum err edition_check_secrets(const struct config *c, struct errmsg *msg);

#endif

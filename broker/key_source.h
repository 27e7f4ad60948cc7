/*
 * key_source - one provider's key set, fetched and kept
 *
 * Fetches are coalesced: who asks while one is under way waits for that one. A set is fresh for
 * KEYS_FRESH_MS and serves for KEYS_STALE_MS when it cannot be fetched anew; then there are no
 * keys. A key that is not in the set costs a fetch only while the bucket has a token, because
 * tokens are a stranger's text until they are verified.
 */
#ifndef BFF_KEY_SOURCE_H
#define BFF_KEY_SOURCE_H

#include <sys/queue.h>

#include "broker/http_client.h"
#include "broker/jwks.h"

#define KEYS_FRESH_MS (10 * 60 * 1000)
#define KEYS_STALE_MS (60 * 60 * 1000)
#define KEYS_RETRY_MS 5000 /* after a failed fetch, while old keys serve */
#define KEYS_UNKNOWN_BURST 2
#define KEYS_UNKNOWN_EVERY_MS 60000

struct key_source;

/* Who brings the token whose key is looked for: the provider itself over a connection that we made,
 * or anybody. Each has a bucket of its own. */
enum key_asker { KEYS_FOR_PROVIDER = 0, KEYS_FOR_STRANGER, KEY_ASKERS };

/* In the waiting object's own memory; fn is called once, from the loop, unless canceled. */
struct key_waiter {
	TAILQ_ENTRY(key_waiter) link;
	bool waiting;
	void (*fn)(void *arg);
	void *arg;
};

/* `name` of the provider, for the log, and `trust` of http_request; both outlive it. */
WARN_UNUSED enum err key_source_new(struct http_client *http, enum http_policy policy,
				    struct sv name, const struct http_trust *trust,
				    struct key_source **ret);
/* Nobody waits any more. */
void key_source_free(struct key_source **ks);

/* Where the set is; another place than before makes the next question fetch. ERR_NOMEM. */
WARN_UNUSED enum err key_source_set_uri(struct key_source *ks, struct sv uri);

/* Valid until the loop turns; NULL: none, or too old to serve. */
const struct jwks *key_source_keys(struct key_source *ks);

/* Whether a question should fetch first. */
bool key_source_wants_fetch(struct key_source *ks);
/* The same for a key that is not in the set; takes a token from the asker's bucket. */
bool key_source_allows_unknown(struct key_source *ks, enum key_asker asker);

/* Starts a fetch or joins the one under way; w may be NULL. An error: w is not called. */
WARN_UNUSED enum err key_source_fetch(struct key_source *ks, struct key_waiter *w);
void key_source_cancel(struct key_source *ks, struct key_waiter *w);

#endif

/*
 * token_memory - token requests answered without the database, and tokens renewed ahead
 *
 * token_cache and renewal on the broker's loop: events of the pool in, due renewals out. At most
 * TOKEN_MEMORY_UNDER_WAY grants are asked at a time, so that requests always find room.
 */
#ifndef BFF_TOKEN_MEMORY_H
#define BFF_TOKEN_MEMORY_H

#include "broker/token_cache.h"

#define TOKEN_MEMORY_UNDER_WAY 128 /* of HTTP_FLIGHTS_MAX; the others are for those who wait */
#define TOKEN_MEMORY_PACE_MS 10	   /* while more are due than may be under way */
#define TOKEN_MEMORY_SWEEP_MS 5000

struct broker;
struct edition;
struct grant_ask;
struct peer;
struct ipc_token_get;
struct token_memory;

/* b->pg is not there yet. */
WARN_UNUSED enum err token_memory_new(struct broker *b, struct token_memory **ret);
void token_memory_free(struct token_memory **m);

/* What the pool tells us. */
struct pg_listener token_memory_listener(struct token_memory *m);

/* True: answered. Allocates nothing and makes no system call. */
bool token_memory_answer(struct peer *p, uint32_t id, const struct ipc_token_get *m);

/* Whether this session may have a token of the service itself (TOKEN_OF_SERVICE). */
bool token_memory_allows(struct token_memory *m, const unsigned char hash[CRYPT_SHA256_LEN],
			 const struct edition_use *use);

struct session_cache_stats token_memory_stats(const struct token_memory *m);
size_t token_memory_renewals(const struct token_memory *m);

/* Right before TOKEN_READ is sent (session_cache_tick()). */
uint64_t token_memory_tick(const struct token_memory *m);

/* False: the row is to be read again (session_cache_believes()). */
bool token_memory_believes(struct token_memory *m, const struct session_read *r);

/* A row that was just judged; token: what stands there for this use, or empty. */
struct token_read {
	struct session_read read;
	const struct token_row *row;
	const struct token_held *held;
	struct sv token;
	enum renewal_by by;
};
void token_memory_file(struct token_memory *m, const struct edition_use *use,
		       const struct token_read *t);

/* The session ended by our own doing. */
void token_memory_end(struct token_memory *m, const unsigned char hash[CRYPT_SHA256_LEN]);

/* A renewal ahead of time, which does not insist. */
void token_memory_renew(struct broker *b, const struct grant_ask *ask);

#endif

/*
 * token_cache - what answering a token request needs, in memory
 *
 * The broker's values in common/session_cache: of a session's row what token_judge() looks at, and
 * beside it the access tokens that were read or fetched, one a service and configuration
 * (edition_use.id). They go, wiped, with the session. Answers yes only: what memory does not answer
 * is judged by the row, refusals above all. Also notes what is to be renewed ahead (renewal.h).
 * Pure of I/O; token_memory puts it on the loop.
 */
#ifndef BFF_TOKEN_CACHE_H
#define BFF_TOKEN_CACHE_H

#include "broker/edition_use.h"
#include "broker/renewal.h"
#include "common/session_cache.h"

#define TOKEN_CACHE_MAX_BYTES ((size_t)256 * 1024 * 1024)
#define TOKEN_CACHE_TOKENS_MAX 64 /* of one session */

struct token_cache;

/* `renewals` outlives it. */
WARN_UNUSED enum err token_cache_new(size_t max_bytes, uint64_t secret, struct renewals *renewals,
				     struct token_cache **ret);
void token_cache_free(struct token_cache **c);

/* For the events of the pool. */
struct session_cache *token_cache_sessions(const struct token_cache *c);

struct token_found {
	struct sv token; /* borrowed until the next call that changes the cache */
	int64_t left_ms;
};
/* TOKEN_ANSWER with the token that this session may have now; TOKEN_OF_SERVICE: it may have the
 * service's own; 0: read the row. */
enum token_next token_cache_find(struct token_cache *c, const unsigned char hash[CRYPT_SHA256_LEN],
				 const struct edition_use *use, int64_t now_ms,
				 struct token_found *ret);

/* A row that was just read, of a live session, and the token that stands there for this use: n ==
 * 0: none. Copies what it keeps. */
struct token_filing {
	struct session_read read;
	const unsigned char *id; /* of the use */
	const struct token_row *row;
	struct token_held held;
	struct sv token;
	enum renewal_by by;
};
void token_cache_file(struct token_cache *c, const struct token_filing *f, int64_t now_ms);

#endif

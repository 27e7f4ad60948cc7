/*
 * renewal - which tokens are to be renewed ahead of their end, and when
 *
 * One entry for a session and what it uses (edition_use.id), in a heap by due time: the margin of
 * token_row.h before the token's end, with its jitter. Due entries come out if their token was used
 * within its last lifetime and still serves; others are forgotten. An entry that came out is due
 * again after RENEWAL_RETRY_MS, doubled from try to try, until renewal_note() brings a token that
 * ends later: so a provider that is away or that gives nothing new is not asked in a loop.
 * Times are clock_boot_ms(). Pure of I/O. Past its limit nothing new is taken on: such a token is
 * renewed when a request finds it within its margin.
 */
#ifndef BFF_RENEWAL_H
#define BFF_RENEWAL_H

#include "broker/token_seal.h"

#define RENEWALS_MAX 1000000
#define RENEWAL_SLACK_MS                                                                           \
	500 /* into the margin: by the database's clock, too, which says a little more */
#define RENEWAL_RETRY_MS 5000
#define RENEWAL_RETRY_MAX_MS 300000

struct renewals;

struct renewal {
	struct renewal *next;	 /* of its chain */
	struct renewal **holder; /* who has a pointer to it, to be cleared; NULL: nobody */
	size_t at;		 /* in the heap */
	int64_t due_ms, expires_ms, ttl_ms, used_ms;
	unsigned tries; /* since the token last changed */
	unsigned grant_id_n;
	unsigned char grant_id[TOKEN_GRANT_ID_MAX];
	unsigned char hash[CRYPT_SHA256_LEN]; /* of the session */
	unsigned char id[CRYPT_SHA256_LEN];   /* edition_use.id */
};

WARN_UNUSED enum err renewals_new(size_t max, uint64_t secret, struct renewals **ret);
void renewals_free(struct renewals **r);

enum renewal_by { RENEWAL_BY_REQUEST = 1, RENEWAL_BY_US };

/* A token stands there: expires_ms and ttl_ms are its. Asked for by a request it counts as used; by
 * us alone it does not make an entry. NULL: none. */
struct renewal *renewals_note(struct renewals *r, const unsigned char hash[CRYPT_SHA256_LEN],
			      const unsigned char id[CRYPT_SHA256_LEN], struct sv grant_id,
			      int64_t expires_ms, int64_t ttl_ms, enum renewal_by by,
			      int64_t now_ms);

/* *holder points to it from now on, and becomes NULL when it is forgotten. */
void renewal_hold(struct renewal *r, struct renewal **holder);
/* *holder is about to go. */
void renewal_release(struct renewal **holder);

/* The next one to be renewed now; NULL: none. Borrowed until the next call. */
const struct renewal *renewals_due(struct renewals *r, int64_t now_ms);

/* Until the next one may be due; -1: there is none. */
int64_t renewals_wait_ms(const struct renewals *r, int64_t now_ms);

size_t renewals_count(const struct renewals *r);

#endif

/*
 * rate_limit - how many logins may begin: per client prefix, and in all
 *
 * Token buckets in a table of fixed size: sets of a few buckets, chosen by a keyed hash of the
 * prefix, so that nobody can aim at another's set. A full set gives up its fullest bucket (the one
 * whose loss forgives least); what a flood of prefixes gains by that, the bucket for all takes
 * back. No allocation after rate_limit_new().
 */
#ifndef BFF_RATE_LIMIT_H
#define BFF_RATE_LIMIT_H

#include "common/sv.h"

#define LOGIN_PREFIX_BURST 60
#define LOGIN_PREFIX_PER_SECOND 2
#define LOGIN_ALL_BURST 2000
#define LOGIN_ALL_PER_SECOND 500
#define RATE_LIMIT_SETS 4096
#define RATE_LIMIT_WAYS 8

struct rate_limit;

/* ERR_NOMEM, ERR_CRYPTO (no randomness for the hash's key). */
WARN_UNUSED enum err rate_limit_new(struct rate_limit **ret);
void rate_limit_free(struct rate_limit **r);

/* Takes one token of the prefix and one of all. False: none left, nothing is taken;
 * *ret_retry_s is then when to come again, at least 1. */
bool rate_limit_take(struct rate_limit *r, struct sv prefix, int64_t now_ms, uint32_t *ret_retry_s);

#endif

/*
 * grant_exchange - what the answer to a token exchange means (RFC 8693, Entra's on-behalf-of)
 *
 * Pure. An exchange consumes nothing, so nothing is ever counted; its TOKEN_DEAD speaks of the
 * subject token alone, which is renewed once before that is believed. The grant's own end shows
 * in that renewal.
 */
#ifndef BFF_GRANT_EXCHANGE_H
#define BFF_GRANT_EXCHANGE_H

#include "broker/lease.h"

enum exchange_subject { EXCHANGE_SUBJECT_FOUND = 1, EXCHANGE_SUBJECT_RENEWED };

/* True: renew the subject token and exchange that. False: *ret, whose `next` is LEASE_COMMIT for
 * a token to be filed. */
bool exchange_judge(const struct token_reply *reply, enum exchange_subject subject,
		    struct lease_verdict *ret);

#endif

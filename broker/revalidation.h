/*
 * revalidation - does the provider still vouch for a session in use?
 *
 * Where an app says `revalidate`, workers' notes of activity put its sessions into a queue in
 * PostgreSQL, each that often. Every REVALIDATION_EVERY_MS this takes a few of them under a lease
 * (any number of brokers share the work), refreshes the grant of each like any other refresh,
 * and replaces the session's claims by those of the ID token that came, of UserInfo, or of both,
 * as claims_from says. Only an answer ends a session: the grant is dead, or the provider wants the
 * browser, whose next login then brings what was demanded. A provider or database that cannot be
 * asked puts it off, and so does a refresh token that may not be sent any more, because an outage
 * led to that: an outage ends nothing. The last attempt of a refresh token is not risked either,
 * unless the provider answered somebody else of late. Without an ID token in the answer and without
 * UserInfo the claims stay as they were. Nothing waits for it.
 */
#ifndef BFF_REVALIDATION_H
#define BFF_REVALIDATION_H

#include "broker/broker.h"

#define REVALIDATION_EVERY_MS 3000
#define REVALIDATION_AGAIN_MS 100 /* there was more */
#define REVALIDATION_BATCH 16
#define REVALIDATION_MAX 128 /* under way at once */
#define REVALIDATION_LEASE_MS 120000
#define REVALIDATION_FIRST_DELAY_MS 5000
#define REVALIDATION_MAX_DELAY_MS 300000

WARN_UNUSED enum err revalidation_new(struct broker *b, struct revalidation **ret);
void revalidation_free(struct revalidation **r);

/* Pure: how long to wait after the n-th try that could not ask; random 0..255 adds up to a
 * quarter. */
int64_t revalidation_delay_ms(int64_t tries, uint32_t retry_after_s, unsigned char random);

#endif

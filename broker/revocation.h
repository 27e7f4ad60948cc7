/*
 * revocation - ended grants are revoked at their provider (RFC 7009), then deleted
 *
 * A job of its own: every REVOCATION_EVERY_MS, and soon after a kick, it leases a few ended grants,
 * revokes them one after the other, and deletes each or puts it off with a growing delay.
 * Any number of brokers share the work. Nothing waits for it.
 */
#ifndef BFF_REVOCATION_H
#define BFF_REVOCATION_H

#include "broker/broker.h"

#define REVOCATION_EVERY_MS 5000
#define REVOCATION_KICK_MS 20
#define REVOCATION_LEASE_MS 120000
#define REVOCATION_BATCH 8 /* within the lease even if each takes TIMEOUT_IDP_MS */
#define REVOCATION_FIRST_DELAY_MS 5000
#define REVOCATION_MAX_DELAY_MS 3600000

WARN_UNUSED enum err revocation_new(struct broker *b, struct revocation **ret);
void revocation_free(struct revocation **r);

/* Something ended: look soon. */
void revocation_kick(struct revocation *r);

/* Pure: how long to wait after the n-th failed try; random 0..255 adds up to a quarter. */
int64_t revocation_delay_ms(int64_t tries, uint32_t retry_after_s, unsigned char random);

#endif

/*
 * reseal - what older keys sealed is sealed anew under the primary one, in the background
 *
 * A pass walks over all grants in the order of their ids, RESEAL_ROWS at a time with a pause in
 * between, opens what is not sealed under the primary key and puts it back, compare and swap on
 * the sealed bytes: a refresh that commits meanwhile wins, and seals under the primary anyway.
 * Access tokens and logins are not walked: they expire. Hosts may walk at the same time; the
 * second finds nothing to do. A pass in which something failed is repeated after RESEAL_RETRY_MS.
 * SECURITY: opened values live for one callback, in struct secret.
 */
#ifndef BFF_RESEAL_H
#define BFF_RESEAL_H

#include "broker/broker.h"

#define RESEAL_ROWS 64
#define RESEAL_PAUSE_MS 5
#define RESEAL_RETRY_MS 60000

struct reseal;

WARN_UNUSED enum err reseal_new(struct broker *b, struct reseal **ret);
/* Accepts NULL. Its queries must be canceled before. */
void reseal_free(struct reseal **r);

/* Begins a pass; one under way begins anew, since the primary key may be another. */
void reseal_start(struct reseal *r);

#endif

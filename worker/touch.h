/*
 * touch - notes that sessions are in use, in batches
 *
 * Verify says so of sessions whose last noted activity is over a minute old (touch_due); once a
 * second all of them go to the database in one call. Losing a batch costs at most a minute of
 * activity, so a failure is not retried: the next request finds touch_due again.
 */
#ifndef BFF_TOUCH_H
#define BFF_TOUCH_H

#include <event2/event.h>

#include "common/crypt.h"
#include "common/pg.h"

#define TOUCH_MS 1000
#define TOUCH_MAX 1000 /* sessions a batch: what session_touch() takes; a full one goes at once */

struct touch;

/* pg outlives it. `stmt`: the number of session_touch. ERR_NOMEM. */
WARN_UNUSED enum err touch_new(struct event_base *base, struct pg *pg, unsigned stmt,
			       struct touch **ret);

/* Sends what is collected, if it can, and frees. */
void touch_free(struct touch **t);

void touch_add(struct touch *t, const unsigned char hash[CRYPT_SHA256_LEN]);

#endif

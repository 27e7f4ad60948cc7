/*
 * backoff - when to start a worker again after it died
 *
 * Pure policy, one struct a slot. A worker that served for a while is replaced at once. One that
 * dies before it was ready, or soon after, waits longer each time, so that a broken machine is not
 * kept busy forking. A configuration error does not go away by retrying; it is tried again rarely,
 * since the file it names may be repaired.
 */
#ifndef BFF_MASTER_BACKOFF_H
#define BFF_MASTER_BACKOFF_H

#include <stdint.h>

#define BACKOFF_FIRST_MS 500
#define BACKOFF_MOST_MS 30000
#define BACKOFF_CONFIG_MS 60000
#define BACKOFF_SETTLED_MS 10000 /* ready for so long = the start was good */

enum backoff_death {
	BACKOFF_BEFORE_READY = 1,
	BACKOFF_SOON, /* ready, for less than BACKOFF_SETTLED_MS */
	BACKOFF_SETTLED,
	BACKOFF_CONFIG, /* CONTRACT_EXIT_CONFIG or CONTRACT_EXIT_BUILD */
};

/* Zeroed = no failure so far. */
struct backoff {
	unsigned failures; /* in a row */
};

/* Notes the death and says how long to wait before the next start. */
int64_t backoff_next_ms(struct backoff *b, enum backoff_death how);

#endif

/*
 * bucket - a token bucket on CLOCK_BOOTTIME
 *
 * Pure: the caller brings the time. Starts full.
 */
#ifndef BFF_BUCKET_H
#define BFF_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
	int64_t burst, every_ms; /* so many at once, then one each so often */
	int64_t level_ms, at_ms;
};

void bucket_init(struct bucket *b, int64_t burst, int64_t every_ms, int64_t now_ms);

/* Takes one if there is one. */
bool bucket_take(struct bucket *b, int64_t now_ms);

#endif

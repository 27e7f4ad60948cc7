/*
 * holdoff - what is not asked again for a while: a provider, or one service of it
 *
 * After a failure that asking again at once would only repeat. A provider that is out of reach is
 * held off longer from failure to failure, up to HOLDOFF_MAX_MS, and asked again when the
 * time is over; a success forgets it. All times are clock_boot_ms(); jitter is the caller's
 * `random` so that hosts do not come back together. Pure but for its own table.
 */
#ifndef BFF_HOLDOFF_H
#define BFF_HOLDOFF_H

#include "common/ipc.h"

#define HOLDOFFS_MAX 64
#define HOLDOFF_FIRST_MS 500
#define HOLDOFF_MAX_MS 15000
#define HOLDOFF_SERVICE_MS 60000   /* a service whose mapping is wrong */
#define HOLDOFF_THROTTLE_MAX_S 300 /* of a provider's Retry-After we believe so much */

struct holdoff {
	const void *what; /* config_provider or config_service; NULL = free */
	int64_t until_ms;
	unsigned streak;
	enum ipc_error answer; /* what askers get meanwhile */
};

struct holdoffs {
	struct holdoff v[HOLDOFFS_MAX];
};

/* Another failure of `what`: doubles from HOLDOFF_FIRST_MS; random in 0..255 adds up to a quarter.
 */
void holdoff_failed(struct holdoffs *h, const void *what, enum ipc_error answer, int64_t now_ms,
		    unsigned char random);

/* Not before so long from now. */
void holdoff_for(struct holdoffs *h, const void *what, enum ipc_error answer, int64_t now_ms,
		 int64_t length_ms, unsigned char random);

void holdoff_clear(struct holdoffs *h, const void *what);

/* IPC_ERROR_NONE: ask; else what to answer, and *ret_left_s (at least 1). */
enum ipc_error holdoff_judge(const struct holdoffs *h, const void *what, int64_t now_ms,
			     uint32_t *ret_left_s);

#endif

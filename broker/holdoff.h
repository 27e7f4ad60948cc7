/*
 * holdoff - what is not asked again for a while
 *
 * struct holdoffs is a circuit breaker for a provider's token endpoint, or for one service of it
 * whose mapping is wrong. It opens with a failure, longer from failure to failure up to
 * HOLDOFF_MAX_MS; when the time is over one asker goes ahead as the probe while the others are
 * still held, and only a success closes it. Failures of what was sent before it opened count
 * once, not each. An answer is remembered for HOLDOFF_WELL_MS as proof that the provider is well.
 *
 * struct refusals is the negative cache of one service for one grant: 5 to 30 s, so that a page
 * that asks in a loop does not make its provider's loop guard strike (Entra: AADSTS50196).
 *
 * All times are clock_boot_ms(); jitter is the caller's `random` in 0..255, which adds up to a
 * quarter, so that hosts and grants do not come back together. Pure but for its own tables.
 */
#ifndef BFF_HOLDOFF_H
#define BFF_HOLDOFF_H

#include "common/contract.h"
#include "common/ipc.h"

#define HOLDOFFS_MAX 64
#define HOLDOFF_FIRST_MS 500
#define HOLDOFF_MAX_MS 15000
#define HOLDOFF_SERVICE_MS 60000   /* a service whose mapping is wrong */
#define HOLDOFF_THROTTLE_MAX_S 300 /* of a provider's Retry-After we believe so much */
#define HOLDOFF_PROBE_MS (TIMEOUT_IDP_MS + 1000) /* a probe has an outcome by then */
#define HOLDOFF_SPARE_MS 5000 /* a last attempt is not spent on a probe before so much more */

#define HOLDOFF_WELL_MS 600000 /* so long an answer proves that a provider is well */

#define REFUSALS_MAX 4096
#define REFUSAL_FIRST_MS 5000
#define REFUSAL_MAX_MS 24000 /* and the jitter */

struct holdoff {
	const void *what; /* config_provider or config_service; NULL = free */
	int64_t until_ms;
	int64_t well_until_ms; /* 0: nothing proves it */
	unsigned streak;       /* 0: nothing is held off */
	bool probing;
	enum ipc_error answer; /* what askers get meanwhile */
};
struct holdoffs {
	struct holdoff v[HOLDOFFS_MAX];
};

/* Another failure of `what`: doubles from HOLDOFF_FIRST_MS. */
void holdoff_failed(struct holdoffs *h, const void *what, enum ipc_error answer, int64_t now_ms,
		    unsigned char random);

/* Not before so long from now. */
void holdoff_for(struct holdoffs *h, const void *what, enum ipc_error answer, int64_t now_ms,
		 int64_t length_ms, unsigned char random);

void holdoff_clear(struct holdoffs *h, const void *what);

/* It answered, which proves no more than that it is there: what waits for a probe is over, and what
 * opened meanwhile is not. */
void holdoff_answered(struct holdoffs *h, const void *what);

/* It answered what nobody can tell from an outage, to what anybody may have made up: nothing is
 * opened or closed by that, and the next one is the probe. */
void holdoff_doubtful(struct holdoffs *h, const void *what, int64_t now_ms);

/* The same as clear, because it answered just now. */
void holdoff_well(struct holdoffs *h, const void *what, int64_t now_ms);

/* IPC_ERROR_NONE: it may be asked; else what to answer, and *ret_left_s (at least 1). */
enum ipc_error holdoff_judge(const struct holdoffs *h, const void *what, int64_t now_ms,
			     uint32_t *ret_left_s);

/* The same right before asking: IPC_ERROR_NONE makes the asker the probe where one is due. */
enum holdoff_asker {
	HOLDOFF_ANY = 1,
	HOLDOFF_LAST_ATTEMPT, /* an outage must not cost it: others probe first */
	HOLDOFF_WHEN_WELL,    /* nobody waits for it: never the probe, nor the first to ask */
};
enum ipc_error holdoff_admit(struct holdoffs *h, const void *what, enum holdoff_asker asker,
			     int64_t now_ms, uint32_t *ret_left_s);

struct refusal {
	uint64_t key; /* 0 = free */
	int64_t until_ms;
	unsigned streak;
	enum ipc_error answer;
};
/* By key, one place each: a newcomer takes the place of who had it. */
struct refusals {
	struct refusal v[REFUSALS_MAX];
};
void refusal_failed(struct refusals *r, uint64_t key, enum ipc_error answer, int64_t now_ms,
		    unsigned char random);
/* The same for one that lies elsewhere. */
void refusal_grow(struct refusal *f, enum ipc_error answer, int64_t now_ms, unsigned char random);
void refusal_clear(struct refusals *r, uint64_t key);
enum ipc_error refusal_judge(const struct refusals *r, uint64_t key, int64_t now_ms,
			     uint32_t *ret_left_s);

#endif

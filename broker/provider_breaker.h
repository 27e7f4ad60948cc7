/*
 * provider_breaker - an endpoint that failed twice in a row is not asked for a while
 *
 * For pushed requests and UserInfo, one each, beside the token endpoint's (holdoff.h): these are
 * asked for logins, which anybody may begin, and what comes of that must hold nobody's refresh off.
 * So one failure opens nothing, either. When the time is over one asker goes ahead, and the others
 * are held until it has an outcome. Times are clock_boot_ms().
 */
#ifndef BFF_PROVIDER_BREAKER_H
#define BFF_PROVIDER_BREAKER_H

#include "common/sv.h"

#define PROVIDER_BREAKER_FAILURES 2   /* in a row, after which */
#define PROVIDER_BREAKER_HOLD_MS 5000 /* it is not asked for so long, and a jitter of a quarter */

struct provider_breaker {
	unsigned failures; /* in a row */
	int64_t held_until_ms;
};

/* Out of reach or throttled; retry_after: the header, or empty. */
void provider_breaker_failed(struct provider_breaker *b, struct sv retry_after);
void provider_breaker_answered(struct provider_breaker *b);

/* Right before asking: false, or the asker may be the one that finds out. */
bool provider_breaker_admit(struct provider_breaker *b);

/* The same without asking: true, and *ret_left_s (at least 1), where nobody would be let through.
 */
bool provider_breaker_holds(const struct provider_breaker *b, uint32_t *ret_left_s);

#endif

#include "broker/provider_breaker.h"

#include "broker/holdoff.h"
#include "broker/token_reply.h"
#include "common/clock.h"
#include "common/crypt.h"

void provider_breaker_failed(struct provider_breaker *b, struct sv retry_after)
{
	int64_t told_ms = 1000 * (int64_t)token_retry_after(retry_after, clock_wall_s()), hold_ms;
	unsigned char random;

	if (crypt_random(&random, sizeof random) != ERR_OK)
		random = 0; /* hosts may come back together */
	hold_ms = PROVIDER_BREAKER_HOLD_MS + PROVIDER_BREAKER_HOLD_MS * random / 1024;
	b->failures++;
	b->held_until_ms = clock_boot_ms() + (hold_ms > told_ms ? hold_ms : told_ms);
}

void provider_breaker_answered(struct provider_breaker *b)
{
	b->failures = 0;
}

bool provider_breaker_holds(const struct provider_breaker *b, uint32_t *ret_left_s)
{
	int64_t left_ms = b->held_until_ms - clock_boot_ms();

	if (b->failures < PROVIDER_BREAKER_FAILURES || left_ms <= 0)
		return false;
	*ret_left_s = (uint32_t)((left_ms + 999) / 1000);
	return true;
}

bool provider_breaker_admit(struct provider_breaker *b)
{
	uint32_t left_s;

	if (provider_breaker_holds(b, &left_s))
		return false;
	if (b->failures >= PROVIDER_BREAKER_FAILURES)
		b->held_until_ms = clock_boot_ms() + HOLDOFF_PROBE_MS;
	return true;
}

#include "master/backoff.h"

/* FIRST, twice that, ... MOST; 0 for step 0. */
static int64_t doubled(unsigned step)
{
	int64_t ms = BACKOFF_FIRST_MS;

	if (step == 0)
		return 0;
	while (--step > 0 && ms < BACKOFF_MOST_MS)
		ms *= 2;
	return ms < BACKOFF_MOST_MS ? ms : BACKOFF_MOST_MS;
}

int64_t backoff_next_ms(struct backoff *b, enum backoff_death how)
{
	if (b->failures < UINT32_MAX)
		b->failures++;
	switch (how) {
	case BACKOFF_BEFORE_READY:
		return doubled(b->failures);
	case BACKOFF_SOON:
		/* The first is free: somebody's kill -9 is no reason to serve with fewer. */
		return doubled(b->failures - 1);
	case BACKOFF_SETTLED:
		b->failures = 0;
		return 0;
	case BACKOFF_CONFIG:
		return BACKOFF_CONFIG_MS;
	}
	return BACKOFF_MOST_MS;
}

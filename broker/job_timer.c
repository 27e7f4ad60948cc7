#include "broker/job_timer.h"

#include "broker/broker.h"
#include "common/clock.h"

static int64_t jittered(int64_t ms, unsigned char random)
{
	return ms + ms * random / 1024;
}

void job_timer_set(struct event *timer, int64_t ms)
{
	struct timeval tv;
	unsigned char random;

	broker_random(&random, sizeof random);
	tv = clock_timeval(jittered(ms, random));
	(void)evtimer_add(timer, &tv); /* fails without memory alone; a kick tries again */
}

int64_t job_delay_ms(const struct job_delays *d, int64_t tries, uint32_t retry_after_s,
		     unsigned char random)
{
	int64_t delay = d->first_ms;

	for (int64_t i = 1; i < tries && delay < d->max_ms; i++)
		delay *= 2;
	if (delay < (int64_t)retry_after_s * 1000)
		delay = (int64_t)retry_after_s * 1000;
	return jittered(delay > d->max_ms ? d->max_ms : delay, random);
}

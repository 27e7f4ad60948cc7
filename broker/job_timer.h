/*
 * job_timer - when a job in the background looks again, and how long it puts off what failed
 *
 * Used by revalidation, revocation and sweep. Every wait has jitter, so that hosts which began
 * together do not ask the database and the providers together.
 */
#ifndef BFF_JOB_TIMER_H
#define BFF_JOB_TIMER_H

#include <event2/event.h>
#include <stdint.h>

/* Sets the timer to so long from now and up to a quarter more. */
void job_timer_set(struct event *timer, int64_t ms);

struct job_delays {
	int64_t first_ms, max_ms;
};

/* Pure: how long to wait after the n-th failed try: doubled from try to try, not less than the
 * provider's Retry-After; random 0..255 adds up to a quarter. */
int64_t job_delay_ms(const struct job_delays *d, int64_t tries, uint32_t retry_after_s,
		     unsigned char random);

#endif

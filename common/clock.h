/*
 * clock - the two clocks, and the only place that reads them
 *
 * Deadlines and leases: clock_boot_ms() (CLOCK_BOOTTIME: also counts suspend).
 * Dates in tokens and cookies: clock_wall_s(). Session limits use neither: they are the
 * database's. Tests set both with clock_set().
 */
#ifndef BFF_CLOCK_H
#define BFF_CLOCK_H

#include <stdint.h>
#include <sys/time.h>

#define CLOCK_SKEW_S 60 /* so far may a provider's clock be from ours */

int64_t clock_boot_ms(void);
int64_t clock_boot_us(void); /* the same clock, for durations */
int64_t clock_wall_s(void);

/* So many milliseconds, for a timer of libevent. */
struct timeval clock_timeval(int64_t ms);

/* Tests only: freezes both clocks at these values; clock_unset() gives the real ones back. */
void clock_set(int64_t boot_ms, int64_t wall_s);
void clock_unset(void);

#endif

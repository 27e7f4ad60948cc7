/*
 * clock - the clocks, and the only place that reads them
 *
 * Deadlines and leases: clock_boot_ms() (CLOCK_BOOTTIME: also counts suspend).
 * Dates in tokens and cookies: clock_wall_s(). Session limits use neither: they are the
 * database's. Tests set them with clock_set().
 */
#ifndef BFF_CLOCK_H
#define BFF_CLOCK_H

#include <stdint.h>
#include <sys/time.h>

#define CLOCK_SKEW_S 60 /* so far may a provider's clock be from ours */

int64_t clock_boot_ms(void);
int64_t clock_boot_us(void); /* the same clock, for durations */
int64_t clock_wall_s(void);

/* Milliseconds as of the kernel's last tick (CLOCK_MONOTONIC_COARSE), which is up to 10 behind and
 * costs next to nothing: for deadlines of seconds that are compared with it alone. */
int64_t clock_tick_ms(void);

/* So many milliseconds, for a timer of libevent. */
struct timeval clock_timeval(int64_t ms);

/* Tests only: freezes the clocks at these values; clock_unset() gives the real ones back. */
void clock_set(int64_t boot_ms, int64_t wall_s);
void clock_unset(void);

#endif

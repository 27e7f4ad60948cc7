#include "common/clock.h"

#include <stdbool.h>
#include <time.h>

/* Rule Zero: file-static state, because a clock that is passed around is a clock that is
 * forgotten somewhere; only tests write it. */
static struct {
	bool set;
	int64_t boot_ms, wall_s;
} frozen;

static struct timespec now(clockid_t id)
{
	struct timespec ts = {0};

	(void)clock_gettime(id, &ts); /* cannot fail for these ids */
	return ts;
}

static int64_t ms_of(clockid_t id)
{
	struct timespec ts;

	if (frozen.set)
		return frozen.boot_ms;
	ts = now(id);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_boot_ms(void)
{
	return ms_of(CLOCK_BOOTTIME);
}

int64_t clock_boot_us(void)
{
	struct timespec ts;

	if (frozen.set)
		return frozen.boot_ms * 1000;
	ts = now(CLOCK_BOOTTIME);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_tick_ms(void)
{
	return ms_of(CLOCK_MONOTONIC_COARSE);
}

int64_t clock_wall_s(void)
{
	/* Of the last tick: a tick is less than a second, and this read costs next to nothing. */
	return frozen.set ? frozen.wall_s : (int64_t)now(CLOCK_REALTIME_COARSE).tv_sec;
}

struct timeval clock_timeval(int64_t ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

void clock_set(int64_t boot_ms, int64_t wall_s)
{
	frozen.set = true;
	frozen.boot_ms = boot_ms;
	frozen.wall_s = wall_s;
}

void clock_unset(void)
{
	frozen.set = false;
}

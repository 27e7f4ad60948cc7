/*
 * loop - a libevent loop in a test: turns, and timers that need no waiting
 *
 * Every timer is due in the next turn, whatever was asked for, and loop_asked_ms() says what that
 * was: so no test waits for a time-out. Between loop_hold() and loop_release() none is due but by
 * loop_fire(), which lets the last one come, or loop_fire_event(). Code that compares with the
 * clock sees the one that the test sets. LOOP_UNTIL() waits for what another process or the kernel
 * does.
 */
#ifndef BFF_TESTS_LOOP_H
#define BFF_TESTS_LOOP_H

#include <event2/event.h>
#include <poll.h>

#include "tests/unit/unit.h"

#define LOOP_PATIENCE 3000 /* turns of up to LOOP_TURN_MS without what is waited for */
#define LOOP_TURN_MS 10

#define LOOP_TIMERS 64 /* of which it is remembered what was asked for */

static struct {
	struct {
		const struct event *ev;
		int64_t asked_ms;
	} timers[LOOP_TIMERS];
	unsigned n;
	struct event *last;
	bool held;
	unsigned fails; /* so many timers find no memory */
} loop_state;

int __real_event_add(struct event *ev, const struct timeval *tv);
int __wrap_event_add(struct event *ev, const struct timeval *tv);

int __wrap_event_add(struct event *ev, const struct timeval *tv)
{
	static const struct timeval now = {0}, never = {.tv_sec = 86400};

	if (tv == NULL)
		return __real_event_add(ev, NULL);
	loop_state.last = ev;
	loop_state.timers[loop_state.n % LOOP_TIMERS].ev = ev;
	loop_state.timers[loop_state.n++ % LOOP_TIMERS].asked_ms =
	    (int64_t)tv->tv_sec * 1000 + tv->tv_usec / 1000;
	if (loop_state.fails > 0) {
		loop_state.fails--;
		return -1;
	}
	return __real_event_add(ev, loop_state.held ? &never : &now);
}

/* What was last asked for this timer; -1: nothing. */
static inline int64_t loop_asked_of(const struct event *ev)
{
	for (unsigned i = 1; i <= LOOP_TIMERS && i <= loop_state.n; i++)
		if (loop_state.timers[(loop_state.n - i) % LOOP_TIMERS].ev == ev)
			return loop_state.timers[(loop_state.n - i) % LOOP_TIMERS].asked_ms;
	return -1;
}

/* Of the last timer. */
static inline int64_t loop_asked_ms(void)
{
	return loop_asked_of(loop_state.last);
}

static inline void loop_hold(void)
{
	loop_state.held = true;
}

static inline void loop_release(void)
{
	loop_state.held = false;
}

/* What is ready now, and the timers of before. */
static inline void loop_turn(struct event_base *base)
{
	assert_int_not_equal(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK), -1);
}

static inline void loop_turns(struct event_base *base, unsigned n)
{
	while (n-- > 0)
		loop_turn(base);
}

static inline void loop_fire_event(struct event_base *base, struct event *ev)
{
	event_active(ev, EV_TIMEOUT, 0);
	loop_turn(base);
}

static inline void loop_fire(struct event_base *base)
{
	loop_fire_event(base, loop_state.last);
}

#define LOOP_UNTIL(base, condition)                                                                \
	for (unsigned turns_ = 0; !(condition); turns_++) {                                        \
		if (turns_ == LOOP_PATIENCE)                                                       \
			fail_msg("never: %s", #condition);                                         \
		if (turns_ > 10)                                                                   \
			(void)poll(NULL, 0, LOOP_TURN_MS);                                         \
		loop_turn(base);                                                                   \
	}

#endif

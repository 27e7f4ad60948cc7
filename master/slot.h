/*
 * slot - one place for one worker process
 *
 * A slot belongs to a service (one generation) and holds at most one process, its status channel
 * and one timer, whose meaning is the state's. It does what it is told and what deadlines of
 * common/contract.h demand (a late or silent worker is killed); whether a dead worker is replaced
 * is the supervisor's to say. Everything runs in the supervisor's loop; nothing calls back.
 */
#ifndef BFF_MASTER_SLOT_H
#define BFF_MASTER_SLOT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "master/backoff.h"

struct event;
struct event_base;
struct service;

enum slot_state {
	SLOT_IDLE = 1, /* no process, none wanted */
	SLOT_WAITING,  /* no process; the timer starts one */
	SLOT_STARTING, /* forked; the timer ends in a kill */
	SLOT_READY,    /* the timer is moved by each heartbeat; at its end a kill */
	SLOT_STOPPING, /* told to drain; the timer ends in a kill */
	SLOT_KILLED,   /* SIGKILL sent, not reaped yet */
};

struct slot {
	struct service *service;
	unsigned index;
	enum slot_state state;
	pid_t pid;     /* 0 when there is no process */
	int status_fd; /* -1 when there is no process */
	struct event *status, *timer;
	struct backoff backoff;
	bool was_ready; /* this process */
	int64_t ready_at_ms;
};

const char *slot_state_text(enum slot_state s);

/* Which changes of state there are; slot.c asserts it at every one. Pure. */
bool slot_may(enum slot_state from, enum slot_state to);

/* An idle slot. ERR_NOMEM. */
WARN_UNUSED enum err slot_init(struct slot *s, struct service *owner, unsigned index,
			       struct event_base *base);

/* Accepts a zeroed slot. Its process, if there is one, is on its own: it drains when it sees the
 * status channel close. */
void slot_done(struct slot *s);

/* Forks; from IDLE or WAITING. When that fails: SLOT_WAITING, with a backoff, and the error. */
WARN_UNUSED enum err slot_start(struct slot *s, struct errmsg *e);

/* Tells the worker to drain, or to wait no longer; a slot without a process becomes idle. */
void slot_stop(struct slot *s);

/* As slot_stop(), but a worker that is not ready yet, and so serves nobody, is killed. */
void slot_abandon(struct slot *s);

enum slot_then { SLOT_THEN_RESTART = 1, SLOT_THEN_NOTHING };

/* The process was reaped with this wait status. Logs it. Returns its exit status, or -1 when a
 * signal ended it. */
int slot_died(struct slot *s, int wait_status, enum slot_then then);

#endif

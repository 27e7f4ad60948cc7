#include "master/slot.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/contract.h"
#include "common/log.h"
#include "master/service.h"
#include "master/spawn.h"
#include "master/tally.h"

#define BIT(s) (1u << (s))

const char *slot_state_text(enum slot_state s)
{
	switch (s) {
	case SLOT_IDLE:
		return "idle";
	case SLOT_WAITING:
		return "waiting";
	case SLOT_STARTING:
		return "starting";
	case SLOT_READY:
		return "ready";
	case SLOT_STOPPING:
		return "stopping";
	case SLOT_KILLED:
		return "killed";
	}
	return "unknown";
}

bool slot_may(enum slot_state from, enum slot_state to)
{
	static const unsigned allowed[] = {
	    [SLOT_IDLE] = BIT(SLOT_STARTING) | BIT(SLOT_WAITING),
	    [SLOT_WAITING] = BIT(SLOT_STARTING) | BIT(SLOT_WAITING) | BIT(SLOT_IDLE),
	    [SLOT_STARTING] = BIT(SLOT_READY) | BIT(SLOT_STOPPING) | BIT(SLOT_KILLED) |
			      BIT(SLOT_WAITING) | BIT(SLOT_IDLE),
	    [SLOT_READY] =
		BIT(SLOT_STOPPING) | BIT(SLOT_KILLED) | BIT(SLOT_WAITING) | BIT(SLOT_IDLE),
	    [SLOT_STOPPING] = BIT(SLOT_KILLED) | BIT(SLOT_IDLE),
	    [SLOT_KILLED] = BIT(SLOT_WAITING) | BIT(SLOT_IDLE),
	};

	return (allowed[from] & BIT(to)) != 0;
}

static void set_timer(struct slot *s, int64_t ms)
{
	const struct timeval tv = clock_timeval(ms);

	/* Only without memory; a worker without a deadline is better than no master. */
	if (event_add(s->timer, &tv) == -1)
		log_error("worker_timer_failed", KU("slot", s->index), KI("worker", s->pid));
}

/* The one place that changes a state; sets the timer that goes with it. */
static void set_state(struct slot *s, enum slot_state to, int64_t timer_ms)
{
	assert(slot_may(s->state, to));
	log_debug("slot", KU("generation", s->service->generation), KU("slot", s->index),
		  K("from", slot_state_text(s->state)), K("to", slot_state_text(to)));
	s->state = to;
	(void)event_del(s->timer); /* not armed is fine */
	if (timer_ms >= 0)
		set_timer(s, timer_ms);
}

static void send_signal(const struct slot *s, int sig)
{
	/* The process is ours and not reaped yet, so the number is still its own. */
	if (s->pid > 0 && kill(s->pid, sig) == -1)
		log_error("worker_signal_failed", KI("worker", s->pid), KI("signal", sig),
			  K("error", strerror(errno)));
}

static void kill_worker(struct slot *s, const char *event, int64_t after_ms)
{
	log_error(event, KI("worker", s->pid), KU("generation", s->service->generation),
		  KU("slot", s->index), KI("after_ms", after_ms));
	send_signal(s, SIGKILL);
	set_state(s, SLOT_KILLED, -1);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct slot *s = arg;
	struct errmsg e;

	(void)fd;
	(void)what;
	switch (s->state) {
	case SLOT_WAITING:
		if (slot_start(s, &e) != ERR_OK)
			log_error("worker_start_failed", K("reason", e.text));
		return;
	case SLOT_STARTING:
		service_failed(s->service, "worker %u was not ready in %d ms", s->index,
			       CONTRACT_FIRST_STATUS_MS);
		kill_worker(s, "worker_late", CONTRACT_FIRST_STATUS_MS);
		return;
	case SLOT_READY:
		kill_worker(s, "worker_lost", CONTRACT_LOST_MS);
		return;
	case SLOT_STOPPING:
		kill_worker(s, "worker_drain_too_long", CONTRACT_DRAIN_HARD_MS);
		return;
	case SLOT_IDLE:
	case SLOT_KILLED:
		return;
	}
}

static void became_ready(struct slot *s)
{
	s->was_ready = true;
	s->ready_at_ms = clock_boot_ms();
	set_state(s, SLOT_READY, CONTRACT_LOST_MS);
	log_info("worker_ready", KI("worker", s->pid), KU("generation", s->service->generation),
		 KU("slot", s->index));
}

/* Anything else from a worker is a bug or a takeover of it: what it says is not acted upon. */
static void take_status(struct slot *s, unsigned char byte)
{
	if (byte == CONTRACT_READY && s->state == SLOT_STARTING)
		became_ready(s);
	else if (byte == CONTRACT_ALIVE && s->state == SLOT_READY)
		set_timer(s, CONTRACT_LOST_MS);
	else if (byte == CONTRACT_DRAINING || byte == CONTRACT_ALIVE)
		return; /* changes no deadline before ready and while draining */
	else if (s->state != SLOT_STOPPING && s->state != SLOT_KILLED) /* there it crossed ours */
		log_warn("worker_status_unexpected", KI("worker", s->pid), KU("byte", byte),
			 K("state", slot_state_text(s->state)));
}

static void read_status(struct slot *s)
{
	unsigned char byte;
	ssize_t n;

	while (s->status_fd != -1) {
		n = recv(s->status_fd, &byte, 1, MSG_DONTWAIT);
		if (n == 1) {
			take_status(s, byte);
			continue;
		}
		if (n == -1 && errno == EINTR)
			continue;
		/* Closed by the worker: its end is near or its heartbeats are missed; both are
		 * noticed elsewhere, so only stop listening. */
		if (n == 0 || errno != EAGAIN)
			(void)event_del(s->status);
		return;
	}
}

static void on_status(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	read_status(arg);
}

enum err slot_init(struct slot *s, struct service *owner, unsigned index, struct event_base *base)
{
	*s = (struct slot){.service = owner, .index = index, .state = SLOT_IDLE, .status_fd = -1};
	s->timer = event_new(base, -1, 0, on_timer, s);
	s->status = event_new(base, -1, 0, on_status, s);
	return s->timer == NULL || s->status == NULL ? ERR_NOMEM : ERR_OK;
}

static void forget_process(struct slot *s)
{
	if (s->status_fd == -1)
		return;
	(void)event_del(s->status); /* not added is fine */
	(void)close(s->status_fd);  /* nothing is ever written to it */
	s->status_fd = -1;
	s->pid = 0;
}

void slot_done(struct slot *s)
{
	if (s->pid > 0)
		forget_process(s);
	if (s->status != NULL)
		event_free(s->status);
	if (s->timer != NULL)
		event_free(s->timer);
	s->timer = NULL;
	s->status = NULL;
}

enum err slot_start(struct slot *s, struct errmsg *e)
{
	const struct service *v = s->service;
	const unsigned slab = tally_find(v->tally);
	const struct spawn how = {.worker = v->worker,
				  .config = v->config,
				  .listen = &v->listen,
				  .generation = v->generation,
				  .slot = s->index,
				  .metrics_fd = v->tally == NULL ? -1 : v->tally->fd,
				  .slab = slab};
	enum err r = spawn_worker(&how, &s->pid, &s->status_fd, e);

	s->was_ready = false;
	if (r != ERR_OK) {
		set_state(s, SLOT_WAITING, backoff_next_ms(&s->backoff, BACKOFF_BEFORE_READY));
		return r;
	}
	tally_own(v->tally, slab, s->pid);
	set_state(s, SLOT_STARTING, CONTRACT_FIRST_STATUS_MS);
	if (event_assign(s->status, event_get_base(s->timer), s->status_fd, EV_READ | EV_PERSIST,
			 on_status, s) == -1 ||
	    event_add(s->status, NULL) == -1)
		kill_worker(s, "worker_status_unheard", 0); /* no memory for one descriptor */
	log_info("worker_started", KI("worker", s->pid), KU("generation", v->generation),
		 KU("slot", s->index));
	return ERR_OK;
}

void slot_stop(struct slot *s)
{
	switch (s->state) {
	case SLOT_WAITING:
		set_state(s, SLOT_IDLE, -1);
		return;
	case SLOT_STARTING:
	case SLOT_READY:
		send_signal(s, SIGTERM);
		set_state(s, SLOT_STOPPING, CONTRACT_DRAIN_HARD_MS);
		return;
	case SLOT_IDLE:
	case SLOT_STOPPING:
	case SLOT_KILLED:
		return;
	}
}

void slot_abandon(struct slot *s)
{
	if (s->state == SLOT_STARTING)
		kill_worker(s, "worker_abandoned", 0);
	else
		slot_stop(s);
}

static enum backoff_death how_it_died(const struct slot *s, int exit_status)
{
	if (exit_status == CONTRACT_EXIT_CONFIG || exit_status == CONTRACT_EXIT_BUILD)
		return BACKOFF_CONFIG;
	if (!s->was_ready)
		return BACKOFF_BEFORE_READY;
	if (clock_boot_ms() - s->ready_at_ms < BACKOFF_SETTLED_MS)
		return BACKOFF_SOON;
	return BACKOFF_SETTLED;
}

int slot_died(struct slot *s, int wait_status, enum slot_then then)
{
	int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
	int sig = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
	bool expected = s->state == SLOT_STOPPING && code == CONTRACT_EXIT_OK;
	int64_t wait_ms = -1;

	read_status(s); /* it may have become ready just before */
	if (then == SLOT_THEN_RESTART)
		wait_ms = backoff_next_ms(&s->backoff, how_it_died(s, code));
	LOG_CALL(log_write, expected ? LOG_INFO : LOG_ERROR, "worker_exited", KI("worker", s->pid),
		 KU("generation", s->service->generation), KU("slot", s->index), KI("status", code),
		 KI("signal", sig), KI("restart_in_ms", wait_ms));
	forget_process(s);
	if (then == SLOT_THEN_RESTART)
		set_state(s, SLOT_WAITING, wait_ms);
	else
		set_state(s, SLOT_IDLE, -1);
	return code;
}

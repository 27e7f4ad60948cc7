#include "master/supervisor.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/contract.h"
#include "common/log.h"
#include "master/reload.h"
#include "master/spawn.h"
#include "master/upgrade.h"

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)what;
	if (sig == SIGCHLD)
		s->reap_wanted = true;
	else if (sig == SIGHUP)
		s->reload_wanted = true;
	else
		s->stop_wanted = true;
}

/* The service manager hears that we live only while somebody serves. */
static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd;
	(void)what;
	/* SLOT_READY means a heartbeat within CONTRACT_LOST_MS. */
	if (service_count(s->current, SLOT_READY) > 0 ||
	    (s->trial != NULL && service_count(s->trial, SLOT_READY) > 0))
		(void)notify_send(&s->notify, "WATCHDOG=1"); /* the next one comes soon */
}

static enum err make_events(struct supervisor *s, struct errmsg *e)
{
	static const int signals[SUPERVISOR_SIGNALS] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT};
	const int64_t ms = s->notify.watchdog_ms / 2;
	const struct timeval half = clock_timeval(ms);

	s->base = event_base_new();
	if (s->base == NULL)
		return errmsg_set(e, ERR_NOMEM, "cannot make an event loop");
	for (size_t i = 0; i < SUPERVISOR_SIGNALS; i++) {
		s->signals[i] = evsignal_new(s->base, signals[i], on_signal, s);
		if (s->signals[i] == NULL || event_add(s->signals[i], NULL) == -1)
			return errmsg_set(e, ERR_NOMEM, "cannot watch signal %d", signals[i]);
	}
	if (ms <= 0)
		return ERR_OK;
	s->watchdog = event_new(s->base, -1, EV_PERSIST, on_watchdog, s);
	if (s->watchdog == NULL || event_add(s->watchdog, &half) == -1)
		return errmsg_set(e, ERR_NOMEM, "cannot make the watchdog's timer");
	return ERR_OK;
}

static enum err take_sockets(struct supervisor *s, const struct config *c, struct listen_plan *ret,
			     struct errmsg *e)
{
	struct notify_fds fds;
	size_t unused;
	enum err r = notify_listen_fds(&fds, e);

	if (r == ERR_OK)
		r = listen_inherit(&s->listeners, &fds, e);
	if (r == ERR_OK)
		r = listen_resolve(&s->listeners, c, ret, e);
	if (r != ERR_OK)
		return r;
	unused = listen_unused(&s->listeners, ret);
	if (unused > 0)
		log_warn("listeners_unused", KU("sockets", unused),
			 K("reason", "inherited, but no listen section has the address"));
	return ERR_OK;
}

enum err supervisor_init(struct supervisor *s, const char *config_path, struct config **config,
			 struct errmsg *e)
{
	struct listen_plan plan;
	sigset_t none;
	enum err r;

	*s = (struct supervisor){.config_path = config_path, .notify = {.fd = -1}};
	r = spawn_find_self(s->program, e);
	if (r == ERR_OK)
		r = spawn_find_worker(s->program, s->worker, e);
	if (r == ERR_OK)
		r = upgrade_take(s, e);
	if (r == ERR_OK && s->tally.metrics == NULL)
		r = tally_open(&s->tally, e);
	if (r == ERR_OK)
		r = take_sockets(s, *config, &plan, e);
	if (r == ERR_OK)
		r = notify_open(&s->notify, e);
	if (r == ERR_OK)
		r = make_events(s, e);
	if (r != ERR_OK) {
		config_free(config);
		return r;
	}
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* what upgrade_exec() held back */
	s->reap_wanted = true;			     /* children of the image before us */
	s->generation++;
	tally_names(&s->tally, *config);
	r = service_new(config, &plan, s->worker, s->generation, s->base, &s->current, e);
	if (r != ERR_OK)
		return r;
	s->current->tally = &s->tally;
	service_start(s->current);
	return r;
}

void supervisor_done(struct supervisor *s)
{
	struct service *next;

	service_free(&s->trial);
	service_free(&s->current);
	for (struct service *v = s->draining; v != NULL; v = next) {
		next = v->next;
		service_free(&v);
	}
	upgrade_release(s);
	tally_close(&s->tally);
	listen_keep(&s->listeners, NULL);
	notify_close(&s->notify);
	for (size_t i = 0; i < SUPERVISOR_SIGNALS; i++)
		if (s->signals[i] != NULL)
			event_free(s->signals[i]);
	if (s->watchdog != NULL)
		event_free(s->watchdog);
	if (s->base != NULL)
		event_base_free(s->base);
	*s = (struct supervisor){.notify = {.fd = -1}};
}

/* NULL: not a worker of ours. As process 1 of a container we inherit anybody's orphans. */
static struct slot *find_slot(struct supervisor *s, pid_t pid)
{
	struct slot *found = service_find(s->current, pid);

	if (found == NULL)
		found = service_find(s->trial, pid);
	for (struct service *v = s->draining; v != NULL && found == NULL; v = v->next)
		found = service_find(v, pid);
	return found;
}

static void bury(struct supervisor *s, struct slot *slot, int wait_status)
{
	struct service *v = slot->service;
	bool restart = v == s->current && !s->is_stopping;
	int code = slot_died(slot, wait_status, restart ? SLOT_THEN_RESTART : SLOT_THEN_NOTHING);

	if (v == s->trial && !v->has_failed) {
		v->failed_exit = code;
		if (code == -1)
			service_failed(v, "worker %u was ended by signal %d", slot->index,
				       WTERMSIG(wait_status));
		else
			service_failed(v, "worker %u exited with status %d", slot->index, code);
	}
	/* Nothing serves yet and nothing will: say so to whoever started us. */
	if (v == s->current && !s->is_announced && s->nformer == 0 &&
	    (code == CONTRACT_EXIT_CONFIG || code == CONTRACT_EXIT_BUILD)) {
		s->exit_code = code;
		s->stop_wanted = true;
	}
}

static void reap(struct supervisor *s)
{
	struct slot *slot;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		tally_reaped(&s->tally, pid, status);
		slot = find_slot(s, pid);
		if (slot != NULL)
			bury(s, slot, status);
		else if (pid == s->check_pid)
			reload_checked(s, status);
	}
}

static void sweep_drained(struct supervisor *s)
{
	struct service **at = &s->draining;

	while (*at != NULL) {
		struct service *v = *at;

		if (!service_is_gone(v)) {
			at = &v->next;
			continue;
		}
		*at = v->next;
		s->ndraining--;
		log_info("generation_gone", KU("generation", v->generation));
		service_free(&v);
	}
}

static void stop(struct supervisor *s)
{
	s->is_stopping = true;
	log_info("stopping", KU("generation", s->current->generation));
	(void)notify_send(&s->notify, "STOPPING=1\nSTATUS=draining"); /* only a status */
	if (s->trial != NULL)
		service_abandon(s->trial);
	service_stop(s->current);
	/* Refused is better than queued for nobody; the manager's own sockets do queue. */
	listen_keep(&s->listeners, NULL);
}

static void announce(struct supervisor *s)
{
	s->is_announced = true;
	reload_count(s, METRICS_RELOAD_OK);
	upgrade_release(s);
	log_info("serving", KU("generation", s->current->generation), KU("workers", s->current->n));
	(void)notify_send(&s->notify, "READY=1\nSTATUS=generation %u, %zu workers",
			  s->current->generation, s->current->n);
}

static bool all_gone(const struct supervisor *s)
{
	return service_is_gone(s->current) && (s->trial == NULL || service_is_gone(s->trial)) &&
	       s->draining == NULL;
}

/* What is to be done, in this order, after each turn of the loop. */
static void step(struct supervisor *s)
{
	if (s->reap_wanted) {
		s->reap_wanted = false;
		reap(s);
	}
	sweep_drained(s);
	if (s->stop_wanted && !s->is_stopping)
		stop(s);
	if (s->is_stopping)
		return;
	if (s->trial != NULL)
		reload_judge(s);
	if (!s->is_announced && service_is_ready(s->current))
		announce(s);
	if (s->reload_wanted && s->trial == NULL && s->check_pid == 0 &&
	    s->ndraining < SUPERVISOR_DRAINING_MAX) {
		s->reload_wanted = false;
		reload_begin(s);
		if (s->trial != NULL)
			reload_judge(s); /* it may have failed at once */
	}
}

int supervisor_run(struct supervisor *s)
{
	for (;;) {
		step(s);
		if (s->is_stopping && all_gone(s)) {
			log_info("stopped", KI("status", s->exit_code));
			return s->exit_code;
		}
		if (event_base_loop(s->base, EVLOOP_ONCE) == -1) {
			log_error("loop_failed", K("error", strerror(errno)));
			return CONTRACT_EXIT_ERROR;
		}
	}
}

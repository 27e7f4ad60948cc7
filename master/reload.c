#include "master/reload.h"

#include <assert.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/contract.h"
#include "common/log.h"
#include "master/upgrade.h"

void reload_count(struct supervisor *s, unsigned result)
{
	struct metrics *m = s->tally.metrics;

	if (s->generation > 1)
		metrics_count(m, METRIC_CONFIG_RELOADS, METRICS_AT(result));
	metrics_set(m, METRIC_CONFIG_RELOAD_OK, METRICS_AT(0), result == METRICS_RELOAD_OK);
	if (result != METRICS_RELOAD_OK)
		return;
	metrics_set(m, METRIC_CONFIG_GENERATION, METRICS_AT(0), s->current->generation);
	metrics_set(m, METRIC_CONFIG_RELOAD_TIME, METRICS_AT(0), (uint64_t)clock_wall_s());
}

static void failed(struct supervisor *s, const char *reason)
{
	reload_count(s, METRICS_RELOAD_FAILED);
	log_error("reload_failed", K("reason", reason),
		  KU("serving_generation", s->current->generation));
	/* READY=1 also ends what RELOADING=1 began, but nobody may hear it before it is true. A
	 * lost message is only a status: the log has it too. */
	(void)notify_send(&s->notify, "%sSTATUS=reload failed, serving generation %u: %s",
			  s->is_announced ? "READY=1\n" : "", s->current->generation, reason);
}

static enum err begin(struct supervisor *s, struct errmsg *e)
{
	struct config *config = NULL;
	struct listen_plan plan;
	enum err r = config_load(s->config_path, &config, e);

	if (r != ERR_OK)
		return r;
	r = listen_resolve(&s->listeners, config, &plan, e);
	if (r != ERR_OK) {
		config_free(&config);
		return r;
	}
	tally_names(&s->tally, config);
	r = service_new(&config, &plan, s->worker, s->generation + 1, s->base, &s->trial, e);
	if (r == ERR_OK)
		s->trial->tally = &s->tally;
	return r;
}

void reload_begin(struct supervisor *s)
{
	struct errmsg e;

	assert(s->trial == NULL);
	log_info("reload_started", K("file", s->config_path));
	(void)notify_reloading(&s->notify, "reloading"); /* a lost message is only a status */
	if (upgrade_is_due(s)) {
		if (upgrade_check(s, &e) != ERR_OK)
			failed(s, e.text);
		return;
	}
	if (begin(s, &e) != ERR_OK) {
		listen_keep(&s->listeners, &s->current->listen);
		failed(s, e.text);
		return;
	}
	s->generation++;
	service_start(s->trial);
}

static void drain(struct supervisor *s, struct service *old)
{
	old->next = s->draining;
	s->draining = old;
	s->ndraining++;
}

static void commit(struct supervisor *s)
{
	struct service *old = s->current;

	s->current = s->trial;
	s->trial = NULL;
	service_stop(old); /* this first: the old workers hold the sockets that are closed next */
	drain(s, old);
	listen_keep(&s->listeners, &s->current->listen);
	s->is_announced = true;
	reload_count(s, METRICS_RELOAD_OK);
	upgrade_release(s);
	log_info("reload_done", KU("generation", s->current->generation),
		 KU("workers", s->current->n));
	(void)notify_send(&s->notify, "READY=1\nSTATUS=generation %u, %zu workers",
			  s->current->generation, s->current->n);
}

static void abandon(struct supervisor *s)
{
	struct service *trial = s->trial;

	s->trial = NULL;
	service_abandon(trial);
	listen_keep(&s->listeners, &s->current->listen);
	failed(s, trial->failed_exit == CONTRACT_EXIT_BUILD
		      ? "bff-worker on disk is of another version: restart bffd"
		      : trial->failure.text);
	drain(s, trial);
}

void reload_checked(struct supervisor *s, int wait_status)
{
	struct errmsg e;

	s->check_pid = 0;
	if (s->is_stopping)
		return;
	if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != CONTRACT_EXIT_OK) {
		failed(s, "the new bffd on disk does not accept the configuration");
		return;
	}
	log_info("upgrading", K("program", s->program));
	(void)upgrade_exec(s, &e); /* returns only on failure */
	failed(s, e.text);
}

void reload_judge(struct supervisor *s)
{
	if (s->trial->has_failed)
		abandon(s);
	else if (service_is_ready(s->trial))
		commit(s);
}

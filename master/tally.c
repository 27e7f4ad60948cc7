#include "master/tally.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/contract.h"
#include "common/log.h"

enum err tally_open(struct tally *t, struct errmsg *e)
{
	enum err r = metrics_new(&t->fd, &t->metrics);

	if (r != ERR_OK)
		return errmsg_set(e, r, "memory for metrics: %s", strerror(errno));
	metrics_set(t->metrics, METRIC_START_TIME, METRICS_AT(0), (uint64_t)clock_wall_s());
	return ERR_OK;
}

/* Or one to be reaped still. */
static bool is_child(int64_t pid)
{
	siginfo_t info;

	return pid > 0 && pid <= INT32_MAX &&
	       waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

enum err tally_adopt(struct tally *t, int fd, struct errmsg *e)
{
	enum err r = metrics_attach(fd, 0, &t->metrics);

	if (r != ERR_OK)
		return errmsg_set(e, r, "memory for metrics: %s", err_text(r));
	t->fd = fd;
	for (unsigned i = 1; i < METRICS_SLABS_MAX; i++) {
		int64_t pid = metrics_owner(t->metrics, i);

		t->owners[i] = is_child(pid) ? (pid_t)pid : 0;
	}
	return ERR_OK;
}

void tally_close(struct tally *t)
{
	if (t->metrics != NULL)
		(void)close(t->fd); /* the workers have theirs */
	metrics_free(&t->metrics);
}

void tally_names(struct tally *t, const struct config *c)
{
	if (!metrics_add_names(t->metrics, c))
		log_warn("metrics_names_full",
			 K("then", "what is beyond the limit is counted as \"-\""));
}

unsigned tally_find(const struct tally *t)
{
	if (t == NULL || t->metrics == NULL)
		return METRICS_SLAB_NONE;
	for (unsigned i = 1; i < METRICS_SLABS_MAX; i++)
		if (t->owners[i] == 0)
			return i;
	log_warn("metrics_slabs_full", KU("slabs", METRICS_SLABS_MAX),
		 K("then", "a worker is not in /metrics"));
	return METRICS_SLAB_NONE;
}

void tally_own(struct tally *t, unsigned slab, pid_t pid)
{
	if (slab == METRICS_SLAB_NONE)
		return;
	assert(slab < METRICS_SLABS_MAX && t->owners[slab] == 0 && pid > 0);
	t->owners[slab] = pid;
	metrics_set_owner(t->metrics, slab, pid);
	metrics_move(t->metrics, METRIC_WORKERS, METRICS_AT(0), 1);
}

static unsigned how(int wait_status)
{
	if (WIFSIGNALED(wait_status))
		return METRICS_EXIT_SIGNAL;
	return WEXITSTATUS(wait_status) == CONTRACT_EXIT_OK ? METRICS_EXIT_DRAINED
							    : METRICS_EXIT_ERROR;
}

void tally_reaped(struct tally *t, pid_t pid, int wait_status)
{
	for (unsigned i = 1; i < METRICS_SLABS_MAX; i++) {
		if (t->owners[i] != pid)
			continue;
		t->owners[i] = 0;
		metrics_set_owner(t->metrics, i, 0);
		metrics_clear_gauges(t->metrics, i);
		metrics_move(t->metrics, METRIC_WORKERS, METRICS_AT(0), -1);
		metrics_count(t->metrics, METRIC_WORKER_EXITS, METRICS_AT(how(wait_status)));
	}
}

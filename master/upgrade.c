#include "master/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "master/spawn.h"

/* The letters before a descriptor number in UPGRADE_ENV. */
enum upgrade_kind {
	UPGRADE_BOUND = 'b',	 /* a listener of ours */
	UPGRADE_INHERITED = 'i', /* the service manager's */
	UPGRADE_STATUS = 's',	 /* a former worker's channel */
	UPGRADE_METRICS = 'm',	 /* the memory of counters */
	UPGRADE_GENERATION = 'g' /* not a descriptor: the number of the last generation */
};

bool upgrade_is_due(const struct supervisor *s)
{
	struct stat running, on_disk;

	if (stat("/proc/self/exe", &running) == -1 || stat(s->program, &on_disk) == -1)
		return false;
	return running.st_dev != on_disk.st_dev || running.st_ino != on_disk.st_ino;
}

enum err upgrade_check(struct supervisor *s, struct errmsg *e)
{
	char test[] = "-t", option[] = "-c", *path = strdup(s->config_path);
	char *const argv[] = {s->program, test, option, path, NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int from[] = {null, null, STDERR_FILENO};
	const struct spawn_image image = {.program = s->program,
					  .argv = argv,
					  .env = environ,
					  .from = from,
					  .n = ARRAY_LEN(from),
					  .alarm_s = UPGRADE_CHECK_S};
	enum err r = null == -1 || path == NULL ? ERR_IO : spawn_run(&image, &s->check_pid);

	if (null != -1)
		(void)close(null); /* the child has its copies */
	free(path);
	return r == ERR_OK ? r : errmsg_set(e, r, "cannot run %s: %s", s->program, strerror(errno));
}

/* Descriptors to be kept lose close-on-exec; back_to = FD_CLOEXEC undoes that. */
static void keep(struct buf *list, enum upgrade_kind kind, int fd, int back_to)
{
	if (fcntl(fd, F_SETFD, back_to) == -1)
		return; /* not open: not kept */
	if (list != NULL)
		buf_addf(list, "%c%d,", kind, fd);
}

static void keep_all(struct supervisor *s, struct buf *list, int back_to)
{
	for (size_t i = 0; i < s->listeners.n; i++)
		keep(list, s->listeners.v[i].inherited ? UPGRADE_INHERITED : UPGRADE_BOUND,
		     s->listeners.v[i].fd, back_to);
	if (s->tally.metrics != NULL)
		keep(list, UPGRADE_METRICS, s->tally.fd, back_to);
	for (size_t i = 0; i < s->current->n; i++)
		if (s->current->slots[i].state == SLOT_READY)
			keep(list, UPGRADE_STATUS, s->current->slots[i].status_fd, back_to);
}

enum err upgrade_exec(struct supervisor *s, struct errmsg *e)
{
	char option[] = "-c", *path = strdup(s->config_path);
	char *const argv[] = {s->program, option, path, NULL};
	struct buf list;
	sigset_t all, before;

	buf_init(&list, UPGRADE_ENV_MAX);
	buf_addf(&list, "%d:", (int)getpid());
	keep_all(s, &list, 0);
	buf_addf(&list, "%c%u", UPGRADE_GENERATION, s->generation);
	buf_add_char(&list, '\0');
	(void)sigfillset(&all);
	/* Held back until the new image has its handlers: a SIGHUP would end it before. */
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	if (path == NULL || !buf_ok(&list) || setenv(UPGRADE_ENV, list.p, 1) == -1 ||
	    notify_give_back(&s->notify) != ERR_OK)
		(void)errmsg_set(e, ERR_LIMIT, "too many sockets and workers for an upgrade");
	else {
		(void)execve(s->program, argv, environ); /* returns only on failure */
		(void)errmsg_set(e, ERR_IO, "%s: %s", s->program, strerror(errno));
	}
	keep_all(s, NULL, FD_CLOEXEC);
	notify_take_back();
	(void)unsetenv(UPGRADE_ENV);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	buf_done(&list);
	free(path);
	return ERR_IO;
}

/* Another version's cannot be gone on with: counters begin anew. */
static void take_metrics(struct supervisor *s, int fd)
{
	struct errmsg e;

	if (s->tally.metrics == NULL && tally_adopt(&s->tally, fd, &e) == ERR_OK)
		return;
	(void)close(fd); /* the old workers have theirs */
	log_info("metrics_begin_anew", K("reason", e.text));
}

static enum err take_one(struct supervisor *s, char kind, int number, struct errmsg *e)
{
	if (kind == UPGRADE_GENERATION) {
		s->generation = (unsigned)number;
		return ERR_OK;
	}
	if (number <= STDERR_FILENO || fcntl(number, F_SETFD, FD_CLOEXEC) == -1)
		return errmsg_set(e, ERR_SYNTAX, "%s: descriptor %d is not open", UPGRADE_ENV,
				  number);
	if (kind == UPGRADE_METRICS) {
		take_metrics(s, number);
		return ERR_OK;
	}
	if (kind == UPGRADE_BOUND)
		return listen_adopt(&s->listeners, number, "", LISTEN_OURS, e);
	if (kind == UPGRADE_INHERITED)
		return listen_adopt(&s->listeners, number, "", LISTEN_INHERITED, e);
	if (kind != UPGRADE_STATUS)
		return errmsg_set(e, ERR_SYNTAX, "%s: unknown kind %c", UPGRADE_ENV, kind);
	if (s->nformer == SUPERVISOR_FORMER_MAX)
		(void)close(number); /* one that drains a little early */
	else
		s->former[s->nformer++] = number;
	return ERR_OK;
}

/* PID:KindNumber,KindNumber,... */
static enum err take_list(struct supervisor *s, struct sv list, struct errmsg *e)
{
	size_t end = sv_find(list, ':');
	uint64_t number;

	if (sv_u64(sv_cut(list, 0, end), INT32_MAX, &number) != ERR_OK ||
	    number != (uint64_t)getpid())
		return ERR_OK; /* somebody else's environment */
	list = sv_cut(list, end + 1, list.n);
	while (list.n > 0) {
		enum err r;

		end = sv_find(list, ',');
		if (sv_u64(sv_cut(list, 1, end), INT32_MAX, &number) != ERR_OK)
			return errmsg_set(e, ERR_SYNTAX, "%s: expected numbers", UPGRADE_ENV);
		r = take_one(s, list.p[0], (int)number, e);
		if (r != ERR_OK)
			return r;
		list = sv_cut(list, end + 1, list.n);
	}
	log_info("upgraded", K("version", BFF_VERSION), KU("former_workers", s->nformer));
	return ERR_OK;
}

enum err upgrade_take(struct supervisor *s, struct errmsg *e)
{
	const char *value = getenv(UPGRADE_ENV);
	char *copy = value == NULL ? NULL : strdup(value);
	enum err r = ERR_OK;

	if (copy != NULL)
		r = take_list(s, sv_str(copy), e);
	(void)unsetenv(UPGRADE_ENV); /* the name is valid */
	free(copy);
	return r;
}

void upgrade_release(struct supervisor *s)
{
	while (s->nformer > 0)
		(void)close(s->former[--s->nformer]); /* nothing is ever written to it */
}

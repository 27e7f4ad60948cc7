/*
 * spawn - fork, descriptor plan, exec
 *
 * Makes one worker as common/contract.h promises: exactly its descriptors, exactly its
 * environment, default signal dispositions, the configuration in a memfd that nobody can change
 * any more. Each worker has a memfd of its own, since copies of one would share the read offset.
 */
#ifndef BFF_MASTER_SPAWN_H
#define BFF_MASTER_SPAWN_H

#include <limits.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/metrics.h"
#include "master/listen.h"

/* The path of this program. Asked once, at start, because an upgrade takes the name from the
 * running file. ERR_NOT_FOUND with a sentence. */
WARN_UNUSED enum err spawn_find_self(char out[PATH_MAX], struct errmsg *e);

/* Where bff-worker is: beside this program, else in BFF_LIBEXECDIR. ERR_NOT_FOUND. */
WARN_UNUSED enum err spawn_find_worker(const char *self, char out[PATH_MAX], struct errmsg *e);

struct spawn {
	const char *worker; /* absolute path; resolved anew by each exec */
	const struct config *config;
	const struct listen_plan *listen;
	unsigned generation; /* from 1 */
	unsigned slot;	     /* from 0 */
	int metrics_fd;	     /* of the tally */
	unsigned slab;	     /* METRICS_SLAB_NONE: metrics_fd is not passed on */
};

/* *ret_status is the master's end of the status pair, non-blocking. A worker that cannot be
 * exec'ed is a child that exits with CONTRACT_EXIT_ERROR. ERR_IO, ERR_LIMIT with a sentence. */
WARN_UNUSED enum err spawn_worker(const struct spawn *s, pid_t *ret_pid, int *ret_status,
				  struct errmsg *e);

/* A program to become, with from[i] as its descriptor i and no other. */
struct spawn_image {
	const char *program;
	char *const *argv, *const *env;
	const int *from;
	size_t n;
	unsigned alarm_s; /* SIGALRM ends it after so long; 0 = never */
};

/* Forks and execs, with default signal dispositions. ERR_IO. */
WARN_UNUSED enum err spawn_run(const struct spawn_image *image, pid_t *ret_pid);

/* A sealed memfd, at offset 0, with the whole configuration as `bffd -T` prints it. */
WARN_UNUSED enum err spawn_config_memfd(const struct config *c, int *ret, struct errmsg *e);

#endif

/*
 * supervisor - the master's loop
 *
 * Signals, timers and status channels only note what happened; after each turn of the loop
 * supervisor_run() goes once through a flat list of "if (this) do that". Nothing here parses what
 * the network sent, and nothing that fails after the start ends the program.
 *
 *	current		the generation in force; its dead workers are replaced
 *	trial		the generation of a reload, until all its workers are ready
 *	draining	former generations whose workers finish what they have
 */
#ifndef BFF_MASTER_SUPERVISOR_H
#define BFF_MASTER_SUPERVISOR_H

#include <limits.h>

#include "common/notify.h"
#include "master/service.h"
#include "master/tally.h"

/* Former generations at a time; a SIGHUP beyond that waits until one is gone. */
#define SUPERVISOR_DRAINING_MAX 16
#define SUPERVISOR_SIGNALS 4
#define SUPERVISOR_FORMER_MAX 256 /* workers that an upgrade leaves to the new image */

struct supervisor {
	struct event_base *base;
	struct event *signals[SUPERVISOR_SIGNALS], *watchdog;
	const char *config_path;
	char program[PATH_MAX], worker[PATH_MAX];
	struct notify notify;
	struct listen_table listeners;
	struct tally tally;
	struct service *current, *trial, *draining;
	unsigned ndraining;
	int former[SUPERVISOR_FORMER_MAX]; /* status channels of workers of the image before us */
	size_t nformer;
	pid_t check_pid;     /* the new program's check of the configuration, or 0 */
	unsigned generation; /* of the newest */
	bool reap_wanted, reload_wanted, stop_wanted; /* what signals asked for */
	bool is_announced;			      /* READY=1 was sent once */
	bool is_stopping;
	int exit_code;
};

/*
 * Takes the configuration (also on failure), the environment's sockets and notify address, and
 * starts the first generation. ERR_CONFIG, ERR_UNSUPPORTED, ERR_NOT_FOUND, ERR_IO, ERR_NOMEM with
 * a sentence. In any case supervisor_done() follows.
 */
WARN_UNUSED enum err supervisor_init(struct supervisor *s, const char *config_path,
				     struct config **config, struct errmsg *e);

/* Until SIGTERM or SIGINT and the end of the last worker; returns the exit code. That is
 * CONTRACT_EXIT_CONFIG or CONTRACT_EXIT_BUILD when, before everything was ready once, a worker
 * said so. */
int supervisor_run(struct supervisor *s);

/* Accepts a zeroed or half-made supervisor. */
void supervisor_done(struct supervisor *s);

#endif

/*
 * bffd - the master: owns the listeners, starts and replaces the workers
 *
 * See bffd(8). Holds no secret, opens no connection, parses nothing that a stranger sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/contract.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "master/spawn.h"
#include "master/supervisor.h"

#define DEFAULT_CONFIG "/etc/bff/bff.conf"

enum action { ACTION_RUN = 1, ACTION_TEST, ACTION_DUMP, ACTION_VERSION };

static int usage(void)
{
	(void)fputs("usage: bffd [-c FILE] [-f]    serve, in the foreground\n"
		    "       bffd [-c FILE] -t      check the configuration\n"
		    "       bffd [-c FILE] -T      print the configuration in effect\n"
		    "       bffd -V                print the version\n",
		    stderr);
	return CONTRACT_EXIT_USAGE;
}

/* So that no socket of ours ever gets the number of a standard stream. */
static int fill_standard_streams(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd == -1)
			return -1;
	} while (fd <= STDERR_FILENO);
	return close(fd);
}

static int flush_stdout(void)
{
	if (fflush(stdout) == EOF || ferror(stdout)) {
		(void)fprintf(stderr, "bffd: standard output: %s\n", strerror(errno));
		return CONTRACT_EXIT_ERROR;
	}
	return CONTRACT_EXIT_OK;
}

/* Also what an upgrade asks of the new program before it becomes it: without a worker beside it, it
 * could not serve, and the old one still does. */
static int check(void)
{
	char self[PATH_MAX], worker[PATH_MAX];
	struct errmsg e;

	if (spawn_find_self(self, &e) != ERR_OK || spawn_find_worker(self, worker, &e) != ERR_OK) {
		(void)fprintf(stderr, "bffd: %s\n", e.text);
		return CONTRACT_EXIT_ERROR;
	}
	(void)puts("configuration ok");
	return flush_stdout();
}

static int dump(const struct config *c)
{
	if (config_dump(c, CONFIG_PRINT_ALL, stdout) != ERR_OK)
		return CONTRACT_EXIT_ERROR;
	return flush_stdout();
}

static int serve(const char *path, struct config **config)
{
	struct supervisor *s = calloc(1, sizeof *s);
	struct errmsg e;
	int code = CONTRACT_EXIT_ERROR;
	enum err r;

	if (s == NULL) {
		log_error("start_failed", K("reason", err_text(ERR_NOMEM)));
		return CONTRACT_EXIT_ERROR;
	}
	r = supervisor_init(s, path, config, &e);
	if (r == ERR_OK) {
		code = supervisor_run(s);
	} else {
		log_error("start_failed", K("reason", e.text));
		if (r == ERR_CONFIG)
			code = CONTRACT_EXIT_CONFIG;
	}
	supervisor_done(s);
	free(s);
	return code;
}

static int with_config(const char *path, enum action action)
{
	struct config *config = NULL;
	struct errmsg e;
	int code = CONTRACT_EXIT_ERROR;

	if (config_load(path, &config, &e) != ERR_OK) {
		(void)fprintf(stderr, "%s\n", e.text);
		return CONTRACT_EXIT_CONFIG;
	}
	switch (action) {
	case ACTION_RUN:
		code = serve(path, &config);
		break;
	case ACTION_TEST:
		code = check();
		break;
	case ACTION_DUMP:
		code = dump(config);
		break;
	case ACTION_VERSION:
		break;
	}
	config_free(&config);
	return code;
}

int main(int argc, char **argv)
{
	const char *path = DEFAULT_CONFIG;
	enum action action = ACTION_RUN;
	struct errmsg e;
	int c;

	if (fill_standard_streams() == -1 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return CONTRACT_EXIT_ERROR;
	log_init("bffd", 0);
	if (sandbox_harden(&e) != ERR_OK) {
		log_error("start_failed", K("reason", e.text));
		return CONTRACT_EXIT_ERROR;
	}
	while ((c = getopt(argc, argv, "c:ftTV")) != -1) {
		if (c == 'c')
			path = optarg;
		else if (c == 't' && action == ACTION_RUN)
			action = ACTION_TEST;
		else if (c == 'T' && action == ACTION_RUN)
			action = ACTION_DUMP;
		else if (c == 'V' && action == ACTION_RUN)
			action = ACTION_VERSION;
		else if (c != 'f')
			return usage();
	}
	if (optind != argc)
		return usage();
	if (action == ACTION_VERSION) {
		(void)puts("bffd " BFF_VERSION);
		return flush_stdout();
	}
	return with_config(path, action);
}

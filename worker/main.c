/* bff-worker: started by bffd alone (see common/contract.h), or by hand to explain a decision. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/contract.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/sandbox.h"
#include "worker/explain.h"
#include "worker/worker.h"

#define DEFAULT_CONFIG "/etc/bff/bff.conf"

static bool read_number(const char *name, uint64_t max, unsigned *ret)
{
	uint64_t v = 0;

	if (sv_u64(sv_str(getenv(name)), max, &v) != ERR_OK)
		return false;
	*ret = (unsigned)v;
	return true;
}

static int usage(void)
{
	(void)fputs(
	    "usage: bff-worker -x METHOD URL [-c CLAIMS.json] [-C CONFIG] [-H 'Name: value']...\n"
	    "                              explain what would be answered\n"
	    "else it is started by bffd, never by hand\n",
	    stderr);
	return CONTRACT_EXIT_USAGE;
}

static int by_hand(int argc, char **argv)
{
	struct explain_ask ask = {.config = DEFAULT_CONFIG};
	struct errmsg e = {.text = ""};
	enum err rc;
	int c;

	while ((c = getopt(argc, argv, "x:c:C:H:")) != -1) {
		if (c == 'x')
			ask.method = optarg;
		else if (c == 'c')
			ask.claims = optarg;
		else if (c == 'C')
			ask.config = optarg;
		else if (c == 'H' && ask.nfields < EXPLAIN_FIELDS_MAX)
			ask.fields[ask.nfields++] = optarg;
		else
			return usage();
	}
	if (ask.method == NULL || optind + 1 != argc)
		return usage();
	ask.url = argv[optind];
	rc = explain(&ask, stdout, &e);
	if (rc == ERR_OK && (fflush(stdout) == EOF || ferror(stdout)))
		rc = errmsg_set(&e, ERR_IO, "standard output: %s", strerror(errno));
	if (rc == ERR_OK)
		return CONTRACT_EXIT_OK;
	(void)fprintf(stderr, "%s%s\n", rc == ERR_CONFIG ? "" : "bff-worker: ", e.text);
	if (rc == ERR_CONFIG)
		return CONTRACT_EXIT_CONFIG;
	return rc == ERR_SYNTAX ? CONTRACT_EXIT_USAGE : CONTRACT_EXIT_ERROR;
}

int main(int argc, char **argv)
{
	struct errmsg e = {.text = ""};
	struct config *config = NULL;
	const char *build = getenv(CONTRACT_ENV_BUILD);
	unsigned nlisten = 0, generation = 0, slab = METRICS_SLAB_NONE;

	if (sandbox_harden(&e) != ERR_OK) {
		(void)fprintf(stderr, "bff-worker: %s\n", e.text);
		return CONTRACT_EXIT_ERROR;
	}
	if (argc != 1)
		return by_hand(argc, argv);
	if (!read_number(CONTRACT_ENV_LISTEN, CONTRACT_LISTEN_MAX, &nlisten) ||
	    !read_number(CONTRACT_ENV_GENERATION, UINT32_MAX, &generation) ||
	    (getenv(CONTRACT_ENV_SLAB) != NULL &&
	     !read_number(CONTRACT_ENV_SLAB, METRICS_SLABS_MAX - 1, &slab)))
		return usage();
	log_init("worker", generation);
	if (build == NULL || strcmp(build, BFF_VERSION) != 0) {
		log_error("build_differs", K("master", build == NULL ? "?" : build),
			  K("worker", BFF_VERSION));
		return CONTRACT_EXIT_BUILD;
	}
	/* What the master handed over must not go on to anybody (there is no exec; belt and
	 * braces). */
	for (unsigned fd = CONTRACT_FD_CONFIG; fd < CONTRACT_FD_LISTEN + nlisten; fd++)
		if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) == -1) {
			log_error("descriptor_missing", KU("fd", fd));
			return CONTRACT_EXIT_USAGE;
		}
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return CONTRACT_EXIT_ERROR;
	if (config_load_fd(CONTRACT_FD_CONFIG, "bff.conf", &config, &e) != ERR_OK) {
		log_error("config_refused", K("error", e.text));
		return CONTRACT_EXIT_CONFIG;
	}
	return worker_run(&config, nlisten, generation, slab);
}

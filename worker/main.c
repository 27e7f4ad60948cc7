/* bff-worker: started by bffd alone. See common/contract.h. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

#include "common/contract.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "worker/worker.h"

static bool read_number(const char *name, uint64_t max, unsigned *ret)
{
	uint64_t v = 0;

	if (sv_u64(sv_str(getenv(name)), max, &v) != ERR_OK)
		return false;
	*ret = (unsigned)v;
	return true;
}

int main(int argc, char **argv)
{
	struct errmsg e = {.text = ""};
	struct config *config = NULL;
	const char *build = getenv(CONTRACT_ENV_BUILD);
	unsigned nlisten = 0, generation = 0;

	(void)argv;
	if (sandbox_harden(&e) != ERR_OK) {
		(void)fprintf(stderr, "bff-worker: %s\n", e.text);
		return CONTRACT_EXIT_ERROR;
	}
	if (argc != 1 || !read_number(CONTRACT_ENV_LISTEN, CONTRACT_LISTEN_MAX, &nlisten) ||
	    !read_number(CONTRACT_ENV_GENERATION, UINT32_MAX, &generation)) {
		(void)fprintf(stderr, "bff-worker: started by bffd, never by hand\n");
		return CONTRACT_EXIT_USAGE;
	}
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
	return worker_run(&config, nlisten, generation);
}

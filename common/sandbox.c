#include "common/sandbox.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

enum err sandbox_harden(struct errmsg *e)
{
	const struct rlimit none = {0, 0};

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		return errmsg_set(e, ERR_IO, "cannot become non-dumpable: %s", strerror(errno));
	if (setrlimit(RLIMIT_CORE, &none) == -1)
		return errmsg_set(e, ERR_IO, "cannot forbid core files: %s", strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return errmsg_set(e, ERR_IO, "cannot set no_new_privs: %s", strerror(errno));
	return ERR_OK;
}

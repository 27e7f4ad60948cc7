/*
 * upgrade - the program on disk is another: become it
 *
 * After a package upgrade new workers would be of another version than the master. So a SIGHUP that
 * finds another bffd at our path first lets that one check the configuration, then execs it in
 * place: same process id, same sockets. The running workers' status channels go along; the new
 * image holds them open until its own first generation is ready, then closes them, which tells the
 * old workers to drain. So nothing is lost, and a new program that refuses changes nothing.
 */
#ifndef BFF_MASTER_UPGRADE_H
#define BFF_MASTER_UPGRADE_H

#include <stdbool.h>

#include "master/supervisor.h"

#define UPGRADE_ENV "BFF_UPGRADE"
#define UPGRADE_ENV_MAX 4096
#define UPGRADE_CHECK_S 10 /* the new program's `-t`; then SIGALRM ends it */

/* Another program stands at the path that this one was started from. */
bool upgrade_is_due(const struct supervisor *s);

/* Starts `program -t`; its exit status arrives like any child's. ERR_IO with a sentence. */
WARN_UNUSED enum err upgrade_check(struct supervisor *s, struct errmsg *e);

/* Execs the program on disk. Returns only when that failed, and then nothing has changed. */
enum err upgrade_exec(struct supervisor *s, struct errmsg *e);

/* In the new image: takes what upgrade_exec() left in the environment, if anything. ERR_SYNTAX,
 * ERR_UNSUPPORTED with a sentence. */
WARN_UNUSED enum err upgrade_take(struct supervisor *s, struct errmsg *e);

/* Closes the former workers' channels: they drain. */
void upgrade_release(struct supervisor *s);

#endif

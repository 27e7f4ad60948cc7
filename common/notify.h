/*
 * notify - the service manager: messages to it, sockets and the watchdog from it
 *
 * The protocol of sd_notify(3) and sd_listen_fds(3), spoken directly: one datagram to
 * $NOTIFY_SOCKET, descriptors from 3 on. Used by bffd and bff-broker. Everything taken from the
 * environment is removed from it, so that no child believes it is meant. Without a service
 * manager all of it does nothing and succeeds. Nothing here blocks: a datagram that would is
 * dropped.
 */
#ifndef BFF_NOTIFY_H
#define BFF_NOTIFY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "common/err.h"

#define NOTIFY_TEXT_MAX 1024 /* one message */

struct notify {
	int fd; /* -1: nobody listens */
	struct sockaddr_un to;
	socklen_t to_len;
	int64_t watchdog_ms; /* the manager's WATCHDOG_USEC; 0 = off */
};

/* Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment. A path or an abstract
 * name ("@..."); anything else is ERR_UNSUPPORTED, a watchdog that is no number ERR_SYNTAX. On
 * failure nothing is open. */
WARN_UNUSED enum err notify_open(struct notify *n, struct errmsg *e);

/* Closes; accepts a zeroed struct only after notify_open() wrote it. */
void notify_close(struct notify *n);

/* Before an exec of oneself: puts into the environment again what notify_open() took, except that
 * the watchdog is bound to no process id. ERR_NOMEM. notify_take_back() undoes it. */
WARN_UNUSED enum err notify_give_back(const struct notify *n);
void notify_take_back(void);

/* One message of "KEY=value" lines, such as "READY=1\nSTATUS=serving". ERR_IO when the manager
 * did not get it; most callers have nothing better to do than to go on. */
__attribute__((format(printf, 2, 3))) enum err notify_send(const struct notify *n, const char *fmt,
							   ...);

/* "RELOADING=1" with the MONOTONIC_USEC that systemd from 253 on insists on. */
enum err notify_reloading(const struct notify *n, const char *status);

#define NOTIFY_FDS_FIRST 3
#define NOTIFY_FDS_MAX 32
#define NOTIFY_FD_NAME_MAX 255

/* Sockets that the manager holds open for us. */
struct notify_fds {
	size_t n; /* descriptors NOTIFY_FDS_FIRST .. NOTIFY_FDS_FIRST + n - 1 */
	char name[NOTIFY_FDS_MAX][NOTIFY_FD_NAME_MAX + 1]; /* FileDescriptorName=, or "unknown" */
};

/* Takes LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES from the environment and makes the descriptors
 * close-on-exec. None, or another process's: n = 0. ERR_SYNTAX or ERR_LIMIT with a sentence when
 * the variables make no sense, ERR_IO when a descriptor is not open. */
WARN_UNUSED enum err notify_listen_fds(struct notify_fds *ret, struct errmsg *e);

/* The pure part: values as they stand in the environment (NULL = unset). */
WARN_UNUSED enum err notify_parse_fds(const char *pid, const char *fds, const char *names,
				      pid_t self, struct notify_fds *ret, struct errmsg *e);

#endif

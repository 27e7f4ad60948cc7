/*
 * ipc_listen - sockets in the file system
 *
 * The path that worker and broker meet at (SOCK_SEQPACKET), and those that an edge asks (a
 * SOCK_STREAM of the master's). Only the connecting side's uid can be told for
 * certain; the other side trusts the path, whose directory root owns.
 */
#ifndef BFF_IPC_LISTEN_H
#define BFF_IPC_LISTEN_H

#include <sys/types.h>

#include "common/err.h"

/* Starts connecting to a path. Returns at once; a Unix socket connects or fails here. */
WARN_UNUSED enum err ipc_connect(const char *path, int *ret_fd);

/* Binds and listens (backlog 128, mode 0660), replacing a stale socket of that path: one that
 * nobody listens on. Anything else that is there stays, and is ERR_EXISTS. */
WARN_UNUSED enum err ipc_listen(const char *path, int *ret_fd, struct errmsg *e);

/* The same of another type. */
WARN_UNUSED enum err ipc_bind(const char *path, int type, int backlog, int *ret_fd,
			      struct errmsg *e);

/* The uid at the other end (SO_PEERCRED: as it was at connect). */
WARN_UNUSED enum err ipc_peer_uid(int fd, uid_t *ret);

#endif

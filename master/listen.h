/*
 * listen - the listening sockets
 *
 * The master owns one socket an address, bound by itself or inherited from the service manager,
 * and lends it to every generation; so a reload neither closes nor opens what did not change, and
 * no queued connection is lost. A `listen` section takes the socket with its address. Inherited
 * ones are never closed: the manager keeps its own copy, and a later configuration may want them.
 *
 * A Unix socket of ours has mode 0660 from birth, and the group of `socket_group`. Its path stays
 * behind when it is closed, since by then it may be another's: who binds it next replaces what
 * nobody listens on.
 */
#ifndef BFF_MASTER_LISTEN_H
#define BFF_MASTER_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>

#include "common/config.h"
#include "common/contract.h"
#include "common/notify.h"

#define LISTEN_BACKLOG 4096
#define LISTEN_TABLE_MAX (NOTIFY_FDS_MAX + 2 * CONTRACT_LISTEN_MAX) /* inherited; old and new */

struct listen_address {
	struct sockaddr_storage sa;
	socklen_t len;
};

struct listener {
	int fd;
	bool inherited;
	char name[NOTIFY_FD_NAME_MAX + 1]; /* of an inherited one: FileDescriptorName= */
	struct listen_address address;
};

/* Zeroed = empty. */
struct listen_table {
	struct listener v[LISTEN_TABLE_MAX];
	size_t n;
};

/* The sockets of one configuration, in the order of its `listen` sections. Borrowed from the
 * table. */
struct listen_plan {
	int fd[CONTRACT_LISTEN_MAX];
	size_t n;
};

/* "127.0.0.1:7080" or "[::1]:7080", numbers only, no port 0; or "unix:/run/x.sock". ERR_SYNTAX.
 * Pure. */
WARN_UNUSED enum err listen_parse(struct sv text, struct listen_address *ret);

enum listen_owner { LISTEN_OURS = 1, LISTEN_INHERITED };

/* Takes over one listening stream socket. ERR_UNSUPPORTED with a sentence for anything else,
 * ERR_LIMIT; the descriptor then stays the caller's. */
WARN_UNUSED enum err listen_adopt(struct listen_table *t, int fd, const char *name,
				  enum listen_owner owner, struct errmsg *e);

/* Takes over the manager's sockets. ERR_UNSUPPORTED with a sentence for what is no listening
 * stream socket. */
WARN_UNUSED enum err listen_inherit(struct listen_table *t, const struct notify_fds *fds,
				    struct errmsg *e);

/*
 * Finds or binds a socket for each section. ERR_CONFIG with "FILE:LINE: listen NAME: ..." when an
 * address is refused, taken, or not that of the inherited socket of the same name. On failure the
 * table may hold new sockets: call listen_keep() with the plan still in force.
 */
WARN_UNUSED enum err listen_resolve(struct listen_table *t, const struct config *c,
				    struct listen_plan *ret, struct errmsg *e);

/* Closes the sockets that `plan` (NULL = none) does not use, except inherited ones. */
void listen_keep(struct listen_table *t, const struct listen_plan *plan);

/* Inherited sockets that `plan` does not use. */
size_t listen_unused(const struct listen_table *t, const struct listen_plan *plan);

#endif

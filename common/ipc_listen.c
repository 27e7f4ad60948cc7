#include "common/ipc_listen.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

static enum err address_of(const char *path, struct sockaddr_un *a, socklen_t *len)
{
	size_t n = strlen(path);

	if (n == 0 || n >= sizeof a->sun_path)
		return ERR_LIMIT;
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(a->sun_path, path, n);
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	return ERR_OK;
}

static enum err connect_to(const char *path, int type, int *ret_fd)
{
	struct sockaddr_un a;
	socklen_t len;
	int fd;

	if (address_of(path, &a, &len) != ERR_OK)
		return ERR_LIMIT;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return ERR_IO;
	if (connect(fd, (const struct sockaddr *)&a, len) == -1) {
		(void)close(fd);
		return ERR_UNAVAILABLE; /* also a full backlog (EAGAIN): come again later */
	}
	*ret_fd = fd;
	return ERR_OK;
}

enum err ipc_connect(const char *path, int *ret_fd)
{
	return connect_to(path, SOCK_SEQPACKET, ret_fd);
}

/* Takes away a socket that nobody listens on; anything else of that name stays. */
static enum err remove_stale(const char *path, int type, struct errmsg *e)
{
	struct stat st;
	enum err got;
	int fd;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? ERR_OK
				       : errmsg_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return errmsg_set(e, ERR_EXISTS, "%s: is there and no socket", path);
	got = connect_to(path, type, &fd);
	if (got == ERR_OK) {
		(void)close(fd);
		return errmsg_set(e, ERR_EXISTS, "%s: another process listens on it", path);
	}
	if (errno != ECONNREFUSED)
		return errmsg_set(e, ERR_EXISTS, "%s: in use (%s)", path, strerror(errno));
	if (unlink(path) == -1)
		return errmsg_set(e, ERR_IO, "%s: cannot remove the stale socket: %s", path,
				  strerror(errno));
	return ERR_OK;
}

enum err ipc_bind(const char *path, int type, int backlog, int *ret_fd, struct errmsg *e)
{
	struct sockaddr_un a;
	socklen_t len;
	mode_t before;
	enum err got;
	int fd, rc;

	if (address_of(path, &a, &len) != ERR_OK)
		return errmsg_set(e, ERR_LIMIT, "%s: a socket's path has 1 to %zu bytes", path,
				  sizeof a.sun_path - 1);
	got = remove_stale(path, type, e);
	if (got != ERR_OK)
		return got;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return errmsg_set(e, ERR_IO, "socket: %s", strerror(errno));
	before = umask(0117); /* 0660 from birth, not a moment later */
	rc = bind(fd, (const struct sockaddr *)&a, len);
	(void)umask(before);
	if (rc == -1 || listen(fd, backlog) == -1) {
		got = errmsg_set(e, ERR_IO, "%s: cannot listen: %s", path, strerror(errno));
		(void)close(fd);
		return got;
	}
	*ret_fd = fd;
	return ERR_OK;
}

enum err ipc_listen(const char *path, int *ret_fd, struct errmsg *e)
{
	return ipc_bind(path, SOCK_SEQPACKET, BACKLOG, ret_fd, e);
}

enum err ipc_peer_uid(int fd, uid_t *ret)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1 || len != sizeof peer)
		return ERR_IO;
	*ret = peer.uid;
	return ERR_OK;
}

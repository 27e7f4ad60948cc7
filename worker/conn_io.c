#include "worker/conn_io.h"

#include <sys/socket.h>
#include <unistd.h>

enum err conn_io_open(struct conn_io *io, int *fd)
{
	io->fd = *fd;
	*fd = -1;
	return ERR_OK;
}

void conn_io_close(struct conn_io *io)
{
	(void)close(io->fd); /* nothing to be done about a failure */
	io->fd = -1;
}

ssize_t conn_io_read(struct conn_io *io, void *to, size_t n)
{
	return recv(io->fd, to, n, 0);
}

ssize_t conn_io_write(struct conn_io *io, const void *from, size_t n)
{
	return send(io->fd, from, n, MSG_NOSIGNAL);
}

bool conn_io_pending(const struct conn_io *io)
{
	(void)io;
	return false;
}

bool conn_io_read_wants_write(const struct conn_io *io)
{
	(void)io;
	return false;
}

enum err conn_io_shut(struct conn_io *io)
{
	return shutdown(io->fd, SHUT_WR) == -1 ? ERR_IO : ERR_OK;
}

ssize_t conn_io_drop(struct conn_io *io)
{
	char dropped[4096];

	return recv(io->fd, dropped, sizeof dropped, 0);
}

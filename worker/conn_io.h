/*
 * conn_io - how a connection's bytes come and go
 *
 * What conn.c does with its descriptor goes through here. A plain connection is the descriptor
 * alone: one system call a call, and no allocation. Where the listener speaks TLS, reading does the
 * handshake first; one that fails, or is not done when the connection closes, is one line of log;
 * so is a peer that keeps us busy with records of no content (TLS_RECORDS_MAX).
 *
 * conn_io_read() and conn_io_write() answer as recv() and send() do: -1 with errno set, EAGAIN when
 * there is to be waited, 0 for the end of what the peer says. EINTR is not among the answers.
 */
#ifndef BFF_CONN_IO_H
#define BFF_CONN_IO_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

struct ssl_st;
struct tls;

struct conn_io {
	int fd;
	struct ssl_st *ssl; /* NULL: plain */
};

/* Takes *fd (accepted, non-blocking). tls: NULL for a plain connection. ERR_NOMEM; the descriptor
 * then stays the caller's. */
WARN_UNUSED enum err conn_io_open(struct conn_io *io, int *fd, struct tls *tls);

/* Sends what ends the connection, as far as the kernel takes it at once, and closes. */
void conn_io_close(struct conn_io *io);

WARN_UNUSED ssize_t conn_io_read(struct conn_io *io, void *to, size_t n);
WARN_UNUSED ssize_t conn_io_write(struct conn_io *io, const void *from, size_t n);

/* There are bytes of which the kernel knows nothing more: read again, without waiting for it. */
bool conn_io_pending(const struct conn_io *io);

/* The last conn_io_read() waits until the kernel takes something. */
bool conn_io_read_wants_write(const struct conn_io *io);

/* Nothing more will be written. ERR_IO. */
WARN_UNUSED enum err conn_io_shut(struct conn_io *io);

/* Reads and forgets what still comes after conn_io_shut(). Answers as conn_io_read() does. */
WARN_UNUSED ssize_t conn_io_drop(struct conn_io *io);

#endif

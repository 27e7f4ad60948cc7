#include "worker/conn_io.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "worker/peer.h"
#include "worker/tls.h"

enum handshake { HANDSHAKE_BEFORE = 1, HANDSHAKE_DONE };

/* Asked before a call: after one that failed OpenSSL calls every connection unfinished. */
static enum handshake handshake(const struct conn_io *io)
{
	return SSL_is_init_finished(io->ssl) ? HANDSHAKE_DONE : HANDSHAKE_BEFORE;
}

enum err conn_io_open(struct conn_io *io, int *fd, struct tls *tls)
{
	io->ssl = NULL;
	if (tls != NULL && tls_accept(tls, *fd, &io->ssl) != ERR_OK)
		return ERR_NOMEM;
	io->fd = *fd;
	*fd = -1;
	return ERR_OK;
}

static void log_failure(const struct conn_io *io, const char *why)
{
	struct sockaddr_storage from = {0};
	socklen_t len = sizeof from;
	unsigned char peer[PEER_LEN];
	char text[PEER_TEXT] = "-"; /* it is gone already */

	if (getpeername(io->fd, (struct sockaddr *)&from, &len) == 0 &&
	    peer_of(io->fd, &from, peer) == ERR_OK)
		peer_text(peer, text);
	log_peer(LOG_INFO, "tls_failed", KS("listen", tls_name(io->ssl)), K("peer", text),
		 K("reason", why));
}

/* Nothing more is to be said in this language: not even that it ends (SSL_shutdown(3)). */
static void give_up(struct conn_io *io, enum handshake was, const char *why)
{
	if (was == HANDSHAKE_BEFORE || tls_is_flooded(io->ssl))
		log_failure(io, why);
	SSL_set_quiet_shutdown(io->ssl, 1);
}

/* OpenSSL tells a failure from a wait by the thread's errors: those of others, libpq's for one,
 * would end this connection (SSL_get_error(3)). */
static void forget_errors(void)
{
	ERR_clear_error();
	errno = 0;
}

/* What SSL_read() or SSL_write() said, as recv() or send() would have. A write that waits for the
 * peer would be a handshake of the peer's wish, and there is no second one. */
static ssize_t outcome(struct conn_io *io, enum handshake was, int got)
{
	int system = errno;

	if (got > 0)
		return got;
	switch (SSL_get_error(io->ssl, got)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		give_up(io, was, system == 0 ? "closed" : strerror(system));
		break;
	default:
		give_up(io, was, tls_reason(io->ssl));
		break;
	}
	ERR_clear_error();
	errno = ECONNRESET;
	return -1;
}

static int at_most(size_t n)
{
	return n > INT_MAX ? INT_MAX : (int)n;
}

void conn_io_close(struct conn_io *io)
{
	if (io->ssl != NULL) {
		if (SSL_get_quiet_shutdown(io->ssl) == 0 && handshake(io) == HANDSHAKE_BEFORE)
			give_up(io, HANDSHAKE_BEFORE, "not done when the connection was closed");
		(void)SSL_shutdown(io->ssl); /* what the kernel does not take is not said */
		SSL_free(io->ssl);
		ERR_clear_error();
		io->ssl = NULL;
	}
	(void)close(io->fd); /* nothing to be done about a failure */
	io->fd = -1;
}

static ssize_t receive(const struct conn_io *io, void *to, size_t n)
{
	ssize_t got;

	do
		got = recv(io->fd, to, n, 0);
	while (got == -1 && errno == EINTR);
	return got;
}

ssize_t conn_io_read(struct conn_io *io, void *to, size_t n)
{
	enum handshake was;

	if (io->ssl == NULL)
		return receive(io, to, n);
	was = handshake(io);
	forget_errors();
	return outcome(io, was, SSL_read(io->ssl, to, at_most(n)));
}

ssize_t conn_io_write(struct conn_io *io, const void *from, size_t n)
{
	ssize_t put;

	if (io->ssl == NULL) {
		do
			put = send(io->fd, from, n, MSG_NOSIGNAL);
		while (put == -1 && errno == EINTR);
		return put;
	}
	forget_errors();
	put = outcome(io, HANDSHAKE_DONE, SSL_write(io->ssl, from, at_most(n)));
	if (put == -1 && errno == EAGAIN && SSL_want_read(io->ssl))
		errno = EPROTO;
	return put;
}

bool conn_io_pending(const struct conn_io *io)
{
	return io->ssl != NULL && SSL_has_pending(io->ssl) == 1;
}

bool conn_io_read_wants_write(const struct conn_io *io)
{
	return io->ssl != NULL && SSL_want_write(io->ssl);
}

enum err conn_io_shut(struct conn_io *io)
{
	if (io->ssl != NULL) {
		(void)SSL_shutdown(io->ssl); /* as above; the FIN follows in any case */
		SSL_set_quiet_shutdown(io->ssl, 1);
		ERR_clear_error();
	}
	return shutdown(io->fd, SHUT_WR) == -1 ? ERR_IO : ERR_OK;
}

/* Below TLS: nobody wants to know what it says. */
ssize_t conn_io_drop(struct conn_io *io)
{
	char dropped[4096];

	return receive(io, dropped, sizeof dropped);
}

#include "common/ipc_socket.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKETS_PER_TURN 64 /* then the loop's other events have their turn */
#define PACKETS_PER_CALL 64 /* of sendmmsg() */
#define FLUSH_EARLY (256 * 1024)
#define KERNEL_BUFFER (1024 * 1024) /* the kernel counts a small packet as about a KiB */
#define CHUNK_BYTES (IPC_FRAME_MAX + 32 * 1024)

/* Packets to be sent, one after the other, each behind its length. */
struct chunk {
	struct chunk *next;
	size_t from, to; /* not sent yet */
	char bytes[CHUNK_BYTES];
};

static_assert(IPC_FRAME_MAX + sizeof(uint32_t) <= CHUNK_BYTES, "a packet fits a chunk");

struct ipc_socket {
	struct ipc_socket_events events;
	void *arg;
	int fd;
	struct event *read_ev, *write_ev;
	struct event *flush_ev; /* made active by hand: the end of this turn of the loop */
	struct event *close_ev; /* likewise: on_close from the loop */
	struct chunk *first, *last, *spare;
	size_t queued; /* bytes */
	bool waits;    /* for the kernel to take more: write_ev is pending */
	bool flush_set;
	enum err why; /* of the close under way */
	bool closed;  /* nothing more is sent or received */
	bool in_callback;
	bool freed; /* by the owner, in a callback: memory goes when that returns */
	char in[IPC_FRAME_MAX];
};

/* --- sending --- */

/* Up to PACKETS_PER_CALL packets of one chunk. */
static unsigned gather(const struct chunk *k, struct mmsghdr *m, struct iovec *v)
{
	unsigned n = 0;
	uint32_t len;

	for (size_t at = k->from; at < k->to && n < PACKETS_PER_CALL; at += sizeof len + len, n++) {
		memcpy(&len, k->bytes + at, sizeof len);
		/* sendmmsg() reads only, but struct iovec is also that of readv(). */
		v[n] = (struct iovec){.iov_base = (void *)(uintptr_t)(k->bytes + at + sizeof len),
				      .iov_len = len};
		m[n] = (struct mmsghdr){.msg_hdr = {.msg_iov = &v[n], .msg_iovlen = 1}};
	}
	return n;
}

/* The kernel has the first n packets of the first chunk. */
static void sent(struct ipc_socket *s, unsigned n)
{
	struct chunk *k = s->first;
	uint32_t len;

	for (; n > 0; n--) {
		memcpy(&len, k->bytes + k->from, sizeof len);
		explicit_bzero(k->bytes + k->from, sizeof len + len);
		k->from += sizeof len + len;
		s->queued -= len;
	}
	if (k->from < k->to)
		return;
	s->first = k->next;
	if (s->spare == NULL)
		s->spare = k;
	else
		free(k);
}

static enum err set_waits(struct ipc_socket *s, bool waits)
{
	if (waits == s->waits)
		return ERR_OK;
	s->waits = waits;
	if (!waits)
		return event_del(s->write_ev) == 0 ? ERR_OK : ERR_IO;
	return event_add(s->write_ev, NULL) == 0 ? ERR_OK : ERR_NOMEM;
}

/* Sends what the kernel takes; the rest goes when there is room. ERR_UNAVAILABLE: the peer is gone.
 */
static enum err flush(struct ipc_socket *s)
{
	while (s->first != NULL) {
		struct mmsghdr m[PACKETS_PER_CALL];
		struct iovec v[PACKETS_PER_CALL];
		unsigned n = gather(s->first, m, v);
		int got = sendmmsg(s->fd, m, n, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_EOR);

		if (got > 0)
			sent(s, (unsigned)got); /* a packet goes whole or not at all */
		else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
			return set_waits(s, true);
		else if (errno != EINTR)
			return errno == EPIPE || errno == ECONNRESET ? ERR_UNAVAILABLE : ERR_IO;
	}
	return set_waits(s, false);
}

/* --- the object --- */

static void destroy(struct ipc_socket *s)
{
	struct chunk *next;

	for (struct chunk *k = s->first; k != NULL; k = next) {
		next = k->next;
		explicit_bzero(k->bytes, k->to);
		free(k);
	}
	free(s->spare);
	if (s->read_ev != NULL)
		event_free(s->read_ev);
	if (s->write_ev != NULL)
		event_free(s->write_ev);
	if (s->flush_ev != NULL)
		event_free(s->flush_ev);
	if (s->close_ev != NULL)
		event_free(s->close_ev);
	if (s->fd != -1)
		(void)close(s->fd); /* nothing to do about a failure */
	explicit_bzero(s->in, sizeof s->in);
	free(s);
}

void ipc_socket_free(struct ipc_socket **ps)
{
	struct ipc_socket *s = *ps;

	*ps = NULL;
	if (s == NULL)
		return;
	if (!s->closed)
		(void)flush(s); /* what the kernel takes at once still arrives */
	s->closed = s->freed = true;
	if (!s->in_callback)
		destroy(s);
}

/* From the loop only. The object may be gone afterwards. */
static void close_now(struct ipc_socket *s, enum err why)
{
	s->closed = true;
	(void)event_del(s->read_ev);
	(void)event_del(s->write_ev);
	(void)event_del(s->flush_ev);
	(void)event_del(s->close_ev);
	s->in_callback = true;
	s->events.on_close(s->arg, why);
	s->in_callback = false;
	if (s->freed)
		destroy(s);
}

static void close_later(struct ipc_socket *s, enum err why)
{
	s->closed = true;
	s->why = why;
	(void)event_del(s->read_ev);
	(void)event_del(s->write_ev);
	(void)event_del(s->flush_ev);
	event_active(s->close_ev, EV_TIMEOUT, 1);
}

static void on_close_event(evutil_socket_t fd, short what, void *arg)
{
	struct ipc_socket *s = arg;

	(void)fd;
	(void)what;
	close_now(s, s->why);
}

/* False: the object was closed, and may be gone. */
static bool take_packet(struct ipc_socket *s, size_t n)
{
	enum err e;

	s->in_callback = true;
	e = s->events.on_packet(s->arg, sv_of(s->in, n));
	s->in_callback = false;
	explicit_bzero(s->in, n);
	if (s->freed) {
		destroy(s);
		return false;
	}
	if (s->closed) /* a send of the callback failed; on_close is on its way */
		return false;
	if (e == ERR_OK)
		return true;
	close_now(s, e);
	return false;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ipc_socket *s = arg;

	(void)what;
	for (int i = 0; i < PACKETS_PER_TURN; i++) {
		ssize_t n = recv(fd, s->in, sizeof s->in, MSG_DONTWAIT | MSG_TRUNC);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n <= 0) { /* an empty packet looks the same, and is none of the protocol */
			close_now(s, n == 0 ? ERR_UNAVAILABLE : ERR_IO);
			return;
		}
		if ((size_t)n > sizeof s->in) {
			explicit_bzero(s->in, sizeof s->in);
			close_now(s, ERR_PROTOCOL);
			return;
		}
		if (!take_packet(s, (size_t)n))
			return;
	}
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct ipc_socket *s = arg;
	enum err e = flush(s);

	(void)fd;
	(void)what;
	s->flush_set = false;
	if (e != ERR_OK)
		close_now(s, e);
}

static enum err add_chunk(struct ipc_socket *s)
{
	struct chunk *k = s->spare != NULL ? s->spare : malloc(sizeof *k);

	if (k == NULL)
		return ERR_NOMEM;
	s->spare = NULL;
	k->next = NULL;
	k->from = k->to = 0;
	if (s->first == NULL)
		s->first = k;
	else
		s->last->next = k;
	s->last = k;
	return ERR_OK;
}

static enum err enqueue(struct ipc_socket *s, struct sv packet)
{
	uint32_t n = (uint32_t)packet.n;
	struct chunk *k;

	if (packet.n > IPC_QUEUE_MAX - s->queued)
		return ERR_LIMIT;
	if ((s->first == NULL || CHUNK_BYTES - s->last->to < sizeof n + packet.n) &&
	    add_chunk(s) != ERR_OK)
		return ERR_NOMEM;
	k = s->last;
	memcpy(k->bytes + k->to, &n, sizeof n);
	memcpy(k->bytes + k->to + sizeof n, packet.p, packet.n);
	k->to += sizeof n + packet.n;
	s->queued += packet.n;
	return ERR_OK;
}

enum err ipc_socket_send(struct ipc_socket *s, struct sv packet)
{
	enum err e;

	if (s->closed)
		return ERR_UNAVAILABLE;
	if (packet.n == 0 || packet.n > IPC_FRAME_MAX)
		return ERR_LIMIT;
	e = enqueue(s, packet);
	if (e != ERR_OK || s->waits)
		return e;
	if (s->queued >= FLUSH_EARLY && (e = flush(s)) != ERR_OK) {
		close_later(s, e);
		return ERR_UNAVAILABLE;
	}
	if (!s->waits && !s->flush_set) {
		s->flush_set = true;
		event_active(s->flush_ev, EV_WRITE, 1);
	}
	return ERR_OK;
}

enum err ipc_socket_new(struct event_base *base, int *fd, const struct ipc_socket_events *events,
			void *arg, struct ipc_socket **ret)
{
	struct ipc_socket *s = calloc(1, sizeof *s);

	if (s == NULL) {
		(void)close(*fd); /* taken all the same */
		*fd = -1;
		return ERR_NOMEM;
	}
	s->events = *events;
	s->arg = arg;
	s->fd = *fd;
	(void)setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &(int){KERNEL_BUFFER},
			 sizeof(int)); /* less than this is slower, no more */
	*fd = -1;
	s->read_ev = event_new(base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
	s->write_ev = event_new(base, s->fd, EV_WRITE | EV_PERSIST, on_writable, s);
	s->flush_ev = event_new(base, -1, 0, on_writable, s);
	s->close_ev = event_new(base, -1, 0, on_close_event, s);
	if (s->read_ev == NULL || s->write_ev == NULL || s->flush_ev == NULL ||
	    s->close_ev == NULL || event_add(s->read_ev, NULL) == -1) {
		destroy(s);
		return ERR_NOMEM;
	}
	*ret = s;
	return ERR_OK;
}

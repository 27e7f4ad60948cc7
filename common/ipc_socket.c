#include "common/ipc_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PACKETS_PER_TURN 32 /* then the loop's other events have their turn */
#define BACKLOG 128

struct packet {
	struct packet *next;
	size_t n;
	char bytes[];
};

struct ipc_socket {
	struct ipc_socket_events events;
	void *arg;
	int fd;
	struct event *read_ev, *write_ev;
	struct event *close_ev; /* made active by hand: on_close from the loop */
	struct packet *first, **last;
	size_t queued; /* bytes */
	enum err why;  /* of the close under way */
	bool closed;   /* nothing more is sent or received */
	bool in_callback;
	bool freed; /* by the owner, in a callback: memory goes when that returns */
	char in[IPC_FRAME_MAX];
};

static void packet_free(struct packet *p)
{
	explicit_bzero(p->bytes, p->n);
	free(p);
}

static void destroy(struct ipc_socket *s)
{
	struct packet *next;

	for (struct packet *p = s->first; p != NULL; p = next) {
		next = p->next;
		packet_free(p);
	}
	if (s->read_ev != NULL)
		event_free(s->read_ev);
	if (s->write_ev != NULL)
		event_free(s->write_ev);
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

/* ERR_UNAVAILABLE: the peer is gone; ERR_CONFLICT: the kernel's buffer is full. */
static enum err send_one(int fd, struct sv packet)
{
	ssize_t n;

	do
		n = send(fd, packet.p, packet.n, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_EOR);
	while (n == -1 && errno == EINTR);
	if (n >= 0)
		return ERR_OK; /* a packet goes whole or not at all */
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
		return ERR_CONFLICT;
	return errno == EPIPE || errno == ECONNRESET ? ERR_UNAVAILABLE : ERR_IO;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct ipc_socket *s = arg;

	(void)what;
	while (s->first != NULL) {
		struct packet *p = s->first;
		enum err e = send_one(fd, sv_of(p->bytes, p->n));

		if (e == ERR_CONFLICT)
			return;
		if (e != ERR_OK) {
			close_now(s, e);
			return;
		}
		s->first = p->next;
		if (s->first == NULL)
			s->last = &s->first;
		s->queued -= p->n;
		packet_free(p);
	}
	(void)event_del(s->write_ev);
}

static enum err enqueue(struct ipc_socket *s, struct sv packet)
{
	struct packet *p;

	if (packet.n > IPC_QUEUE_MAX - s->queued)
		return ERR_LIMIT;
	p = malloc(sizeof *p + packet.n);
	if (p == NULL)
		return ERR_NOMEM;
	p->next = NULL;
	p->n = packet.n;
	memcpy(p->bytes, packet.p, packet.n);
	if (event_add(s->write_ev, NULL) == -1) {
		packet_free(p);
		return ERR_NOMEM;
	}
	*s->last = p;
	s->last = &p->next;
	s->queued += p->n;
	return ERR_OK;
}

enum err ipc_socket_send(struct ipc_socket *s, struct sv packet)
{
	enum err e = ERR_CONFLICT;

	if (s->closed)
		return ERR_UNAVAILABLE;
	if (packet.n == 0 || packet.n > IPC_FRAME_MAX)
		return ERR_LIMIT;
	if (s->first == NULL)
		e = send_one(s->fd, packet);
	if (e == ERR_CONFLICT)
		return enqueue(s, packet);
	if (e != ERR_OK)
		close_later(s, e);
	return e == ERR_OK ? ERR_OK : ERR_UNAVAILABLE;
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
	*fd = -1;
	s->last = &s->first;
	s->read_ev = event_new(base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
	s->write_ev = event_new(base, s->fd, EV_WRITE | EV_PERSIST, on_writable, s);
	s->close_ev = event_new(base, -1, 0, on_close_event, s);
	if (s->read_ev == NULL || s->write_ev == NULL || s->close_ev == NULL ||
	    event_add(s->read_ev, NULL) == -1) {
		destroy(s);
		return ERR_NOMEM;
	}
	*ret = s;
	return ERR_OK;
}

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

enum err ipc_connect(const char *path, int *ret_fd)
{
	struct sockaddr_un a;
	socklen_t len;
	int fd;

	if (address_of(path, &a, &len) != ERR_OK)
		return ERR_LIMIT;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return ERR_IO;
	if (connect(fd, (const struct sockaddr *)&a, len) == -1) {
		(void)close(fd);
		return ERR_UNAVAILABLE; /* also a full backlog (EAGAIN): come again later */
	}
	*ret_fd = fd;
	return ERR_OK;
}

/* Takes away a socket that nobody listens on; anything else of that name stays. */
static enum err remove_stale(const char *path, struct errmsg *e)
{
	struct stat st;
	enum err got;
	int fd;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? ERR_OK
				       : errmsg_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return errmsg_set(e, ERR_EXISTS, "%s: is there and no socket", path);
	got = ipc_connect(path, &fd);
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

enum err ipc_listen(const char *path, int *ret_fd, struct errmsg *e)
{
	struct sockaddr_un a;
	socklen_t len;
	mode_t before;
	enum err got;
	int fd, rc;

	if (address_of(path, &a, &len) != ERR_OK)
		return errmsg_set(e, ERR_LIMIT, "%s: a socket's path has 1 to %zu bytes", path,
				  sizeof a.sun_path - 1);
	got = remove_stale(path, e);
	if (got != ERR_OK)
		return got;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return errmsg_set(e, ERR_IO, "socket: %s", strerror(errno));
	before = umask(0117); /* 0660 from birth, not a moment later */
	rc = bind(fd, (const struct sockaddr *)&a, len);
	(void)umask(before);
	if (rc == -1 || listen(fd, BACKLOG) == -1) {
		got = errmsg_set(e, ERR_IO, "%s: cannot listen: %s", path, strerror(errno));
		(void)close(fd);
		return got;
	}
	*ret_fd = fd;
	return ERR_OK;
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

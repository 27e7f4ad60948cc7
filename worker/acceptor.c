#include "worker/acceptor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/contract.h"
#include "common/log.h"
#include "worker/count.h"
#include "worker/worker.h"

struct acceptor {
	struct worker *w;
	unsigned nlisten;
	int epoll;
	bool armed, stopped;
	struct event *ev_listen, *ev_retry;
};

static void retry_in(struct acceptor *a, int64_t ms)
{
	struct timeval tv = clock_timeval(ms);

	(void)evtimer_add(a->ev_retry, &tv); /* without memory: when a connection ends */
}

static void disarm(struct acceptor *a)
{
	if (!a->armed)
		return;
	for (unsigned i = 0; i < a->nlisten; i++)
		(void)epoll_ctl(a->epoll, EPOLL_CTL_DEL, (int)(CONTRACT_FD_LISTEN + i), NULL);
	a->armed = false;
}

enum err acceptor_start(struct acceptor *a)
{
	if (a->armed || a->stopped)
		return ERR_OK;
	a->armed = true;
	for (unsigned i = 0; i < a->nlisten; i++) {
		struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.u32 = i};

		if (epoll_ctl(a->epoll, EPOLL_CTL_ADD, (int)(CONTRACT_FD_LISTEN + i), &ev) == -1) {
			disarm(a);
			return ERR_IO;
		}
	}
	return ERR_OK;
}

void acceptor_stop(struct acceptor *a)
{
	disarm(a);
	a->stopped = true;
	(void)event_del(a->ev_retry);
}

static bool is_full(const struct acceptor *a)
{
	return a->w->conns.n >= a->w->config->web.max_connections;
}

void acceptor_room(struct acceptor *a)
{
	if (!a->armed && !a->stopped && !is_full(a))
		retry_in(a, 0);
}

static void pause_for(struct acceptor *a, const char *why)
{
	log_peer(LOG_WARN, "accept_paused", K("reason", why), KU("connections", a->w->conns.n),
		 KI("retry_ms", ACCEPTOR_RETRY_MS));
	count_accept_paused(a->w);
	disarm(a);
	retry_in(a, ACCEPTOR_RETRY_MS);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct acceptor *a = arg;

	(void)fd;
	(void)what;
	if (is_full(a) || acceptor_start(a) != ERR_OK)
		retry_in(a, ACCEPTOR_RETRY_MS);
}

/* False: nothing more to take here, or no way to. */
static bool accept_one(struct acceptor *a, unsigned i)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof ss;
	unsigned char peer[PEER_LEN];
	int fd = accept4((int)(CONTRACT_FD_LISTEN + i), (struct sockaddr *)&ss, &len,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd == -1) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_for(a, strerror(errno));
		return errno == ECONNABORTED || errno == EINTR;
	}
	if (peer_of(fd, &ss, peer) != ERR_OK) {
		(void)close(fd); /* it is nobody's */
		return true;
	}
	if (conn_new(a->w, &a->w->config->listens[i], &fd, peer) != ERR_OK) {
		(void)close(fd);
		pause_for(a, "memory");
		return false;
	}
	if (is_full(a)) {
		pause_for(a, "max_connections");
		return false;
	}
	return true;
}

static void on_listen(evutil_socket_t fd, short what, void *arg)
{
	struct acceptor *a = arg;
	struct epoll_event events[CONTRACT_LISTEN_MAX];
	int n = epoll_wait(a->epoll, events, CONTRACT_LISTEN_MAX, 0);

	(void)fd;
	(void)what;
	for (int i = 0; i < n; i++)
		for (unsigned k = 0; k < ACCEPTOR_TURN && a->armed; k++)
			if (!accept_one(a, events[i].data.u32))
				break;
}

enum err acceptor_new(struct worker *w, unsigned nlisten, struct acceptor **ret, struct errmsg *e)
{
	struct acceptor *a = calloc(1, sizeof *a);
	int on = 1;

	if (a == NULL)
		return errmsg_set(e, ERR_NOMEM, "acceptor: out of memory");
	a->w = w;
	a->nlisten = nlisten;
	a->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (a->epoll != -1) {
		a->ev_listen = event_new(w->base, a->epoll, EV_READ | EV_PERSIST, on_listen, a);
		a->ev_retry = evtimer_new(w->base, on_retry, a);
	}
	if (a->ev_listen == NULL || a->ev_retry == NULL || event_add(a->ev_listen, NULL) == -1) {
		acceptor_free(&a);
		return errmsg_set(e, ERR_IO, "acceptor: %s", strerror(errno));
	}
	/* accept() hands TCP_NODELAY on, so that no answer waits for an acknowledgement. */
	for (unsigned i = 0; i < nlisten; i++)
		(void)setsockopt((int)(CONTRACT_FD_LISTEN + i), IPPROTO_TCP, TCP_NODELAY, &on,
				 sizeof on); /* only slower without */
	*ret = a;
	return ERR_OK;
}

void acceptor_free(struct acceptor **p)
{
	struct acceptor *a = *p;

	if (a == NULL)
		return;
	if (a->ev_listen != NULL)
		event_free(a->ev_listen);
	if (a->ev_retry != NULL)
		event_free(a->ev_retry);
	if (a->epoll != -1)
		(void)close(a->epoll);
	free(a);
	*p = NULL;
}

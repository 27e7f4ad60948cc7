#include "worker/conn_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "worker/count.h"
#include "worker/session_events.h"
#include "worker/worker.h"

void conns_init(struct conns *cs)
{
	TAILQ_INIT(&cs->live);
	TAILQ_INIT(&cs->dead);
	cs->n = 0;
}

/* One timer a connection; it is moved forward only when it fires early. */
static void set_deadline(struct conn *c, int64_t ms)
{
	struct timeval tv;

	c->deadline_ms = clock_tick_ms() + ms;
	if (c->armed_ms != 0 && c->armed_ms <= c->deadline_ms)
		return;
	c->armed_ms = c->deadline_ms;
	tv = clock_timeval(ms);
	(void)evtimer_add(c->ev_timer, &tv); /* fails only without memory: then no deadline */
}

void conn_set_head_deadline(struct conn *c)
{
	set_deadline(c, c->w->config->web.head_timeout_ms);
}

void conn_set_state(struct conn *c, enum conn_state to)
{
	const struct config *cf = c->w->config;

	assert(c->state != CONN_DEAD);
	c->state = to;
	switch (to) {
	case CONN_IDLE:
		set_deadline(c, cf->web.idle_timeout_ms);
		break;
	case CONN_HEAD:
		conn_set_head_deadline(c);
		break;
	case CONN_BODY:
		break; /* the head's deadline goes on */
	case CONN_BUSY:
		/* Every wait within has its own, shorter one. */
		set_deadline(c, 2 * TIMEOUT_BROKER_LOGIN_MS);
		break;
	case CONN_WRITE:
		set_deadline(c, CONN_WRITE_MS);
		break;
	case CONN_STREAM:
		break; /* whoever speaks there keeps time */
	case CONN_LINGER:
		set_deadline(c, CONN_LINGER_MS);
		break;
	case CONN_DEAD:
		break;
	}
}

void conn_close(struct conn *c)
{
	struct conns *cs = &c->w->conns;

	if (c->state == CONN_DEAD)
		return;
	conn_set_state(c, CONN_DEAD);
	request_free(&c->request);
	session_stream_free(&c->stream);
	event_free(c->ev_read);
	event_free(c->ev_write);
	event_free(c->ev_timer);
	conn_io_close(&c->io);
	TAILQ_REMOVE(&cs->live, c, link);
	TAILQ_INSERT_TAIL(&cs->dead, c, link);
	cs->n--;
	count_closed(c->w, c->listen);
	worker_conn_closed(c->w);
}

enum err conn_lend(struct conn *c, struct buf *b)
{
	if (b->p == NULL)
		buf_lend(b, pool_get(&c->w->chunks, CONN_CHUNK), CONN_CHUNK);
	return b->p == NULL ? ERR_NOMEM : ERR_OK;
}

static void take_back(struct conn *c, struct buf *b)
{
	pool_put(&c->w->chunks, buf_take_back(b, CONN_CHUNK));
}

static void put_fields(struct conn *c)
{
	pool_put(&c->w->fields, c->fields);
	c->fields = NULL;
}

void conn_release(struct conn *c)
{
	take_back(c, &c->in);
	take_back(c, &c->out);
	put_fields(c);
}

static void conn_free(struct conn *c)
{
	conn_release(c);
	free(c);
}

void conns_reap(struct conns *cs)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&cs->dead)) != NULL) {
		TAILQ_REMOVE(&cs->dead, c, link);
		conn_free(c);
	}
}

/* The kernel says once that there is something, or that the end is behind it (see conn_new()): look
 * again, with what it said. SECURITY: but first the loop asks who else is there and what is due; it
 * would not, for as long as this one has more. */
static void look_again(struct conn *c, short what)
{
	event_active(c->ev_read, EV_READ | (what & EV_CLOSED), 0);
	(void)event_base_loopcontinue(c->w->base); /* there is a base */
}

static void pause_reading(struct conn *c)
{
	if (!c->reading)
		return;
	(void)event_del(c->ev_read);
	c->reading = false;
}

void conn_resume_reading(struct conn *c)
{
	if (c->reading || c->eof)
		return;
	(void)event_add(c->ev_read, NULL);
	c->reading = true;
	if (conn_io_pending(&c->io))
		look_again(c, EV_READ);
}

/* Ready for the next request, whose first bytes may be here already. */
static void next_request(struct conn *c)
{
	take_back(c, &c->out);
	c->sent = 0;
	c->scan = (struct http_scan){0};
	put_fields(c);
	if (c->in.n == 0) {
		take_back(c, &c->in); /* an idle connection holds no buffer */
		conn_set_state(c, CONN_IDLE);
	} else {
		conn_set_state(c, CONN_HEAD);
	}
	if (c->eof && c->in.n == 0) {
		conn_close(c);
		return;
	}
	conn_resume_reading(c);
	conn_run(c);
}

static void after_answer(struct conn *c)
{
	bool rest = c->unread || c->in.n > c->head_len + c->body_len;

	if (c->request != NULL && c->request->stream != NULL) {
		conn_stream(c);
		return;
	}
	request_free(&c->request);
	if (!c->last) {
		buf_consume(&c->in, c->head_len + c->body_len);
		next_request(c);
		return;
	}
	take_back(c, &c->in);
	take_back(c, &c->out);
	if (c->eof || !rest) {
		conn_close(c);
		return;
	}
	if (conn_io_shut(&c->io) != ERR_OK) {
		conn_close(c);
		return;
	}
	conn_set_state(c, CONN_LINGER);
	conn_resume_reading(c);
}

void conn_write(struct conn *c)
{
	while (c->sent < c->out.n) {
		ssize_t n = conn_io_write(&c->io, c->out.p + c->sent, c->out.n - c->sent);

		if (n == -1 && errno == EAGAIN) {
			if (c->state != CONN_WRITE)
				conn_set_state(c, CONN_WRITE);
			(void)event_add(c->ev_write, NULL);
			return;
		}
		if (n == -1) {
			conn_close(c);
			return;
		}
		c->sent += (size_t)n;
	}
	after_answer(c);
}

static void linger(struct conn *c)
{
	ssize_t n = conn_io_drop(&c->io);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n > 0)
		c->lingered += (size_t)n;
	if (n <= 0 || c->lingered > CONN_LINGER_BYTES)
		conn_close(c);
	else
		look_again(c, EV_READ);
}

/* What fits into a buffer as it is lent, so that a usual head takes one read; then more. */
static size_t read_room(const struct conn *c, size_t max)
{
	size_t room = c->in.n < CONN_CHUNK ? CONN_CHUNK - c->in.n : CONN_READ;

	return max - c->in.n < room ? max - c->in.n : room;
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	size_t max = c->w->config->web.max_head + REQUEST_BODY_MAX;
	size_t room = read_room(c, max);
	char *at;
	ssize_t n;

	(void)fd;
	if (c->state == CONN_LINGER) {
		linger(c);
		return;
	}
	if (c->state == CONN_STREAM) {
		conn_stream_read(c);
		return;
	}
	/* The request under way holds views into the buffer: it must not move. */
	if (c->state == CONN_BUSY || c->state == CONN_WRITE || c->in.n >= max) {
		pause_reading(c);
		return;
	}
	at = conn_lend(c, &c->in) == ERR_OK ? buf_reserve(&c->in, room) : NULL;
	if (at == NULL) {
		conn_close(c);
		return;
	}
	n = conn_io_read(&c->io, at, room);
	if (n == -1 && errno == EAGAIN) {
		if (conn_io_read_wants_write(&c->io))
			(void)event_add(c->ev_write, NULL);
		if (c->in.n == 0) /* a handshake, of which nothing is for us */
			buf_done(&c->in);
		return;
	}
	if (n == -1) {
		conn_close(c);
		return;
	}
	if (n == 0) {
		c->eof = true;
		pause_reading(c);
	}
	c->in.n += (size_t)n;
	/* The end may be behind these bytes already; no other word of it will come. */
	if (n > 0 && ((size_t)n == room || (what & EV_CLOSED) != 0 || conn_io_pending(&c->io)))
		look_again(c, what);
	conn_run(c);
	/* Of a reset behind these bytes there is no word at all: libevent has EPOLLERR for bytes.
	 * An answer would meet it; what is not whole has none. */
	if (n > 0 && (c->state == CONN_HEAD || c->state == CONN_BODY))
		look_again(c, what);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	if (c->out.n == 0) /* it was reading that had to write first */
		on_read(fd, what, arg);
	else
		conn_write(c);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	int64_t left = c->deadline_ms - clock_tick_ms();

	(void)fd;
	(void)what;
	c->armed_ms = 0;
	if (left > 0) {
		set_deadline(c, left);
		return;
	}
	if (c->state == CONN_HEAD || c->state == CONN_BODY)
		conn_refuse(c, 408, "head_timeout");
	else
		conn_close(c);
}

enum err conn_new(struct worker *w, const struct config_listen *listen, int *fd,
		  const unsigned char peer[16])
{
	struct conn *c = calloc(1, sizeof *c);
	struct tls *tls = listeners_tls(w->listeners, listen);
	/* Told of each arrival once, the kernel has nothing to ask the socket afterwards. What TLS
	 * leaves unread in the socket is its own affair: there it is told as long as there is some.
	 */
	short once = tls == NULL ? EV_ET : 0, end = tls == NULL ? EV_CLOSED : 0;

	if (c == NULL)
		return ERR_NOMEM;
	c->w = w;
	c->listen = listen;
	memcpy(c->peer, peer, sizeof c->peer);
	buf_init(&c->in, w->config->web.max_head + REQUEST_BODY_MAX);
	buf_init(&c->out, CONN_OUT_MAX);
	c->ev_read =
	    event_new(w->base, *fd, (short)(EV_READ | EV_PERSIST | once | end), on_read, c);
	c->ev_write = event_new(w->base, *fd, (short)(EV_WRITE | once), on_write, c);
	c->ev_timer = evtimer_new(w->base, on_timer, c);
	if (c->ev_read == NULL || c->ev_write == NULL || c->ev_timer == NULL ||
	    event_add(c->ev_read, NULL) == -1 || conn_io_open(&c->io, fd, tls) != ERR_OK) {
		if (c->ev_read != NULL)
			event_free(c->ev_read);
		if (c->ev_write != NULL)
			event_free(c->ev_write);
		if (c->ev_timer != NULL)
			event_free(c->ev_timer);
		free(c);
		return ERR_NOMEM;
	}
	c->reading = true;
	TAILQ_INSERT_TAIL(&w->conns.live, c, link);
	w->conns.n++;
	count_opened(w, listen);
	c->state = CONN_IDLE;
	set_deadline(c, w->config->web.head_timeout_ms); /* the first byte comes soon */
	return ERR_OK;
}

void conns_close_idle(struct conns *cs)
{
	struct conn *next, *c;

	for (c = TAILQ_FIRST(&cs->live); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->state == CONN_IDLE)
			conn_close(c);
	}
}

void conns_close_all(struct conns *cs)
{
	while (!TAILQ_EMPTY(&cs->live))
		conn_close(TAILQ_FIRST(&cs->live));
	conns_reap(cs);
}

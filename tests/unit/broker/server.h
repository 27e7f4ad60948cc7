/* server - a scripted HTTP server on the loop of the test: a path, what to answer, how often it was
 * asked. A connection carries any number of requests. */
#ifndef BFF_TEST_SERVER_H
#define BFF_TEST_SERVER_H

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>

#include "common/buf.h"
#include "tests/unit/unit.h"

enum server_action {
	SERVER_ANSWER = 1,
	SERVER_CLOSE,	/* reads the request, then closes without a word */
	SERVER_SILENCE, /* reads and says nothing */
	SERVER_CUT,	/* answers, less the last byte, and closes */
};

struct server_row {
	const char *path; /* with the method: "GET /keys" */
	enum server_action action;
	int status;
	char headers[128];
	struct buf body;
	unsigned hits;
};

struct server {
	struct event_base *base;
	struct evconnlistener *listener;
	uint16_t port;
	struct server_row rows[8];
	size_t nrows;
	unsigned connections;
	struct bufferevent *open[32];
	char last[65536]; /* the last request, whole */
};

static inline struct server_row *server_on(struct server *s, const char *path, int status,
					   const char *body)
{
	struct server_row *r = NULL;

	for (size_t i = 0; i < s->nrows; i++)
		if (strcmp(s->rows[i].path, path) == 0)
			r = &s->rows[i];
	if (r == NULL) {
		assert_true(s->nrows < ARRAY_LEN(s->rows));
		r = &s->rows[s->nrows++];
		buf_init(&r->body, 4 * 1024 * 1024);
		r->path = path;
	}
	r->action = SERVER_ANSWER;
	r->status = status;
	r->headers[0] = '\0';
	buf_clear(&r->body);
	buf_add(&r->body, sv_str(body));
	return r;
}

static inline unsigned server_hits(const struct server *s, const char *path)
{
	for (size_t i = 0; i < s->nrows; i++)
		if (strcmp(s->rows[i].path, path) == 0)
			return s->rows[i].hits;
	return 0;
}

static inline void server_close(struct server *s, struct bufferevent *bev)
{
	for (size_t i = 0; i < ARRAY_LEN(s->open); i++)
		if (s->open[i] == bev)
			s->open[i] = NULL;
	bufferevent_free(bev);
}

static inline void server_flushed(struct bufferevent *bev, void *arg)
{
	server_close(arg, bev);
}

static inline void server_reply(struct server *s, struct bufferevent *bev, struct server_row *r)
{
	struct evbuffer *out = bufferevent_get_output(bev);
	size_t n = r->body.n;

	r->hits++;
	if (r->action == SERVER_CLOSE) {
		server_close(s, bev);
		return;
	}
	if (r->action == SERVER_SILENCE)
		return;
	evbuffer_add_printf(out, "HTTP/1.1 %d x\r\nContent-Length: %zu\r\n%s\r\n", r->status, n,
			    r->headers);
	if (r->action == SERVER_CUT)
		bufferevent_setcb(bev, NULL, server_flushed, NULL, s);
	evbuffer_add(out, r->body.p == NULL ? "" : r->body.p, r->action == SERVER_CUT ? n - 1 : n);
}

static inline void server_read(struct bufferevent *bev, void *arg)
{
	struct server *s = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t n = evbuffer_get_length(in), head, body = 0;
	char *end, *length;

	assert_true(n < sizeof s->last);
	evbuffer_copyout(in, s->last, n);
	s->last[n] = '\0';
	end = strstr(s->last, "\r\n\r\n");
	if (end == NULL)
		return;
	head = (size_t)(end - s->last) + 4;
	length = strcasestr(s->last, "\r\nContent-Length:");
	if (length != NULL && length < end)
		body = (size_t)strtoul(length + 17, NULL, 10);
	if (n < head + body)
		return;
	evbuffer_drain(in, head + body);
	for (size_t i = 0; i < s->nrows; i++) {
		size_t len = strlen(s->rows[i].path);

		if (strncmp(s->last, s->rows[i].path, len) == 0 && s->last[len] == ' ') {
			server_reply(s, bev, &s->rows[i]);
			return;
		}
	}
	fail_msg("the test's server was asked for %.60s", s->last);
}

static inline void server_event(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	server_close(arg, bev);
}

static inline void server_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *a,
				 int len, void *arg)
{
	struct server *s = arg;
	struct bufferevent *bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);

	(void)l, (void)a, (void)len;
	assert_non_null(bev);
	s->connections++;
	for (size_t i = 0; i < ARRAY_LEN(s->open); i++) {
		if (s->open[i] == NULL) {
			s->open[i] = bev;
			break;
		}
	}
	bufferevent_setcb(bev, server_read, NULL, server_event, s);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static inline void server_start(struct server *s, struct event_base *base)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof in;
	const void *at = &in;

	memset(s, 0, sizeof *s);
	s->base = base;
	s->listener = evconnlistener_new_bind(base, server_accept, s,
					      LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 16, at,
					      sizeof in);
	assert_non_null(s->listener);
	assert_int_equal(
	    getsockname(evconnlistener_get_fd(s->listener), (struct sockaddr *)&in, &len), 0);
	s->port = ntohs(in.sin_port);
}

/* From now on connections are refused. */
static inline void server_deaf(struct server *s)
{
	evconnlistener_free(s->listener);
	s->listener = NULL;
}

static inline void server_stop(struct server *s)
{
	for (size_t i = 0; i < ARRAY_LEN(s->open); i++)
		if (s->open[i] != NULL)
			bufferevent_free(s->open[i]);
	if (s->listener != NULL)
		server_deaf(s);
	for (size_t i = 0; i < s->nrows; i++)
		buf_done(&s->rows[i].body);
}

/* Turns the loop until *done; the watchdog fails the test. */
static inline void loop_until(struct event_base *base, const bool *done)
{
	for (int turns = 0; !*done; turns++) {
		assert_true(turns < 100000);
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	}
}

#endif

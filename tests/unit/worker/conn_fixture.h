/*
 * conn_fixture - one connection whose client and whose requests are played by the test
 *
 * request.c is stood in for: what conn makes of the bytes is noted in fx.log, one line a request
 * ("GET /x 1.1 flags=0 body=..."), and answered at once with "<n>" or, with fx.waits, when the
 * test says fixture_answer(). The clock stands still but for fixture_pass().
 */
#ifndef BFF_TESTS_CONN_FIXTURE_H
#define BFF_TESTS_CONN_FIXTURE_H

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/unit/loop.h"
#include "worker/conn_internal.h"
#include "worker/worker.h"

#define FIXTURE_HEAD_MS 10000
#define FIXTURE_IDLE_MS 120000
#define FIXTURE_MAX_HEAD 4096

static struct {
	struct config config;
	struct config_listen listen;
	struct worker w;
	int client;
	int64_t now_ms;
	unsigned closed; /* worker_conn_closed() */
	size_t body_max; /* what request_body_max() says */
	bool waits;
	enum err new_says;
	size_t answer_n; /* bytes of an answer; 0: the request's number */
	bool no_answer;	 /* the buffer stays empty */
	unsigned started, freed, running;
	struct request *r; /* the one that waits */
	uintptr_t stack;   /* where the last request was made */
	char log[65536];
	size_t log_n;
	char got[512 * 1024]; /* what the client read */
	size_t got_n;
} fx;

enum err __wrap_request_new(const struct request_from *from, void (*done)(void *arg), void *arg,
			    struct request **ret);
enum request_state __wrap_request_run(struct request *r);
void __wrap_request_free(struct request **r);
size_t __wrap_request_body_max(const struct config_listen *listen, const struct http_request *head);
void __wrap_worker_conn_closed(struct worker *w);

enum err __wrap_request_new(const struct request_from *from, void (*done)(void *arg), void *arg,
			    struct request **ret)
{
	if (fx.new_says != ERR_OK)
		return fx.new_says;
	*ret = calloc(1, sizeof **ret);
	if (*ret == NULL)
		return ERR_NOMEM;
	(*ret)->from = *from;
	(*ret)->done = done;
	(*ret)->arg = arg;
	fx.stack = (uintptr_t)__builtin_frame_address(0);
	fx.started++;
	fx.running++;
	assert_int_equal(fx.running, 1); /* one at a time */
	assert_ptr_equal(from->worker, &fx.w);
	assert_ptr_equal(from->listen, &fx.listen);
	assert_ptr_equal(from->fields, from->head->fields.v);
	return ERR_OK;
}

static inline void fixture_note(const struct request *r)
{
	const struct http_request *h = r->from.head;

	fx.log_n += (size_t)snprintf(fx.log + fx.log_n, sizeof fx.log - fx.log_n,
				     SV_FMT " " SV_FMT " 1.%u flags=%u body=" SV_FMT "\n",
				     SV_ARG(h->method), SV_ARG(h->target), h->minor,
				     r->from.reply_flags, SV_ARG(r->from.body));
	assert_true(fx.log_n < sizeof fx.log);
}

static inline void fixture_compose(const struct request *r)
{
	if (fx.no_answer)
		return;
	if (fx.answer_n == 0)
		buf_addf(r->from.out, "<%u>", fx.started);
	for (size_t i = 0; i < fx.answer_n; i++)
		buf_add_char(r->from.out, (char)('a' + i % 26));
	if (!buf_ok(r->from.out))
		buf_done(r->from.out); /* without memory there is no answer */
}

enum request_state __wrap_request_run(struct request *r)
{
	if (fx.waits) {
		fx.r = r;
		return REQUEST_WAITING;
	}
	fixture_note(r);
	fixture_compose(r);
	return REQUEST_ANSWERED;
}

void __wrap_request_free(struct request **r)
{
	if (*r == NULL)
		return;
	if (fx.r == *r)
		fx.r = NULL;
	free(*r);
	*r = NULL;
	fx.freed++;
	fx.running--;
}

size_t __wrap_request_body_max(const struct config_listen *listen, const struct http_request *head)
{
	assert_ptr_equal(listen, &fx.listen);
	return sv_eq(head->method, SV("POST")) ? fx.body_max : 0;
}

void __wrap_worker_conn_closed(struct worker *w)
{
	assert_ptr_equal(w, &fx.w);
	fx.closed++;
}

/* The request that waits is answered: its views still hold what they held. */
static inline void fixture_answer(void)
{
	struct request *r = fx.r;

	assert_non_null(r);
	fx.r = NULL;
	fixture_note(r);
	fixture_compose(r);
	r->done(r->arg);
}

static inline void fixture_turn(void)
{
	loop_turns(fx.w.base, 4);
}

static inline void fixture_pass(int64_t ms)
{
	fx.now_ms += ms;
	clock_set(fx.now_ms, 1700000000);
	fixture_turn();
}

static inline int fixture_open(void **state)
{
	static const unsigned char peer[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};
	int fds[2], small = 8192;

	(void)state;
	memset(&fx, 0, sizeof fx);
	log_set_level(LOG_ERROR);
	loop_release();
	fx.now_ms = 5000000;
	clock_set(fx.now_ms, 1700000000);
	fx.config.web.max_head = FIXTURE_MAX_HEAD;
	fx.config.web.max_headers = 16;
	fx.config.web.head_timeout_ms = FIXTURE_HEAD_MS;
	fx.config.web.idle_timeout_ms = FIXTURE_IDLE_MS;
	fx.listen.name = SV("public");
	fx.w.config = &fx.config;
	fx.w.base = event_base_new();
	assert_non_null(fx.w.base);
	conns_init(&fx.w.conns);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	fx.client = fds[1];
	assert_int_equal(conn_new(&fx.w, &fx.listen, &fds[0], peer), ERR_OK);
	assert_int_equal(fds[0], -1);
	return 0;
}

static inline int fixture_close(void **state)
{
	(void)state;
	conns_close_all(&fx.w.conns);
	assert_int_equal(fx.w.conns.n, 0);
	assert_int_equal(fx.started, fx.freed);
	event_base_free(fx.w.base);
	if (fx.client != -1)
		(void)close(fx.client);
	clock_unset();
	return 0;
}

static inline struct conn *fixture_conn(void)
{
	return TAILQ_FIRST(&fx.w.conns.live);
}

static inline void client_says_n(const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fx.client, p, n, MSG_NOSIGNAL);

		if (sent == -1 && errno != EAGAIN)
			fail_msg("send: %s", strerror(errno));
		p += sent == -1 ? 0 : sent;
		n -= sent == -1 ? 0 : (size_t)sent;
		fixture_turn();
	}
}

static inline void client_says(const char *text)
{
	client_says_n(text, strlen(text));
}

/* Everything there is; false: the connection ended. */
static inline bool client_reads(void)
{
	for (;;) {
		ssize_t n = recv(fx.client, fx.got + fx.got_n, sizeof fx.got - 1 - fx.got_n, 0);

		if (n == 0 || (n == -1 && errno != EAGAIN))
			return false;
		if (n == -1)
			return true;
		fx.got_n += (size_t)n;
		fx.got[fx.got_n] = '\0';
		fixture_turn();
	}
}

/* Until `n` bytes are here in all. */
static inline void client_reads_n(size_t n)
{
	LOOP_UNTIL(fx.w.base, (client_reads(), fx.got_n >= n));
}

#define assert_got(want)                                                                           \
	do {                                                                                       \
		(void)client_reads();                                                              \
		assert_string_equal(fx.got, want);                                                 \
	} while (0)

#endif

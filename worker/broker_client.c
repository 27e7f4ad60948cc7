#include "worker/broker_client.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/contract.h"
#include "common/ipc_listen.h"
#include "common/ipc_socket.h"
#include "common/log.h"

/* Stays in its slot after timeout or cancel (fn == NULL) until its answer came: so a late answer
 * is told from one that nobody asked for. */
struct broker_call {
	struct broker_client *b;
	uint32_t id;
	enum ipc_number answer;
	unsigned message; /* metrics_message() of the request */
	int64_t sent_us;
	broker_fn fn;
	void *arg;
	struct event *timer;
};

enum broker_state { BROKER_DOWN = 1, BROKER_HELLO, BROKER_OPEN };

struct broker_client {
	struct event_base *base;
	const char *path;
	unsigned char digest[CRYPT_SHA256_LEN];
	enum broker_state state;
	struct ipc_socket *socket;
	struct event *timer; /* retry, or hello's deadline */
	int64_t retry_ms;
	uint32_t last_id;
	size_t pending;
	struct metrics *metrics;		       /* NULL: none */
	struct broker_call *calls[BROKER_PENDING_MAX]; /* at id % BROKER_PENDING_MAX */
	void (*on_state)(void *arg, bool up);
	void *on_state_arg;
	enum broker_state told; /* what on_state last heard; 0: nothing yet */
};

static void call_free(struct broker_call *c)
{
	struct broker_client *b = c->b;

	b->calls[c->id % BROKER_PENDING_MAX] = NULL;
	b->pending--;
	event_free(c->timer);
	free(c);
}

static void count(const struct broker_call *c, enum err e, const struct ipc_message *m)
{
	uint32_t failure = e == ERR_OK && m->number == IPC_FAILURE ? m->u.failure.code : 0;

	metrics_count(c->b->metrics, METRIC_IPC_CALLS,
		      METRICS_AT(c->message, metrics_answer(e, failure)));
	if (e == ERR_OK && c->b->metrics != NULL)
		metrics_observe(c->b->metrics, METRIC_IPC_DURATION, METRICS_AT(0),
				clock_boot_us() - c->sent_us);
}

/* The call's owner hears of it, once. */
static void call_end(struct broker_call *c, enum err e, const struct ipc_message *m)
{
	broker_fn fn = c->fn;

	if (fn != NULL)
		count(c, e, m);
	c->fn = NULL;
	if (fn != NULL)
		fn(c->arg, e, m);
}

static void set_state(struct broker_client *b, enum broker_state to)
{
	b->state = to;
	if (to == BROKER_HELLO || to == b->told)
		return;
	b->told = to;
	if (b->on_state != NULL)
		b->on_state(b->on_state_arg, to == BROKER_OPEN);
}

static void arm(struct broker_client *b, int64_t ms)
{
	struct timeval tv = clock_timeval(ms);

	(void)evtimer_add(b->timer, &tv); /* without memory: broker_send() tries again */
}

static void retry_later(struct broker_client *b)
{
	unsigned char r = 0;

	if (crypt_random(&r, sizeof r) != ERR_OK)
		r = 0; /* only jitter */
	arm(b, b->retry_ms + b->retry_ms * r / 512);
	b->retry_ms = b->retry_ms * 2 > BROKER_RETRY_MAX_MS ? BROKER_RETRY_MAX_MS : b->retry_ms * 2;
}

/* Everything that waits fails, and the next attempt is set. */
static void go_down(struct broker_client *b, const char *why)
{
	bool was_first = b->state != BROKER_DOWN || b->retry_ms == BROKER_RETRY_MIN_MS;

	if (was_first)
		log_warn("broker_down", K("reason", why), KU("waiting", b->pending),
			 KI("retry_ms", b->retry_ms));
	ipc_socket_free(&b->socket);
	set_state(b, BROKER_DOWN);
	for (size_t i = 0; i < BROKER_PENDING_MAX && b->pending > 0; i++) {
		struct broker_call *c = b->calls[i];

		if (c == NULL)
			continue;
		call_end(c, ERR_UNAVAILABLE, NULL);
		call_free(c);
	}
	retry_later(b);
}

static void on_close(void *arg, enum err why)
{
	go_down(arg, err_text(why));
}

static enum err take_welcome(struct broker_client *b, const struct ipc_message *m)
{
	if (m->number != IPC_WELCOME)
		return ERR_PROTOCOL;
	if (m->u.welcome.fingerprint != ipc_fingerprint()) {
		log_error("broker_protocol_differs", K("hint", "mixed old and new binaries?"),
			  KS("broker", m->u.welcome.build));
		return ERR_PROTOCOL;
	}
	(void)evtimer_del(b->timer);
	b->retry_ms = BROKER_RETRY_MIN_MS;
	log_info("broker_up", KS("build", m->u.welcome.build));
	set_state(b, BROKER_OPEN);
	return ERR_OK;
}

static enum err on_packet(void *arg, struct sv packet)
{
	struct broker_client *b = arg;
	struct ipc_message m;
	struct broker_call *c;
	enum err e = ipc_decode(packet, &m);

	if (e != ERR_OK)
		return e;
	if (m.direction != IPC_TO_WORKER)
		return ERR_PROTOCOL;
	if (b->state == BROKER_HELLO)
		return take_welcome(b, &m);
	c = b->calls[m.id % BROKER_PENDING_MAX];
	if (b->state != BROKER_OPEN || c == NULL || c->id != m.id ||
	    (m.number != c->answer && m.number != IPC_FAILURE))
		return ERR_PROTOCOL;
	call_end(c, ERR_OK, &m);
	call_free(c);
	return ERR_OK;
}

static enum err say_hello(struct broker_client *b)
{
	struct ipc_hello m = {.fingerprint = ipc_fingerprint(),
			      .build = SV(BFF_VERSION),
			      .digest = sv_of((const char *)b->digest, sizeof b->digest)};
	struct buf packet;
	enum err e;

	buf_init(&packet, IPC_FRAME_MAX);
	e = ipc_encode_hello(&packet, 0, &m);
	if (e == ERR_OK)
		e = ipc_socket_send(b->socket, buf_sv(&packet));
	buf_done(&packet);
	return e;
}

static void try_connect(struct broker_client *b)
{
	static const struct ipc_socket_events events = {on_packet, on_close};
	int fd = -1;
	enum err e = ipc_connect(b->path, &fd);

	if (e == ERR_OK)
		e = ipc_socket_new(b->base, &fd, &events, b, &b->socket);
	if (fd != -1)
		(void)close(fd); /* not taken */
	if (e == ERR_OK)
		e = say_hello(b);
	if (e != ERR_OK) {
		go_down(b, err_text(e));
		return;
	}
	set_state(b, BROKER_HELLO);
	arm(b, BROKER_HELLO_MS);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct broker_client *b = arg;

	(void)fd;
	(void)what;
	if (b->state == BROKER_HELLO)
		go_down(b, "no welcome");
	else if (b->state == BROKER_DOWN)
		try_connect(b);
}

enum err broker_client_new(struct event_base *base, const char *path,
			   const unsigned char digest[CRYPT_SHA256_LEN], struct broker_client **ret)
{
	struct broker_client *b = calloc(1, sizeof *b);

	if (b == NULL)
		return ERR_NOMEM;
	b->base = base;
	b->path = path;
	b->state = BROKER_DOWN;
	b->retry_ms = BROKER_RETRY_MIN_MS;
	memcpy(b->digest, digest, sizeof b->digest);
	b->timer = evtimer_new(base, on_timer, b);
	if (b->timer == NULL) {
		free(b);
		return ERR_NOMEM;
	}
	arm(b, 0);
	*ret = b;
	return ERR_OK;
}

void broker_client_free(struct broker_client **p)
{
	struct broker_client *b = *p;

	if (b == NULL)
		return;
	ipc_socket_free(&b->socket);
	for (size_t i = 0; i < BROKER_PENDING_MAX; i++)
		if (b->calls[i] != NULL)
			call_free(b->calls[i]);
	event_free(b->timer);
	free(b);
	*p = NULL;
}

void broker_client_on_state(struct broker_client *b, void (*fn)(void *arg, bool up), void *arg)
{
	b->on_state = fn;
	b->on_state_arg = arg;
}

void broker_client_count(struct broker_client *b, struct metrics *m)
{
	b->metrics = m;
}

bool broker_client_up(const struct broker_client *b)
{
	return b->state == BROKER_OPEN;
}

uint32_t broker_next_id(struct broker_client *b)
{
	for (size_t i = 0; i < BROKER_PENDING_MAX; i++) {
		b->last_id = b->last_id == UINT32_MAX ? 1 : b->last_id + 1;
		if (b->calls[b->last_id % BROKER_PENDING_MAX] == NULL)
			break;
	}
	return b->last_id;
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	call_end(arg, ERR_TIMEOUT, NULL);
}

enum err broker_send(struct broker_client *b, uint32_t id, enum ipc_number answer, struct sv packet,
		     int64_t timeout_ms, broker_fn fn, void *arg, struct broker_call **ret)
{
	struct timeval tv = clock_timeval(timeout_ms);
	struct broker_call *c;
	enum err e;

	if (b->state == BROKER_DOWN && !evtimer_pending(b->timer, NULL))
		arm(b, BROKER_RETRY_MIN_MS);
	if (b->state != BROKER_OPEN)
		return ERR_UNAVAILABLE;
	if (b->calls[id % BROKER_PENDING_MAX] != NULL)
		return ERR_LIMIT;
	c = calloc(1, sizeof *c);
	if (c == NULL)
		return ERR_NOMEM;
	*c = (struct broker_call){.b = b, .id = id, .answer = answer, .fn = fn, .arg = arg};
	c->message = metrics_message(ipc_packet_number(packet));
	c->sent_us = b->metrics == NULL ? 0 : clock_boot_us();
	c->timer = evtimer_new(b->base, on_deadline, c);
	if (c->timer == NULL || evtimer_add(c->timer, &tv) == -1)
		e = ERR_NOMEM;
	else
		e = ipc_socket_send(b->socket, packet);
	if (e != ERR_OK) {
		if (c->timer != NULL)
			event_free(c->timer);
		free(c);
		return e;
	}
	b->calls[id % BROKER_PENDING_MAX] = c;
	b->pending++;
	*ret = c;
	return ERR_OK;
}

void broker_cancel(struct broker_call **c)
{
	if (*c != NULL)
		(*c)->fn = NULL;
	*c = NULL;
}

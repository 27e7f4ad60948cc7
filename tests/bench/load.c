/*
 * load - HTTP/1.1 requests as fast as they are answered, or at a rate, from one thread
 *
 *	load -p PORT -h HEAD [-k COOKIES] [-c CONNECTIONS] [-s STATUS] [-r RATE] [-1] [-t]
 *
 * HEAD is a file with one request, in which @COOKIE@ stands for a line of the file COOKIES, the
 * next one for each request. -s: the status that counts as good (200). -r: so many requests a
 * second over all connections; else each connection asks again once it is answered, and never
 * before. -1: a connection for each request. -t: TLS, whose certificate is not looked at.
 *
 * Opens its connections, sends one request on each (not with -1) and prints `ready`. Each line
 * `run SECONDS` on standard input is one round, and answered by a line of JSON; the end of input
 * ends it. A request that was sent and has no whole answer is an error. Not a test: run by
 * tests/bench/.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OUT_MAX 16384
#define IN_MAX 16384
#define EVENTS 512
#define HISTOGRAM 100000 /* of 10 microseconds each; the last holds all above */
#define TICK_NS 100000	 /* how late a paced request may be */
#define STUCK_S 60

static const char MARK[] = "@COOKIE@";

enum phase { CLOSED = 0, CONNECTING, IDLE, SENDING, WAITING };

struct conn {
	int fd;
	SSL *ssl;
	enum phase phase;
	size_t out_n, out_off, in_n, body_left;
	int status;
	int64_t sent_us;
	char out[OUT_MAX], in[IN_MAX];
};

struct load {
	int epoll, port, want_status, under_way;
	unsigned nconns, nidle;
	bool once, running;
	double rate;
	SSL_CTX *tls;
	char *head, *tail, *cookies;
	size_t head_n, tail_n, ncookies, next_cookie;
	char **lines;
	struct conn *conns, **idle;
	uint64_t sent, answers, good, errors, max_us;
	int other_status;
	uint64_t histogram[HISTOGRAM];
};

static void fail(const char *what)
{
	(void)fprintf(stderr, "load: %s\n", what);
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---- bytes ------------------------------------------------------------------------------- */

/* As read() and write(); 0 is the end, -1 with EAGAIN: later. */
static ssize_t tls_result(struct conn *c, int n)
{
	if (n > 0)
		return n;
	switch (SSL_get_error(c->ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		errno = EIO;
		return -1;
	}
}

static ssize_t get(struct conn *c, char *p, size_t n)
{
	return c->ssl == NULL ? recv(c->fd, p, n, 0) : tls_result(c, SSL_read(c->ssl, p, (int)n));
}

static ssize_t put(struct conn *c, const char *p, size_t n)
{
	return c->ssl == NULL ? send(c->fd, p, n, MSG_NOSIGNAL)
			      : tls_result(c, SSL_write(c->ssl, p, (int)n));
}

/* ---- connections ------------------------------------------------------------------------- */

static void shut(struct load *l, struct conn *c)
{
	if (c->phase == SENDING || c->phase == WAITING)
		l->under_way--;
	SSL_free(c->ssl);
	(void)close(c->fd);
	c->ssl = NULL;
	c->fd = -1;
	c->phase = CLOSED;
}

static void dial(struct load *l, struct conn *c)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)l->port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				 .data.ptr = c};
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd == -1)
		fail("socket");
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(c->fd, (struct sockaddr *)&a, sizeof a) == -1 && errno != EINPROGRESS)
		fail("connect");
	if (l->tls != NULL) {
		c->ssl = SSL_new(l->tls);
		if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
			fail("TLS");
		SSL_set_connect_state(c->ssl);
	}
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &ev) == -1)
		fail("epoll_ctl");
	c->phase = CONNECTING;
}

static void flush(struct load *l, struct conn *c);

static void ask(struct load *l, struct conn *c)
{
	size_t n = 0;

	memcpy(c->out, l->head, l->head_n);
	c->out_n = l->head_n;
	if (l->ncookies > 0) {
		const char *cookie = l->lines[l->next_cookie];

		l->next_cookie = (l->next_cookie + 1) % l->ncookies;
		n = strlen(cookie);
		memcpy(c->out + c->out_n, cookie, n);
	}
	memcpy(c->out + c->out_n + n, l->tail, l->tail_n);
	c->out_n += n + l->tail_n;
	c->out_off = c->in_n = c->body_left = 0;
	c->status = 0;
	c->phase = SENDING;
	c->sent_us = now_us();
	l->under_way++;
	l->sent++;
	flush(l, c);
}

/* What a connection without a request does next. */
static void rest(struct load *l, struct conn *c)
{
	c->phase = IDLE;
	if (l->running && l->rate <= 0)
		ask(l, c);
	else
		l->idle[l->nidle++] = c;
}

static void lost(struct load *l, struct conn *c)
{
	l->errors++;
	shut(l, c);
	dial(l, c);
}

static void flush(struct load *l, struct conn *c)
{
	while (c->out_off < c->out_n) {
		ssize_t n = put(c, c->out + c->out_off, c->out_n - c->out_off);

		if (n <= 0) {
			if (n == -1 && errno == EAGAIN)
				return;
			lost(l, c);
			return;
		}
		c->out_off += (size_t)n;
	}
	c->phase = WAITING;
}

static void answered(struct load *l, struct conn *c, bool closes)
{
	uint64_t took = (uint64_t)(now_us() - c->sent_us);

	l->answers++;
	if (c->status == l->want_status)
		l->good++;
	else
		l->other_status = c->status;
	if (took > l->max_us)
		l->max_us = took;
	l->histogram[took / 10 < HISTOGRAM ? took / 10 : HISTOGRAM - 1]++;
	if (!l->once && !closes) {
		l->under_way--;
		rest(l, c);
		return;
	}
	shut(l, c);
	if (!l->once || l->running)
		dial(l, c);
	else
		l->idle[l->nidle++] = c;
}

/* The head of an answer, which ends before `end`. False: not one that can be read. */
static bool judge(struct conn *c, const char *end, bool *ret_closes)
{
	const char *line = memchr(c->in, '\n', (size_t)(end - c->in));

	if (c->in_n < 12 || memcmp(c->in, "HTTP/1.", 7) != 0)
		return false;
	c->status = (int)strtol(c->in + 9, NULL, 10);
	c->body_left = 0;
	*ret_closes = false;
	while (line != NULL && ++line < end) {
		if (strncasecmp(line, "content-length:", 15) == 0)
			c->body_left = strtoul(line + 15, NULL, 10);
		else if (strncasecmp(line, "connection: close", 17) == 0)
			*ret_closes = true;
		else if (strncasecmp(line, "transfer-encoding:", 18) == 0)
			return false;
		line = memchr(line, '\n', (size_t)(end - line));
	}
	return true;
}

/* `ended`: the other side has said that nothing follows, which it says once. */
static void hear(struct load *l, struct conn *c, bool ended)
{
	bool closes = false;

	for (;;) {
		ssize_t n = get(c, c->in + c->in_n, IN_MAX - c->in_n);
		const char *end;
		size_t body;

		if (n <= 0) {
			if (n == -1 && errno == EAGAIN)
				return;
			lost(l, c);
			return;
		}
		c->in_n += (size_t)n;
		end = memmem(c->in, c->in_n, "\r\n\r\n", 4);
		if (end == NULL) {
			if (c->in_n == IN_MAX)
				fail("the head of an answer is too long");
			continue;
		}
		if (!judge(c, end + 2, &closes))
			fail("an answer that cannot be read");
		body = c->in_n - (size_t)(end + 4 - c->in);
		if (body < c->body_left) {
			if (c->in_n == IN_MAX)
				fail("an answer is too long");
			continue;
		}
		answered(l, c, closes || ended);
		return;
	}
}

static void connected(struct load *l, struct conn *c)
{
	if (c->ssl != NULL) {
		ssize_t n = tls_result(c, SSL_do_handshake(c->ssl));

		if (n == -1 && errno == EAGAIN)
			return;
		if (n <= 0)
			fail("TLS handshake");
	}
	if (l->once) {
		ask(l, c);
		return;
	}
	rest(l, c);
}

static void on_event(struct load *l, struct conn *c, uint32_t events)
{
	switch (c->phase) {
	case CONNECTING:
		if (events & (EPOLLERR | EPOLLHUP)) {
			lost(l, c);
			if (l->errors > 10000)
				fail("nobody listens");
		} else if (events & EPOLLOUT) {
			connected(l, c);
		}
		break;
	case SENDING:
		flush(l, c);
		break;
	case WAITING:
		hear(l, c, (events & EPOLLRDHUP) != 0);
		break;
	case IDLE: /* TLS tickets, or the other side ends it between two requests */
		if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
			for (unsigned i = 0; i < l->nidle; i++)
				if (l->idle[i] == c)
					l->idle[i--] = l->idle[--l->nidle];
			shut(l, c);
			dial(l, c);
		}
		break;
	case CLOSED:
		break;
	}
}

/* ---- rounds ------------------------------------------------------------------------------ */

static void turn(struct load *l)
{
	struct epoll_event ev[EVENTS];
	struct timespec wait = {.tv_sec = l->rate > 0 ? 0 : 1,
				.tv_nsec = l->rate > 0 ? TICK_NS : 0};
	int n = epoll_pwait2(l->epoll, ev, EVENTS, &wait, NULL);

	for (int i = 0; i < n; i++)
		on_event(l, ev[i].data.ptr, ev[i].events);
}

static void open_all(struct load *l)
{
	int64_t begun = now_us();

	for (unsigned i = 0; i < l->nconns; i++) {
		l->conns[i].fd = -1;
		if (l->once) {
			l->idle[l->nidle++] = &l->conns[i];
			continue;
		}
		dial(l, &l->conns[i]);
		if (i % 64 == 63) /* no more than a listen queue holds */
			while (l->nidle <= i)
				turn(l);
	}
	while (l->nidle < l->nconns && now_us() - begun < STUCK_S * (int64_t)1000000)
		turn(l);
	for (unsigned n = l->once ? 0 : l->nidle; n > 0; n--)
		ask(l, l->idle[--l->nidle]);
	while ((l->under_way > 0 || l->nidle < l->nconns) &&
	       now_us() - begun < STUCK_S * (int64_t)1000000)
		turn(l);
	if (l->nidle < l->nconns)
		fail("not every connection was answered");
}

static uint64_t quantile_us(const struct load *l, double q)
{
	uint64_t left = (uint64_t)((double)l->answers * q), i = 0;

	while (i + 1 < HISTOGRAM && left >= l->histogram[i])
		left -= l->histogram[i++];
	return i * 10 + 5;
}

/* Any of them, so that at a rate each has its turn. */
static void start_idle(struct load *l)
{
	size_t k = l->sent * 7919 % l->nidle;
	struct conn *c = l->idle[k];

	l->idle[k] = l->idle[--l->nidle];
	if (c->phase == CLOSED)
		dial(l, c);
	else
		ask(l, c);
}

static void round_of(struct load *l, double seconds)
{
	int64_t begun = now_us(), end = begun + (int64_t)(seconds * 1e6), now, took;

	l->sent = l->answers = l->good = l->errors = l->max_us = 0;
	l->other_status = 0;
	memset(l->histogram, 0, sizeof l->histogram);
	l->running = true;
	for (unsigned n = l->rate > 0 ? 0 : l->nidle; n > 0; n--)
		start_idle(l);
	while ((now = now_us()) < end) {
		uint64_t due = (uint64_t)((double)(now - begun) * l->rate / 1e6);

		while (l->rate > 0 && l->sent + l->errors < due && l->nidle > 0)
			start_idle(l);
		turn(l);
	}
	l->running = false;
	took = now - begun;
	while (l->under_way > 0 || l->nidle < l->nconns) {
		turn(l);
		if (now_us() - end > STUCK_S * (int64_t)1000000)
			fail("answers are missing");
	}
	(void)printf("{\"requests\": %lu, \"good\": %lu, \"other_status\": %d, \"errors\": %lu, "
		     "\"seconds\": %.6f, \"p50_us\": %lu, \"p99_us\": %lu, \"max_us\": %lu}\n",
		     l->answers, l->good, l->other_status, l->errors, (double)took / 1e6,
		     quantile_us(l, 0.5), quantile_us(l, 0.99), l->max_us);
	(void)fflush(stdout);
}

static char *read_file(const char *path, size_t *ret_n)
{
	FILE *f = fopen(path, "r");
	char *p;
	long n = 0;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (n = ftell(f)) < 0)
		fail(path);
	rewind(f);
	p = calloc(1, (size_t)n + 1);
	if (p == NULL || fread(p, 1, (size_t)n, f) != (size_t)n)
		fail(path);
	(void)fclose(f);
	*ret_n = (size_t)n;
	return p;
}

static void read_cookies(struct load *l, const char *path)
{
	size_t n, i = 0;

	l->cookies = read_file(path, &n);
	for (size_t k = 0; k < n; k++)
		l->ncookies += l->cookies[k] == '\n';
	l->lines = calloc(l->ncookies + 1, sizeof *l->lines);
	if (l->lines == NULL || l->ncookies == 0)
		fail(path);
	for (char *p = strtok(l->cookies, "\n"); p != NULL; p = strtok(NULL, "\n"))
		l->lines[i++] = p;
}

static void read_head(struct load *l, const char *path)
{
	size_t n;
	char *mark;

	l->head = read_file(path, &n);
	mark = strstr(l->head, MARK);
	l->head_n = mark == NULL ? n : (size_t)(mark - l->head);
	l->tail = mark == NULL ? l->head + n : mark + strlen(MARK);
	l->tail_n = n - (size_t)(l->tail - l->head);
	if (n > OUT_MAX / 2 || (mark != NULL) != (l->ncookies > 0))
		fail("the head, or its mark");
}

int main(int argc, char **argv)
{
	static struct load l = {.nconns = 64, .want_status = 200};
	struct rlimit files;
	const char *head = NULL;
	char line[64];
	int o;

	while ((o = getopt(argc, argv, "p:h:k:c:s:r:1t")) != -1) {
		if (o == 'p')
			l.port = atoi(optarg);
		else if (o == 'h')
			head = optarg;
		else if (o == 'k')
			read_cookies(&l, optarg);
		else if (o == 'c')
			l.nconns = (unsigned)atoi(optarg);
		else if (o == 's')
			l.want_status = atoi(optarg);
		else if (o == 'r')
			l.rate = atof(optarg);
		else if (o == '1')
			l.once = true;
		else if (o == 't')
			l.tls = SSL_CTX_new(TLS_client_method());
		else
			fail("see the source");
	}
	if (head == NULL || l.port == 0 || l.nconns == 0)
		fail("see the source");
	read_head(&l, head);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	l.conns = calloc(l.nconns, sizeof *l.conns);
	l.idle = calloc(l.nconns, sizeof(struct conn *));
	l.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l.conns == NULL || l.idle == NULL || l.epoll == -1)
		fail("memory");
	open_all(&l);
	(void)puts("ready");
	(void)fflush(stdout);
	while (fgets(line, sizeof line, stdin) != NULL) {
		double seconds = atof(line + 4);

		if (strncmp(line, "run ", 4) != 0 || seconds <= 0)
			fail("not a round");
		round_of(&l, seconds);
	}
	return 0;
}

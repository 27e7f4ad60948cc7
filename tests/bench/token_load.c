/*
 * token_load - one worker's side of the broker's socket, under load
 *
 *	token_load SOCKET DIGEST SECRETS APP SERVICE burst DEPTH SECONDS
 *	token_load SOCKET DIGEST SECRETS APP SERVICE once DEPTH
 *	token_load SOCKET DIGEST SECRETS APP SERVICE paced RATE SECONDS
 *
 * SECRETS: a file of 32 bytes a session. burst keeps DEPTH requests under way, round and round
 * over the sessions; once asks each session once; paced asks RATE times a second for a session
 * chosen by chance. Prints one line of JSON: answers, tokens, seconds, and of the time between
 * request and answer p50, p99 and maximum, and how many took at least SLOW_MS (environment,
 * default 100). Not a test: run by bench_broker.py.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/ipc.h"
#include "common/ipc_listen.h"

#define BATCH 64
#define SLOTS 65536 /* requests under way, by id */
#define ANSWER_MAX 20000
#define HISTOGRAM 100000 /* of 10 microseconds each; the last holds all above */

enum mode { BURST = 1, ONCE, PACED };

struct load {
	int fd;
	enum mode mode;
	char *secrets;
	size_t nsessions, depth, rate;
	struct sv app, service;
	int64_t begun_us, seconds, slow_us;
	uint64_t sent, answers, tokens, slow, max_us, random;
	uint64_t *histogram;
	int64_t sent_us[SLOTS];
};

static void fail(const char *what)
{
	(void)fprintf(stderr, "token_load: %s\n", what);
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void hello(const struct load *l, const char *digest_hex)
{
	unsigned char digest[CRYPT_SHA256_LEN];
	struct ipc_hello m = {.fingerprint = ipc_fingerprint(),
			      .build = SV("bench"),
			      .digest = sv_of((char *)digest, sizeof digest)};
	struct pollfd p = {.fd = l->fd, .events = POLLIN};
	char got[1024];
	struct buf b;

	for (size_t i = 0; i < sizeof digest; i++)
		if (sscanf(digest_hex + 2 * i, "%2hhx", &digest[i]) != 1)
			fail("digest");
	buf_init(&b, IPC_FRAME_MAX);
	if (ipc_encode_hello(&b, 1, &m) != ERR_OK || send(l->fd, b.p, b.n, 0) != (ssize_t)b.n ||
	    poll(&p, 1, 10000) != 1 || recv(l->fd, got, sizeof got, 0) <= 0)
		fail("no welcome");
	buf_done(&b);
}

static size_t under_way(const struct load *l)
{
	return (size_t)(l->sent - l->answers);
}

/* How many requests are to be sent now. */
static size_t wanted(struct load *l, int64_t now)
{
	size_t room = under_way(l) < l->depth ? l->depth - under_way(l) : 0;
	uint64_t due;

	switch (l->mode) {
	case ONCE:
		return l->nsessions - l->sent < room ? (size_t)(l->nsessions - l->sent) : room;
	case BURST:
		return now - l->begun_us < l->seconds * 1000000 ? room : 0;
	case PACED:
		if (now - l->begun_us >= l->seconds * 1000000)
			return 0;
		due = (uint64_t)(now - l->begun_us) * l->rate / 1000000;
		return due > l->sent && due - l->sent < room ? (size_t)(due - l->sent)
		       : due > l->sent			     ? room
							     : 0;
	}
	return 0;
}

static size_t session_of(struct load *l)
{
	if (l->mode != PACED)
		return (size_t)l->sent % l->nsessions;
	l->random = l->random * 6364136223846793005U + 1442695040888963407U;
	return (size_t)(l->random >> 33) % l->nsessions;
}

static void send_some(struct load *l, size_t n, struct buf *b)
{
	struct mmsghdr m[BATCH] = {0};
	struct iovec v[BATCH];
	size_t from[BATCH + 1] = {0};
	int64_t now = now_us();
	int done = 0;

	if (n > BATCH)
		n = BATCH;
	buf_clear(b);
	for (size_t i = 0; i < n; i++) {
		struct ipc_token_get get = {.session = sv_of(l->secrets + 32 * session_of(l), 32),
					    .app = l->app,
					    .service = l->service,
					    .correlation = SV("bench")};

		if (ipc_encode_token_get(b, (uint32_t)l->sent, &get) != ERR_OK)
			fail("encode");
		l->sent_us[l->sent++ % SLOTS] = now;
		from[i + 1] = b->n;
	}
	for (size_t i = 0; i < n; i++) {
		v[i] = (struct iovec){.iov_base = b->p + from[i], .iov_len = from[i + 1] - from[i]};
		m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
	}
	while (done < (int)n) {
		int got = sendmmsg(l->fd, m + done, (unsigned)((int)n - done), MSG_NOSIGNAL);

		if (got > 0) {
			done += got;
		} else if (errno == EAGAIN) {
			struct pollfd p = {.fd = l->fd, .events = POLLOUT};

			(void)poll(&p, 1, 1000);
		} else {
			fail("send");
		}
	}
}

static void take(struct load *l, const unsigned char *p, int64_t now)
{
	unsigned number = p[0] | (unsigned)p[1] << 8;
	uint32_t id = p[4] | (uint32_t)p[5] << 8 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 24;
	uint64_t took = (uint64_t)(now - l->sent_us[id % SLOTS]);

	l->answers++;
	l->tokens += number == IPC_TOKEN;
	l->slow += took >= (uint64_t)l->slow_us;
	if (took > l->max_us)
		l->max_us = took;
	l->histogram[took / 10 < HISTOGRAM ? took / 10 : HISTOGRAM - 1]++;
}

static void receive_some(struct load *l)
{
	static unsigned char space[BATCH][ANSWER_MAX];
	struct mmsghdr m[BATCH] = {0};
	struct iovec v[BATCH];
	int64_t now;
	int n;

	for (size_t i = 0; i < BATCH; i++) {
		v[i] = (struct iovec){.iov_base = space[i], .iov_len = ANSWER_MAX};
		m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
	}
	n = recvmmsg(l->fd, m, BATCH, MSG_DONTWAIT, NULL);
	if (n == -1 && errno != EAGAIN)
		fail("receive");
	now = now_us();
	for (int i = 0; i < n; i++) {
		if (m[i].msg_len < 8)
			fail("the broker closed");
		take(l, space[i], now);
	}
}

static void run(struct load *l)
{
	struct pollfd p = {.fd = l->fd, .events = POLLIN};
	struct buf b;

	buf_init(&b, BATCH * IPC_FRAME_MAX);
	l->begun_us = now_us();
	for (;;) {
		int64_t now = now_us();
		size_t n = wanted(l, now);

		/* A pipeline that is half empty is filled at once, not one by one. */
		if (n > 0 && (l->mode == PACED || n >= l->depth / 4 || l->nsessions - l->sent <= n))
			send_some(l, n, &b);
		else if (n == 0 && under_way(l) == 0 &&
			 (l->mode == ONCE || now - l->begun_us >= l->seconds * 1000000))
			break;
		if (poll(&p, 1, l->mode == PACED ? 1 : 100) == 1)
			receive_some(l);
		if (under_way(l) > 0 && now - l->begun_us > 900000000)
			fail("answers are missing");
	}
	buf_done(&b);
}

static double quantile_ms(const struct load *l, double q)
{
	uint64_t left = (uint64_t)((double)l->answers * q);
	size_t i = 0;

	while (i + 1 < HISTOGRAM && left >= l->histogram[i])
		left -= l->histogram[i++];
	return (double)i / 100.0;
}

static void read_secrets(struct load *l, const char *path)
{
	FILE *f = fopen(path, "r");
	long n;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (n = ftell(f)) < 32)
		fail(path);
	rewind(f);
	l->nsessions = (size_t)n / 32;
	l->secrets = malloc(l->nsessions * 32);
	if (l->secrets == NULL || fread(l->secrets, 32, l->nsessions, f) != l->nsessions)
		fail(path);
	(void)fclose(f);
}

int main(int argc, char **argv)
{
	static struct load l;
	const char *slow = getenv("SLOW_MS");
	double seconds;

	if (argc < 8)
		fail("see the source");
	l.slow_us = 1000 * (slow == NULL ? 100 : strtoll(slow, NULL, 10));
	l.app = sv_str(argv[4]);
	l.service = sv_str(argv[5]);
	l.mode = strcmp(argv[6], "burst") == 0	? BURST
		 : strcmp(argv[6], "once") == 0 ? ONCE
						: PACED;
	l.depth = l.mode == PACED ? 1024 : strtoul(argv[7], NULL, 10);
	l.rate = strtoul(argv[7], NULL, 10);
	l.seconds = argc > 8 ? strtoll(argv[8], NULL, 10) : 0;
	l.random = (uint64_t)now_us();
	l.histogram = calloc(HISTOGRAM, sizeof *l.histogram);
	read_secrets(&l, argv[3]);
	if (l.histogram == NULL || ipc_connect(argv[1], &l.fd) != ERR_OK)
		fail("cannot connect");
	(void)setsockopt(l.fd, SOL_SOCKET, SO_SNDBUF, &(int){1024 * 1024}, sizeof(int));
	hello(&l, argv[2]);
	run(&l);
	seconds = (double)(now_us() - l.begun_us) / 1e6;
	(void)printf("{\"answers\": %llu, \"tokens\": %llu, \"seconds\": %.3f, \"p50_ms\": %.2f, "
		     "\"p99_ms\": %.2f, \"max_ms\": %.2f, \"slow\": %llu}\n",
		     (unsigned long long)l.answers, (unsigned long long)l.tokens, seconds,
		     quantile_ms(&l, 0.5), quantile_ms(&l, 0.99), (double)l.max_us / 1000.0,
		     (unsigned long long)l.slow);
	return 0;
}

/*
 * stand_in_worker - a worker that only knows common/contract.h
 *
 * Tests of the master put it beside bffd as "bff-worker". It accepts, answers every request with
 * 200 and who it is, sends heartbeats and drains; or misbehaves as the word after "stand-in:" in
 * the configuration says (tests put it where a path of their own choice stands):
 *
 *	never	does not become ready		die	dies before it is ready
 *	die1	only slot 1 dies, while slot 0 serves
 *	config	exit status 78			build	exit status 65
 *	after	dies right after it was ready
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/contract.h"

#define CONNS_MAX 512
#define REQUEST_MAX 4096

static volatile sig_atomic_t drain_wanted; /* a signal handler has no other way */

struct conn {
	int fd;
	size_t n;
	char text[REQUEST_MAX];
};

struct worker {
	unsigned generation, slot, nlisten;
	bool is_draining;
	int64_t drained_at_ms, beat_at_ms;
	struct conn *conns;
	size_t nconns;
	char mode[16];
};

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void on_term(int sig)
{
	(void)sig;
	drain_wanted = 1;
}

static void say(char status)
{
	(void)send(CONTRACT_FD_STATUS, &status, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static unsigned number(const char *name)
{
	const char *v = getenv(name);

	if (v == NULL)
		exit(CONTRACT_EXIT_USAGE);
	return (unsigned)strtoul(v, NULL, 10);
}

static void read_mode(struct worker *w)
{
	static char text[1024 * 1024];
	ssize_t n = read(CONTRACT_FD_CONFIG, text, sizeof text - 1);
	const char *at = n <= 0 ? NULL : strstr(text, "stand-in:");

	if (n <= 0)
		exit(CONTRACT_EXIT_ERROR);
	if (at != NULL)
		(void)sscanf(at, "stand-in:%15[a-z0-9]", w->mode);
}

static bool is_mode(const struct worker *w, const char *mode)
{
	return strcmp(w->mode, mode) == 0;
}

static void misbehave(const struct worker *w)
{
	if (is_mode(w, "config"))
		exit(CONTRACT_EXIT_CONFIG);
	if (is_mode(w, "build"))
		exit(CONTRACT_EXIT_BUILD);
	if (is_mode(w, "die"))
		exit(CONTRACT_EXIT_ERROR);
	while (is_mode(w, "never"))
		(void)pause();
}

static void drop(struct worker *w, size_t i)
{
	(void)close(w->conns[i].fd);
	w->conns[i] = w->conns[--w->nconns];
}

/* False when the connection is over. */
static bool answer(const struct worker *w, struct conn *c)
{
	char reply[512], body[128];
	int body_n = snprintf(body, sizeof body, "generation=%u slot=%u pid=%d\n", w->generation,
			      w->slot, (int)getpid());
	int n = snprintf(reply, sizeof reply,
			 "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n%s",
			 body_n, w->is_draining ? "close" : "keep-alive", body);

	if (send(c->fd, reply, (size_t)n, MSG_NOSIGNAL) != n)
		return false;
	c->n = 0;
	return !w->is_draining;
}

/* One request at a time: the tests do not pipeline. */
static bool serve(const struct worker *w, struct conn *c)
{
	ssize_t n = recv(c->fd, c->text + c->n, sizeof c->text - c->n, MSG_DONTWAIT);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	c->n += (size_t)n;
	if (memmem(c->text, c->n, "\r\n\r\n", 4) == NULL)
		return c->n < sizeof c->text;
	return answer(w, c);
}

static void take_connections(struct worker *w, int listen_fd)
{
	while (w->nconns < CONNS_MAX) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd == -1)
			return;
		w->conns[w->nconns].fd = fd;
		w->conns[w->nconns++].n = 0;
	}
}

static void begin_drain(struct worker *w)
{
	w->is_draining = true;
	w->drained_at_ms = now_ms();
	for (unsigned i = 0; i < w->nlisten; i++)
		(void)close(CONTRACT_FD_LISTEN + (int)i);
	say(CONTRACT_DRAINING);
}

static void beat(struct worker *w)
{
	if (now_ms() - w->beat_at_ms < CONTRACT_HEARTBEAT_MS)
		return;
	w->beat_at_ms = now_ms();
	say(CONTRACT_ALIVE);
}

/* True while there is something left to do. */
static bool turn(struct worker *w)
{
	static struct pollfd p[1 + CONTRACT_LISTEN_MAX + CONNS_MAX];
	size_t nlisten = w->is_draining ? 0 : w->nlisten, nconns = w->nconns;

	p[0] = (struct pollfd){.fd = CONTRACT_FD_STATUS, .events = POLLIN};
	for (size_t i = 0; i < nlisten; i++)
		p[1 + i] = (struct pollfd){.fd = CONTRACT_FD_LISTEN + (int)i, .events = POLLIN};
	for (size_t i = 0; i < nconns; i++)
		p[1 + nlisten + i] = (struct pollfd){.fd = w->conns[i].fd, .events = POLLIN};
	if (poll(p, 1 + nlisten + nconns, 100) == -1 && errno != EINTR)
		exit(CONTRACT_EXIT_ERROR);
	for (size_t i = nconns; i-- > 0;)
		if (p[1 + nlisten + i].revents != 0 && !serve(w, &w->conns[i]))
			drop(w, i);
	for (size_t i = 0; i < nlisten; i++)
		if (p[1 + i].revents != 0)
			take_connections(w, p[1 + i].fd);
	beat(w);
	if (!w->is_draining && (drain_wanted || (p[0].revents & (POLLHUP | POLLERR)) != 0))
		begin_drain(w);
	return !w->is_draining ||
	       (w->nconns > 0 && now_ms() - w->drained_at_ms < CONTRACT_DRAIN_IDLE_MS);
}

static void die_second(const struct worker *w)
{
	const struct timespec later = {.tv_sec = 1};

	if (!is_mode(w, "die1") || w->slot == 0)
		return;
	(void)nanosleep(&later, NULL); /* no synchronisation: slot 0 has time to take requests */
	exit(CONTRACT_EXIT_ERROR);
}

int main(void)
{
	static struct conn conns[CONNS_MAX];
	struct worker w = {.conns = conns};
	struct sigaction sa = {.sa_handler = on_term};

	w.nlisten = number(CONTRACT_ENV_LISTEN);
	w.generation = number(CONTRACT_ENV_GENERATION);
	w.slot = number(CONTRACT_ENV_SLOT);
	if (sigaction(SIGTERM, &sa, NULL) == -1)
		return CONTRACT_EXIT_ERROR;
	read_mode(&w);
	misbehave(&w);
	die_second(&w);
	say(CONTRACT_READY);
	if (is_mode(&w, "after"))
		return CONTRACT_EXIT_ERROR;
	while (turn(&w))
		;
	return CONTRACT_EXIT_OK;
}

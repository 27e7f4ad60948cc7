#include "worker/acceptor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/contract.h"
#include "common/log.h"
#include "tests/unit/loop.h"
#include "tests/unit/torture.h"
#include "worker/worker.h"

#define NLISTEN 2
#define CLIENTS_MAX 64

static struct {
	struct config config;
	struct config_listen listens[NLISTEN];
	struct worker w;
	struct acceptor *a;
	uint16_t port[NLISTEN];
	int clients[CLIENTS_MAX];
	unsigned nclients;
	unsigned accepted[NLISTEN]; /* by listener */
	unsigned char peer[16];	    /* of the last one */
	int flags, fd_flags, nodelay;
	enum err conn_says;
	int accept_errors; /* the next so many accept4() fail ... */
	int accept_errno;  /* ... so */
	unsigned not_exclusive;
} f;

enum err __wrap_conn_new(struct worker *w, const struct config_listen *listen, int *fd,
			 const unsigned char peer[16]);
int __real_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);
int __real_epoll_ctl(int epoll, int op, int fd, struct epoll_event *ev);
int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *ev);

enum err __wrap_conn_new(struct worker *w, const struct config_listen *listen, int *fd,
			 const unsigned char peer[16])
{
	socklen_t len = sizeof f.nodelay;

	assert_ptr_equal(w, &f.w);
	if (f.conn_says != ERR_OK)
		return f.conn_says;
	f.accepted[listen - f.listens]++;
	memcpy(f.peer, peer, 16);
	f.flags = fcntl(*fd, F_GETFL);
	f.fd_flags = fcntl(*fd, F_GETFD);
	assert_int_equal(getsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &f.nodelay, &len), 0);
	(void)close(*fd);
	*fd = -1;
	w->conns.n++;
	return ERR_OK;
}

int __wrap_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	if (f.accept_errors > 0) {
		f.accept_errors--;
		errno = f.accept_errno;
		return -1;
	}
	return __real_accept4(fd, sa, len, flags);
}

int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *ev)
{
	f.not_exclusive += op == EPOLL_CTL_ADD && (ev->events & EPOLLEXCLUSIVE) == 0;
	return __real_epoll_ctl(epoll, op, fd, ev);
}

static void listen_at(unsigned i)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(fd, CLIENTS_MAX), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	f.port[i] = sin.sin_port;
	assert_int_equal(dup2(fd, (int)(CONTRACT_FD_LISTEN + i)), CONTRACT_FD_LISTEN + i);
	(void)close(fd);
}

static int setup(void **state)
{
	struct errmsg e;

	(void)state;
	memset(&f, 0, sizeof f);
	log_set_level(LOG_ERROR);
	loop_release();
	f.config.listens = f.listens;
	f.config.nlistens = NLISTEN;
	f.config.web.max_connections = 1000;
	f.w.config = &f.config;
	f.w.base = event_base_new();
	assert_non_null(f.w.base);
	for (unsigned i = 0; i < NLISTEN; i++)
		listen_at(i);
	assert_int_equal(acceptor_new(&f.w, NLISTEN, &f.a, &e), ERR_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	acceptor_free(&f.a);
	assert_null(f.a);
	acceptor_free(&f.a);
	event_base_free(f.w.base);
	for (unsigned i = 0; i < f.nclients; i++)
		(void)close(f.clients[i]);
	return 0;
}

static void start(void)
{
	assert_int_equal(acceptor_start(f.a), ERR_OK);
}

static void connect_to(unsigned listener, unsigned n)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				  .sin_port = f.port[listener]};

	while (n-- > 0) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		assert_true(f.nclients < CLIENTS_MAX);
		assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof sin), 0);
		f.clients[f.nclients++] = fd;
	}
}

static void nothing_is_accepted_before_the_start(void **state)
{
	(void)state;
	connect_to(0, 1);
	connect_to(1, 2);
	loop_turns(f.w.base, 3);
	assert_int_equal(f.accepted[0] + f.accepted[1], 0);
	start();
	loop_turn(f.w.base);
	assert_int_equal(f.accepted[0], 1); /* each with its own listen section */
	assert_int_equal(f.accepted[1], 2);
	assert_memory_equal(f.peer, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
	assert_true((f.flags & O_NONBLOCK) != 0);
	assert_true((f.fd_flags & FD_CLOEXEC) != 0);
	assert_true(f.nodelay != 0);
	assert_int_equal(f.not_exclusive, 0);
}

static void a_listener_gives_so_many_a_turn(void **state)
{
	(void)state;
	start();
	connect_to(0, ACCEPTOR_TURN + 3);
	connect_to(1, 1);
	loop_turn(f.w.base);
	assert_int_equal(f.accepted[0], ACCEPTOR_TURN);
	assert_int_equal(f.accepted[1], 1);
	loop_turn(f.w.base);
	assert_int_equal(f.accepted[0], ACCEPTOR_TURN + 3);
}

static void a_full_worker_leaves_them_to_others(void **state)
{
	(void)state;
	f.config.web.max_connections = 2;
	start();
	connect_to(0, 4);
	connect_to(1, 1); /* in the same turn: not one more */
	loop_hold();
	loop_turns(f.w.base, 3);
	assert_int_equal(f.accepted[0] + f.accepted[1], 2);
	assert_int_equal(loop_asked_ms(), ACCEPTOR_RETRY_MS);
	loop_fire(f.w.base); /* still full: the timer goes on */
	loop_turns(f.w.base, 3);
	assert_int_equal(f.accepted[0] + f.accepted[1], 2);
	assert_int_equal(loop_asked_ms(), ACCEPTOR_RETRY_MS);
	f.w.conns.n--;
	loop_fire(f.w.base);
	loop_turns(f.w.base, 3);
	assert_int_equal(f.accepted[0] + f.accepted[1], 3);
	acceptor_room(f.a); /* full again: no room */
	assert_int_equal(loop_asked_ms(), ACCEPTOR_RETRY_MS);
}

static void a_connection_that_ends_makes_room_at_once(void **state)
{
	(void)state;
	f.config.web.max_connections = 2;
	start();
	connect_to(0, 3);
	loop_hold();
	loop_turns(f.w.base, 3);
	f.w.conns.n--;
	acceptor_room(f.a);
	assert_int_equal(loop_asked_ms(), 0);
	loop_fire(f.w.base);
	loop_turns(f.w.base, 3);
	assert_int_equal(f.accepted[0], 3);
	assert_int_equal(f.w.conns.n, 2);
}

static void out_of_descriptors_it_pauses(void **state)
{
	static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};

	(void)state;
	start();
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		connect_to(0, 1);
		loop_hold();
		f.accept_errors = 1;
		f.accept_errno = errors[i];
		loop_turns(f.w.base, 3);
		assert_int_equal(f.accepted[0], i); /* not again and again */
		assert_int_equal(f.accept_errors, 0);
		assert_int_equal(loop_asked_ms(), ACCEPTOR_RETRY_MS);
		loop_release();
		loop_fire(f.w.base);
		loop_turns(f.w.base, 3);
		assert_int_equal(f.accepted[0], i + 1);
	}
}

static void a_client_that_left_is_no_reason_to_pause(void **state)
{
	(void)state;
	start();
	for (unsigned i = 1; i <= 2; i++) {
		connect_to(0, 1);
		f.accept_errors = 2;
		f.accept_errno = i == 1 ? ECONNABORTED : EINTR;
		loop_turn(f.w.base);
		assert_int_equal(f.accepted[0], i); /* in the same turn */
	}
}

static void a_connection_without_memory_is_closed(void **state)
{
	char byte;

	(void)state;
	start();
	connect_to(0, 1);
	f.conn_says = ERR_NOMEM;
	loop_hold();
	loop_turns(f.w.base, 3);
	assert_int_equal(recv(f.clients[0], &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(loop_asked_ms(), ACCEPTOR_RETRY_MS);
}

static void stopped_for_good(void **state)
{
	(void)state;
	start();
	acceptor_stop(f.a);
	connect_to(0, 1);
	loop_turns(f.w.base, 3);
	start();
	acceptor_room(f.a);
	loop_turns(f.w.base, 3);
	assert_int_equal(f.accepted[0], 0);
}

static void stopped_while_it_pauses(void **state)
{
	(void)state;
	start();
	connect_to(0, 1);
	f.accept_errors = 1;
	f.accept_errno = EMFILE;
	loop_hold();
	loop_turn(f.w.base);
	loop_release();
	acceptor_stop(f.a);
	loop_turns(f.w.base, 3);
	assert_int_equal(f.accepted[0], 0);
}

static void a_start_that_fails_leaves_nothing_armed(void **state)
{
	(void)state;
	(void)close(CONTRACT_FD_LISTEN + 1);
	assert_int_equal(acceptor_start(f.a), ERR_IO);
	connect_to(0, 1);
	loop_turns(f.w.base, 3);
	assert_int_equal(f.accepted[0], 0);
	listen_at(1);
	start(); /* and it can be tried again */
	loop_turns(f.w.base, 3);
	assert_int_equal(f.accepted[0], 1);
}

static enum err attempt(void *arg)
{
	struct acceptor *a = NULL;
	struct errmsg e = {""};
	enum err rc = acceptor_new(&f.w, NLISTEN, &a, &e);

	(void)arg;
	assert_true((a != NULL) == (rc == ERR_OK));
	assert_true((e.text[0] == '\0') == (rc == ERR_OK));
	acceptor_free(&a);
	return rc;
}

static void without_memory_there_is_none(void **state)
{
	(void)state;
	assert_true(torture(attempt, NULL) >= 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(nothing_is_accepted_before_the_start),
	    CASE(a_listener_gives_so_many_a_turn),
	    CASE(a_full_worker_leaves_them_to_others),
	    CASE(a_connection_that_ends_makes_room_at_once),
	    CASE(out_of_descriptors_it_pauses),
	    CASE(a_client_that_left_is_no_reason_to_pause),
	    CASE(a_connection_without_memory_is_closed),
	    CASE(stopped_for_good),
	    CASE(stopped_while_it_pauses),
	    CASE(a_start_that_fails_leaves_nothing_armed),
	    CASE(without_memory_there_is_none),
	};

	/* The listeners' numbers are given: nothing else may take them. */
	for (int fd = CONTRACT_FD_LISTEN; fd < CONTRACT_FD_LISTEN + NLISTEN; fd++)
		if (dup2(STDOUT_FILENO, fd) == -1)
			return 1;
	torture_libevent();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

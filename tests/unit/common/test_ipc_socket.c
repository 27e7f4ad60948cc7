#include "common/ipc_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/torture.h"

/* One side of a pair under test, the other a plain descriptor. */
struct side {
	struct event_base *base;
	struct ipc_socket *s;
	int peer;
	unsigned packets, closes;
	size_t bytes;
	enum err why;
	enum err verdict; /* of the next on_packet */
	enum { KEEP, FREE_ON_PACKET, FREE_ON_CLOSE, ANSWER } act;
	bool in_call; /* a call of ours is running: no callback may come */
	char last[16];
};

static enum err on_packet(void *arg, struct sv packet)
{
	struct side *side = arg;

	assert_false(side->in_call);
	side->packets++;
	side->bytes += packet.n;
	memcpy(side->last, packet.p, packet.n < sizeof side->last ? packet.n : sizeof side->last);
	if (side->act == FREE_ON_PACKET)
		ipc_socket_free(&side->s);
	if (side->act == ANSWER)
		assert_int_equal(ipc_socket_send(side->s, packet), ERR_OK);
	return side->verdict;
}

static void on_close(void *arg, enum err why)
{
	struct side *side = arg;

	assert_false(side->in_call);
	side->closes++;
	side->why = why;
	if (side->act == FREE_ON_CLOSE)
		ipc_socket_free(&side->s);
}

static int setup(void **state)
{
	static const struct ipc_socket_events events = {on_packet, on_close};
	static struct side side;
	int fds[2];

	side = (struct side){.base = event_base_new()};
	assert_non_null(side.base);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	side.peer = fds[1];
	assert_int_equal(ipc_socket_new(side.base, &fds[0], &events, &side, &side.s), ERR_OK);
	assert_int_equal(fds[0], -1);
	*state = &side;
	return 0;
}

static int teardown(void **state)
{
	struct side *side = *state;

	ipc_socket_free(&side->s);
	assert_null(side->s);
	if (side->peer != -1)
		(void)close(side->peer);
	event_base_free(side->base);
	return 0;
}

static void turn(struct side *side)
{
	(void)event_base_loop(side->base, EVLOOP_NONBLOCK);
}

static enum err side_send(struct side *side, struct sv packet)
{
	enum err e;

	side->in_call = true;
	e = ipc_socket_send(side->s, packet);
	side->in_call = false;
	return e;
}

static void packets_keep_their_bounds(void **state)
{
	struct side *side = *state;
	char got[16];

	assert_int_equal(send(side->peer, "one", 3, 0), 3);
	assert_int_equal(send(side->peer, "three", 5, 0), 5);
	turn(side);
	assert_int_equal(side->packets, 2);
	assert_int_equal(side->bytes, 8);
	assert_memory_equal(side->last, "three", 5);
	assert_int_equal(side_send(side, SV("ab")), ERR_OK);
	assert_int_equal(side_send(side, SV("cde")), ERR_OK);
	assert_int_equal(recv(side->peer, got, sizeof got, 0), 2);
	assert_int_equal(recv(side->peer, got, sizeof got, 0), 3);
	assert_memory_equal(got, "cde", 3);
	assert_int_equal(side->closes, 0);
}

static void a_frame_of_the_largest_size_passes_and_one_more_byte_closes(void **state)
{
	struct side *side = *state;
	char *big = calloc(1, IPC_FRAME_MAX + 1);

	assert_non_null(big);
	assert_int_equal(side_send(side, sv_of(big, IPC_FRAME_MAX)), ERR_OK);
	assert_int_equal(side_send(side, sv_of(big, IPC_FRAME_MAX + 1)), ERR_LIMIT);
	assert_int_equal(side_send(side, SV_NONE), ERR_LIMIT);
	assert_int_equal(send(side->peer, big, IPC_FRAME_MAX, 0), IPC_FRAME_MAX);
	turn(side);
	assert_int_equal(side->bytes, IPC_FRAME_MAX);
	assert_int_equal(send(side->peer, big, IPC_FRAME_MAX + 1, 0), IPC_FRAME_MAX + 1);
	turn(side);
	assert_int_equal(side->packets, 1);
	assert_int_equal(side->closes, 1);
	assert_int_equal(side->why, ERR_PROTOCOL);
	free(big);
}

static void a_peer_that_does_not_read_meets_the_limit_and_loses_nothing(void **state)
{
	struct side *side = *state;
	char packet[4096] = {0}, got[4096];
	uint32_t sent = 0, seen = 0, number;
	enum err e;

	do {
		memcpy(packet, &sent, sizeof sent);
		e = side_send(side, sv_of(packet, sizeof packet));
		sent += e == ERR_OK;
	} while (e == ERR_OK);
	assert_int_equal(e, ERR_LIMIT);
	assert_true(sent >= IPC_QUEUE_MAX / sizeof packet);
	assert_true(sent < 2 * IPC_QUEUE_MAX / sizeof packet);
	while (seen < sent) {
		ssize_t n = recv(side->peer, got, sizeof got, 0);

		if (n == -1) {
			assert_int_equal(errno, EAGAIN);
			turn(side);
			continue;
		}
		assert_int_equal(n, sizeof got);
		memcpy(&number, got, sizeof number);
		assert_int_equal(number, seen);
		seen++;
	}
	turn(side);
	assert_int_equal(side_send(side, SV("x")), ERR_OK); /* room again, and in order */
	assert_int_equal(recv(side->peer, got, sizeof got, 0), 1);
	assert_int_equal(side->closes, 0);
}

static void a_peer_that_is_gone_closes_once(void **state)
{
	struct side *side = *state;

	assert_int_equal(send(side->peer, "bye", 3, 0), 3);
	(void)close(side->peer);
	side->peer = -1;
	turn(side);
	turn(side);
	assert_int_equal(side->packets, 1);
	assert_int_equal(side->closes, 1);
	assert_int_equal(side->why, ERR_UNAVAILABLE);
	assert_int_equal(side_send(side, SV("x")), ERR_UNAVAILABLE);
}

static void a_send_to_a_gone_peer_closes_from_the_loop_only(void **state)
{
	struct side *side = *state;

	(void)close(side->peer);
	side->peer = -1;
	assert_int_equal(side_send(side, SV("x")), ERR_UNAVAILABLE);
	assert_int_equal(side->closes, 0);
	assert_int_equal(side_send(side, SV("x")), ERR_UNAVAILABLE);
	turn(side);
	turn(side);
	assert_int_equal(side->closes, 1);
}

static void a_freed_socket_calls_nothing(void **state)
{
	struct side *side = *state;

	(void)close(side->peer);
	side->peer = -1;
	assert_int_equal(side_send(side, SV("x")), ERR_UNAVAILABLE);
	ipc_socket_free(&side->s);
	turn(side);
	assert_int_equal(side->closes, 0);
}

static void a_verdict_closes(void **state)
{
	struct side *side = *state;

	side->verdict = ERR_PROTOCOL;
	assert_int_equal(send(side->peer, "bad", 3, 0), 3);
	assert_int_equal(send(side->peer, "more", 4, 0), 4);
	turn(side);
	turn(side);
	assert_int_equal(side->packets, 1);
	assert_int_equal(side->closes, 1);
	assert_int_equal(side->why, ERR_PROTOCOL);
}

static void the_owner_may_free_in_either_callback(void **state)
{
	struct side *side = *state;

	side->act = FREE_ON_PACKET;
	assert_int_equal(send(side->peer, "one", 3, 0), 3);
	assert_int_equal(send(side->peer, "two", 3, 0), 3);
	turn(side);
	assert_null(side->s);
	assert_int_equal(side->packets, 1);
	assert_int_equal(side->closes, 0);
	teardown(state);
	setup(state);
	side->act = FREE_ON_CLOSE;
	side->verdict = ERR_PROTOCOL;
	assert_int_equal(send(side->peer, "one", 3, 0), 3);
	turn(side);
	assert_null(side->s);
	assert_int_equal(side->closes, 1);
}

static void answers_from_a_callback_arrive(void **state)
{
	struct side *side = *state;
	char got[16];

	side->act = ANSWER;
	for (int i = 0; i < 100; i++)
		assert_int_equal(send(side->peer, "ping", 4, 0), 4);
	for (int i = 0; i < 100; i++) {
		turn(side);
		assert_int_equal(recv(side->peer, got, sizeof got, 0), 4);
	}
}

static void a_path_is_listened_on_and_a_stale_one_replaced(void **state)
{
	char dir[] = "/tmp/ipc_socket.XXXXXX", path[64];
	struct errmsg e;
	struct stat st;
	uid_t uid = (uid_t)-1;
	int fd = -1, second = -1, client = -1, server;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/s", dir);
	assert_int_equal(ipc_connect(path, &client), ERR_UNAVAILABLE);
	assert_int_equal(ipc_listen(path, &fd, &e), ERR_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(ipc_connect(path, &client), ERR_OK);
	server = accept(fd, NULL, NULL);
	assert_true(server != -1);
	assert_int_equal(ipc_peer_uid(server, &uid), ERR_OK);
	assert_int_equal(uid, geteuid());
	assert_int_equal(ipc_listen(path, &second, &e), ERR_EXISTS); /* someone is there */
	(void)close(server);
	(void)close(client);
	(void)close(fd);
	assert_int_equal(ipc_listen(path, &second, &e), ERR_OK);
	(void)close(second);
	(void)unlink(path);
	fd = creat(path, 0600);
	assert_int_equal(ipc_listen(path, &second, &e), ERR_EXISTS);
	(void)close(fd);
	(void)unlink(path);
	(void)rmdir(dir);
	memset(path, 'x', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	assert_int_equal(ipc_connect("", &client), ERR_LIMIT);
}

static void no_socket_has_no_peer(void **state)
{
	uid_t uid;

	(void)state;
	assert_int_equal(ipc_peer_uid(-1, &uid), ERR_IO);
}

/* A socket whose peer does not read yet, so that packets queue. */
static enum err attempt(void *arg)
{
	static const struct ipc_socket_events events = {on_packet, on_close};
	struct side *side = arg;
	struct ipc_socket *s = NULL;
	char packet[IPC_FRAME_MAX] = {0};
	int fds[2];
	enum err err;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	err = ipc_socket_new(side->base, &fds[0], &events, side, &s);
	assert_int_equal(fds[0], -1); /* taken all the same */
	assert_true((s != NULL) == (err == ERR_OK));
	for (int i = 0; err == ERR_OK && i < 20; i++)
		err = ipc_socket_send(s, sv_of(packet, sizeof packet));
	ipc_socket_free(&s);
	(void)event_base_loop(side->base, EVLOOP_NONBLOCK); /* freed at the end of the turn */
	(void)close(fds[1]);
	return err;
}

static void without_memory_there_is_none_or_a_packet_is_refused(void **state)
{
	assert_true(torture(attempt, *state) >= 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(packets_keep_their_bounds),
	    CASE(a_frame_of_the_largest_size_passes_and_one_more_byte_closes),
	    CASE(a_peer_that_does_not_read_meets_the_limit_and_loses_nothing),
	    CASE(a_peer_that_is_gone_closes_once),
	    CASE(a_send_to_a_gone_peer_closes_from_the_loop_only),
	    CASE(a_freed_socket_calls_nothing),
	    CASE(a_verdict_closes),
	    CASE(the_owner_may_free_in_either_callback),
	    CASE(answers_from_a_callback_arrive),
	    CASE(without_memory_there_is_none_or_a_packet_is_refused),
	    cmocka_unit_test(a_path_is_listened_on_and_a_stale_one_replaced),
	    cmocka_unit_test(no_socket_has_no_peer),
	};

	torture_libevent();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

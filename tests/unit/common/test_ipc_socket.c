#include "common/ipc_socket.h"

#include <errno.h>
#include <sys/socket.h>
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
	assert_int_equal(recv(side->peer, got, sizeof got, 0), -1); /* the turn is not over */
	turn(side);
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
	turn(side);
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
	assert_int_equal(side_send(side, SV("x")), ERR_OK); /* nobody knows yet */
	assert_int_equal(side->closes, 0);
	turn(side);
	turn(side);
	assert_int_equal(side->closes, 1);
	assert_int_equal(side->why, ERR_UNAVAILABLE);
	assert_int_equal(side_send(side, SV("x")), ERR_UNAVAILABLE);
}

static void many_sends_to_a_gone_peer_close_from_the_loop_only(void **state)
{
	struct side *side = *state;
	char packet[4096] = {0};
	enum err e = ERR_OK;

	(void)close(side->peer);
	side->peer = -1;
	for (size_t i = 0; i < IPC_QUEUE_MAX / sizeof packet && e == ERR_OK; i++)
		e = side_send(side, sv_of(packet, sizeof packet));
	assert_int_equal(e, ERR_UNAVAILABLE);
	assert_int_equal(side->closes, 0);
	turn(side);
	turn(side);
	assert_int_equal(side->closes, 1);
}

static void a_freed_socket_calls_nothing(void **state)
{
	struct side *side = *state;

	(void)close(side->peer);
	side->peer = -1;
	assert_int_equal(side_send(side, SV("x")), ERR_OK);
	ipc_socket_free(&side->s);
	turn(side);
	assert_int_equal(side->closes, 0);
}

static void what_was_sent_before_the_end_arrives(void **state)
{
	struct side *side = *state;
	char got[16];

	assert_int_equal(side_send(side, SV("last")), ERR_OK);
	ipc_socket_free(&side->s);
	assert_int_equal(recv(side->peer, got, sizeof got, 0), 4);
	assert_int_equal(recv(side->peer, got, sizeof got, 0), 0);
}

static void more_packets_than_one_call_takes_keep_their_order(void **state)
{
	struct side *side = *state;
	uint32_t number, size = 0;
	char packet[3000] = {0}, got[3000];

	for (uint32_t i = 0; i < 150; i++) {
		memcpy(packet, &i, sizeof i);
		assert_int_equal(side_send(side, sv_of(packet, 4 + (i * 37) % 2900)), ERR_OK);
	}
	for (uint32_t i = 0; i < 150; i++) {
		ssize_t n;

		while ((n = recv(side->peer, got, sizeof got, 0)) == -1)
			turn(side);
		size = 4 + (i * 37) % 2900;
		assert_int_equal(n, size);
		memcpy(&number, got, sizeof number);
		assert_int_equal(number, i);
	}
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
	    CASE(many_sends_to_a_gone_peer_close_from_the_loop_only),
	    CASE(a_freed_socket_calls_nothing),
	    CASE(what_was_sent_before_the_end_arrives),
	    CASE(more_packets_than_one_call_takes_keep_their_order),
	    CASE(a_verdict_closes),
	    CASE(the_owner_may_free_in_either_callback),
	    CASE(answers_from_a_callback_arrive),
	    CASE(without_memory_there_is_none_or_a_packet_is_refused),
	};

	torture_libevent();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

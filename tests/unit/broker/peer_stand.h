/*
 * peer_stand - a worker's connection with real sockets and editions
 *
 * set_up() makes a broker of the stand's configuration (edition_stand.h), whose key 1 seals.
 * open_peer() connects a worker, whose end is t.fd; put() sends for it, get() has the next packet
 * for it in t.answer. The handler of login_begin is played, and holds its requests in t.held.
 */
#ifndef BFF_TEST_PEER_STAND_H
#define BFF_TEST_PEER_STAND_H

#include <sys/socket.h>

#include "broker/dispatch.h"
#include "broker/token_memory.h"
#include "common/ipc_socket.h"
#include "tests/unit/broker/edition_stand.h"
#include "tests/unit/loop.h"

static struct {
	struct broker broker;
	struct request *held[PEER_REQUESTS_MAX];
	size_t nheld;
	unsigned drained;
	int fd; /* of the worker */
	char packet[IPC_FRAME_MAX];
	struct ipc_message answer; /* borrows packet */
} t;

void __wrap_login_begin(struct request **r, const struct ipc_login_begin *m);
void __wrap_login_begin(struct request **r, const struct ipc_login_begin *m)
{
	(void)m;
	assert_true(t.nheld < ARRAY_LEN(t.held));
	t.held[t.nheld++] = *r;
	*r = NULL;
}

bool __wrap_token_memory_answer(struct peer *p, uint32_t id, const struct ipc_token_get *m);
bool __wrap_token_memory_answer(struct peer *p, uint32_t id, const struct ipc_token_get *m)
{
	(void)p, (void)id, (void)m;
	return false;
}

void __wrap_broker_drained(struct broker *b);
void __wrap_broker_drained(struct broker *b)
{
	assert_ptr_equal(b, &t.broker);
	t.drained++;
}

/* ---- the worker --------------------------------------------------------------------------- */

/* One more connection; the worker's end. *ret: what became of it; NULL: refused. */
static inline int connect_peer(struct peer **ret)
{
	size_t before = t.broker.npeers;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	peer_accept(&t.broker, &fds[0]);
	assert_int_equal(fds[0], -1);
	*ret = t.broker.npeers > before ? t.broker.peers : NULL;
	return fds[1];
}

static inline void put(struct buf *packet)
{
	assert_int_equal(send(t.fd, packet->p, packet->n, 0), (ssize_t)packet->n);
	buf_done(packet);
	loop_turns(t.broker.base, 3);
}

/* The next packet for the worker; false: none. */
static inline bool get(void)
{
	ssize_t n = recv(t.fd, t.packet, sizeof t.packet, 0);

	if (n <= 0)
		return false;
	assert_int_equal(ipc_decode(sv_of(t.packet, (size_t)n), &t.answer), ERR_OK);
	return true;
}

static inline bool is_closed(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_PEEK);

	return n == 0 || (n == -1 && errno == ECONNRESET);
}

static inline void say_hello(uint64_t fingerprint, struct sv digest)
{
	const struct ipc_hello m = {
	    .fingerprint = fingerprint, .build = SV("0.0.1"), .digest = digest};
	struct buf packet;

	buf_init(&packet, IPC_FRAME_MAX);
	assert_int_equal(ipc_encode_hello(&packet, 3, &m), ERR_OK);
	put(&packet);
}

static inline void say_login(uint32_t id)
{
	const struct ipc_login_begin m = {.app = SV("a"), .correlation = SV("corr-1")};
	struct buf packet;

	buf_init(&packet, IPC_FRAME_MAX);
	assert_int_equal(ipc_encode_login_begin(&packet, id, &m), ERR_OK);
	put(&packet);
}

static inline void answer_held(void)
{
	assert_true(t.nheld > 0);
	request_fail(&t.held[--t.nheld], IPC_ERROR_LIMITED, request_detail("done"));
}

#define assert_failed(want_id, want_code, want_detail)                                             \
	do {                                                                                       \
		assert_true(get());                                                                \
		assert_int_equal(t.answer.number, IPC_FAILURE);                                    \
		assert_int_equal(t.answer.id, want_id);                                            \
		assert_int_equal(t.answer.u.failure.code, want_code);                              \
		assert_sv_equal(t.answer.u.failure.detail, SV(want_detail));                       \
	} while (0)

static inline struct sv own_digest(void)
{
	return stand_digest(stand.editions.newest);
}

/* A peer that said hello with our configuration. */
static inline struct peer *open_peer(void)
{
	struct peer *p = NULL;

	t.fd = connect_peer(&p);
	assert_non_null(p);
	say_hello(ipc_fingerprint(), own_digest());
	assert_true(get());
	assert_int_equal(t.answer.number, IPC_WELCOME);
	return p;
}

static inline int set_up(void **state)
{
	if (stand_open(state) != 0)
		return -1;
	memset(&t, 0, sizeof t);
	t.fd = -1;
	buf_init(&t.broker.packet, IPC_FRAME_MAX);
	t.broker.base = event_base_new();
	t.broker.peer_uid = geteuid();
	t.broker.ring = ring_of(RING_ONE);
	(void)stand_add();
	t.broker.editions = stand.editions;
	return 0;
}

static inline int tear_down(void **state)
{
	while (t.broker.peers != NULL) {
		struct peer *p = t.broker.peers;

		peer_free(&p);
	}
	while (t.nheld > 0)
		answer_held();
	assert_int_equal(t.broker.npeers, 0);
	loop_turns(t.broker.base, 2);
	if (t.fd != -1)
		(void)close(t.fd);
	keyring_free(&t.broker.ring);
	buf_done(&t.broker.packet);
	event_base_free(t.broker.base);
	stand.editions = t.broker.editions;
	return stand_close(state);
}

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

#endif

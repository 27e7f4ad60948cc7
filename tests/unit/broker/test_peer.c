#include "broker/peer.h"

#include <sys/socket.h>
#include <unistd.h>

#include "broker/dispatch.h"
#include "common/log.h"
#include "tests/unit/broker/ring.h"
#include "tests/unit/loop.h"

/* A real socket pair; what dispatch and the editions say is the test's. */
static struct {
	struct broker broker;
	struct edition edition;
	int worker;    /* the other side, of the last who came */
	int others[8]; /* of those before */
	size_t nothers;
	bool known; /* the edition */
	unsigned looked, dispatched, drained;
	enum err verdict;
	struct ipc_message m;
	char packet[IPC_FRAME_MAX];
} t;

enum err __wrap_dispatch_packet(struct peer *p, struct sv packet);
enum err __wrap_dispatch_packet(struct peer *p, struct sv packet)
{
	assert_ptr_equal(p->broker, &t.broker);
	assert_sv_equal(packet, SV("packet"));
	t.dispatched++;
	return t.verdict;
}

struct edition *__wrap_editions_find(struct editions *e, struct sv digest);
struct edition *__wrap_editions_find(struct editions *e, struct sv digest)
{
	assert_ptr_equal(e, &t.broker.editions);
	assert_sv_equal(digest, SV("0123456789abcdef0123456789abcdef"));
	t.looked++;
	return t.known ? &t.edition : NULL;
}

void __wrap_broker_drained(struct broker *b);
void __wrap_broker_drained(struct broker *b)
{
	assert_ptr_equal(b, &t.broker);
	t.drained++;
}

static void join(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	if (t.worker != -1)
		t.others[t.nothers++] = t.worker;
	t.worker = fds[0];
	peer_accept(&t.broker, &fds[1]);
	assert_int_equal(fds[1], -1); /* taken, whatever came of it */
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR + 1);
	memset(&t, 0, sizeof t);
	t.worker = -1;
	t.known = true;
	t.broker.base = event_base_new();
	t.broker.ring = ring_of(RING_ONE);
	t.broker.peer_uid = geteuid();
	assert_non_null(t.broker.base);
	join();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	while (t.broker.peers != NULL) {
		struct peer *p = t.broker.peers;

		peer_free(&p);
	}
	assert_int_equal(t.broker.npeers, 0);
	assert_int_equal(t.edition.refs, 0);
	(void)close(t.worker);
	while (t.nothers > 0)
		(void)close(t.others[--t.nothers]);
	keyring_free(&t.broker.ring);
	event_base_free(t.broker.base);
	return 0;
}

/* 0: the broker closed; -1: nothing came. */
static ssize_t receive(void)
{
	ssize_t n;

	loop_turn(t.broker.base);
	n = recv(t.worker, t.packet, sizeof t.packet, MSG_DONTWAIT);
	if (n > 0)
		assert_int_equal(ipc_decode(sv_of(t.packet, (size_t)n), &t.m), ERR_OK);
	return n;
}

static enum err hello(uint64_t fingerprint, struct sv digest)
{
	const struct ipc_hello m = {
	    .fingerprint = fingerprint, .build = SV("test"), .digest = digest};

	return peer_hello(t.broker.peers, 3, &m);
}

static void greet(void)
{
	assert_int_equal(hello(ipc_fingerprint(), SV("0123456789abcdef0123456789abcdef")), ERR_OK);
	assert_true(receive() > 0);
}

static enum err request(struct request **ret)
{
	const struct ipc_message m = {.id = 8, .name = "logout"};

	return peer_request(t.broker.peers, &m, SV("corr"), ret);
}

static void who_may_connect(void **state)
{
	(void)state;
	assert_int_equal(t.broker.npeers, 1);
	assert_int_equal(t.broker.peers->phase, IPC_PHASE_HELLO);
	t.broker.peer_uid = geteuid() + 1;
	join();
	assert_int_equal(t.broker.npeers, 1);
	assert_int_equal(receive(), 0);
	t.broker.peer_uid = geteuid();
	t.broker.npeers = BROKER_PEERS_MAX;
	join();
	assert_int_equal(t.broker.npeers, BROKER_PEERS_MAX);
	assert_int_equal(receive(), 0);
	t.broker.npeers = 1;
	join();
	assert_int_equal(t.broker.npeers, 2);
}

static void a_hello_opens(void **state)
{
	(void)state;
	greet();
	assert_int_equal(t.m.number, IPC_WELCOME);
	assert_int_equal(t.m.id, 3);
	assert_int_equal(t.m.u.welcome.fingerprint, ipc_fingerprint());
	assert_int_equal(t.broker.peers->phase, IPC_PHASE_OPEN);
	assert_ptr_equal(t.broker.peers->edition, &t.edition);
	assert_int_equal(t.edition.refs, 1);
}

static void another_protocol_does_not(void **state)
{
	(void)state;
	assert_int_equal(hello(ipc_fingerprint() + 1, SV("0123456789abcdef0123456789abcdef")),
			 ERR_PROTOCOL);
	assert_int_equal(hello(ipc_fingerprint(), SV("short")), ERR_PROTOCOL);
	assert_int_equal(t.broker.peers->phase, IPC_PHASE_HELLO);
	assert_int_equal(receive(), -1);
}

static void an_unknown_configuration_is_looked_for_again(void **state)
{
	struct request *r = NULL;

	(void)state;
	t.known = false;
	greet(); /* welcome all the same */
	assert_int_equal(request(&r), ERR_CONFIG);
	assert_null(r);
	assert_true(receive() > 0);
	assert_int_equal(t.m.u.failure.code, IPC_ERROR_CONFIG_SKEW);
	assert_int_equal(t.looked, 2);
	t.known = true;
	assert_int_equal(request(&r), ERR_OK);
	assert_int_equal(t.edition.refs, 2);
	request_fail(&r, IPC_ERROR_INTERNAL, request_detail("x"));
	assert_int_equal(t.looked, 3); /* not once it was found */
}

static void without_a_sealing_key_nothing_is_taken_on(void **state)
{
	struct request *r = NULL;

	(void)state;
	greet();
	keyring_free(&t.broker.ring);
	t.broker.ring = ring_of("1 pending " RING_KEY_A "\n");
	assert_int_equal(request(&r), ERR_UNAVAILABLE);
	assert_null(r);
	assert_true(receive() > 0);
	assert_int_equal(t.m.u.failure.code, IPC_ERROR_STORE);
}

static void requests_are_bounded(void **state)
{
	struct request *r[PEER_REQUESTS_MAX + 1] = {NULL};

	(void)state;
	greet();
	for (size_t i = 0; i < PEER_REQUESTS_MAX; i++)
		assert_int_equal(request(&r[i]), ERR_OK);
	assert_int_equal(request(&r[PEER_REQUESTS_MAX]), ERR_LIMIT);
	assert_null(r[PEER_REQUESTS_MAX]);
	assert_true(receive() > 0);
	assert_int_equal(t.m.id, 8);
	assert_int_equal(t.m.u.failure.code, IPC_ERROR_INTERNAL);
	assert_string_equal(r[0]->correlation, "corr");
	for (size_t i = 0; i < PEER_REQUESTS_MAX; i++)
		request_fail(&r[i], IPC_ERROR_INTERNAL, request_detail("x"));
	assert_int_equal(t.broker.peers->nrequests, 0);
}

static void requests_outlive_their_peer(void **state)
{
	struct request *r = NULL;

	(void)state;
	greet();
	assert_int_equal(request(&r), ERR_OK);
	(void)close(t.worker);
	t.worker = -1;
	loop_turn(t.broker.base);
	assert_null(t.broker.peers);
	assert_null(r->peer);
	request_fail(&r, IPC_ERROR_INTERNAL, request_detail("x"));
	assert_int_equal(t.drained, 0);
}

static void a_verdict_of_dispatch_drops_the_peer(void **state)
{
	(void)state;
	assert_int_equal(send(t.worker, "packet", 6, 0), 6);
	loop_turn(t.broker.base);
	assert_int_equal(t.dispatched, 1);
	assert_int_equal(t.broker.npeers, 1);
	t.verdict = ERR_PROTOCOL;
	assert_int_equal(send(t.worker, "packet", 6, 0), 6);
	assert_int_equal(receive(), 0);
	assert_int_equal(t.broker.npeers, 0);
}

static void a_drain_closes_who_waits_for_nothing(void **state)
{
	struct request *r = NULL;
	struct peer *p;

	(void)state;
	t.broker.draining = true;
	greet();
	assert_int_equal(request(&r), ERR_OK);
	p = t.broker.peers;
	peer_close_idle(&p);
	assert_non_null(p);
	request_fail(&r, IPC_ERROR_INTERNAL, request_detail("last"));
	assert_int_equal(t.drained, 1);
	peer_close_idle(&p);
	assert_null(p);
	assert_int_equal(t.drained, 2);
	assert_true(receive() > 0); /* the last answer still arrives */
	assert_sv_equal(t.m.u.failure.detail, SV("last"));
	assert_int_equal(receive(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(who_may_connect),
	    CASE(a_hello_opens),
	    CASE(another_protocol_does_not),
	    CASE(an_unknown_configuration_is_looked_for_again),
	    CASE(without_a_sealing_key_nothing_is_taken_on),
	    CASE(requests_are_bounded),
	    CASE(requests_outlive_their_peer),
	    CASE(a_verdict_of_dispatch_drops_the_peer),
	    CASE(a_drain_closes_who_waits_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

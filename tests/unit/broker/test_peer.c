#include "broker/peer.h"

#include "tests/unit/broker/peer_stand.h"
#include "tests/unit/torture.h"

/* ---- who may connect ---------------------------------------------------------------------- */

static void another_uid_is_refused(void **state)
{
	struct peer *p;
	int fd;

	(void)state;
	t.broker.peer_uid = geteuid() + 1;
	fd = connect_peer(&p);
	assert_null(p);
	assert_true(is_closed(fd));
	assert_logged("peer_refused uid is not that of broker.peer_user");
	(void)close(fd);
}

static void what_has_no_peer_is_refused(void **state)
{
	int fds[2], fd;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	t.broker.peer_uid = 0; /* what a uid that nobody told would be */
	fd = fds[0];
	peer_accept(&t.broker, &fd);
	assert_int_equal(fd, -1);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1); /* closed */
	assert_int_equal(t.broker.npeers, 0);
	assert_logged("peer_refused");
	(void)close(fds[1]);
}

static void peers_have_a_limit(void **state)
{
	int fds[BROKER_PEERS_MAX + 1];
	struct peer *p;

	(void)state;
	for (size_t i = 0; i < BROKER_PEERS_MAX; i++) {
		fds[i] = connect_peer(&p);
		assert_non_null(p);
		assert_int_equal(t.broker.peers->serial, i + 1);
	}
	fds[BROKER_PEERS_MAX] = connect_peer(&p);
	assert_null(p);
	assert_true(is_closed(fds[BROKER_PEERS_MAX]));
	assert_logged("peer_refused too many peers");
	(void)close(fds[BROKER_PEERS_MAX]);
	(void)close(fds[7]);
	loop_turns(t.broker.base, 2);
	assert_int_equal(t.broker.npeers, BROKER_PEERS_MAX - 1);
	fds[7] = connect_peer(&p);
	assert_non_null(p);
	for (size_t i = 0; i < BROKER_PEERS_MAX; i++)
		(void)close(fds[i]);
}

/* ---- hello -------------------------------------------------------------------------------- */

static void hello_is_welcomed(void **state)
{
	struct peer *p;

	(void)state;
	t.fd = connect_peer(&p);
	assert_int_equal(t.broker.peers->phase, IPC_PHASE_HELLO);
	say_hello(ipc_fingerprint(), own_digest());
	assert_true(get());
	assert_int_equal(t.answer.number, IPC_WELCOME);
	assert_int_equal(t.answer.id, 3);
	assert_int_equal(t.answer.u.welcome.fingerprint, ipc_fingerprint());
	assert_sv_equal(t.answer.u.welcome.build, SV(BFF_VERSION));
	assert_int_equal(p->phase, IPC_PHASE_OPEN);
	assert_ptr_equal(p->edition, t.broker.editions.newest);
	assert_int_equal(p->edition->refs, 1);
	assert_logged("peer_open");
	peer_free(&p);
	assert_null(p);
	assert_int_equal(t.broker.editions.newest->refs, 0);
	assert_true(is_closed(t.fd));
}

static void a_second_hello_drops(void **state)
{
	(void)state;
	(void)open_peer();
	say_hello(ipc_fingerprint(), own_digest());
	assert_int_equal(t.broker.npeers, 0);
	assert_true(is_closed(t.fd));
	assert_logged("peer_closed");
	assert_int_equal(t.broker.editions.newest->refs, 0);
}

static void nothing_comes_before_hello(void **state)
{
	struct peer *p;

	(void)state;
	t.fd = connect_peer(&p);
	say_login(1);
	assert_int_equal(t.broker.npeers, 0);
	assert_true(is_closed(t.fd));
	assert_int_equal(t.nheld, 0);
}

static void another_protocol_or_digest_drops(void **state)
{
	static const char digest[CRYPT_SHA256_LEN] = "";
	static const struct {
		uint64_t off;
		size_t digest_len;
	} rows[] = {{1, CRYPT_SHA256_LEN}, {0, CRYPT_SHA256_LEN - 1}, {0, 1}, {0, 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct peer *p;

		t.fd = connect_peer(&p);
		say_hello(ipc_fingerprint() + rows[i].off, sv_of(digest, rows[i].digest_len));
		assert_int_equal(t.broker.npeers, 0);
		assert_false(get()); /* no welcome */
		assert_true(is_closed(t.fd));
		assert_logged("peer_dropped another protocol: mixed old and new binaries?");
		(void)close(t.fd);
	}
	t.fd = -1;
}

static void an_unknown_digest_is_skew_until_a_re_read_knows_it(void **state)
{
	unsigned char digest[CRYPT_SHA256_LEN];
	struct config *c;
	struct peer *p;

	(void)state;
	stand_config_number(1); /* what the worker has, and our file not yet */
	c = stand_load();
	assert_int_equal(config_digest(c, digest), ERR_OK);
	config_free(&c);
	stand_config("", "", "");
	t.fd = connect_peer(&p);
	say_hello(ipc_fingerprint(), sv_of((const char *)digest, sizeof digest));
	assert_true(get());
	assert_int_equal(t.answer.number, IPC_WELCOME); /* the worker is told by its requests */
	assert_null(p->edition);
	assert_logged("config_skew");
	say_login(5);
	assert_failed(5, IPC_ERROR_CONFIG_SKEW, "config_skew");
	say_login(6);
	assert_failed(6, IPC_ERROR_CONFIG_SKEW, "config_skew");
	assert_int_equal(stand.loads, 3); /* the hello's, too */
	stand_config_number(1);
	assert_int_equal(t.nheld, 0);
	say_login(7);
	assert_int_equal(t.nheld, 1);
	assert_non_null(p->edition);
	assert_ptr_equal(t.held[0]->edition, p->edition);
	assert_int_equal(p->edition->refs, 2); /* the peer's and the request's */
	assert_int_equal(p->nrequests, 1);
	say_login(8);
	assert_int_equal(p->edition->refs, 3);
	assert_int_equal(stand.loads, 4);
}

/* ---- requests ----------------------------------------------------------------------------- */

static void a_request_is_what_its_packet_says(void **state)
{
	struct peer *p = open_peer();

	(void)state;
	say_login(9);
	assert_int_equal(t.nheld, 1);
	assert_int_equal(t.held[0]->id, 9);
	assert_ptr_equal(t.held[0]->peer, p);
	assert_ptr_equal(t.held[0]->broker, &t.broker);
	assert_string_equal(t.held[0]->name, "login_begin");
	assert_string_equal(t.held[0]->correlation, "corr-1");
	answer_held();
	loop_turn(t.broker.base);
	assert_failed(9, IPC_ERROR_LIMITED, "done");
	assert_int_equal(p->nrequests, 0);
	assert_int_equal(p->edition->refs, 1);
}

/* Until the database said so nothing can be sealed, and what cannot be sealed is not begun. */
static void nothing_is_served_before_it_is_known_which_key_seals(void **state)
{
	struct peer *p = open_peer();

	(void)state;
	keyring_set_state(t.broker.ring, 1, KEY_PENDING);
	say_login(1);
	assert_failed(1, IPC_ERROR_STORE, "no_key");
	assert_int_equal(t.answer.u.failure.retry_after_s, 1);
	assert_int_equal(t.nheld + p->nrequests, 0);
	assert_int_equal(p->edition->refs, 1);
	keyring_set_state(t.broker.ring, 1, KEY_PRIMARY);
	say_login(2);
	assert_int_equal(t.nheld, 1);
}

static void requests_have_a_limit(void **state)
{
	struct peer *p = open_peer();

	(void)state;
	for (uint32_t i = 0; i < PEER_REQUESTS_MAX; i++)
		say_login(i);
	assert_int_equal(t.nheld, PEER_REQUESTS_MAX);
	assert_false(get());
	say_login(PEER_REQUESTS_MAX);
	assert_failed(PEER_REQUESTS_MAX, IPC_ERROR_INTERNAL, "too_many");
	assert_int_equal(t.answer.u.failure.retry_after_s, 1);
	assert_int_equal(p->nrequests, PEER_REQUESTS_MAX);
	assert_int_equal(t.broker.npeers, 1);
	answer_held();
	loop_turn(t.broker.base);
	assert_failed(PEER_REQUESTS_MAX - 1, IPC_ERROR_LIMITED, "done");
	say_login(1);
	assert_int_equal(t.nheld, PEER_REQUESTS_MAX);
}

static void a_request_outlives_its_peer(void **state)
{
	struct edition *ed = t.broker.editions.newest;

	(void)state;
	(void)open_peer();
	say_login(1);
	say_login(2);
	(void)close(t.fd);
	t.fd = -1;
	loop_turns(t.broker.base, 2);
	assert_int_equal(t.broker.npeers, 0);
	assert_null(t.held[0]->peer);
	assert_null(t.held[1]->peer);
	assert_int_equal(ed->refs, 2);
	answer_held();
	answer_held();
	assert_int_equal(ed->refs, 0);
}

static void a_worker_that_does_not_read_is_noted(void **state)
{
	static const char text[IPC_METRICS_MAX];
	const struct ipc_message m = {.number = IPC_METRICS,
				      .u.metrics.text = sv_of(text, sizeof text)};
	struct peer *p = open_peer();

	(void)state;
	for (size_t n = 0; n < 2 * IPC_QUEUE_MAX; n += sizeof text) /* the kernel takes some */
		assert_int_equal(peer_answer(p, 1, &m), ERR_OK);
	assert_logged("peer_not_reading");
}

static void an_answer_leaves_nothing_behind(void **state)
{
	const struct ipc_message m = {.number = IPC_TOKEN,
				      .u.token.access_token = SV("secret token")};
	struct peer *p = open_peer();
	const struct buf *packet = &t.broker.packet;

	(void)state;
	for (uint32_t id = 5; id < 7; id++) {
		assert_int_equal(peer_answer(p, id, &m), ERR_OK);
		assert_int_equal(packet->n, 0);
		assert_true(packet->cap > m.u.token.access_token.n);
		assert_null(memmem(packet->p, packet->cap, "secret", 6));
		loop_turn(t.broker.base);
		assert_true(get());
		assert_int_equal(t.answer.number, IPC_TOKEN);
		assert_int_equal(t.answer.id, id);
		assert_sv_equal(t.answer.u.token.access_token, SV("secret token"));
	}
}

/* And the answer after it is whole. */
static void an_answer_over_a_maximum_is_not_sent(void **state)
{
	static const char text[IPC_TOKEN_MAX + 1];
	struct ipc_message m = {.number = IPC_TOKEN,
				.u.token.access_token = sv_of(text, sizeof text)};
	struct peer *p = open_peer();

	(void)state;
	assert_int_equal(peer_answer(p, 1, &m), ERR_LIMIT);
	loop_turn(t.broker.base);
	assert_false(get());
	m.u.token.access_token.n--;
	assert_int_equal(peer_answer(p, 2, &m), ERR_OK);
	loop_turn(t.broker.base);
	assert_true(get());
	assert_int_equal(t.answer.id, 2);
}

/* ---- the end of a connection -------------------------------------------------------------- */

static void idle_peers_are_closed_and_busy_ones_are_not(void **state)
{
	struct peer *busy = open_peer(), *idle;
	int fd = connect_peer(&idle);

	(void)state;
	say_login(1);
	peer_close_idle(&busy);
	assert_non_null(busy);
	peer_close_idle(&idle);
	assert_null(idle);
	assert_true(is_closed(fd));
	assert_int_equal(t.broker.npeers, 1);
	assert_false(is_closed(t.fd));
	answer_held();
	peer_close_idle(&busy);
	assert_null(busy);
	assert_failed(1, IPC_ERROR_LIMITED, "done"); /* what was sent before arrives */
	assert_true(is_closed(t.fd));
	(void)close(fd);
}

static void the_drain_is_told_of_every_peer_that_goes(void **state)
{
	struct peer *p;

	(void)state;
	t.fd = connect_peer(&p);
	t.broker.draining = true;
	peer_free(&p);
	assert_int_equal(t.drained, 1);
	peer_free(&p); /* NULL */
	assert_int_equal(t.drained, 1);
}

static void peers_go_in_any_order(void **state)
{
	struct peer *p[3];
	int fds[3];

	(void)state;
	for (size_t i = 0; i < 3; i++)
		fds[i] = connect_peer(&p[i]);
	peer_free(&p[1]);
	assert_ptr_equal(t.broker.peers, p[2]);
	assert_ptr_equal(p[2]->next, p[0]);
	assert_ptr_equal(p[0]->prev, &p[2]->next);
	peer_free(&p[2]);
	assert_ptr_equal(t.broker.peers, p[0]);
	assert_ptr_equal(p[0]->prev, &t.broker.peers);
	peer_free(&p[0]);
	assert_null(t.broker.peers);
	for (size_t i = 0; i < 3; i++)
		(void)close(fds[i]);
}

/* ---- without memory ----------------------------------------------------------------------- */

static enum err attempt_accept(void *arg)
{
	struct peer *p;
	int fd = connect_peer(&p);
	enum err rc = p == NULL ? ERR_NOMEM : ERR_OK;

	(void)arg;
	if (p == NULL)
		assert_logged("peer_refused");
	peer_free(&p);
	(void)event_base_loop(t.broker.base, EVLOOP_NONBLOCK);
	assert_true(is_closed(fd));
	(void)close(fd);
	return rc;
}

static void without_memory_a_connection_is_refused(void **state)
{
	(void)state;
	assert_true(torture(attempt_accept, NULL) >= 2);
}

static void without_memory_there_is_no_request(void **state)
{
	struct peer *p = open_peer();
	const struct ipc_message m = {.id = 1, .name = "login_begin"};
	struct request *r = NULL;

	(void)state;
	torture_state.at = 1;
	torture_state.seen = 0;
	assert_int_equal(peer_request(p, &m, SV_NONE, &r), ERR_NOMEM);
	torture_state.at = 0;
	assert_null(r);
	assert_int_equal(p->nrequests, 0);
}

static void without_memory_for_the_welcome_the_peer_is_dropped(void **state)
{
	const struct ipc_hello m = {.fingerprint = ipc_fingerprint(), .digest = own_digest()};
	struct peer *p;

	(void)state;
	t.fd = connect_peer(&p);
	torture_state.at = 1;
	torture_state.seen = 0;
	assert_int_equal(peer_hello(p, 1, &m), ERR_NOMEM);
	torture_state.at = 0;
	loop_turn(t.broker.base);
	assert_false(get());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(another_uid_is_refused),
	    WITH(what_has_no_peer_is_refused),
	    WITH(peers_have_a_limit),
	    WITH(hello_is_welcomed),
	    WITH(a_second_hello_drops),
	    WITH(nothing_comes_before_hello),
	    WITH(another_protocol_or_digest_drops),
	    WITH(an_unknown_digest_is_skew_until_a_re_read_knows_it),
	    WITH(a_request_is_what_its_packet_says),
	    WITH(nothing_is_served_before_it_is_known_which_key_seals),
	    WITH(requests_have_a_limit),
	    WITH(a_request_outlives_its_peer),
	    WITH(a_worker_that_does_not_read_is_noted),
	    WITH(an_answer_leaves_nothing_behind),
	    WITH(an_answer_over_a_maximum_is_not_sent),
	    WITH(idle_peers_are_closed_and_busy_ones_are_not),
	    WITH(the_drain_is_told_of_every_peer_that_goes),
	    WITH(peers_go_in_any_order),
	    WITH(without_memory_a_connection_is_refused),
	    WITH(without_memory_there_is_no_request),
	    WITH(without_memory_for_the_welcome_the_peer_is_dropped),
	};

	torture_libevent();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

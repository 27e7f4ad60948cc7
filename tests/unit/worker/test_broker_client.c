#include "worker/broker_client.h"

#include <sys/socket.h>
#include <unistd.h>

#include "common/ipc_socket.h"
#include "common/log.h"
#include "tests/unit/loop.h"
#include "tests/unit/torture.h"

#define TIMEOUT_MS 5000

/* Rule Zero: over 400 lines, because connection and calls are one state and need one broker. */
static struct {
	struct event_base *base;
	struct broker_client *b;
	int peer; /* the broker's end; -1: it is not there */
	bool away;
	unsigned attempts, ups, downs;
	char packet[IPC_FRAME_MAX];
	struct ipc_message got; /* what the broker last read */
} f;

/* One request of a test, and what came of it. */
struct asked {
	uint32_t id;
	struct broker_call *call;
	unsigned answers;
	enum err e;
	char token[32];
	uint32_t failure;
};

enum err __wrap_ipc_connect(const char *path, int *ret_fd);

enum err __wrap_ipc_connect(const char *path, int *ret_fd)
{
	int fds[2];

	assert_string_equal(path, "/run/test.sock");
	f.attempts++;
	if (f.away)
		return ERR_UNAVAILABLE;
	if (f.peer != -1)
		(void)close(f.peer);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	*ret_fd = fds[0];
	f.peer = fds[1];
	return ERR_OK;
}

static void on_state(void *arg, bool up)
{
	assert_ptr_equal(arg, &f);
	assert_int_equal(up, broker_client_up(f.b));
	if (up)
		f.ups++;
	else
		f.downs++;
}

static unsigned char digest[CRYPT_SHA256_LEN] = {1, 2, 3};

static int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof f);
	f.peer = -1;
	log_set_level(LOG_ERROR);
	loop_hold();
	f.base = event_base_new();
	assert_non_null(f.base);
	assert_int_equal(broker_client_new(f.base, "/run/test.sock", digest, &f.b), ERR_OK);
	broker_client_on_state(f.b, on_state, &f);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	broker_client_free(&f.b);
	assert_null(f.b);
	broker_client_free(&f.b);
	if (f.peer != -1)
		(void)close(f.peer);
	event_base_free(f.base);
	return 0;
}

/* Reads one packet as the broker; false: there is none. What is sent leaves at the end of a turn.
 */
static bool broker_reads(void)
{
	ssize_t n;

	loop_turn(f.base);
	n = recv(f.peer, f.packet, sizeof f.packet, 0);
	if (n <= 0)
		return false;
	assert_int_equal(ipc_decode(sv_of(f.packet, (size_t)n), &f.got), ERR_OK);
	return true;
}

static void broker_says(struct buf *b)
{
	assert_int_equal(send(f.peer, b->p, b->n, MSG_NOSIGNAL), b->n);
	buf_done(b);
	loop_turns(f.base, 3);
}

#define SAY(name, id, ...)                                                                         \
	do {                                                                                       \
		struct ipc_##name m_ = {__VA_ARGS__};                                              \
		struct buf b_;                                                                     \
		buf_init(&b_, IPC_FRAME_MAX);                                                      \
		assert_int_equal(ipc_encode_##name(&b_, id, &m_), ERR_OK);                         \
		broker_says(&b_);                                                                  \
	} while (0)

static void welcome(void)
{
	SAY(welcome, 0, .fingerprint = ipc_fingerprint(), .build = SV("1"));
}

static void go_up(void)
{
	loop_fire(f.base);
	assert_true(broker_reads());
	welcome();
	assert_true(broker_client_up(f.b));
}

static void on_answer(void *arg, enum err e, const struct ipc_message *m)
{
	struct asked *a = arg;

	a->answers++;
	a->e = e;
	assert_true((m != NULL) == (e == ERR_OK));
	if (m != NULL && m->number == IPC_TOKEN)
		(void)snprintf(a->token, sizeof a->token, SV_FMT, SV_ARG(m->u.token.access_token));
	if (m != NULL && m->number == IPC_FAILURE)
		a->failure = m->u.failure.code;
	/* Whoever hears that it is down and asks again hears so at once. */
	if (e == ERR_UNAVAILABLE)
		assert_int_equal(broker_send(f.b, a->id, IPC_TOKEN, SV("x"), 1, on_answer, a, NULL),
				 ERR_UNAVAILABLE);
}

static enum err ask_with(struct asked *a, uint32_t id)
{
	struct ipc_token_get m = {.session = SV("0123"), .app = SV("a"), .service = SV("s")};
	struct buf b;
	enum err e;

	*a = (struct asked){.id = id};
	buf_init(&b, IPC_FRAME_MAX);
	assert_int_equal(ipc_encode_token_get(&b, id, &m), ERR_OK);
	e = broker_send(f.b, id, IPC_TOKEN, buf_sv(&b), TIMEOUT_MS, on_answer, a, &a->call);
	buf_done(&b);
	assert_int_equal(a->answers, 0); /* never from within */
	return e;
}

static enum err ask(struct asked *a)
{
	return ask_with(a, broker_next_id(f.b));
}

/* ---- the connection --------------------------------------------------------------------- */

static void it_says_hello_and_is_up_when_welcome(void **state)
{
	struct asked a;

	(void)state;
	assert_int_equal(f.attempts, 0); /* from the loop, not before */
	assert_int_equal(ask(&a), ERR_UNAVAILABLE);
	loop_fire(f.base);
	assert_int_equal(f.attempts, 1);
	assert_true(broker_reads());
	assert_int_equal(f.got.number, IPC_HELLO);
	assert_true(f.got.u.hello.fingerprint == ipc_fingerprint());
	assert_sv_equal(f.got.u.hello.build, SV(BFF_VERSION));
	assert_sv_equal(f.got.u.hello.digest, sv_of((const char *)digest, sizeof digest));
	assert_false(broker_client_up(f.b));
	assert_int_equal(ask(&a), ERR_UNAVAILABLE);
	assert_int_equal(f.ups + f.downs, 0);
	assert_int_equal(loop_asked_ms(), BROKER_HELLO_MS);
	welcome();
	assert_true(broker_client_up(f.b));
	assert_int_equal(f.ups, 1);
	assert_int_equal(f.downs, 0);
}

static void back_off_grows_to_its_limit_and_starts_anew(void **state)
{
	int64_t want = BROKER_RETRY_MIN_MS;

	(void)state;
	f.away = true;
	for (int i = 0; i < 10; i++) {
		loop_fire(f.base);
		assert_in_range(loop_asked_ms(), want, want + want / 2);
		want = want * 2 > BROKER_RETRY_MAX_MS ? BROKER_RETRY_MAX_MS : want * 2;
	}
	assert_int_equal(want, BROKER_RETRY_MAX_MS);
	assert_int_equal(f.attempts, 10);
	f.away = false;
	go_up();
	(void)close(f.peer);
	f.peer = -1;
	loop_turns(f.base, 3);
	assert_in_range(loop_asked_ms(), BROKER_RETRY_MIN_MS, BROKER_RETRY_MIN_MS * 3 / 2);
	go_up();
	assert_int_equal(f.ups, 2);
	/* A first outcome, and the changes; not each attempt that failed. */
	assert_int_equal(f.downs, 2);
}

static void no_welcome_in_time_is_none(void **state)
{
	(void)state;
	loop_fire(f.base);
	assert_int_equal(loop_asked_ms(), BROKER_HELLO_MS);
	loop_fire(f.base);
	assert_int_equal(f.downs, 1);
	assert_in_range(loop_asked_ms(), BROKER_RETRY_MIN_MS, BROKER_RETRY_MIN_MS * 3 / 2);
	loop_fire(f.base);
	assert_int_equal(f.attempts, 2);
}

static void another_protocol_is_refused(void **state)
{
	(void)state;
	loop_fire(f.base);
	SAY(welcome, 0, .fingerprint = ipc_fingerprint() + 1, .build = SV("old"));
	assert_false(broker_client_up(f.b));
	assert_int_equal(f.downs, 1);
	assert_true(broker_reads()); /* the hello */
	assert_false(broker_reads());
	loop_fire(f.base);
	SAY(failure, 0, .code = IPC_ERROR_INTERNAL); /* out of order */
	assert_false(broker_client_up(f.b));
	loop_fire(f.base);
	assert_int_equal(send(f.peer, "garbage", 7, 0), 7);
	loop_turns(f.base, 3);
	assert_false(broker_client_up(f.b));
	assert_int_equal(f.ups, 0);
}

/* ---- calls ------------------------------------------------------------------------------ */

static void answers_go_to_whoever_asked(void **state)
{
	struct asked a[3];

	(void)state;
	go_up();
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		assert_int_equal(ask(&a[i]), ERR_OK);
		assert_true(broker_reads());
		assert_int_equal(f.got.number, IPC_TOKEN_GET);
		assert_int_equal(f.got.id, a[i].id);
		assert_int_not_equal(a[i].id, 0);
	}
	assert_int_equal(loop_asked_ms(), TIMEOUT_MS);
	SAY(token, a[2].id, .access_token = SV("third"));
	SAY(token, a[0].id, .access_token = SV("first"));
	SAY(failure, a[1].id, .code = IPC_ERROR_UPSTREAM);
	assert_string_equal(a[0].token, "first");
	assert_string_equal(a[2].token, "third");
	assert_int_equal(a[1].failure, IPC_ERROR_UPSTREAM);
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		assert_int_equal(a[i].answers, 1);
		assert_int_equal(a[i].e, ERR_OK);
	}
	assert_true(broker_client_up(f.b));
}

/* What nobody asked for drops the connection, and with it all that waits. */
static void a_wrong_answer_drops_the_connection(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++) {
		struct asked a, other;

		go_up();
		assert_int_equal(ask(&a), ERR_OK);
		assert_int_equal(ask(&other), ERR_OK);
		if (i == 0)
			SAY(token, a.id + 100, .access_token = SV("t"));
		else if (i == 1)
			SAY(token, a.id + BROKER_PENDING_MAX, .access_token = SV("t"));
		else if (i == 2)
			SAY(login_begun, a.id, .location = SV("/"));
		else if (i == 3)
			SAY(token_get, a.id, .app = SV("a")); /* the wrong direction */
		else if (i == 4)
			welcome(); /* twice */
		else {
			SAY(token, a.id, .access_token = SV("t"));
			SAY(token, a.id, .access_token = SV("t"));
		}
		assert_false(broker_client_up(f.b));
		assert_int_equal(a.answers, 1);
		assert_int_equal(a.e, i == 5 ? ERR_OK : ERR_UNAVAILABLE);
		assert_int_equal(other.answers, 1);
		assert_int_equal(other.e, ERR_UNAVAILABLE);
	}
	assert_int_equal(f.ups, 6);
	assert_int_equal(f.downs, 6);
}

static void a_late_answer_is_nobodys(void **state)
{
	struct asked a;

	(void)state;
	go_up();
	assert_int_equal(ask(&a), ERR_OK);
	loop_fire(f.base);
	assert_int_equal(a.answers, 1);
	assert_int_equal(a.e, ERR_TIMEOUT);
	SAY(token, a.id, .access_token = SV("late"));
	assert_int_equal(a.answers, 1);
	assert_true(broker_client_up(f.b));
	SAY(token, a.id, .access_token = SV("again")); /* of that one nobody knows any more */
	assert_false(broker_client_up(f.b));
	assert_int_equal(a.answers, 1);
}

static void a_canceled_call_is_not_answered(void **state)
{
	struct asked a, b;

	(void)state;
	go_up();
	assert_int_equal(ask(&a), ERR_OK);
	broker_cancel(&a.call);
	assert_null(a.call);
	broker_cancel(&a.call);
	SAY(token, a.id, .access_token = SV("t"));
	assert_true(broker_client_up(f.b));
	assert_int_equal(ask(&a), ERR_OK);
	assert_int_equal(ask(&b), ERR_OK);
	broker_cancel(&b.call);
	broker_cancel(&a.call);
	(void)close(f.peer);
	f.peer = -1;
	loop_turns(f.base, 3);
	assert_false(broker_client_up(f.b));
	assert_int_equal(a.answers + b.answers, 0);
}

static void a_broker_that_goes_is_told_from_the_loop(void **state)
{
	struct asked a, b;

	(void)state;
	go_up();
	assert_int_equal(ask(&a), ERR_OK);
	(void)close(f.peer);
	f.peer = -1;
	assert_int_equal(ask(&b), ERR_OK); /* nobody has looked yet */
	assert_int_equal(a.answers, 0);
	loop_turns(f.base, 3);
	assert_int_equal(a.answers, 1);
	assert_int_equal(a.e, ERR_UNAVAILABLE);
	assert_int_equal(b.answers, 1);
	assert_int_equal(b.e, ERR_UNAVAILABLE);
	assert_false(broker_client_up(f.b));
	assert_int_equal(ask(&b), ERR_UNAVAILABLE);
	/* What the old connection owed, the new one does not. */
	go_up();
	SAY(token, a.id, .access_token = SV("t"));
	assert_false(broker_client_up(f.b));
	assert_int_equal(a.answers, 1);
}

static void so_many_may_wait(void **state)
{
	struct asked *a = calloc(BROKER_PENDING_MAX + 1, sizeof *a);
	uint32_t id;

	(void)state;
	assert_non_null(a);
	go_up();
	for (unsigned i = 0; i < BROKER_PENDING_MAX; i++) {
		assert_int_equal(ask(&a[i]), ERR_OK);
		assert_true(broker_reads());
	}
	assert_int_equal(ask(&a[BROKER_PENDING_MAX]), ERR_LIMIT);
	/* The next id is the one with a place. */
	SAY(token, a[77].id, .access_token = SV("t"));
	assert_int_equal(a[77].answers, 1);
	id = broker_next_id(f.b);
	assert_int_equal(id % BROKER_PENDING_MAX, a[77].id % BROKER_PENDING_MAX);
	assert_int_not_equal(id, a[77].id);
	assert_int_equal(ask_with(&a[77], id), ERR_OK);
	broker_client_free(&f.b); /* nobody hears of it */
	for (unsigned i = 0; i < BROKER_PENDING_MAX; i++)
		assert_int_equal(a[i].answers, 0);
	free(a);
}

/* ---- without memory --------------------------------------------------------------------- */

static enum err attempt_new(void *arg)
{
	struct broker_client *b = NULL;
	enum err e = broker_client_new(f.base, "/run/test.sock", digest, &b);

	(void)arg;
	assert_true((b != NULL) == (e == ERR_OK));
	broker_client_free(&b);
	return e;
}

static enum err attempt_send(void *arg)
{
	struct asked a = {.id = broker_next_id(f.b)};
	enum err e =
	    broker_send(f.b, a.id, IPC_TOKEN, SV("0123456789"), TIMEOUT_MS, on_answer, &a, &a.call);

	(void)arg;
	assert_true((a.call != NULL) == (e == ERR_OK));
	broker_cancel(&a.call);
	loop_turn(f.base);
	assert_int_equal(a.answers, 0);
	return e;
}

static void without_memory(void **state)
{
	(void)state;
	go_up();
	assert_true(torture(attempt_new, NULL) >= 2);
	assert_true(torture(attempt_send, NULL) >= 2);
	assert_true(broker_client_up(f.b));
}

/* A retry that could not be set is set by the next who asks. */
static void without_memory_for_the_timer(void **state)
{
	struct asked a;

	(void)state;
	f.away = true;
	loop_state.fails = 1;
	loop_fire(f.base);
	f.away = false;
	loop_turns(f.base, 3);
	assert_int_equal(f.attempts, 1);
	assert_int_equal(ask(&a), ERR_UNAVAILABLE);
	go_up();
	assert_int_equal(f.attempts, 2);
}

static void calls_are_counted_by_how_they_ended(void **state)
{
	unsigned token_get = metrics_message(IPC_TOKEN_GET);
	struct metrics *m = NULL;
	struct asked a[4];

	(void)state;
	assert_int_equal(metrics_new(NULL, &m), ERR_OK);
	go_up();
	broker_client_count(f.b, m);
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		assert_int_equal(ask(&a[i]), ERR_OK);
	SAY(token, a[0].id, .access_token = SV("t"));
	SAY(failure, a[1].id, .code = IPC_ERROR_UPSTREAM);
	broker_cancel(&a[2].call);
	loop_fire(f.base); /* of the last one */
	assert_int_equal(a[3].e, ERR_TIMEOUT);
	assert_int_equal(
	    metrics_sum(m, METRIC_IPC_CALLS, METRICS_AT(token_get, metrics_answer(ERR_OK, 0))), 1);
	assert_int_equal(
	    metrics_sum(m, METRIC_IPC_CALLS,
			METRICS_AT(token_get, metrics_answer(ERR_OK, IPC_ERROR_UPSTREAM))),
	    1);
	assert_int_equal(
	    metrics_sum(m, METRIC_IPC_CALLS, METRICS_AT(token_get, metrics_answer(ERR_TIMEOUT, 0))),
	    1);
	assert_int_equal(metrics_sum(m, METRIC_IPC_DURATION, METRICS_AT(0)), 2);
	broker_client_count(f.b, NULL);
	metrics_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(it_says_hello_and_is_up_when_welcome),
	    CASE(back_off_grows_to_its_limit_and_starts_anew),
	    CASE(no_welcome_in_time_is_none),
	    CASE(another_protocol_is_refused),
	    CASE(answers_go_to_whoever_asked),
	    CASE(a_wrong_answer_drops_the_connection),
	    CASE(a_late_answer_is_nobodys),
	    CASE(a_canceled_call_is_not_answered),
	    CASE(calls_are_counted_by_how_they_ended),
	    CASE(a_broker_that_goes_is_told_from_the_loop),
	    CASE(so_many_may_wait),
	    CASE(without_memory),
	    CASE(without_memory_for_the_timer),
	};

	torture_libevent();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

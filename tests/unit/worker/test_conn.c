/* Rule Zero: over 400 lines, because what a connection does is one table of states. */
#include "worker/conn.h"

#include "tests/unit/torture.h"
#include "tests/unit/worker/conn_fixture.h"

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#define GET_LAST "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

/* What came is held back but for PIECE bytes a read, or until something was written, as TLS has it;
 * floods: there always is more; interrupted: a call failed so before the connection lingers. */
#define PIECE 10
#define READS_MAX 1000 /* of one turn: it does not end */
static struct {
	bool holds, wants_write, floods, interrupted;
	char held[256];
	size_t n;
	unsigned reads;
	int other[2];
} io;

/* ---- time ------------------------------------------------------------------------------- */

static void the_first_byte_comes_soon(void **state)
{
	(void)state;
	fixture_pass(FIXTURE_HEAD_MS - 1);
	assert_int_equal(fx.closed, 0);
	fixture_pass(1);
	assert_int_equal(fx.closed, 1);
	assert_false(client_reads());
	assert_int_equal(fx.got_n, 0); /* nothing to be said to someone who said nothing */
}

static void a_head_has_its_time_from_first_byte_to_last(void **state)
{
	(void)state;
	fixture_pass(FIXTURE_HEAD_MS - 1);
	client_says("G");
	for (int i = 0; i < 9; i++) { /* one byte now and then gains nothing */
		fixture_pass(FIXTURE_HEAD_MS / 10);
		client_says("E");
	}
	assert_true(client_reads());
	fixture_pass(FIXTURE_HEAD_MS / 10);
	assert_false(client_reads());
	assert_int_equal(strncmp(fx.got, "HTTP/1.1 408 ", 13), 0);
	assert_int_equal(fx.started, 0);
}

static void a_body_has_what_is_left_of_the_heads_time(void **state)
{
	(void)state;
	fx.body_max = 100;
	client_says("POST / HTTP/1.1\r\nHost: x\r\n");
	fixture_pass(FIXTURE_HEAD_MS - 1);
	client_says("Content-Length: 10\r\n\r\n12345");
	fixture_pass(1);
	assert_false(client_reads());
	assert_int_equal(strncmp(fx.got, "HTTP/1.1 408 ", 13), 0);
	assert_int_equal(fx.started, 0);
}

static void between_requests_it_may_idle(void **state)
{
	(void)state;
	client_says(GET);
	fixture_pass(FIXTURE_IDLE_MS - 1);
	client_says(GET);
	assert_got("<1><2>");
	fixture_pass(FIXTURE_IDLE_MS - 1);
	assert_true(client_reads());
	fixture_pass(1);
	assert_false(client_reads());
	assert_got("<1><2>");
}

static void a_request_that_never_ends_is_ended(void **state)
{
	(void)state;
	fx.waits = true;
	client_says(GET);
	fixture_pass(2 * TIMEOUT_BROKER_LOGIN_MS - 1);
	assert_int_equal(fx.freed, 0);
	fixture_pass(1);
	assert_int_equal(fx.freed, 1);
	assert_false(client_reads());
}

/* One timer, which is moved forward when it fires early, and back at once. */
static void a_nearer_deadline_moves_the_timer(void **state)
{
	(void)state;
	fixture_turn();
	loop_hold();
	fixture_turn();
	client_says(GET);
	loop_fire(fx.w.base);
	assert_int_equal(loop_asked_ms(), FIXTURE_IDLE_MS);
	client_says("G");
	assert_int_equal(loop_asked_ms(), FIXTURE_HEAD_MS);
	fx.now_ms += FIXTURE_HEAD_MS;
	clock_set(fx.now_ms, 0);
	loop_fire(fx.w.base);
	assert_false(client_reads());
}

/* ---- answers ---------------------------------------------------------------------------- */

#define LARGE (CONN_OUT_MAX - 100)

static void a_large_answer_arrives_whole(void **state)
{
	(void)state;
	fx.answer_n = LARGE;
	client_says(GET);
	assert_int_equal(fixture_conn()->state, CONN_WRITE);
	client_reads_n(LARGE);
	assert_int_equal(fx.got_n, LARGE);
	for (size_t i = 0; i < LARGE; i++)
		if (fx.got[i] != (char)('a' + i % 26))
			fail_msg("byte %zu", i);
	fx.answer_n = 0;
	fx.got_n = 0;
	client_says(GET);
	assert_got("<2>");
}

static void a_client_that_does_not_read_is_left(void **state)
{
	(void)state;
	fx.answer_n = LARGE;
	client_says(GET GET);
	fixture_pass(CONN_WRITE_MS - 1);
	assert_int_equal(fx.closed, 0);
	assert_int_equal(fx.started, 1); /* and the next waits for its turn */
	fixture_pass(1);
	assert_int_equal(fx.closed, 1);
	assert_int_equal(fx.freed, 1);
}

static void a_client_that_goes_takes_its_request_along(void **state)
{
	(void)state;
	fx.waits = true;
	client_says(GET);
	(void)close(fx.client);
	fx.client = -1;
	fixture_answer(); /* EPIPE, and no SIGPIPE */
	assert_int_equal(fx.freed, 1);
	assert_int_equal(fx.closed, 1);
}

static void half_closed_it_still_gets_its_answer(void **state)
{
	(void)state;
	fx.waits = true;
	client_says(GET);
	assert_int_equal(shutdown(fx.client, SHUT_WR), 0);
	fixture_turn();
	assert_int_equal(fx.closed, 0);
	fixture_answer();
	fixture_turn();
	assert_false(client_reads());
	assert_string_equal(fx.got, "<1>");
}

static void half_a_request_and_the_end_is_the_end(void **state)
{
	(void)state;
	client_says("GET / HTTP/1.1\r\nHo");
	assert_int_equal(shutdown(fx.client, SHUT_WR), 0);
	fixture_turn();
	assert_int_equal(fx.closed, 1);
	assert_int_equal(fx.started, 0);
}

/* The kernel tells of them together, once. */
static void bytes_and_the_end_behind_them_are_both_seen(void **state)
{
	(void)state;
	(void)send(fx.client, GET, sizeof GET - 1, MSG_NOSIGNAL);
	assert_int_equal(shutdown(fx.client, SHUT_WR), 0);
	loop_turns(fx.w.base, 4);
	assert_got("<1>");
	assert_int_equal(fx.closed, 1);
}

/* The kernel then tells of an error in place of the end. */
static void bytes_and_a_reset_behind_them_are_both_seen(void **state)
{
	(void)state;
	client_says(GET);
	(void)send(fx.client, "GET / HT", 8, MSG_NOSIGNAL);
	(void)close(fx.client); /* with an answer unread */
	fx.client = -1;
	fixture_turn();
	assert_int_equal(fx.closed, 1);
}

static void what_one_read_leaves_is_read_without_another_word(void **state)
{
	static char bytes[CONN_CHUNK + 1];
	int head;

	(void)state;
	fx.body_max = sizeof bytes;
	memset(bytes, 'x', sizeof bytes);
	head = snprintf(bytes, sizeof bytes,
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
			CONN_CHUNK + 1 - 50);
	bytes[head] = 'x';
	assert_int_equal(head, 50);
	assert_int_equal(send(fx.client, bytes, sizeof bytes, MSG_NOSIGNAL), (ssize_t)sizeof bytes);
	loop_turns(fx.w.base, 4);
	assert_got("<1>");
}

/* Whole requests fill the first read to the last byte: nothing that is not whole asks for more. */
static void what_follows_a_full_read_is_read_as_well(void **state)
{
	static const struct sv begin = SV_INIT("GET / HTTP/1.1\r\nHost: x\r\nPad: "),
			       end = SV_INIT("\r\n\r\n");
	static char bytes[CONN_CHUNK + sizeof GET - 1];

	(void)state;
	static_assert(CONN_CHUNK == 2 * FIXTURE_MAX_HEAD, "two heads");
	memset(bytes, 'x', sizeof bytes);
	for (char *at = bytes; at < bytes + CONN_CHUNK; at += FIXTURE_MAX_HEAD) {
		memcpy(at, begin.p, begin.n);
		memcpy(at + FIXTURE_MAX_HEAD - end.n, end.p, end.n);
	}
	memcpy(bytes + CONN_CHUNK, GET, sizeof GET - 1);
	assert_int_equal(send(fx.client, bytes, sizeof bytes, MSG_NOSIGNAL), (ssize_t)sizeof bytes);
	loop_turns(fx.w.base, 4);
	assert_got("<1><2><3>");
}

/* ---- lingering -------------------------------------------------------------------------- */

/* An answered connection whose client still sends. */
static void linger(void)
{
	client_says("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n");
	assert_int_equal(fx.started, 1);
	assert_false(client_reads()); /* the answer, and the end of it ... */
	assert_string_equal(fx.got, "<1>");
	assert_int_equal(fx.closed, 0); /* ... but no reset while it sends */
	assert_int_equal(fixture_conn()->state, CONN_LINGER);
}

static void what_is_not_read_is_dropped_until_the_client_ends(void **state)
{
	(void)state;
	linger();
	client_says("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(fx.started, 1);
	(void)close(fx.client);
	fx.client = -1;
	fixture_turn();
	assert_int_equal(fx.closed, 1);
}

static void its_end_is_the_end_whatever_failed_before(void **state)
{
	(void)state;
	linger();
	(void)close(fx.client);
	fx.client = -1;
	io.interrupted = true;
	fixture_turn();
	assert_int_equal(fx.closed, 1);
}

static void it_is_dropped_for_so_long(void **state)
{
	(void)state;
	linger();
	fixture_pass(CONN_LINGER_MS - 1);
	assert_int_equal(fx.closed, 0);
	client_says("x"); /* which gains nothing */
	fixture_pass(1);
	assert_int_equal(fx.closed, 1);
}

static void it_is_dropped_up_to_so_much(void **state)
{
	static char bytes[CONN_LINGER_BYTES];

	(void)state;
	linger();
	client_says_n(bytes, sizeof bytes);
	loop_turns(fx.w.base, 200);
	assert_int_equal(fx.closed, 0);
	client_says_n(bytes, 1);
	assert_int_equal(fx.closed, 1);
}

static void a_clean_end_needs_no_lingering(void **state)
{
	(void)state;
	client_says(GET_LAST);
	assert_false(client_reads());
	assert_string_equal(fx.got, "<1>");
	assert_int_equal(fx.closed, 1);
}

/* ---- memory ----------------------------------------------------------------------------- */

static void an_idle_connection_holds_no_buffer(void **state)
{
	(void)state;
	client_says(GET);
	assert_int_equal(fixture_conn()->state, CONN_IDLE);
	assert_null(fixture_conn()->in.p);
	assert_null(fixture_conn()->out.p);
	assert_null(fixture_conn()->fields);
}

/* While a request runs its bytes stand still, and the client is not read from. */
static void what_comes_meanwhile_waits_in_the_socket(void **state)
{
	static char bytes[64 * 1024];
	const char *at;
	size_t n;

	(void)state;
	memset(bytes, 'x', sizeof bytes);
	fx.waits = true;
	client_says("GET /first HTTP/1.1\r\nHost: x\r\n\r\n");
	at = fixture_conn()->in.p;
	n = fixture_conn()->in.n;
	(void)send(fx.client, bytes, sizeof bytes, MSG_NOSIGNAL);
	fixture_turn();
	assert_ptr_equal(fixture_conn()->in.p, at);
	assert_int_equal(fixture_conn()->in.n, n);
	fixture_answer();
	assert_non_null(strstr(fx.log, "GET /first "));
}

static enum err attempt(void *arg)
{
	static const unsigned char peer[16];
	struct conn *first = TAILQ_FIRST(&fx.w.conns.live);
	int fds[2], fd;
	enum err e;

	(void)arg;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fd = fds[0];
	e = conn_new(&fx.w, &fx.listen, &fds[0], peer);
	if (e != ERR_OK) {
		assert_int_equal(fds[0], fd); /* still the caller's */
		assert_int_equal(fx.w.conns.n, 1);
		assert_null(TAILQ_NEXT(first, link));
		(void)close(fd);
	} else {
		assert_int_equal(fx.w.conns.n, 2);
		conn_close(TAILQ_NEXT(first, link));
		conns_reap(&fx.w.conns);
	}
	(void)close(fds[1]);
	return e;
}

static void without_memory_there_is_none(void **state)
{
	(void)state;
	assert_true(torture(attempt, NULL) >= 4);
}

/* ---- the list --------------------------------------------------------------------------- */

static void the_idle_are_those_that_sent_nothing(void **state)
{
	static const unsigned char peer[16];
	int clients[3][2];

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, clients[i]),
		    0);
		assert_int_equal(conn_new(&fx.w, &fx.listen, &clients[i][0], peer), ERR_OK);
	}
	assert_int_equal(fx.w.conns.n, 4);
	fx.waits = true;
	assert_int_equal(send(clients[0][1], GET, sizeof GET - 1, 0), sizeof GET - 1);
	assert_int_equal(send(clients[1][1], "GE", 2, 0), 2);
	fixture_turn();
	conns_close_idle(&fx.w.conns);
	assert_int_equal(fx.w.conns.n, 2);
	assert_int_equal(fx.closed, 2);
	conns_close_idle(&fx.w.conns);
	assert_int_equal(fx.closed, 2);
	conns_reap(&fx.w.conns);
	assert_true(TAILQ_EMPTY(&fx.w.conns.dead));
	conns_close_all(&fx.w.conns);
	assert_int_equal(fx.freed, 1);
	assert_int_equal(fx.closed, 4);
	for (int i = 0; i < 3; i++)
		(void)close(clients[i][1]);
}

/* A callback may close its connection: the memory goes at the end of the turn. */
static void closing_twice_is_closing_once(void **state)
{
	struct conn *c = fixture_conn();

	(void)state;
	conn_close(c);
	conn_close(c);
	assert_int_equal(fx.closed, 1);
	assert_int_equal(fx.w.conns.n, 0);
	assert_ptr_equal(TAILQ_FIRST(&fx.w.conns.dead), c);
}

/* ---- more than the kernel knows of ------------------------------------------------------- */

ssize_t __real_conn_io_read(struct conn_io *c, void *to, size_t n);
ssize_t __wrap_conn_io_read(struct conn_io *c, void *to, size_t n);
ssize_t __real_conn_io_drop(struct conn_io *c);
ssize_t __wrap_conn_io_drop(struct conn_io *c);
bool __wrap_conn_io_pending(const struct conn_io *c);
bool __wrap_conn_io_read_wants_write(const struct conn_io *c);

/* Of a client that has always said as much as is read, empty lines alone. */
static ssize_t flood(char *to, size_t n)
{
	if (io.reads == 2) /* once it is under way, somebody else says something */
		assert_int_equal(write(io.other[1], "x", 1), 1);
	if (io.reads > READS_MAX)
		fail_msg("nobody else is served");
	for (size_t i = 0; i < n; i++)
		to[i] = "\r\n"[io.n++ % 2];
	return (ssize_t)n;
}

ssize_t __wrap_conn_io_read(struct conn_io *c, void *to, size_t n)
{
	size_t piece;

	io.reads++;
	if (io.floods)
		return flood(to, n);
	if (io.wants_write && io.reads == 1) {
		errno = EAGAIN;
		return -1;
	}
	if (!io.holds)
		return __real_conn_io_read(c, to, n);
	if (io.n == 0) {
		ssize_t got = __real_conn_io_read(c, io.held, sizeof io.held);

		if (got <= 0)
			return got;
		io.n = (size_t)got;
	}
	piece = io.n < PIECE ? io.n : PIECE;
	memcpy(to, io.held, piece);
	io.n -= piece;
	memmove(io.held, io.held + piece, io.n);
	return (ssize_t)piece;
}

ssize_t __wrap_conn_io_drop(struct conn_io *c)
{
	if (!io.interrupted)
		return __real_conn_io_drop(c);
	if (++io.reads > READS_MAX)
		fail_msg("the end has no end");
	errno = EINTR;
	return __real_conn_io_drop(c);
}

bool __wrap_conn_io_pending(const struct conn_io *c)
{
	(void)c;
	return !io.floods && io.n > 0;
}

bool __wrap_conn_io_read_wants_write(const struct conn_io *c)
{
	(void)c;
	return io.wants_write && io.reads == 1;
}

static int open_io(void **state)
{
	memset(&io, 0, sizeof io);
	return fixture_open(state);
}

static int close_io(void **state)
{
	memset(&io, 0, sizeof io);
	return fixture_close(state);
}

static void what_the_kernel_does_not_know_of_is_read_all_the_same(void **state)
{
	(void)state;
	io.holds = true;
	(void)send(fx.client, GET GET GET, 3 * (sizeof GET - 1), MSG_NOSIGNAL);
	loop_turns(fx.w.base, 40);
	assert_got("<1><2><3>");
	fx.waits = true;
	(void)send(fx.client, GET GET, 2 * (sizeof GET - 1), MSG_NOSIGNAL);
	loop_turns(fx.w.base, 40);
	assert_int_equal(fx.started, 4);
	fixture_answer(); /* the next one is in nobody's hands but ours */
	loop_turns(fx.w.base, 40);
	assert_int_equal(fx.started, 5);
	fixture_answer();
	assert_got("<1><2><3><4><5>");
	assert_int_equal(io.n, 0);
}

static void a_read_that_has_to_write_is_read_again(void **state)
{
	(void)state;
	fixture_turn();
	io.wants_write = true;
	event_active(fixture_conn()->ev_read, EV_READ, 0); /* the peer waits, too: nothing comes */
	fixture_turn();
	assert_int_equal(io.reads, 2);
	client_says("G");
	client_says("ET / HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_got("<1>");
}

static void a_read_of_nothing_leaves_no_buffer(void **state)
{
	(void)state;
	io.wants_write = true;
	fixture_turn();
	event_active(fixture_conn()->ev_read, EV_READ, 0);
	(void)event_base_loop(fx.w.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_int_equal(io.reads, 1);
	assert_null(fixture_conn()->in.p);
	assert_int_equal(fixture_conn()->state, CONN_IDLE);
}

static void on_other(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	io.floods = false;
}

static void who_always_has_more_lets_the_others_have_their_turn(void **state)
{
	struct event *other;

	(void)state;
	fixture_turn();
	assert_int_equal(pipe(io.other), 0);
	other = event_new(fx.w.base, io.other[0], EV_READ, on_other, NULL);
	assert_non_null(other);
	assert_int_equal(event_add(other, NULL), 0);
	io.floods = true;
	event_active(fixture_conn()->ev_read, EV_READ, 0);
	fixture_turn();
	assert_false(io.floods);
	event_free(other);
	(void)close(io.other[0]);
	(void)close(io.other[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
#define IO(name) cmocka_unit_test_setup_teardown(name, open_io, close_io)
	    CASE(the_first_byte_comes_soon),
	    CASE(a_head_has_its_time_from_first_byte_to_last),
	    CASE(a_body_has_what_is_left_of_the_heads_time),
	    CASE(between_requests_it_may_idle),
	    CASE(a_request_that_never_ends_is_ended),
	    CASE(a_nearer_deadline_moves_the_timer),
	    CASE(a_large_answer_arrives_whole),
	    CASE(a_client_that_does_not_read_is_left),
	    CASE(a_client_that_goes_takes_its_request_along),
	    CASE(half_closed_it_still_gets_its_answer),
	    CASE(half_a_request_and_the_end_is_the_end),
	    CASE(bytes_and_the_end_behind_them_are_both_seen),
	    CASE(bytes_and_a_reset_behind_them_are_both_seen),
	    CASE(what_one_read_leaves_is_read_without_another_word),
	    CASE(what_follows_a_full_read_is_read_as_well),
	    CASE(what_is_not_read_is_dropped_until_the_client_ends),
	    CASE(it_is_dropped_for_so_long),
	    IO(its_end_is_the_end_whatever_failed_before),
	    CASE(it_is_dropped_up_to_so_much),
	    CASE(a_clean_end_needs_no_lingering),
	    CASE(an_idle_connection_holds_no_buffer),
	    CASE(what_comes_meanwhile_waits_in_the_socket),
	    CASE(without_memory_there_is_none),
	    CASE(the_idle_are_those_that_sent_nothing),
	    CASE(closing_twice_is_closing_once),
	    IO(what_the_kernel_does_not_know_of_is_read_all_the_same),
	    IO(a_read_that_has_to_write_is_read_again),
	    IO(a_read_of_nothing_leaves_no_buffer),
	    IO(who_always_has_more_lets_the_others_have_their_turn),
	};

	torture_libevent();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/conn_internal.h"

#include "tests/unit/worker/conn_fixture.h"
#include "worker/session_events.h"

/* A request whose answer lasts: fx.waits, and it has this stream. */
struct session_stream {
	struct conn *c;
};

static struct {
	struct session_stream s;
	bool ends_at_once;
	unsigned freed;
} st;

void __wrap_session_stream_begin(struct session_stream *s, struct conn *c);
void __wrap_session_stream_free(struct session_stream **s);

void __wrap_session_stream_begin(struct session_stream *s, struct conn *c)
{
	assert_ptr_equal(s, &st.s);
	assert_null(s->c);
	s->c = c;
	if (st.ends_at_once)
		conn_close(c);
}

void __wrap_session_stream_free(struct session_stream **s)
{
	st.freed += *s != NULL;
	*s = NULL;
}

static int open_one(void **state)
{
	memset(&st, 0, sizeof st);
	return fixture_open(state);
}

/* Its head is "<1>". */
static void ask(const char *more)
{
	fx.waits = true;
	client_says("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
	fx.r->stream = &st.s;
	client_says(more);
	fixture_answer();
	fixture_turn();
}

static void a_stream_takes_the_connection_over(void **state)
{
	(void)state;
	ask("");
	assert_got("<1>");
	assert_ptr_equal(st.s.c, fixture_conn());
	assert_int_equal(fx.running, 0);
	assert_int_equal(conn_stream_write(st.s.c, SV("a")), ERR_OK);
	fixture_pass(100 * FIXTURE_IDLE_MS); /* time is the stream's */
	assert_int_equal(conn_stream_write(st.s.c, SV("b")), ERR_OK);
	assert_got("<1>ab");
	conns_close_idle(&fx.w.conns);
	assert_int_equal(fx.w.conns.n, 1);
	conn_close(st.s.c);
	assert_int_equal(st.freed, 1);
	assert_false(client_reads());
	assert_int_equal(fx.closed, 1);
}

/* Of the memory of a request nothing is left. */
static void a_stream_holds_no_buffer(void **state)
{
	struct conn *c;

	(void)state;
	ask("");
	c = fixture_conn();
	assert_null(c->in.p);
	assert_null(c->out.p);
	assert_null(c->fields);
	assert_null(c->request);
	assert_true(sizeof *c + 3 * 256 < 4096);
}

static void it_may_end_as_it_begins(void **state)
{
	(void)state;
	st.ends_at_once = true;
	ask("");
	assert_got("<1>");
	assert_false(client_reads());
	assert_int_equal(st.freed, 1);
}

static void what_the_client_says_ends_it(void **state)
{
	(void)state;
	ask("");
	client_says("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(fx.w.conns.n, 0);
	assert_int_equal(st.freed, 1);
	assert_int_equal(fx.started, 1);
}

static void so_does_what_it_had_said_before(void **state)
{
	(void)state;
	ask("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(fx.w.conns.n, 0);
	assert_int_equal(st.freed, 1);
	assert_int_equal(fx.started, 1);
	fixture_close(state);
	open_one(state);
	fx.waits = true; /* in one piece: it is in the buffer already */
	client_says("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
	fx.r->stream = &st.s;
	fixture_answer();
	assert_int_equal(fx.w.conns.n, 0);
	assert_int_equal(st.freed, 1);
	assert_int_equal(fx.started, 1);
}

static void a_client_that_leaves_ends_it(void **state)
{
	(void)state;
	ask("");
	assert_int_equal(shutdown(fx.client, SHUT_WR), 0);
	fixture_turn();
	assert_int_equal(fx.w.conns.n, 0);
	assert_int_equal(st.freed, 1);
}

static void a_full_socket_ends_it(void **state)
{
	static char much[1024];
	unsigned written = 0;

	(void)state;
	ask("");
	memset(much, 'x', sizeof much);
	while (conn_stream_write(st.s.c, sv_of(much, sizeof much)) == ERR_OK)
		assert_true(++written < 1000);
	assert_true(written > 0);
	assert_int_equal(st.freed, 1);
	assert_int_equal(fx.w.conns.n, 0);
}

/* The answer's head waits for a slow client: the stream begins after it. */
static void a_stream_begins_when_its_head_is_taken(void **state)
{
	(void)state;
	fx.answer_n = 200000;
	ask("");
	assert_null(st.s.c);
	client_reads_n(fx.answer_n);
	assert_non_null(st.s.c);
	assert_int_equal(conn_stream_write(st.s.c, SV("a")), ERR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_one, fixture_close)
	    CASE(a_stream_takes_the_connection_over),
	    CASE(a_stream_holds_no_buffer),
	    CASE(it_may_end_as_it_begins),
	    CASE(what_the_client_says_ends_it),
	    CASE(so_does_what_it_had_said_before),
	    CASE(a_client_that_leaves_ends_it),
	    CASE(a_full_socket_ends_it),
	    CASE(a_stream_begins_when_its_head_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Rule Zero: over 400 lines, because the cases and the chance that looks for one more are played on
 * the same connection. */
#include "worker/conn_internal.h"

#include "tests/unit/chance.h"
#include "tests/unit/torture.h"
#include "tests/unit/worker/conn_fixture.h"
#include "worker/http_reply.h"

#define HOST "Host: x\r\n"

#define assert_log(want) assert_string_equal(fx.log, want)

static void requests_are_made_of_whole_heads(void **state)
{
	static const char head[] = "GET /a?b HTTP/1.1\r\n" HOST "\r\n";

	(void)state;
	for (const char *p = head; *p != '\0'; p++) {
		assert_int_equal(fx.started, 0);
		client_says_n(p, 1);
	}
	assert_log("GET /a?b 1.1 flags=0 body=\n");
	assert_got("<1>");
}

static void what_is_pipelined_is_answered_in_order_and_one_at_a_time(void **state)
{
	(void)state;
	fx.waits = true;
	client_says("GET /1 HTTP/1.1\r\n" HOST "\r\nGET /2 HTTP/1.1\r\n" HOST "\r\nGET /3 HTT");
	assert_int_equal(fx.started, 1);
	fixture_answer();
	assert_int_equal(fx.started, 2);
	fixture_answer();
	client_says("P/1.1\r\n" HOST "\r\n");
	fixture_answer();
	assert_log("GET /1 1.1 flags=0 body=\nGET /2 1.1 flags=0 body=\n"
		   "GET /3 1.1 flags=0 body=\n");
	assert_got("<1><2><3>");
}

/* Within one buffer, answered at once: a loop, no recursion. */
static void many_at_once(void **state)
{
	static const char one[] = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
	char all[100 * sizeof one] = "";
	int large = 1 << 20;
	uintptr_t stack;

	(void)state;
	client_says(one);
	stack = fx.stack;
	assert_int_equal(
	    setsockopt(fixture_conn()->io.fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof large), 0);
	for (int i = 0; i < 100; i++)
		(void)strcat(all, one);
	client_says(all);
	assert_int_equal(fx.started, 101);
	assert_int_equal(fx.stack, stack);
	(void)client_reads();
	assert_non_null(strstr(fx.got, "<100><101>"));
}

static void flags_by_table(void **state)
{
	static const struct {
		const char *head, *want;
		bool draining, ends;
	} cases[] = {
	    {"GET / HTTP/1.1\r\n" HOST "\r\n", "GET / 1.1 flags=0 body=\n", false, false},
	    {"HEAD / HTTP/1.1\r\n" HOST "\r\n", "HEAD / 1.1 flags=1 body=\n", false, false},
	    {"GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "GET / 1.1 flags=2 body=\n",
	     false, true},
	    {"GET / HTTP/1.0\r\n\r\n", "GET / 1.0 flags=2 body=\n", false, true},
	    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / 1.0 flags=4 body=\n", false,
	     false},
	    {"GET / HTTP/1.1\r\n" HOST "\r\n", "GET / 1.1 flags=2 body=\n", true, true},
	    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / 1.0 flags=2 body=\n", true,
	     true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fx.w.draining = cases[i].draining;
		client_says(cases[i].head);
		assert_log(cases[i].want);
		assert_int_equal(client_reads(), !cases[i].ends);
		fixture_close(state);
		fixture_open(state);
	}
	assert_int_equal(HTTP_REPLY_HEAD, 1);
	assert_int_equal(HTTP_REPLY_CLOSE, 2);
	assert_int_equal(HTTP_REPLY_KEEP_ALIVE, 4);
}

static void what_is_no_request_is_refused(void **state)
{
	static const struct {
		const char *bytes, *status;
	} cases[] = {
	    {"GET / HTTP/1.1\n\n", "400"},
	    {"\r\rGET", "400"},
	    {"\x16\x03\x01\x02", "400"}, /* TLS */
	    {"GET / HTTP/2.0\r\n" HOST "\r\n", "505"},
	    {"GET / HTTP/1.1\r\n\r\n", "400"}, /* no Host */
	    {"GET / HTTP/1.1\r\n" HOST "a: 1\r\n folded\r\n\r\n", "400"},
	    {"GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
	     "400"},
	    {"GET / HTTP/1.1\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\n"
	     "a:\r\na:\r\na:\r\na:\r\na:\r\na:\r\n\r\n",
	     "431"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char want[32];

		client_says(cases[i].bytes);
		client_says("GET /smuggled HTTP/1.1\r\n" HOST "\r\n");
		assert_false(client_reads());
		(void)snprintf(want, sizeof want, "HTTP/1.1 %s ", cases[i].status);
		if (strncmp(fx.got, want, strlen(want)) != 0)
			fail_msg("case %zu: %s", i, fx.got);
		assert_non_null(strstr(fx.got, "\r\nConnection: close\r\n"));
		assert_non_null(strstr(fx.got, "\r\nContent-Length: 0\r\n"));
		assert_non_null(strstr(fx.got, "\r\nCache-Control: no-store\r\n"));
		assert_null(strstr(fx.got + 1, "HTTP/1.1")); /* one answer */
		assert_int_equal(fx.started, 0);
		fixture_close(state);
		fixture_open(state);
	}
}

static void say_head_of(size_t n)
{
	static char head[FIXTURE_MAX_HEAD + 64];
	int at = snprintf(head, sizeof head, "GET / HTTP/1.1\r\n" HOST "X: ");

	memset(head + at, 'x', n - (size_t)at - 4);
	memcpy(head + n - 4, "\r\n\r\n", 4);
	client_says_n(head, n);
}

static void a_head_has_a_limit(void **state)
{
	(void)state;
	say_head_of(FIXTURE_MAX_HEAD);
	assert_got("<1>");
	say_head_of(FIXTURE_MAX_HEAD + 1);
	assert_false(client_reads());
	assert_non_null(strstr(fx.got, "HTTP/1.1 431 "));
	assert_int_equal(fx.started, 1);
}

static void a_head_without_an_end_is_refused_at_the_limit(void **state)
{
	static char bytes[FIXTURE_MAX_HEAD];

	(void)state;
	memset(bytes, 'x', sizeof bytes);
	client_says_n(bytes, sizeof bytes - 1);
	assert_true(client_reads());
	assert_int_equal(fx.got_n, 0);
	client_says_n(bytes, 1);
	assert_false(client_reads());
	assert_int_equal(strncmp(fx.got, "HTTP/1.1 431 ", 13), 0);
}

static void empty_lines_before_a_request_pass(void **state)
{
	(void)state;
	client_says("\r\n");
	assert_int_equal(fx.started, 0);
	client_says("GET / HTTP/1.1\r\n" HOST "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n");
	assert_got("<1><2>");
}

/* ---- bodies ----------------------------------------------------------------------------- */

#define POST(n) "POST /p HTTP/1.1\r\n" HOST "Content-Length: " n "\r\n\r\n"

static void a_body_that_is_wanted_is_read(void **state)
{
	(void)state;
	fx.body_max = 10;
	client_says(POST("10") "0123");
	assert_int_equal(fx.started, 0);
	client_says("456789GET /next HTTP/1.1\r\n" HOST "\r\n");
	assert_log("POST /p 1.1 flags=0 body=0123456789\nGET /next 1.1 flags=0 body=\n");
	assert_got("<1><2>");
}

/* The buffer grew and moved while the body came: the head's views are the moved ones. */
static void a_body_may_move_the_head(void **state)
{
	char body[REQUEST_BODY_MAX + 1];

	(void)state;
	memset(body, 'b', sizeof body);
	body[REQUEST_BODY_MAX] = '\0';
	fx.body_max = REQUEST_BODY_MAX;
	fx.waits = true;
	client_says(POST("8192"));
	for (int i = 0; i < REQUEST_BODY_MAX; i += 512)
		client_says_n(body, 512);
	assert_int_equal(fx.started, 1);
	assert_sv_equal(fx.r->from.body, sv_str(body));
	assert_sv_equal(fx.r->from.head->target, SV("/p"));
	assert_sv_equal(fx.r->from.head->fields.v[0].name, SV("Host"));
	fixture_answer();
}

static void a_body_that_is_not_wanted_ends_the_connection(void **state)
{
	static const char *const heads[] = {
	    POST("11"),
	    POST("18446744073709551615"),
	    "POST /p HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
	    "GET /p HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		fx.body_max = 10;
		client_says(heads[i]);
		client_says("GET /smuggled HTTP/1.1\r\n" HOST "\r\n");
		assert_int_equal(fx.started, 1);
		assert_non_null(strstr(fx.log, " /p 1.1 flags=2 body=\n"));
		assert_false(client_reads());
		assert_string_equal(fx.got, "<1>");
		assert_int_equal(fixture_conn()->state, CONN_LINGER);
		fixture_close(state);
		fixture_open(state);
	}
	client_says(POST("0")); /* no body is none */
	assert_log("POST /p 1.1 flags=0 body=\n");
}

/* ---- what fails ------------------------------------------------------------------------- */

static void no_answer_closes(void **state)
{
	(void)state;
	fx.no_answer = true;
	client_says("GET / HTTP/1.1\r\n" HOST "\r\n");
	assert_false(client_reads());
	assert_int_equal(fx.got_n, 0);
	assert_int_equal(fx.freed, 1);
	assert_int_equal(fx.closed, 1);
}

static void no_request_closes(void **state)
{
	(void)state;
	fx.new_says = ERR_NOMEM;
	client_says("GET / HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\n" HOST "\r\n");
	assert_false(client_reads());
	assert_int_equal(fx.closed, 1);
}

/* One exchange on a connection of its own: without memory it closes or says 500, and that is all.
 */
static enum err attempt(void *arg)
{
	static const unsigned char peer[16];
	char got[512] = "";
	int fds[2];
	ssize_t n;

	(void)arg;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	fx.body_max = 10;
	assert_int_equal(send(fds[1], POST("3") "abc", sizeof POST("3") + 2, 0),
			 sizeof POST("3") + 2);
	if (conn_new(&fx.w, &fx.listen, &fds[0], peer) != ERR_OK)
		(void)close(fds[0]);
	fixture_turn();
	n = recv(fds[1], got, sizeof got - 1, 0);
	conns_close_all(&fx.w.conns);
	assert_int_equal(fx.running, 0);
	(void)close(fds[1]);
	if (n > 0 && got[0] == '<')
		return ERR_OK;
	assert_true(n <= 0 || strncmp(got, "HTTP/1.1 500 ", 13) == 0);
	return ERR_NOMEM;
}

static void without_memory_nothing_is_left_behind(void **state)
{
	(void)state;
	conns_close_all(&fx.w.conns);
	assert_true(torture(attempt, NULL) >= 6);
}

/* --- whatever comes, in whatever pieces, and however that meets what is under way --- */

#define ROUNDS 1500
#define REQUESTS_MAX 20
#define ACTS 100000 /* of a round; the longest takes a tenth */

static struct {
	uint64_t state;
	unsigned round, requests;
	char text[65536]; /* what the client says */
	size_t ends[REQUESTS_MAX], n, sent;
	bool waits; /* the client says no more while an answer is owed */
	unsigned asked, answered;
	bool shut, over;
} chance;

static unsigned below(unsigned n)
{
	return chance_below(&chance.state, n);
}

static void open_another(void)
{
	static const unsigned char peer[16];
	int fds[2], small = 4096;

	conns_close_all(&fx.w.conns);
	(void)close(fx.client);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	fx.client = fds[1];
	assert_int_equal(conn_new(&fx.w, &fx.listen, &fds[0], peer), ERR_OK);
	fx.started = fx.freed = fx.running = fx.closed = 0;
	fx.got_n = 0;
	fx.got[0] = '\0';
	fx.waits = false;
}

#define BODY_MAX 300

/* A request, with a body or none; the last one's may be longer than anybody wants. */
static void write_request(unsigned i)
{
	static char pad[3000];
	int n = (int)(below(4) == 0 ? below(sizeof pad) : below(60));
	bool is_last = i + 1 == chance.requests;
	int body = below(3) == 0 ? (int)below(is_last ? 3 * BODY_MAX : BODY_MAX) : -1;

	memset(pad, 'p', sizeof pad);
	chance.n += (size_t)snprintf(
	    chance.text + chance.n, sizeof chance.text - chance.n,
	    "%s /%u HTTP/1.1\r\n" HOST "X-Pad: %.*s\r\nContent-Length: %d\r\n\r\n%.*s",
	    body >= 0 ? "POST" : "GET", i, n, pad, body >= 0 ? body : 0, body >= 0 ? body : 0, pad);
	assert_true(chance.n < sizeof chance.text);
}

static void write_script(void)
{
	chance.n = chance.sent = 0;
	chance.asked = chance.answered = 0;
	chance.shut = chance.over = false;
	chance.waits = below(2) == 0;
	chance.requests = 1 + below(REQUESTS_MAX);
	for (unsigned i = 0; i < chance.requests; i++) {
		write_request(i);
		chance.ends[i] = chance.n;
	}
}

/* How far the client talks now: to the end, or to that of some of the requests. */
static size_t talks_to(void)
{
	if (!chance.waits)
		chance.asked = chance.requests;
	else if (chance.answered == chance.asked && chance.asked < chance.requests)
		chance.asked += 1 + below(chance.requests - chance.asked);
	return chance.ends[chance.asked - 1];
}

static void say_some(void)
{
	size_t most = below(3) == 0 ? 6000 : 40, left = talks_to() - chance.sent;
	size_t n = 1 + below((unsigned)most);
	ssize_t sent = send(fx.client, chance.text + chance.sent, n < left ? n : left,
			    MSG_NOSIGNAL | MSG_DONTWAIT);

	chance.sent += sent > 0 ? (size_t)sent : 0;
	if (chance.sent < chance.n || (chance.waits && chance.answered < chance.requests) ||
	    below(2) == 0)
		return;
	assert_int_equal(shutdown(fx.client, SHUT_WR), 0);
	chance.shut = true;
}

static void hear_some(void)
{
	ssize_t n = recv(fx.client, fx.got + fx.got_n, sizeof fx.got - 1 - fx.got_n, MSG_DONTWAIT);

	for (ssize_t i = 0; i < n; i++)
		chance.answered += fx.got[fx.got_n + (size_t)i] == '>';
	if (n > 0)
		fx.got[fx.got_n += (size_t)n] = '\0';
	chance.over = n == 0;
}

static void act(void)
{
	fx.log_n = 0;
	switch (below(5)) {
	case 0:
		if (!chance.shut)
			say_some();
		return;
	case 1:
		loop_turn(fx.w.base);
		return;
	case 2:
		if (fx.r != NULL)
			fixture_answer();
		return;
	case 3:
		fx.waits = below(2) == 0;
		return;
	default:
		hear_some();
		return;
	}
}

/* Each request is answered once, in order, and the end is seen: nothing waits for a word of the
 * kernel that was said already. */
static void nothing_is_missed(void **state)
{
	(void)state;
	fx.body_max = BODY_MAX;
	for (chance.round = 1; chance.round <= ROUNDS; chance.round++) {
		char want[1024] = "";

		chance.state = chance_of(chance.round);
		open_another();
		write_script();
		for (unsigned i = 0; i < ACTS && !(chance.over && fx.closed == 1); i++)
			act();
		for (unsigned i = 1; i <= chance.requests; i++)
			(void)snprintf(want + strlen(want), sizeof want - strlen(want), "<%u>", i);
		if (!chance.over || fx.closed != 1 || strcmp(fx.got, want) != 0)
			fail_msg("round %u: %s, closed %u times, of %u requests came %s",
				 chance.round, chance.over ? "over" : "not over", fx.closed,
				 chance.requests, fx.got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
	    CASE(requests_are_made_of_whole_heads),
	    CASE(what_is_pipelined_is_answered_in_order_and_one_at_a_time),
	    CASE(many_at_once),
	    CASE(flags_by_table),
	    CASE(what_is_no_request_is_refused),
	    CASE(a_head_has_a_limit),
	    CASE(a_head_without_an_end_is_refused_at_the_limit),
	    CASE(empty_lines_before_a_request_pass),
	    CASE(a_body_that_is_wanted_is_read),
	    CASE(a_body_may_move_the_head),
	    CASE(a_body_that_is_not_wanted_ends_the_connection),
	    CASE(no_answer_closes),
	    CASE(no_request_closes),
	    CASE(nothing_is_missed),
	    CASE(without_memory_nothing_is_left_behind),
	};

	torture_libevent();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

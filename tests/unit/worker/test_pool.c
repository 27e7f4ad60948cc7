#include "worker/pool.h"

#include <sys/socket.h>

#include "tests/unit/counted.h"
#include "tests/unit/worker/stand_in.h"
#include "worker/conn.h"

#define SIZE 100
#define WARM_UP 10
#define REQUESTS 300

static void what_is_put_back_is_given_again(void **state)
{
	unsigned long before;
	struct pool p;
	void *a, *b;

	(void)state;
	pool_init(&p, SIZE, 2);
	a = pool_get(&p, SIZE);
	b = pool_get(&p, SIZE);
	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_not_equal(a, b);
	pool_put(&p, a);
	assert_int_equal(p.n, 1);
	before = counted_allocations;
	assert_ptr_equal(pool_get(&p, SIZE), a);
	pool_put(&p, a);
	pool_put(&p, b);
	assert_ptr_equal(pool_get(&p, SIZE), b);
	assert_ptr_equal(pool_get(&p, SIZE), a);
	assert_int_equal(counted_allocations, before);
	pool_put(&p, a);
	pool_put(&p, b);
	pool_put(&p, NULL);
	pool_done(&p);
}

static void what_was_wiped_is_of_zeros_as_the_first_time(void **state)
{
	static const char zeros[SIZE];
	struct pool p;
	char *a;

	(void)state;
	pool_init(&p, SIZE, 2);
	a = pool_get(&p, SIZE);
	assert_memory_equal(a, zeros, SIZE);
	pool_put(&p, pool_get(&p, SIZE)); /* so that the next one is linked to another */
	memset(a, 'x', SIZE);
	memset(a, 0, SIZE);
	pool_put(&p, a);
	assert_ptr_equal(pool_get(&p, SIZE), a);
	assert_memory_equal(a, zeros, SIZE);
	pool_put(&p, a);
	pool_done(&p);
}

static void it_keeps_so_many(void **state)
{
	struct pool p, none = {0};
	void *pieces[4];

	(void)state;
	pool_init(&p, SIZE, 2);
	for (size_t i = 0; i < 4; i++)
		pieces[i] = pool_get(&p, SIZE);
	for (size_t i = 0; i < 4; i++)
		pool_put(&p, pieces[i]);
	assert_int_equal(p.n, 2);
	pool_done(&p);
	assert_int_equal(p.n, 0);
	pool_put(&p, pool_get(&p, SIZE)); /* it keeps none any more */
	assert_int_equal(p.n, 0);
	pool_put(&none, pool_get(&none, SIZE));
	assert_int_equal(none.n, 0);
}

/* --- what it is for: a verify that memory answers, from the first byte to the last --- */

static int client;
static unsigned long allocations; /* in the loop */

void __wrap_worker_conn_closed(struct worker *w);

void __wrap_worker_conn_closed(struct worker *w)
{
	(void)w;
}

static void once(void)
{
	static char head[2048], got[8192];
	int n = snprintf(head, sizeof head,
			 "GET /auth/verify HTTP/1.1\r\nHost: bff\r\nX-Forwarded-Method: GET\r\n"
			 "X-Forwarded-Host: a.example.com\r\nX-Forwarded-Uri: /api/x?y=z\r\n"
			 "X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n"
			 "User-Agent: Mozilla/5.0\r\nAccept: */*\r\nCookie: a=b; %s; c=d\r\n\r\n",
			 stand_cookie("bff_session", 's'));
	unsigned long before, made;
	ssize_t size;

	assert_int_equal(send(client, head, (size_t)n, 0), n);
	before = counted_allocations;
	counted_mark();
	assert_int_equal(event_base_loop(stand.w.base, EVLOOP_ONCE), 0);
	counted_mark();
	made = counted_allocations - before;
	size = recv(client, got, sizeof got - 1, MSG_DONTWAIT);
	assert_true(size > 0);
	got[size] = '\0';
	assert_memory_equal(got, "HTTP/1.1 200 OK\r\n", 17);
	assert_non_null(strstr(got, "\r\nAuthorization: Bearer token-of-s\r\n"));
	assert_non_null(strstr(got, "\r\nCookie: a=b; c=d\r\n"));
	assert_string_equal(got + size - 23, "\r\nContent-Length: 0\r\n\r\n");
	allocations += made;
}

/* One after the other on one connection, as an edge asks. */
static void many(void)
{
	for (unsigned i = 0; i < REQUESTS; i++)
		once();
}

static void remember_the_session(void)
{
	struct ipc_message m = {.number = IPC_TOKEN};
	char cookie[256];

	stand_lease();
	(void)snprintf(cookie, sizeof cookie, "Cookie: %s\r\n", stand_cookie("bff_session", 's'));
	stand_verify("GET", "a.example.com", "/api/x", cookie);
	stand_live(SV("a"), SV("{\"name\":\"Alice\",\"groups\":[\"x\",\"y\"]}"), false);
	m.u.token = (struct ipc_token){.access_token = SV("token-of-s"), .expires_in_ms = 600000};
	stand_broker(ERR_OK, &m);
	assert_answer(200);
	stand_next();
}

static void a_remembered_session_costs_a_read_and_a_write(void **state)
{
	struct worker *w = &stand.w;
	struct counted_calls calls;
	int fds[2];

	(void)state;
	conns_init(&w->conns);
	pool_init(&w->requests, request_size(), WORKER_POOLED);
	pool_init(&w->fields, w->config->web.max_headers * sizeof(struct http_field),
		  WORKER_POOLED);
	pool_init(&w->chunks, CONN_CHUNK, WORKER_POOLED);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	client = fds[1];
	assert_int_equal(conn_new(w, stand_listen(LISTEN_VERIFY), &fds[0], stand.peer), ERR_OK);
	remember_the_session();
	for (unsigned i = 0; i < WARM_UP; i++)
		once();
	allocations = 0;
	many();
	assert_int_equal(allocations, 0);
	assert_int_equal(stand.pg.queries + stand.broker.sent, 0);
	calls = counted_run(many);
	assert_int_equal(calls.marks, 2 * REQUESTS);
	assert_int_equal(calls.reads, REQUESTS);
	assert_int_equal(calls.writes, REQUESTS);
	assert_int_equal(calls.waits, REQUESTS);
	/* Of random bytes for the ids of many. */
	assert_in_range(calls.others, 0, 2 * (REQUESTS / REQUEST_IDS + 1));
	conns_close_all(&w->conns);
	(void)close(client);
	pool_done(&w->requests);
	pool_done(&w->fields);
	pool_done(&w->chunks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_put_back_is_given_again),
	    cmocka_unit_test(what_was_wiped_is_of_zeros_as_the_first_time),
	    cmocka_unit_test(it_keeps_so_many),
	    cmocka_unit_test_setup_teardown(a_remembered_session_costs_a_read_and_a_write,
					    stand_open, stand_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

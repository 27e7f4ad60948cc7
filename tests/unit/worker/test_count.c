#include "worker/count.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/contract.h"
#include "common/log.h"
#include "tests/unit/worker/stand_in.h"
#include "worker/endpoint.h"

static struct pg_state pool;
static struct session_cache_stats cache;
static uint64_t suppressed;

struct session_cache_stats __wrap_session_memory_stats(const struct session_memory *m);
struct session_cache_stats __wrap_session_memory_stats(const struct session_memory *m)
{
	assert_ptr_equal(m, stand.w.memory);
	return cache;
}

struct pg_state __wrap_pg_state(const struct pg *p);
struct pg_state __wrap_pg_state(const struct pg *p)
{
	(void)p;
	return pool;
}

uint64_t __wrap_log_suppressed(void);
uint64_t __wrap_log_suppressed(void)
{
	return suppressed;
}

static int open_counting(void **state)
{
	struct errmsg e;

	(void)stand_open(state);
	suppressed = 0;
	return count_new(stand.w.config, METRICS_SLAB_NONE, &stand.w.count, &e) == ERR_OK ? 0 : -1;
}

static int close_counting(void **state)
{
	stand_next();
	count_free(&stand.w.count);
	return stand_close(state);
}

static int64_t value(enum metric id, struct metrics_at at)
{
	return (int64_t)metrics_sum(count_metrics(stand.w.count), id, at);
}

static unsigned name(enum metrics_label label, struct sv text)
{
	unsigned n = metrics_name(count_metrics(stand.w.count), label, text);

	assert_int_not_equal(n, 0);
	return n;
}

#define ALLOWED 0
#define LOGIN 1
#define FORBIDDEN 4
#define UNAVAILABLE 8

static int64_t verified(struct sv route, unsigned outcome)
{
	return value(METRIC_VERIFY_REQUESTS, METRICS_AT(name(METRICS_route, route), outcome));
}

static void verify_requests_by_route_and_outcome(void **state)
{
	(void)state;
	stand_verify("GET", "a.example.com", "/plain/", "");
	stand_verify("GET", "a.example.com", "/plain/", "");
	stand_verify("GET", "a.example.com", "/open/", "");
	stand_verify("GET", "a.example.com", "/nowhere", "");
	stand_verify("GET", "x.example.com", "/plain/", "");
	assert_int_equal(verified(SV("plain"), LOGIN), 2);
	assert_int_equal(verified(SV("plain"), ALLOWED), 0);
	assert_int_equal(verified(SV("open"), ALLOWED), 1);
	assert_int_equal(value(METRIC_VERIFY_REQUESTS, METRICS_AT(0, FORBIDDEN)), 2); /* no route */
	assert_int_equal(value(METRIC_DENIALS, METRICS_AT(REASON_NO_COOKIE)), 2);
	assert_int_equal(value(METRIC_DENIALS, METRICS_AT(REASON_ROUTE)), 1);
	assert_int_equal(value(METRIC_DENIALS, METRICS_AT(REASON_HOST)), 1);
	assert_int_equal(
	    value(METRIC_HTTP_REQUESTS, METRICS_AT(ENDPOINT_VERIFY, metrics_code(200))), 1);
	assert_int_equal(
	    value(METRIC_HTTP_REQUESTS, METRICS_AT(ENDPOINT_VERIFY, metrics_code(403))),
	    4); /* 401 and 403 */
}

static int64_t waited(unsigned what)
{
	return value(METRIC_VERIFY_DURATION, METRICS_AT(what));
}

/* By what took the longest; and what waits is in flight until it is over, however it ends. */
static void verify_by_what_was_waited_for(void **state)
{
	struct ipc_message token = {.number = IPC_TOKEN};
	char cookie[256];

	(void)state;
	token.u.token.access_token = SV("t");
	token.u.token.expires_in_ms = 60000;
	(void)snprintf(cookie, sizeof cookie, "Cookie: %s\r\n", stand_cookie("bff_session", 'a'));
	stand_verify("GET", "a.example.com", "/open/", cookie);
	assert_int_equal(waited(METRICS_WAITED_NOTHING), 1);
	stand_verify("GET", "a.example.com", "/plain/", cookie);
	assert_int_equal(value(METRIC_IN_FLIGHT, METRICS_AT(0)), 1);
	stand_live(SV("a"), SV("{}"), false);
	assert_answer(200);
	assert_int_equal(waited(METRICS_WAITED_DATABASE), 1);
	stand_verify("GET", "a.example.com", "/api/", cookie);
	stand_live(SV("a"), SV("{}"), false);
	assert_int_equal(value(METRIC_IN_FLIGHT, METRICS_AT(0)), 1);
	stand_broker(ERR_OK, &token);
	assert_answer(200);
	assert_int_equal(waited(METRICS_WAITED_BROKER), 1);
	assert_int_equal(waited(METRICS_WAITED_DATABASE), 1);
	assert_int_equal(verified(SV("r"), ALLOWED), 1);
	/* Read again after the broker took its time. */
	stand_verify("GET", "a.example.com", "/api/", cookie);
	stand_live(SV("a"), SV("{}"), false);
	clock_set(clock_boot_ms() + PG_LEASE_MS, STAND_WALL_S);
	stand_broker(ERR_OK, &token);
	stand_live(SV("a"), SV("{}"), false);
	assert_answer(200);
	assert_int_equal(waited(METRICS_WAITED_BROKER), 2);
	assert_int_equal(waited(METRICS_WAITED_DATABASE), 1);
	stand_verify("GET", "a.example.com", "/api/", cookie);
	stand_next(); /* the connection is gone */
	assert_int_equal(value(METRIC_IN_FLIGHT, METRICS_AT(0)), 0);
	assert_int_equal(waited(METRICS_WAITED_BROKER), 2);
}

static void a_failed_wait_is_unavailable(void **state)
{
	char cookie[256];

	(void)state;
	(void)snprintf(cookie, sizeof cookie, "Cookie: %s\r\n", stand_cookie("bff_session", 'a'));
	stand_verify("GET", "a.example.com", "/plain/", cookie);
	stand_rows(ERR_TIMEOUT, NULL, 0);
	assert_int_equal(verified(SV("plain"), UNAVAILABLE), 1);
	assert_int_equal(value(METRIC_DENIALS, METRICS_AT(REASON_STORE)), 1);
}

static void peers_that_are_not_trusted(void **state)
{
	unsigned verify, public;

	(void)state;
	verify = name(METRICS_listen, SV("verify"));
	public = name(METRICS_listen, SV("public"));
	stand.peer[15] = 9;
	stand_verify("GET", "a.example.com", "/open/", "");
	stand_browse("GET", "a.example.com", "/auth/health", "", "");
	assert_int_equal(value(METRIC_UNTRUSTED_PEERS, METRICS_AT(verify)), 1);
	assert_int_equal(value(METRIC_UNTRUSTED_PEERS, METRICS_AT(public)), 1);
	stand.peer[15] = 1;
	stand_verify("GET", "a.example.com", "/open/", "");
	stand.peer[15] = 9;
	stand_ask(LISTEN_METRICS, "GET /livez HTTP/1.1\r\nHost: x\r\n", "");
	assert_int_equal(value(METRIC_UNTRUSTED_PEERS, METRICS_AT(verify)), 1);
}

static void connections_by_listener(void **state)
{
	const struct config_listen *l = stand_listen(LISTEN_VERIFY);
	unsigned verify = name(METRICS_listen, SV("verify"));

	(void)state;
	count_opened(&stand.w, l);
	count_opened(&stand.w, l);
	count_closed(&stand.w, l);
	count_refused(&stand.w, 431);
	count_accept_paused(&stand.w);
	assert_int_equal(value(METRIC_CONNECTIONS, METRICS_AT(verify)), 1);
	assert_int_equal(value(METRIC_CONNECTIONS_ACCEPTED, METRICS_AT(verify)), 2);
	assert_int_equal(value(METRIC_HTTP_REFUSED, METRICS_AT(metrics_code(431))), 1);
	assert_int_equal(value(METRIC_ACCEPT_PAUSED, METRICS_AT(0)), 1);
}

/* What others keep since their start is added as far as it is new. */
static void a_sample_adds_what_is_new(void **state)
{
	(void)state;
	pool = (struct pg_state){.connections = 4, .up = 3, .calls = 2};
	suppressed = 10;
	cache = (struct session_cache_stats){
	    .entries = 5, .bytes = 500, .hits = 9, .misses = 4, .evictions = 1};
	count_sample(&stand.w);
	suppressed = 12;
	cache.hits = 11;
	cache.entries = 3;
	pool.up = 1;
	count_sample(&stand.w);
	assert_int_equal(value(METRIC_LOG_SUPPRESSED, METRICS_AT(0)), 12);
	assert_int_equal(value(METRIC_CACHE_HITS, METRICS_AT(0)), 11);
	assert_int_equal(value(METRIC_CACHE_MISSES, METRICS_AT(0)), 4);
	assert_int_equal(value(METRIC_CACHE_EVICTIONS, METRICS_AT(0)), 1);
	assert_int_equal(value(METRIC_CACHE_ENTRIES, METRICS_AT(0)), 3);
	assert_int_equal(value(METRIC_CACHE_BYTES, METRICS_AT(0)), 500);
	assert_int_equal(value(METRIC_DB_CONNECTIONS, METRICS_AT(0)), 1);
	assert_int_equal(value(METRIC_DB_CONNECTIONS_MAX, METRICS_AT(0)), 4);
	assert_int_equal(value(METRIC_DB_IN_FLIGHT, METRICS_AT(0)), 2);
	assert_int_equal(value(METRIC_IPC_CONNECTIONS, METRICS_AT(0)), 1);
}

static void a_rule_that_refused(void **state)
{
	struct request r = {.w = &stand.w, .rule = SV("x")};

	(void)state;
	for (size_t i = 0; i < stand.config->nroutes; i++)
		if (sv_eq(stand.config->routes[i].name, SV("rule")))
			r.route = &stand.config->routes[i];
	count_denied(&r, REASON_REQUIRE);
	assert_int_equal(
	    value(METRIC_POLICY_DENIALS,
		  METRICS_AT(metrics_rule(count_metrics(stand.w.count), SV("rule"), SV("x")))),
	    1);
}

/* The trace of a trusted peer, in what is asked of the broker; another's is not looked at. */
static void the_trace_goes_to_the_broker(void **state)
{
	static const char trace[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
	char more[512];

	(void)state;
	(void)snprintf(more, sizeof more, "Cookie: %s\r\nTraceParent: %s\r\n",
		       stand_cookie("bff_session", 'a'), trace);
	stand_verify("GET", "a.example.com", "/api/", more);
	stand_live(SV("a"), SV("{}"), false);
	assert_sv_equal(stand.broker.asked.u.token_get.traceparent, sv_str(trace));
	(void)snprintf(more, sizeof more, "Traceparent: %s\r\n", trace);
	stand_browse("GET", "a.example.com", "/auth/login", more, "");
	assert_int_equal(stand.broker.asked.number, IPC_LOGIN_BEGIN);
	assert_sv_equal(stand.broker.asked.u.login_begin.traceparent, sv_str(trace));
	(void)snprintf(more, sizeof more, "Traceparent: %s\r\nTraceparent: %s\r\n", trace, trace);
	stand_browse("GET", "a.example.com", "/auth/login", more, "");
	assert_int_equal(stand.broker.asked.u.login_begin.traceparent.n, 0);
	stand.peer[15] = 9;
	(void)snprintf(more, sizeof more, "Traceparent: %s\r\n", trace);
	stand_browse("GET", "a.example.com", "/auth/session", more, "");
	assert_int_equal(request_trace(stand.r).n, 0);
}

static void a_worker_that_does_not_count(void **state)
{
	(void)state;
	count_free(&stand.w.count);
	assert_null(count_metrics(stand.w.count));
	stand_verify("GET", "a.example.com", "/plain/", "");
	assert_answer(401);
	count_sample(&stand.w);
	count_opened(&stand.w, stand_listen(LISTEN_VERIFY));
	count_closed(&stand.w, stand_listen(LISTEN_VERIFY));
}

/* Any worker can write anything there, and the next ones have to serve all the same. */
static void a_memory_that_was_spoilt_keeps_no_worker_from_serving(void **state)
{
	static const char junk[64] = "junk";
	struct metrics *owner = NULL;
	struct errmsg e;
	int fd = -1, before = fcntl(CONTRACT_FD_METRICS, F_DUPFD_CLOEXEC, 100);

	(void)state;
	assert_int_equal(metrics_new(&fd, &owner), ERR_OK);
	assert_int_equal(pwrite(fd, junk, sizeof junk, 0), sizeof junk);
	assert_int_equal(dup2(fd, CONTRACT_FD_METRICS), CONTRACT_FD_METRICS);
	count_free(&stand.w.count);
	log_set_level(LOG_ERROR);
	assert_int_equal(count_new(stand.w.config, 1, &stand.w.count, &e), ERR_OK);
	stand_verify("GET", "a.example.com", "/open/", "");
	assert_int_equal(verified(SV("open"), ALLOWED), 1);
	if (before == -1)
		(void)close(CONTRACT_FD_METRICS);
	else
		(void)dup2(before, CONTRACT_FD_METRICS);
	(void)close(before);
	(void)close(fd);
	metrics_free(&owner);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_counting, close_counting)
	const struct CMUnitTest tests[] = {
	    TEST(verify_requests_by_route_and_outcome),
	    TEST(verify_by_what_was_waited_for),
	    TEST(a_failed_wait_is_unavailable),
	    TEST(peers_that_are_not_trusted),
	    TEST(connections_by_listener),
	    TEST(a_sample_adds_what_is_new),
	    TEST(a_rule_that_refused),
	    TEST(the_trace_goes_to_the_broker),
	    TEST(a_worker_that_does_not_count),
	    TEST(a_memory_that_was_spoilt_keeps_no_worker_from_serving),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

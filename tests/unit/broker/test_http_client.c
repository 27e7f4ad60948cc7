#include "broker/http_client.h"

#include <dirent.h>

#include "tests/unit/broker/http_fixture.h"

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void an_answer_comes_whole(void **state)
{
	struct got g;
	struct server_row *row = server_on(&t.server, "GET /a", 200, "{\"x\":1}");

	(void)state;
	snprintf(row->headers, sizeof row->headers, "Retry-After:  17 \r\n");
	run("/a", NULL, &g);
	assert_int_equal(g.outcome, HTTP_ANSWERED);
	assert_int_equal(g.status, 200);
	assert_string_equal(g.body, "{\"x\":1}");
	assert_string_equal(g.retry_after, "17");
	assert_int_equal(g.asked, 1);
	assert_non_null(strstr(t.server.last, "User-Agent: bff/"));
	assert_null(strcasestr(t.server.last, "cookie"));
	assert_null(strcasestr(t.server.last, "accept-encoding"));
}

static void each_request_has_a_connection_of_its_own(void **state)
{
	struct got g;

	(void)state;
	server_on(&t.server, "GET /a", 200, "{}");
	server_on(&t.server, "POST /token", 200, "{}");
	run("/a", NULL, &g);
	run("/a", NULL, &g);
	run("/token", "a=b", &g);
	run("/token", "a=b", &g);
	assert_int_equal(t.server.connections, 4);
}

static void a_request_that_may_have_arrived_is_unknown_and_sent_once(void **state)
{
	static const enum server_action actions[] = {SERVER_CLOSE, SERVER_CUT};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		struct got g;
		struct server_row *row = server_on(&t.server, "POST /token", 200, "{\"a\":1}");
		unsigned before = row->hits;

		row->action = actions[i];
		run("/token", "a=b", &g);
		assert_int_equal(g.outcome, HTTP_UNKNOWN);
		assert_int_equal(g.status, 0);
		assert_int_equal(g.body_n, 0);
		assert_int_equal(row->hits, before + 1);
	}
}

/* Of the trace that is set while it is asked, each with a span of its own; none before or after. */
static void a_request_goes_on_with_the_trace_it_is_because_of(void **state)
{
	static const char trace_start[] = "\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-";
	struct got g;
	struct trace trace;
	char spans[2][TRACE_SPAN_LEN * 2 + 1];

	(void)state;
	server_on(&t.server, "GET /a", 200, "{}");
	trace_read(SV("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), &trace);
	run("/a", NULL, &g);
	assert_null(strcasestr(t.server.last, "traceparent"));
	http_client_trace(t.http, &trace);
	for (int i = 0; i < 2; i++) {
		const char *at;

		run("/a", NULL, &g);
		at = strstr(t.server.last, trace_start);
		assert_non_null(at);
		at += sizeof trace_start - 1;
		(void)snprintf(spans[i], sizeof spans[i], "%.16s", at);
		assert_memory_equal(at + 16, "-01\r\n", 5);
		assert_string_not_equal(spans[i], "b7ad6b7169203331");
	}
	assert_string_not_equal(spans[0], spans[1]);
	http_client_trace(t.http, NULL);
	run("/a", NULL, &g);
	assert_null(strcasestr(t.server.last, "traceparent"));
	http_client_trace(NULL, &trace);
}

/* By class of status, or that none came; the duration in any case. */
static void requests_are_counted_by_what_came_of_them(void **state)
{
	struct metrics *m = NULL;
	struct got g;

	(void)state;
	assert_int_equal(metrics_new(NULL, &m), ERR_OK);
	http_client_count(t.http, m);
	assert_ptr_equal(http_client_metrics(t.http), m);
	assert_null(http_client_metrics(NULL));
	server_on(&t.server, "GET /ok", 200, "{}");
	server_on(&t.server, "GET /bad", 503, "{}");
	server_on(&t.server, "GET /cut", 200, "{}")->action = SERVER_CLOSE;
	run("/ok", NULL, &g);
	run("/bad", NULL, &g);
	run("/bad", NULL, &g);
	run("/cut", NULL, &g);
	assert_int_equal(metrics_sum(m, METRIC_B_IDP_REQUESTS, METRICS_AT(0, 0, 0)), 1);
	assert_int_equal(metrics_sum(m, METRIC_B_IDP_REQUESTS, METRICS_AT(0, 0, 3)), 2);
	assert_int_equal(metrics_sum(m, METRIC_B_IDP_REQUESTS, METRICS_AT(0, 0, 5)), 1);
	assert_int_equal(metrics_sum(m, METRIC_B_IDP_DURATION, METRICS_AT(0)), 4);
	http_client_count(t.http, NULL);
	metrics_free(&m);
}

static void what_cannot_connect_is_not_sent(void **state)
{
	struct got g = {.allow = true};

	(void)state;
	server_deaf(&t.server);
	run("/token", "a=b", &g);
	assert_int_equal(g.outcome, HTTP_NOT_SENT);
	assert_string_equal(g.detail, "connect");
	assert_int_equal(g.asked, 0);
}

static void what_is_withheld_at_the_last_moment_is_not_sent(void **state)
{
	struct got g = {.allow = false};

	(void)state;
	server_on(&t.server, "POST /token", 200, "{}");
	assert_int_equal(start("/token", "a=b", &g), ERR_OK);
	loop_until(t.base, &g.done);
	assert_int_equal(g.outcome, HTTP_NOT_SENT);
	assert_string_equal(g.detail, "withheld");
	assert_int_equal(g.asked, 1);
	assert_int_equal(server_hits(&t.server, "POST /token"), 0);
}

static void a_canceled_flight_never_calls(void **state)
{
	struct got g = {.allow = true}, other;

	(void)state;
	server_on(&t.server, "GET /quiet", 200, "{}")->action = SERVER_SILENCE;
	server_on(&t.server, "GET /a", 200, "{}");
	assert_int_equal(start("/quiet", NULL, &g), ERR_OK);
	run("/a", NULL, &other);
	http_flight_cancel(&g.flight);
	assert_null(g.flight);
	run("/a", NULL, &other);
	assert_int_equal(g.calls, 0);
}

static void flights_have_a_limit_and_end_with_the_client(void **state)
{
	static struct got g[HTTP_FLIGHTS_MAX + 1];

	(void)state;
	for (size_t i = 0; i < HTTP_FLIGHTS_MAX; i++)
		assert_int_equal(start("/a", NULL, &g[i]), ERR_OK);
	assert_int_equal(start("/a", "a=b", &g[HTTP_FLIGHTS_MAX]), ERR_LIMIT);
	http_client_free(&t.http);
	for (size_t i = 0; i < ARRAY_LEN(g); i++)
		assert_int_equal(g[i].calls, 0);
}

static void no_descriptor_is_left(void **state)
{
	unsigned before = open_fds();
	struct got g;

	(void)set_up(state);
	server_on(&t.server, "GET /a", 200, "{}");
	run("/a", NULL, &g);
	(void)tear_down(state);
	assert_int_equal(open_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(an_answer_comes_whole),
	    WITH(a_request_goes_on_with_the_trace_it_is_because_of),
	    WITH(requests_are_counted_by_what_came_of_them),
	    WITH(each_request_has_a_connection_of_its_own),
	    WITH(a_request_that_may_have_arrived_is_unknown_and_sent_once),
	    WITH(what_cannot_connect_is_not_sent),
	    WITH(what_is_withheld_at_the_last_moment_is_not_sent),
	    WITH(a_canceled_flight_never_calls),
	    WITH(flights_have_a_limit_and_end_with_the_client),
	    cmocka_unit_test(no_descriptor_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* http_fixture - an http_client against the scripted server, and one request with what came of it
 */
#ifndef BFF_TEST_HTTP_FIXTURE_H
#define BFF_TEST_HTTP_FIXTURE_H

#include "broker/http_client.h"
#include "tests/unit/broker/server.h"

/* One request and what came of it. */
struct got {
	bool done;
	unsigned calls;
	enum http_outcome outcome;
	int status;
	char body[256], retry_after[64], detail[32];
	size_t body_n;
	bool allow;
	unsigned deadline_ms;
	unsigned asked;
	struct http_flight *flight;
};

static struct {
	struct event_base *base;
	struct server server;
	struct http_client *http;
} t;

static inline int set_up(void **state)
{
	(void)state;
	t.base = event_base_new();
	server_start(&t.server, t.base);
	return http_client_new(t.base, &t.http) == ERR_OK ? 0 : -1;
}

static inline int tear_down(void **state)
{
	(void)state;
	http_client_free(&t.http);
	server_stop(&t.server);
	event_base_free(t.base);
	return 0;
}

static inline void on_answer(void *arg, const struct http_response *r)
{
	struct got *g = arg;

	g->done = true;
	g->calls++;
	g->outcome = r->outcome;
	g->status = r->status;
	g->body_n = r->body.n;
	snprintf(g->body, sizeof g->body, SV_FMT, SV_ARG(r->body));
	snprintf(g->retry_after, sizeof g->retry_after, SV_FMT, SV_ARG(r->retry_after));
	snprintf(g->detail, sizeof g->detail, "%s", r->detail);
}

static inline bool may_send(void *arg)
{
	struct got *g = arg;

	g->asked++;
	return g->allow;
}

static inline enum err start(const char *path, const char *form, struct got *g)
{
	char url[128];
	struct buf body;
	struct http_request r = {.policy = HTTP_LOOPBACK_TOO,
				 .before_send = may_send,
				 .before_arg = g,
				 .deadline_ms = g->deadline_ms,
				 .fn = on_answer,
				 .arg = g};

	snprintf(url, sizeof url, "http://127.0.0.1:%u%s", t.server.port, path);
	r.url = sv_str(url);
	buf_init(&body, 1000000);
	if (form != NULL) {
		buf_add(&body, sv_str(form));
		r.form = &body;
		r.authorization = SV("Basic eDp5");
	}
	return http_client_send(t.http, &r, &g->flight);
}

static inline void run(const char *path, const char *form, struct got *g)
{
	*g = (struct got){.allow = true};
	assert_int_equal(start(path, form, g), ERR_OK);
	assert_false(g->done); /* never from within the call */
	loop_until(t.base, &g->done);
	assert_int_equal(g->calls, 1);
}

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

#endif

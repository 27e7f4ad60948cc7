#include "broker/http_client.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

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
	unsigned asked;
	struct http_flight *flight;
};

static struct {
	struct event_base *base;
	struct server server;
	struct http_client *http;
} t;

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

static int set_up(void **state)
{
	(void)state;
	t.base = event_base_new();
	server_start(&t.server, t.base);
	return http_client_new(t.base, &t.http) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	http_client_free(&t.http);
	server_stop(&t.server);
	event_base_free(t.base);
	return 0;
}

static void on_answer(void *arg, const struct http_response *r)
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

static bool may_send(void *arg)
{
	struct got *g = arg;

	g->asked++;
	return g->allow;
}

static enum err start(const char *path, const char *form, struct got *g)
{
	char url[128];
	struct buf body;
	struct http_request r = {.policy = HTTP_LOOPBACK_TOO,
				 .before_send = may_send,
				 .before_arg = g,
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

static void run(const char *path, const char *form, struct got *g)
{
	*g = (struct got){.allow = true};
	assert_int_equal(start(path, form, g), ERR_OK);
	assert_false(g->done); /* never from within the call */
	loop_until(t.base, &g->done);
	assert_int_equal(g->calls, 1);
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

static void a_form_is_posted_with_authorization(void **state)
{
	struct got g;

	(void)state;
	server_on(&t.server, "POST /token", 400, "{}");
	run("/token", "a=b&c=d", &g);
	assert_int_equal(g.status, 400);
	assert_non_null(strstr(t.server.last, "\r\nAuthorization: Basic eDp5\r\n"));
	assert_non_null(
	    strstr(t.server.last, "\r\nContent-Type: application/x-www-form-urlencoded\r\n"));
	assert_null(strstr(t.server.last, "Expect:"));
	assert_non_null(strstr(t.server.last, "\r\n\r\na=b&c=d"));
}

static void redirects_are_not_followed(void **state)
{
	struct got g;
	struct server_row *row = server_on(&t.server, "GET /moved", 302, "");

	(void)state;
	snprintf(row->headers, sizeof row->headers, "Location: /elsewhere\r\n");
	run("/moved", NULL, &g);
	assert_int_equal(g.status, 302);
}

static void cookies_are_not_kept(void **state)
{
	struct got g;
	struct server_row *row = server_on(&t.server, "GET /c", 200, "{}");

	(void)state;
	snprintf(row->headers, sizeof row->headers, "Set-Cookie: a=b\r\n");
	run("/c", NULL, &g);
	run("/c", NULL, &g);
	assert_null(strcasestr(t.server.last, "cookie"));
}

static void gets_reuse_a_connection_and_posts_do_not(void **state)
{
	struct got g;

	(void)state;
	server_on(&t.server, "GET /a", 200, "{}");
	server_on(&t.server, "POST /token", 200, "{}");
	run("/a", NULL, &g);
	run("/a", NULL, &g);
	assert_int_equal(t.server.connections, 1);
	run("/token", "a=b", &g);
	run("/token", "a=b", &g);
	assert_int_equal(t.server.connections, 3);
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

static void bodies_have_a_limit(void **state)
{
	static char big[HTTP_BODY_MAX + 2];
	struct got g;

	(void)state;
	memset(big, 'x', sizeof big - 1);
	server_on(&t.server, "GET /big", 200, big);
	run("/big", NULL, &g);
	assert_int_equal(g.outcome, HTTP_UNKNOWN);
	big[HTTP_BODY_MAX] = '\0';
	server_on(&t.server, "GET /big", 200, big);
	run("/big", NULL, &g);
	assert_int_equal(g.outcome, HTTP_ANSWERED);
	assert_int_equal(g.body_n, HTTP_BODY_MAX);
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

static void foreign_addresses_are_refused(void **state)
{
	static const char *const urls[] = {
	    "http://192.0.2.1/",
	    "ftp://127.0.0.1/",
	    "file:///etc/passwd",
	    "http://user@127.0.0.1/",
	};
	struct http_flight *f;
	struct got g = {.allow = true};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		struct http_request r = {.url = sv_str(urls[i]),
					 .policy = HTTP_LOOPBACK_TOO,
					 .fn = on_answer,
					 .arg = &g};

		assert_int_not_equal(http_client_send(t.http, &r, &f), ERR_OK);
	}
}

static void proxies_of_the_environment_are_ignored(void **state)
{
	struct got g;

	(void)state;
	server_on(&t.server, "GET /a", 200, "{}");
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	run("/a", NULL, &g);
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
	assert_int_equal(g.status, 200);
}

/* A TLS server with a certificate of its own making, in a process group of its own; its port. */
static unsigned tls_server(pid_t *pid)
{
	static const char script[] =
	    "umask 077; d=$(mktemp -d) && trap 'rm -rf \"$d\"' EXIT && trap 'exit 0' TERM && cd "
	    "\"$d\" && "
	    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out c "
	    "-days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null && "
	    "openssl s_server -accept 127.0.0.1:0 -key k -cert c -www 2>/dev/null";
	char sh[] = "sh", dash_c[] = "-c", text[sizeof script];
	char *const argv[] = {sh, dash_c, text, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int out[2];
	unsigned port = 0;
	char line[256];
	FILE *f;

	memcpy(text, script, sizeof script);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	assert_int_equal(posix_spawn(pid, "/bin/sh", &actions, &attr, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	close(out[1]);
	f = fdopen(out[0], "r");
	while (port == 0 && fgets(line, sizeof line, f) != NULL)
		(void)sscanf(line, "ACCEPT 127.0.0.1:%u", &port);
	fclose(f);
	return port;
}

static void a_certificate_of_nobody_is_refused_before_anything_is_sent(void **state)
{
	struct http_request r = {.policy = HTTP_ONLY_HTTPS, .fn = on_answer};
	struct got g = {.allow = true};
	struct buf form;
	char url[64];
	int status;
	pid_t pid;

	(void)state;
	snprintf(url, sizeof url, "https://localhost:%u/", tls_server(&pid));
	buf_init(&form, 100);
	buf_add(&form, SV("refresh_token=secret"));
	r.url = sv_str(url);
	r.form = &form;
	r.arg = r.before_arg = &g;
	r.before_send = may_send;
	assert_int_equal(http_client_send(t.http, &r, &g.flight), ERR_OK);
	loop_until(t.base, &g.done);
	assert_int_equal(kill(-pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(g.outcome, HTTP_NOT_SENT);
	assert_string_equal(g.detail, "certificate");
	assert_int_equal(g.asked, 0);
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

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(an_answer_comes_whole),
	    WITH(a_form_is_posted_with_authorization),
	    WITH(redirects_are_not_followed),
	    WITH(cookies_are_not_kept),
	    WITH(gets_reuse_a_connection_and_posts_do_not),
	    WITH(a_request_that_may_have_arrived_is_unknown_and_sent_once),
	    WITH(what_cannot_connect_is_not_sent),
	    WITH(what_is_withheld_at_the_last_moment_is_not_sent),
	    WITH(bodies_have_a_limit),
	    WITH(a_canceled_flight_never_calls),
	    WITH(flights_have_a_limit_and_end_with_the_client),
	    WITH(foreign_addresses_are_refused),
	    WITH(proxies_of_the_environment_are_ignored),
	    WITH(a_certificate_of_nobody_is_refused_before_anything_is_sent),
	    cmocka_unit_test(no_descriptor_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

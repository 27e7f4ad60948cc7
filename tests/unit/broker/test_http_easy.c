#include "broker/http_easy.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/broker/http_fixture.h"

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

static void a_request_has_a_deadline(void **state)
{
	struct got g = {.allow = true, .deadline_ms = 50};

	(void)state;
	server_on(&t.server, "POST /token", 200, "{}")->action = SERVER_SILENCE;
	assert_int_equal(start("/token", "a=b", &g), ERR_OK);
	loop_until(t.base, &g.done);
	assert_int_equal(g.outcome, HTTP_UNKNOWN);
	assert_string_equal(g.detail, "timeout");
	assert_int_equal(server_hits(&t.server, "POST /token"), 1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(a_form_is_posted_with_authorization),
	    WITH(redirects_are_not_followed),
	    WITH(cookies_are_not_kept),
	    WITH(bodies_have_a_limit),
	    WITH(a_request_has_a_deadline),
	    WITH(foreign_addresses_are_refused),
	    WITH(proxies_of_the_environment_are_ignored),
	    WITH(a_certificate_of_nobody_is_refused_before_anything_is_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

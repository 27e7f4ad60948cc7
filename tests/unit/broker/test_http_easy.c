#include "broker/http_easy.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "broker/http_trust.h"
#include "tests/unit/broker/http_fixture.h"
#include "tests/unit/broker/tls_server.h"

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

static void post_tls(const struct tls_server *s, const struct http_trust *trust, struct got *g)
{
	struct http_request r = {.policy = HTTP_ONLY_HTTPS,
				 .before_send = may_send,
				 .before_arg = g,
				 .trust = trust,
				 .fn = on_answer,
				 .arg = g};
	struct buf form;
	char url[64];

	*g = (struct got){.allow = true};
	snprintf(url, sizeof url, "https://127.0.0.1:%u/", s->port);
	buf_init(&form, 100);
	buf_add(&form, SV("refresh_token=secret"));
	r.url = sv_str(url);
	r.form = &form;
	assert_int_equal(http_client_send(t.http, &r, &g->flight), ERR_OK);
	loop_until(t.base, &g->done);
}

static void a_certificate_of_nobody_is_refused_before_anything_is_sent(void **state)
{
	static const struct tls_row rows[] = {{"POST / ", "reached"}, {NULL, ""}};
	EVP_PKEY *key = signer_key(ALG_ES256);
	X509 *other = certificate_new("another authority", key, NULL, NULL);
	struct http_trust *trust = NULL;
	struct tls_server s;
	struct got g;
	struct buf ca;

	(void)state;
	tls_server_bind(&s);
	tls_server_run(&s, rows);
	buf_init(&ca, 10000);
	put_certificate(&ca, other);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(http_trust_new(i == 0 ? SV_NONE : buf_sv(&ca), SV_NONE, &trust),
				 ERR_OK);
		post_tls(&s, trust, &g);
		assert_int_equal(g.outcome, HTTP_NOT_SENT);
		assert_string_equal(g.detail, "certificate");
		assert_int_equal(g.asked, 0);
		http_trust_free(&trust);
	}
	tls_server_stop(&s);
	buf_done(&ca);
	X509_free(other);
	EVP_PKEY_free(key);
}

/* Nobody's TLS session becomes another's: neither what was shown nor what was believed. */
static void a_session_is_resumed_under_the_same_trust_alone(void **state)
{
	static const struct tls_row rows[] = {{"POST / ", "client: %s"}, {NULL, ""}};
	struct http_trust *plain = NULL, *with = NULL, *system = NULL;
	struct tls_server s;
	struct buf ca, client;
	struct got g;

	(void)state;
	tls_server_bind(&s);
	tls_server_run(&s, rows);
	buf_init(&ca, 10000);
	buf_init(&client, 10000);
	put_certificate(&ca, s.ca);
	tls_client_pem(&s, "app", &client);
	assert_int_equal(http_trust_new(buf_sv(&ca), SV_NONE, &plain), ERR_OK);
	assert_int_equal(http_trust_new(buf_sv(&ca), buf_sv(&client), &with), ERR_OK);
	assert_int_equal(http_trust_new(SV_NONE, SV_NONE, &system), ERR_OK);
	for (int resumed = 0; resumed < 2; resumed++) {
		post_tls(&s, plain, &g);
		assert_int_equal(g.status, 200);
		assert_string_equal(g.body, "client: none");
		assert_string_equal(g.retry_after, resumed ? "1" : "0");
		post_tls(&s, with, &g);
		assert_string_equal(g.body, "client: app");
		assert_string_equal(g.retry_after, resumed ? "1" : "0");
		post_tls(&s, system, &g);
		assert_string_equal(g.detail, "certificate");
	}
	tls_server_stop(&s);
	http_trust_free(&plain);
	http_trust_free(&with);
	http_trust_free(&system);
	buf_done(&ca);
	buf_done(&client);
}

static void write_text(const char *path, struct sv text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text.p, text.n), (ssize_t)text.n);
	(void)close(fd);
}

/* A view of the file system that is this process's own; false: we may not. */
static bool own_mounts(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char map[32];

	if (uid == 0)
		return unshare(CLONE_NEWNS) == 0 &&
		       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
		return false;
	(void)snprintf(map, sizeof map, "0 %u 1", uid);
	write_text("/proc/self/uid_map", sv_str(map));
	write_text("/proc/self/setgroups", SV("deny"));
	(void)snprintf(map, sizeof map, "0 %u 1", gid);
	write_text("/proc/self/gid_map", sv_str(map));
	return true;
}

/* Debian's two forms, each alone; the directory is covered by another, for this process. */
static void the_systems_authorities_are_believed_by_hash_or_in_one_file(void **state)
{
	static const struct tls_row rows[] = {{"POST / ", "reached"}, {NULL, ""}};
	const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);
	struct http_trust *trust = NULL;
	char hashed[300];
	struct tls_server s;
	struct buf ca;
	struct got g;

	(void)state;
	if (!own_mounts()) {
		print_message("no namespace of our own\n");
		skip();
	}
	tls_server_bind(&s);
	tls_server_run(&s, rows);
	buf_init(&ca, 10000);
	put_certificate(&ca, s.ca);
	(void)snprintf(hashed, sizeof hashed, "%s/%08lx.0", built->capath,
		       X509_NAME_hash_ex(X509_get_subject_name(s.ca), NULL, NULL, NULL));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mount("own", built->capath, "tmpfs", 0, NULL), 0);
		if (i > 0)
			write_text(i == 1 ? hashed : built->cainfo, buf_sv(&ca));
		assert_int_equal(http_trust_new(SV_NONE, SV_NONE, &trust), ERR_OK);
		post_tls(&s, trust, &g);
		http_trust_free(&trust);
		assert_int_equal(umount2(built->capath, MNT_DETACH), 0);
		if (i == 0)
			assert_int_equal(g.outcome, HTTP_NOT_SENT);
		else
			assert_int_equal(g.status, 200);
	}
	tls_server_stop(&s);
	buf_done(&ca);
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
	    WITH(a_session_is_resumed_under_the_same_trust_alone),
	    WITH(the_systems_authorities_are_believed_by_hash_or_in_one_file), /* last: see
										  own_mounts() */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/request.h"

#include "tests/unit/torture.h"
#include "tests/unit/worker/stand_in.h"

#define A "a.example.com"

static size_t wiped; /* bytes of the largest wipe */

void __real_explicit_bzero(void *p, size_t n);
void __wrap_explicit_bzero(void *p, size_t n);
void __wrap___explicit_bzero_chk(void *p, size_t n, size_t room); /* the same, fortified */

void __wrap_explicit_bzero(void *p, size_t n)
{
	wiped = n > wiped ? n : wiped;
	__real_explicit_bzero(p, n);
}

void __wrap___explicit_bzero_chk(void *p, size_t n, size_t room)
{
	assert_true(n <= room);
	__wrap_explicit_bzero(p, n);
}

static void bodies_are_read_of_forms_alone(void **state)
{
	static const struct {
		enum config_listen_kind kind;
		const char *method, *target;
		size_t want;
	} cases[] = {
	    {LISTEN_PUBLIC, "POST", "/auth/logout", REQUEST_BODY_MAX},
	    {LISTEN_PUBLIC, "POST", "/auth/logout?everywhere=true", REQUEST_BODY_MAX},
	    {LISTEN_PUBLIC, "POST", "/other/auth/logout", REQUEST_BODY_MAX},
	    {LISTEN_PUBLIC, "GET", "/auth/logout", 0},
	    {LISTEN_PUBLIC, "post", "/auth/logout", 0},
	    {LISTEN_PUBLIC, "POST", "/auth/login", REQUEST_BODY_MAX},
	    {LISTEN_PUBLIC, "POST", "/auth/callback", REQUEST_BODY_MAX},
	    {LISTEN_PUBLIC, "GET", "/auth/callback", 0},
	    {LISTEN_PUBLIC, "POST", "/auth/session?x=/logout", 0},
	    {LISTEN_VERIFY, "POST", "/auth/logout", 0},
	    {LISTEN_METRICS, "POST", "/auth/logout", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_request head = {.method = sv_str(cases[i].method),
					    .target = sv_str(cases[i].target)};

		assert_int_equal(request_body_max(stand_listen(cases[i].kind), &head),
				 cases[i].want);
	}
}

/* What is where: the endpoints of a listener are on no other. */
static void endpoints_by_listener(void **state)
{
	static const struct {
		enum config_listen_kind kind;
		const char *line, *host, *status, *has;
	} cases[] = {
	    {LISTEN_PUBLIC, "GET /auth/verify", A, "404", "not_found"},
	    {LISTEN_PUBLIC, "GET /auth/forward", A, "404", "not_found"},
	    {LISTEN_PUBLIC, "GET /livez", A, "404", "not_found"},
	    {LISTEN_PUBLIC, "GET /auth/session", A, "401", "login_url"},
	    {LISTEN_PUBLIC, "GET /api/auth/session", A, "401", "login_url"},
	    {LISTEN_PUBLIC, "PUT /auth/login", A, "405", "\r\nAllow: GET, POST\r\n"},
	    {LISTEN_PUBLIC, "PUT /auth/logout", A, "405", "\r\nAllow: GET, POST\r\n"},
	    {LISTEN_PUBLIC, "DELETE /auth/session", A, "405", "\r\nAllow: GET, HEAD\r\n"},
	    {LISTEN_PUBLIC, "GET /auth/session", "x.example.com", "421", "unknown_host"},
	    {LISTEN_PUBLIC, "GET /auth/health", "x.example.com", "200", "ok"},
	    {LISTEN_PUBLIC, "GET /auth/../auth/session", A, "400", "bad_request"},
	    {LISTEN_VERIFY, "GET /auth/session", A, "404", "not_found"},
	    {LISTEN_VERIFY, "GET /livez", A, "404", "not_found"},
	    {LISTEN_VERIFY, "GET /auth/verify", A, "400", "bad_request"}, /* no X-Forwarded-* */
	    {LISTEN_VERIFY, "PROPFIND /auth/verify?x", A, "400", "bad_request"},
	    {LISTEN_METRICS, "GET /auth/verify", A, "404", "not_found"},
	    {LISTEN_METRICS, "POST /metrics", A, "405", "\r\nAllow: GET, HEAD\r\n"},
	    {LISTEN_PUBLIC, "GET /metrics", A, "404", "not_found"},
	    {LISTEN_VERIFY, "GET /metrics", A, "404", "not_found"},
	    {LISTEN_METRICS, "GET /livez", A, "200", "ok"},
	    {LISTEN_METRICS, "POST /livez", A, "405", "\r\nAllow: GET, HEAD\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char head[256], want[32];

		(void)snprintf(head, sizeof head,
			       "%s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-Proto: https\r\n",
			       cases[i].line, cases[i].host);
		stand_ask(cases[i].kind, head, "");
		(void)snprintf(want, sizeof want, "HTTP/1.1 %s ", cases[i].status);
		assert_has(want);
		assert_has(cases[i].has);
		assert_has("\r\nX-Correlation-ID: ");
		assert_has("\r\nCache-Control: no-store\r\n");
		assert_int_equal(stand.state, REQUEST_ANSWERED);
		assert_int_equal(stand.done, 0); /* said so already */
	}
}

static void from(const char *address)
{
	unsigned a[4];

	assert_int_equal(sscanf(address, "%u.%u.%u.%u", &a[0], &a[1], &a[2], &a[3]), 4);
	for (int i = 0; i < 4; i++)
		stand.peer[12 + i] = (unsigned char)a[i];
}

/* A Unix socket has no strangers to take: who is not listed is refused on every kind. */
static void users_that_are_not_listed_are_refused(void **state)
{
	(void)state;
	memset(stand.peer, 0xff, sizeof stand.peer);
	stand_verify("GET", A, "/open/", "");
	assert_answer(403);
	stand_browse("GET", A, "/auth/session", "", "");
	assert_answer(403);
}

static void strangers_are_not_believed(void **state)
{
	static const struct {
		const char *address;
		bool trusted;
	} cases[] = {
	    {"127.0.0.1", true}, {"127.0.0.2", false}, {"10.1.2.0", true},
	    {"10.1.2.15", true}, {"10.1.2.16", false}, {"10.1.3.1", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		from(cases[i].address);
		stand_verify("GET", A, "/open/", "");
		if (cases[i].trusted)
			assert_answer(200);
		else
			assert_answer(403);
	}
	/* The browser-facing one takes strangers, and leaves what they say of themselves. */
	from("192.0.2.99");
	stand_browse("GET", A, "/auth/session", "x-forwarded-uri: /x\r\n", "");
	assert_has("HTTP/1.1 421 "); /* not https, so no origin of ours */
	assert_int_equal(stand.r->fields.n, 1);
	assert_sv_equal(stand.r->fields.v[0].name, SV("Host"));
	assert_sv_equal(stand.r->fw.client, SV("192.0.2.99"));
	from("127.0.0.1");
	stand_browse("GET", A, "/auth/session", "", "");
	assert_answer(401);
	assert_sv_equal(stand.r->fw.client, SV("192.0.2.7"));
	/* IPv6 */
	memset(stand.peer, 0, 16);
	stand.peer[15] = 1;
	stand_browse("GET", A, "/auth/session", "", "");
	assert_sv_equal(stand.r->fw.client, SV("::1"));
}

static void every_request_has_an_id_of_its_own(void **state)
{
	char first[REQUEST_CORRELATION_LEN], line[64];

	(void)state;
	assert_int_equal(REQUEST_CORRELATION_LEN, 22);
	stand_ask(LISTEN_METRICS, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Correlation-ID: x\r\n", "");
	memcpy(first, request_correlation(stand.r).p, sizeof first);
	(void)snprintf(line, sizeof line, "\r\nX-Correlation-ID: %.*s\r\n", (int)sizeof first,
		       first);
	assert_has(line);
	stand_ask(LISTEN_METRICS, "GET /livez HTTP/1.1\r\nHost: x\r\n", "");
	assert_memory_not_equal(first, request_correlation(stand.r).p, sizeof first);
}

static void a_request_that_waits_ends_once(void **state)
{
	char one[256];

	(void)state;
	(void)snprintf(one, sizeof one, "Cookie: %s\r\n", stand_cookie("bff_session", 's'));
	stand_verify("GET", A, "/plain/", one);
	assert_int_equal(stand.state, REQUEST_WAITING);
	assert_int_equal(stand.out.n, 0);
	assert_int_equal(stand.done, 0);
	stand_dead(SV("idle"));
	assert_int_equal(stand.done, 1);
	assert_int_equal(stand.pg.cancels, 0);
	wiped = 0;
	request_free(&stand.r);
	assert_null(stand.r);
	assert_int_equal(stand.pg.cancels + stand.broker.cancels, 0); /* nothing waits any more */
	assert_int_equal(wiped, sizeof(struct request));
	request_free(&stand.r);
}

static void freeing_cancels_what_it_waits_for(void **state)
{
	char one[256];

	(void)state;
	(void)snprintf(one, sizeof one, "Cookie: %s\r\n", stand_cookie("bff_session", 's'));
	stand_verify("GET", A, "/api/x", one);
	request_free(&stand.r);
	assert_int_equal(stand.pg.cancels, 1);
	stand_verify("GET", A, "/api/x", one);
	stand_live(SV("a"), SV("{}"), false);
	request_free(&stand.r);
	assert_int_equal(stand.pg.cancels, 0);
	assert_int_equal(stand.broker.cancels, 1);
	assert_int_equal(stand.done, 0);
}

static void ask_raw(const char *head)
{
	stand_next();
	assert_int_equal(stand_new(LISTEN_PUBLIC, head, ""), ERR_OK);
}

/* An answer is whole, or a bare 500, or nothing at all. */
static void an_answer_that_cannot_be_is_a_bare_500(void **state)
{
	(void)state;
	ask_raw("GET / HTTP/1.1\r\nHost: x\r\n");
	request_reply(stand.r, 200);
	http_reply_header(&stand.r->reply, SV("Location"), SV("/\r\nSet-Cookie: x"));
	assert_int_equal(request_end(stand.r, SV("text/plain"), SV("body")), STEP_ANSWER);
	assert_has("HTTP/1.1 500 ");
	assert_has("\r\nX-Correlation-ID: ");
	assert_lacks("Set-Cookie");
	assert_lacks("body");
	buf_done(&stand.out);
	stand.out.max = 16;
	ask_raw("GET / HTTP/1.1\r\nHost: x\r\n");
	request_reply(stand.r, 200);
	assert_int_equal(request_end(stand.r, SV_NONE, SV_NONE), STEP_ANSWER);
	assert_int_equal(stand.out.n, 0);
}

static void failures_are_kept_within_bounds(void **state)
{
	static const char long_word[] =
	    "0123456789012345678901234567890123456789012345678901234567890123456789";
	struct ipc_failure m = {.code = IPC_ERROR_STALE,
				.retry_after_s = 9,
				.return_to = SV("https://a.example.com/x"),
				.detail = SV("word")};

	(void)state;
	ask_raw("GET / HTTP/1.1\r\nHost: x\r\n");
	buf_add(&stand.r->target, SV("of before"));
	request_keep_failure(stand.r, &m);
	assert_int_equal(stand.r->failure, IPC_ERROR_STALE);
	assert_int_equal(stand.r->retry_after_s, 9);
	assert_string_equal(stand.r->failure_detail, "word");
	assert_sv_equal(buf_sv(&stand.r->target), SV("https://a.example.com/x"));
	m = (struct ipc_failure){.code = IPC_ERROR_NONE}; /* a failure is one */
	request_keep_failure(stand.r, &m);
	assert_int_equal(stand.r->failure, IPC_ERROR_INTERNAL);
	assert_string_equal(stand.r->failure_detail, "");
	assert_int_equal(stand.r->target.n, 0);
	m.detail = sv_of(long_word, IPC_NAME_MAX);
	request_keep_failure(stand.r, &m);
	assert_int_equal(strlen(stand.r->failure_detail), IPC_NAME_MAX);
	m.detail = sv_of(long_word, IPC_NAME_MAX + 1);
	request_keep_failure(stand.r, &m);
	assert_string_equal(stand.r->failure_detail, "");
}

static void fields_count_when_there_is_one(void **state)
{
	(void)state;
	ask_raw("GET / HTTP/1.1\r\nHost: x\r\nReferer: one\r\nOrigin: a\r\nOrigin: b\r\n");
	assert_sv_equal(request_field(stand.r, HTTP_REFERER), SV("one"));
	assert_sv_equal(request_field(stand.r, HTTP_ORIGIN), SV_NONE);
	assert_sv_equal(request_field(stand.r, HTTP_ACCEPT), SV_NONE);
}

/* What was decoded of the query stays where it is while the body is decoded. */
static void query_and_body_are_decoded_beside_each_other(void **state)
{
	struct form_field q = {.name = SV("a")}, b = {.name = SV("b")};

	(void)state;
	ask_raw("GET / HTTP/1.1\r\nHost: x\r\n");
	stand.r->fw.url.query = SV("a=%41%42");
	stand.r->from.body = SV("b=x+y%21");
	assert_int_equal(request_form(stand.r, stand.r->fw.url.query, &q, 1), ERR_OK);
	assert_int_equal(request_form(stand.r, stand.r->from.body, &b, 1), ERR_OK);
	assert_sv_equal(q.value, SV("AB"));
	assert_sv_equal(b.value, SV("x y!"));
	ask_raw("GET / HTTP/1.1\r\nHost: x\r\n");
	assert_int_equal(request_form(stand.r, SV_NONE, &q, 1), ERR_OK);
	ask_raw("GET / HTTP/1.1\r\nHost: x\r\n");
	stand.r->fw.url.query.n = REQUEST_FORM_MAX;
	assert_int_equal(request_form(stand.r, SV("a=1"), &q, 1), ERR_LIMIT);
	stand.r->fw.url.query.n = 0;
}

/* A body is read as a form only where it says that it is one: what a script may send elsewhere
 * without a preflight, text/plain above all, is none. */
static void a_body_must_say_that_it_is_a_form(void **state)
{
	static const struct {
		const char *fields;
		enum err want;
	} cases[] = {
	    {"Content-Type: application/x-www-form-urlencoded\r\n", ERR_OK},
	    {"content-type: Application/X-WWW-Form-Urlencoded ; charset=utf-8\r\n", ERR_OK},
	    {"", ERR_UNSUPPORTED},
	    {"Content-Type: text/plain\r\n", ERR_UNSUPPORTED},
	    {"Content-Type: application/x-www-form-urlencodedx\r\n", ERR_UNSUPPORTED},
	    {"Content-Type: application/x-www-form-urlencoded\r\nContent-Type: text/plain\r\n",
	     ERR_UNSUPPORTED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct form_field b = {.name = SV("b")};
		char head[256];

		(void)snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: x\r\n%s",
			       cases[i].fields);
		ask_raw(head);
		stand.r->from.body = SV("b=1");
		assert_int_equal(request_body_form(stand.r, &b, 1), cases[i].want);
		assert_int_equal(b.value.n, cases[i].want == ERR_OK ? 1 : 0);
	}
}

static enum err attempt_new(void *arg)
{
	enum err e = stand_new(LISTEN_PUBLIC, "GET / HTTP/1.1\r\nHost: x\r\n", "");

	(void)arg;
	assert_true((stand.r != NULL) == (e == ERR_OK));
	request_free(&stand.r);
	return e;
}

/* A verify from end to end: whatever fails, nobody is let through, and there is an answer or,
 * without memory even for that, none. */
static enum err attempt_verify(void *arg)
{
	bool ok;

	if (stand_new(LISTEN_VERIFY, arg, "") != ERR_OK)
		return ERR_NOMEM;
	stand.done = 0;
	stand.state = request_run(stand.r);
	if (stand.state == REQUEST_WAITING)
		stand_live(SV("a"), SV("{\"name\":\"x\"}"), false);
	assert_int_equal(stand.done, stand.state == REQUEST_WAITING);
	ok = stand_has("HTTP/1.1 200 ");
	if (ok)
		assert_has("\r\nX-User-ID: alice\r\n");
	else
		assert_true(stand.out.n == 0 || stand_has("HTTP/1.1 50"));
	request_free(&stand.r);
	buf_done(&stand.out);
	return ok ? ERR_OK : ERR_NOMEM;
}

static void without_memory_nobody_is_let_through(void **state)
{
	char head[1024];

	(void)state;
	assert_int_equal(torture(attempt_new, NULL), 1);
	(void)snprintf(
	    head, sizeof head,
	    "GET /auth/verify HTTP/1.1\r\nHost: bff\r\nX-Forwarded-Method: GET\r\n"
	    "X-Forwarded-Host: a.example.com\r\nX-Forwarded-Uri: /plain/\r\n"
	    "X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\nCookie: %s; x=y\r\n",
	    stand_cookie("bff_session", 's'));
	assert_true(torture(attempt_verify, head) > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
	    CASE(bodies_are_read_of_forms_alone),
	    CASE(endpoints_by_listener),
	    CASE(strangers_are_not_believed),
	    CASE(users_that_are_not_listed_are_refused),
	    CASE(every_request_has_an_id_of_its_own),
	    CASE(a_request_that_waits_ends_once),
	    CASE(freeing_cancels_what_it_waits_for),
	    CASE(an_answer_that_cannot_be_is_a_bare_500),
	    CASE(failures_are_kept_within_bounds),
	    CASE(fields_count_when_there_is_one),
	    CASE(query_and_body_are_decoded_beside_each_other),
	    CASE(a_body_must_say_that_it_is_a_form),
	    CASE(without_memory_nobody_is_let_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

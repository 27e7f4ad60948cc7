#include "worker/http_reply.h"

#include "tests/unit/unit.h"

static void answers_by_table(void **state)
{
	static const struct {
		unsigned status, flags;
		const char *name, *value, *type, *body, *want;
	} cases[] = {
	    {200, 0, "A", "b", "", "", "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 0\r\n\r\n"},
	    {200, 0, "Authorization", "", "", "",
	     "HTTP/1.1 200 OK\r\nAuthorization: \r\nContent-Length: 0\r\n\r\n"},
	    {401, HTTP_REPLY_CLOSE, "A", "b", "text/plain", "no",
	     "HTTP/1.1 401 Unauthorized\r\nA: b\r\nContent-Type: text/plain\r\nConnection: "
	     "close\r\nContent-Length: 2\r\n\r\nno"},
	    {403, HTTP_REPLY_HEAD | HTTP_REPLY_KEEP_ALIVE, "A", "b", "text/plain", "no",
	     "HTTP/1.1 403 Forbidden\r\nA: b\r\nContent-Type: text/plain\r\nConnection: "
	     "keep-alive\r\nContent-Length: 2\r\n\r\n"},
	    {200, HTTP_REPLY_LASTS | HTTP_REPLY_CLOSE, "A", "b", "text/plain", "so far",
	     "HTTP/1.1 200 OK\r\nA: b\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
	     "so far"},
	    {200, HTTP_REPLY_LASTS | HTTP_REPLY_CHUNKED, "A", "b", "text/plain", "6\r\nso far\r\n",
	     "HTTP/1.1 200 OK\r\nA: b\r\nContent-Type: text/plain\r\n"
	     "Transfer-Encoding: chunked\r\n\r\n6\r\nso far\r\n"},
	    {200, HTTP_REPLY_LASTS | HTTP_REPLY_CHUNKED | HTTP_REPLY_HEAD, "A", "b", "", "",
	     "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_reply r;
		struct buf b;

		buf_init(&b, 4096);
		buf_add(&b, SV("before"));
		http_reply_begin(&r, &b, cases[i].status, cases[i].flags);
		http_reply_header(&r, sv_str(cases[i].name), sv_str(cases[i].value));
		assert_int_equal(http_reply_end(&r, sv_str(cases[i].type), sv_str(cases[i].body)),
				 ERR_OK);
		assert_sv_equal(sv_cut(buf_sv(&b), 6, b.n), sv_str(cases[i].want));
		buf_done(&b);
	}
}

/* A header that would split the answer takes the whole answer back, and nothing else. */
static void no_value_breaks_the_framing(void **state)
{
	static const struct sv bad[] = {{"a\r\nSet-Cookie: x", 16},
					{"a\nb", 3},
					{"a\rb", 3},
					{"a\0b", 3},
					{"\x7f", 1},
					{"\x01", 1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		for (unsigned in_name = 0; in_name < 2; in_name++) {
			struct http_reply r;
			struct buf b;

			buf_init(&b, 4096);
			buf_add(&b, SV("before"));
			http_reply_begin(&r, &b, 200, 0);
			http_reply_header(&r, in_name ? bad[i] : SV("A"),
					  in_name ? SV("a") : bad[i]);
			assert_int_equal(http_reply_end(&r, SV_NONE, SV_NONE), ERR_SYNTAX);
			assert_sv_equal(buf_sv(&b), SV("before"));
			buf_done(&b);
		}
	}
}

static void every_limit_gives_all_or_nothing(void **state)
{
	enum err e = ERR_LIMIT;

	(void)state;
	for (size_t max = 6; e != ERR_OK; max++) {
		struct http_reply r;
		struct buf b;

		assert_true(max < 256);
		buf_init(&b, max);
		buf_add(&b, SV("before"));
		http_reply_begin(&r, &b, 404, 0);
		http_reply_header(&r, SV("A"), SV("b"));
		e = http_reply_end(&r, SV("text/plain"), SV("body"));
		if (e != ERR_OK)
			assert_sv_equal(buf_sv(&b), SV("before"));
		else
			assert_true(sv_ends(buf_sv(&b), SV("\r\n\r\nbody")));
		assert_true(buf_ok(&b));
		buf_done(&b);
	}
}

static void json_is_escaped(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 256);
	http_json_error(&b, SV("a\"b\\c\n\x7f"), SV("https://x/"));
	assert_sv_equal(buf_sv(&b), SV("{\"error\":\"a\\\"b\\\\c\\u000a\\u007f\",\"login_url\":"
				       "\"https://x/\"}"));
	buf_clear(&b);
	http_json_error(&b, SV("csrf"), SV_NONE);
	assert_sv_equal(buf_sv(&b), SV("{\"error\":\"csrf\"}"));
	buf_done(&b);
}

/* One buffer for several; one that did not hold its cookie takes the answer back. */
static void cookies_in_turn(void **state)
{
	struct buf b, cookie;
	struct http_reply r;

	(void)state;
	buf_init(&b, 4096);
	buf_init(&cookie, 3);
	http_reply_begin(&r, &b, 200, 0);
	buf_add(&cookie, SV("a=1"));
	http_reply_cookie(&r, &cookie);
	assert_int_equal(cookie.n, 0);
	buf_add(&cookie, SV("b=2"));
	http_reply_cookie(&r, &cookie);
	assert_int_equal(http_reply_end(&r, SV_NONE, SV_NONE), ERR_OK);
	assert_sv_equal(buf_sv(&b), SV("HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
				       "Content-Length: 0\r\n\r\n"));
	buf_clear(&b);
	http_reply_begin(&r, &b, 200, 0);
	buf_add(&cookie, SV("long"));
	http_reply_cookie(&r, &cookie);
	assert_int_equal(http_reply_end(&r, SV_NONE, SV_NONE), ERR_SYNTAX);
	assert_int_equal(b.n, 0);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cookies_in_turn),
	    cmocka_unit_test(answers_by_table),
	    cmocka_unit_test(no_value_breaks_the_framing),
	    cmocka_unit_test(every_limit_gives_all_or_nothing),
	    cmocka_unit_test(json_is_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

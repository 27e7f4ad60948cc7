#include "worker/http_request.h"

#include "tests/unit/unit.h"

#define LINE "GET /auth/verify HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define MAX 8

static const char good[] = "POST /a?b=c HTTP/1.1\r\nHost:  a.example \r\nX-Empty:\r\nCookie: a=1; "
			   "b=\"2\"\r\nContent-Length: 5\r\n\r\n";

/* 1: wants more; else what http_request_parse() says. In memory of exactly that size, so that ASan
 * sees a byte too far. */
static unsigned status_of(struct sv text)
{
	struct http_field *fields = calloc(MAX, sizeof *fields);
	char *copy = malloc(text.n == 0 ? 1 : text.n);
	struct http_scan scan = {0};
	struct http_request q;
	const char *word = NULL;
	unsigned status = 1;

	assert_non_null(copy);
	assert_non_null(fields);
	memcpy(copy, text.p, text.n);
	switch (http_scan(&scan, sv_of(copy, text.n))) {
	case HTTP_SCAN_BAD:
		status = 400;
		break;
	case HTTP_SCAN_MORE:
		break;
	case HTTP_SCAN_DONE:
		status = http_request_parse(sv_of(copy, scan.at), fields, MAX, &q, &word);
		assert_non_null(word);
	}
	free(fields);
	free(copy);
	return status;
}

static void a_good_head_is_taken_apart(void **state)
{
	struct http_field fields[MAX];
	struct http_request q;
	struct http_scan scan = {0};
	const char *word;

	(void)state;
	assert_int_equal(http_scan(&scan, sv_of(good, sizeof good - 1)), HTTP_SCAN_DONE);
	assert_int_equal(scan.at, sizeof good - 1);
	assert_int_equal(http_request_parse(sv_of(good, sizeof good - 1), fields, MAX, &q, &word),
			 0);
	assert_sv_equal(q.method, SV("POST"));
	assert_sv_equal(q.target, SV("/a?b=c"));
	assert_int_equal(q.fields.n, 4);
	assert_sv_equal(q.fields.v[0].name, SV("Host"));
	assert_sv_equal(q.fields.v[0].value, SV("a.example"));
	assert_sv_equal(q.fields.v[1].value, SV(""));
	assert_sv_equal(q.fields.v[2].value, SV("a=1; b=\"2\""));
	assert_int_equal(q.content_length, 5);
	assert_true(q.has_body && q.keep_alive && !q.chunked);
}

static void heads_by_table(void **state)
{
	static const struct {
		struct sv text;
		unsigned want;
	} cases[] = {
#define CASE(text, want) {{text, sizeof text - 1}, want}
	    CASE(LINE HOST "\r\n", 0),
	    CASE("GET / HTTP/1.0\r\n\r\n", 0),
	    CASE("BREW / HTTP/1.1\r\n" HOST "\r\n", 400),
	    CASE(LINE "\r\n", 400),
	    CASE(LINE HOST HOST "\r\n", 400),
	    CASE(LINE HOST "host: b\r\n\r\n", 400),
	    CASE(LINE HOST " folded\r\n\r\n", 400),
	    CASE(LINE HOST "A: b\r\n\tfolded\r\n\r\n", 400),
	    CASE(LINE HOST "A : b\r\n\r\n", 400),
	    CASE(LINE HOST ": b\r\n\r\n", 400),
	    CASE(LINE HOST "A b: c\r\n\r\n", 400),
	    CASE(LINE HOST "A(b): c\r\n\r\n", 400),
	    CASE(LINE HOST "A\r\n\r\n", 400),
	    CASE(LINE HOST "A: b\001c\r\n\r\n", 400),
	    CASE(LINE HOST "A: b\rc\r\n\r\n", 400),
	    CASE(LINE HOST "A: b\nC: d\r\n\r\n", 400),
	    CASE(LINE "Host: a\n\r\n", 400),
	    CASE("GET /\r\n" HOST "\r\n", 505),
	    CASE("GET / HTTP/0.9\r\n" HOST "\r\n", 505),
	    CASE("GET / HTTP/1.2\r\n" HOST "\r\n", 505),
	    CASE("GET / HTTP/2.0\r\n" HOST "\r\n", 505),
	    CASE("GET  / HTTP/1.1\r\n" HOST "\r\n", 400),
	    CASE("GET /  HTTP/1.1\r\n" HOST "\r\n", 400),
	    CASE("get / HTTP/1.1\r\n" HOST "\r\n", 400),
	    CASE("PRI * HTTP/2.0\r\n\r\n", 400),
	    CASE("CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n", 400),
	    CASE("CONNECT /auth/verify HTTP/1.1\r\n" HOST "\r\n", 400),
	    CASE(LINE HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
	    CASE(LINE HOST "Content-Length: 1, 1\r\n\r\n", 400),
	    CASE(LINE HOST "Content-Length: -1\r\n\r\n", 400),
	    CASE(LINE HOST "Content-Length: 0x1\r\n\r\n", 400),
	    CASE(LINE HOST "Content-Length: 18446744073709551616\r\n\r\n", 400),
	    CASE(LINE HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
	    CASE(LINE HOST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400),
	    CASE(LINE HOST "Transfer-Encoding: chunked\r\n\r\n", 0),
	    CASE(LINE HOST "Transfer-Encoding: gzip\r\n\r\n", 400),
	    CASE("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
	    CASE(LINE HOST "A:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\n\r\n", 0),
	    CASE(LINE HOST "A:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\nH:\r\n\r\n", 431),
#undef CASE
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		unsigned got = status_of(cases[i].text);

		if (got != cases[i].want)
			print_error("case %zu: " SV_FMT "\n", i, SV_ARG(cases[i].text));
		assert_int_equal(got, cases[i].want);
	}
}

static void keep_alive_by_table(void **state)
{
	static const struct {
		struct sv text;
		bool want;
	} cases[] = {
#define CASE(text, want) {{text, sizeof text - 1}, want}
	    CASE(LINE HOST "\r\n", true),
	    CASE(LINE HOST "Connection: close\r\n\r\n", false),
	    CASE(LINE HOST "Connection: Close, x\r\n\r\n", false),
	    CASE(LINE HOST "Connection: keep-alive\r\n\r\n", true),
	    CASE("GET / HTTP/1.0\r\n\r\n", false),
	    CASE("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
#undef CASE
	};
	struct http_field fields[MAX];
	struct http_request q;
	const char *word;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(http_request_parse(cases[i].text, fields, MAX, &q, &word), 0);
		assert_int_equal(q.keep_alive, cases[i].want);
	}
}

/* No truncation is a whole head, and the scan in pieces finds the same end. */
static void every_truncation_wants_more(void **state)
{
	struct http_scan pieces = {0};

	(void)state;
	for (size_t n = 0; n < sizeof good - 1; n++) {
		assert_int_equal(status_of(sv_of(good, n)), 1);
		assert_int_equal(http_scan(&pieces, sv_of(good, n)), HTTP_SCAN_MORE);
	}
	assert_int_equal(http_scan(&pieces, sv_of(good, sizeof good - 1)), HTTP_SCAN_DONE);
	assert_int_equal(pieces.at, sizeof good - 1);
}

/* Whatever one byte becomes: an answer, and no byte read too far. */
static void every_changed_byte_is_survived(void **state)
{
	char text[sizeof good];

	(void)state;
	for (size_t i = 0; i < sizeof good - 1; i++) {
		for (unsigned c = 0; c < 256; c++) {
			memcpy(text, good, sizeof good);
			text[i] = (char)c;
			(void)status_of(sv_of(text, sizeof good - 1));
		}
	}
}

/* The scan goes by eight bytes where it can. */
static void a_bad_byte_is_found_wherever_it_stands(void **state)
{
	static const char head[] =
	    "GET / HTTP/1.1\r\nHost: a\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n";
	static const unsigned char bad[] = {0, 1, 0x1f, '\n', '\r', 0x7f};
	static const unsigned char fine[] = {' ', '\t', '~', 0x80, 0x9f, 0xa0, 0xff};
	const size_t from = 28, to = sizeof head - 1 - 4;

	(void)state;
	for (size_t at = from; at < to; at++) {
		for (size_t i = 0; i < ARRAY_LEN(bad) + ARRAY_LEN(fine); i++) {
			bool is_bad = i < ARRAY_LEN(bad);
			struct http_scan scan = {0};
			char text[sizeof head];

			memcpy(text, head, sizeof head);
			text[at] = (char)(is_bad ? bad[i] : fine[i - ARRAY_LEN(bad)]);
			assert_int_equal(http_scan(&scan, sv_of(text, sizeof head - 1)),
					 is_bad ? HTTP_SCAN_BAD : HTTP_SCAN_DONE);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_good_head_is_taken_apart),
	    cmocka_unit_test(heads_by_table),
	    cmocka_unit_test(keep_alive_by_table),
	    cmocka_unit_test(every_truncation_wants_more),
	    cmocka_unit_test(every_changed_byte_is_survived),
	    cmocka_unit_test(a_bad_byte_is_found_wherever_it_stands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/url.h"

#include "tests/unit/unit.h"

static void canonical_targets_are_taken(void **state)
{
	static const struct {
		struct sv target, want_path;
		bool want_query, want_slash;
	} cases[] = {
	    {SV_INIT("/"), SV_INIT("/"), false, false},
	    {SV_INIT("/?"), SV_INIT("/"), true, false},
	    {SV_INIT("/api/crm/"), SV_INIT("/api/crm/"), false, false},
	    {SV_INIT("/a?b=//c/../d;e?f%00%2e%c3%28"), SV_INIT("/a"), true, false},
	    {SV_INIT("/a,b:c@d!$&'()*+=-._~[x]|^"), SV_INIT("/a,b:c@d!$&'()*+=-._~[x]|^"), false,
	     false},
	    {SV_INIT("/a%20b%40%3A"), SV_INIT("/a%20b%40%3A"), false, false},
	    {SV_INIT("/%c3%a4%E2%82%ac%F0%9f%98%80"), SV_INIT("/%c3%a4%E2%82%ac%F0%9f%98%80"),
	     false, false},
	    {SV_INIT("/a%2Fb"), SV_INIT("/a%2Fb"), false, true},
	    {SV_INIT("/a%2fb"), SV_INIT("/a%2fb"), false, true},
	    {SV_INIT("/a%2f"), SV_INIT("/a%2f"), false, true},
	    {SV_INIT("/a?x=%2F"), SV_INIT("/a"), true, false},
	    {SV_INIT("/..a/b../.c/..."), SV_INIT("/..a/b../.c/..."), false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *reason = NULL;
		struct url got;

		assert_int_equal(url_parse(cases[i].target, &got, &reason), ERR_OK);
		assert_sv_equal(got.target, cases[i].target);
		assert_sv_equal(got.path, cases[i].want_path);
		assert_int_equal(got.query.p != NULL, cases[i].want_query);
		assert_int_equal(got.encoded_slash, cases[i].want_slash);
	}
}

static void whatever_else_is_refused_with_its_reason(void **state)
{
	static const struct {
		struct sv target;
		const char *want;
	} cases[] = {
	    {SV_INIT(""), "uri_form"},
	    {SV_INIT("*"), "uri_form"},
	    {SV_INIT("a"), "uri_form"},
	    {SV_INIT("?a"), "uri_form"},
	    {SV_INIT("http://example.com/"), "uri_form"},
	    {SV_INIT("example.com:443"), "uri_form"},
	    {SV_INIT("\\a"), "uri_form"},
	    {SV_INIT("/a b"), "uri_byte"},
	    {SV_INIT("/a\tb"), "uri_byte"},
	    {SV_INIT("/a\r\nX: y"), "uri_byte"},
	    {SV_INIT("/a\0b"), "uri_byte"},
	    {SV_INIT("/a?\0"), "uri_byte"},
	    {SV_INIT("/a\x7f"), "uri_byte"},
	    {SV_INIT("/\xc3\xa4"), "uri_byte"},
	    {SV_INIT("/a?\xc3\xa4"), "uri_byte"},
	    {SV_INIT("/a\"b"), "uri_byte"},
	    {SV_INIT("/<a>"), "uri_byte"},
	    {SV_INIT("/`"), "uri_byte"},
	    {SV_INIT("/{a}"), "uri_byte"},
	    {SV_INIT("/a\\b"), "uri_backslash"},
	    {SV_INIT("/\\evil"), "uri_backslash"},
	    {SV_INIT("/a?b=\\"), "uri_backslash"},
	    {SV_INIT("/a#b"), "uri_fragment"},
	    {SV_INIT("/a#/../b"), "uri_fragment"},
	    {SV_INIT("/private#/public"), "uri_fragment"},
	    {SV_INIT("/a?b#c"), "uri_fragment"},
	    {SV_INIT("/%"), "uri_escape"},
	    {SV_INIT("/%a"), "uri_escape"},
	    {SV_INIT("/%zz"), "uri_escape"},
	    {SV_INIT("/%2"), "uri_escape"},
	    {SV_INIT("/%2g"), "uri_escape"},
	    {SV_INIT("/%%32%65"), "uri_escape"},
	    {SV_INIT("/a?%"), "uri_escape"},
	    {SV_INIT("/a?b=%4x"), "uri_escape"},
	    {SV_INIT("/a%00"), "uri_escaped_control"},
	    {SV_INIT("/a%0d%0aX"), "uri_escaped_control"},
	    {SV_INIT("/a%09"), "uri_escaped_control"},
	    {SV_INIT("/a%7f"), "uri_escaped_control"},
	    {SV_INIT("/a%5cb"), "uri_escaped_delimiter"},
	    {SV_INIT("/a%5Cb"), "uri_escaped_delimiter"},
	    {SV_INIT("/a%25b"), "uri_escaped_delimiter"},
	    {SV_INIT("/%252e%252e/"), "uri_escaped_delimiter"},
	    {SV_INIT("/a%3b"), "uri_escaped_delimiter"},
	    {SV_INIT("/a%3Fb"), "uri_escaped_delimiter"},
	    {SV_INIT("/private%23/public"), "uri_escaped_delimiter"},
	    {SV_INIT("/%61dmin"), "uri_escaped_plain"},
	    {SV_INIT("/%2e%2e/admin"), "uri_escaped_plain"},
	    {SV_INIT("/.%2e/admin"), "uri_escaped_plain"},
	    {SV_INIT("/api%2e/admin"), "uri_escaped_plain"},
	    {SV_INIT("/%7euser"), "uri_escaped_plain"},
	    {SV_INIT("/a%30"), "uri_escaped_plain"},
	    {SV_INIT("/%80"), "uri_utf8"},
	    {SV_INIT("/%ff"), "uri_utf8"},
	    {SV_INIT("/%c0%af"), "uri_utf8"},
	    {SV_INIT("/%c0%ae%c0%ae/"), "uri_utf8"},
	    {SV_INIT("/%c1%81"), "uri_utf8"},
	    {SV_INIT("/%e0%80%af"), "uri_utf8"},
	    {SV_INIT("/%ed%a0%80"), "uri_utf8"},
	    {SV_INIT("/%f0%80%80%af"), "uri_utf8"},
	    {SV_INIT("/%f4%90%80%80"), "uri_utf8"},
	    {SV_INIT("/%f5%80%80%80"), "uri_utf8"},
	    {SV_INIT("/%c3"), "uri_utf8"},
	    {SV_INIT("/%c3x"), "uri_utf8"},
	    {SV_INIT("/%c3%28"), "uri_utf8"},
	    {SV_INIT("/%e2%82x"), "uri_utf8"},
	    {SV_INIT("/%e2%82/%ac"), "uri_utf8"},
	    {SV_INIT("/%c3/%a4"), "uri_utf8"},
	    {SV_INIT("/a;b"), "uri_semicolon"},
	    {SV_INIT("/public/..;/admin"), "uri_semicolon"},
	    {SV_INIT("/a;jsessionid=1"), "uri_semicolon"},
	    {SV_INIT("//"), "uri_double_slash"},
	    {SV_INIT("//evil.example/"), "uri_double_slash"},
	    {SV_INIT("/a//b"), "uri_double_slash"},
	    {SV_INIT("/a//"), "uri_double_slash"},
	    {SV_INIT("/%2fevil"), "uri_double_slash"},
	    {SV_INIT("/a/%2Fb"), "uri_double_slash"},
	    {SV_INIT("/a%2f/b"), "uri_double_slash"},
	    {SV_INIT("/."), "uri_dots"},
	    {SV_INIT("/.."), "uri_dots"},
	    {SV_INIT("/./a"), "uri_dots"},
	    {SV_INIT("/public/../admin"), "uri_dots"},
	    {SV_INIT("/a/.?x"), "uri_dots"},
	    {SV_INIT("/a/..%2F..%2Fadmin"), "uri_dots"},
	    {SV_INIT("/a/b%2f.."), "uri_dots"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *got = NULL;
		struct url url;

		assert_int_equal(url_parse(cases[i].target, &url, &got), ERR_SYNTAX);
		assert_string_equal(got, cases[i].want);
	}
}

static void length_has_a_limit(void **state)
{
	static char target[URL_TARGET_MAX + 1];
	const char *reason = NULL;
	struct url url;

	(void)state;
	memset(target, 'a', sizeof target);
	target[0] = '/';
	assert_int_equal(url_parse(sv_of(target, URL_TARGET_MAX), &url, &reason), ERR_OK);
	assert_int_equal(url_parse(sv_of(target, URL_TARGET_MAX + 1), &url, &reason), ERR_SYNTAX);
	assert_string_equal(reason, "uri_length");
}

static void every_truncation_is_judged_within_its_bytes(void **state)
{
	static const char whole[] = "/a%20/%c3%a4/%F0%9f%98%80?x=%2F";
	const char *reason;
	struct url url;

	(void)state;
	for (size_t n = 0; n < sizeof whole; n++) {
		char *copy = malloc(n == 0 ? 1 : n); /* ASan sees one byte too far */

		assert_non_null(copy);
		memcpy(copy, whole, n);
		if (url_parse(sv_of(copy, n), &url, &reason) == ERR_OK)
			assert_sv_equal(url.target, sv_of(copy, n));
		free(copy);
	}
}

static void paths_decode_to_what_they_mean(void **state)
{
	static const struct {
		struct sv path, want;
	} cases[] = {
	    {SV_INIT("/"), SV_INIT("/")},
	    {SV_INIT("/a%40b"), SV_INIT("/a@b")},
	    {SV_INIT("/%c3%A4"), SV_INIT("/\xc3\xa4")},
	    {SV_INIT("/a%2fb%2Fc"), SV_INIT("/a%2Fb%2Fc")},
	    {SV_INIT("/a%20"), SV_INIT("/a ")},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_sv_equal(url_decode_path(cases[i].path, out), cases[i].want);
}

static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

/* Properties: accepted targets are put together again from their parts, parse again to the same,
 * and their meaning has no dot or empty segment. The seed is fixed. */
static void what_is_taken_is_its_own_canonical_form(void **state)
{
	static const char *const pieces[] = {"/",   "a",   "..",  ".",	"%2e", "%2F", "%61",
					     "%40", "?",   "#",	  ";",	"\\",  "//",  "%c3%a4",
					     "%c3", "%00", "%25", "x/", "%",   "=",   "@"};
	uint32_t x = 2463534242U;
	unsigned taken = 0;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		char text[128] = "/", again[128], meaning[128];
		size_t n = 1, m;
		const char *reason;
		struct url url, second;
		struct sv path;

		for (uint32_t k = next_random(&x) % 7; k > 0; k--) {
			const char *piece = pieces[next_random(&x) % ARRAY_LEN(pieces)];

			memcpy(text + n, piece, strlen(piece));
			n += strlen(piece);
		}
		if (url_parse(sv_of(text, n), &url, &reason) != ERR_OK)
			continue;
		taken++;
		m = (size_t)snprintf(again, sizeof again, "%.*s%s%.*s", SV_ARG(url.path),
				     url.query.p == NULL ? "" : "?", (int)url.query.n,
				     url.query.p == NULL ? "" : url.query.p);
		assert_sv_equal(sv_of(again, m), sv_of(text, n));
		assert_int_equal(url_parse(sv_of(again, m), &second, &reason), ERR_OK);
		assert_sv_equal(second.path, url.path);
		path = url_decode_path(url.path, meaning);
		meaning[path.n] = '\0';
		assert_null(strstr(meaning, "//"));
		assert_null(strstr(meaning, "/../"));
		assert_null(strstr(meaning, "/./"));
		assert_null(strchr(meaning, '\\'));
	}
	assert_true(taken > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(canonical_targets_are_taken),
	    cmocka_unit_test(whatever_else_is_refused_with_its_reason),
	    cmocka_unit_test(length_has_a_limit),
	    cmocka_unit_test(every_truncation_is_judged_within_its_bytes),
	    cmocka_unit_test(paths_decode_to_what_they_mean),
	    cmocka_unit_test(what_is_taken_is_its_own_canonical_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/http_url.h"

#include "tests/unit/unit.h"

static void urls_are_judged(void **state)
{
	static const struct {
		const char *url;
		enum err want_https, want_loopback;
	} rows[] = {
	    {"https://idp.example", ERR_OK, ERR_OK},
	    {"https://idp.example/", ERR_OK, ERR_OK},
	    {"https://idp.example:8443/a/b?c=d", ERR_OK, ERR_OK},
	    {"https://[2001:db8::1]:443/", ERR_OK, ERR_OK},
	    {"http://localhost:9000/", ERR_DENIED, ERR_OK},
	    {"http://idp.localhost/", ERR_DENIED, ERR_OK},
	    {"http://127.0.0.1:9000", ERR_DENIED, ERR_OK},
	    {"http://127.255.0.9/", ERR_DENIED, ERR_OK},
	    {"http://[::1]:9000/", ERR_DENIED, ERR_OK},
	    {"http://idp.example/", ERR_DENIED, ERR_DENIED},
	    {"http://192.0.2.1/", ERR_DENIED, ERR_DENIED},
	    {"http://127.1/", ERR_DENIED, ERR_DENIED},
	    {"http://127.0.0.256/", ERR_DENIED, ERR_DENIED},
	    {"http://127.0.0.01/", ERR_DENIED, ERR_DENIED},
	    {"http://127.0.0.1.example/", ERR_DENIED, ERR_DENIED},
	    {"http://localhost.example/", ERR_DENIED, ERR_DENIED},
	    {"http://notlocalhost/", ERR_DENIED, ERR_DENIED},
	    {"http://.localhost/", ERR_DENIED, ERR_DENIED},
	    {"http://2130706433/", ERR_DENIED, ERR_DENIED},
	    {"ftp://idp.example/", ERR_DENIED, ERR_DENIED},
	    {"HTTPS://idp.example/", ERR_DENIED, ERR_DENIED},
	    {"//idp.example/", ERR_DENIED, ERR_DENIED},
	    {"", ERR_DENIED, ERR_DENIED},
	    {"https:///", ERR_SYNTAX, ERR_SYNTAX},
	    {"https://:443/", ERR_SYNTAX, ERR_SYNTAX},
	    {"https://user@idp.example/", ERR_SYNTAX, ERR_SYNTAX},
	    {"https://user:pw@idp.example/", ERR_SYNTAX, ERR_SYNTAX},
	    {"http://127.0.0.1@evil.example/", ERR_DENIED, ERR_SYNTAX},
	    {"http://localhost\\@evil.example/", ERR_SYNTAX, ERR_SYNTAX},
	    {"https://idp.example/#x", ERR_SYNTAX, ERR_SYNTAX},
	    {"https://idp.example:0/", ERR_SYNTAX, ERR_SYNTAX},
	    {"https://idp.example:65536/", ERR_SYNTAX, ERR_SYNTAX},
	    {"https://idp.example:/", ERR_SYNTAX, ERR_SYNTAX},
	    {"https://idp.example:4a/", ERR_SYNTAX, ERR_SYNTAX},
	    {"https://idp.ex ample/", ERR_SYNTAX, ERR_SYNTAX},
	    {"https://idp.example/\r\nX: y", ERR_SYNTAX, ERR_SYNTAX},
	    {"https://idp.ex\xc3\xa4mple/", ERR_SYNTAX, ERR_SYNTAX},
	    {"https://[::1/", ERR_SYNTAX, ERR_SYNTAX},
	    {"https://[]/", ERR_SYNTAX, ERR_SYNTAX},
	    {"https://[::1]x/", ERR_SYNTAX, ERR_SYNTAX},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sv url = sv_str(rows[i].url);
		enum err got_https = http_url_check(url, HTTP_ONLY_HTTPS);
		enum err got_loopback = http_url_check(url, HTTP_LOOPBACK_TOO);

		if (got_https != rows[i].want_https || got_loopback != rows[i].want_loopback)
			fail_msg("%s: %s, %s", rows[i].url, err_text(got_https),
				 err_text(got_loopback));
	}
}

static void length_is_limited(void **state)
{
	char url[HTTP_URL_MAX + 1] = "https://idp.example/";

	(void)state;
	memset(url + 20, 'a', sizeof url - 20);
	assert_int_equal(http_url_check(sv_of(url, HTTP_URL_MAX), HTTP_ONLY_HTTPS), ERR_OK);
	assert_int_equal(http_url_check(sv_of(url, HTTP_URL_MAX + 1), HTTP_ONLY_HTTPS), ERR_LIMIT);
	assert_int_equal(http_url_check(sv_of("https://a\0b/", 12), HTTP_ONLY_HTTPS), ERR_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(urls_are_judged),
	    cmocka_unit_test(length_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

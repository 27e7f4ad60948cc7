#include "common/config_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_origins(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* NULL: none */
		const char *want_host;
		uint16_t want_port;
	} cases[] = {
	    {"https://app.example.com", "https://app.example.com", "app.example.com", 443},
	    {"HTTPS://App.Example.COM", "https://app.example.com", "app.example.com", 443},
	    {"https://app.example.com:443", "https://app.example.com", "app.example.com", 443},
	    {"https://app.example.com:8443", "https://app.example.com:8443", "app.example.com",
	     8443},
	    {"http://localhost:80", "http://localhost", "localhost", 80},
	    {"http://127.0.0.1:3000", "http://127.0.0.1:3000", "127.0.0.1", 3000},
	    {"http://[0:0::1]:3000", "http://[::1]:3000", "[::1]", 3000},
	    {"https://app.example.com/", NULL, NULL, 0},
	    {"https://app.example.com.", NULL, NULL, 0},
	    {"https://user@app.example.com", NULL, NULL, 0},
	    {"https://app.example.com:", NULL, NULL, 0},
	    {"https://app.example.com:0", NULL, NULL, 0},
	    {"https://app.example.com:0443", NULL, NULL, 0},
	    {"https://app.example.com:65536", NULL, NULL, 0},
	    {"https://", NULL, NULL, 0},
	    {"https:/app", NULL, NULL, 0},
	    {"ftp://app.example.com", NULL, NULL, 0},
	    {"app.example.com", NULL, NULL, 0},
	    {"https://a..b", NULL, NULL, 0},
	    {"https://-a.b", NULL, NULL, 0},
	    {"https://a-.b", NULL, NULL, 0},
	    {"https://m\xc3\xbcnchen.de", NULL, NULL, 0},
	    {"https://127.1", NULL, NULL, 0},
	    {"https://0x7f.0.0.0x1", NULL, NULL, 0},
	    {"https://1.2.3.4.5", NULL, NULL, 0},
	    {"https://[::1", NULL, NULL, 0},
	    {"https://[::1]x", NULL, NULL, 0},
	    {"https://[::g]", NULL, NULL, 0},
	    {"null", NULL, NULL, 0},
	    {"", NULL, NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[CONFIG_ORIGIN_TEXT];
		struct config_origin got;
		enum err err = config_parse_origin(sv_str(cases[i].text), text, &got);

		if (cases[i].want == NULL) {
			assert_int_not_equal(err, ERR_OK);
			continue;
		}
		assert_int_equal(err, ERR_OK);
		assert_string_equal(got.text.p, cases[i].want);
		assert_string_equal(got.host.p, cases[i].want_host);
		assert_int_equal(got.text.n, strlen(cases[i].want));
		assert_int_equal(got.host.n, strlen(cases[i].want_host));
		assert_int_equal(got.port, cases[i].want_port);
	}
}

static void test_long_hosts(void **state)
{
	char text[CONFIG_ORIGIN_TEXT], in[600] = "https://";
	struct config_origin got;

	(void)state;
	for (size_t i = 0; i < 253; i++)
		in[8 + i] = i % 32 == 31 ? '.' : 'a';
	memcpy(in + 8 + 253, ":65535", 7);
	assert_int_equal(config_parse_origin(sv_str(in), text, &got), ERR_OK);
	assert_int_equal(got.host.n, 253);
	assert_string_equal(got.text.p, in);
	memmove(in + 9, in + 8, 260);
	assert_int_not_equal(config_parse_origin(sv_str(in), text, &got), ERR_OK);
}

static void test_loopback_and_domains(void **state)
{
	static const struct {
		const char *host;
		bool want_loopback, want_domain;
	} cases[] = {
	    {"localhost", true, false},	    {"app.localhost", true, true},
	    {"127.0.0.1", true, false},	    {"127.255.1.9", true, false},
	    {"[::1]", true, false},	    {"127.example.com", false, true},
	    {"notlocalhost", false, false}, {"localhost.example.com", false, true},
	    {"10.0.0.1", false, false},	    {"example.com", false, true},
	    {".example.com", false, false}, {"com", false, false},
	    {"example.com.", false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sv host = sv_str(cases[i].host);

		assert_int_equal(config_host_is_loopback(host), cases[i].want_loopback);
		assert_int_equal(config_host_is_domain(host), cases[i].want_domain);
	}
	assert_true(config_host_within(SV("a.example.com"), SV("example.com")));
	assert_true(config_host_within(SV("example.com"), SV("example.com")));
	assert_false(config_host_within(SV("badexample.com"), SV("example.com")));
	assert_false(config_host_within(SV("com"), SV("example.com")));
}

static void test_urls(void **state)
{
	static const struct {
		const char *text;
		const char *want_rest; /* NULL: no URL */
	} cases[] = {
	    {"https://a.example", ""},	    {"https://a.example/bye?x=1#y", "/bye?x=1#y"},
	    {"https://a.example?x", "?x"},  {"https://a.example\\@evil.example/", NULL},
	    {"https://a.example/ b", NULL}, {"https://a.example/\n", NULL},
	    {"//a.example/", NULL},	    {"javascript:alert(1)", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[CONFIG_ORIGIN_TEXT];
		struct config_origin o;
		struct sv got = SV_NONE;
		enum err err = config_parse_url(sv_str(cases[i].text), text, &o, &got);

		assert_int_equal(err == ERR_OK, cases[i].want_rest != NULL);
		if (err == ERR_OK)
			assert_true(sv_eq(got, sv_str(cases[i].want_rest)));
	}
}

static void test_uris_tokens_secrets(void **state)
{
	(void)state;
	assert_true(config_is_absolute_uri(SV("urn:example:orders")));
	assert_true(config_is_absolute_uri(SV("https://orders.example/?a=b")));
	assert_false(config_is_absolute_uri(SV("https://orders.example/#x")));
	assert_false(config_is_absolute_uri(SV("/orders")));
	assert_false(config_is_absolute_uri(SV("urn:")));
	assert_false(config_is_absolute_uri(SV("1a:b")));
	assert_true(config_is_token(SV("X-User_ID.1")));
	assert_false(config_is_token(SV("X User")));
	assert_false(config_is_token(SV("X:User")));
	assert_false(config_is_token(SV("")));
	assert_true(config_is_secret_path(SV("credential:key-ring")));
	assert_true(config_is_secret_path(SV("/run/secrets/key-ring")));
	assert_false(config_is_secret_path(SV("credential:")));
	assert_false(config_is_secret_path(SV("credential:../shadow")));
	assert_false(config_is_secret_path(SV("credential:a/b")));
	assert_false(config_is_secret_path(SV("s3cret")));
	assert_false(config_is_secret_path(SV("./key-ring")));
	assert_false(config_is_secret_path(SV("/")));
}

static void test_paths(void **state)
{
	static const struct {
		const char *text;
		bool want;
	} cases[] = {
	    {"/", true},
	    {"/api/crm/", true},
	    {"/api/crm", true},
	    {"/a%20b", true},
	    {"/a:b@c", true},
	    {"/%C3%BC", true},
	    {"", false},
	    {"api", false},
	    {"//", false},
	    {"/a//b", false},
	    {"/a/./b", false},
	    {"/a/../b", false},
	    {"/a/..", false},
	    {"/.", false},
	    {"/a%2Fb", false},
	    {"/a%2fb", false},
	    {"/a%5Cb", false},
	    {"/%41", false},
	    {"/%c3%bc", false},
	    {"/a%2", false},
	    {"/a%", false},
	    {"/a%00", false},
	    {"/a?b", false},
	    {"/a#b", false},
	    {"/a b", false},
	    {"/a\\b", false},
	    {"/\xc3\xbc", false},
	    {"/%2E%2E/", false},
	    {"/...", true},
	    {"/a;b=c", false},
	    {"/a%3Bb", false},
	    {"/a%40b", false},
	    {"/a%3Ab", false},
	    {"/a%25b", false},
	    {"/a%23b", false},
	    {"/a%5Bb", true},
	    {"/a%7C", true},
	    {"/a[b", false},
	    {"/%FF", false},
	    {"/%C2%9F", false}, /* a control: no request may have it */
	    {"/%C2%A0", true},
	    {"/%C3%bc", false},
	    {"/%C3", false},
	    {"/%C3x", false},
	    {"/%C3%41", false},
	    {"/%C0%AF", false},
	    {"/%E2%82%AC/x", true},
	    {"/%E2%82", false},
	    {"/%E0%9F%BF", false},
	    {"/%ED%A0%80", false},
	    {"/%F0%9F%98%80", true},
	    {"/%F0%8F%BF%BF", false},
	    {"/%F4%90%80%80", false},
	    {"/%F5%80%80%80", false},
	    {"/%80", false},
	    {"/%C3%BC%BC", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(config_is_canonical_path(sv_str(cases[i].text)), cases[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_origins),
	    cmocka_unit_test(test_long_hosts),
	    cmocka_unit_test(test_loopback_and_domains),
	    cmocka_unit_test(test_urls),
	    cmocka_unit_test(test_uris_tokens_secrets),
	    cmocka_unit_test(test_paths),
	};

	return cmocka_run_group_tests_name("config_url", tests, NULL, NULL);
}

#include "common/config_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_counts(void **state)
{
	static const struct {
		const char *text;
		enum err want;
		uint64_t want_value;
	} cases[] = {
	    {"0", ERR_OK, 0},	     {"8", ERR_OK, 8},
	    {"010", ERR_SYNTAX, 0},  {"00", ERR_SYNTAX, 0},
	    {"0x10", ERR_SYNTAX, 0}, {"", ERR_SYNTAX, 0},
	    {"-1", ERR_SYNTAX, 0},   {"+1", ERR_SYNTAX, 0},
	    {" 1", ERR_SYNTAX, 0},   {"9223372036854775807", ERR_OK, INT64_MAX},
	    {"1e3", ERR_SYNTAX, 0},  {"9223372036854775808", ERR_RANGE, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t got_value = 0;
		enum err got = config_parse_count(sv_str(cases[i].text), &got_value);

		assert_int_equal(got, cases[i].want);
		assert_int_equal(got_value, cases[i].want_value);
	}
}

static void test_units(void **state)
{
	static const struct {
		const char *text;
		int64_t want_ms;	/* -1: no duration */
		int64_t want_bytes;	/* -1: no size */
		const char *want_again; /* as printed */
	} cases[] = {
	    {"500ms", 500, -1, "500ms"},   {"1000ms", 1000, -1, "1s"},
	    {"5s", 5000, -1, "5s"},	   {"90s", 90000, -1, "90s"},
	    {"15m", 900000, -1, "15m"},	   {"24h", 86400000, -1, "1d"},
	    {"1d", 86400000, -1, "1d"},	   {"0s", 0, -1, "0s"},
	    {"0d", 0, -1, "0s"},	   {"5", -1, -1, NULL},
	    {"05s", -1, -1, NULL},	   {"5 s", -1, -1, NULL},
	    {"s", -1, -1, NULL},	   {"5S", -1, -1, NULL},
	    {"1w", -1, -1, NULL},	   {"1.5h", -1, -1, NULL},
	    {"1h30m", -1, -1, NULL},	   {"106751991168d", -1, -1, NULL}, /* over 2^63 ms */
	    {"32KiB", -1, 32768, "32KiB"}, {"1024KiB", -1, 1048576, "1MiB"},
	    {"100B", -1, 100, "100B"},	   {"32KB", -1, -1, NULL},
	    {"32k", -1, -1, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char got_again[CONFIG_UNIT_TEXT];
		int64_t got_ms = -1;
		uint64_t got_bytes = 0;
		bool is_size = config_parse_size(sv_str(cases[i].text), &got_bytes) == ERR_OK;

		if (config_parse_duration(sv_str(cases[i].text), &got_ms) != ERR_OK)
			assert_int_equal(got_ms, -1);
		assert_int_equal(got_ms, cases[i].want_ms);
		assert_int_equal(is_size ? (int64_t)got_bytes : -1, cases[i].want_bytes);
		if (cases[i].want_again == NULL)
			continue;
		if (is_size)
			config_format_size((size_t)got_bytes, got_again);
		else
			config_format_duration(got_ms, got_again);
		assert_string_equal(got_again, cases[i].want_again);
	}
}

static void test_booleans(void **state)
{
	static const struct {
		const char *text;
		int want; /* -1: no boolean */
	} cases[] = {{"yes", 1},  {"on", 1}, {"true", 1}, {"no", 0}, {"off", 0}, {"false", 0},
		     {"YES", -1}, {"1", -1}, {"0", -1},	  {"", -1},  {"ye", -1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool got = false;
		enum err err = config_parse_bool(sv_str(cases[i].text), &got);

		assert_int_equal(err == ERR_OK ? got : -1, cases[i].want);
	}
}

static void test_networks(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* NULL: none */
	} cases[] = {
	    {"10.20.0.0/28", "10.20.0.0/28"},
	    {"127.0.0.1", "127.0.0.1/32"},
	    {"0.0.0.0/0", "0.0.0.0/0"},
	    {"2001:DB8::/32", "2001:db8::/32"},
	    {"::1", "::1/128"},
	    {"::/0", "::/0"},
	    {"::ffff:10.0.0.0/104", "10.0.0.0/8"},
	    {"10.20.0.5/28", NULL},
	    {"10.20.0.0/33", NULL},
	    {"10.20.0.0/08", NULL},
	    {"10.20.0.0/", NULL},
	    {"10.20.0/24", NULL},
	    {"010.0.0.0/8", NULL},
	    {"localhost", NULL},
	    {"", NULL},
	    {"::/129", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct config_cidr c;
		char got[CONFIG_CIDR_TEXT] = "";
		enum err err = config_parse_cidr(sv_str(cases[i].text), &c);

		if (err == ERR_OK)
			config_format_cidr(&c, got);
		assert_string_equal(got, cases[i].want == NULL ? "" : cases[i].want);
	}
}

static void test_addresses(void **state)
{
	static const struct {
		const char *text;
		bool want;
	} cases[] = {
	    {"127.0.0.1:7080", true}, {"[::1]:7080", true},
	    {"[fe80::1]:1", true},    {"127.0.0.1", false},
	    {"127.0.0.1:0", false},   {"127.0.0.1:65536", false},
	    {"::1:7080", false},      {"[::1]7080", false},
	    {"localhost:80", false},  {":80", false},
	    {"*:80", false},	      {"127.0.0.1:080", false},
	    {"[::1", false},	      {"", false},
	    {"unix:/v", true},	      {"unix:/run/bff/v.sock", true},
	    {"unix:", false},	      {"unix:/", false},
	    {"unix:v", false},	      {"unix:/run/", false},
	    {"unix:/a b", false},     {"unix:/a\n", false},
	    {"Unix:/v", false},	      {"/v", false},
	};
	char longest[5 + 1 + CONFIG_UNIX_PATH_MAX + 1] = "unix:/";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool got = config_parse_address(sv_str(cases[i].text)) == ERR_OK;

		assert_int_equal(got, cases[i].want);
	}
	memset(longest + 6, 'x', CONFIG_UNIX_PATH_MAX);
	assert_int_equal(config_parse_address(sv_of(longest, 5 + CONFIG_UNIX_PATH_MAX)), ERR_OK);
	assert_int_equal(config_parse_address(sv_of(longest, 5 + CONFIG_UNIX_PATH_MAX + 1)),
			 ERR_RANGE);
	assert_true(sv_eq(config_unix_path(SV("unix:/v")), SV("/v")));
	assert_int_equal(config_unix_path(SV("127.0.0.1:1")).n, 0);
}

static void tokens_of_a_pointer(void **state)
{
	static const struct {
		struct sv in;
		const char *want; /* NULL: none */
	} rows[] = {
	    {SV_INIT("roles"), "roles"}, {SV_INIT(""), ""},	 {SV_INIT("a~1b"), "a/b"},
	    {SV_INIT("~01"), "~1"},	 {SV_INIT("m~n"), NULL}, {SV_INIT("m~"), NULL},
	    {SV_INIT("m~2"), NULL},
	};
	char longest[CONFIG_MAX_CLAIM + 1], out[CONFIG_MAX_CLAIM + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(config_pointer_token(rows[i].in, out), rows[i].want != NULL);
		if (rows[i].want != NULL)
			assert_string_equal(out, rows[i].want);
	}
	memset(longest, 'x', sizeof longest);
	assert_true(config_pointer_token(sv_of(longest, CONFIG_MAX_CLAIM), out));
	assert_int_equal(strlen(out), CONFIG_MAX_CLAIM);
	assert_false(config_pointer_token(sv_of(longest, CONFIG_MAX_CLAIM + 1), out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tokens_of_a_pointer), cmocka_unit_test(test_counts),
	    cmocka_unit_test(test_units),	   cmocka_unit_test(test_booleans),
	    cmocka_unit_test(test_networks),	   cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests_name("config_value", tests, NULL, NULL);
}

#include "broker/json_strict.h"

#include "tests/unit/unit.h"

static void only_strict_json_passes(void **state)
{
	static const struct {
		struct sv in;
		enum err want;
	} rows[] = {
	    {SV_INIT("{}"), ERR_OK},
	    {SV_INIT(" \t\r\n[ ] "), ERR_OK},
	    {SV_INIT("{\"a\":[1,-0,0.5,1e5,1E+5,-1.25e-3,true,false,null,\"x\",{}]}"), ERR_OK},
	    {SV_INIT("\"\\u00e9\\ud83d\\ude00\\n\\/\""), ERR_OK},
	    {SV_INIT("\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\""), ERR_OK},
	    {SV_INIT("{\"a\":{\"x\":1},\"b\":{\"x\":1}}"), ERR_OK},
	    {SV_INIT("[{\"x\":1},{\"x\":1}]"), ERR_OK},
	    /* what json-c takes */
	    {SV_INIT("{\"a\":1,\"a\":2}"), ERR_EXISTS},
	    {SV_INIT("{\"a\":1,\"\\u0061\":2}"), ERR_EXISTS},
	    {SV_INIT("{\"x\":{\"a\":1,\"b\":{},\"a\":2}}"), ERR_EXISTS},
	    {SV_INIT("{'a':1}"), ERR_SYNTAX},
	    {SV_INIT("NaN"), ERR_SYNTAX},
	    {SV_INIT("{\"a\":NaN}"), ERR_SYNTAX},
	    {SV_INIT("[Infinity]"), ERR_SYNTAX},
	    {SV_INIT("[-Infinity]"), ERR_SYNTAX},
	    {SV_INIT("\"a\nb\""), ERR_SYNTAX},
	    {SV_INIT("\"a\0b\""), ERR_SYNTAX},
	    {SV_INIT("\"\\u0000\""), ERR_SYNTAX},
	    {SV_INIT("{\"a\\u0000\":1}"), ERR_SYNTAX},
	    {SV_INIT("\"\\ud800\""), ERR_SYNTAX},
	    {SV_INIT("\"\\ud800\\u0041\""), ERR_SYNTAX},
	    {SV_INIT("\"\\ude00\\ud83d\""), ERR_SYNTAX},
	    {SV_INIT("\"\\ud83d"), ERR_SYNTAX},
	    /* grammar */
	    {SV_INIT(""), ERR_SYNTAX},
	    {SV_INIT("  "), ERR_SYNTAX},
	    {SV_INIT("{} {}"), ERR_SYNTAX},
	    {SV_INIT("{}\0"), ERR_SYNTAX},
	    {SV_INIT("{}x"), ERR_SYNTAX},
	    {SV_INIT("{\"a\":1,}"), ERR_SYNTAX},
	    {SV_INIT("[1,]"), ERR_SYNTAX},
	    {SV_INIT("[,1]"), ERR_SYNTAX},
	    {SV_INIT("[1 2]"), ERR_SYNTAX},
	    {SV_INIT("{\"a\" 1}"), ERR_SYNTAX},
	    {SV_INIT("{a:1}"), ERR_SYNTAX},
	    {SV_INIT("{1:1}"), ERR_SYNTAX},
	    {SV_INIT("[1}"), ERR_SYNTAX},
	    {SV_INIT("[01]"), ERR_SYNTAX},
	    {SV_INIT("[+1]"), ERR_SYNTAX},
	    {SV_INIT("[.5]"), ERR_SYNTAX},
	    {SV_INIT("[5.]"), ERR_SYNTAX},
	    {SV_INIT("[1e]"), ERR_SYNTAX},
	    {SV_INIT("[0x10]"), ERR_SYNTAX},
	    {SV_INIT("[-]"), ERR_SYNTAX},
	    {SV_INIT("[tru]"), ERR_SYNTAX},
	    {SV_INIT("[True]"), ERR_SYNTAX},
	    {SV_INIT("[/**/1]"), ERR_SYNTAX},
	    {SV_INIT("\"\\x41\""), ERR_SYNTAX},
	    {SV_INIT("\"\\u12g4\""), ERR_SYNTAX},
	    {SV_INIT("\"\\"), ERR_SYNTAX},
	    {SV_INIT("\"abc"), ERR_SYNTAX},
	    {SV_INIT("\xef\xbb\xbf{}"), ERR_SYNTAX},
	    /* UTF-8 */
	    {SV_INIT("\"\x80\""), ERR_SYNTAX},
	    {SV_INIT("\"\xc0\xaf\""), ERR_SYNTAX},
	    {SV_INIT("\"\xe0\x80\xaf\""), ERR_SYNTAX},
	    {SV_INIT("\"\xed\xa0\x80\""), ERR_SYNTAX},
	    {SV_INIT("\"\xf4\x90\x80\x80\""), ERR_SYNTAX},
	    {SV_INIT("\"\xf0\x9f\x98\""), ERR_SYNTAX},
	    {SV_INIT("\"\xff\""), ERR_SYNTAX},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum err got = json_strict_scan(rows[i].in, 1000);

		if (got != rows[i].want)
			fail_msg("row %zu: %s", i, err_text(got));
	}
}

static void every_truncation_is_refused(void **state)
{
	struct sv whole = SV("{\"a\":[1,{\"b\":\"\\ud83d\\ude00 \xe2\x82\xac\"},true,-1.5e3],"
			     "\"c\":null}");

	(void)state;
	assert_int_equal(json_strict_scan(whole, whole.n), ERR_OK);
	assert_int_equal(json_strict_scan(whole, whole.n - 1), ERR_LIMIT);
	for (size_t n = 0; n < whole.n; n++) {
		char *exact = malloc(n + 1); /* so that ASan sees one byte too far */

		memcpy(exact + 1, whole.p, n);
		assert_int_equal(json_strict_scan(sv_of(exact + 1, n), 1000), ERR_SYNTAX);
		free(exact);
	}
}

static void nesting_members_and_digits_have_limits(void **state)
{
	static char text[64 * 1024];
	size_t n;

	(void)state;
	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_int_equal(json_strict_scan(sv_of(text, 2 * JSON_DEPTH_MAX), sizeof text), ERR_OK);
	memset(text, '[', sizeof text);
	assert_int_equal(json_strict_scan(sv_of(text, sizeof text), sizeof text), ERR_LIMIT);
	for (unsigned members = JSON_MEMBERS_MAX; members <= JSON_MEMBERS_MAX + 1; members++) {
		n = 0;
		for (unsigned i = 0; i < members; i++)
			n += (size_t)snprintf(text + n, sizeof text - n, "%c\"k%u\":0",
					      i == 0 ? '{' : ',', i);
		text[n++] = '}';
		assert_int_equal(json_strict_scan(sv_of(text, n), sizeof text),
				 members == JSON_MEMBERS_MAX ? ERR_OK : ERR_LIMIT);
	}
	memset(text, '1', JSON_NUMBER_MAX + 1);
	assert_int_equal(json_strict_scan(sv_of(text, JSON_NUMBER_MAX), sizeof text), ERR_OK);
	assert_int_equal(json_strict_scan(sv_of(text, JSON_NUMBER_MAX + 1), sizeof text),
			 ERR_LIMIT);
}

struct told {
	char text[256];
	size_t n;
	unsigned stop_after;
};

static enum err tell(void *arg, struct sv key, struct sv value)
{
	struct told *t = arg;

	t->n += (size_t)snprintf(t->text + t->n, sizeof t->text - t->n, SV_FMT "=" SV_FMT ";",
				 SV_ARG(key), SV_ARG(value));
	return --t->stop_after == 0 ? ERR_CANCELED : ERR_OK;
}

static void the_outermost_members_are_told(void **state)
{
	struct told t = {.stop_after = 100};

	(void)state;
	assert_int_equal(json_strict_object(SV(" {\"a\" : {\"x\":1} , \"b\":\"\\n\", \"c\":[2]}"),
					    100, tell, &t),
			 ERR_OK);
	assert_string_equal(t.text, "a={\"x\":1};b=\"\\n\";c=[2];");
	t = (struct told){.stop_after = 1};
	assert_int_equal(json_strict_object(SV("{\"a\":1,\"b\":2}"), 100, tell, &t), ERR_CANCELED);
	assert_string_equal(t.text, "a=1;");
	assert_int_equal(json_strict_object(SV("[1]"), 100, tell, &t), ERR_SYNTAX);
	assert_int_equal(json_strict_object(SV("\"a\""), 100, tell, &t), ERR_SYNTAX);
}

static void strings_are_unescaped(void **state)
{
	static const struct {
		struct sv in, want;
		enum err want_err;
	} rows[] = {
	    {SV_INIT("\"\""), SV_INIT(""), ERR_OK},
	    {SV_INIT("\"abc\""), SV_INIT("abc"), ERR_OK},
	    {SV_INIT("\"a\\/b\\\"\\\\\\b\\f\\n\\r\\t\""), SV_INIT("a/b\"\\\b\f\n\r\t"), ERR_OK},
	    {SV_INIT("\"\\u00e9\\u20ac\\ud83d\\ude00A\""),
	     SV_INIT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"
		     "A"),
	     ERR_OK},
	    {SV_INIT("12"), SV_INIT(""), ERR_SYNTAX},
	    {SV_INIT("\""), SV_INIT(""), ERR_SYNTAX},
	    {SV_INIT("null"), SV_INIT(""), ERR_SYNTAX},
	    {SV_INIT("\"01234567890123456789\""), SV_INIT(""), ERR_LIMIT},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char got[16];
		size_t n = 0;

		assert_int_equal(json_strict_string(rows[i].in, got, sizeof got, &n),
				 rows[i].want_err);
		assert_sv_equal(sv_of(got, n), rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_strict_json_passes),
	    cmocka_unit_test(every_truncation_is_refused),
	    cmocka_unit_test(nesting_members_and_digits_have_limits),
	    cmocka_unit_test(the_outermost_members_are_told),
	    cmocka_unit_test(strings_are_unescaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

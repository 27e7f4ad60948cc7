#include "common/json_lex.h"

#include "tests/unit/unit.h"

/* On the heap at its own size, so that ASan sees one byte too far. */
static struct sv exact_of(struct sv s)
{
	char *p = malloc(s.n + 1);

	assert_non_null(p);
	memcpy(p + 1, s.p, s.n);
	return sv_of(p + 1, s.n);
}

static void exact_free(struct sv s)
{
	char *p = (char *)(uintptr_t)(s.p - 1);

	free(p);
}

static void strings_by_table(void **state)
{
	static const struct {
		struct sv in;	 /* behind it comes a comma */
		struct sv means; /* p NULL: refused */
		bool plain, has_nul;
	} rows[] = {
	    {SV_INIT("\"\""), SV_INIT(""), true, false},
	    {SV_INIT("\"abc\""), SV_INIT("abc"), true, false},
	    {SV_INIT("\"a run that is longer than eight\""),
	     SV_INIT("a run that is longer than eight"), true, false},
	    {SV_INIT("\"\x7f\""), SV_INIT("\x7f"), true, false},
	    {SV_INIT("\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80!\""),
	     SV_INIT("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80!"), true, false},
	    {SV_INIT("\"a\\/b\\\"\\\\\\b\\f\\n\\r\\t\""), SV_INIT("a/b\"\\\b\f\n\r\t"), false,
	     false},
	    {SV_INIT("\"\\u00e9\\u20AC\\ud83d\\uDE00A\""),
	     SV_INIT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"
		     "A"),
	     false, false},
	    {SV_INIT("\"\\u0000x\\u007f\""), SV_INIT("\0x\x7f"), false, true},
	    {SV_INIT("\"\xc3\xa9\\u0000\xc3\xa9\""), SV_INIT("\xc3\xa9\0\xc3\xa9"), false, true},
	    {SV_INIT("abc"), {NULL, 0}, false, false},
	    {SV_INIT("'abc'"), {NULL, 0}, false, false},
	    {SV_INIT("\""), {NULL, 0}, false, false},
	    {SV_INIT("\"abc"), {NULL, 0}, false, false},
	    {SV_INIT("\"a\nb\""), {NULL, 0}, false, false},
	    {SV_INIT("\"a\0b\""), {NULL, 0}, false, false},
	    {SV_INIT("\"\\x41\""), {NULL, 0}, false, false},
	    {SV_INIT("\"\\U0041\""), {NULL, 0}, false, false},
	    {SV_INIT("\"\\\0\""), {NULL, 0}, false, false},
	    {SV_INIT("\"\\u12g4\""), {NULL, 0}, false, false},
	    {SV_INIT("\"\\u004\""), {NULL, 0}, false, false},
	    {SV_INIT("\"\\ud83d\""), {NULL, 0}, false, false},
	    {SV_INIT("\"\\ude00\""), {NULL, 0}, false, false},
	    {SV_INIT("\"\\ud83d\\n\""), {NULL, 0}, false, false},
	    {SV_INIT("\"\\ud83d\\u0041\""), {NULL, 0}, false, false},
	    {SV_INIT("\"\\ude00\\ud83d\""), {NULL, 0}, false, false},
	    {SV_INIT("\"\x80\""), {NULL, 0}, false, false},
	    {SV_INIT("\"\xc0\xaf\""), {NULL, 0}, false, false},
	    {SV_INIT("\"\xed\xa0\x80\""), {NULL, 0}, false, false},
	    {SV_INIT("\"\xf4\x90\x80\x80\""), {NULL, 0}, false, false},
	    {SV_INIT("\"\xe2\x82\""), {NULL, 0}, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sv in = exact_of(rows[i].in);
		struct json_lex l = json_lex_of(in);
		bool taken = rows[i].means.p != NULL;
		struct json_string got;
		char text[64];
		size_t n = 0;

		if (json_lex_string(&l, &got) != taken)
			fail_msg("row %zu", i);
		if (taken) {
			assert_ptr_equal(l.p, l.end);
			assert_sv_equal(got.text, sv_cut(in, 1, in.n - 1));
			assert_int_equal(got.plain, rows[i].plain);
			assert_int_equal(got.has_nul, rows[i].has_nul);
			assert_true(json_unescape(got.text, text, sizeof text, &n));
			assert_sv_equal(sv_of(text, n), rows[i].means);
			assert_true(n == 0 || !json_unescape(got.text, text, n - 1, &n));
			assert_true(json_unescape(got.text, text, n, &n));
		}
		exact_free(in);
	}
}

/* The same wherever in the word that is read at once it stands. */
static void a_quote_is_found_wherever_it_stands(void **state)
{
	(void)state;
	for (size_t n = 0; n < 40; n++)
		for (size_t behind = 0; behind < 20; behind++) {
			char text[64];
			struct json_lex l = {text, text + 2 + n + behind};
			struct json_string got;

			memset(text, 'x', sizeof text);
			text[0] = text[1 + n] = '"';
			assert_true(json_lex_string(&l, &got));
			assert_int_equal(got.text.n, n);
			assert_ptr_equal(l.p, text + 2 + n);
			l = (struct json_lex){text, text + 1 + n};
			assert_false(json_lex_string(&l, &got));
		}
}

static void scalars_by_table(void **state)
{
	static const struct {
		struct sv in;
		size_t want; /* bytes taken; 0: refused */
	} rows[] = {
	    {SV_INIT("true"), 4},     {SV_INIT("false"), 5}, {SV_INIT("null"), 4},
	    {SV_INIT("0"), 1},	      {SV_INIT("-0"), 2},    {SV_INIT("12,"), 2},
	    {SV_INIT("-1.5e3]"), 6},  {SV_INIT("1E+5"), 4},  {SV_INIT("0.5"), 3},
	    {SV_INIT("1e-9"), 4},     {SV_INIT("01"), 1},    {SV_INIT("truex"), 4},
	    {SV_INIT(""), 0},	      {SV_INIT("-"), 0},     {SV_INIT("+1"), 0},
	    {SV_INIT(".5"), 0},	      {SV_INIT("5."), 0},    {SV_INIT("1e"), 0},
	    {SV_INIT("1e+"), 0},      {SV_INIT("-x"), 0},    {SV_INIT("tru"), 0},
	    {SV_INIT("True"), 0},     {SV_INIT("nul"), 0},   {SV_INIT("NaN"), 0},
	    {SV_INIT("Infinity"), 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sv in = exact_of(rows[i].in);
		struct json_lex l = json_lex_of(in);
		bool taken = json_lex_scalar(&l);

		if (taken != (rows[i].want > 0) || (taken && l.p != in.p + rows[i].want))
			fail_msg("row %zu", i);
		exact_free(in);
	}
}

/* How many members of digits an object has; -1: it is none. */
static int members_of(struct sv text)
{
	struct json_lex l = json_lex_of(text);
	struct json_string name;
	enum json_item i = json_lex_first(&l, '}');
	int n = 0;

	for (; i == JSON_ITEM; i = json_lex_more(&l, '}'), n++)
		if (!json_lex_name(&l, &name) || !json_lex_scalar(&l))
			return -1;
	return i == JSON_END && l.p == l.end ? n : -1;
}

static void members_by_table(void **state)
{
	static const struct {
		struct sv in; /* behind the bracket */
		int want;
	} rows[] = {
	    {SV_INIT("}"), 0},
	    {SV_INIT(" \t\r\n}"), 0},
	    {SV_INIT("\"a\":1}"), 1},
	    {SV_INIT(" \"a\" : 1 , \"b\"\n:\t2 }"), 2},
	    {SV_INIT(""), -1},
	    {SV_INIT(","), -1},
	    {SV_INIT(",\"a\":1}"), -1},
	    {SV_INIT("\"a\":1"), -1},
	    {SV_INIT("\"a\":1,"), -1},
	    {SV_INIT("\"a\":1,}"), -1},
	    {SV_INIT("\"a\":1 \"b\":2}"), -1},
	    {SV_INIT("\"a\" 1}"), -1},
	    {SV_INIT("\"a\":}"), -1},
	    {SV_INIT("\"a\"}"), -1},
	    {SV_INIT("a:1}"), -1},
	    {SV_INIT("\"a\":1]"), -1},
	    {SV_INIT("\v}"), -1},
	    {SV_INIT("\xa0}"), -1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sv in = exact_of(rows[i].in);

		if (members_of(in) != rows[i].want)
			fail_msg("row %zu: " SV_FMT, i, SV_ARG(in));
		exact_free(in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(strings_by_table),
	    cmocka_unit_test(a_quote_is_found_wherever_it_stands),
	    cmocka_unit_test(scalars_by_table),
	    cmocka_unit_test(members_by_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

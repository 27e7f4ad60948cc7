#include "tests/unit/unit.h"

static void numbers_are_whole_decimal_and_in_range(void **state)
{
	static const struct {
		struct sv in;
		uint64_t max;
		enum err want_err;
		uint64_t want;
	} rows[] = {
	    {SV_INIT("0"), 9, ERR_OK, 0},
	    {SV_INIT("300"), 300, ERR_OK, 300},
	    {SV_INIT("301"), 300, ERR_RANGE, 0},
	    {SV_INIT("18446744073709551615"), UINT64_MAX, ERR_OK, UINT64_MAX},
	    {SV_INIT("18446744073709551616"), UINT64_MAX, ERR_RANGE, 0},
	    {SV_INIT("99999999999999999999999"), UINT64_MAX, ERR_RANGE, 0},
	    {SV_INIT(""), 9, ERR_SYNTAX, 0},
	    {SV_INIT("300x"), 999, ERR_SYNTAX, 0},
	    {SV_INIT("-1"), 9, ERR_SYNTAX, 0},
	    {SV_INIT("+1"), 9, ERR_SYNTAX, 0},
	    {SV_INIT(" 1"), 9, ERR_SYNTAX, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t got = 4242;

		assert_int_equal(sv_u64(rows[i].in, rows[i].max, &got), rows[i].want_err);
		assert_int_equal(got, rows[i].want_err == ERR_OK ? rows[i].want : 4242);
	}
}

static void letters_and_digits_are_those_of_ascii(void **state)
{
	static const char all[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	(void)state;
	for (unsigned c = 0; c < 256; c++)
		assert_int_equal(sv_is_alnum((char)c), c != 0 && strchr(all, (int)c) != NULL);
}

static void cuts_are_clamped(void **state)
{
	(void)state;
	assert_sv_equal(sv_cut(SV("abc"), 1, 2), SV("b"));
	assert_sv_equal(sv_cut(SV("abc"), 2, 99), SV("c"));
	assert_sv_equal(sv_cut(SV("abc"), 9, 99), SV(""));
	assert_sv_equal(sv_cut(SV("abc"), 2, 1), SV(""));
	assert_null(sv_cut(SV_NONE, 0, 1).p);
}

static void trimming_takes_space_and_tab_alone(void **state)
{
	(void)state;
	assert_sv_equal(sv_trim(SV(" \t a b\t ")), SV("a b"));
	assert_sv_equal(sv_trim(SV(" \t ")), SV(""));
	assert_sv_equal(sv_trim(SV("\na\n")), SV("\na\n"));
}

static void words_stand_between_spaces(void **state)
{
	(void)state;
	assert_true(sv_has_word(SV("ab c"), SV("ab")) && sv_has_word(SV("ab c"), SV("c")));
	assert_true(sv_has_word(SV("  c"), SV("c")));
	assert_false(sv_has_word(SV("ab c"), SV("a")) || sv_has_word(SV("ab c"), SV("b")));
	assert_false(sv_has_word(SV("ab c"), SV("ab c")) || sv_has_word(SV("a  b"), SV("")));
	assert_false(sv_has_word(SV_NONE, SV("a")) || sv_has_word(SV_NONE, SV_NONE));
}

static void comparisons(void **state)
{
	(void)state;
	assert_true(sv_eq_nocase(SV("X-User-ID"), SV("x-user-id")));
	assert_false(sv_eq_nocase(SV("X-User-ID"), SV("x_user_id")));
	assert_false(sv_eq_nocase(SV("["), SV("{"))); /* differ by 0x20, are no letters */
	assert_true(sv_eq(SV_NONE, SV("")));
	assert_true(sv_starts(SV("abc"), SV("ab")) && !sv_starts(SV("a"), SV("ab")));
	assert_true(sv_ends(SV("abc"), SV("bc")) && !sv_ends(SV("c"), SV("bc")));
	assert_int_equal(sv_find(SV("abc"), 'c'), 2);
	assert_int_equal(sv_find(SV("abc"), 'x'), 3);
}

/* Each byte alone, at every place of a text that is longer than a word. */
static void controls_are_found_wherever_they_stand(void **state)
{
	char text[21];

	(void)state;
	for (size_t n = 0; n <= sizeof text; n++)
		for (unsigned c = 0; c < 256; c++)
			for (size_t at = 0; at < n; at++) {
				memset(text, (c & 1) != 0 ? '\x80' : ' ', sizeof text);
				text[at] = (char)c;
				assert_int_equal(sv_has_control(sv_of(text, n)),
						 c < ' ' || c == 0x7f);
				assert_int_equal(sv_find_control(sv_of(text, n)),
						 c < ' ' || c == 0x7f ? at : n);
			}
	assert_false(sv_has_control(SV_NONE));
}

static void all_but_plain_text_is_found_wherever_it_stands(void **state)
{
	char text[25];

	(void)state;
	for (size_t n = 0; n <= sizeof text; n++)
		for (unsigned c = 0; c < 256; c++)
			for (size_t at = 0; at < n; at++) {
				bool other = c < ' ' || c > '~' || c == '"' || c == '%';
				char *exact = malloc(n); /* so that ASan sees one byte too far */

				memset(text, (c & 1) != 0 ? '~' : ' ', sizeof text);
				text[at] = (char)c;
				memcpy(exact, text, n);
				assert_int_equal(sv_find_special(sv_of(exact, n), '"', '%'),
						 other ? at : n);
				memset(exact + at, (char)c, n - at); /* the first one of many */
				assert_int_equal(sv_find_special(sv_of(exact, n), '%', '"'),
						 other ? at : n);
				free(exact);
			}
	assert_int_equal(sv_find_special(SV_NONE, '"', '%'), 0);
}

static void utf8_is_of_one_form(void **state)
{
	static const struct {
		struct sv in;
		size_t want;
	} rows[] = {
	    {SV_INIT(""), 0},
	    {SV_INIT("a"), 1},
	    {SV_INIT("\0"), 1},
	    {SV_INIT("\xc3\xa9x"), 2},
	    {SV_INIT("\xe2\x82\xac"), 3},
	    {SV_INIT("\xed\x9f\xbf"), 3},
	    {SV_INIT("\xf0\x9f\x92\xa9"), 4},
	    {SV_INIT("\xf4\x8f\xbf\xbf"), 4},
	    {SV_INIT("\x80"), 0}, /* no lead byte */
	    {SV_INIT("\xc3"), 0}, /* cut short */
	    {SV_INIT("\xe2\x82"), 0},
	    {SV_INIT("\xc3x"), 0},
	    {SV_INIT("\xc1\x81"), 0}, /* overlong */
	    {SV_INIT("\xe0\x9f\xbf"), 0},
	    {SV_INIT("\xf0\x8f\xbf\xbf"), 0},
	    {SV_INIT("\xed\xa0\x80"), 0},     /* a surrogate */
	    {SV_INIT("\xf4\x90\x80\x80"), 0}, /* over U+10FFFF */
	    {SV_INIT("\xf5\x80\x80\x80"), 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(sv_utf8_len(rows[i].in), rows[i].want);
}

static void hexadecimal_is_of_either_case_and_whole(void **state)
{
	(void)state;
	assert_int_equal(sv_hex_byte(SV("aF"), 0), 0xaf);
	assert_int_equal(sv_hex_byte(SV("%00"), 1), 0);
	assert_int_equal(sv_hex_byte(SV("%FFf"), 1), 0xff);
	assert_int_equal(sv_hex_byte(SV("%4"), 1), -1);
	assert_int_equal(sv_hex_byte(SV("%"), 1), -1);
	assert_int_equal(sv_hex_byte(SV("4g"), 0), -1);
	assert_int_equal(sv_hex_byte(SV("g4"), 0), -1);
	for (int c = 0; c < 256; c++)
		assert_int_equal(sv_hex_digit((char)c) != -1,
				 c != 0 && strchr("0123456789abcdefABCDEF", c) != NULL);
}

static void escaped_utf8_is_the_same(void **state)
{
	(void)state;
	assert_int_equal(sv_utf8_escaped_len(SV("%41%41")), 3);
	assert_int_equal(sv_utf8_escaped_len(SV("%c3%BC%BC")), 6);
	assert_int_equal(sv_utf8_escaped_len(SV("%F0%9F%98%80%80")), 12);
	assert_int_equal(sv_utf8_escaped_len(SV("%C3")), 0);
	assert_int_equal(sv_utf8_escaped_len(SV("%C3x%BC")), 0);
	assert_int_equal(sv_utf8_escaped_len(SV("%C3%B")), 0);
	assert_int_equal(sv_utf8_escaped_len(SV("%C3%zz")), 0);
	assert_int_equal(sv_utf8_escaped_len(SV("%C0%AF")), 0);
	assert_int_equal(sv_utf8_escaped_len(SV("A%41")), 0);
	assert_int_equal(sv_utf8_escaped_len(SV_NONE), 0);
}

/* The vectors of the FNV-1a's authors. */
static void hash_is_fnv_1a(void **state)
{
	uint64_t whole = sv_hash(SV_HASH_START, SV("foobar"));

	(void)state;
	assert_true(sv_hash(SV_HASH_START, SV("")) == UINT64_C(0xcbf29ce484222325));
	assert_true(sv_hash(SV_HASH_START, SV("a")) == UINT64_C(0xaf63dc4c8601ec8c));
	assert_true(whole == UINT64_C(0x85944171f73967e8));
	assert_true(sv_hash(sv_hash(SV_HASH_START, SV("foo")), SV("bar")) == whole);
}

static void comparing_orders_bytes_and_prefixes(void **state)
{
	(void)state;
	assert_true(sv_compare(SV("a"), SV("b")) < 0 && sv_compare(SV("b"), SV("a")) > 0);
	assert_true(sv_compare(SV("a"), SV("ab")) < 0 && sv_compare(SV("ab"), SV("a")) > 0);
	assert_true(sv_compare(SV("\x7f"), SV("\x80")) < 0);
	assert_true(sv_compare(SV_NONE, SV("")) == 0 && sv_compare(SV("a"), SV("a")) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hexadecimal_is_of_either_case_and_whole),
	    cmocka_unit_test(escaped_utf8_is_the_same),
	    cmocka_unit_test(hash_is_fnv_1a),
	    cmocka_unit_test(comparing_orders_bytes_and_prefixes),
	    cmocka_unit_test(numbers_are_whole_decimal_and_in_range),
	    cmocka_unit_test(letters_and_digits_are_those_of_ascii),
	    cmocka_unit_test(cuts_are_clamped),
	    cmocka_unit_test(trimming_takes_space_and_tab_alone),
	    cmocka_unit_test(words_stand_between_spaces),
	    cmocka_unit_test(comparisons),
	    cmocka_unit_test(controls_are_found_wherever_they_stand),
	    cmocka_unit_test(all_but_plain_text_is_found_wherever_it_stands),
	    cmocka_unit_test(utf8_is_of_one_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

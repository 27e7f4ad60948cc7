#include "broker/json_strict.h"
#include "tests/unit/unit.h"

static struct json_object *o;

static int set_up(void **state)
{
	struct sv text =
	    SV("{\"s\":\"text\",\"e\":\"\",\"i\":12,\"z\":0,\"m\":9007199254740991,"
	       "\"m1\":9007199254740992,\"neg\":-1,\"big\":18446744073709551616,\"huge\":1e300,"
	       "\"d\":1700000000.75,\"dneg\":-0.5,\"is\":\"12x\",\"t\":true,\"n\":null,"
	       "\"a\":[\"x\",\"y\"],\"am\":[\"x\",1],\"ae\":[],\"o\":{\"k\":1}}");

	(void)state;
	return json_strict_parse(text, 1000, &o) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	json_object_put(o);
	return 0;
}

static void strings_are_not_converted(void **state)
{
	static const struct {
		const char *key;
		enum err want;
	} rows[] = {
	    {"s", ERR_OK},     {"e", ERR_OK},	  {"i", ERR_SYNTAX}, {"t", ERR_SYNTAX},
	    {"n", ERR_SYNTAX}, {"a", ERR_SYNTAX}, {"o", ERR_SYNTAX}, {"no", ERR_NOT_FOUND},
	};
	struct sv got;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(json_get_string(o, rows[i].key, 4, &got), rows[i].want);
	assert_int_equal(json_get_string(o, "s", 4, &got), ERR_OK);
	assert_sv_equal(got, SV("text"));
	assert_int_equal(json_get_string(o, "s", 3, &got), ERR_LIMIT);
}

static void numbers_are_in_range(void **state)
{
	static const struct {
		const char *key;
		enum err want_int, want_date;
		int64_t want;
	} rows[] = {
	    {"i", ERR_OK, ERR_OK, 12},
	    {"z", ERR_OK, ERR_OK, 0},
	    {"m", ERR_OK, ERR_OK, JSON_INT_MAX},
	    {"m1", ERR_RANGE, ERR_RANGE, 0},
	    {"neg", ERR_RANGE, ERR_RANGE, 0},
	    {"big", ERR_RANGE, ERR_RANGE, 0},
	    {"huge", ERR_SYNTAX, ERR_RANGE, 0},
	    {"d", ERR_SYNTAX, ERR_OK, 1700000000},
	    {"dneg", ERR_SYNTAX, ERR_RANGE, 0},
	    {"is", ERR_SYNTAX, ERR_SYNTAX, 0},
	    {"t", ERR_SYNTAX, ERR_SYNTAX, 0},
	    {"n", ERR_SYNTAX, ERR_SYNTAX, 0},
	    {"no", ERR_NOT_FOUND, ERR_NOT_FOUND, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t got = 4242;

		assert_int_equal(json_get_int(o, rows[i].key, &got), rows[i].want_int);
		assert_int_equal(got, rows[i].want_int == ERR_OK ? rows[i].want : 4242);
		got = 4242;
		assert_int_equal(json_get_date(o, rows[i].key, &got), rows[i].want_date);
		assert_int_equal(got, rows[i].want_date == ERR_OK ? rows[i].want : 4242);
	}
}

static void other_types(void **state)
{
	struct json_object *got;
	bool yes = false;

	(void)state;
	assert_int_equal(json_get_bool(o, "t", &yes), ERR_OK);
	assert_true(yes);
	assert_int_equal(json_get_bool(o, "i", &yes), ERR_SYNTAX);
	assert_int_equal(json_get_array(o, "o", &got), ERR_SYNTAX);
	assert_int_equal(json_get_object(o, "a", &got), ERR_SYNTAX);
	assert_int_equal(json_get_object(o, "o", &got), ERR_OK);
	assert_int_equal(json_get_array(o, "a", &got), ERR_OK);
	assert_true(json_array_has(got, SV("y")));
	assert_false(json_array_has(got, SV("z")));
	assert_int_equal(json_get_array(o, "am", &got), ERR_OK);
	assert_false(json_array_has(got, SV("x"))); /* an element of another type spoils it */
	assert_int_equal(json_get_array(o, "ae", &got), ERR_OK);
	assert_false(json_array_has(got, SV("x")));
}

static void only_objects_are_parsed(void **state)
{
	struct json_object *got = NULL;

	(void)state;
	assert_int_equal(json_strict_parse(SV("[1]"), 100, &got), ERR_SYNTAX);
	assert_int_equal(json_strict_parse(SV("{\"a\":1,\"a\":1}"), 100, &got), ERR_EXISTS);
	assert_int_equal(json_strict_parse(SV("{\"a\":1}"), 6, &got), ERR_LIMIT);
	assert_null(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(strings_are_not_converted),
	    cmocka_unit_test(numbers_are_in_range),
	    cmocka_unit_test(other_types),
	    cmocka_unit_test(only_objects_are_parsed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

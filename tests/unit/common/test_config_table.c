#include "common/config_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/config_source.h"

static void test_rows_are_whole(void **state)
{
	size_t got_options[CONFIG_SECTIONS] = {0};

	(void)state;
	for (size_t i = 0; i < CONFIG_OPTIONS; i++) {
		const struct config_option *o = &config_options[i];
		bool spelled =
		    o->kind == CONFIG_WORD || o->kind == CONFIG_MASK || o->kind == CONFIG_SWITCH;

		got_options[o->section]++;
		assert_true(o->text != NULL && o->text[0] != '\0');
		assert_int_equal(o->words != NULL, spelled);
		assert_true(o->min <= o->max);
		assert_true(o->kind == CONFIG_RULE || o->kind == CONFIG_RULES ||
			    o->offset < (config_sections[o->section].repeats == CONFIG_ONE
					     ? sizeof(struct config)
					     : config_sections[o->section].size));
		for (size_t k = 0; k < i; k++)
			assert_false(config_options[k].section == o->section &&
				     strcmp(config_options[k].name, o->name) == 0);
	}
	for (size_t i = 0; i < CONFIG_SECTIONS; i++)
		assert_true(got_options[i] <= CONFIG_MAX_OPTIONS);
}

static void test_words(void **state)
{
	const struct config_word *words = config_options[CONFIG_OPT_listen_edge].words;
	int got = -1;

	(void)state;
	assert_true(config_word_value(words, SV("caddy"), &got));
	assert_int_equal(got, EDGE_CADDY);
	assert_false(config_word_value(words, SV("cadd"), &got));
	assert_false(config_word_value(words, SV(""), &got));
	assert_string_equal(config_word_name(words, EDGE_NONE), "none");
	assert_null(config_word_name(words, 99));
}

static void test_rules(void **state)
{
	static const struct {
		enum config_option_id id;
		enum config_require_op want;
	} cases[] = {{CONFIG_OPT_require_equals, REQUIRE_EQUALS},
		     {CONFIG_OPT_require_contains, REQUIRE_CONTAINS},
		     {CONFIG_OPT_require_any, REQUIRE_ANY},
		     {CONFIG_OPT_require_all, REQUIRE_ALL},
		     {CONFIG_OPT_require_domain, REQUIRE_DOMAIN}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(config_require_op(cases[i].id), cases[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows_are_whole),
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_rules),
	};

	return cmocka_run_group_tests_name("config_table", tests, NULL, NULL);
}

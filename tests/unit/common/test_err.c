#include "common/err.h"

#include "tests/unit/unit.h"

static void every_code_has_a_text(void **state)
{
	(void)state;
	assert_string_equal(err_text(ERR_OK), "ok");
#define ERR(name, text) assert_string_equal(err_text(ERR_##name), text);
#include "common/err.def"
#undef ERR
}

static void a_long_sentence_is_cut_not_overrun(void **state)
{
	struct errmsg m;
	char long_text[2 * ERRMSG_MAX];

	(void)state;
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	assert_int_equal(errmsg_set(&m, ERR_CONFIG, "%s", long_text), ERR_CONFIG);
	assert_int_equal(strlen(m.text), ERRMSG_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_code_has_a_text),
	    cmocka_unit_test(a_long_sentence_is_cut_not_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

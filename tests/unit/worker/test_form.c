#include "worker/form.h"

#include "tests/unit/unit.h"

static void forms_by_table(void **state)
{
	static const struct {
		struct sv text;
		enum err want;
		struct sv code, state;
	} cases[] = {
#define CASE(text, ...) {{text, sizeof text - 1}, __VA_ARGS__}
#define IS(text)                                                                                   \
	{                                                                                          \
		text, sizeof text - 1                                                              \
	}
	    CASE("", ERR_OK, {NULL, 0}, {NULL, 0}),
	    CASE("&", ERR_OK, {NULL, 0}, {NULL, 0}),
	    CASE("&&=&=x&", ERR_OK, {NULL, 0}, {NULL, 0}),
	    CASE("code", ERR_OK, IS(""), {NULL, 0}),
	    CASE("code=a&state=b", ERR_OK, IS("a"), IS("b")),
	    CASE("state=b&other=c&code=a=b", ERR_OK, IS("a=b"), IS("b")),
	    CASE("code=a+b%20c%2B&Code=x", ERR_OK, IS("a b c+"), {NULL, 0}),
	    CASE("co%64e=a", ERR_OK, IS("a"), {NULL, 0}),
	    CASE("code=%C3%A9", ERR_OK, IS("\xc3\xa9"), {NULL, 0}),
	    CASE("code=a&code=a", ERR_EXISTS, {NULL, 0}, {NULL, 0}),
	    CASE("code=&code=a", ERR_EXISTS, {NULL, 0}, {NULL, 0}),
	    CASE("code=a&%63ode=b", ERR_EXISTS, {NULL, 0}, {NULL, 0}),
	    CASE("code=%", ERR_SYNTAX, {NULL, 0}, {NULL, 0}),
	    CASE("code=%4", ERR_SYNTAX, {NULL, 0}, {NULL, 0}),
	    CASE("code=%zz", ERR_SYNTAX, {NULL, 0}, {NULL, 0}),
	    CASE("code=%00", ERR_SYNTAX, {NULL, 0}, {NULL, 0}),
	    CASE("code=a%0d%0ab", ERR_SYNTAX, {NULL, 0}, {NULL, 0}),
	    CASE("%g=1&code=a", ERR_SYNTAX, {NULL, 0}, {NULL, 0}),
#undef IS
#undef CASE
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct form_field f[] = {{.name = SV("code")}, {.name = SV("state")}};
		char *scratch = malloc(cases[i].text.n == 0 ? 1 : cases[i].text.n);
		enum err got;

		assert_non_null(scratch);
		got = form_parse(cases[i].text, f, ARRAY_LEN(f), scratch);
		if (got != cases[i].want)
			print_error("case %zu: " SV_FMT "\n", i, SV_ARG(cases[i].text));
		assert_int_equal(got, cases[i].want);
		if (got == ERR_OK) {
			assert_sv_equal(f[0].value, cases[i].code);
			assert_sv_equal(f[1].value, cases[i].state);
			assert_int_equal(f[0].value.p == NULL, cases[i].code.p == NULL);
			assert_int_equal(f[1].value.p == NULL, cases[i].state.p == NULL);
		}
		free(scratch);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(forms_by_table)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

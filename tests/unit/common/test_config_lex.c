#include "common/config_source.h"

#include "tests/unit/common/config_stage.h"
#include "tests/unit/torture.h"

/* Instead of reading a file, an include adds the word <pattern> in the depth it was asked at. */
enum err __wrap_config_source_include(struct config_source *s, size_t token, struct sv pattern,
				      unsigned depth);

enum err __wrap_config_source_include(struct config_source *s, size_t token, struct sv pattern,
				      unsigned depth)
{
	assert_int_equal(depth, 0);
	assert_int_equal(s->tokens[token].kind, ' ');
	return config_lex(s, 0, sv_eq(pattern, SV("bad")) ? SV("}") : SV("included = 1\n"),
			  depth + 1);
}

/* Each token as text@line/frame, with ! behind a name and . behind a brace that ends a section. */
static const char *tokens_of(const struct config_source *s)
{
	static char out[4096];
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < s->ntokens; i++) {
		const struct config_token *t = &s->tokens[i];

		n += (size_t)snprintf(out + n, sizeof out - n, "%s%.*s%s%s@%u/%u",
				      i == 0 ? "" : " ", t->kind == '"' ? (int)t->text.n : 1,
				      t->kind == '"' ? t->text.p : &t->kind, t->is_name ? "!" : "",
				      t->closes ? "." : "", t->line, t->frame);
		assert_true(n < sizeof out);
	}
	return out;
}

static void test_tokens(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
	    {"", ""},
	    {" \t\r\n# x\n// y\n/* z\n\n */", ""},
	    {"a = b", "a!@1/0 =@1/0 b@1/0"},
	    {"a\n=\n\nb", "a!@1/0 =@2/0 b@4/0"},
	    {"/*\n*/a=b#c", "a!@2/0 =@2/0 b@2/0"},
	    {"a = {b, \"c d\"}", "a!@1/0 =@1/0 {@1/0 b@1/0 ,@1/0 c d@1/0 }@1/0"},
	    {"a = {}", "a!@1/0 =@1/0 {@1/0 }@1/0"},
	    {"a { b = 1 }\nc = 2", "a!@1/0 {@1/0 b!@1/1 =@1/1 1@1/1 }.@1/1 c!@2/0 =@2/0 2@2/0"},
	    {"a \"t\" { }", "a!@1/0 t@1/0 {@1/0 }.@1/1"},
	    {"a { b \"t\" {\nc = 1\n}\nd = 2 }",
	     "a!@1/0 {@1/0 b!@1/1 t@1/1 {@1/1 c!@2/2 =@2/2 1@2/2 }.@3/2 d!@4/1 =@4/1 2@4/1 "
	     "}.@4/1"},
	    {"a { } a \"t\" { } a \"t\" { }",
	     "a!@1/0 {@1/0 }.@1/1 a!@1/0 t@1/0 {@1/0 }.@1/2 a!@1/0 t@1/0 {@1/0 }.@1/3"},
	    {"a = '$\\n${X}'", "a!@1/0 =@1/0 $\\n${X}@1/0"}, /* single quotes: as it stands */
	    {"a = x-y_z.0", "a!@1/0 =@1/0 x-y_z.0@1/0"},
	    {"a = \"\\\"\\\\\\$\\x41\"", "a!@1/0 =@1/0 \"\\$A@1/0"},
	    {"include(\"x\") b = 1", " @1/0 included!@1/0 =@1/0 1@1/0 b!@1/0 =@1/0 1@1/0"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct stage s;

		if (stage_lex(&s, cases[i].text, strlen(cases[i].text), CONFIG_EXPAND) != ERR_OK)
			fail_msg("case %zu: %s", i, s.e.text);
		assert_string_equal(tokens_of(&s.source), cases[i].want);
		stage_done(&s);
	}
}

static void test_expansion(void **state)
{
	static const struct {
		const char *text, *want;
		enum config_expand mode;
	} cases[] = {
	    {"a = \"${V}\"", "v", CONFIG_EXPAND},
	    {"a = ${V}", "v", CONFIG_EXPAND},
	    {"a = x${V}y", "xvy", CONFIG_EXPAND},
	    {"a = \"x${V}${V}\"", "xvv", CONFIG_EXPAND},
	    {"a = \"${U:-d}\"", "d", CONFIG_EXPAND},
	    {"a = \"${E:-d}\"", "d", CONFIG_EXPAND}, /* empty counts as unset for a default */
	    {"a = \"${E}\"", "", CONFIG_EXPAND},     /* but it is set */
	    {"a = \"${U:-}\"", "", CONFIG_EXPAND},
	    {"a = \"${U:-a:-b}\"", "a:-b", CONFIG_EXPAND},
	    {"a = \"$V $ {V}\"", "$V $ {V}", CONFIG_EXPAND},
	    {"a = \"${W}\"", "\"} b = 1 {", CONFIG_EXPAND}, /* what it holds is no syntax */
	    {"a = \"${V}\"", "${V}", CONFIG_LITERAL},
	};

	(void)state;
	assert_int_equal(setenv("V", "v", 1) | setenv("E", "", 1) | unsetenv("U") |
			     setenv("W", "\"} b = 1 {", 1),
			 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct stage s;

		if (stage_lex(&s, cases[i].text, strlen(cases[i].text), cases[i].mode) != ERR_OK)
			fail_msg("case %zu: %s", i, s.e.text);
		assert_int_equal(s.source.ntokens, 3);
		assert_sv_equal(s.source.tokens[2].text, sv_str(cases[i].want));
		stage_done(&s);
	}
}

static void test_refusals(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
	    {"a = \"${U}\"", "f:1: a: expected the environment to have U: it is unset"},
	    {"\na = \"${1}\"", "f:2: a: expected ${NAME} or"},
	    {"a = \"${}\"", "f:1: a: expected ${NAME} or"},
	    {"a = \"${A-B}\"", "f:1: a: expected ${NAME} or"},
	    {"a = \"${V:d}\"", "f:1: a: expected ${NAME} or"},
	    {"a = \"${V\"", "f:1: a: expected } at the end of ${...}"},
	    {"a = \"${V\n}\"", "f:1: a: expected } at the end of ${...}"},
	    {"a = 1\nb = 2\na = 3", "f:3: a: expected once in a section, it is also on line 1"},
	    {"a { }\na { }", "f:2: a: expected once in a section"},
	    {"a { b = 1\nb = 2 }", "f:2: b: expected once in a section"},
	    {"a = 1 {", "f:1: a: expected no { here"},
	    {"a =", "f:1: a: expected more before the end of the file"},
	    {"a", "f:1: a: expected more before the end of the file"},
	    {"a = {b", "f:1: a: expected more before the end of the file"},
	    {"\na {\n\nb = 1\n", "f:2: a: expected } at the end of this section"},
	    {"a = \"\xc3\xa9\" }", "f:1: a: expected an option or section, found } without {"},
	    {"\xc3\xa9 = 1", "f:1: file: expected a name, a value, or quotes around it, found "
			     "character 0xc3"},
	    {"include(\"bad\")", "f:1: file: expected an option or section, found }"},
	    {"include \n( \"x\" ; )", "f:1: include: expected include(\"pattern\")"},
	};

	(void)state;
	assert_int_equal(setenv("V", "v", 1) | unsetenv("U"), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct stage s;
		enum err got = stage_lex(&s, cases[i].text, strlen(cases[i].text), CONFIG_EXPAND);

		if (got != ERR_CONFIG ||
		    strncmp(s.e.text, cases[i].want, strlen(cases[i].want)) != 0)
			fail_msg("case %zu: %s: %s", i, err_text(got), s.e.text);
		stage_done(&s);
	}
}

/* ---- limits ----------------------------------------------------------------------------- */

static void assert_limit(const char *within, const char *beyond, const char *want)
{
	struct stage s;

	if (stage_lex(&s, within, strlen(within), CONFIG_EXPAND) != ERR_OK)
		fail_msg("%s", s.e.text);
	stage_done(&s);
	assert_int_equal(stage_lex(&s, beyond, strlen(beyond), CONFIG_EXPAND), ERR_CONFIG);
	assert_non_null(strstr(s.e.text, want));
	stage_done(&s);
}

/* n times before, its number, after. */
static char *repeated(const char *before, const char *after, unsigned n)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	for (unsigned i = 0; i < n; i++)
		buf_addf(&b, "%s%u%s", before, i, after);
	buf_add_char(&b, '\0');
	assert_true(buf_ok(&b));
	return b.p;
}

static void test_limits(void **state)
{
	char *within = malloc(CONFIG_MAX_VALUE + 64), *beyond = malloc(CONFIG_MAX_VALUE + 64);

	(void)state;
	assert_true(within != NULL && beyond != NULL);
	(void)sprintf(within, "a = \"%*s\"", CONFIG_MAX_VALUE, "x");
	(void)sprintf(beyond, "a = \"%*s\"", CONFIG_MAX_VALUE + 1, "x");
	assert_limit(within, beyond, "f:1: a: expected at most 8192 bytes");
	free(within);
	free(beyond);
	assert_limit("a { b { c { d { } } } }", "a { b { c { d { e { } } } } }",
		     "f:1: e: expected sections at most 4 deep");
}

static void test_limits_of_options_and_sections(void **state)
{
	char *within = repeated("o", " = 1\n", CONFIG_MAX_OPTIONS);
	char *beyond = repeated("o", " = 1\n", CONFIG_MAX_OPTIONS + 1);

	(void)state;
	assert_limit(within, beyond, "f:65: o64: expected at most 64 options in a section");
	free(within);
	free(beyond);
	within = repeated("s t", " {}\n", CONFIG_MAX_SECTIONS);
	beyond = repeated("s t", " {}\n", CONFIG_MAX_SECTIONS + 1);
	assert_limit(within, beyond, "f:25001: s: expected at most 25000 sections");
	free(within);
	free(beyond);
}

/* ---- everything that is no whole text ----------------------------------------------------- */

static const char dense[] = "# c\na \"t\" { b = \"x\\x41${V:-d}\" c = {1, 'two', ${V}} /* x */\n"
			    "d \"u\" { e = 2 } }\nf = {}\n// end\ninclude(\"x\")\n";

/* Each beginning of a text is taken or refused with a place, and with every byte changed. */
static void test_truncated_and_changed(void **state)
{
	(void)state;
	assert_int_equal(setenv("V", "v", 1), 0);
	for (size_t n = 0; n < sizeof dense; n++) {
		static const char bytes[] = {'\0', '"', '{', '}', '\\', '$', '\n', '\xff'};
		char text[sizeof dense];
		struct stage s;
		enum err got;
		char *exact = malloc(n); /* so that one byte too far is seen */

		assert_non_null(exact);
		memcpy(exact, dense, n);
		got = stage_lex(&s, exact, n, CONFIG_EXPAND);
		assert_true(got == ERR_OK || (got == ERR_CONFIG && s.e.text[0] == 'f'));
		stage_done(&s);
		free(exact);
		for (size_t i = 0; n < sizeof dense - 1 && i < sizeof bytes; i++) {
			memcpy(text, dense, sizeof dense);
			text[n] = bytes[i];
			got = stage_lex(&s, text, sizeof text - 1, CONFIG_EXPAND);
			assert_true(got == ERR_OK || (got == ERR_CONFIG && s.e.text[0] == 'f'));
			stage_done(&s);
		}
	}
}

static enum err attempt(void *arg)
{
	struct stage s;
	enum err err = stage_lex(&s, dense, sizeof dense - 1, CONFIG_EXPAND);

	(void)arg;
	stage_done(&s);
	return err;
}

static void test_without_memory(void **state)
{
	(void)state;
	assert_true(torture(attempt, NULL) > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tokens),
	    cmocka_unit_test(test_expansion),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_limits_of_options_and_sections),
	    cmocka_unit_test(test_truncated_and_changed),
	    cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

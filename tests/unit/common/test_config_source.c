#include "common/config_source.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/unit/common/config_text.h"

#define REST                                                                                       \
	CONFIG_TEXT_WEB CONFIG_TEXT_BROKER CONFIG_TEXT_PROVIDER CONFIG_TEXT_APP                    \
	    CONFIG_TEXT_IDENTITY CONFIG_TEXT_SERVICE CONFIG_TEXT_ROUTE

/* What the text is refused with, "" when it is taken, without the name of the file. */
static const char *refusal(const char *text, size_t n, struct errmsg *e)
{
	struct config *c = NULL;
	size_t path_n;

	e->text[0] = '\0';
	if (config_text_load(text, n, &c, e, &path_n) == ERR_OK) {
		config_free(&c);
		return "";
	}
	return e->text + path_n;
}

static void test_syntax(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* how the message goes on after FILE; "" none */
	} cases[] = {
	    {CONFIG_TEXT_DATABASE REST, ""},
	    {"/* a\nb */ # c\n// d\n" CONFIG_TEXT_DATABASE REST, ""},
	    {"database\n{\nconninfo\n=\n'a$b\\' /* x */ }\n" REST, ""},
	    {"", ":1: conninfo: expected a value"},
	    {"\n\ndatabase { conninfo = \"a\"\nconninfo = \"b\" }\n" REST,
	     ":4: conninfo: expected once in a section, it is also on line 3 of "},
	    {"\ndatabase { conninfo = \"a\" }\ndatabase { }\n" REST,
	     ":3: database: expected once in a section, it is also on line 2 of "},
	    {"database { conninfo = \"a\" }\n" REST "\napp \"a\" {}\n",
	     ":10: app: found duplicate title 'a'"},
	    {"database { conninfo = \"a\"\nconifno = x }\n" REST,
	     ":2: conifno: unknown here; expected one of conninfo, web_password_file"},
	    {"\ndatabaes { }\n", ":2: databaes: unknown here; expected one of database, web"},
	    {"database { conninfo \"a\" }\n", ":1: conninfo: missing equal sign"},
	    {"database { conninfo = }\n", ":1: conninfo: unexpected token '}'"},
	    {"database { conninfo = {\"a\"} }\n", ":1: conninfo: unexpected token '{'"},
	    {"database { \"conninfo\" = a }\n", ":1: database: expected the name of an option"},
	    {"database { conninfo += a }\n", ":1: conninfo: expected a name, a value"},
	    {"database { conninfo = \"a\"\n\n", ":1: database: expected } at the end"},
	    {"database { conninfo = \"a\" }\n}\n",
	     ":2: file: expected an option or section, found }"},
	    {"database { conninfo = \"a\n\" }\n", ":1: conninfo: expected a closing quote on the"},
	    {"database { conninfo = \"a", ":1: conninfo: expected a closing quote"},
	    {"database { conninfo = \"\\q\" }\n", ":1: conninfo: expected \\\", \\\\"},
	    {"database { conninfo = \"\\x00\" }\n", ":1: conninfo: expected \\\", \\\\"},
	    {"database { conninfo = \"\\x4\" }\n", ":1: conninfo: expected \\\", \\\\"},
	    {"database { conninfo = \"a\tb\" }\n", ":1: conninfo: expected no control"},
	    {"/* a\n\n", ":1: file: expected */"},
	    {"database { conninfo = a/b }\n", ":1: conninfo: expected a name, a value"},
	    {"database { conninfo = a;b }\n", ":1: conninfo: expected a name, a value"},
	    {"listen { }\n", ":1: listen: missing title"},
	    {"a { b { c { d { e { } } } } }\n", ":1: e: expected sections at most 4 deep"},
	    {"database { web|workers = 3 }\n", ":1: web: expected a name, a value"},
	    {"database { conninfo = \"a\" }\nweb { cookie_keys = \"/k\" workers = 2 }\nweb|x = 1\n",
	     ":3: web: expected a name"},
	    {"app \"a\" { origins = {\"https://a.example\",\n,\n\"b\"} }\n",
	     ":2: origins: unexpected"},
	    {"include = 3\n", ":1: include: unknown here"},
	    {"database { include(\"x\") }\n", ":1: include: expected outside of sections"},
	    {"include(x)\n", ":1: include: expected include(\"pattern\")"},
	    {"include(\"x\"\n", ":1: include: expected include(\"pattern\")"},
	    {"include(\"\")\n", ":1: include: expected the name of a file"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct errmsg e;
		const char *got = refusal(cases[i].text, strlen(cases[i].text), &e);
		size_t n = cases[i].want[0] == '\0' ? 1 : strlen(cases[i].want);

		if (strncmp(got, cases[i].want, n) != 0)
			fail_msg("case %zu: want FILE%s, got %s", i, cases[i].want, e.text);
	}
}

static void test_nul_is_refused(void **state)
{
	static const char text[] = "database { conninfo = \"a\0b\" }\n";
	struct errmsg e;

	(void)state;
	assert_non_null(strstr(refusal(text, sizeof text - 1, &e), ":1: conninfo: expected no "));
}

static void test_limits(void **state)
{
	size_t n = CONFIG_MAX_BYTES + 1;
	char *text = malloc(n + 1);
	struct errmsg e;

	(void)state;
	assert_non_null(text);
	memset(text, '\n', n);
	text[n] = '\0';
	assert_non_null(strstr(refusal(text, n, &e), ":1: file: expected at most 1048576 bytes"));
	(void)snprintf(text, n, "database { conninfo = \"%*s\" }\n", CONFIG_MAX_VALUE + 1, "x");
	assert_non_null(
	    strstr(refusal(text, strlen(text), &e), ":1: conninfo: expected at most 8192"));
	(void)snprintf(text, n, "database { conninfo = \"%*s\" }\n", 4097, "x");
	assert_non_null(
	    strstr(refusal(text, strlen(text), &e), ":1: conninfo: expected at most 4096"));
	strcpy(text, "database {");
	for (int i = 0; i < 65; i++)
		(void)sprintf(text + strlen(text), "o%d = 1\n", i);
	assert_non_null(strstr(refusal(text, strlen(text), &e), ":65: o64: expected at most 64"));
	strcpy(text, CONFIG_TEXT_DATABASE CONFIG_TEXT_WEB CONFIG_TEXT_BROKER);
	for (int i = 0; i < 17; i++)
		(void)sprintf(text + strlen(text), "listen \"l%d\" { }\n", i);
	assert_non_null(
	    strstr(refusal(text, strlen(text), &e), ":20: listen: expected at most 16"));
	free(text);
}

static void test_variables(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* conninfo; NULL: refused */
		const char *want_error;
	} cases[] = {
	    {"\"a ${BFF_T_SET} b\"", "a value b", NULL},
	    {"${BFF_T_SET}", "value", NULL},
	    {"x${BFF_T_SET}y", "xvaluey", NULL},
	    {"\"${BFF_T_SET:-other}\"", "value", NULL},
	    {"\"${BFF_T_UNSET:-a b,c}\"", "a b,c", NULL},
	    {"\"${BFF_T_EMPTY:-x}\"", "x", NULL},
	    {"\"x${BFF_T_EMPTY}\"", "x", NULL},
	    {"\"\\${BFF_T_SET}\"", "${BFF_T_SET}", NULL},
	    {"'${BFF_T_SET}'", "${BFF_T_SET}", NULL},
	    {"\"$BFF_T_SET $\"", "$BFF_T_SET $", NULL},
	    {"\"${BFF_T_NESTED}\"", "${BFF_T_SET}\" }", NULL},
	    {"\"${BFF_T_UNSET}\"", NULL,
	     ":2: conninfo: expected the environment to have BFF_T_UNSET"},
	    {"\"${BFF_T_SET\"\n", NULL, ":2: conninfo: expected } at the end"},
	    {"\"${}\"", NULL, ":2: conninfo: expected ${NAME}"},
	    {"\"${1A}\"", NULL, ":2: conninfo: expected ${NAME}"},
	    {"\"${A-b}\"", NULL, ":2: conninfo: expected ${NAME}"},
	    {"\"${BFF_T_SET:x}\"", NULL, ":2: conninfo: expected ${NAME}"},
	};

	(void)state;
	(void)setenv("BFF_T_SET", "value", 1); /* its memory is ours to have */
	(void)setenv("BFF_T_EMPTY", "", 1);
	(void)setenv("BFF_T_NESTED", "${BFF_T_SET}\" }", 1);
	(void)unsetenv("BFF_T_UNSET");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[4096];
		struct config *c = NULL;
		struct errmsg e = {""};
		size_t path_n;
		int n = snprintf(text, sizeof text, "database {\nconninfo = %s }\n" REST,
				 cases[i].text);
		enum err got = config_text_load(text, (size_t)n, &c, &e, &path_n);

		if (cases[i].want == NULL) {
			assert_int_equal(got, ERR_CONFIG);
			assert_ptr_equal(strstr(e.text, cases[i].want_error), e.text + path_n);
			continue;
		}
		if (got != ERR_OK)
			fail_msg("case %zu: got %s", i, e.text);
		assert_string_equal(c->database.conninfo.p, cases[i].want);
		config_free(&c);
	}
}

/* A directory of its own for each test, gone afterwards. */
static char dir[256];

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	(void)snprintf(dir, sizeof dir, "%s/bff-[config]-XXXXXX", tmp == NULL ? P_tmpdir : tmp);
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static int remove_dir(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *in_dir(const char *name)
{
	static char path[512];

	(void)snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static enum err load(struct config **ret, struct errmsg *e)
{
	e->text[0] = '\0';
	return config_load(in_dir("main.conf"), ret, e);
}

/* The message is about this file of the directory. */
static void assert_refused(const char *name, const char *want)
{
	char full[1024];
	struct config *c = NULL;
	struct errmsg e;

	assert_int_equal(load(&c, &e), ERR_CONFIG);
	(void)snprintf(full, sizeof full, "%s:%s", in_dir(name), want);
	if (strncmp(e.text, full, strlen(full)) != 0)
		fail_msg("want %s, got %s", full, e.text);
}

#define MAIN CONFIG_TEXT_DATABASE CONFIG_TEXT_WEB CONFIG_TEXT_BROKER CONFIG_TEXT_PROVIDER

static void test_includes_are_sorted(void **state)
{
	struct config *c = NULL;
	struct errmsg e;

	(void)state;
	assert_int_equal(mkdir(in_dir("conf.d"), 0700), 0);
	put("main.conf", MAIN CONFIG_TEXT_APP "include(\"conf.d/*.conf\") include('none/*.conf')\n"
					      "route \"last\" { app = a path = \"/last\" }\n");
	put("conf.d/20.conf", "route \"two\" { app = a path = \"/2\" }\n");
	put("conf.d/10.conf", "include(\"deep.inc\")\nroute \"one\" { app = a path = \"/1\" }\n");
	put("conf.d/deep.inc", "route \"deep\" { app = a path = \"/d\" }");
	put("conf.d/ignored.txt", "nonsense");
	if (load(&c, &e) != ERR_OK)
		fail_msg("%s", e.text);
	assert_int_equal(c->nroutes, 4);
	assert_string_equal(c->routes[0].name.p, "deep");
	assert_string_equal(c->routes[1].name.p, "one");
	assert_string_equal(c->routes[2].name.p, "two");
	assert_string_equal(c->routes[3].name.p, "last");
	assert_string_equal(c->routes[1].place.file, in_dir("conf.d/10.conf"));
	assert_int_equal(c->routes[1].place.line, 2);
	assert_string_equal(c->routes[3].place.file, in_dir("main.conf"));
	assert_int_equal(c->routes[3].place.line, 7);
	config_free(&c);
}

static void test_many_includes_are_sorted(void **state)
{
	struct config *c = NULL;
	struct errmsg e;

	(void)state;
	put("main.conf", MAIN CONFIG_TEXT_APP "include(\"r*.conf\")\n");
	/* Written in an order that is neither that of their names nor its reverse. */
	for (int i = 0; i < 31; i++) {
		char name[16], text[64];
		int k = i * 12 % 31;

		(void)snprintf(name, sizeof name, "r%02d.conf", k);
		(void)snprintf(text, sizeof text, "route \"r%02d\" { app = a path = \"/%d\" }", k,
			       k);
		put(name, text);
	}
	if (load(&c, &e) != ERR_OK)
		fail_msg("%s", e.text);
	assert_int_equal(c->nroutes, 31);
	for (size_t i = 1; i < c->nroutes; i++)
		assert_true(strcmp(c->routes[i - 1].name.p, c->routes[i].name.p) < 0);
	config_free(&c);
}

static void test_places_in_includes(void **state)
{
	(void)state;
	put("main.conf", MAIN "include(\"app.conf\")\n\n\nroute \"r\" { app = a path = x }\n");
	put("app.conf", "\n\n" CONFIG_TEXT_APP);
	assert_refused("main.conf", "8: path: expected a path");
	put("app.conf", "\n\napp \"a\" { provider = p\n\nfoo = 3\n}\n");
	assert_refused("app.conf", "5: foo: unknown here");
	put("app.conf",
	    "\n\napp \"a\" { provider = p\norigins = {\n\"https://a.example\",\n\"b\"}\n}\n");
	assert_refused("app.conf", "6: origins: expected an origin");
	put("app.conf", "\n\napp \"a\" {\n\n");
	assert_refused("app.conf", "3: app: expected } at the end");
	put("app.conf", "}\n");
	assert_refused("app.conf", "1: file: expected an option or section, found }");
	put("app.conf", CONFIG_TEXT_APP "web { workers = 3 }\n");
	assert_refused("app.conf", "2: web: expected once in a section, it is also on line 2 of");
	put("app.conf", "database\n");
	assert_refused("app.conf", "1: database: expected more before the end");
}

static void test_includes_that_fail(void **state)
{
	(void)state;
	put("main.conf", MAIN "\ninclude(\"missing.conf\")\n");
	assert_refused("main.conf", "6: include: expected a file ");
	put("main.conf", "\ninclude(\"main.conf\")\n");
	assert_refused("main.conf", "2: include: expected includes at most 8 deep");
	put("main.conf", "include(\".\")\n");
	assert_refused(".", "1: file: expected a regular file");
	assert_int_equal(mkfifo(in_dir("pipe"), 0600), 0);
	put("main.conf", "include(\"p*\")\n");
	assert_refused("pipe", "1: file: expected a regular file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_syntax),
	    cmocka_unit_test(test_nul_is_refused),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_variables),
	    cmocka_unit_test_setup_teardown(test_includes_are_sorted, make_dir, remove_dir),
	    cmocka_unit_test_setup_teardown(test_many_includes_are_sorted, make_dir, remove_dir),
	    cmocka_unit_test_setup_teardown(test_places_in_includes, make_dir, remove_dir),
	    cmocka_unit_test_setup_teardown(test_includes_that_fail, make_dir, remove_dir),
	};

	return cmocka_run_group_tests_name("config_source", tests, NULL, NULL);
}

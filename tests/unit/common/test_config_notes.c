#include "tests/unit/common/config_stage.h"
#include "tests/unit/torture.h"

#define PROVIDER "provider \"p\" { issuer = i client_id = c "
#define APP "app \"a\" { provider = p origins = \"https://a.example\" "
#define ROUTE "route \"r\" { app = a path = \"/\" "
/* Line 1, and what a case adds comes on line 2. */
#define REST                                                                                       \
	"database { conninfo = d } broker { key_ring = \"/k\" } provider \"q\" { issuer = i "      \
	"client_id = c }\n"

static void by_table(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* of the only note; NULL: there is none */
	} cases[] = {
	    {"web { cookie_keys = \"/k\" }\n", NULL},
	    {PROVIDER "}\n", NULL},
	    {"listen \"m\" { kind = metrics address = \"127.0.0.1:1\" }\n", NULL},
	    {"listen \"m\" { kind = public address = \"127.0.0.1:1\" }\n", NULL},
	    {PROVIDER "}\n" APP "}\n", NULL},
	    {PROVIDER "}\n" APP "pages = \"/p\" }\n", "f:3: pages: is not"},
	    {PROVIDER "}\n" APP "}\n" ROUTE "acr = {x} require \"x\" { claim = c any = {v} } }\n",
	     NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char all[2048];
		struct stage s;
		const struct config_list *notes;

		(void)snprintf(
		    all, sizeof all, "%s%s%s", REST, cases[i].text,
		    strncmp(cases[i].text, "web", 3) == 0 ? "" : "web { cookie_keys = \"/k\" }\n");
		if (stage_build(&s, all) != ERR_OK || config_notes(&s.b) != ERR_OK)
			fail_msg("case %zu: %s", i, s.e.text);
		notes = &s.config.notes;
		assert_int_equal(notes->n, cases[i].want == NULL ? 0 : 1);
		if (notes->n == 1 &&
		    strncmp(notes->v[0].p, cases[i].want, strlen(cases[i].want)) != 0)
			fail_msg("case %zu: %s", i, notes->v[0].p);
		stage_done(&s);
	}
}

#define APPS 200

/* An app and one note, many times: each note at its own app's place. */
static char *many(void)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_add(&b, SV(REST "web { cookie_keys = \"/k\" } " PROVIDER "}\n"));
	for (unsigned i = 0; i < APPS; i++)
		buf_addf(&b,
			 "app \"a%u\" { provider = p origins = \"https://a%u.example\"\n"
			 "pages = \"/p\" }\n",
			 i, i);
	buf_add_char(&b, '\0');
	assert_true(buf_ok(&b));
	return b.p;
}

static void each_at_its_place(void **state)
{
	char *all = many();
	struct stage s;

	(void)state;
	assert_int_equal(stage_build(&s, all), ERR_OK);
	assert_int_equal(config_notes(&s.b), ERR_OK);
	assert_int_equal(s.config.notes.n, APPS);
	for (unsigned i = 0; i < APPS; i++) {
		char want[64];

		(void)snprintf(want, sizeof want, "f:%u: pages: ", 2 * i + 4);
		assert_memory_equal(s.config.notes.v[i].p, want, strlen(want));
	}
	stage_done(&s);
	free(all);
}

static enum err attempt(void *arg)
{
	unsigned at = torture_state.at;
	struct stage s;
	enum err err;

	torture_state.at = 0;
	assert_int_equal(stage_build(&s, arg), ERR_OK);
	torture_state.at = at;
	err = config_notes(&s.b);
	stage_done(&s);
	return err;
}

static void without_memory(void **state)
{
	char *all = many();

	(void)state;
	assert_true(torture(attempt, all) > 0);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_table),
	    cmocka_unit_test(each_at_its_place),
	    cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

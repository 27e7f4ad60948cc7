#include "common/config_build.h"

#include "tests/unit/common/config_stage.h"
#include "tests/unit/torture.h"

/* What every configuration must have, on one line. */
#define REST "database { conninfo = d } web { cookie_keys = \"/k\" } broker { key_ring = \"/k\" }\n"
#define PROVIDER "provider \"p\" { issuer = i client_id = c }\n"
#define APP "app \"a\" { provider = p origins = \"https://a.example\" }\n"

static void sections_and_what_is_in_them(void **state)
{
	static const char text[] = REST PROVIDER APP
	    "route \"r1\" { app = a path = \"/1\" require \"x\" { claim = c1 "
	    "equals = v } require \"y\" { claim = c2 equals = v } }\n"
	    "route \"r2\" { app = a path = \"/2\" }\n"
	    "route \"r3\" { app = a path = \"/3\" require \"z z\" { claim = c3 "
	    "all = {v, w} } }\n"
	    "identity \"i\" { header \"X-A\" { claim = h1 } header \"X-B\" { claim "
	    "= h2 } }\n";
	struct stage s;
	const struct config *c = &s.config;

	(void)state;
	if (stage_build(&s, text) != ERR_OK)
		fail_msg("%s", s.e.text);
	assert_int_equal(c->nroutes, 3);
	assert_sv_equal(c->routes[0].name, SV("r1"));
	assert_sv_equal(c->routes[2].path, SV("/3"));
	assert_int_equal(c->routes[0].nrequires, 2);
	assert_int_equal(c->routes[1].nrequires, 0);
	assert_int_equal(c->routes[2].nrequires, 1);
	assert_sv_equal(c->routes[0].requires[1].claim, SV("c2"));
	assert_sv_equal(c->routes[2].requires[0].name, SV("z z"));
	assert_int_equal(c->routes[2].requires[0].values.n, 2);
	assert_int_equal(c->identities[0].nheaders, 2);
	assert_sv_equal(c->identities[0].headers[1].name, SV("X-B"));
	assert_sv_equal(c->identities[0].headers[1].claim, SV("h2"));
	assert_string_equal(c->routes[1].place.file, "f");
	assert_int_equal(c->routes[1].place.line, 5);
	assert_int_equal(c->apps[0].place.line, 3);
	assert_int_equal(c->nlistens + c->nservices, 0);
	/* All instances of a nested section stand in one row, in the order of their parents. */
	assert_int_equal(s.b.items[CONFIG_SECTION_require].n, 3);
	assert_ptr_equal(c->routes[2].requires,
			 s.b.items[CONFIG_SECTION_require].v + 2 * sizeof(struct config_require));
	stage_done(&s);
}

static void every_option_has_its_default(void **state)
{
	struct stage s;

	(void)state;
	if (stage_build(&s, REST PROVIDER APP "route \"r\" { app = a path = \"/\" }\n") != ERR_OK)
		fail_msg("%s", s.e.text);
	assert_int_equal(s.config.database.connections, 2);
	assert_int_equal(s.config.database.query_timeout_ms, 500);
	assert_int_equal(s.config.web.max_head, 32 * 1024);
	assert_sv_equal(s.config.broker.socket, SV("/run/bff/broker.sock"));
	assert_sv_equal(s.config.providers[0].subject_claim, SV("sub"));
	assert_int_equal(s.config.providers[0].scopes.n, 1);
	assert_int_equal(s.config.providers[0].claims_from, CLAIMS_ID_TOKEN);
	assert_int_equal(s.config.apps[0].idle_timeout_ms, 7200000);
	assert_int_equal(s.config.apps[0].same_site, SAME_SITE_LAX);
	assert_int_equal(s.config.routes[0].session, SESSION_REQUIRED);
	assert_true(s.config.routes[0].csrf);
	assert_null(s.config.routes[0].service);
	stage_done(&s);
}

/* A list that is written empty is empty, not its default. */
static void an_empty_list_is_no_default(void **state)
{
	struct stage s;

	(void)state;
	if (stage_build(&s, REST "provider \"p\" { issuer = i client_id = c scopes = {} }\n") !=
	    ERR_OK)
		fail_msg("%s", s.e.text);
	assert_int_equal(s.config.providers[0].scopes.n, 0);
	stage_done(&s);
}

static void refusals_by_place(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
	    {"", "f:1: conninfo: expected a value"},
	    {REST "nothing = 1\n", "f:2: nothing: unknown here; expected one of database, web"},
	    {REST "\nweeb { }\n", "f:3: weeb: unknown here; expected one of database, web"},
	    {REST PROVIDER "app \"a\" {\nprovider = p nmae = x }\n",
	     "f:4: nmae: unknown here; expected one of provider, origins"},
	    {REST "provider { }\n", "f:2: provider: missing title"},
	    {REST "database \"x\" { }\n", "f:2: database: "},
	    {REST PROVIDER PROVIDER, "f:3: provider: found duplicate title 'p'"},
	    {REST "provider \"\" { }\n", "f:2: provider: expected a title of at most 64 of"},
	    {REST "provider \"a b\" { }\n", "f:2: provider: expected a title of at most 64 of"},
	    {REST "provider \"a/b\" { }\n", "f:2: provider: expected a title of at most 64 of"},
	    {REST "identity \"i\" {\nheader \"X Y\" { claim = c } }\n",
	     "f:3: header: expected a title that is a header name of at most 64 bytes"},
	    {REST PROVIDER APP "route \"r\" { app = a path = \"/\"\nrequire \"a\\x01\" { claim = c "
			       "equals = v } }\n",
	     "f:5: require: expected a title without control characters"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct stage s;
		enum err got = stage_build(&s, cases[i].text);

		if (got != ERR_CONFIG ||
		    strncmp(s.e.text, cases[i].want, strlen(cases[i].want)) != 0)
			fail_msg("case %zu: %s: %s", i, err_text(got), s.e.text);
		stage_done(&s);
	}
}

static void titles_have_a_limit(void **state)
{
	char text[1024];

	(void)state;
	for (int n = CONFIG_NAME_MAX; n <= CONFIG_NAME_MAX + 1; n++) {
		struct stage s;

		(void)snprintf(text, sizeof text,
			       REST "provider \"%0*d\" { issuer = i client_id = c }\n", n, 1);
		assert_int_equal(stage_build(&s, text), n == CONFIG_NAME_MAX ? ERR_OK : ERR_CONFIG);
		stage_done(&s);
		(void)snprintf(text, sizeof text,
			       REST "identity \"i\" { header \"%0*d\" { claim = c } }\n", n, 1);
		assert_int_equal(stage_build(&s, text), n == CONFIG_NAME_MAX ? ERR_OK : ERR_CONFIG);
		stage_done(&s);
		(void)snprintf(text, sizeof text,
			       REST PROVIDER APP "route \"r\" { app = a path = \"/\" require "
						 "\"%0*d\" { claim = c equals = v } }\n",
			       n - CONFIG_NAME_MAX + CONFIG_MAX_TITLE, 1);
		assert_int_equal(stage_build(&s, text), n == CONFIG_NAME_MAX ? ERR_OK : ERR_CONFIG);
		stage_done(&s);
	}
}

static void sections_have_limits(void **state)
{
	static const struct {
		unsigned max;
		const char *section, *rest;
	} cases[] = {
	    {CONFIG_MAX_LISTENS, "listen", "kind = public address = \"127.0.0.1:1\""},
	    {CONFIG_MAX_PROVIDERS, "provider", "issuer = i client_id = c"},
	    {CONFIG_MAX_APPS, "app", "provider = p origins = \"https://a.example\""},
	    {CONFIG_MAX_IDENTITIES, "identity", ""},
	    {CONFIG_MAX_SERVICES, "service", "provider = p grant = scope"},
	    {CONFIG_MAX_ROUTES, "route", "app = a path = \"/\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		/* Of providers and apps one is here already. */
		unsigned have = strcmp(cases[i].section, "provider") == 0 ||
				strcmp(cases[i].section, "app") == 0;

		for (unsigned n = cases[i].max; n <= cases[i].max + 1; n++) {
			char want[128];
			struct stage s;
			struct buf b;
			enum err got;

			buf_init(&b, CONFIG_MAX_BYTES);
			buf_add(&b, SV(REST PROVIDER APP));
			for (unsigned k = have; k < n; k++)
				buf_addf(&b, "%s \"n%u\" { %s }\n", cases[i].section, k,
					 cases[i].rest);
			buf_add_char(&b, '\0');
			assert_true(buf_ok(&b));
			got = stage_build(&s, b.p);
			(void)snprintf(want, sizeof want,
				       "f:%u: %s: expected at most %u sections of this kind",
				       4 + cases[i].max - have, cases[i].section, cases[i].max);
			if (n == cases[i].max && got != ERR_OK)
				fail_msg("%s: %s", cases[i].section, s.e.text);
			if (n > cases[i].max)
				assert_string_equal(s.e.text, want);
			stage_done(&s);
			buf_done(&b);
		}
	}
}

/* libconfuse has but one error function for all: what one parse left, the next does not see. */
static void a_failure_leaves_nothing_behind(void **state)
{
	struct stage bad, good;

	(void)state;
	assert_int_equal(stage_build(&bad, REST "nothing = 1\n"), ERR_CONFIG);
	assert_int_equal(stage_build(&good, REST), ERR_OK);
	assert_string_equal(good.e.text, "");
	stage_done(&bad);
	stage_done(&good);
}

static enum err attempt(void *arg)
{
	struct stage s;
	enum err err = stage_build(&s, arg);

	if (err != ERR_OK)
		assert_int_equal(err, ERR_NOMEM);
	stage_done(&s);
	return err;
}

static void without_memory(void **state)
{
	char text[] = REST PROVIDER APP
	    "identity \"i\" { header \"X\" { claim = c only = {a, b} } }\n"
	    "route \"r\" { app = a path = \"/\" require \"x\" { claim = c all = {v, w} } }\n";

	(void)state;
	assert_true(torture(attempt, text) > 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sections_and_what_is_in_them),
	    cmocka_unit_test(every_option_has_its_default),
	    cmocka_unit_test(an_empty_list_is_no_default),
	    cmocka_unit_test(refusals_by_place),
	    cmocka_unit_test(titles_have_a_limit),
	    cmocka_unit_test(sections_have_limits),
	    cmocka_unit_test(a_failure_leaves_nothing_behind),
	    cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

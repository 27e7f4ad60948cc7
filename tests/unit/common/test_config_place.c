#include "tests/unit/common/config_stage.h"
#include "tests/unit/torture.h"

static const char text[] = "# f\n"
			   "database {\n"
			   "conninfo = \"dbname=x\"\n"
			   "}\n"
			   "provider \"p\" { issuer = i client_id = c }\n"
			   "app \"a\" { provider = p\n"
			   "origins = {\"https://b.example.com\", \"https://a.example.com:8443\",\n"
			   "\"https://a.example.com\"} }\n"
			   "web { cookie_keys = \"/k\" } broker { key_ring = \"/k\" }\n"
			   "route \"r\" { app = a path = \"/\"\n"
			   "require \"x\" { claim = c equals = v }\n"
			   "require \"y\" { claim = c\n"
			   "equals = v }\n"
			   "}\n"
			   "route \"s\" {\n"
			   "app = a path = \"/s\" hosts = {\"b.example.com\"}\n"
			   "require \"z\" {\n"
			   "claim = c equals = v } }\n";

static void build(struct stage *s)
{
	if (stage_build(s, text) != ERR_OK)
		fail_msg("%s", s->e.text);
}

static void places_are_the_options_or_their_sections(void **state)
{
	static const struct {
		enum config_option_id id;
		size_t i;
		const char *want;
	} cases[] = {
	    {CONFIG_OPT_database_conninfo, 0, "f:3: conninfo: why 7"},
	    {CONFIG_OPT_database_connections, 0, "f:2: connections: why 7"},
	    {CONFIG_OPT_app_origins, 0, "f:7: origins: why 7"},
	    {CONFIG_OPT_app_cookie_name, 0, "f:6: cookie_name: why 7"},
	    {CONFIG_OPT_route_hosts, 0, "f:10: hosts: why 7"},
	    {CONFIG_OPT_route_hosts, 1, "f:16: hosts: why 7"},
	    {CONFIG_OPT_require_equals, 0, "f:11: equals: why 7"},
	    {CONFIG_OPT_require_equals, 1, "f:13: equals: why 7"},
	    {CONFIG_OPT_require_any, 1, "f:12: any: why 7"},
	    {CONFIG_OPT_require_claim, 2, "f:18: claim: why 7"},
	    {CONFIG_OPT_require_any, 2, "f:17: any: why 7"},
	    /* A section that stands nowhere: the file as a whole. */
	    {CONFIG_OPT_listen_kind, 0, "f:1: kind: why 7"},
	    {CONFIG_OPT_route_path, 2, "f:1: path: why 7"},
	};
	struct stage s;

	(void)state;
	build(&s);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(
		    config_build_error(&s.b, cases[i].id, cases[i].i, "%s %d", "why", 7),
		    ERR_CONFIG);
		assert_string_equal(s.e.text, cases[i].want);
	}
	stage_done(&s);
}

static void routes_without_hosts_get_their_apps_each_once(void **state)
{
	struct stage s;
	const struct config_route *r;

	(void)state;
	build(&s);
	r = s.config.routes;
	assert_int_equal(r[0].hosts.n, 0);
	assert_int_equal(config_default_hosts(&s.b), ERR_OK);
	assert_int_equal(r[0].hosts.n, 2);
	assert_sv_equal(r[0].hosts.v[0], SV("b.example.com"));
	assert_sv_equal(r[0].hosts.v[1], SV("a.example.com"));
	assert_int_equal(r[1].hosts.n, 1);
	stage_done(&s);
}

/* Again and again, so that the arena's room comes to its end. */
static enum err attempt(void *arg)
{
	unsigned at = torture_state.at;
	struct stage *s = arg;
	enum err err;

	torture_state.at = 0;
	build(s);
	torture_state.at = at;
	err = config_default_hosts(&s->b);
	for (unsigned i = 0; err == ERR_OK && i < 4000; i++) {
		((struct config_route *)(void *)s->b.items[CONFIG_SECTION_route].v)[0].hosts.n = 0;
		err = config_default_hosts(&s->b);
	}
	stage_done(s);
	return err;
}

static void without_memory(void **state)
{
	struct stage s;

	(void)state;
	assert_true(torture(attempt, &s) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(places_are_the_options_or_their_sections),
	    cmocka_unit_test(routes_without_hosts_get_their_apps_each_once),
	    cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "common/config_build.h"

#include "tests/unit/common/config_stage.h"
#include "tests/unit/torture.h"

#define REST "database { conninfo = d } web { cookie_keys = \"/k\" } broker { key_ring = \"/k\" }\n"
#define PROVIDER "provider \"p\" { issuer = i client_id = c "
#define APP "app \"a\" { provider = p origins = \"https://a.example\" "
#define SERVICE "service \"s\" { provider = p grant = scope "
#define ROUTE "route \"r\" { app = a path = \"/\" "
#define IDENTITY "identity \"i\" { header \"X-A\" { claim = c "
/* One option on line 3, in a section of that kind; what it refers to stands on line 2. */
#define IN_PROVIDER(option) REST "\n" PROVIDER option " }\n"
#define IN_APP(option) REST PROVIDER "}\n" APP option " }\n"
#define IN_LISTEN(option) REST "\nlisten \"l\" { kind = public address = \"[::1]:1\" " option " }\n"
#define IN_HEADER(option) REST "\n" IDENTITY option " } }\n"
#define IN_ROUTE(option)                                                                           \
	REST PROVIDER "} " APP "} " SERVICE "} " IDENTITY "} }\n" ROUTE option " }\n"

static void build(struct stage *s, const char *text)
{
	if (stage_build(s, text) != ERR_OK)
		fail_msg("%s\n%s", s->e.text, text);
}

/* ---- what is taken, and where it lands ---------------------------------------------------- */

static void numbers(void **state)
{
	struct stage s;

	(void)state;
	build(&s, "database { conninfo = d connections = 64 query_timeout = \"1m\" }\n"
		  "web { cookie_keys = \"/k\" max_head = \"1KiB\" session_cache = off }\n"
		  "broker { key_ring = \"credential:x\" secret_files = container }\n"
		  "identity \"i\" { header \"X-A\" { claim = c max_bytes = 8192 } }\n");
	assert_int_equal(s.config.database.connections, 64);
	assert_int_equal(s.config.database.query_timeout_ms, 60000);
	assert_int_equal(s.config.web.max_head, 1024);
	assert_false(s.config.web.session_cache);
	assert_int_equal(s.config.broker.secret_files, SECRET_FILE_CONTAINER);
	assert_int_equal(s.config.identities[0].headers[0].max_bytes, 8192);
	stage_done(&s);
}

static void lists_and_words(void **state)
{
	struct stage s;
	const struct config_listen *l;
	const struct config_app *a;

	(void)state;
	build(&s, IN_PROVIDER("claims_from = {id_token, userinfo} scopes = {a, b} "
			      "signing_alg = EdDSA"));
	assert_int_equal(s.config.providers[0].claims_from, CLAIMS_ID_TOKEN | CLAIMS_USERINFO);
	assert_int_equal(s.config.providers[0].scopes.n, 2);
	assert_sv_equal(s.config.providers[0].scopes.v[1], SV("b"));
	assert_int_equal(s.config.providers[0].signing_alg, ALG_EDDSA);
	stage_done(&s);
	build(&s, IN_LISTEN("trusted_peers = {\"10.0.0.0/8\", \"::1\"} edge = nginx"));
	l = &s.config.listens[0];
	assert_int_equal(l->ntrusted_peers, 2);
	assert_int_equal(l->trusted_peers[0].bits, 104);
	assert_int_equal(l->trusted_peers[1].bits, 128);
	assert_int_equal(l->edge, EDGE_NGINX);
	stage_done(&s);
	build(&s, IN_APP("login_origin = \"HTTPS://Login.Example:443\" "
			 "return_to = {\"https://x.example:8443\"} pages = \"/p\""));
	a = &s.config.apps[0];
	assert_ptr_equal(a->provider, &s.config.providers[0]);
	assert_sv_equal(a->login_origin.text, SV("https://login.example"));
	assert_int_equal(a->return_to.v[0].port, 8443);
	assert_sv_equal(a->pages, SV("/p"));
	assert_int_equal(a->cors_origins.n, 0);
	stage_done(&s);
}

static void references_switches_and_rules(void **state)
{
	struct stage s;
	const struct config_route *r;

	(void)state;
	build(&s, IN_ROUTE("service = s identity = i upgrade = websocket encoded_slash = allow "
			   "hosts = {\"A.Example\"} require \"x\" { claim = c contains = v } "
			   "require \"y\" { claim = c domain = {\"a.example\", \"b.example\"} }"));
	r = &s.config.routes[0];
	assert_ptr_equal(r->service, &s.config.services[0]);
	assert_ptr_equal(r->identity, &s.config.identities[0]);
	assert_true(r->upgrade_websocket && r->encoded_slash);
	assert_false(r->preflight);
	assert_sv_equal(r->hosts.v[0], SV("a.example"));
	assert_int_equal(r->requires[0].op, REQUIRE_CONTAINS);
	assert_sv_equal(r->requires[0].values.v[0], SV("v"));
	assert_int_equal(r->requires[1].op, REQUIRE_DOMAIN);
	assert_int_equal(r->requires[1].values.n, 2);
	stage_done(&s);
	build(&s, IN_ROUTE("service = \"\"")); /* as config_dump() prints none */
	assert_null(s.config.routes[0].service);
	stage_done(&s);
}

/* Every string ends in NUL, set or not. */
static void strings_end_in_nul(void **state)
{
	struct stage s;

	(void)state;
	build(&s, IN_APP("cookie_name = x"));
	assert_string_equal(s.config.apps[0].cookie_name.p, "x");
	assert_int_equal(s.config.apps[0].cookie_domain.n, 0);
	assert_string_equal(s.config.apps[0].cookie_domain.p, "");
	stage_done(&s);
}

/* ---- what is refused, and where ----------------------------------------------------------- */

static void refusals_by_kind(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
	    /* COUNT, BYTES, SIZE, DURATION: form, and both ends of the range */
	    {"database { conninfo = d\nconnections = 0 }",
	     "f:2: connections: expected a number without a leading zero from 1 to 64"},
	    {"database { conninfo = d\nconnections = 65 }", "f:2: connections: expected a number"},
	    {"database { conninfo = d\nconnections = 08 }", "f:2: connections: expected a number"},
	    {"database { conninfo = d\nquery_timeout = 9ms }",
	     "f:2: query_timeout: expected a duration with its unit (500ms, 5s, 15m, 2h, 1d) from "
	     "10ms to 1m"},
	    {"database { conninfo = d\nquery_timeout = 60001ms }", "f:2: query_timeout: expected"},
	    {REST "\n" IDENTITY "max_bytes = 0 } }", "f:3: max_bytes: expected a number"},
	    {REST "\n" IDENTITY "max_bytes = 8193 } }", "f:3: max_bytes: expected a number"},
	    /* BOOL, SWITCH, WORD, MASK */
	    {IN_APP("id_token_hint = maybe"), "f:3: id_token_hint: expected yes, no, on, off"},
	    {IN_ROUTE("upgrade = yes"), "f:3: upgrade: expected one of none, websocket"},
	    {IN_APP("same_site = none"), "f:3: same_site: expected one of lax, strict"},
	    {IN_APP("same_site = LAX"), "f:3: same_site: expected one of lax, strict"},
	    {IN_PROVIDER("claims_from = {id_token,\nnowhere}"),
	     "f:4: claims_from: expected one of id_token, userinfo"},
	    /* SECRET, PATH, ADDRESS, STRING */
	    {IN_PROVIDER("client_secret_file = hunter2"),
	     "f:3: client_secret_file: expected credential:NAME or an absolute path"},
	    {IN_APP("pages = p"), "f:3: pages: expected an absolute path"},
	    {REST "\nlisten \"l\" { kind = public address = \"localhost:1\" }",
	     "f:3: address: expected address and port"},
	    /* LIST, HOSTS */
	    {IN_PROVIDER("scopes = {a,\n\"\"}"), "f:4: scopes: expected no empty value"},
	    {IN_PROVIDER("scopes = {a, b,\na}"), "f:4: scopes: expected each value once"},
	    {IN_ROUTE("hosts = {\"a.example:1\"}"), "f:3: hosts: expected a host name without"},
	    {IN_ROUTE("hosts = {\"a.example\",\n\"A.EXAMPLE\"}"),
	     "f:4: hosts: expected each value once"},
	    /* ORIGIN, ORIGINS, CIDRS */
	    {IN_APP("login_origin = \"https://a.example/x\""), "f:3: login_origin: expected an"},
	    {IN_APP("return_to = {\"https://x.example\",\n\"https://X.example:443\"}"),
	     "f:4: return_to: expected each origin once"},
	    {IN_APP("cors_origins = {\"null\"}"), "f:3: cors_origins: expected an origin"},
	    {IN_LISTEN("trusted_peers = {\"::1\",\n\"10.0.0.1/8\"}"),
	     "f:4: trusted_peers: expected a network such as"},
	    /* references */
	    {REST "\n" APP "}",
	     "f:3: provider: expected the name of a section `provider`, there is no \"p\""},
	    {IN_ROUTE("service = t"), "f:3: service: expected the name of a section `service`"},
	    {IN_ROUTE("identity = t"), "f:3: identity: expected the name of a section `identity`"},
	    /* RULE, RULES */
	    {IN_ROUTE("require \"x\" { claim = c equals = v\nany = {w} }"),
	     "f:4: any: expected one rule in a require, it has another"},
	    {IN_ROUTE("require \"x\" { claim = c\nall = {} }"),
	     "f:4: all: expected at least one value"},
	    /* required, and too long */
	    {REST "\nprovider \"p\" {\nissuer = i }", "f:3: client_id: expected a value: client"},
	    {REST "\nprovider \"p\" { client_id = c\nissuer = \"\" }",
	     "f:4: issuer: expected a value: issuer"},
	    {IN_HEADER("separator = \"123456789\""), "f:3: separator: expected at most 8 bytes"},
	    {IN_HEADER("separator = \"12345678\""), NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *want = cases[i].want;
		struct stage s;
		enum err got = stage_build(&s, cases[i].text);

		if (want == NULL ? got != ERR_OK
				 : got != ERR_CONFIG || strncmp(s.e.text, want, strlen(want)) != 0)
			fail_msg("case %zu: %s: %s", i, err_text(got), s.e.text);
		stage_done(&s);
	}
}

static void a_list_has_a_limit(void **state)
{
	(void)state;
	for (unsigned n = CONFIG_MAX_LIST; n <= CONFIG_MAX_LIST + 1; n++) {
		struct stage s;
		struct buf b;
		enum err got;

		buf_init(&b, 1 << 20);
		buf_add(&b, SV(REST "\n" PROVIDER "scopes = {"));
		for (unsigned i = 0; i < n; i++)
			buf_addf(&b, "%ss%u", i == 0 ? "" : ",", i);
		buf_add(&b, sv_of("} }", 4));
		got = stage_build(&s, b.p);
		if (n == CONFIG_MAX_LIST)
			assert_int_equal(got, ERR_OK);
		else
			assert_string_equal(s.e.text, "f:3: scopes: expected at most 256 values");
		stage_done(&s);
		buf_done(&b);
	}
}

/* config_convert() alone, one option again and again until the arena needs memory. */
struct again {
	enum config_option_id id;
	struct sv value;
};

static enum err attempt(void *arg)
{
	const struct again *a = arg;
	unsigned at = torture_state.at;
	struct stage s;
	struct sv v[CONFIG_MAX_LIST];
	struct config_values values = {.option = &config_options[a->id],
				       .token = SIZE_MAX,
				       .section_token = SIZE_MAX,
				       .v = v,
				       .n = 1};
	enum err err = ERR_OK;

	torture_state.at = 0;
	build(&s, IN_APP(""));
	values.section = s.b.items[config_options[a->id].section].v;
	values.at = values.section + config_options[a->id].offset;
	v[0] = a->value;
	torture_state.at = at;
	for (unsigned i = 0; err == ERR_OK && i < 1000; i++)
		err = config_convert(&s.b, &values);
	assert_true(err == ERR_OK || err == ERR_NOMEM);
	stage_done(&s);
	return err;
}

static void without_memory(void **state)
{
	static char large[2000];
	struct again kinds[] = {
	    {CONFIG_OPT_app_after_logout, sv_of(large, sizeof large)},
	    {CONFIG_OPT_app_cookie_name, SV_INIT("x")},
	    {CONFIG_OPT_app_page_claims, SV_INIT("x")},
	    {CONFIG_OPT_app_return_to, SV_INIT("https://x.example")},
	    {CONFIG_OPT_app_login_origin, SV_INIT("https://x.example")},
	};

	(void)state;
	memset(large, 'x', sizeof large);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		assert_true(torture(attempt, &kinds[i]) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers),
	    cmocka_unit_test(lists_and_words),
	    cmocka_unit_test(references_switches_and_rules),
	    cmocka_unit_test(strings_end_in_nul),
	    cmocka_unit_test(refusals_by_kind),
	    cmocka_unit_test(a_list_has_a_limit),
	    cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

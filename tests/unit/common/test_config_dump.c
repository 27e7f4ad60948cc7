#include "common/config.h"

#include "tests/unit/common/config_stage.h"

static const char every_kind[] =
    "database { conninfo = \"a\\\"b\\\\c\\$d\\n\\x01\\x7f\\xff'#{}=,\" query_timeout = 1500ms }\n"
    "web { cookie_keys = \"credential:k\" session_cache = off max_head = \"2KiB\" }\n"
    "broker { key_ring = \"/k\" secret_files = container }\n"
    "listen \"l\" { kind = verify address = \"[::1]:7080\" edge = traefik "
    "trusted_peers = {\"10.0.0.0/8\", \"2001:db8::/32\"} }\n"
    "provider \"p\" { issuer = i client_id = c client_auth = tls claims_from = {id_token, "
    "userinfo} scopes = {openid, \"a \\\" b\"} }\n"
    "app \"a\" { provider = p origins = {\"https://a.example\", \"https://b.example:8443\"} }\n"
    "identity \"i\" { header \"X-A\" { claim = c } header \"X-B\" { claim = d only = {x} } }\n"
    "identity \"j\" { }\n"
    "service \"s\" { provider = p grant = resource resource = \"urn:s\" prefetch = yes }\n"
    "route \"r\" { app = a path = \"/\" service = s upgrade = websocket hosts = {\"a.example\"} "
    "require \"one rule\" { claim = c equals = v } require \"two\" { claim = c any = {v, w} } "
    "max_age = 90m }\n";

static void build(struct stage *s, const char *text)
{
	if (stage_build(s, text) != ERR_OK)
		fail_msg("%s", s->e.text);
}

static char *dump(const struct config *c, enum config_print what)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	assert_int_equal(config_dump(c, what, f), ERR_OK);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void every_kind_as_it_is_written(void **state)
{
	static const char *const wants[] = {
	    "database {\n    conninfo = \"a\\\"b\\\\c\\$d\\x0a\\x01\\x7f\xff'#{}=,\"\n",
	    "    web_password_file = \"\"\n",
	    "    connections = 2\n",
	    "    query_timeout = \"1500ms\"\n",
	    "    session_cache = no\n",
	    "    max_head = \"2KiB\"\n",
	    "    secret_files = container\n",
	    "listen \"l\" {\n    kind = verify\n    address = \"[::1]:7080\"\n    edge = traefik\n"
	    "    trusted_peers = {\"10.0.0.0/8\", \"2001:db8::/32\"}\n    peer_users = {}\n"
	    "    socket_group = \"\"\n    tls_certificate = \"\"\n    tls_key = \"\"\n"
	    "    tls_client_ca = \"\"\n    tls_client_names = {}\n}\n",
	    "    scopes = {\"openid\", \"a \\\" b\"}\n",
	    "    claims_from = {id_token, userinfo}\n",
	    "    provider = \"p\"\n    origins = {\"https://a.example\", "
	    "\"https://b.example:8443\"}\n",
	    "    login_origin = \"\"\n",
	    "    return_to = {}\n",
	    "identity \"i\" {\n    header \"X-A\" {\n        claim = \"c\"\n        separator = "
	    "\",\"\n        only = {}\n        max_bytes = 1024\n    }\n    header \"X-B\" {\n",
	    "identity \"j\" {\n}\n",
	    "    prefetch = yes\n",
	    "    service = \"s\"\n    identity = \"\"\n",
	    "    max_age = \"90m\"\n",
	    "    encoded_slash = refuse\n",
	    "    upgrade = websocket\n",
	    "    require \"one rule\" {\n        claim = \"c\"\n        equals = \"v\"\n    }\n"
	    "    require \"two\" {\n        claim = \"c\"\n        any = {\"v\", \"w\"}\n    "
	    "}\n}\n",
	};
	struct stage s;
	char *got;

	(void)state;
	build(&s, every_kind);
	got = dump(&s.config, CONFIG_PRINT_ALL);
	for (size_t i = 0; i < ARRAY_LEN(wants); i++)
		if (strstr(got, wants[i]) == NULL)
			fail_msg("no %s in:\n%s", wants[i], got);
	free(got);
	stage_done(&s);
}

/* Of every section each of its options once, but of a require's rules the one that it has. */
static void no_option_is_left_out(void **state)
{
	struct stage s;
	char *got;

	(void)state;
	build(&s, every_kind);
	got = dump(&s.config, CONFIG_PRINT_ALL);
	for (size_t i = 0; i < CONFIG_OPTIONS; i++) {
		const struct config_option *o = &config_options[i];
		bool nested = config_sections[o->section].repeats == CONFIG_NESTED;
		char want[128], section[128];
		const char *at, *end;

		if (o->kind == CONFIG_RULE || o->kind == CONFIG_RULES)
			continue;
		(void)snprintf(section, sizeof section, "%s%s ", nested ? "\n    " : "",
			       config_sections[o->section].name);
		at = strstr(got, section);
		assert_non_null(at);
		end = strstr(at, nested ? "\n    }" : "\n}");
		(void)snprintf(want, sizeof want, "\n%s%s = ", nested ? "        " : "    ",
			       o->name);
		at = strstr(at, want);
		if (at == NULL || at > end)
			fail_msg("%s.%s", config_sections[o->section].name, o->name);
		at = strstr(at + 1, want);
		assert_true(at == NULL || at > end);
	}
	free(got);
	stage_done(&s);
}

static void what_is_printed_gives_the_same_again(void **state)
{
	struct stage s, again;
	char *want, *got;

	(void)state;
	build(&s, every_kind);
	want = dump(&s.config, CONFIG_PRINT_ALL);
	build(&again, want);
	got = dump(&again.config, CONFIG_PRINT_ALL);
	assert_string_equal(got, want);
	assert_string_equal(again.config.database.conninfo.p, s.config.database.conninfo.p);
	stage_done(&again);
	/* A worker reads it without expansion. */
	assert_int_equal(stage_lex(&again, want, strlen(want), CONFIG_LITERAL), ERR_OK);
	stage_done(&again);
	free(got);
	free(want);
	stage_done(&s);
}

/* What the broker acts by, and nothing that differs between two hosts for good reasons. */
static void the_brokered_part(void **state)
{
	static const char *const sections[] = {"provider \"p\" {", "app \"a\" {", "service \"s\" {",
					       "route \"r\" {"};
	struct stage s;
	char *got;
	const char *at;

	(void)state;
	build(&s, every_kind);
	at = got = dump(&s.config, CONFIG_PRINT_BROKERED);
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		at = strstr(at, sections[i]);
		assert_non_null(at);
	}
	assert_null(strstr(got, "database"));
	assert_null(strstr(got, "web {"));
	assert_null(strstr(got, "broker"));
	assert_null(strstr(got, "listen"));
	assert_null(strstr(got, "identity \"i\""));
	free(got);
	stage_done(&s);
}

static void a_stream_that_fails_is_an_error(void **state)
{
	struct stage s;
	FILE *full = fopen("/dev/full", "w"), *closed = fopen("/dev/null", "r");

	(void)state;
	assert_true(full != NULL && closed != NULL);
	build(&s, every_kind);
	assert_int_equal(config_dump(&s.config, CONFIG_PRINT_BROKERED, full), ERR_IO);
	assert_int_equal(config_dump(&s.config, CONFIG_PRINT_ALL, closed), ERR_IO);
	(void)fclose(full); /* fails again, as it must */
	(void)fclose(closed);
	stage_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_kind_as_it_is_written),
	    cmocka_unit_test(no_option_is_left_out),
	    cmocka_unit_test(what_is_printed_gives_the_same_again),
	    cmocka_unit_test(the_brokered_part),
	    cmocka_unit_test(a_stream_that_fails_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

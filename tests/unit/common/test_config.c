#include "common/config.h"

#include <fcntl.h>

#include "tests/unit/common/config_text.h"
#include "tests/unit/torture.h"

static int set_environment(void **state)
{
	(void)state;
	return setenv("ENTRA_TENANT", "0000-11", 1) | setenv("ENTRA_CLIENT_ID", "client", 1) |
	       setenv("BFF_DOMAIN", "example.org", 1) | unsetenv("BFF_PGHOST");
}

static struct config *load(const char *path)
{
	struct config *c = NULL;
	struct errmsg e = {""};

	if (config_load(path, &c, &e) != ERR_OK)
		fail_msg("%s", e.text);
	return c;
}

static char *dump(const struct config *c, enum config_print what, size_t *ret_n)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_n);

	assert_non_null(f);
	assert_int_equal(config_dump(c, what, f), ERR_OK);
	assert_int_equal(fclose(f), 0);
	return text;
}

static enum err load_fd(const char *text, size_t n, struct config **ret, struct errmsg *e)
{
	int fd = memfd_create("config", MFD_CLOEXEC);
	enum err err;

	assert_int_not_equal(fd, -1);
	/* The offset stays at the end, as of a descriptor that several workers share. */
	assert_int_equal(write(fd, text, n), n);
	err = config_load_fd(fd, "the-dump", ret, e);
	assert_int_equal(close(fd), 0);
	return err;
}

static void assert_fixpoint(const struct config *c)
{
	struct config *again = NULL;
	struct errmsg e = {""};
	size_t want_n, got_n, path_n;
	char *want = dump(c, CONFIG_PRINT_ALL, &want_n), *got;

	if (load_fd(want, want_n, &again, &e) != ERR_OK)
		fail_msg("%s", e.text);
	got = dump(again, CONFIG_PRINT_ALL, &got_n);
	assert_string_equal(got, want);
	config_free(&again);
	free(got);
	/* And where variables are expanded: `bffd -T` into a file is a configuration too. */
	if (config_text_load(want, want_n, &again, &e, &path_n) != ERR_OK)
		fail_msg("%s", e.text);
	got = dump(again, CONFIG_PRINT_ALL, &got_n);
	assert_string_equal(got, want);
	config_free(&again);
	free(got);
	free(want);
}

static void test_example_is_accepted(void **state)
{
	struct config *c = load("etc/bff.conf");

	(void)state;
	assert_string_equal(c->path.p, "etc/bff.conf");
	assert_non_null(strstr(c->database.conninfo.p, "host=pg1.int,pg2.int dbname=bff"));
	assert_int_equal(c->database.query_timeout_ms, 500);
	assert_int_equal(c->web.workers, 4);
	assert_int_equal(c->web.max_connections, 4096);
	assert_int_equal(c->web.max_head, 32768);
	assert_int_equal(c->web.max_headers, 100);
	assert_int_equal(c->web.head_timeout_ms, 10000);
	assert_int_equal(c->web.idle_timeout_ms, 120000);
	assert_int_equal(c->broker.secret_files, SECRET_FILE_STRICT);
	assert_int_equal(c->nlistens, 3);
	assert_int_equal(c->listens[1].edge, EDGE_TRAEFIK);
	assert_int_equal(c->listens[1].trusted_peers[0].bits, 96 + 28);
	assert_int_equal(c->providers[0].claims_from, CLAIMS_ID_TOKEN);
	assert_string_equal(c->providers[0].issuer.p,
			    "https://login.microsoftonline.com/0000-11/v2.0");
	assert_ptr_equal(c->apps[0].provider, &c->providers[0]);
	assert_int_equal(c->apps[0].origins.n, 3);
	assert_string_equal(c->apps[0].login_origin.host.p, "login.example.org");
	assert_int_equal(c->apps[0].login_origin.port, 443);
	assert_int_equal(c->nidentities, 2);
	assert_int_equal(c->identities[0].nheaders, 4);
	assert_int_equal(c->identities[0].headers[3].max_bytes, 2048);
	assert_int_equal(c->identities[1].headers[1].only.n, 2);
	assert_int_equal(c->nservices, 4);
	assert_int_equal(c->nroutes, 9);
	config_free(&c);
	assert_null(c);
}

static void test_example_routes(void **state)
{
	struct config *c = load("etc/bff.conf");
	const struct config_route *r = c->routes;

	(void)state;
	assert_ptr_equal(r[0].service, config_service(c, SV("crm")));
	assert_int_equal(r[0].hosts.n, 2);
	assert_int_equal(r[1].requires[0].op, REQUIRE_ANY);
	assert_string_equal(r[1].requires[0].name.p, "sales or support");
	assert_int_equal(r[2].hosts.n, 3);
	assert_int_equal(r[3].max_age_ms, 1800000);
	assert_int_equal(r[3].nrequires, 2);
	assert_int_equal(r[3].requires[1].op, REQUIRE_DOMAIN);
	assert_int_equal(r[4].session, SESSION_OPTIONAL);
	assert_int_equal(r[4].authorization, AUTHORIZATION_PASS);
	assert_true(r[4].encoded_slash);
	assert_false(r[5].csrf);
	assert_true(r[6].exact && r[6].upgrade_websocket);
	assert_int_equal(r[8].on_no_login, NO_LOGIN_REDIRECT);
	assert_ptr_equal(r[8].identity, &c->identities[1]);
	assert_int_equal(r[8].place.line, 124);
	config_free(&c);
}

static void test_names(void **state)
{
	struct config *c = load("etc/bff.conf");

	(void)state;
	assert_ptr_equal(config_app(c, SV("company")), &c->apps[0]);
	assert_ptr_equal(config_provider(c, SV("entra")), &c->providers[0]);
	assert_ptr_equal(config_service(c, SV("billing")), &c->services[2]);
	assert_null(config_app(c, SV("compan")));
	assert_null(config_provider(c, SV("")));
	assert_null(config_service(c, SV("nosuch")));
	config_free(&c);
}

static void test_dump_is_a_fixpoint(void **state)
{
	static const char *const files[] = {"etc/bff.conf", "tests/lib/minimal.conf"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct config *c = load(files[i]);

		assert_fixpoint(c);
		config_free(&c);
	}
}

/* Everything that an escape could go wrong with. */
static void test_strings_round_trip(void **state)
{
	static const char text[] = "database { conninfo = \"a\\\"b\\\\c\\$d\\n\\t\\x01\\x7f\\xff "
				   "\\${HOME} '#//{}=,\" }\n" //
	    CONFIG_TEXT_WEB CONFIG_TEXT_BROKER CONFIG_TEXT_PROVIDER CONFIG_TEXT_APP
		CONFIG_TEXT_IDENTITY CONFIG_TEXT_SERVICE CONFIG_TEXT_ROUTE;
	struct config *c = NULL;
	struct errmsg e = {""};
	size_t path_n;

	(void)state;
	if (config_text_load(text, sizeof text - 1, &c, &e, &path_n) != ERR_OK)
		fail_msg("%s", e.text);
	assert_string_equal(c->database.conninfo.p, "a\"b\\c$d\n\t\x01\x7f\xff ${HOME} '#//{}=,");
	assert_fixpoint(c);
	config_free(&c);
}

static void test_brokered_sections(void **state)
{
	struct config *c = load("etc/bff.conf");
	size_t n;
	char *text = dump(c, CONFIG_PRINT_BROKERED, &n);

	(void)state;
	assert_ptr_equal(strstr(text, "provider \"entra\" {\n"), text);
	assert_non_null(strstr(text, "\napp \"company\" {\n"));
	assert_non_null(strstr(text, "\nservice \"search\" {\n"));
	assert_non_null(strstr(text, "\nroute "));
	assert_null(strstr(text, "\nlisten "));
	assert_null(strstr(text, "\nidentity "));
	assert_null(strstr(text, "database"));
	free(text);
	config_free(&c);
}

static void test_descriptor_is_literal(void **state)
{
	static const char variable[] = "database { conninfo = \"x${NOT_SET_AT_ALL}\" }\n" //
	    CONFIG_TEXT_WEB CONFIG_TEXT_BROKER CONFIG_TEXT_PROVIDER CONFIG_TEXT_APP;
	static const char include[] = "\ninclude(\"etc/bff.conf\")\n";
	struct config *c = NULL;
	struct errmsg e = {""};

	(void)state;
	if (load_fd(variable, sizeof variable - 1, &c, &e) != ERR_OK)
		fail_msg("%s", e.text);
	assert_string_equal(c->database.conninfo.p, "x${NOT_SET_AT_ALL}");
	config_free(&c);
	assert_int_equal(load_fd(include, sizeof include - 1, &c, &e), ERR_CONFIG);
	assert_string_equal(e.text, "the-dump:2: include: expected no include here");
}

static void test_missing_file(void **state)
{
	struct config *c = NULL;
	struct errmsg e = {""};

	(void)state;
	assert_int_equal(config_load("no/such.conf", &c, &e), ERR_CONFIG);
	assert_string_equal(e.text, "no/such.conf:1: file: cannot open: No such file or directory");
	assert_null(c);
}

static void test_secret_paths(void **state)
{
	char path[32];

	(void)state;
	(void)setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1);
	assert_int_equal(config_secret_path(SV("credential:a"), path, sizeof path), ERR_OK);
	assert_string_equal(path, "/run/credentials/x/a");
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	assert_int_equal(config_secret_path(SV("credential:a"), path, sizeof path), ERR_OK);
	assert_string_equal(path, "/run/secrets/a");
	assert_int_equal(config_secret_path(SV("/etc/bff/key"), path, sizeof path), ERR_OK);
	assert_string_equal(path, "/etc/bff/key");
	assert_int_equal(config_secret_path(SV("/etc/bff/key"), path, 12), ERR_LIMIT);
}

static void test_full_disk(void **state)
{
	struct config *c = load("tests/lib/minimal.conf");
	FILE *f = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(f);
	assert_int_equal(config_dump(c, CONFIG_PRINT_ALL, f), ERR_IO);
	(void)fclose(f); /* fails again, as it must */
	config_free(&c);
}

static enum err attempt_load(void *arg)
{
	struct config *c = NULL;
	struct errmsg e = {""};
	enum err err = config_load(arg, &c, &e);

	assert_true((c != NULL) == (err == ERR_OK));
	if (err != ERR_OK) {
		assert_int_equal(err, ERR_CONFIG);
		assert_string_equal(e.text, "tests/lib/minimal.conf:1: file: out of memory");
	}
	config_free(&c);
	return err;
}

static void test_without_memory(void **state)
{
	char path[] = "tests/lib/minimal.conf";

	(void)state;
	assert_true(torture(attempt_load, path) > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_example_is_accepted),
	    cmocka_unit_test(test_example_routes),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_dump_is_a_fixpoint),
	    cmocka_unit_test(test_strings_round_trip),
	    cmocka_unit_test(test_brokered_sections),
	    cmocka_unit_test(test_descriptor_is_literal),
	    cmocka_unit_test(test_missing_file),
	    cmocka_unit_test(test_secret_paths),
	    cmocka_unit_test(test_full_disk),
	    cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests_name("config", tests, set_environment, NULL);
}

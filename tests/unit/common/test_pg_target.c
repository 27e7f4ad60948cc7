#include "common/pg_internal.h"

#include "tests/unit/torture.h"

/* What PQconnectStartParams() was last called with. */
static struct {
	char text[4096]; /* "key=value\n", sorted as given */
	const char *const *keys, *const *values;
} f;

PGconn *__wrap_PQconnectStartParams(const char *const *keys, const char *const *values,
				    int expand_dbname);

PGconn *__wrap_PQconnectStartParams(const char *const *keys, const char *const *values,
				    int expand_dbname)
{
	size_t n = 0;

	assert_int_equal(expand_dbname, 0); /* a dbname is a name, no second conninfo */
	f.keys = keys;
	f.values = values;
	f.text[0] = '\0';
	for (size_t i = 0; keys[i] != NULL; i++) {
		for (size_t k = 0; k < i; k++)
			if (strcmp(keys[k], keys[i]) == 0)
				fail_msg("%s twice", keys[i]);
		if (values[i] != NULL)
			n += (size_t)snprintf(f.text + n, sizeof f.text - n, "%s=%s\n", keys[i],
					      values[i]);
	}
	assert_true(n < sizeof f.text);
	return (PGconn *)&f; /* never looked into */
}

static struct pg_target *target(const char *conninfo)
{
	struct pg_options o = {.conninfo = conninfo, .user = "role", .application_name = "test"};
	struct pg_target *t = NULL;
	struct errmsg e;

	if (pg_target_new(&o, &t, &e) != ERR_OK)
		fail_msg("%s", e.text);
	return t;
}

static void connect_to(struct pg_target *t, size_t host, const char *password)
{
	assert_ptr_equal(pg_target_connect(t, host, password), (PGconn *)&f);
}

static bool has(const char *line)
{
	const char *at = strstr(f.text, line);

	return at != NULL && (at == f.text || at[-1] == '\n') && at[strlen(line)] == '\n';
}

static void ours_goes_before_the_conninfos(void **state)
{
	static const char *const wants[] = {
	    "user=role",
	    "application_name=test",
	    "target_session_attrs=read-write",
	    "client_encoding=UTF8",
	    "gssencmode=disable",
	    "keepalives_idle=9", /* what may be said otherwise */
	    "keepalives_interval=2",
	    "keepalives_count=3",
	    "tcp_user_timeout=3000",
	    "dbname=d",
	    "sslmode=verify-full",
	    "host=h",
	};
	struct pg_target *t =
	    target("host=h dbname=d user=other application_name=x target_session_attrs=any "
		   "client_encoding=LATIN1 keepalives_idle=9 sslmode=verify-full");

	(void)state;
	connect_to(t, 0, NULL);
	for (size_t i = 0; i < ARRAY_LEN(wants); i++)
		if (!has(wants[i]))
			fail_msg("no %s in %s", wants[i], f.text);
	assert_null(strstr(f.text, "password"));
	assert_null(strstr(f.text, "other"));
	pg_target_free(&t);
	assert_null(t);
	pg_target_free(&t);
}

static void without_a_user_of_ours_the_conninfos(void **state)
{
	struct pg_options o = {.conninfo = "host=h user=other application_name=x"};
	struct pg_target *t = NULL;
	struct errmsg e;

	(void)state;
	assert_int_equal(pg_target_new(&o, &t, &e), ERR_OK);
	connect_to(t, 0, NULL);
	assert_true(has("user=other") && has("application_name=x"));
	pg_target_free(&t);
}

static void each_host_with_its_own_address_and_port(void **state)
{
	struct pg_target *t = target("host=a,b,c hostaddr=10.0.0.1,,10.0.0.3 port=1,2,3");

	(void)state;
	assert_int_equal(pg_target_hosts(t), 3);
	assert_string_equal(pg_target_name(t, 0), "a:1");
	assert_string_equal(pg_target_name(t, 2), "c:3");
	connect_to(t, 0, NULL);
	assert_true(has("host=a") && has("hostaddr=10.0.0.1") && has("port=1"));
	connect_to(t, 1, NULL);
	assert_true(has("host=b") && has("hostaddr=") && has("port=2"));
	connect_to(t, 2, NULL);
	assert_true(has("host=c") && has("hostaddr=10.0.0.3") && has("port=3"));
	pg_target_free(&t);
}

static void one_port_is_for_all(void **state)
{
	struct pg_target *t = target("host=a,/run/pg port=7");

	(void)state;
	assert_int_equal(pg_target_hosts(t), 2);
	assert_string_equal(pg_target_name(t, 1), "/run/pg:7");
	connect_to(t, 1, NULL);
	assert_true(has("host=/run/pg") && has("port=7"));
	pg_target_free(&t);
	t = target("hostaddr=10.0.0.1,10.0.0.2");
	assert_int_equal(pg_target_hosts(t), 2);
	assert_string_equal(pg_target_name(t, 1), "10.0.0.2");
	pg_target_free(&t);
	assert_int_equal(unsetenv("PGHOST") | unsetenv("PGPORT"), 0);
	t = target("dbname=d");
	assert_int_equal(pg_target_hosts(t), 1);
	assert_string_equal(pg_target_name(t, 0), "default");
	pg_target_free(&t);
}

/* A password is handed over for one call, and not kept. */
static void a_password_is_for_one_call(void **state)
{
	struct pg_target *t = target("host=h password=of-the-conninfo");

	(void)state;
	connect_to(t, 0, "of-the-file");
	assert_true(has("password=of-the-file"));
	for (size_t i = 0; f.keys[i] != NULL; i++)
		if (strcmp(f.keys[i], "password") == 0)
			assert_null(f.values[i]);
	connect_to(t, 0, NULL);
	assert_true(has("password=of-the-conninfo"));
	pg_target_free(&t);
}

static void refusals(void **state)
{
	static const struct {
		const char *conninfo, *want;
	} cases[] = {
	    {"host", "conninfo: missing \"=\" after \"host\""},
	    {"nonsense=1", "conninfo: invalid connection option \"nonsense\""},
	    {"host=a,b hostaddr=10.0.0.1", "conninfo: 2 hosts, but 1 hostaddr"},
	    {"host=a,b port=1,2,3", "conninfo: 2 hosts, but 3 ports"},
	    {"host=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "conninfo: more than 16 hosts"},
	    {"host=a port=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "conninfo: more than 16"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pg_options o = {.conninfo = cases[i].conninfo};
		struct pg_target *t = NULL;
		struct errmsg e = {""};

		assert_int_equal(pg_target_new(&o, &t, &e), ERR_CONFIG);
		assert_null(t);
		if (strncmp(e.text, cases[i].want, strlen(cases[i].want)) != 0)
			fail_msg("case %zu: %s", i, e.text);
		assert_null(strchr(e.text, '\n'));
	}
	{
		struct pg_target *t = target("host=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16");

		assert_int_equal(pg_target_hosts(t), PG_HOSTS_MAX);
		pg_target_free(&t);
	}
}

__attribute__((format(printf, 2, 3))) int __wrap_asprintf(char **p, const char *fmt, ...);

int __wrap_asprintf(char **p, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (torture_fails())
		return -1;
	va_start(ap, fmt);
	n = vasprintf(p, fmt, ap);
	va_end(ap);
	return n;
}

static enum err attempt(void *arg)
{
	struct pg_options o = {.conninfo = arg, .user = "role", .application_name = "test"};
	struct pg_target *t = NULL;
	struct errmsg e = {""};
	enum err err = pg_target_new(&o, &t, &e);

	assert_true((t != NULL) == (err == ERR_OK));
	if (err != ERR_OK) {
		assert_int_equal(err, ERR_NOMEM);
		assert_string_equal(e.text, "out of memory");
	}
	pg_target_free(&t);
	return err;
}

static void without_memory(void **state)
{
	char conninfo[] = "host=a,b hostaddr=10.0.0.1,10.0.0.2 port=1,2 dbname=d";

	(void)state;
	assert_true(torture(attempt, conninfo) >= 5 + 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ours_goes_before_the_conninfos),
	    cmocka_unit_test(without_a_user_of_ours_the_conninfos),
	    cmocka_unit_test(each_host_with_its_own_address_and_port),
	    cmocka_unit_test(one_port_is_for_all),
	    cmocka_unit_test(a_password_is_for_one_call),
	    cmocka_unit_test(refusals),
	    cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

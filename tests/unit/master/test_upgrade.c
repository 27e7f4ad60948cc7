#include "master/upgrade.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "tests/unit/master/stage.h"

/* What the new image would have got: its arguments, UPGRADE_ENV, and which descriptors. */
static struct {
	struct supervisor s;
	unsigned execs;
	char program[128], argv[256], env[UPGRADE_ENV_MAX + 64];
	char open[512]; /* descriptors that pass an exec, from 3 on, in order */
	bool has_notify, blocks_hup;
	pid_t pid;
} f;

int __real_execve(const char *path, char *const argv[], char *const env[]);
int __wrap_execve(const char *path, char *const argv[], char *const env[]);

static void note_open(char *out, size_t n)
{
	size_t at = 0;

	out[0] = '\0';
	for (int fd = 3; fd < 256; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags != -1 && (flags & FD_CLOEXEC) == 0)
			at += (size_t)snprintf(out + at, n - at, "%d,", fd);
	}
}

int __wrap_execve(const char *path, char *const argv[], char *const env[])
{
	sigset_t now;
	size_t at = 0;

	if (getpid() != f.pid) /* upgrade_check()'s child */
		return __real_execve(path, argv, env);
	f.execs++;
	(void)snprintf(f.program, sizeof f.program, "%s", path);
	for (size_t i = 0; argv[i] != NULL; i++)
		at += (size_t)snprintf(f.argv + at, sizeof f.argv - at, "%s ", argv[i]);
	(void)snprintf(f.env, sizeof f.env, "%s", getenv(UPGRADE_ENV));
	f.has_notify = getenv("NOTIFY_SOCKET") != NULL;
	note_open(f.open, sizeof f.open);
	assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &now), 0);
	f.blocks_hup = sigismember(&now, SIGHUP) == 1;
	errno = ENOEXEC;
	return -1;
}

static int listening(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof sin), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static char standard[512]; /* what is open without us */

static int setup(void **state)
{
	struct errmsg e;

	(void)state;
	stage_open();
	stage_manager();
	memset(&f, 0, sizeof f);
	f.pid = getpid();
	note_open(standard, sizeof standard);
	f.s.base = event_base_new();
	assert_int_equal(notify_open(&f.s.notify, &e), ERR_OK);
	f.s.config_path = "/etc/test.conf";
	(void)strcpy(f.s.program, "/usr/sbin/bffd");
	f.s.generation = 9;
	f.s.current = stage_service(f.s.base, 2, 9);
	stage_says(0, CONTRACT_READY);
	loop_turns(f.s.base, 2);
	assert_int_equal(listen_adopt(&f.s.listeners, listening(), "", LISTEN_OURS, &e), ERR_OK);
	assert_int_equal(listen_adopt(&f.s.listeners, listening(), "x", LISTEN_INHERITED, &e),
			 ERR_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	service_free(&f.s.current);
	for (size_t i = 0; i < f.s.listeners.n; i++)
		(void)close(f.s.listeners.v[i].fd);
	upgrade_release(&f.s);
	notify_close(&f.s.notify);
	(void)unsetenv("NOTIFY_SOCKET");
	event_base_free(f.s.base);
	stage_close();
	return 0;
}

static void exec_now(void)
{
	struct errmsg e;

	assert_int_equal(upgrade_exec(&f.s, &e), ERR_IO);
	assert_string_equal(e.text, "/usr/sbin/bffd: Exec format error");
}

static void the_new_image_gets_sockets_channels_and_the_generation(void **state)
{
	int ours = f.s.listeners.v[0].fd, theirs = f.s.listeners.v[1].fd;
	int status = f.s.current->slots[0].status_fd;
	char want[256];

	(void)state;
	exec_now();
	assert_int_equal(f.execs, 1);
	assert_string_equal(f.program, "/usr/sbin/bffd");
	assert_string_equal(f.argv, "/usr/sbin/bffd -c /etc/test.conf ");
	/* Of the workers those that serve: the other one is not ready, so nobody is served. */
	(void)snprintf(want, sizeof want, "%d:b%d,i%d,s%d,g9", (int)getpid(), ours, theirs, status);
	assert_string_equal(f.env, want);
	for (size_t i = 0; i < 3; i++) {
		const int fds[] = {ours, theirs, status};

		(void)snprintf(want, sizeof want, "%d,", fds[i]);
		assert_non_null(strstr(f.open, want));
	}
	(void)snprintf(want, sizeof want, ",%d,", f.s.current->slots[1].status_fd);
	assert_null(strstr(f.open, want));
	assert_true(f.has_notify);
	assert_true(f.blocks_hup); /* until the new image has its handlers */
}

static void an_exec_that_fails_changes_nothing(void **state)
{
	sigset_t now;
	char open[512];

	(void)state;
	exec_now();
	note_open(open, sizeof open);
	assert_string_equal(open, standard);
	assert_null(getenv(UPGRADE_ENV));
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &now), 0);
	assert_int_equal(sigismember(&now, SIGHUP), 0);
	assert_int_equal(service_count(f.s.current, SLOT_READY), 1);
	exec_now(); /* and can be tried again */
	assert_int_equal(f.execs, 2);
}

static void more_than_fits_is_refused(void **state)
{
	static struct slot many[UPGRADE_ENV_MAX / 3];
	struct service v = {.slots = many, .n = ARRAY_LEN(many)}, *before = f.s.current;
	struct errmsg e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct slot){.state = SLOT_READY, .status_fd = f.s.listeners.v[0].fd};
	f.s.current = &v;
	assert_int_equal(upgrade_exec(&f.s, &e), ERR_IO);
	f.s.current = before;
	assert_string_equal(e.text, "too many sockets and workers for an upgrade");
	assert_int_equal(f.execs, 0);
}

/* ---- in the new image --------------------------------------------------------------------- */

static enum err take(struct supervisor *s, const char *value, struct errmsg *e)
{
	*s = (struct supervisor){0};
	e->text[0] = '\0';
	assert_int_equal(setenv(UPGRADE_ENV, value, 1), 0);
	return upgrade_take(s, e);
}

static void what_one_image_leaves_the_next_takes(void **state)
{
	static struct supervisor s;
	struct errmsg e;
	char open[512];

	(void)state;
	exec_now();
	assert_int_equal(fcntl(f.s.listeners.v[0].fd, F_SETFD, 0), 0);
	if (take(&s, f.env, &e) != ERR_OK)
		fail_msg("%s", e.text);
	assert_int_equal(s.generation, 9);
	assert_int_equal(s.listeners.n, 2);
	assert_int_equal(s.listeners.v[0].fd, f.s.listeners.v[0].fd);
	assert_false(s.listeners.v[0].inherited);
	assert_true(s.listeners.v[1].inherited);
	assert_int_equal(s.nformer, 1);
	assert_int_equal(s.former[0], f.s.current->slots[0].status_fd);
	note_open(open, sizeof open); /* close-on-exec again */
	assert_string_equal(open, standard);
	assert_null(getenv(UPGRADE_ENV));
}

/* Another version's table is another memory: counters begin anew, and the upgrade goes on. */
static void counters_go_on_where_the_table_is_the_same(void **state)
{
	static struct supervisor s;
	int other = memfd_create("other", MFD_CLOEXEC);
	struct errmsg e;
	char value[64];

	(void)state;
	assert_int_equal(tally_open(&f.s.tally, &e), ERR_OK);
	metrics_count(f.s.tally.metrics, METRIC_CONFIG_RELOADS, METRICS_AT(METRICS_RELOAD_OK));
	exec_now();
	(void)snprintf(value, sizeof value, "m%d,", f.s.tally.fd);
	assert_non_null(strstr(f.env, value));
	assert_non_null(strstr(f.open, value + 1));
	(void)snprintf(value, sizeof value, "%d:m%d", (int)getpid(), dup(f.s.tally.fd));
	assert_int_equal(take(&s, value, &e), ERR_OK);
	assert_int_equal(
	    metrics_sum(s.tally.metrics, METRIC_CONFIG_RELOADS, METRICS_AT(METRICS_RELOAD_OK)), 1);
	assert_int_equal(fcntl(s.tally.fd, F_GETFD), FD_CLOEXEC);
	tally_close(&s.tally);
	tally_close(&f.s.tally);
	(void)snprintf(value, sizeof value, "%d:m%d", (int)getpid(), other);
	assert_int_equal(take(&s, value, &e), ERR_OK);
	assert_null(s.tally.metrics);
	assert_int_equal(fcntl(other, F_GETFD), -1); /* closed */
}

static void released_the_former_workers_see_the_end(void **state)
{
	static struct supervisor s;
	char byte;

	(void)state;
	s.former[0] = dup(f.s.current->slots[0].status_fd);
	s.nformer = 1;
	service_free(&f.s.current);
	assert_int_equal(recv(stage.workers[0].fd, &byte, 1, 0), -1);
	upgrade_release(&s);
	assert_int_equal(recv(stage.workers[0].fd, &byte, 1, 0), 0);
	assert_int_equal(s.nformer, 0);
	upgrade_release(&s);
}

static void what_is_left_by_somebody_else(void **state)
{
	static struct supervisor s;
	struct errmsg e;
	const struct {
		const char *value; /* behind our process id, if it starts with ':' */
		enum err want;
		const char *text;
	} cases[] = {
	    {"", ERR_OK, ""},
	    {"1:g5", ERR_OK, ""}, /* another process's */
	    {"x:g5", ERR_OK, ""},
	    {":g5", ERR_OK, ""},
	    {":", ERR_OK, ""},
	    {":s200", ERR_SYNTAX, "BFF_UPGRADE: descriptor 200 is not open"},
	    {":s2", ERR_SYNTAX, "BFF_UPGRADE: descriptor 2 is not open"}, /* never 0 to 2 */
	    {":b", ERR_SYNTAX, "BFF_UPGRADE: expected numbers"},
	    {":bx", ERR_SYNTAX, "BFF_UPGRADE: expected numbers"},
	    {":g99999999999", ERR_SYNTAX, "BFF_UPGRADE: expected numbers"},
	    {":,g5", ERR_SYNTAX, "BFF_UPGRADE: expected numbers"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char value[64];

		(void)snprintf(value, sizeof value, "%.*d%s", cases[i].value[0] == ':' ? 1 : 0,
			       cases[i].value[0] == ':' ? (int)getpid() : 0, cases[i].value);
		if (take(&s, value, &e) != cases[i].want)
			fail_msg("case %zu: %s", i, e.text);
		assert_string_equal(e.text, cases[i].text);
		assert_int_equal(s.generation, strcmp(cases[i].value, ":g5") == 0 ? 5 : 0);
		assert_int_equal(s.nformer + s.listeners.n, 0);
		assert_null(getenv(UPGRADE_ENV)); /* no child believes it */
	}
	{
		char value[64];

		(void)snprintf(value, sizeof value, "%d:z%d", (int)getpid(), stage.manager);
		assert_int_equal(take(&s, value, &e), ERR_SYNTAX);
		assert_string_equal(e.text, "BFF_UPGRADE: unknown kind z");
		(void)snprintf(value, sizeof value, "%d:b%d", (int)getpid(), stage.manager);
		assert_int_equal(take(&s, value, &e), ERR_UNSUPPORTED); /* no listening socket */
	}
	assert_int_equal(unsetenv(UPGRADE_ENV), 0);
	assert_int_equal(upgrade_take(&s, &e), ERR_OK);
}

static void more_former_workers_than_places_drain_early(void **state)
{
	static struct supervisor s;
	struct errmsg e;
	char value[64];
	int fd = dup(stage.manager);

	(void)state;
	(void)snprintf(value, sizeof value, "%d:s%d", (int)getpid(), fd);
	s = (struct supervisor){.nformer = SUPERVISOR_FORMER_MAX};
	assert_int_equal(setenv(UPGRADE_ENV, value, 1), 0);
	assert_int_equal(upgrade_take(&s, &e), ERR_OK);
	assert_int_equal(s.nformer, SUPERVISOR_FORMER_MAX);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/* ---- the program on disk ------------------------------------------------------------------ */

static void another_file_at_our_path_is_an_upgrade(void **state)
{
	char path[] = "/tmp/bff-test-upgrade-XXXXXX", self[PATH_MAX];
	int fd = mkstemp(path);
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	(void)state;
	assert_true(n > 0);
	self[n] = '\0';
	(void)strcpy(f.s.program, self);
	assert_false(upgrade_is_due(&f.s));
	(void)strcpy(f.s.program, path);
	assert_true(upgrade_is_due(&f.s));
	(void)close(fd);
	assert_int_equal(unlink(path), 0);
	assert_false(upgrade_is_due(&f.s)); /* nothing there: nothing to become */
}

pid_t __real_waitpid(pid_t pid, int *status, int options);

/* How a check with that script as the program ends. */
static int checked(const char *script)
{
	char path[] = "/tmp/bff-test-upgrade-XXXXXX";
	struct errmsg e;
	int status, fd = mkstemp(path);

	assert_int_equal(write(fd, script, strlen(script)), strlen(script));
	assert_int_equal(fchmod(fd, 0700), 0);
	assert_int_equal(close(fd), 0);
	(void)strcpy(f.s.program, path);
	assert_int_equal(upgrade_check(&f.s, &e), ERR_OK);
	assert_true(f.s.check_pid > 0);
	assert_int_equal(__real_waitpid(f.s.check_pid, &status, 0), f.s.check_pid);
	assert_int_equal(unlink(path), 0);
	return status;
}

static void the_new_program_is_asked_about_the_configuration(void **state)
{
	(void)state;
	assert_int_equal(checked("#!/bin/sh\n[ \"$*\" = '-t -c /etc/test.conf' ]\n"), 0);
	assert_int_equal(checked("#!/bin/sh\nexit 78\n"), STAGE_EXITED(78));
	/* With no descriptor of ours but the log. */
	assert_int_equal(checked("#!/bin/sh\nfor n in 3 4 5 6 7 8; do\n"
				 "[ ! -e /proc/$$/fd/$n ] || [ \"$(readlink /proc/$$/fd/$n)\" = "
				 "\"$0\" ] || exit 1; done\n"),
			 0);
}

static void a_program_that_cannot_run_says_no(void **state)
{
	struct errmsg e;
	int status;

	(void)state;
	(void)strcpy(f.s.program, "/nonexistent/bffd");
	assert_int_equal(upgrade_check(&f.s, &e), ERR_OK);
	assert_int_equal(__real_waitpid(f.s.check_pid, &status, 0), f.s.check_pid);
	assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(the_new_image_gets_sockets_channels_and_the_generation),
	    CASE(an_exec_that_fails_changes_nothing),
	    CASE(more_than_fits_is_refused),
	    CASE(what_one_image_leaves_the_next_takes),
	    CASE(counters_go_on_where_the_table_is_the_same),
	    CASE(released_the_former_workers_see_the_end),
	    CASE(what_is_left_by_somebody_else),
	    CASE(more_former_workers_than_places_drain_early),
	    CASE(another_file_at_our_path_is_an_upgrade),
	    CASE(the_new_program_is_asked_about_the_configuration),
	    CASE(a_program_that_cannot_run_says_no),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

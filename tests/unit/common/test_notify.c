#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/notify.h"

static void listen_variables_are_judged(void **state)
{
	static const struct {
		const char *pid, *fds, *names;
		enum err want;
		size_t want_n;
		const char *want_first, *want_last;
	} rows[] = {
	    {NULL, NULL, NULL, ERR_OK, 0, NULL, NULL},
	    {"7", NULL, NULL, ERR_OK, 0, NULL, NULL},
	    {NULL, "2", NULL, ERR_OK, 0, NULL, NULL},
	    {"8", "2", "a:b", ERR_OK, 0, NULL, NULL}, /* somebody else's */
	    {"8", "junk", NULL, ERR_OK, 0, NULL, NULL},
	    {"7", "0", NULL, ERR_OK, 0, NULL, NULL},
	    {"7", "0", "", ERR_OK, 0, NULL, NULL},
	    {"7", "1", NULL, ERR_OK, 1, "unknown", "unknown"},
	    {"7", "1", "public", ERR_OK, 1, "public", "public"},
	    {"7", "3", "public:verify:", ERR_OK, 3, "public", ""},
	    {"7", "32", NULL, ERR_OK, 32, "unknown", "unknown"},
	    {"7", "33", NULL, ERR_LIMIT, 0, NULL, NULL},
	    {"7", "2", "public", ERR_SYNTAX, 0, NULL, NULL},
	    {"7", "1", "public:verify", ERR_SYNTAX, 0, NULL, NULL},
	    {"7", "-1", NULL, ERR_SYNTAX, 0, NULL, NULL},
	    {"7", "", NULL, ERR_SYNTAX, 0, NULL, NULL},
	    {"7", "99999999999999999999", NULL, ERR_SYNTAX, 0, NULL, NULL},
	    {"0", "1", NULL, ERR_SYNTAX, 0, NULL, NULL},
	    {"7 ", "1", NULL, ERR_SYNTAX, 0, NULL, NULL},
	};
	static struct notify_fds got;
	struct errmsg e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		got.n = 99;
		enum err r = notify_parse_fds(rows[i].pid, rows[i].fds, rows[i].names, 7, &got, &e);

		if (r != rows[i].want)
			fail_msg("row %zu: got %d, want %d", i, (int)r, (int)rows[i].want);
		if (r != ERR_OK) {
			assert_int_equal(got.n, 99); /* written only on success */
			continue;
		}
		assert_int_equal(got.n, rows[i].want_n);
		if (got.n > 0) {
			assert_string_equal(got.name[0], rows[i].want_first);
			assert_string_equal(got.name[got.n - 1], rows[i].want_last);
		}
	}
}

static void a_name_that_is_too_long_is_refused(void **state)
{
	char names[NOTIFY_FD_NAME_MAX + 2];
	static struct notify_fds got;
	struct errmsg e;

	(void)state;
	memset(names, 'a', sizeof names);
	names[NOTIFY_FD_NAME_MAX] = '\0';
	assert_int_equal(notify_parse_fds("7", "1", names, 7, &got, &e), ERR_OK);
	names[NOTIFY_FD_NAME_MAX] = 'a';
	names[NOTIFY_FD_NAME_MAX + 1] = '\0';
	assert_int_equal(notify_parse_fds("7", "1", names, 7, &got, &e), ERR_SYNTAX);
}

static void listen_variables_leave_the_environment(void **state)
{
	static struct notify_fds got;
	struct errmsg e;

	(void)state;
	assert_int_equal(setenv("LISTEN_PID", "1", 1), 0);
	assert_int_equal(setenv("LISTEN_FDS", "1", 1), 0);
	assert_int_equal(setenv("LISTEN_FDNAMES", "x", 1), 0);
	assert_int_equal(notify_listen_fds(&got, &e), ERR_OK);
	assert_int_equal(got.n, 0);
	assert_null(getenv("LISTEN_PID"));
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_FDNAMES"));
}

static void a_descriptor_that_is_not_open_is_an_error(void **state)
{
	static struct notify_fds got;
	struct errmsg e;
	char pid[16], count[16];
	int n = NOTIFY_FDS_MAX;

	(void)state;
	assert_int_equal(fcntl(NOTIFY_FDS_FIRST + n - 1, F_GETFD), -1);
	(void)snprintf(pid, sizeof pid, "%d", (int)getpid());
	(void)snprintf(count, sizeof count, "%d", n);
	assert_int_equal(setenv("LISTEN_PID", pid, 1), 0);
	assert_int_equal(setenv("LISTEN_FDS", count, 1), 0);
	assert_int_equal(notify_listen_fds(&got, &e), ERR_IO);
}

/* A manager's end of the socket; abstract, so that nothing is left behind. */
static int manager(char *ret_address, size_t len)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n =
	    snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "bff-test-notify-%d", (int)getpid());
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd != -1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a,
			      (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 + (socklen_t)n),
			 0);
	(void)snprintf(ret_address, len, "@%s", a.sun_path + 1);
	return fd;
}

static void messages_arrive_and_the_variables_are_gone(void **state)
{
	struct notify n;
	struct errmsg e;
	char address[120], got[NOTIFY_TEXT_MAX * 2];
	int fd = manager(address, sizeof address);
	ssize_t len;

	(void)state;
	assert_int_equal(setenv("NOTIFY_SOCKET", address, 1), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
	assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
	assert_int_equal(notify_open(&n, &e), ERR_OK);
	assert_int_equal(n.watchdog_ms, 30000);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));

	assert_int_equal(notify_send(&n, "READY=1\nSTATUS=%s", "serving"), ERR_OK);
	len = recv(fd, got, sizeof got, 0);
	assert_sv_equal(sv_of(got, (size_t)len), SV("READY=1\nSTATUS=serving"));

	assert_int_equal(notify_reloading(&n, "reloading"), ERR_OK);
	len = recv(fd, got, sizeof got - 1, 0);
	assert_true(len > 0);
	got[len] = '\0';
	assert_int_equal(strncmp(got, "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	assert_non_null(strstr(got, "\nSTATUS=reloading"));

	assert_int_equal(notify_send(&n, "STATUS=%0*d", NOTIFY_TEXT_MAX * 2, 0), ERR_OK);
	assert_int_equal(recv(fd, got, sizeof got, 0), NOTIFY_TEXT_MAX - 1);
	notify_close(&n);
	(void)close(fd);
}

static void what_was_taken_can_be_given_back(void **state)
{
	struct notify n;
	struct errmsg e;

	(void)state;
	for (int i = 0; i < 2; i++) {
		const char *want = i == 0 ? "@bff/x" : "/run/bff/x";

		assert_int_equal(setenv("NOTIFY_SOCKET", want, 1), 0);
		assert_int_equal(setenv("WATCHDOG_USEC", "5000", 1), 0);
		assert_int_equal(notify_open(&n, &e), ERR_OK);
		assert_null(getenv("NOTIFY_SOCKET"));
		assert_int_equal(notify_give_back(&n), ERR_OK);
		assert_string_equal(getenv("NOTIFY_SOCKET"), want);
		assert_string_equal(getenv("WATCHDOG_USEC"), "5000");
		notify_take_back();
		assert_null(getenv("NOTIFY_SOCKET"));
		assert_null(getenv("WATCHDOG_USEC"));
		notify_close(&n);
	}
}

static void without_a_manager_nothing_happens(void **state)
{
	struct notify n;
	struct errmsg e;

	(void)state;
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
	assert_int_equal(notify_open(&n, &e), ERR_OK);
	assert_int_equal(n.watchdog_ms, 0);
	assert_int_equal(notify_send(&n, "READY=1"), ERR_OK);
	notify_close(&n);
}

static void bad_variables_are_refused(void **state)
{
	static const struct {
		const char *socket, *usec, *pid;
		enum err want;
	} rows[] = {
	    {"relative", NULL, NULL, ERR_UNSUPPORTED},
	    {"", NULL, NULL, ERR_UNSUPPORTED},
	    {"@", NULL, NULL, ERR_UNSUPPORTED},
	    {"vsock:2:1", NULL, NULL, ERR_UNSUPPORTED},
	    {"/a/very/long/path/a/very/long/path/a/very/long/path/a/very/long/path/a/very/long/"
	     "path/a/very/long/"
	     "path/a/very/long/path/x",
	     NULL, NULL, ERR_UNSUPPORTED},
	    {NULL, "soon", NULL, ERR_SYNTAX},
	    {NULL, "0", NULL, ERR_SYNTAX},
	    {NULL, "1000", "me", ERR_SYNTAX},
	    {NULL, "1000", "1", ERR_OK},
	};
	struct notify n;
	struct errmsg e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].socket != NULL)
			assert_int_equal(setenv("NOTIFY_SOCKET", rows[i].socket, 1), 0);
		if (rows[i].usec != NULL)
			assert_int_equal(setenv("WATCHDOG_USEC", rows[i].usec, 1), 0);
		if (rows[i].pid != NULL)
			assert_int_equal(setenv("WATCHDOG_PID", rows[i].pid, 1), 0);
		enum err r = notify_open(&n, &e);

		if (r != rows[i].want)
			fail_msg("row %zu: got %d, want %d", i, (int)r, (int)rows[i].want);
		assert_int_equal(n.fd, -1);
		assert_int_equal(n.watchdog_ms, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(listen_variables_are_judged),
	    cmocka_unit_test(a_name_that_is_too_long_is_refused),
	    cmocka_unit_test(listen_variables_leave_the_environment),
	    cmocka_unit_test(a_descriptor_that_is_not_open_is_an_error),
	    cmocka_unit_test(messages_arrive_and_the_variables_are_gone),
	    cmocka_unit_test(what_was_taken_can_be_given_back),
	    cmocka_unit_test(without_a_manager_nothing_happens),
	    cmocka_unit_test(bad_variables_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

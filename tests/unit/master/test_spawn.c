#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/contract.h"
#include "master/spawn.h"

/* A configuration that parses, since config_dump() needs a whole one. */
static struct config *load(void)
{
	static const char text[] =
	    "database { conninfo = \"host=127.0.0.1\" web_password_file = \"/x\" "
	    "broker_password_file = \"/x\" }\n"
	    "web { workers = 1 cookie_keys = \"/x\" }\n"
	    "broker { socket = \"/x/s\" peer_user = \"nobody\" key_ring = \"/x\" }\n"
	    "listen \"public\" { kind = public address = \"127.0.0.1:1\" "
	    "trusted_peers = {\"127.0.0.1/32\"} }\n"
	    "provider \"p\" { preset = generic issuer = \"https://i.example\" client_id = \"c\" "
	    "client_secret_file = \"/x\" }\n"
	    "app \"a\" { provider = \"p\" origins = {\"https://a.example\"} }\n"
	    "route \"r\" { app = \"a\" path = \"/\" }\n";
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct config *c = NULL;
	struct errmsg e;

	assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	if (config_load_fd(fd, "test.conf", &c, &e) != ERR_OK)
		fail_msg("%s", e.text);
	assert_int_equal(close(fd), 0);
	return c;
}

static void the_configuration_is_sealed_and_at_its_start(void **state)
{
	struct config *c = load(), *again = NULL;
	struct errmsg e;
	int fd = -1;

	(void)state;
	assert_int_equal(spawn_config_memfd(c, &fd, &e), ERR_OK);
	assert_int_equal(fcntl(fd, F_GET_SEALS),
			 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(config_load_fd(fd, "memfd", &again, &e), ERR_OK);
	assert_int_equal(again->nroutes, c->nroutes);
	assert_int_equal(close(fd), 0);
	config_free(&again);
	config_free(&c);
}

static int exit_of(const char *program, struct errmsg *e)
{
	struct config *c = load();
	struct listen_plan none = {.n = 0};
	struct spawn s = {.worker = program, .config = c, .listen = &none, .generation = 1};
	int status_fd = -1, status = 0;
	pid_t pid = -1;
	char byte;

	assert_int_equal(spawn_worker(&s, &pid, &status_fd, e), ERR_OK);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(recv(status_fd, &byte, 1, 0),
			 0); /* its end is closed: nobody has a copy */
	assert_int_equal(close(status_fd), 0);
	config_free(&c);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void a_program_that_is_missing_is_an_exit_status(void **state)
{
	struct errmsg e;

	(void)state;
	assert_int_equal(exit_of("/nonexistent/bff-worker", &e), CONTRACT_EXIT_ERROR);
	assert_int_equal(exit_of("/bin/true", &e), 0);
}

static void too_much_environment_is_an_error(void **state)
{
	struct config *c = load();
	struct listen_plan none = {.n = 0};
	struct spawn s = {.worker = "/bin/true", .config = c, .listen = &none, .generation = 1};
	char *big = malloc(10000);
	struct errmsg e;
	int fd = -1;
	pid_t pid = -1;

	(void)state;
	assert_non_null(big);
	memset(big, 'a', 9999);
	big[9999] = '\0';
	assert_int_equal(setenv("TZ", big, 1), 0);
	assert_int_equal(spawn_worker(&s, &pid, &fd, &e), ERR_LIMIT);
	assert_int_equal(pid, -1);
	assert_int_equal(fd, -1);
	assert_int_equal(unsetenv("TZ"), 0);
	free(big);
	config_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_configuration_is_sealed_and_at_its_start),
	    cmocka_unit_test(a_program_that_is_missing_is_an_exit_status),
	    cmocka_unit_test(too_much_environment_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

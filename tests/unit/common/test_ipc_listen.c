#include "common/ipc_listen.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static void a_path_is_listened_on_and_a_stale_one_replaced(void **state)
{
	char dir[] = "/tmp/ipc_socket.XXXXXX", path[64];
	struct errmsg e;
	struct stat st;
	uid_t uid = (uid_t)-1;
	int fd = -1, second = -1, client = -1, server;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/s", dir);
	assert_int_equal(ipc_connect(path, &client), ERR_UNAVAILABLE);
	assert_int_equal(ipc_listen(path, &fd, &e), ERR_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(ipc_connect(path, &client), ERR_OK);
	server = accept(fd, NULL, NULL);
	assert_true(server != -1);
	assert_int_equal(ipc_peer_uid(server, &uid), ERR_OK);
	assert_int_equal(uid, geteuid());
	assert_int_equal(ipc_listen(path, &second, &e), ERR_EXISTS); /* someone is there */
	(void)close(server);
	(void)close(client);
	(void)close(fd);
	assert_int_equal(ipc_listen(path, &second, &e), ERR_OK);
	(void)close(second);
	(void)unlink(path);
	fd = creat(path, 0600);
	assert_int_equal(ipc_listen(path, &second, &e), ERR_EXISTS);
	(void)close(fd);
	(void)unlink(path);
	(void)rmdir(dir);
	memset(path, 'x', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	assert_int_equal(ipc_connect("", &client), ERR_LIMIT);
}

/* Told apart from a stale one whatever its type, and replaced only by who may. */
static void a_stream_socket_is_no_other(void **state)
{
	char dir[] = "/tmp/ipc_socket.XXXXXX", path[64];
	int fd = -1, second = -1, type = 0;
	socklen_t len = sizeof type;
	struct errmsg e;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/s", dir);
	assert_int_equal(ipc_bind(path, SOCK_STREAM, 8, &fd, &e), ERR_OK);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len), 0);
	assert_int_equal(type, SOCK_STREAM);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(ipc_bind(path, SOCK_STREAM, 8, &second, &e), ERR_EXISTS);
	assert_non_null(strstr(e.text, "another process listens"));
	assert_int_equal(ipc_listen(path, &second, &e), ERR_EXISTS);
	(void)close(fd);
	assert_int_equal(ipc_bind(path, SOCK_STREAM, 8, &fd, &e), ERR_OK);
	(void)close(fd);
	(void)unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(ipc_bind(path, SOCK_STREAM, 8, &fd, &e), ERR_EXISTS);
	(void)unlink(path);
	(void)rmdir(dir);
}

static void no_socket_has_no_peer(void **state)
{
	uid_t uid;

	(void)state;
	assert_int_equal(ipc_peer_uid(-1, &uid), ERR_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_path_is_listened_on_and_a_stale_one_replaced),
	    cmocka_unit_test(a_stream_socket_is_no_other),
	    cmocka_unit_test(no_socket_has_no_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/conn_io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static struct {
	struct conn_io io;
	int client;
} fx;

static int open_pair(void **state)
{
	int fds[2], fd;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	fd = fds[0];
	fx.client = fds[1];
	assert_int_equal(conn_io_open(&fx.io, &fds[0], NULL), ERR_OK);
	assert_int_equal(fds[0], -1);
	assert_int_equal(fx.io.fd, fd);
	return 0;
}

static int close_pair(void **state)
{
	(void)state;
	if (fx.io.fd != -1)
		conn_io_close(&fx.io);
	(void)close(fx.client);
	return 0;
}

static void bytes_come_and_go(void **state)
{
	char b[8];

	(void)state;
	assert_int_equal(conn_io_read(&fx.io, b, sizeof b), -1);
	assert_int_equal(errno, EAGAIN);
	assert_false(conn_io_read_wants_write(&fx.io));
	assert_int_equal(send(fx.client, "hello", 5, 0), 5);
	assert_int_equal(conn_io_read(&fx.io, b, 2), 2);
	assert_memory_equal(b, "he", 2);
	assert_false(conn_io_pending(&fx.io)); /* the kernel says so */
	assert_int_equal(conn_io_read(&fx.io, b, sizeof b), 3);
	assert_int_equal(conn_io_write(&fx.io, "well", 4), 4);
	assert_int_equal(recv(fx.client, b, sizeof b, 0), 4);
}

static void a_full_kernel_is_waited_for(void **state)
{
	static const char bytes[4096];
	ssize_t n;

	(void)state;
	while ((n = conn_io_write(&fx.io, bytes, sizeof bytes)) > 0)
		;
	assert_int_equal(n, -1);
	assert_int_equal(errno, EAGAIN);
}

static void a_peer_that_went_is_an_error_and_no_signal(void **state)
{
	(void)state;
	(void)close(fx.client);
	fx.client = -1;
	assert_int_equal(conn_io_write(&fx.io, "x", 1), -1);
	assert_int_equal(errno, EPIPE);
}

static void after_the_end_of_writing_one_still_reads(void **state)
{
	char b[8];

	(void)state;
	assert_int_equal(conn_io_shut(&fx.io), ERR_OK);
	assert_int_equal(recv(fx.client, b, sizeof b, 0), 0);
	assert_int_equal(send(fx.client, "more", 4, 0), 4);
	assert_int_equal(conn_io_drop(&fx.io), 4);
	assert_int_equal(conn_io_drop(&fx.io), -1);
	assert_int_equal(errno, EAGAIN);
	(void)shutdown(fx.client, SHUT_WR);
	assert_int_equal(conn_io_drop(&fx.io), 0);
}

static void closing_closes(void **state)
{
	int fd = fx.io.fd;
	char b;

	(void)state;
	conn_io_close(&fx.io);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(recv(fx.client, &b, 1, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(bytes_come_and_go, open_pair, close_pair),
	    cmocka_unit_test_setup_teardown(a_full_kernel_is_waited_for, open_pair, close_pair),
	    cmocka_unit_test_setup_teardown(a_peer_that_went_is_an_error_and_no_signal, open_pair,
					    close_pair),
	    cmocka_unit_test_setup_teardown(after_the_end_of_writing_one_still_reads, open_pair,
					    close_pair),
	    cmocka_unit_test_setup_teardown(closing_closes, open_pair, close_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

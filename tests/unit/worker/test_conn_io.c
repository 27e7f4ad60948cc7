#include "worker/conn_io.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/unit/worker/tls_files.h"
#include "worker/tls.h"

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

static unsigned interruptions;

ssize_t __real_recv(int fd, void *to, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *to, size_t n, int flags);
ssize_t __real_send(int fd, const void *from, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *from, size_t n, int flags);

static bool is_interrupted(void)
{
	if (interruptions == 0)
		return false;
	interruptions--;
	errno = EINTR;
	return true;
}

ssize_t __wrap_recv(int fd, void *to, size_t n, int flags)
{
	return is_interrupted() ? -1 : __real_recv(fd, to, n, flags);
}

ssize_t __wrap_send(int fd, const void *from, size_t n, int flags)
{
	return is_interrupted() ? -1 : __real_send(fd, from, n, flags);
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

/* The kernel would not say again that there is something. */
static void a_signal_is_nobodys_business(void **state)
{
	char b[8];

	(void)state;
	assert_int_equal(send(fx.client, "hello", 5, 0), 5);
	interruptions = 2;
	assert_int_equal(conn_io_read(&fx.io, b, 2), 2);
	interruptions = 2;
	assert_int_equal(conn_io_drop(&fx.io), 3);
	interruptions = 2;
	assert_int_equal(conn_io_write(&fx.io, "well", 4), 4);
	assert_int_equal(interruptions, 0);
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

/* ---- TLS -------------------------------------------------------------------------------- */

static struct {
	struct tls *t;
	SSL *client;
} secure;

static int open_tls_as(const struct config_listen *l)
{
	struct errmsg e;
	int fds[2];

	log_set_level(LOG_ERROR);
	assert_int_equal(tls_new(l, SECRET_FILE_STRICT, &secure.t, &e), ERR_OK);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	fx.client = fds[1];
	assert_int_equal(conn_io_open(&fx.io, &fds[0], secure.t), ERR_OK);
	assert_int_equal(fds[0], -1);
	secure.client = tls_files_client(fx.client);
	return 0;
}

static int open_tls(void **state)
{
	struct config_listen l;

	(void)state;
	tls_files_make();
	l = tls_files_listen();
	return open_tls_as(&l);
}

static int close_tls(void **state)
{
	SSL_free(secure.client);
	(void)close_pair(state);
	tls_free(&secure.t);
	tls_files_remove();
	return 0;
}

/* Both sides in turn; what the server's reads said last. */
static ssize_t shake_hands(void)
{
	char b[8];
	ssize_t n = -1;

	for (int i = 0; i < 10 && !SSL_is_init_finished(secure.client); i++) {
		(void)SSL_do_handshake(secure.client);
		n = conn_io_read(&fx.io, b, sizeof b);
		if (n != -1 || errno != EAGAIN)
			break;
	}
	return n;
}

static void tls_bytes_come_and_go(void **state)
{
	char b[16];

	(void)state;
	assert_int_equal(shake_hands(), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(SSL_is_init_finished(secure.client));
	assert_int_equal(SSL_write(secure.client, "hello", 5), 5);
	assert_int_equal(SSL_write(secure.client, "again", 5), 5);
	assert_int_equal(conn_io_read(&fx.io, b, 2), 2);
	assert_memory_equal(b, "he", 2);
	assert_true(conn_io_pending(&fx.io)); /* the kernel has none of the rest */
	assert_int_equal(recv(fx.io.fd, b, sizeof b, MSG_PEEK), -1);
	assert_int_equal(conn_io_read(&fx.io, b, sizeof b), 3);
	assert_true(conn_io_pending(&fx.io));
	assert_int_equal(conn_io_read(&fx.io, b, sizeof b), 5);
	assert_memory_equal(b, "again", 5);
	assert_false(conn_io_pending(&fx.io));
	assert_int_equal(conn_io_read(&fx.io, b, sizeof b), -1);
	assert_int_equal(errno, EAGAIN);
	assert_false(conn_io_read_wants_write(&fx.io));
	assert_int_equal(conn_io_write(&fx.io, "well", 4), 4);
	assert_int_equal(SSL_read(secure.client, b, sizeof b), 4);
	assert_memory_equal(b, "well", 4);
}

/* A kernel that takes nothing: the handshake waits to write, which a read says. */
static void a_handshake_waits_to_write(void **state)
{
	static const char bytes[1024];
	char b[4096];

	(void)state;
	assert_int_equal(SSL_do_handshake(secure.client), -1);
	while (send(fx.io.fd, bytes, sizeof bytes, MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(conn_io_read(&fx.io, b, sizeof b), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(conn_io_read_wants_write(&fx.io));
	while (recv(fx.client, b, sizeof b, 0) > 0)
		;
	assert_int_equal(conn_io_read(&fx.io, b, sizeof b), -1);
	assert_false(conn_io_read_wants_write(&fx.io));
}

static void a_full_kernel_is_waited_for_over_tls(void **state)
{
	static const char bytes[4096];
	char b[4096];
	size_t sent = 0, got = 0;
	ssize_t n;

	(void)state;
	(void)shake_hands();
	while ((n = conn_io_write(&fx.io, bytes, sizeof bytes)) > 0)
		sent += (size_t)n;
	assert_int_equal(n, -1);
	assert_int_equal(errno, EAGAIN);
	while ((n = SSL_read(secure.client, b, sizeof b)) > 0)
		got += (size_t)n;
	assert_int_equal(got, sent);
	assert_int_equal(conn_io_write(&fx.io, bytes, sizeof bytes), sizeof bytes);
}

static void the_end_is_said(void **state)
{
	char b[8];

	(void)state;
	(void)shake_hands();
	assert_int_equal(conn_io_shut(&fx.io), ERR_OK);
	assert_int_equal(SSL_read(secure.client, b, sizeof b), 0);
	assert_int_equal(SSL_get_error(secure.client, 0), SSL_ERROR_ZERO_RETURN);
	assert_int_equal(SSL_write(secure.client, "late", 4), 4);
	assert_true(conn_io_drop(&fx.io) > 4); /* whatever it says */
	assert_int_equal(conn_io_drop(&fx.io), -1);
}

static void closing_says_the_end_too(void **state)
{
	char b[8];

	(void)state;
	(void)shake_hands();
	conn_io_close(&fx.io);
	assert_int_equal(SSL_read(secure.client, b, sizeof b), 0);
	assert_int_equal(SSL_get_error(secure.client, 0), SSL_ERROR_ZERO_RETURN);
	assert_int_equal(recv(fx.client, b, 1, 0), 0);
}

static void the_clients_end_is_an_end_and_its_loss_a_reset(void **state)
{
	char b[8];

	(void)state;
	(void)shake_hands();
	assert_int_equal(SSL_shutdown(secure.client), 0);
	assert_int_equal(conn_io_read(&fx.io, b, sizeof b), 0);
	assert_int_equal(conn_io_write(&fx.io, "still", 5), 5); /* it may hear the answer */
	(void)close_tls(state);
	(void)open_tls(state);
	(void)shake_hands();
	(void)shutdown(fx.client, SHUT_WR);
	assert_int_equal(conn_io_read(&fx.io, b, sizeof b), -1);
	assert_int_equal(errno, ECONNRESET);
}

static void what_is_no_handshake_fails_and_leaves_no_error(void **state)
{
	char b[64];

	(void)state;
	assert_int_equal(send(fx.client, "GET / HTTP/1.1\r\n", 16, 0), 16);
	assert_int_equal(conn_io_read(&fx.io, b, sizeof b), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_string_equal(tls_reason(fx.io.ssl), "not understood"); /* it was logged, and gone */
	assert_sv_equal(tls_name(fx.io.ssl), SV("edge"));
}

/* Of whatever else in the process: libpq that lost its own TLS connection leaves some. */
static void an_error_of_somebody_elses_ends_no_connection(void **state)
{
	char b[8];

	(void)state;
	(void)shake_hands();
	ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
	assert_int_equal(conn_io_read(&fx.io, b, sizeof b), -1);
	assert_int_equal(errno, EAGAIN);
	ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
	assert_int_equal(conn_io_write(&fx.io, "well", 4), 4);
	assert_int_equal(SSL_write(secure.client, "hello", 5), 5);
	assert_int_equal(conn_io_read(&fx.io, b, sizeof b), 5);
}

/* Each makes the server derive keys, and none is anything to read: one read took them all, as fast
 * as they came. */
static void new_keys_without_end_are_an_end(void **state)
{
	BIO *sent = BIO_new(BIO_s_mem());
	long long left;
	char b[8], *p;
	ssize_t n = -1;

	(void)state;
	(void)shake_hands();
	assert_int_equal(SSL_version(secure.client), TLS1_3_VERSION);
	SSL_set0_wbio(secure.client, sent);
	for (int i = 0; i < 4 * TLS_RECORDS_MAX; i++) {
		assert_int_equal(SSL_key_update(secure.client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(secure.client), 1);
	}
	left = BIO_get_mem_data(sent, &p);
	assert_int_equal(send(fx.client, p, (size_t)left, 0), left);
	for (int i = 0; i < 4 && n == -1 && (i == 0 || errno == EAGAIN); i++)
		n = conn_io_read(&fx.io, b, sizeof b);
	assert_int_equal(n, -1);
	assert_int_equal(errno, ECONNRESET);
	assert_string_equal(tls_reason(fx.io.ssl), "too many records that say nothing");
}

/* As many as an honest client ever sends, and between them what it has to say. */
static void some_new_keys_are_fine(void **state)
{
	char b[8];

	(void)state;
	(void)shake_hands();
	for (int i = 0; i < TLS_RECORDS_MAX / 2; i++) {
		assert_int_equal(SSL_key_update(secure.client, SSL_KEY_UPDATE_REQUESTED), 1);
		assert_int_equal(SSL_write(secure.client, "hello", 5), 5);
		assert_int_equal(conn_io_read(&fx.io, b, sizeof b), 5);
		assert_int_equal(conn_io_write(&fx.io, "well", 4), 4);
		assert_int_equal(SSL_read(secure.client, b, sizeof b), 4);
	}
}

static void a_client_without_a_certificate_has_no_connection(void **state)
{
	struct config_listen l;
	char b[8];

	(void)state;
	tls_files_make();
	l = tls_files_listen();
	l.tls_client_ca = sv_str(tf.ca);
	(void)open_tls_as(&l);
	assert_int_equal(shake_hands(), -1);
	while (errno == EAGAIN)
		assert_int_equal(conn_io_read(&fx.io, b, sizeof b), -1);
	assert_int_equal(errno, ECONNRESET);
	(void)close_tls(state);
	tls_files_make();
	l = tls_files_listen();
	l.tls_client_ca = sv_str(tf.ca);
	(void)open_tls_as(&l);
	assert_int_equal(SSL_use_certificate_file(secure.client, tf.client, SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_use_PrivateKey_file(secure.client, tf.client_key, SSL_FILETYPE_PEM),
			 1);
	(void)shake_hands();
	assert_int_equal(SSL_write(secure.client, "x", 1), 1);
	assert_int_equal(conn_io_read(&fx.io, b, sizeof b), 1);
	(void)close_tls(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(bytes_come_and_go, open_pair, close_pair),
	    cmocka_unit_test_setup_teardown(a_signal_is_nobodys_business, open_pair, close_pair),
	    cmocka_unit_test_setup_teardown(a_full_kernel_is_waited_for, open_pair, close_pair),
	    cmocka_unit_test_setup_teardown(a_peer_that_went_is_an_error_and_no_signal, open_pair,
					    close_pair),
	    cmocka_unit_test_setup_teardown(after_the_end_of_writing_one_still_reads, open_pair,
					    close_pair),
	    cmocka_unit_test_setup_teardown(closing_closes, open_pair, close_pair),
	    cmocka_unit_test_setup_teardown(tls_bytes_come_and_go, open_tls, close_tls),
	    cmocka_unit_test_setup_teardown(a_handshake_waits_to_write, open_tls, close_tls),
	    cmocka_unit_test_setup_teardown(a_full_kernel_is_waited_for_over_tls, open_tls,
					    close_tls),
	    cmocka_unit_test_setup_teardown(the_end_is_said, open_tls, close_tls),
	    cmocka_unit_test_setup_teardown(closing_says_the_end_too, open_tls, close_tls),
	    cmocka_unit_test_setup_teardown(the_clients_end_is_an_end_and_its_loss_a_reset,
					    open_tls, close_tls),
	    cmocka_unit_test_setup_teardown(what_is_no_handshake_fails_and_leaves_no_error,
					    open_tls, close_tls),
	    cmocka_unit_test_setup_teardown(an_error_of_somebody_elses_ends_no_connection, open_tls,
					    close_tls),
	    cmocka_unit_test_setup_teardown(new_keys_without_end_are_an_end, open_tls, close_tls),
	    cmocka_unit_test_setup_teardown(some_new_keys_are_fine, open_tls, close_tls),
	    cmocka_unit_test(a_client_without_a_certificate_has_no_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

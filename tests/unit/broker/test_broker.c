/* The process as a whole, with its own files and sockets; there is neither database nor provider.
 */
#include "broker/broker.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/peer.h"
#include "common/ipc_listen.h"
#include "common/log.h"
#include "tests/unit/unit.h"

#define RING "1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"

static struct {
	char dir[64], conf[96], secret[96], ring[96], password[96], socket[96];
} t;

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static void write_config(const char *user)
{
	char text[4096];

	snprintf(
	    text, sizeof text,
	    "database { conninfo = \"host=/nowhere dbname=bff\" broker_password_file = \"%s\" }\n"
	    "web { cookie_keys = \"/c\" }\n"
	    "broker { key_ring = \"%s\" socket = \"%s\" peer_user = \"%s\" }\n"
	    "listen \"public\" { kind = public address = \"127.0.0.1:1\"\n"
	    "	trusted_peers = {\"::1/128\"} }\n"
	    "listen \"verify\" { kind = verify address = \"127.0.0.1:2\" edge = traefik\n"
	    "	trusted_peers = {\"::1/128\"} }\n"
	    "provider \"p\" { issuer = \"http://127.0.0.1:1\" insecure_loopback = yes\n"
	    "	client_id = \"c\" client_secret_file = \"%s\" }\n"
	    "app \"a\" { provider = p origins = {\"https://a.example.com\"} }\n"
	    "identity \"default\" { header \"X-User-ID\" { claim = subject } }\n"
	    "route \"page\" { app = a path = \"/\" }\n",
	    t.password, t.ring, t.socket, user, t.secret);
	write_file(t.conf, text);
}

static int setup(void **state)
{
	char uid[16];

	(void)state;
	log_set_level(LOG_ERROR + 1);
	snprintf(t.dir, sizeof t.dir, "/tmp/bff-broker-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	snprintf(t.conf, sizeof t.conf, "%s/bff.conf", t.dir);
	snprintf(t.secret, sizeof t.secret, "%s/secret", t.dir);
	snprintf(t.ring, sizeof t.ring, "%s/ring", t.dir);
	snprintf(t.password, sizeof t.password, "%s/password", t.dir);
	snprintf(t.socket, sizeof t.socket, "%s/socket", t.dir);
	write_file(t.secret, "secret\n");
	write_file(t.ring, RING);
	write_file(t.password, "password\n");
	snprintf(uid, sizeof uid, "%u", (unsigned)geteuid());
	write_config(uid);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(t.conf);
	(void)unlink(t.secret);
	(void)unlink(t.ring);
	(void)unlink(t.password);
	(void)unlink(t.socket);
	assert_int_equal(rmdir(t.dir), 0);
	return 0;
}

static struct config *load(void)
{
	struct config *c = NULL;
	struct errmsg e;

	if (config_load(t.conf, &c, &e) != ERR_OK)
		fail_msg("%s", e.text);
	return c;
}

static void everything_is_checked(void **state)
{
	const char *const files[] = {t.secret, t.ring, t.password};
	struct errmsg e = {0};
	struct config *c = load();

	(void)state;
	assert_int_equal(broker_check(c, &e), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		assert_int_equal(chmod(files[i], 0644), 0);
		assert_int_equal(broker_check(c, &e), ERR_CONFIG);
		assert_non_null(strstr(e.text, files[i]));
		assert_int_equal(chmod(files[i], 0600), 0);
	}
	write_file(t.ring, "1 short\n");
	assert_int_equal(broker_check(c, &e), ERR_CONFIG);
	write_file(t.ring, RING);
	config_free(&c);
	write_config("nobody-of-that-name");
	c = load();
	assert_int_equal(broker_check(c, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "nobody-of-that-name"));
	config_free(&c);
}

/* NULL, and the reason in *e. */
static struct broker *start(const int *fds, size_t nfds, struct errmsg *e)
{
	struct config *c = load();
	struct broker *b = NULL;

	if (broker_new(t.conf, &c, fds, nfds, &b, e) != ERR_OK)
		assert_null(b);
	config_free(&c);
	return b;
}

static void what_is_handed_in_must_listen(void **state)
{
	struct errmsg e = {0};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)state;
	assert_null(start(&fd, 1, &e));
	assert_non_null(strstr(e.text, "listening SOCK_SEQPACKET"));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_null(start(&fd, 1, &e));
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* taken */
	assert_int_equal(unlink(t.ring), 0);
	assert_null(start(NULL, 0, &e));
	assert_non_null(strstr(e.text, t.ring));
}

static void it_starts_without_anybody_and_drains_at_a_signal(void **state)
{
	struct errmsg e = {0};
	struct broker *b = start(NULL, 0, &e);
	int worker = -1, late = -1;
	char byte;

	(void)state;
	if (b == NULL)
		fail_msg("%s", e.text);
	assert_int_equal(ipc_connect(t.socket, &worker), ERR_OK);
	(void)event_base_loop(b->base, EVLOOP_NONBLOCK);
	assert_int_equal(b->npeers, 1);
	assert_int_equal(recv(worker, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(raise(SIGTERM), 0);
	broker_run(b);
	assert_true(b->draining);
	assert_int_equal(b->npeers, 0);
	assert_int_equal(recv(worker, &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(ipc_connect(t.socket, &late), ERR_UNAVAILABLE);
	broker_free(&b);
	assert_null(b);
	(void)close(worker);
}

static void what_is_under_way_is_waited_for(void **state)
{
	struct errmsg e = {0};
	struct broker *b = start(NULL, 0, &e);
	const struct timeval soon = {.tv_usec = 20000};
	int worker = -1;

	(void)state;
	assert_non_null(b);
	assert_int_equal(ipc_connect(t.socket, &worker), ERR_OK);
	(void)event_base_loop(b->base, EVLOOP_NONBLOCK);
	b->peers->nrequests = 1; /* as if something of it were under way */
	assert_int_equal(raise(SIGTERM), 0);
	(void)event_base_loopexit(b->base, &soon);
	broker_run(b);
	assert_true(b->draining);
	assert_int_equal(b->npeers, 1);
	b->peers->nrequests = 0;
	broker_drained(b);
	broker_run(b); /* returns now */
	assert_int_equal(b->npeers, 0);
	broker_free(&b);
	(void)close(worker);
}

static void randomness_is_random(void **state)
{
	unsigned char a[32] = {0}, b[32] = {0};

	(void)state;
	broker_random(a, sizeof a);
	broker_random(b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(everything_is_checked),
	    CASE(what_is_handed_in_must_listen),
	    CASE(it_starts_without_anybody_and_drains_at_a_signal),
	    CASE(what_is_under_way_is_waited_for),
	    cmocka_unit_test(randomness_is_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/listeners.h"

#include <arpa/inet.h>

#include "tests/unit/torture.h"
#include "tests/unit/worker/tls_files.h"

static const struct config_cidr loopback = {.addr = {[10] = 0xff, 0xff, 127},
					    .bits = 104}; /* 127.0.0.0/8 */
static const struct config_cidr all = {.bits = 0};
static struct sv users[] = {SV_INIT("root"), SV_INIT("4294967294"), SV_INIT("33")};

enum { PLAIN, SOCKET, METRICS, NARROW_METRICS, CERTIFIED, BOTH, NLISTENS };

static struct {
	struct config_listen v[NLISTENS];
	struct config config;
} f;

static int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof f);
	tls_files_make();
	f.config.broker.secret_files = SECRET_FILE_STRICT;
	f.config.listens = f.v;
	f.config.nlistens = NLISTENS;
	for (size_t i = 0; i < NLISTENS; i++)
		f.v[i] = (struct config_listen){.name = SV("l"),
						.kind = LISTEN_VERIFY,
						.place = {.file = "bff.conf", .line = 7}};
	f.v[PLAIN].trusted_peers = &loopback;
	f.v[PLAIN].ntrusted_peers = 1;
	f.v[SOCKET].peer_users = (struct config_list){users, 2};
	f.v[METRICS].kind = f.v[NARROW_METRICS].kind = LISTEN_METRICS;
	f.v[NARROW_METRICS].trusted_peers = &loopback;
	f.v[NARROW_METRICS].ntrusted_peers = 1;
	f.v[CERTIFIED] = f.v[BOTH] = tls_files_listen();
	f.v[CERTIFIED].tls_client_ca = f.v[BOTH].tls_client_ca = sv_str(tf.ca);
	f.v[BOTH].trusted_peers = &loopback;
	f.v[BOTH].ntrusted_peers = 1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tls_files_remove();
	return 0;
}

static void address(const char *text, unsigned char out[PEER_LEN])
{
	memcpy(out, (const unsigned char[PEER_LEN]){[10] = 0xff, 0xff}, PEER_LEN);
	assert_int_equal(inet_pton(AF_INET, text, out + 12), 1);
}

static void user(uint32_t uid, unsigned char out[PEER_LEN])
{
	uint32_t number = htonl(uid);

	memset(out, 0xff, PEER_LEN);
	memcpy(out + 12, &number, sizeof number);
}

static void each_believes_whom_it_says(void **state)
{
	struct listeners *l = NULL;
	unsigned char near[PEER_LEN], far[PEER_LEN], root[PEER_LEN], other[PEER_LEN],
	    last[PEER_LEN];
	struct errmsg e;

	(void)state;
	address("127.1.2.3", near);
	address("192.0.2.1", far);
	user(0, root);
	user(33, other);
	user(UINT32_MAX - 1, last);
	assert_int_equal(listeners_new(&f.config, &l, &e), ERR_OK);
	assert_true(listeners_trust(l, &f.v[PLAIN], near));
	assert_false(listeners_trust(l, &f.v[PLAIN], far));
	assert_true(listeners_trust(l, &f.v[SOCKET], root));
	assert_true(listeners_trust(l, &f.v[SOCKET], last));
	assert_false(listeners_trust(l, &f.v[SOCKET], other));
	assert_false(listeners_trust(l, &f.v[SOCKET], near));
	assert_true(listeners_trust(l, &f.v[METRICS], far));
	assert_true(listeners_trust(l, &f.v[METRICS], other));
	assert_true(listeners_trust(l, &f.v[NARROW_METRICS], near));
	assert_false(listeners_trust(l, &f.v[NARROW_METRICS], far));
	assert_true(listeners_trust(l, &f.v[CERTIFIED], far)); /* it would not be here without */
	assert_true(listeners_trust(l, &f.v[BOTH], near));
	assert_false(listeners_trust(l, &f.v[BOTH], far));
	/* A user is no address: not even within all of them. */
	f.v[PLAIN].trusted_peers = &all;
	assert_true(listeners_trust(l, &f.v[PLAIN], far));
	assert_false(listeners_trust(l, &f.v[PLAIN], root));
	assert_null(listeners_tls(l, &f.v[PLAIN]));
	assert_non_null(listeners_tls(l, &f.v[BOTH]));
	assert_null(listeners_tls(NULL, &f.v[BOTH]));
	listeners_free(&l);
	assert_null(l);
	listeners_free(&l);
}

static void nobody_has_a_name_of_its_own(void **state)
{
	static const struct {
		struct sv name;
		const char *want;
	} rows[] = {
	    {SV_INIT("65534"), "peer_users: 65534: every user of another user namespace"},
	    {SV_INIT("nobody"), "peer_users: nobody: every user of another"},
	    {SV_INIT("no such"), "peer_users: no such: there is no such user"},
	    {SV_INIT("4294967295"), "peer_users: 4294967295: there is no such user"},
	    {SV_INIT("-1"), "there is no such user"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sv name = rows[i].name;
		struct listeners *l = NULL;
		struct errmsg e = {.text = ""};

		f.v[SOCKET].peer_users = (struct config_list){&name, 1};
		assert_int_equal(listeners_new(&f.config, &l, &e), ERR_CONFIG);
		assert_null(l);
		if (strstr(e.text, "bff.conf:7: listen l: ") == NULL ||
		    strstr(e.text, rows[i].want) == NULL)
			fail_msg("got %s", e.text);
	}
}

static enum err attempt(void *arg)
{
	struct listeners *l = NULL;
	struct errmsg e;
	enum err got = listeners_new(arg, &l, &e);

	assert_true((l != NULL) == (got == ERR_OK));
	listeners_free(&l);
	return got;
}

static void without_memory_there_are_none(void **state)
{
	(void)state;
	f.v[SOCKET].peer_users = (struct config_list){users + 1, 2}; /* numbers: libc asks nobody */
	assert_true(torture(attempt, &f.config) >= 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_believes_whom_it_says, setup, teardown),
	    cmocka_unit_test_setup_teardown(nobody_has_a_name_of_its_own, setup, teardown),
	    cmocka_unit_test_setup_teardown(without_memory_there_are_none, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

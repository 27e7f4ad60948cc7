#include "worker/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include "common/config_value.h"
#include "tests/unit/unit.h"

static void of_text(const char *text, unsigned char out[PEER_LEN])
{
	struct sockaddr_storage ss = {0};
	bool v4 = strchr(text, ':') == NULL;

	ss.ss_family = v4 ? AF_INET : AF_INET6;
	assert_int_equal(inet_pton(ss.ss_family, text,
				   v4 ? (void *)&((struct sockaddr_in *)&ss)->sin_addr
				      : (void *)&((struct sockaddr_in6 *)&ss)->sin6_addr),
			 1);
	assert_int_equal(peer_of(-1, &ss, out), ERR_OK);
}

static void an_address_is_what_it_was(void **state)
{
	static const char *const rows[] = {"192.0.2.1", "0.0.0.0", "2001:db8::1", "::1"};
	unsigned char peer[PEER_LEN];
	char text[PEER_TEXT];
	uid_t uid;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		of_text(rows[i], peer);
		peer_text(peer, text);
		assert_string_equal(text, rows[i]);
		assert_false(peer_is_user(peer, &uid));
	}
}

static void a_unix_sockets_peer_is_a_user(void **state)
{
	struct sockaddr_storage ss = {.ss_family = AF_UNIX};
	unsigned char peer[PEER_LEN];
	char text[PEER_TEXT], want[PEER_TEXT];
	uid_t uid = 0;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(peer_of(fds[0], &ss, peer), ERR_OK);
	assert_true(peer_is_user(peer, &uid));
	assert_int_equal(uid, geteuid());
	peer_text(peer, text);
	(void)snprintf(want, sizeof want, "user %u", (unsigned)geteuid());
	assert_string_equal(text, want);
	(void)close(fds[0]);
	(void)close(fds[1]);
	assert_int_equal(peer_of(-1, &ss, peer), ERR_IO);
	ss.ss_family = AF_UNSPEC;
	assert_int_equal(peer_of(-1, &ss, peer), ERR_IO);
}

static void networks_end_at_their_bit(void **state)
{
	static const struct {
		const char *network, *peer;
		bool want;
	} rows[] = {
	    {"10.20.0.0/28", "10.20.0.15", true},
	    {"10.20.0.0/28", "10.20.0.16", false},
	    {"10.20.0.0/28", "10.20.1.0", false},
	    {"0.0.0.0/0", "203.0.113.9", true},
	    {"0.0.0.0/0", "2001:db8::1", false},
	    {"::/0", "10.0.0.1", true},
	    {"2001:db8::/33", "2001:db8::", true},
	    {"2001:db8::/33", "2001:db8:8000::", false},
	    {"::1/128", "::1", true},
	    {"::1/128", "::2", false},
	};
	unsigned char peer[PEER_LEN];
	struct config_cidr c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		of_text(rows[i].peer, peer);
		assert_int_equal(config_parse_cidr(sv_str(rows[i].network), &c), ERR_OK);
		if (peer_is_within(peer, &c) != rows[i].want)
			fail_msg("%s in %s", rows[i].peer, rows[i].network);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_address_is_what_it_was),
	    cmocka_unit_test(a_unix_sockets_peer_is_a_user),
	    cmocka_unit_test(networks_end_at_their_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

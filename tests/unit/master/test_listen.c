#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "master/listen.h"

static void addresses_are_parsed_exactly(void **state)
{
	static const struct {
		const char *text;
		const char *want_host; /* NULL: refused */
		uint16_t want_port;
	} rows[] = {
	    {"127.0.0.1:7080", "127.0.0.1", 7080},
	    {"0.0.0.0:1", "0.0.0.0", 1},
	    {"10.20.0.5:65535", "10.20.0.5", 65535},
	    {"[::1]:7080", "::1", 7080},
	    {"[::]:80", "::", 80},
	    {"[fc00::12]:80", "fc00::12", 80},
	    {"unix:v.sock", NULL, 0},
	    {"unix:", NULL, 0},
	    {"", NULL, 0},
	    {":", NULL, 0},
	    {":80", NULL, 0},
	    {"127.0.0.1", NULL, 0},
	    {"127.0.0.1:", NULL, 0},
	    {"127.0.0.1:0", NULL, 0},
	    {"127.0.0.1:65536", NULL, 0},
	    {"127.0.0.1:-1", NULL, 0},
	    {"127.0.0.1:80 ", NULL, 0},
	    {" 127.0.0.1:80", NULL, 0},
	    {"127.1:80", NULL, 0},
	    {"localhost:80", NULL, 0},
	    {"*:80", NULL, 0},
	    {"::1:80", NULL, 0},
	    {"[::1]", NULL, 0},
	    {"[::1]80", NULL, 0},
	    {"[::1]:", NULL, 0},
	    {"[]:80", NULL, 0},
	    {"[127.0.0.1]:80", NULL, 0},
	    {"[::1:80", NULL, 0},
	    {"[fe80::1%lo]:80", NULL, 0},
	    {"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80", NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct listen_address got;
		enum err r = listen_parse(sv_str(rows[i].text), &got);
		char host[INET6_ADDRSTRLEN];
		bool is6;

		if ((r == ERR_OK) != (rows[i].want_host != NULL))
			fail_msg("%s: got %d", rows[i].text, (int)r);
		if (r != ERR_OK)
			continue;
		is6 = got.sa.ss_family == AF_INET6;
		assert_non_null(inet_ntop(got.sa.ss_family,
					  is6 ? (void *)&((struct sockaddr_in6 *)&got.sa)->sin6_addr
					      : (void *)&((struct sockaddr_in *)&got.sa)->sin_addr,
					  host, sizeof host));
		assert_string_equal(host, rows[i].want_host);
		assert_int_equal(ntohs(is6 ? ((struct sockaddr_in6 *)&got.sa)->sin6_port
					   : ((struct sockaddr_in *)&got.sa)->sin_port),
				 rows[i].want_port);
	}
}

static void every_truncation_is_refused_or_parsed_without_overrun(void **state)
{
	static const char text[] = "[fc00::12]:8080";
	struct listen_address got;

	(void)state;
	for (size_t n = 0; n < sizeof text - 1; n++) {
		char *copy = malloc(n + 1); /* exact, so that an overrun is seen */
		enum err r;

		assert_non_null(copy);
		memcpy(copy, text, n);
		r = listen_parse(sv_of(copy, n), &got);
		assert_int_equal(r == ERR_OK, n > strlen("[fc00::12]:"));
		free(copy);
	}
}

#define PORT_MAX 3
static struct sv address_of(char *text, size_t len, unsigned port)
{
	int n = snprintf(text, len, "127.0.0.1:%u", port);

	return sv_of(text, (size_t)n);
}

static unsigned free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(close(fd), 0);
	return ntohs(a.sin_port);
}

struct fixture {
	char text[PORT_MAX][32];
	struct config_listen listens[PORT_MAX];
	struct config config;
};

static void with_ports(struct fixture *f, const unsigned *port, size_t n)
{
	static const struct sv names[PORT_MAX] = {SV_INIT("one"), SV_INIT("two"), SV_INIT("three")};

	memset(f, 0, sizeof *f);
	for (size_t i = 0; i < n; i++)
		f->listens[i] = (struct config_listen){
		    .name = names[i],
		    .address = address_of(f->text[i], sizeof f->text[i], port[i]),
		    .place = {.file = "bff.conf", .line = (unsigned)i + 1}};
	f->config.listens = f->listens;
	f->config.nlistens = n;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

static void an_unchanged_address_keeps_its_descriptor(void **state)
{
	unsigned a = free_port(), b = free_port(), c = free_port();
	struct listen_table t = {.n = 0};
	struct listen_plan first, second;
	struct fixture f;
	struct errmsg e;

	(void)state;
	with_ports(&f, (const unsigned[]){a, b}, 2);
	assert_int_equal(listen_resolve(&t, &f.config, &first, &e), ERR_OK);
	assert_int_equal(fcntl(first.fd[0], F_GETFD), FD_CLOEXEC);
	assert_true((fcntl(first.fd[0], F_GETFL) & O_NONBLOCK) != 0);

	with_ports(&f, (const unsigned[]){c, b}, 2);
	assert_int_equal(listen_resolve(&t, &f.config, &second, &e), ERR_OK);
	assert_int_equal(second.fd[1], first.fd[1]);
	assert_true(is_open(first.fd[0]));

	listen_keep(&t, &second);
	assert_int_equal(t.n, 2);
	assert_false(is_open(first.fd[0]));
	assert_true(is_open(second.fd[0]) && is_open(second.fd[1]));
	listen_keep(&t, NULL);
	assert_int_equal(t.n, 0);
	assert_false(is_open(second.fd[0]) || is_open(second.fd[1]));
}

static void a_failure_names_the_section_and_can_be_undone(void **state)
{
	unsigned a = free_port(), b = free_port();
	struct listen_table t = {.n = 0}, other = {.n = 0};
	struct listen_plan kept, taken, got = {.n = 99};
	struct fixture f;
	struct errmsg e;

	(void)state;
	with_ports(&f, (const unsigned[]){b}, 1);
	assert_int_equal(listen_resolve(&other, &f.config, &taken, &e), ERR_OK);
	with_ports(&f, (const unsigned[]){a}, 1);
	assert_int_equal(listen_resolve(&t, &f.config, &kept, &e), ERR_OK);

	with_ports(&f, (const unsigned[]){a, free_port(), b}, 3);
	assert_int_equal(listen_resolve(&t, &f.config, &got, &e), ERR_CONFIG);
	assert_int_equal(got.n, 99);
	assert_non_null(strstr(e.text, "bff.conf:3: listen three: 127.0.0.1:"));
	assert_int_equal(t.n, 2);
	listen_keep(&t, &kept);
	assert_int_equal(t.n, 1);

	with_ports(&f, (const unsigned[]){a, a}, 2);
	assert_int_equal(listen_resolve(&t, &f.config, &got, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "another section"));
	listen_keep(&t, NULL);
	listen_keep(&other, NULL);
}

static void inherited_sockets_are_never_closed(void **state)
{
	unsigned a = free_port();
	struct listen_table t = {.n = 0};
	struct listen_plan plan;
	struct fixture f;
	struct errmsg e;

	(void)state;
	with_ports(&f, (const unsigned[]){a}, 1);
	assert_int_equal(listen_resolve(&t, &f.config, &plan, &e), ERR_OK);
	t.v[0].inherited = true;
	memcpy(t.v[0].name, "bff.socket", sizeof "bff.socket");
	assert_int_equal(listen_unused(&t, &plan), 0);
	assert_int_equal(listen_unused(&t, NULL), 1);
	listen_keep(&t, NULL);
	assert_int_equal(t.n, 1);
	assert_true(is_open(t.v[0].fd));

	/* the same name as a section, but elsewhere */
	memcpy(t.v[0].name, "one", sizeof "one");
	with_ports(&f, (const unsigned[]){free_port()}, 1);
	assert_int_equal(listen_resolve(&t, &f.config, &plan, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "another address"));
	t.v[0].inherited = false;
	listen_keep(&t, NULL);
}

static void too_many_sections_are_refused(void **state)
{
	static struct config_listen many[CONTRACT_LISTEN_MAX + 1];
	static char text[CONTRACT_LISTEN_MAX + 1][32];
	struct config c = {.listens = many, .nlistens = ARRAY_LEN(many)};
	struct listen_table t = {.n = 0};
	struct listen_plan plan;
	struct errmsg e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		int n = snprintf(text[i], sizeof text[i], "127.1.0.%zu:%u", i + 1, free_port());

		many[i] = (struct config_listen){.name = SV("x"),
						 .address = sv_of(text[i], (size_t)n),
						 .place = {.file = "f", .line = 1}};
	}
	assert_int_equal(listen_resolve(&t, &c, &plan, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "too many"));
	assert_int_equal(t.n, CONTRACT_LISTEN_MAX);
	listen_keep(&t, NULL);
}

static void a_unix_socket_is_bound_kept_and_found_by_its_path(void **state)
{
	char dir[] = "/tmp/bff-listen.XXXXXX", text[64], other[64];
	struct config_listen l = {.name = SV("one"), .place = {.file = "bff.conf", .line = 1}};
	struct config c = {.listens = &l, .nlistens = 1};
	struct listen_table t = {.n = 0}, passed = {.n = 0};
	struct listen_plan first, second;
	struct errmsg e;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(text, sizeof text, "unix:%s/v", dir);
	(void)snprintf(other, sizeof other, "unix:%s/w", dir);
	l.address = sv_str(text);
	assert_int_equal(listen_resolve(&t, &c, &first, &e), ERR_OK);
	assert_int_equal(stat(text + 5, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_true((fcntl(first.fd[0], F_GETFL) & O_NONBLOCK) != 0);
	assert_int_equal(fcntl(first.fd[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(listen_resolve(&t, &c, &second, &e), ERR_OK);
	assert_int_equal(second.fd[0], first.fd[0]);

	/* As an upgrade or the service manager hands it over. */
	assert_int_equal(listen_adopt(&passed, dup(first.fd[0]), "x", LISTEN_INHERITED, &e),
			 ERR_OK);
	assert_int_equal(listen_resolve(&passed, &c, &second, &e), ERR_OK);
	assert_int_equal(passed.n, 1);
	l.socket_group = SV("0");
	assert_int_equal(listen_resolve(&passed, &c, &second, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "bff.conf:1: listen one: unix:/tmp/"));
	assert_non_null(strstr(e.text, "SocketGroup="));
	l.socket_group = SV("no such group");
	assert_int_equal(listen_resolve(&t, &c, &second, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "no such group"));
	l.socket_group = SV("");

	/* One bound for a configuration that fails is closed again. */
	l.address = sv_str(other);
	l.socket_group = SV("no such group");
	assert_int_equal(listen_resolve(&t, &c, &second, &e), ERR_CONFIG);
	assert_int_equal(t.n, 2);
	listen_keep(&t, &first);
	assert_int_equal(t.n, 1);
	l.socket_group = SV("");
	assert_int_equal(listen_resolve(&t, &c, &second, &e), ERR_OK); /* what it left is stale */
	listen_keep(&t, NULL);
	passed.v[0].inherited = false;
	listen_keep(&passed, NULL);
	(void)unlink(text + 5);
	(void)unlink(other + 5);
	(void)rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(addresses_are_parsed_exactly),
	    cmocka_unit_test(every_truncation_is_refused_or_parsed_without_overrun),
	    cmocka_unit_test(an_unchanged_address_keeps_its_descriptor),
	    cmocka_unit_test(a_failure_names_the_section_and_can_be_undone),
	    cmocka_unit_test(inherited_sockets_are_never_closed),
	    cmocka_unit_test(too_many_sections_are_refused),
	    cmocka_unit_test(a_unix_socket_is_bound_kept_and_found_by_its_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

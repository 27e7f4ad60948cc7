#include "worker/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/config_digest.h"
#include "common/log.h"
#include "tests/unit/common/config_text.h"
#include "tests/unit/loop.h"
#include "tests/unit/torture.h"

/* worker_run() as it is, but for PostgreSQL, the broker, and the loop, which the test turns.
 *
 * Rule Zero: over 400 lines, because every case needs the whole process that is played around it.
 */
static struct {
	char key_path[64];
	uint16_t port;
	int status; /* the master's end */
	int client;
	void (*script)(struct worker *w);
	int dispatch_says;
	struct worker *w; /* while it runs */
	bool pg_ready, broker_up;
	void (*on_ready)(void *arg, bool ready);
	void (*on_state)(void *arg, bool up);
	enum err pg_says, broker_says;
	unsigned pg_opened, broker_opened, scripts;
	unsigned failures; /* start_failed */
	bool exited;	   /* the loop was told to end */
	struct pg_options options;
	char password_file[128];
	char broker_path[128];
	unsigned char digest[CRYPT_SHA256_LEN];
} f;

enum err __wrap_pg_open(struct event_base *base, const struct pg_options *o, struct pg **ret,
			struct errmsg *e);
void __wrap_pg_close(struct pg **p);
void __wrap_pg_on_ready(struct pg *p, void (*fn)(void *arg, bool ready), void *arg);
bool __wrap_pg_ready(const struct pg *p);
enum err __wrap_broker_client_new(struct event_base *base, const char *path,
				  const unsigned char digest[CRYPT_SHA256_LEN],
				  struct broker_client **ret);
void __wrap_broker_client_free(struct broker_client **b);
void __wrap_broker_client_on_state(struct broker_client *b, void (*fn)(void *arg, bool up),
				   void *arg);
bool __wrap_broker_client_up(const struct broker_client *b);
int __wrap_event_base_dispatch(struct event_base *base);
int __wrap_event_base_loopexit(struct event_base *base, const struct timeval *tv);
void __wrap_log_write(enum log_level level, const char *event, const struct log_field *fields,
		      size_t n);
struct event_base *__real_event_base_new(void);
struct event_base *__wrap_event_base_new(void);

enum err __wrap_pg_open(struct event_base *base, const struct pg_options *o, struct pg **ret,
			struct errmsg *e)
{
	(void)base;
	if (f.pg_says != ERR_OK)
		return errmsg_set(e, f.pg_says, "no");
	f.options = *o;
	(void)snprintf(f.password_file, sizeof f.password_file, "%s",
		       o->password_file == NULL ? "" : o->password_file);
	f.pg_opened++;
	*ret = (struct pg *)&f.options; /* never looked into */
	return ERR_OK;
}

void __wrap_pg_close(struct pg **p)
{
	f.pg_opened -= *p != NULL;
	*p = NULL;
}

void __wrap_pg_on_ready(struct pg *p, void (*fn)(void *arg, bool ready), void *arg)
{
	(void)p;
	f.on_ready = fn;
	f.w = arg;
}

bool __wrap_pg_ready(const struct pg *p)
{
	(void)p;
	return f.pg_ready;
}

enum err __wrap_broker_client_new(struct event_base *base, const char *path,
				  const unsigned char digest[CRYPT_SHA256_LEN],
				  struct broker_client **ret)
{
	(void)base;
	if (f.broker_says != ERR_OK)
		return f.broker_says;
	(void)snprintf(f.broker_path, sizeof f.broker_path, "%s", path);
	memcpy(f.digest, digest, sizeof f.digest);
	f.broker_opened++;
	*ret = (struct broker_client *)&f.broker_path; /* never looked into */
	return ERR_OK;
}

void __wrap_broker_client_free(struct broker_client **b)
{
	f.broker_opened -= *b != NULL;
	*b = NULL;
}

void __wrap_broker_client_on_state(struct broker_client *b, void (*fn)(void *arg, bool up),
				   void *arg)
{
	(void)b;
	assert_ptr_equal(arg, f.w);
	f.on_state = fn;
}

bool __wrap_broker_client_up(const struct broker_client *b)
{
	(void)b;
	return f.broker_up;
}

int __wrap_event_base_dispatch(struct event_base *base)
{
	assert_ptr_equal(base, f.w->base);
	f.scripts++;
	if (f.script != NULL)
		f.script(f.w);
	return f.dispatch_says;
}

int __wrap_event_base_loopexit(struct event_base *base, const struct timeval *tv)
{
	assert_ptr_equal(base, f.w->base);
	assert_null(tv);
	f.exited = true;
	return 0;
}

/* Whatever it cannot start with, it says. */
void __wrap_log_write(enum log_level level, const char *event, const struct log_field *fields,
		      size_t n)
{
	(void)level;
	if (strcmp(event, "start_failed") != 0)
		return;
	assert_int_equal(n, 1);
	assert_true(fields[0].s.n > 0);
	f.failures++;
}

/* Not tortured: without memory for epoll, libevent silently takes poll. */
struct event_base *__wrap_event_base_new(void)
{
	unsigned at = torture_state.at;
	struct event_base *base;

	torture_state.at = 0;
	base = __real_event_base_new();
	torture_state.at = at;
	return base;
}

/* ---- the stage -------------------------------------------------------------------------- */

static void listen_here(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	f.port = sin.sin_port;
	assert_int_equal(dup2(fd, CONTRACT_FD_LISTEN), CONTRACT_FD_LISTEN);
	(void)close(fd);
}

static void write_key(const char *text)
{
	FILE *file = fopen(f.key_path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
	int fds[2], fd;

	(void)state;
	memset(&f, 0, sizeof f);
	f.client = -1;
	log_set_level(LOG_ERROR);
	loop_hold();
	(void)strcpy(f.key_path, "/tmp/bff-test-worker-XXXXXX");
	fd = mkstemp(f.key_path);
	assert_int_not_equal(fd, -1);
	(void)close(fd);
	write_key("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(dup2(fds[0], CONTRACT_FD_STATUS), CONTRACT_FD_STATUS);
	(void)close(fds[0]);
	f.status = fds[1];
	listen_here();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(f.pg_opened + f.broker_opened, 0);
	(void)unlink(f.key_path);
	if (f.status != -1)
		(void)close(f.status);
	if (f.client != -1)
		(void)close(f.client);
	return 0;
}

static struct config *load(const char *more)
{
	char text[4096];
	struct config *c = NULL;
	struct errmsg e = {""};
	size_t path_n;

	(void)snprintf(text, sizeof text,
		       "database { conninfo = \"dbname=bff\" connections = 3 query_timeout = 70ms\n"
		       "	web_password_file = \"credential:pw\" }\n"
		       "web { cookie_keys = \"%s\" max_connections = 1 }\n" CONFIG_TEXT_BROKER
			   CONFIG_TEXT_PROVIDER CONFIG_TEXT_APP CONFIG_TEXT_IDENTITY
			       CONFIG_TEXT_SERVICE CONFIG_TEXT_ROUTE
		       "listen \"m\" { kind = metrics address = \"127.0.0.1:1\" }\n%s",
		       f.key_path, more);
	if (config_text_load(text, strlen(text), &c, &e, &path_n) != ERR_OK)
		fail_msg("%s", e.text);
	return c;
}

static int run(void (*script)(struct worker *w))
{
	struct config *c = load("");
	int got;

	f.script = script;
	got = worker_run(&c, 1, 7, METRICS_SLAB_NONE);
	assert_null(c); /* taken */
	return got;
}

/* What the worker told its master: 0 when nothing. */
static char status(void)
{
	char byte[2];
	ssize_t n = recv(f.status, byte, sizeof byte, MSG_DONTWAIT);

	assert_true(n == 1 || (n == -1 && errno == EAGAIN));
	return n == 1 ? byte[0] : 0;
}

static void turns(struct worker *w)
{
	loop_turns(w->base, 4);
}

static void client_connects(void)
{
	struct sockaddr_in sin = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = f.port};

	if (f.client != -1)
		(void)close(f.client);
	f.client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(f.client, (struct sockaddr *)&sin, sizeof sin), 0);
}

static void client_says(const char *text)
{
	assert_int_equal(send(f.client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void become_ready(struct worker *w)
{
	f.on_ready(w, true);
	f.on_state(w, true);
	assert_int_equal(status(), CONTRACT_READY);
}

static void drain(struct worker *w)
{
	assert_int_equal(raise(SIGTERM), 0);
	turns(w);
	assert_int_equal(status(), CONTRACT_DRAINING);
}

/* ---- the beginning ---------------------------------------------------------------------- */

static void until_both_had_an_outcome(struct worker *w)
{
	client_connects();
	turns(w);
	assert_int_equal(status(), 0);
	f.on_ready(w, false); /* "down" is an outcome, too */
	f.on_ready(w, true);
	turns(w);
	assert_int_equal(status(), 0);
	assert_int_equal(w->conns.n, 0);
	f.on_state(w, false);
	turns(w);
	assert_int_equal(status(), CONTRACT_READY);
	LOOP_UNTIL(w->base, w->conns.n == 1);
	f.on_state(w, true);
	f.on_ready(w, false);
	loop_fire_event(w->base, w->ev_warm_up);
	assert_int_equal(status(), 0); /* once */
	drain(w);
}

static void after_warm_up(struct worker *w)
{
	assert_int_equal(loop_asked_of(w->ev_warm_up), CONTRACT_WARM_UP_MS);
	f.on_state(w, false);
	assert_int_equal(status(), 0);
	loop_fire_event(w->base, w->ev_warm_up);
	assert_int_equal(status(), CONTRACT_READY);
	drain(w);
}

static void heartbeats_once_ready(struct worker *w)
{
	assert_int_equal(loop_asked_of(w->ev_heartbeat), CONTRACT_HEARTBEAT_MS);
	loop_fire_event(w->base, w->ev_heartbeat);
	assert_int_equal(status(), 0);
	become_ready(w);
	for (int i = 0; i < 3; i++) {
		loop_fire_event(w->base, w->ev_heartbeat);
		assert_int_equal(status(), CONTRACT_ALIVE);
	}
	assert_int_equal(status(), 0);
	drain(w);
}

static void test_ready_when_both_had_an_outcome(void **state)
{
	(void)state;
	assert_int_equal(run(until_both_had_an_outcome), CONTRACT_EXIT_OK);
}

static void test_ready_without_either_after_a_while(void **state)
{
	(void)state;
	assert_int_equal(run(after_warm_up), CONTRACT_EXIT_OK);
}

static void test_alive_is_said_of_a_ready_one(void **state)
{
	(void)state;
	assert_int_equal(run(heartbeats_once_ready), CONTRACT_EXIT_OK);
}

static void test_what_the_database_and_the_broker_are_given(void **state)
{
	static const char *const names[] = {"SESSION_GET", "SESSION_TOUCH", "REVOCATIONS",
					    "SESSION_END"};
	struct config *c = load("");
	unsigned char want[CRYPT_SHA256_LEN];

	(void)state;
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/run/creds", 1), 0);
	assert_int_equal(run(drain), CONTRACT_EXIT_OK);
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	assert_string_equal(f.options.user, "bff_web");
	assert_string_equal(f.password_file, "/run/creds/pw");
	assert_int_equal(f.options.password_file_mode, SECRET_FILE_STRICT);
	assert_int_equal(f.options.connections, 3);
	assert_string_equal(f.options.channel, SESSION_CACHE_CHANNEL);
	assert_int_equal(f.options.query_timeout_ms, 70);
	assert_int_equal(f.options.nstatements, ARRAY_LEN(names));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_string_equal(f.options.statements[i].name, names[i]);
	assert_string_equal(f.broker_path, "/run/bff/broker.sock");
	assert_int_equal(config_digest(c, want), ERR_OK);
	assert_memory_equal(f.digest, want, sizeof want);
	config_free(&c);
}

/* ---- the end ---------------------------------------------------------------------------- */

static void sigterm(struct worker *w)
{
	become_ready(w);
	drain(w);
	assert_true(f.exited);
	assert_int_equal(raise(SIGTERM), 0);
	turns(w);
	assert_int_equal(status(), 0); /* once */
	client_connects();
	turns(w);
	assert_int_equal(w->conns.n, 0);
}

static void before_ready(struct worker *w)
{
	drain(w);
	f.on_ready(w, true);
	f.on_state(w, true);
	loop_fire_event(w->base, w->ev_warm_up);
	assert_int_equal(status(), 0);
}

static void master_goes(struct worker *w)
{
	become_ready(w);
	(void)close(f.status);
	f.status = -1;
	turns(w);
	assert_true(w->draining);
	assert_true(f.exited);
}

static void test_sigterm_drains_once(void **state)
{
	(void)state;
	assert_int_equal(run(sigterm), CONTRACT_EXIT_OK);
}

static void test_one_that_drains_does_not_become_ready(void **state)
{
	(void)state;
	assert_int_equal(run(before_ready), CONTRACT_EXIT_OK);
}

static void test_a_master_that_goes_drains(void **state)
{
	(void)state;
	assert_int_equal(run(master_goes), CONTRACT_EXIT_OK);
}

static void last_connection_ends_it(struct worker *w)
{
	char got[512] = "";

	become_ready(w);
	client_connects();
	LOOP_UNTIL(w->base, w->conns.n == 1);
	client_says("GET /livez HTTP/1.1\r\n");
	turns(w);
	drain(w);
	assert_int_equal(loop_asked_of(w->ev_drain_idle), CONTRACT_DRAIN_IDLE_MS);
	loop_fire_event(w->base, w->ev_drain_idle); /* not idle: it said something */
	assert_int_equal(w->conns.n, 1);
	assert_int_equal(loop_asked_of(w->ev_drain_idle), CONTRACT_DRAIN_IDLE_MS / 5);
	assert_false(f.exited);
	client_says("Host: x\r\n\r\n");
	LOOP_UNTIL(w->base, f.exited);
	assert_true(recv(f.client, got, sizeof got - 1, 0) > 0);
	assert_int_equal(strncmp(got, "HTTP/1.1 200 ", 13), 0);
	assert_non_null(strstr(got, "\r\nConnection: close\r\n"));
	assert_int_equal(w->conns.n, 0);
}

static void idle_connections_have_their_time(struct worker *w)
{
	char byte;

	become_ready(w);
	client_connects();
	LOOP_UNTIL(w->base, w->conns.n == 1);
	drain(w);
	turns(w);
	assert_int_equal(w->conns.n, 1); /* one more request may come */
	loop_fire_event(w->base, w->ev_drain_idle);
	turns(w);
	assert_int_equal(w->conns.n, 0);
	assert_true(f.exited);
	assert_int_equal(recv(f.client, &byte, 1, 0), 0);
}

static void room_for_one(struct worker *w)
{
	int first;

	become_ready(w);
	client_connects();
	LOOP_UNTIL(w->base, w->conns.n == 1);
	first = f.client;
	f.client = -1;
	client_connects();
	turns(w);
	assert_int_equal(w->conns.n, 1);
	assert_int_equal(loop_asked_ms(), ACCEPTOR_RETRY_MS);
	(void)close(first);
	LOOP_UNTIL(w->base, w->conns.n == 0);
	assert_true(TAILQ_EMPTY(&w->conns.dead)); /* reaped */
	assert_int_equal(loop_asked_ms(), 0);
	loop_fire(w->base);
	LOOP_UNTIL(w->base, w->conns.n == 1);
}

static void test_the_next_has_the_place_of_one_that_ends(void **state)
{
	(void)state;
	(void)run(room_for_one);
}

static void test_it_ends_with_the_last_connection(void **state)
{
	(void)state;
	assert_int_equal(run(last_connection_ends_it), CONTRACT_EXIT_OK);
}

static void test_idle_connections_are_closed_after_a_while(void **state)
{
	(void)state;
	assert_int_equal(run(idle_connections_have_their_time), CONTRACT_EXIT_OK);
}

static void with_a_connection(struct worker *w)
{
	become_ready(w);
	client_connects();
	LOOP_UNTIL(w->base, w->conns.n == 1);
}

static void test_a_loop_that_fails_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(run(with_a_connection), CONTRACT_EXIT_ERROR); /* it ended undrained */
	f.dispatch_says = -1;
	(void)status();
	assert_int_equal(run(drain), CONTRACT_EXIT_ERROR);
}

/* ---- what it cannot start with ---------------------------------------------------------- */

static void test_what_retrying_does_not_help_is_a_configuration_error(void **state)
{
	struct config *c = load("");

	(void)state;
	assert_int_equal(worker_run(&c, 2, 1, METRICS_SLAB_NONE),
			 CONTRACT_EXIT_CONFIG); /* two came, one is known */
	assert_null(c);
	write_key("short");
	assert_int_equal(run(NULL), CONTRACT_EXIT_CONFIG);
	assert_int_equal(unlink(f.key_path), 0);
	assert_int_equal(run(NULL), CONTRACT_EXIT_CONFIG);
	write_key("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"); /* mode 0644 */
	assert_int_equal(run(NULL), CONTRACT_EXIT_CONFIG);
	assert_int_equal(f.scripts, 0);
	assert_int_equal(f.failures, 4);
	assert_int_equal(status(), 0);
}

static void test_anything_else_is_an_error(void **state)
{
	(void)state;
	f.pg_says = ERR_NOMEM;
	assert_int_equal(run(NULL), CONTRACT_EXIT_ERROR);
	f.pg_says = ERR_CONFIG; /* a conninfo that is none */
	assert_int_equal(run(NULL), CONTRACT_EXIT_CONFIG);
	f.pg_says = ERR_OK;
	f.broker_says = ERR_NOMEM;
	assert_int_equal(run(NULL), CONTRACT_EXIT_ERROR);
	assert_int_equal(f.scripts, 0);
}

static enum err attempt(void *arg)
{
	unsigned at = torture_state.at;
	struct config *c;
	int got;

	(void)arg;
	torture_state.at = 0;
	c = load("");
	f.script = drain;
	torture_state.at = at;
	got = worker_run(&c, 1, 1, METRICS_SLAB_NONE);
	assert_int_equal(f.pg_opened + f.broker_opened, 0);
	assert_true(got == CONTRACT_EXIT_OK || got == CONTRACT_EXIT_ERROR);
	return got == CONTRACT_EXIT_OK ? ERR_OK : ERR_NOMEM;
}

static void test_without_memory_it_does_not_start(void **state)
{
	(void)state;
	assert_true(torture(attempt, NULL) > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(test_ready_when_both_had_an_outcome),
	    CASE(test_ready_without_either_after_a_while),
	    CASE(test_alive_is_said_of_a_ready_one),
	    CASE(test_what_the_database_and_the_broker_are_given),
	    CASE(test_sigterm_drains_once),
	    CASE(test_one_that_drains_does_not_become_ready),
	    CASE(test_a_master_that_goes_drains),
	    CASE(test_the_next_has_the_place_of_one_that_ends),
	    CASE(test_it_ends_with_the_last_connection),
	    CASE(test_idle_connections_are_closed_after_a_while),
	    CASE(test_a_loop_that_fails_is_an_error),
	    CASE(test_what_retrying_does_not_help_is_a_configuration_error),
	    CASE(test_anything_else_is_an_error),
	    CASE(test_without_memory_it_does_not_start),
	};

	/* The contract's numbers are given: nothing else may take them. */
	for (int fd = CONTRACT_FD_CONFIG; fd <= CONTRACT_FD_LISTEN; fd++)
		if (dup2(STDOUT_FILENO, fd) == -1)
			return 1;
	torture_libevent();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

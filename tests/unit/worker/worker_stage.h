/*
 * worker_stage - worker_run() as it is, but for PostgreSQL, the broker, and the loop
 *
 * The loop is turned by a script: run(script) starts a worker with the listeners and the status
 * descriptor of the stage, and returns its exit code when the script did. What the worker gave the
 * database and the broker is in f; become_ready() and drain() bring it where a test begins or ends.
 */
#ifndef BFF_TESTS_WORKER_STAGE_H
#define BFF_TESTS_WORKER_STAGE_H

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
#include "worker/worker.h"

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

static inline void listen_here(void)
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

static inline void write_key(const char *text)
{
	FILE *file = fopen(f.key_path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
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

static inline struct config *load(const char *more)
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

static inline int run(void (*script)(struct worker *w))
{
	struct config *c = load("");
	int got;

	f.script = script;
	got = worker_run(&c, 1, 7, METRICS_SLAB_NONE);
	assert_null(c); /* taken */
	return got;
}

/* What the worker told its master: 0 when nothing. */
static inline char status(void)
{
	char byte[2];
	ssize_t n = recv(f.status, byte, sizeof byte, MSG_DONTWAIT);

	assert_true(n == 1 || (n == -1 && errno == EAGAIN));
	return n == 1 ? byte[0] : 0;
}

static inline void turns(struct worker *w)
{
	loop_turns(w->base, 4);
}

static inline void client_connects(void)
{
	struct sockaddr_in sin = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = f.port};

	if (f.client != -1)
		(void)close(f.client);
	f.client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(f.client, (struct sockaddr *)&sin, sizeof sin), 0);
}

static inline void client_says(const char *text)
{
	assert_int_equal(send(f.client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static inline void become_ready(struct worker *w)
{
	f.on_ready(w, true);
	f.on_state(w, true);
	assert_int_equal(status(), CONTRACT_READY);
}

static inline void drain(struct worker *w)
{
	assert_int_equal(raise(SIGTERM), 0);
	turns(w);
	assert_int_equal(status(), CONTRACT_DRAINING);
}

/* The contract's numbers are given: nothing else may take them. */
static inline int take_contract_fds(void **state)
{
	(void)state;
	for (int fd = CONTRACT_FD_CONFIG; fd <= CONTRACT_FD_LISTEN; fd++)
		if (dup2(STDOUT_FILENO, fd) == -1)
			return -1;
	torture_libevent();
	return 0;
}

#define STAGE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif

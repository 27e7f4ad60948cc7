/*
 * broker_stand - the whole broker, of which the database, the providers and the grants are played
 *
 * set_up() writes the files of edition_stand.h; start() makes t.broker of them, with a socket that
 * connect_path() connects to. Grants under way are t.grants. Timers are held; signals are real.
 */
#ifndef BFF_TEST_BROKER_STAND_H
#define BFF_TEST_BROKER_STAND_H

#include <signal.h>
#include <sys/socket.h>

#include "broker/broker.h"
#include "broker/grant_table.h"
#include "broker/key_watch.h"
#include "broker/peer.h"
#include "common/ipc_listen.h"
#include "tests/unit/broker/edition_stand.h"
#include "tests/unit/loop.h"
#include "tests/unit/torture.h"

static struct {
	struct broker *broker;
	struct config *config; /* of broker_check() */
	struct pg_options pg;  /* as opened */
	char password_file[64];
	void (*on_ready)(void *arg, bool ready);
	void *on_ready_arg;
	bool no_base, pg_refuses, pg_closed, pg_stopping;
	int alive_at_close;	 /* providers when the database was closed */
	struct request *pending; /* that a query of ours is for */
	size_t grants;
	unsigned kicks;
} t;

enum err __wrap_pg_open(struct event_base *base, const struct pg_options *o, struct pg **ret,
			struct errmsg *e);
enum err __wrap_pg_open(struct event_base *base, const struct pg_options *o, struct pg **ret,
			struct errmsg *e)
{
	assert_non_null(base);
	if (t.pg_refuses)
		return errmsg_set(e, ERR_CONFIG, "no such conninfo");
	t.pg = *o;
	if (o->password_file != NULL)
		(void)snprintf(t.password_file, sizeof t.password_file, "%s", o->password_file);
	*ret = (struct pg *)&t;
	return ERR_OK;
}

void __wrap_pg_on_ready(struct pg *p, void (*fn)(void *arg, bool ready), void *arg);
void __wrap_pg_on_ready(struct pg *p, void (*fn)(void *arg, bool ready), void *arg)
{
	(void)p;
	t.on_ready = fn;
	t.on_ready_arg = arg;
}

/* The last callbacks of queries come now; what is ready is not to be acted on any more. */
void __wrap_pg_close(struct pg **p);
void __wrap_pg_close(struct pg **p)
{
	assert_non_null(*p);
	*p = NULL;
	t.pg_closed = true;
	t.pg_stopping = ((struct broker *)t.on_ready_arg)->stopping;
	t.alive_at_close = stand.alive;
	if (t.pending != NULL)
		request_fail_store(&t.pending, ERR_CANCELED);
	t.on_ready(t.on_ready_arg, true);
}

void __wrap_key_watch_kick(struct key_watch *w);
void __wrap_key_watch_kick(struct key_watch *w)
{
	assert_non_null(w);
	t.kicks++;
}

size_t __wrap_grant_table_count(const struct grant_table *g);
size_t __wrap_grant_table_count(const struct grant_table *g)
{
	assert_non_null(g);
	return t.grants;
}

struct event_base *__real_event_base_new(void);
struct event_base *__wrap_event_base_new(void);
struct event_base *__wrap_event_base_new(void)
{
	return t.no_base ? NULL : __real_event_base_new();
}

/* Of libevent's allocations those of events alone: what it does without memory for one of its ways
 * to wait, or for a timer, is not the end of the broker. */
struct event *__real_event_new(struct event_base *base, evutil_socket_t fd, short what,
			       event_callback_fn fn, void *arg);
struct event *__wrap_event_new(struct event_base *base, evutil_socket_t fd, short what,
			       event_callback_fn fn, void *arg);
struct event *__wrap_event_new(struct event_base *base, evutil_socket_t fd, short what,
			       event_callback_fn fn, void *arg)
{
	return torture_fails() ? NULL : __real_event_new(base, fd, what, fn, arg);
}

static inline enum err make(const int *fds, size_t n, struct errmsg *e)
{
	struct config *c = stand_load();
	enum err rc = broker_new(stand.path, &c, fds, n, &t.broker, e);

	assert_true(rc != ERR_OK || c == NULL);
	config_free(&c);
	return rc;
}

static inline void start(void)
{
	struct errmsg e = {0};

	if (make(NULL, 0, &e) != ERR_OK)
		fail_msg("%s", e.text);
}

static inline int set_up(void **state)
{
	if (stand_open(state) != 0)
		return -1;
	memset(&t, 0, sizeof t);
	clock_unset();
	loop_hold();
	return 0;
}

static inline int tear_down(void **state)
{
	t.pg_closed = false;
	broker_free(&t.broker);
	config_free(&t.config);
	loop_release();
	return stand_close(state);
}

/* In place of the database section of the stand. */
static const char PASSWORD[] =
    "database { conninfo = \"dbname=bff\" broker_password_file = \"DIR/password\" }\n";

static inline enum err check(const char *broker, const char *more, struct errmsg *e)
{
	*e = (struct errmsg){0};
	config_free(&t.config);
	stand_config("", broker, more);
	t.config = stand_load();
	return broker_check(t.config, e);
}

/* The stand's text names a number; here the name. */
static inline enum err check_user(const char *user, struct errmsg *e)
{
	struct config *c = stand_load();
	enum err rc;

	config_free(&t.config);
	c->broker.peer_user = sv_str(user);
	*e = (struct errmsg){0};
	rc = broker_check(c, e);
	config_free(&c);
	return rc;
}

/* Bound to nothing that stays: an abstract name of the kernel's choice. */
static inline int listener(int type, bool listens)
{
	const struct sockaddr_storage any = {.ss_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd != -1);
	assert_int_equal(bind(fd, (const struct sockaddr *)&any, sizeof(sa_family_t)), 0);
	if (listens)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static inline int connect_fd(int listening)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof a;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_int_equal(getsockname(listening, (struct sockaddr *)&a, &n), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&a, n), 0);
	return fd;
}

static inline int connect_path(void)
{
	int fd = -1;

	assert_int_equal(ipc_connect(stand_file("socket"), &fd), ERR_OK);
	return fd;
}

static inline bool is_closed(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n == -1 && errno == ECONNRESET);
}

/* A request under way on the newest peer, as peer_request() makes it. */
static inline struct request *request_new(void)
{
	const struct ipc_message m = {.id = 1, .name = "token_get"};
	struct peer *p = t.broker->peers;
	struct request *r = NULL;

	keyring_set_state(t.broker->ring, 1, KEY_PRIMARY);
	p->edition = t.broker->editions.newest;
	edition_ref(p->edition);
	assert_int_equal(peer_request(p, &m, SV_NONE, &r), ERR_OK);
	return r;
}

static inline void signal_and_turn(int number)
{
	assert_int_equal(raise(number), 0);
	loop_turns(t.broker->base, 2);
}

#define over() (event_base_got_break(t.broker->base) != 0)

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

#endif

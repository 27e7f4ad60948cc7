/*
 * stage - a master whose workers are played by the test
 *
 * Forking is stood in for: a worker is a number and the other end of its status channel. What the
 * master would have signalled is in its `signal`, what waitpid() gives comes from
 * stage_dies(), what was logged and what the service manager heard can be asked for. Timers wait
 * (loop.h).
 */
#ifndef BFF_TESTS_MASTER_STAGE_H
#define BFF_TESTS_MASTER_STAGE_H

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/contract.h"
#include "common/log.h"
#include "master/spawn.h"
#include "master/supervisor.h"
#include "tests/unit/common/config_text.h"
#include "tests/unit/loop.h"

#define STAGE_WORKERS 256
#define STAGE_PID 4000000 /* beyond any real one */

struct stage_worker {
	pid_t pid;
	int fd; /* the worker's end; -1: closed */
	unsigned generation, slot;
	int signal; /* the last one */
};

static struct {
	struct stage_worker workers[STAGE_WORKERS];
	unsigned n;
	bool spawn_fails;
	struct {
		pid_t pid;
		int status;
	} dead[STAGE_WORKERS];
	unsigned ndead;
	char events[16384]; /* event(reason) of the log, one a line */
	int manager;	    /* the service manager's socket; -1: none */
} stage;

enum err __wrap_spawn_worker(const struct spawn *s, pid_t *ret_pid, int *ret_status,
			     struct errmsg *e);
int __wrap_kill(pid_t pid, int sig);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
void __wrap_log_write(enum log_level level, const char *event, const struct log_field *v, size_t n);

enum err __wrap_spawn_worker(const struct spawn *s, pid_t *ret_pid, int *ret_status,
			     struct errmsg *e)
{
	struct stage_worker *w = &stage.workers[stage.n];
	int fds[2];

	if (stage.spawn_fails)
		return errmsg_set(e, ERR_IO, "cannot fork");
	assert_true(stage.n < STAGE_WORKERS);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	*w = (struct stage_worker){.pid = STAGE_PID + (pid_t)stage.n++,
				   .fd = fds[1],
				   .generation = s->generation,
				   .slot = s->slot};
	*ret_pid = w->pid;
	*ret_status = fds[0];
	return ERR_OK;
}

int __wrap_kill(pid_t pid, int sig)
{
	assert_in_range(pid, STAGE_PID, STAGE_PID + (pid_t)stage.n - 1);
	stage.workers[pid - STAGE_PID].signal = sig;
	return 0;
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
	assert_int_equal(pid, -1);
	assert_int_equal(options, WNOHANG);
	if (stage.ndead == 0) {
		errno = ECHILD;
		return -1;
	}
	*status = stage.dead[0].status;
	pid = stage.dead[0].pid;
	memmove(stage.dead, stage.dead + 1, --stage.ndead * sizeof *stage.dead);
	return pid;
}

void __wrap_log_write(enum log_level level, const char *event, const struct log_field *v, size_t n)
{
	size_t at = strlen(stage.events);
	struct sv reason = SV_NONE;

	if (level == LOG_DEBUG)
		return;
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i].key, "reason") == 0)
			reason = v[i].s;
	(void)snprintf(stage.events + at, sizeof stage.events - at, "%s(" SV_FMT ")\n", event,
		       SV_ARG(reason));
}

static inline void stage_open(void)
{
	memset(&stage, 0, sizeof stage);
	stage.manager = -1;
	loop_hold();
}

static inline void stage_close(void)
{
	for (unsigned i = 0; i < stage.n; i++)
		if (stage.workers[i].fd != -1)
			(void)close(stage.workers[i].fd);
	if (stage.manager != -1)
		(void)close(stage.manager);
}

/* A service manager to send messages to; its name is in NOTIFY_SOCKET. */
static inline void stage_manager(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char name[64];
	int n = snprintf(name, sizeof name, "@bff-test-%d", (int)getpid());

	memcpy(un.sun_path + 1, name + 1, (size_t)n - 1);
	stage.manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(stage.manager, (struct sockaddr *)&un,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)),
			 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
}

/* The next message the manager got, "" when there is none. */
static inline const char *stage_heard(void)
{
	static char text[NOTIFY_TEXT_MAX + 1];
	ssize_t n = recv(stage.manager, text, sizeof text - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static inline void stage_says(unsigned worker, enum contract_status what)
{
	char byte = (char)what;

	assert_int_equal(send(stage.workers[worker].fd, &byte, 1, MSG_NOSIGNAL), 1);
}

/* Worker number `worker` is to be reaped. */
static inline void stage_dies(unsigned worker, int status)
{
	stage.dead[stage.ndead].pid = stage.workers[worker].pid;
	stage.dead[stage.ndead++].status = status;
}

#define STAGE_EXITED(code) ((code) << 8)

static inline bool stage_logged(const char *line)
{
	const char *at = strstr(stage.events, line);

	return at != NULL && (at == stage.events || at[-1] == '\n');
}

static inline unsigned stage_logged_times(const char *line)
{
	unsigned n = 0;

	for (const char *at = stage.events; (at = strstr(at, line)) != NULL; at++)
		n += at == stage.events || at[-1] == '\n';
	return n;
}

static inline struct config *stage_config(unsigned workers)
{
	char text[2048];
	struct config *c = NULL;
	struct errmsg e = {""};
	size_t path_n;

	(void)snprintf(
	    text, sizeof text,
	    CONFIG_TEXT_DATABASE
	    "web { cookie_keys = \"/k\" workers = %u }\n" CONFIG_TEXT_BROKER CONFIG_TEXT_PROVIDER
		CONFIG_TEXT_APP "listen \"m\" { kind = metrics address = \"127.0.0.1:1\" }\n",
	    workers);
	if (config_text_load(text, strlen(text), &c, &e, &path_n) != ERR_OK)
		fail_msg("%s", e.text);
	return c;
}

/* A generation of its own making, started. */
static inline struct service *stage_service(struct event_base *base, unsigned workers,
					    unsigned generation)
{
	struct config *c = stage_config(workers);
	struct listen_plan plan = {.n = 0};
	struct service *v = NULL;
	struct errmsg e;

	assert_int_equal(service_new(&c, &plan, "/bff-worker", generation, base, &v, &e), ERR_OK);
	assert_null(c);
	service_start(v);
	return v;
}

#endif

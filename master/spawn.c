#include "master/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/contract.h"
#include "common/log.h"

#ifndef BFF_LIBEXECDIR
#define BFF_LIBEXECDIR "/usr/lib/bff"
#endif

#define SPAWN_ENV_MAX 10     /* four that pass, five of ours, NULL */
#define SPAWN_ENV_BYTES 8192 /* all of them together */
#define SPAWN_FD_SCRATCH 64  /* above every number of the plan */

static_assert(CONTRACT_FD_LISTEN + CONTRACT_LISTEN_MAX <= SPAWN_FD_SCRATCH, "numbers do not meet");

static const char worker_name[] = "/bff-worker";

enum err spawn_find_self(char out[PATH_MAX], struct errmsg *e)
{
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - sizeof worker_name);

	if (n == -1)
		return errmsg_set(e, ERR_NOT_FOUND, "/proc/self/exe: %s", strerror(errno));
	out[n] = '\0';
	if (out[0] != '/')
		return errmsg_set(e, ERR_NOT_FOUND, "/proc/self/exe: expected a path: %s", out);
	return ERR_OK;
}

enum err spawn_find_worker(const char *self, char out[PATH_MAX], struct errmsg *e)
{
	char *slash;

	(void)snprintf(out, PATH_MAX, "%s", self); /* with room for the name */
	slash = strrchr(out, '/');
	memcpy(slash, worker_name, sizeof worker_name);
	if (access(out, X_OK) == 0)
		return ERR_OK;
	if (access(BFF_LIBEXECDIR "/bff-worker", X_OK) == -1)
		return errmsg_set(e, ERR_NOT_FOUND, "neither %s nor %s/bff-worker is a program",
				  out, BFF_LIBEXECDIR);
	memcpy(out, BFF_LIBEXECDIR "/bff-worker", sizeof BFF_LIBEXECDIR "/bff-worker");
	return ERR_OK;
}

static enum err write_config(const struct config *c, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	FILE *out = copy == -1 ? NULL : fdopen(copy, "w");
	enum err r;

	if (out == NULL) {
		if (copy != -1)
			(void)close(copy); /* nothing was written */
		return ERR_IO;
	}
	r = config_dump(c, CONFIG_PRINT_ALL, out);
	if (fclose(out) == EOF && r == ERR_OK)
		r = ERR_IO;
	return r;
}

enum err spawn_config_memfd(const struct config *c, int *ret, struct errmsg *e)
{
	int fd = memfd_create("bff.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1)
		return errmsg_set(e, ERR_IO, "memfd_create: %s", strerror(errno));
	if (write_config(c, fd) != ERR_OK || lseek(fd, 0, SEEK_SET) == -1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) ==
		-1) {
		(void)errmsg_set(e, ERR_IO, "configuration for a worker: %s", strerror(errno));
		(void)close(fd); /* half written, not wanted */
		return ERR_IO;
	}
	*ret = fd;
	return ERR_OK;
}

struct environment {
	char text[SPAWN_ENV_BYTES];
	size_t n;
	char *v[SPAWN_ENV_MAX];
	size_t count;
};

static enum err env_add(struct environment *env, const char *name, const char *value)
{
	int n = snprintf(env->text + env->n, sizeof env->text - env->n, "%s=%s", name, value);

	if (n < 0 || (size_t)n >= sizeof env->text - env->n || env->count + 1 >= SPAWN_ENV_MAX)
		return ERR_LIMIT;
	env->v[env->count++] = env->text + env->n;
	env->n += (size_t)n + 1;
	return ERR_OK;
}

static enum err env_add_number(struct environment *env, const char *name, size_t value)
{
	char digits[24];

	(void)snprintf(digits, sizeof digits, "%zu", value); /* fits */
	return env_add(env, name, digits);
}

/* SECURITY: a list of what passes, so that nothing else of our environment reaches a worker. */
static enum err env_build(struct environment *env, const struct spawn *s)
{
	static const char *const passed[] = {"PATH", "LANG", "TZ", "CREDENTIALS_DIRECTORY"};

	for (size_t i = 0; i < ARRAY_LEN(passed); i++) {
		const char *value = getenv(passed[i]);

		if (value != NULL && env_add(env, passed[i], value) != ERR_OK)
			return ERR_LIMIT;
	}
	if (env_add_number(env, CONTRACT_ENV_LISTEN, s->listen->n) != ERR_OK ||
	    env_add_number(env, CONTRACT_ENV_GENERATION, s->generation) != ERR_OK ||
	    env_add_number(env, CONTRACT_ENV_SLOT, s->slot) != ERR_OK ||
	    (s->slab != METRICS_SLAB_NONE &&
	     env_add_number(env, CONTRACT_ENV_SLAB, s->slab) != ERR_OK) ||
	    env_add(env, CONTRACT_ENV_BUILD, BFF_VERSION) != ERR_OK)
		return ERR_LIMIT;
	return ERR_OK;
}

/* Copies above every number of the plan first, since a source may have the number of another's
 * target. */
static enum err plan_descriptors(const int *from, size_t n)
{
	int copy[CONTRACT_FD_LISTEN + CONTRACT_LISTEN_MAX];

	for (size_t i = 0; i < n; i++) {
		copy[i] = fcntl(from[i], F_DUPFD_CLOEXEC, SPAWN_FD_SCRATCH);
		if (copy[i] == -1)
			return ERR_IO;
	}
	for (size_t i = 0; i < n; i++)
		if (dup2(copy[i], (int)i) == -1)
			return ERR_IO;
	return close_range((unsigned)n, ~0U, 0) == -1 ? ERR_IO : ERR_OK;
}

static void reset_signals(void)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)sigaction(i, &sa, NULL); /* refused for SIGKILL, SIGSTOP and libc's own */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* last: handlers of the master are gone */
}

/* In the child, which shares nothing but memory copies with the master; never returns. */
static _Noreturn void child(const struct spawn_image *image)
{
	reset_signals();
	(void)setpgid(0, 0); /* a terminal's Ctrl-C is for the master alone, which lets us drain */
	(void)alarm(image->alarm_s); /* survives the exec */
	if (plan_descriptors(image->from, image->n) == ERR_OK)
		(void)execve(image->program, image->argv, image->env); /* returns on failure */
	log_error("exec_failed", K("program", image->program), K("error", strerror(errno)));
	_exit(CONTRACT_EXIT_ERROR);
}

/* fork() with every signal held back: a handler of the master's loop must not run in the child,
 * where it would write into the loop's own pipe. */
enum err spawn_run(const struct spawn_image *image, pid_t *ret_pid)
{
	sigset_t all, before;
	pid_t pid;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before); /* valid arguments */
	pid = fork();
	if (pid == 0)
		child(image);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid == -1)
		return ERR_IO;
	*ret_pid = pid;
	return ERR_OK;
}

static void close_fd(int *fd)
{
	if (*fd != -1)
		(void)close(*fd); /* the copies of the child stay */
	*fd = -1;
}

enum err spawn_worker(const struct spawn *s, pid_t *ret_pid, int *ret_status, struct errmsg *e)
{
	static char name[] = "bff-worker";
	char *const argv[] = {name, NULL};
	struct environment env = {.n = 0};
	int from[CONTRACT_FD_LISTEN + CONTRACT_LISTEN_MAX];
	int null = -1, memfd = -1, pair[2] = {-1, -1};
	struct spawn_image image = {.program = s->worker, .argv = argv, .env = env.v, .from = from};
	enum err r = ERR_IO;

	if (env_build(&env, s) != ERR_OK)
		return errmsg_set(e, ERR_LIMIT, "the environment of a worker is over %d bytes",
				  SPAWN_ENV_BYTES);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null == -1 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1 ||
	    fcntl(pair[0], F_SETFL, O_RDWR | O_NONBLOCK) == -1) {
		r = errmsg_set(e, ERR_IO, "descriptors for a worker: %s", strerror(errno));
		goto out;
	}
	r = spawn_config_memfd(s->config, &memfd, e);
	if (r != ERR_OK)
		goto out;
	from[0] = null;
	from[1] = null;
	from[2] = STDERR_FILENO;
	from[CONTRACT_FD_CONFIG] = memfd;
	from[CONTRACT_FD_STATUS] = pair[1];
	from[CONTRACT_FD_METRICS] = s->slab == METRICS_SLAB_NONE ? null : s->metrics_fd;
	for (size_t i = 0; i < s->listen->n; i++)
		from[CONTRACT_FD_LISTEN + i] = s->listen->fd[i];
	image.n = CONTRACT_FD_LISTEN + s->listen->n;
	if (spawn_run(&image, ret_pid) != ERR_OK) {
		r = errmsg_set(e, ERR_IO, "fork: %s", strerror(errno));
		goto out;
	}
	*ret_status = pair[0];
	pair[0] = -1;
out:
	close_fd(&null);
	close_fd(&memfd);
	close_fd(&pair[0]);
	close_fd(&pair[1]);
	return r;
}

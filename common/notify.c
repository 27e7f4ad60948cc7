#include "common/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/sv.h"

/* Copies are made before unsetenv(), which may free what getenv() showed. */
static char *take_env(const char *name)
{
	const char *v = getenv(name);
	char *copy = v == NULL ? NULL : strdup(v);

	(void)unsetenv(name); /* the name is valid: it cannot fail */
	return copy;
}

static enum err parse_address(const char *s, struct notify *n, struct errmsg *e)
{
	size_t len = strlen(s);

	if ((s[0] != '/' && s[0] != '@') || len < 2 || len >= sizeof n->to.sun_path)
		return errmsg_set(e, ERR_UNSUPPORTED,
				  "NOTIFY_SOCKET: expected a path or an abstract name: %s", s);
	n->to.sun_family = AF_UNIX;
	memcpy(n->to.sun_path, s, len);
	if (s[0] == '@')
		n->to.sun_path[0] = '\0';
	/* Not sizeof: every byte counts in an abstract name. */
	n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return ERR_OK;
}

static enum err parse_watchdog(const char *usec, const char *pid, struct notify *n,
			       struct errmsg *e)
{
	uint64_t us, owner;

	if (usec == NULL)
		return ERR_OK;
	if (pid != NULL && (sv_u64(sv_str(pid), INT32_MAX, &owner) != ERR_OK || owner == 0))
		return errmsg_set(e, ERR_SYNTAX, "WATCHDOG_PID: expected a process id: %s", pid);
	if (pid != NULL && owner != (uint64_t)getpid())
		return ERR_OK;
	if (sv_u64(sv_str(usec), INT64_MAX, &us) != ERR_OK || us == 0)
		return errmsg_set(e, ERR_SYNTAX, "WATCHDOG_USEC: expected microseconds: %s", usec);
	n->watchdog_ms = (int64_t)(us / 1000);
	return ERR_OK;
}

enum err notify_open(struct notify *n, struct errmsg *e)
{
	char *address = take_env("NOTIFY_SOCKET");
	char *usec = take_env("WATCHDOG_USEC");
	char *pid = take_env("WATCHDOG_PID");
	enum err r;

	*n = (struct notify){.fd = -1};
	r = parse_watchdog(usec, pid, n, e);
	if (r != ERR_OK || address == NULL)
		goto out;
	r = parse_address(address, n, e);
	if (r != ERR_OK)
		goto out;
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd == -1)
		r = errmsg_set(e, ERR_IO, "socket: %s", strerror(errno));
out:
	free(address);
	free(usec);
	free(pid);
	return r;
}

void notify_close(struct notify *n)
{
	if (n->fd != -1)
		(void)close(n->fd); /* a datagram socket: nothing is pending */
	n->fd = -1;
}

enum err notify_give_back(const struct notify *n)
{
	char address[sizeof n->to.sun_path + 1], usec[24];

	if (n->fd != -1) {
		size_t len = n->to_len - offsetof(struct sockaddr_un, sun_path);

		memcpy(address, n->to.sun_path, len);
		address[len] = '\0';
		if (address[0] == '\0')
			address[0] = '@';
		if (setenv("NOTIFY_SOCKET", address, 1) == -1)
			return ERR_NOMEM;
	}
	if (n->watchdog_ms > 0) {
		(void)snprintf(usec, sizeof usec, "%lld", (long long)n->watchdog_ms * 1000);
		if (setenv("WATCHDOG_USEC", usec, 1) == -1)
			return ERR_NOMEM;
	}
	return ERR_OK;
}

void notify_take_back(void)
{
	(void)unsetenv("NOTIFY_SOCKET"); /* valid names */
	(void)unsetenv("WATCHDOG_USEC");
}

enum err notify_send(const struct notify *n, const char *fmt, ...)
{
	char text[NOTIFY_TEXT_MAX];
	va_list ap;
	int len;

	if (n->fd == -1)
		return ERR_OK;
	va_start(ap, fmt);
	len = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (len < 0)
		return ERR_IO;
	if ((size_t)len >= sizeof text)
		len = (int)sizeof text - 1; /* a long STATUS= is cut; it stands last */
	if (sendto(n->fd, text, (size_t)len, MSG_NOSIGNAL, (const struct sockaddr *)&n->to,
		   n->to_len) == -1)
		return ERR_IO;
	return ERR_OK;
}

enum err notify_reloading(const struct notify *n, const char *status)
{
	struct timespec ts = {0};

	/* Not a deadline, so not common/clock: the manager compares with its own CLOCK_MONOTONIC.
	 */
	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this id */
	return notify_send(n, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=%s",
			   (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000, status);
}

/* Names are separated by colons; as many as there are descriptors, or none at all. */
static enum err parse_names(const char *names, struct notify_fds *f, struct errmsg *e)
{
	struct sv rest = sv_str(names);

	for (size_t i = 0; i < f->n; i++) {
		size_t end = sv_find(rest, ':');
		struct sv name = sv_cut(rest, 0, end);

		if (name.n > NOTIFY_FD_NAME_MAX || (end == rest.n) != (i + 1 == f->n))
			return errmsg_set(e, ERR_SYNTAX,
					  "LISTEN_FDNAMES: expected %zu names of at most %d bytes",
					  f->n, NOTIFY_FD_NAME_MAX);
		if (name.n > 0)
			memcpy(f->name[i], name.p, name.n);
		f->name[i][name.n] = '\0';
		rest = sv_cut(rest, end + 1, rest.n);
	}
	return ERR_OK;
}

enum err notify_parse_fds(const char *pid, const char *fds, const char *names, pid_t self,
			  struct notify_fds *ret, struct errmsg *e)
{
	struct notify_fds f = {.n = 0};
	uint64_t owner, n;
	enum err r;

	if (pid == NULL || fds == NULL) {
		ret->n = 0;
		return ERR_OK;
	}
	if (sv_u64(sv_str(pid), INT32_MAX, &owner) != ERR_OK || owner == 0)
		return errmsg_set(e, ERR_SYNTAX, "LISTEN_PID: expected a process id: %s", pid);
	if (owner != (uint64_t)self) {
		ret->n = 0;
		return ERR_OK;
	}
	if (sv_u64(sv_str(fds), INT32_MAX, &n) != ERR_OK)
		return errmsg_set(e, ERR_SYNTAX, "LISTEN_FDS: expected a number: %s", fds);
	if (n > NOTIFY_FDS_MAX)
		return errmsg_set(e, ERR_LIMIT, "LISTEN_FDS: at most %d sockets, got %s",
				  NOTIFY_FDS_MAX, fds);
	f.n = (size_t)n;
	for (size_t i = 0; i < f.n; i++)
		memcpy(f.name[i], "unknown", sizeof "unknown");
	if (names != NULL && f.n > 0) {
		r = parse_names(names, &f, e);
		if (r != ERR_OK)
			return r;
	}
	*ret = f;
	return ERR_OK;
}

enum err notify_listen_fds(struct notify_fds *ret, struct errmsg *e)
{
	char *pid = take_env("LISTEN_PID");
	char *fds = take_env("LISTEN_FDS");
	char *names = take_env("LISTEN_FDNAMES");
	struct notify_fds f;
	enum err r = notify_parse_fds(pid, fds, names, getpid(), &f, e);

	for (size_t i = 0; r == ERR_OK && i < f.n; i++)
		if (fcntl(NOTIFY_FDS_FIRST + (int)i, F_SETFD, FD_CLOEXEC) == -1)
			r = errmsg_set(e, ERR_IO, "LISTEN_FDS=%s: descriptor %d: %s", fds,
				       NOTIFY_FDS_FIRST + (int)i, strerror(errno));
	if (r == ERR_OK)
		*ret = f;
	free(pid);
	free(fds);
	free(names);
	return r;
}

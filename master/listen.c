#include "master/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/address.h"
#include "common/config_value.h"
#include "common/ipc_listen.h"

static_assert(CONFIG_UNIX_PATH_MAX + 1 == sizeof((struct sockaddr_un *)0)->sun_path,
	      "with its NUL");

static enum err parse_port(struct sv s, in_port_t *ret)
{
	uint64_t port;
	enum err r = sv_u64(s, UINT16_MAX, &port);

	if (r != ERR_OK || port == 0)
		return ERR_SYNTAX;
	*ret = htons((uint16_t)port);
	return ERR_OK;
}

static enum err parse_unix(struct sv path, struct listen_address *ret)
{
	struct listen_address a = {.len = 0};
	struct sockaddr_un *un = (struct sockaddr_un *)&a.sa;

	if (path.p[0] != '/' || path.n > CONFIG_UNIX_PATH_MAX || sv_find(path, '\0') < path.n)
		return ERR_SYNTAX;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path.p, path.n);
	a.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
	*ret = a;
	return ERR_OK;
}

enum err listen_parse(struct sv text, struct listen_address *ret)
{
	struct listen_address a = {.len = 0};
	struct sockaddr_in *in4 = (struct sockaddr_in *)&a.sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a.sa;
	bool is6 = text.n > 0 && text.p[0] == '[';
	size_t end = sv_find(text, is6 ? ']' : ':');
	struct sv ip = sv_cut(text, is6 ? 1 : 0, end);
	struct sv port = sv_cut(text, end + 1, text.n);
	unsigned char bytes[ADDRESS_LEN];
	in_port_t number;

	if (config_unix_path(text).n > 0)
		return parse_unix(config_unix_path(text), ret);
	if (is6) {
		if (port.n == 0 || port.p[0] != ':')
			return ERR_SYNTAX;
		port = sv_cut(port, 1, port.n);
	}
	if (end == text.n || parse_port(port, &number) != ERR_OK ||
	    address_parse(ip, bytes) != ERR_OK || is6 != (sv_find(ip, ':') < ip.n))
		return ERR_SYNTAX;
	if (is6) {
		memcpy(&in6->sin6_addr, bytes, sizeof in6->sin6_addr);
		in6->sin6_family = AF_INET6;
		in6->sin6_port = number;
		a.len = sizeof *in6;
	} else {
		memcpy(&in4->sin_addr, bytes + ADDRESS_V4_AT, sizeof in4->sin_addr);
		in4->sin_family = AF_INET;
		in4->sin_port = number;
		a.len = sizeof *in4;
	}
	*ret = a;
	return ERR_OK;
}

static const char *path_of(const struct listen_address *a)
{
	return ((const struct sockaddr_un *)&a->sa)->sun_path;
}

static bool same_address(const struct listen_address *a, const struct listen_address *b)
{
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)&a->sa;
	const struct sockaddr_in *b4 = (const struct sockaddr_in *)&b->sa;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&a->sa;
	const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)&b->sa;

	if (a->sa.ss_family != b->sa.ss_family)
		return false;
	if (a->sa.ss_family == AF_UNIX) /* an abstract one is "" here, and no section's */
		return strncmp(path_of(a), path_of(b), CONFIG_UNIX_PATH_MAX + 1) == 0;
	if (a->sa.ss_family == AF_INET)
		return a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	if (a->sa.ss_family == AF_INET6)
		return a6->sin6_port == b6->sin6_port &&
		       memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof a6->sin6_addr) == 0;
	return false;
}

static bool is_listening_stream(int fd)
{
	int type = 0, listening = 0;
	socklen_t n = sizeof type, m = sizeof listening;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &m) == 0 && listening != 0;
}

static enum err set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		return ERR_IO;
	return ERR_OK;
}

enum err listen_adopt(struct listen_table *t, int fd, const char *name, enum listen_owner owner,
		      struct errmsg *e)
{
	struct listener l = {.fd = fd, .inherited = owner == LISTEN_INHERITED};

	if (t->n == LISTEN_TABLE_MAX)
		return errmsg_set(e, ERR_LIMIT, "too many listening sockets");
	(void)snprintf(l.name, sizeof l.name, "%s", name); /* as long as NOTIFY_FD_NAME_MAX */
	l.address.len = sizeof l.address.sa;
	if (!is_listening_stream(fd) ||
	    getsockname(fd, (struct sockaddr *)&l.address.sa, &l.address.len) == -1 ||
	    set_nonblocking(fd) != ERR_OK)
		return errmsg_set(
		    e, ERR_UNSUPPORTED,
		    "inherited descriptor %d (%s): expected a listening stream socket", fd, name);
	t->v[t->n++] = l;
	return ERR_OK;
}

enum err listen_inherit(struct listen_table *t, const struct notify_fds *fds, struct errmsg *e)
{
	enum err r = ERR_OK;

	for (size_t i = 0; r == ERR_OK && i < fds->n; i++)
		r = listen_adopt(t, NOTIFY_FDS_FIRST + (int)i, fds->name[i], LISTEN_INHERITED, e);
	return r;
}

static enum err bind_socket(const struct listen_address *a, int *ret)
{
	const int on = 1;
	int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int saved;

	if (fd == -1)
		return ERR_IO;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1)
		goto fail;
	/* So that [::]:80 and 0.0.0.0:80 are two listeners, whatever the machine's default is. */
	if (a->sa.ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == -1)
		goto fail;
	if (bind(fd, (const struct sockaddr *)&a->sa, a->len) == -1 ||
	    listen(fd, LISTEN_BACKLOG) == -1)
		goto fail;
	*ret = fd;
	return ERR_OK;
fail:
	saved = errno;
	(void)close(fd); /* nothing was written to it */
	errno = saved;
	return ERR_IO;
}

static enum err refuse(const struct config_listen *l, struct errmsg *e, const char *why)
{
	return errmsg_set(e, ERR_CONFIG, "%s:%u: listen " SV_FMT ": " SV_FMT ": %s", l->place.file,
			  l->place.line, SV_ARG(l->name), SV_ARG(l->address), why);
}

/* Also of a socket that was there: the section may name another group by now. */
static enum err give_group(const struct config_listen *l, struct errmsg *e)
{
	struct sv path = config_unix_path(l->address);
	const struct group *group;
	uint64_t gid;

	if (l->socket_group.n == 0)
		return ERR_OK;
	if (sv_u64(l->socket_group, UINT32_MAX - 1, &gid) != ERR_OK) {
		group = getgrnam(l->socket_group.p);
		if (group == NULL)
			return refuse(l, e, "socket_group: there is no such group");
		gid = group->gr_gid;
	}
	if (chown(path.p, (uid_t)-1, (gid_t)gid) == -1)
		return refuse(l, e,
			      errno == EPERM ? "socket_group: bffd is not in that group"
					     : strerror(errno));
	return ERR_OK;
}

static enum err bind_new(const struct config_listen *l, struct listener *fresh, struct errmsg *e)
{
	const char *path = path_of(&fresh->address);
	struct errmsg why;

	if (fresh->address.sa.ss_family != AF_UNIX)
		return bind_socket(&fresh->address, &fresh->fd) == ERR_OK
			   ? ERR_OK
			   : refuse(l, e, strerror(errno));
	if (ipc_bind(path, SOCK_STREAM, LISTEN_BACKLOG, &fresh->fd, &why) == ERR_OK)
		return give_group(l, e);
	/* Not the path twice in one sentence. */
	return refuse(l, e,
		      sv_starts(sv_str(why.text), sv_str(path)) ? why.text + strlen(path) + 2
								: why.text);
}

/* The table's socket of that address. */
static enum err take_one(const struct listener *have, const struct config_listen *l, int *ret,
			 struct errmsg *e)
{
	enum err r = ERR_OK;

	if (have->inherited && l->socket_group.n > 0)
		return refuse(l, e,
			      "socket_group: the service manager made this socket, its unit says "
			      "the group (SocketGroup=)");
	if (have->address.sa.ss_family == AF_UNIX)
		r = give_group(l, e);
	if (r == ERR_OK)
		*ret = have->fd;
	return r;
}

static enum err resolve_one(struct listen_table *t, const struct config_listen *l, int *ret,
			    struct errmsg *e)
{
	struct listener fresh = {.fd = -1};
	enum err r;

	if (listen_parse(l->address, &fresh.address) != ERR_OK)
		return refuse(l, e, "expected IP:PORT, [IP]:PORT or unix:PATH");
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].inherited && sv_eq(sv_str(t->v[i].name), l->name) &&
		    !same_address(&t->v[i].address, &fresh.address))
			return refuse(l, e,
				      "the service manager's socket of that name has another "
				      "address (change both, then restart both units)");
	for (size_t i = 0; i < t->n; i++)
		if (same_address(&t->v[i].address, &fresh.address))
			return take_one(&t->v[i], l, ret, e);
	if (t->n == LISTEN_TABLE_MAX)
		return refuse(l, e, "too many listening sockets");
	r = bind_new(l, &fresh, e);
	if (fresh.fd != -1) /* also one without its group: listen_keep() closes it */
		t->v[t->n++] = fresh;
	*ret = fresh.fd;
	return r;
}

static bool uses(const struct listen_plan *plan, int fd)
{
	for (size_t i = 0; plan != NULL && i < plan->n; i++)
		if (plan->fd[i] == fd)
			return true;
	return false;
}

enum err listen_resolve(struct listen_table *t, const struct config *c, struct listen_plan *ret,
			struct errmsg *e)
{
	struct listen_plan plan = {.n = 0};
	int fd = -1;
	enum err r;

	for (size_t i = 0; i < c->nlistens; i++) {
		if (plan.n == CONTRACT_LISTEN_MAX)
			return refuse(&c->listens[i], e, "too many listen sections");
		r = resolve_one(t, &c->listens[i], &fd, e);
		if (r != ERR_OK)
			return r;
		if (uses(&plan, fd))
			return refuse(&c->listens[i], e, "another section has this address");
		plan.fd[plan.n++] = fd;
	}
	*ret = plan;
	return ERR_OK;
}

void listen_keep(struct listen_table *t, const struct listen_plan *plan)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].inherited || uses(plan, t->v[i].fd)) {
			if (kept != i)
				t->v[kept] = t->v[i];
			kept++;
		} else {
			(void)close(t->v[i].fd); /* a listener has nothing to flush */
		}
	}
	t->n = kept;
}

size_t listen_unused(const struct listen_table *t, const struct listen_plan *plan)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += t->v[i].inherited && !uses(plan, t->v[i].fd);
	return n;
}

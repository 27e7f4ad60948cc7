#include "common/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct secret {
	size_t n;
	char p[];
};

enum err secret_new(struct sv s, struct secret **ret)
{
	struct secret *x = malloc(sizeof *x + s.n + 1);

	if (x == NULL)
		return ERR_NOMEM;
	x->n = s.n;
	if (s.n > 0)
		memcpy(x->p, s.p, s.n);
	x->p[s.n] = '\0'; /* for library boundaries that want a C string */
	*ret = x;
	return ERR_OK;
}

void secret_free(struct secret **s)
{
	if (*s == NULL)
		return;
	explicit_bzero((*s)->p, (*s)->n);
	free(*s);
	*s = NULL;
}

struct sv secret_view(const struct secret *s)
{
	return s == NULL ? SV_NONE : sv_of(s->p, s->n);
}

static enum err check_file(int fd, const char *path, enum secret_file_mode mode, struct errmsg *e)
{
	struct stat st;
	mode_t perm;

	if (fstat(fd, &st) == -1)
		return errmsg_set(e, ERR_CONFIG, "%s: %s", path, strerror(errno));
	perm = st.st_mode & 07777;
	if (!S_ISREG(st.st_mode))
		return errmsg_set(e, ERR_CONFIG, "%s: not a regular file", path);
	if (mode == SECRET_FILE_CONTAINER && (perm == 0444 || perm == 0644))
		return ERR_OK;
	if ((perm & 077) != 0 && perm != 0440)
		return errmsg_set(e, ERR_CONFIG,
				  "%s: mode %04o lets others read it; expected 0600 or 0400", path,
				  (unsigned)perm);
	if (perm == 0440 && st.st_uid != 0)
		return errmsg_set(e, ERR_CONFIG,
				  "%s: mode 0440 is taken only from root (systemd credentials)",
				  path);
	return ERR_OK;
}

enum err secret_read_file(const char *path, enum secret_file_mode mode, struct secret **ret,
			  struct errmsg *e)
{
	char data[SECRET_FILE_MAX + 1];
	size_t n = 0;
	ssize_t got = 0;
	enum err rc;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd == -1)
		return errmsg_set(e, ERR_CONFIG, "%s: %s", path, strerror(errno));
	rc = check_file(fd, path, mode, e);
	while (rc == ERR_OK && n < sizeof data) {
		got = read(fd, data + n, sizeof data - n);
		if (got == -1 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	if (rc == ERR_OK && got == -1)
		rc = errmsg_set(e, ERR_CONFIG, "%s: %s", path, strerror(errno));
	if (rc == ERR_OK && n > SECRET_FILE_MAX)
		rc = errmsg_set(e, ERR_CONFIG, "%s: larger than %d bytes", path, SECRET_FILE_MAX);
	if (rc == ERR_OK && n > 0 && data[n - 1] == '\n')
		n--;
	if (rc == ERR_OK && n == 0)
		rc = errmsg_set(e, ERR_CONFIG, "%s: empty", path);
	if (rc == ERR_OK && secret_new(sv_of(data, n), ret) != ERR_OK)
		rc = errmsg_set(e, ERR_NOMEM, "%s: out of memory", path);
	explicit_bzero(data, sizeof data);
	(void)close(fd); /* read only: nothing to lose */
	return rc;
}

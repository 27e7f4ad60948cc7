#include "worker/page_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct page_files {
	const struct config_app *first;
	size_t n;
	struct {
		struct {
			char *p;
			size_t n;
		} text[PAGE_COUNT];
	} v[];
};

static const char *const names[PAGE_COUNT] = {
#define PAGE(name, file, status, takes) [PAGE_##name] = file,
#include "worker/page.def"
#undef PAGE
};

static enum err refuse(const struct config_app *app, const char *file, const char *why,
		       struct errmsg *e)
{
	return errmsg_set(e, ERR_CONFIG, "%s:%u: app " SV_FMT ": pages: " SV_FMT "%s%s: %s",
			  app->place.file, app->place.line, SV_ARG(app->name), SV_ARG(app->pages),
			  file == NULL ? "" : "/", file == NULL ? "" : file, why);
}

/* The bytes of a file of that directory; NULL, or why not. */
static const char *read_file(int dir, const char *name, char out[PAGE_FILE_MAX + 1], size_t *ret_n)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *why = NULL;
	struct stat st;
	ssize_t got = 0;
	size_t n = 0;

	if (fd == -1)
		return strerror(errno);
	if (fstat(fd, &st) == -1)
		why = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		why = "expected a regular file";
	while (why == NULL && n < PAGE_FILE_MAX + 1) {
		got = read(fd, out + n, PAGE_FILE_MAX + 1 - n);
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			why = strerror(errno);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	(void)close(fd); /* read only: nothing to lose */
	if (why == NULL && n == 0)
		why = "empty";
	*ret_n = n;
	return why;
}

static enum err take(struct page_files *f, size_t app, enum page page, int dir, struct errmsg *e)
{
	const struct config_app *a = &f->first[app];
	char data[PAGE_FILE_MAX + 1], too_large[64];
	const char *why;
	struct errmsg judged;
	enum err rc;
	size_t n = 0;

	why = read_file(dir, names[page], data, &n);
	(void)snprintf(too_large, sizeof too_large, "larger than %d bytes", PAGE_FILE_MAX);
	if (why == NULL && n > PAGE_FILE_MAX)
		why = too_large;
	if (why != NULL)
		return refuse(a, names[page], why, e);
	rc = page_template_check(page, sv_of(data, n), &judged);
	if (rc != ERR_OK)
		return refuse(a, names[page], judged.text, e);
	f->v[app].text[page].p = malloc(n);
	if (f->v[app].text[page].p == NULL)
		return errmsg_set(e, ERR_NOMEM, "pages: out of memory");
	memcpy(f->v[app].text[page].p, data, n);
	f->v[app].text[page].n = n;
	return ERR_OK;
}

static enum page page_named(const char *name)
{
	for (unsigned i = 1; i < PAGE_COUNT; i++)
		if (strcmp(names[i], name) == 0)
			return (enum page)i;
	return PAGE_NONE;
}

static enum err read_directory(struct page_files *f, size_t app, struct errmsg *e)
{
	const struct config_app *a = &f->first[app];
	DIR *dir = opendir(a->pages.p);
	const struct dirent *entry;
	enum err rc = ERR_OK;

	if (dir == NULL)
		return errno == ENOMEM ? errmsg_set(e, ERR_NOMEM, "pages: out of memory")
				       : refuse(a, NULL, strerror(errno), e);
	while (errno = 0, rc == ERR_OK && (entry = readdir(dir)) != NULL) {
		enum page page = page_named(entry->d_name);

		if (page != PAGE_NONE)
			rc = take(f, app, page, dirfd(dir), e);
		else if (entry->d_name[0] != '.' && sv_ends(sv_str(entry->d_name), SV(".html")))
			rc = refuse(a, entry->d_name, "there is no page of that name", e);
	}
	if (rc == ERR_OK && errno != 0)
		rc = refuse(a, NULL, strerror(errno), e);
	(void)closedir(dir); /* read only: nothing to lose */
	return rc;
}

enum err page_files_new(const struct config *c, struct page_files **ret, struct errmsg *e)
{
	struct page_files *f = calloc(1, sizeof *f + c->napps * sizeof f->v[0]);
	enum err rc = ERR_OK;

	if (f == NULL)
		return errmsg_set(e, ERR_NOMEM, "pages: out of memory");
	f->first = c->apps;
	f->n = c->napps;
	for (size_t i = 0; rc == ERR_OK && i < f->n; i++)
		if (c->apps[i].pages.n > 0)
			rc = read_directory(f, i, e);
	if (rc != ERR_OK)
		page_files_free(&f);
	else
		*ret = f;
	return rc;
}

void page_files_free(struct page_files **p)
{
	struct page_files *f = *p;

	if (f == NULL)
		return;
	for (size_t i = 0; i < f->n; i++)
		for (unsigned k = 0; k < PAGE_COUNT; k++)
			free(f->v[i].text[k].p);
	free(f);
	*p = NULL;
}

struct sv page_files_find(const struct page_files *f, const struct config_app *app, enum page page)
{
	size_t at = f == NULL ? 0 : (size_t)(app - f->first);

	return f == NULL ? SV_NONE : sv_of(f->v[at].text[page].p, f->v[at].text[page].n);
}

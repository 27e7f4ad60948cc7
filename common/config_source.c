#include "common/config_source.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool config_source_grow(void **v, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap == 0 ? 64 : *cap * 2;
	void *p;

	if (n < *cap)
		return true;
	p = reallocarray(*v, want, size);
	if (p == NULL)
		return false;
	*v = p;
	*cap = want;
	return true;
}

enum err config_source_error(const struct config_source *s, size_t token, const char *option,
			     const char *fmt, ...)
{
	char text[ERRMSG_MAX];
	const struct config_token *t;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap); /* cut is fine: it is a sentence */
	va_end(ap);
	if (s->ntokens == 0 || token == SIZE_MAX)
		return errmsg_set(s->e, ERR_CONFIG, "%s:1: %s: %s", s->files[0], option, text);
	t = &s->tokens[token < s->ntokens ? token : s->ntokens - 1];
	return errmsg_set(s->e, ERR_CONFIG, "%s:%u: %s: %s", s->files[t->file], t->line, option,
			  text);
}

size_t config_source_option(const struct config_source *s, unsigned frame, struct sv name)
{
	size_t i = frame == 0 ? 0 : s->frames[frame].open + 1;

	for (; i < s->ntokens; i++) {
		const struct config_token *t = &s->tokens[i];

		if (t->frame == frame && t->is_name && sv_eq(t->text, name))
			return i;
		if (t->closes && t->frame == frame)
			break;
	}
	return SIZE_MAX;
}

size_t config_source_value(const struct config_source *s, size_t name, size_t n)
{
	for (size_t i = name + 1; i < s->ntokens && !s->tokens[i].is_name; i++)
		if (s->tokens[i].kind == '"' && n-- == 0)
			return i;
	return name;
}

enum err config_source_text(const struct config_source *s, struct buf *out)
{
	for (size_t i = 0; i < s->ntokens; i++) {
		const struct config_token *t = &s->tokens[i];

		buf_add_char(out, t->kind);
		for (size_t k = 0; t->kind == '"' && k < t->text.n; k++) {
			unsigned char c = (unsigned char)t->text.p[k];

			if (c < 0x20 || c == 0x7f)
				buf_addf(out, "\\x%02x", c);
			else if (c == '"' || c == '\\' || c == '$')
				buf_addf(out, "\\%c", c);
			else
				buf_add_char(out, (char)c);
		}
		buf_add(out, t->kind == '"' ? SV("\"\n") : SV("\n"));
	}
	buf_add_char(out, '\0');
	return buf_ok(out) ? ERR_OK : ERR_NOMEM;
}

/* The whole of a file, from its start and without moving an offset that others share. */
static enum err read_all(struct config_source *s, int fd, const char *path, struct buf *out)
{
	struct stat st;
	off_t at = 0;

	/* What else there is could make the master wait. */
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		return errmsg_set(s->e, ERR_CONFIG, "%s:1: file: expected a regular file", path);
	for (;;) {
		char *p = buf_reserve(out, 16384);
		ssize_t n;

		if (p == NULL)
			return ERR_NOMEM;
		n = pread(fd, p, 16384, at);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return errmsg_set(s->e, ERR_CONFIG, "%s:1: file: cannot read: %s", path,
					  strerror(errno));
		if (n == 0)
			return ERR_OK;
		out->n += (size_t)n;
		at += n;
		if (out->n > s->max_bytes - s->bytes)
			return errmsg_set(
			    s->e, ERR_CONFIG,
			    "%s:1: file: expected at most %zu bytes with all includes", path,
			    s->max_bytes);
	}
}

static enum err load_fd(struct config_source *s, int fd, const char *path, unsigned depth)
{
	struct buf text;
	struct sv name;
	enum err err;

	if (s->nfiles >= CONFIG_MAX_FILES)
		return errmsg_set(s->e, ERR_CONFIG, "%s:1: file: expected at most %d files", path,
				  CONFIG_MAX_FILES);
	buf_init(&text, s->max_bytes + 32768);
	err = config_copy(s->arena, sv_str(path), &name);
	if (err == ERR_OK &&
	    !config_source_grow((void **)&s->files, s->nfiles, &s->files_cap, sizeof *s->files))
		err = ERR_NOMEM;
	if (err == ERR_OK) {
		s->files[s->nfiles++] = name.p;
		err = read_all(s, fd, path, &text);
	}
	if (err == ERR_OK) {
		s->bytes += text.n;
		err = config_lex(s, (unsigned)s->nfiles - 1, buf_sv(&text), depth);
	}
	buf_done(&text);
	return err;
}

/* token: of the include() that asks for it, SIZE_MAX for the main file. */
static enum err load_path(struct config_source *s, size_t token, const char *path, unsigned depth)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	enum err err;

	if (fd == -1 && token == SIZE_MAX)
		return errmsg_set(s->e, ERR_CONFIG, "%s:1: file: cannot open: %s", path,
				  strerror(errno));
	if (fd == -1)
		return config_source_error(s, token, "include", "cannot open %s: %s", path,
					   strerror(errno));
	err = load_fd(s, fd, path, depth);
	(void)close(fd); /* was only read */
	return err;
}

/* Of a glob: what is missing matches nothing, all else (no permission) is an error. */
static int glob_error(const char *path, int error)
{
	(void)path;
	return error != ENOENT && error != ENOTDIR;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The pattern relative to the including file, whose directory must not count as a pattern. */
static void full_pattern(struct buf *out, const char *includer, struct sv pattern)
{
	const char *slash = strrchr(includer, '/');

	if (pattern.p[0] != '/' && slash != NULL)
		for (const char *c = includer; c <= slash; c++) {
			if (strchr("*?[]\\", *c) != NULL)
				buf_add_char(out, '\\');
			buf_add_char(out, *c);
		}
	buf_add(out, pattern);
	buf_add_char(out, '\0');
}

static enum err include_matches(struct config_source *s, size_t token, const char *pattern,
				bool named, unsigned depth)
{
	enum err err = ERR_OK;
	glob_t g = {0};
	int rc = glob(pattern, GLOB_NOSORT, glob_error, &g);

	if (rc == 0 && g.gl_pathc > 1)
		/* Byte order, whatever the locale. */
		qsort(g.gl_pathv, g.gl_pathc, sizeof *g.gl_pathv, by_name);
	if (rc == GLOB_NOSPACE)
		err = ERR_NOMEM;
	else if (rc == GLOB_ABORTED)
		err = config_source_error(s, token, "include", "cannot read the directory of %s",
					  pattern);
	else if (rc == GLOB_NOMATCH && named)
		err = config_source_error(s, token, "include", "expected a file %s: there is none",
					  pattern);
	for (size_t i = 0; rc == 0 && err == ERR_OK && i < g.gl_pathc; i++)
		err = load_path(s, token, g.gl_pathv[i], depth + 1);
	globfree(&g);
	return err;
}

enum err config_source_include(struct config_source *s, size_t token, struct sv pattern,
			       unsigned depth)
{
	const char *includer = s->files[s->tokens[token].file];
	bool named = true;
	struct buf full;
	enum err err;

	if (pattern.n == 0)
		return config_source_error(s, token, "include", "expected the name of a file");
	if (depth >= CONFIG_MAX_INCLUDE_DEPTH)
		return config_source_error(s, token, "include",
					   "expected includes at most %d deep (a circle?)",
					   CONFIG_MAX_INCLUDE_DEPTH);
	for (size_t i = 0; i < pattern.n; i++)
		if (strchr("*?[", pattern.p[i]) != NULL)
			named = false;
	buf_init(&full, 4 * CONFIG_MAX_VALUE);
	full_pattern(&full, includer, pattern);
	err = buf_ok(&full) ? include_matches(s, token, full.p, named, depth) : ERR_NOMEM;
	buf_done(&full);
	return err;
}

static enum err start(struct config_source *s, struct config_arena *names, enum config_expand mode,
		      struct errmsg *e)
{
	*s = (struct config_source){.arena = names, .expand = mode, .e = e};
	s->max_bytes = mode == CONFIG_EXPAND ? CONFIG_MAX_BYTES : CONFIG_MAX_DUMP;
	if (!config_source_grow((void **)&s->frames, 0, &s->frames_cap, sizeof *s->frames))
		return ERR_NOMEM;
	s->frames[s->nframes++] = (struct config_frame){0};
	return ERR_OK;
}

enum err config_source_load(struct config_source *s, struct config_arena *names, const char *path,
			    struct errmsg *e)
{
	enum err err = start(s, names, CONFIG_EXPAND, e);

	return err == ERR_OK ? load_path(s, SIZE_MAX, path, 0) : err;
}

enum err config_source_load_fd(struct config_source *s, struct config_arena *names, int fd,
			       const char *path, struct errmsg *e)
{
	enum err err = start(s, names, CONFIG_LITERAL, e);

	return err == ERR_OK ? load_fd(s, fd, path, 0) : err;
}

void config_source_done(struct config_source *s)
{
	config_arena_done(&s->text);
	free(s->files);
	free(s->tokens);
	free(s->frames);
	*s = (struct config_source){0};
}

#include "common/config.h"

#include <stdlib.h>

#include "common/config_build.h"

/* What a struct config * of ours points into. */
struct config_generation {
	struct config config; /* first */
	struct config_arena arena;
};

static enum err finish(struct config_generation *g, const struct config_source *s, enum err err,
		       struct errmsg *e)
{
	struct config_build b = {.c = &g->config, .arena = &g->arena, .source = s, .e = e};

	if (err == ERR_OK)
		err = config_build(&b);
	if (err == ERR_OK)
		err = config_default_hosts(&b);
	if (err == ERR_OK)
		err = config_check(&b);
	return err;
}

static enum err load(int fd, const char *path, struct config **ret, struct errmsg *e)
{
	struct config_generation *g = calloc(1, sizeof *g);
	struct config_source s = {0};
	struct config *c;
	enum err err;

	if (g == NULL)
		return errmsg_set(e, ERR_CONFIG, "%s:1: file: out of memory", path);
	c = &g->config;
	err = config_copy(&g->arena, sv_str(path), &c->path);
	if (err == ERR_OK)
		err = fd == -1 ? config_source_load(&s, &g->arena, path, e)
			       : config_source_load_fd(&s, &g->arena, fd, path, e);
	err = finish(g, &s, err, e);
	config_source_done(&s);
	if (err == ERR_OK) {
		*ret = c;
		return ERR_OK;
	}
	config_free(&c);
	/* Only allocations fail without a sentence. */
	return err == ERR_CONFIG ? err
				 : errmsg_set(e, ERR_CONFIG, "%s:1: file: %s", path, err_text(err));
}

enum err config_load(const char *path, struct config **ret, struct errmsg *e)
{
	return load(-1, path, ret, e);
}

enum err config_load_fd(int fd, const char *path, struct config **ret, struct errmsg *e)
{
	return load(fd, path, ret, e);
}

void config_free(struct config **c)
{
	struct config_generation *g = (void *)*c;

	if (g == NULL)
		return;
	config_arena_done(&g->arena);
	free(g);
	*c = NULL;
}

enum err config_secret_path(struct sv setting, char *out, size_t out_len)
{
	struct sv prefix = SV("credential:");
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	int n;

	if (sv_starts(setting, prefix))
		n = snprintf(out, out_len, "%s/" SV_FMT, dir == NULL ? "/run/secrets" : dir,
			     SV_ARG(sv_cut(setting, prefix.n, setting.n)));
	else
		n = snprintf(out, out_len, SV_FMT, SV_ARG(setting));
	return n < 0 || (size_t)n >= out_len ? ERR_LIMIT : ERR_OK;
}

const struct config_app *config_app(const struct config *c, struct sv name)
{
	for (size_t i = 0; i < c->napps; i++)
		if (sv_eq(c->apps[i].name, name))
			return &c->apps[i];
	return NULL;
}

const struct config_service *config_service(const struct config *c, struct sv name)
{
	for (size_t i = 0; i < c->nservices; i++)
		if (sv_eq(c->services[i].name, name))
			return &c->services[i];
	return NULL;
}

const struct config_provider *config_provider(const struct config *c, struct sv name)
{
	for (size_t i = 0; i < c->nproviders; i++)
		if (sv_eq(c->providers[i].name, name))
			return &c->providers[i];
	return NULL;
}

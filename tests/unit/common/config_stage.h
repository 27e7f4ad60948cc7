/*
 * config_stage - a configuration half-way: its tokens, and what is built of them
 *
 * For tests of the parts of config. The text comes as a file "f" whose place in messages is
 * "f:LINE"; stage_build() goes as far as config_build(), without the rules between options.
 */
#ifndef BFF_TESTS_CONFIG_STAGE_H
#define BFF_TESTS_CONFIG_STAGE_H

#include "common/config_build.h"
#include "tests/unit/unit.h"

struct stage {
	struct config config;
	struct config_arena arena;
	struct config_source source;
	struct errmsg e;
	struct config_build b;
};

/* The tokens of the text. */
static inline enum err stage_lex(struct stage *s, const char *text, size_t n,
				 enum config_expand mode)
{
	struct config_source *x = &s->source;
	struct sv name;

	*s = (struct stage){0};
	*x = (struct config_source){.arena = &s->arena, .expand = mode, .e = &s->e};
	if (config_copy(&s->arena, SV("f"), &name) != ERR_OK ||
	    !config_source_grow((void **)&x->frames, 0, &x->frames_cap, sizeof *x->frames) ||
	    !config_source_grow((void **)&x->files, 0, &x->files_cap, sizeof *x->files))
		return ERR_NOMEM;
	x->frames[x->nframes++] = (struct config_frame){0};
	x->files[x->nfiles++] = name.p;
	return config_lex(x, 0, sv_of(text, n), 0);
}

static inline enum err stage_build(struct stage *s, const char *text)
{
	enum err err = stage_lex(s, text, strlen(text), CONFIG_EXPAND);

	s->config.path = SV("f");
	s->b = (struct config_build){
	    .c = &s->config, .arena = &s->arena, .source = &s->source, .e = &s->e};
	return err == ERR_OK ? config_build(&s->b) : err;
}

static inline void stage_done(struct stage *s)
{
	config_source_done(&s->source);
	config_arena_done(&s->arena);
}

#endif

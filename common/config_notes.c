#include "common/config_build.h"

struct notes {
	struct config_build *b;
	struct sv *v;
	size_t n, cap;
	enum err err;
};

static void note(struct notes *x, enum config_option_id id, size_t i, const char *text)
{
	struct config_place p = config_build_place(x->b, id, i);
	struct sv *grown;
	char line[ERRMSG_MAX];
	int n = snprintf(line, sizeof line, "%s:%u: %s: %s", p.file, p.line,
			 config_options[id].name, text);

	if (x->err != ERR_OK)
		return;
	if (x->n == x->cap) {
		x->cap = x->cap == 0 ? 16 : x->cap * 2;
		grown = config_alloc_array(x->b->arena, x->cap, sizeof *grown);
		if (grown == NULL) {
			x->err = ERR_NOMEM;
			return;
		}
		if (x->n > 0)
			memcpy(grown, x->v, x->n * sizeof *grown);
		x->v = grown;
	}
	if ((size_t)n >= sizeof line)
		n = (int)sizeof line - 1;
	x->err = config_copy(x->b->arena, sv_of(line, (size_t)n), &x->v[x->n]);
	x->n += x->err == ERR_OK;
}

static void note_apps(struct notes *x)
{
	const struct config *c = x->b->c;

	for (size_t i = 0; i < c->napps; i++) {
		if (c->apps[i].pages.n > 0)
			note(x, CONFIG_OPT_app_pages, i,
			     "is not built yet: the built-in pages are shown");
	}
}

enum err config_notes(struct config_build *b)
{
	struct notes x = {.b = b};

	note_apps(&x);
	b->c->notes = (struct config_list){x.v, x.n};
	return x.err;
}

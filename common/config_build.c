#include "common/config_build.h"

#include <confuse.h>
#include <stdlib.h>

#include "common/config_value.h"
#include "common/contract.h"

static_assert(CONFIG_MAX_LISTENS == CONTRACT_LISTEN_MAX, "the master hands every one of them on");

/* The option table as libconfuse wants it. Every option is a string there: its own integers read
 * 010 as 8 and its defaults cannot tell an empty list from an absent one. */
struct schema {
	cfg_opt_t root[CONFIG_SECTIONS + 1];
	cfg_opt_t sub[CONFIG_SECTIONS][CONFIG_MAX_OPTIONS + 2];
};

/* Where the error function, which libconfuse gives no argument of ours, leaves its sentence. Rule
 * Zero: mutable and file-static, set only while cfg_parse_buf() runs. */
static struct {
	const struct config_source *source;
	bool said;
} parsing;

static const char *option_at(const struct config_source *s, size_t token)
{
	for (size_t i = token < s->ntokens ? token + 1 : s->ntokens; i-- > 0;)
		if (s->tokens[i].is_name)
			return s->tokens[i].text.p;
	return "file";
}

static void say_unknown(cfg_t *cfg, size_t token)
{
	char text[768];
	size_t n = 0;

	for (const cfg_opt_t *o = cfg->opts; o->name != NULL; o++) {
		int k = snprintf(text + n, sizeof text - n, "%s%s", n == 0 ? "" : ", ", o->name);

		if (k < 0 || (size_t)k >= sizeof text - n)
			break;
		n += (size_t)k;
	}
	(void)config_source_error(parsing.source, token, option_at(parsing.source, token),
				  "unknown here; expected one of %s", text);
}

static __attribute__((format(printf, 2, 0))) void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	const struct config_source *s = parsing.source;
	size_t token = cfg->line > 0 ? (size_t)cfg->line - 1 : 0;
	char text[512];

	if (s == NULL || parsing.said)
		return;
	parsing.said = true;
	if (token < s->ntokens && s->tokens[token].is_name) {
		bool known = false;

		for (const cfg_opt_t *o = cfg->opts; o->name != NULL; o++)
			known = known || sv_eq(sv_str(o->name), s->tokens[token].text);
		if (!known) {
			say_unknown(cfg, token);
			return;
		}
	}
	(void)vsnprintf(text, sizeof text, fmt, ap); /* cut is fine: it is a sentence */
	(void)config_source_error(s, token, option_at(s, token), "%s", text);
}

/* A NESTED section stands in the TITLED one before it. */
static struct schema *schema_new(void)
{
	struct schema *x = calloc(1, sizeof *x);
	size_t n[CONFIG_SECTIONS] = {0}, nroot = 0, parent = 0;

	if (x == NULL)
		return NULL;
	for (size_t i = 0; i < CONFIG_OPTIONS; i++) {
		const struct config_option *o = &config_options[i];
		cfg_flag_t flags = CFGF_NODEFAULT | (config_option_is_list(o) ? CFGF_LIST : 0);

		x->sub[o->section][n[o->section]++] =
		    (cfg_opt_t){.name = o->name, .type = CFGT_STR, .flags = flags};
	}
	for (size_t i = 0; i < CONFIG_SECTIONS; i++) {
		const struct config_section *s = &config_sections[i];
		cfg_opt_t opt = {.name = s->name, .type = CFGT_SEC, .subopts = x->sub[i]};

		if (s->repeats != CONFIG_ONE)
			opt.flags = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES;
		if (s->repeats != CONFIG_NESTED) {
			x->root[nroot++] = opt;
			parent = i;
		} else {
			x->sub[parent][n[parent]++] = opt;
		}
	}
	return x;
}

static enum err parse(struct config_build *b, const struct schema *x, cfg_t **ret)
{
	struct buf text;
	cfg_opt_t root[CONFIG_SECTIONS + 1];
	cfg_t *cfg;
	enum err err;

	memcpy(root, x->root, sizeof root);
	buf_init(&text, CONFIG_MAX_TEXT);
	err = config_source_text(b->source, &text);
	cfg = err == ERR_OK ? cfg_init(root, CFGF_NONE) : NULL;
	if (err == ERR_OK && cfg == NULL)
		err = ERR_NOMEM;
	if (err == ERR_OK) {
		parsing.source = b->source;
		parsing.said = false;
		(void)cfg_set_error_function(cfg, on_error); /* there was none before */
		/* An error without a sentence is one of libconfuse's failed allocations. */
		if (cfg_parse_buf(cfg, text.p) != CFG_SUCCESS)
			err = parsing.said ? ERR_CONFIG : ERR_NOMEM;
		parsing.source = NULL;
	}
	buf_done(&text);
	if (err == ERR_OK)
		*ret = cfg;
	else if (cfg != NULL && err != ERR_NOMEM)
		(void)cfg_free(cfg); /* fails only for NULL */
	/* Left alone when its memory ran out: some of its pointers then are to freed sections. */
	return err;
}

/* libconfuse leaves a section's line at its closing brace, whose token knows its frame. */
static unsigned frame_of(const struct config_build *b, const cfg_t *sec)
{
	return sec->line < 1 ? CONFIG_NO_FRAME : b->source->tokens[sec->line - 1].frame;
}

static size_t frame_token(const struct config_build *b, unsigned frame)
{
	return frame == CONFIG_NO_FRAME ? SIZE_MAX : b->source->frames[frame].open;
}

static enum err build_option(struct config_build *b, const struct config_option *o, cfg_t *sec,
			     unsigned frame, char *base)
{
	cfg_opt_t *opt = cfg_getopt(sec, o->name);
	struct config_values v = {.option = o,
				  .token = SIZE_MAX,
				  .section_token = frame_token(b, frame),
				  .section = base,
				  .at = base + o->offset};
	struct sv list[CONFIG_MAX_LIST + 1];

	if (frame != CONFIG_NO_FRAME)
		v.token = config_source_option(b->source, frame, sv_str(o->name));
	v.v = list;
	if (v.token != SIZE_MAX) {
		v.n = cfg_opt_size(opt) < ARRAY_LEN(list) ? cfg_opt_size(opt) : ARRAY_LEN(list);
		for (size_t i = 0; i < v.n; i++)
			list[i] = sv_str(cfg_opt_getnstr(opt, (unsigned)i));
	} else if (o->def != NULL && o->def[0] != '\0') {
		v.n = 1;
		list[0] = sv_str(o->def);
	}
	return config_convert(b, &v);
}

/* Names stand in logs, in the database and in other options. */
static enum err build_title(struct config_build *b, enum config_section_id id, cfg_t *sec,
			    unsigned frame, struct sv *ret)
{
	struct sv title = sv_str(cfg_title(sec));
	bool free_text = id == CONFIG_SECTION_require, ok = title.n > 0;

	if (id == CONFIG_SECTION_header)
		ok = config_is_token(title) && title.n <= CONFIG_NAME_MAX;
	else if (free_text)
		ok = ok && title.n <= CONFIG_MAX_TITLE;
	else
		ok = ok && title.n <= CONFIG_NAME_MAX;
	for (size_t i = 0; i < title.n && id != CONFIG_SECTION_header; i++) {
		char c = title.p[i];

		ok = ok && (free_text ? c >= 0x20 && c != 0x7f
				      : sv_is_alnum(c) || c == '.' || c == '_' || c == '-');
	}
	if (ok)
		return config_copy(b->arena, title, ret);
	return config_source_error(
	    b->source, frame_token(b, frame), config_sections[id].name,
	    id == CONFIG_SECTION_header
		? "expected a title that is a header name of at most %d bytes"
	    : free_text ? "expected a title without control characters"
			: "expected a title of at most %d of A-Z a-z 0-9 . _ -",
	    CONFIG_NAME_MAX);
}

static void set_place(const struct config_build *b, unsigned frame, struct config_place *p)
{
	const struct config_token *t = &b->source->tokens[b->source->frames[frame].open];

	*p = (struct config_place){b->source->files[t->file], t->line};
}

static enum err build_section(struct config_build *b, enum config_section_id id, cfg_t *sec,
			      char *base, unsigned frame)
{
	enum err err = ERR_OK;

	/* Every repeated section's struct begins with its name. */
	if (config_sections[id].repeats != CONFIG_ONE)
		err = build_title(b, id, sec, frame, (struct sv *)(void *)base);
	for (size_t i = 0; err == ERR_OK && i < CONFIG_OPTIONS; i++)
		if (config_options[i].section == id)
			err = build_option(b, &config_options[i], sec, frame, base);
	return err;
}

static enum err reserve(struct config_build *b, enum config_section_id id, size_t n)
{
	struct config_items *items = &b->items[id];

	items->v = config_alloc_array(b->arena, n, config_sections[id].size);
	items->frame = config_alloc_array(b->arena, n, sizeof *items->frame);
	return items->v == NULL || items->frame == NULL ? ERR_NOMEM : ERR_OK;
}

/* All sections `id` of one parent are appended to b->items[id]. */
static enum err build_all(struct config_build *b, enum config_section_id id, cfg_t *parent,
			  char **ret_first, size_t *ret_n)
{
	struct config_items *items = &b->items[id];
	unsigned n = cfg_size(parent, config_sections[id].name);
	enum err err = ERR_OK;

	*ret_first = items->v + items->n * config_sections[id].size;
	*ret_n = n;
	for (unsigned i = 0; err == ERR_OK && i < n; i++) {
		cfg_t *sec = cfg_getnsec(parent, config_sections[id].name, i);
		char *base = items->v + items->n * config_sections[id].size;
		unsigned frame = frame_of(b, sec);

		items->frame[items->n++] = frame;
		err = build_section(b, id, sec, base, frame);
	}
	return err;
}

/* The sections `child` in each of the sections `id`. */
static enum err build_nested(struct config_build *b, cfg_t *root, enum config_section_id id,
			     enum config_section_id child)
{
	const char *name = config_sections[id].name;
	size_t total = 0;
	enum err err;

	for (unsigned i = 0; i < cfg_size(root, name); i++)
		total += cfg_size(cfg_getnsec(root, name, i), config_sections[child].name);
	err = reserve(b, child, total);
	for (unsigned i = 0; err == ERR_OK && i < cfg_size(root, name); i++) {
		char *base = b->items[id].v + i * config_sections[id].size, *first;
		size_t n;

		err = build_all(b, child, cfg_getnsec(root, name, i), &first, &n);
		if (id == CONFIG_SECTION_identity) {
			struct config_identity *x = (void *)base;

			x->headers = (const void *)first;
			x->nheaders = n;
		} else {
			struct config_route *x = (void *)base;

			x->requires = (const void *)first;
			x->nrequires = n;
		}
	}
	return err;
}

static const struct {
	enum config_section_id id;
	size_t list, n, place; /* offsets in struct config, and in the section's struct */
	size_t max;
} repeated[] = {
#define REPEATED(id, type, member, limit)                                                          \
	{                                                                                          \
		CONFIG_SECTION_##id, offsetof(struct config, member),                              \
		    offsetof(struct config, n##member), offsetof(struct type, place), limit        \
	}
    REPEATED(listen, config_listen, listens, CONFIG_MAX_LISTENS),
    REPEATED(provider, config_provider, providers, CONFIG_MAX_PROVIDERS),
    REPEATED(app, config_app, apps, CONFIG_MAX_APPS),
    REPEATED(identity, config_identity, identities, CONFIG_MAX_IDENTITIES),
    REPEATED(service, config_service, services, CONFIG_MAX_SERVICES),
    REPEATED(route, config_route, routes, CONFIG_MAX_ROUTES),
#undef REPEATED
};

static enum err build_repeated(struct config_build *b, cfg_t *root, size_t r)
{
	enum config_section_id id = repeated[r].id;
	const char *name = config_sections[id].name;
	char *config = (char *)b->c, *first = NULL;
	size_t n = cfg_size(root, name);
	enum err err;

	if (n > repeated[r].max)
		return config_source_error(
		    b->source,
		    frame_token(b, frame_of(b, cfg_getnsec(root, name, (unsigned)repeated[r].max))),
		    name, "expected at most %zu sections of this kind", repeated[r].max);
	err = reserve(b, id, n);
	if (err == ERR_OK)
		err = build_all(b, id, root, &first, &n);
	for (size_t i = 0; err == ERR_OK && i < n; i++)
		set_place(b, b->items[id].frame[i],
			  (void *)(first + i * config_sections[id].size + repeated[r].place));
	*(const void **)(void *)(config + repeated[r].list) = first;
	*(size_t *)(void *)(config + repeated[r].n) = n;
	return err;
}

static enum err build(struct config_build *b, cfg_t *root)
{
	enum err err = ERR_OK;

	for (size_t id = 0; err == ERR_OK && id < CONFIG_SECTIONS; id++) {
		cfg_t *sec;

		if (config_sections[id].repeats != CONFIG_ONE)
			continue;
		err = reserve(b, (enum config_section_id)id, 1);
		if (err != ERR_OK)
			return err;
		sec = cfg_getsec(root, config_sections[id].name);
		b->items[id].n = 1;
		b->items[id].frame[0] = frame_of(b, sec);
		err = build_section(b, (enum config_section_id)id, sec, (char *)b->c,
				    b->items[id].frame[0]);
	}
	for (size_t r = 0; err == ERR_OK && r < ARRAY_LEN(repeated); r++)
		err = build_repeated(b, root, r);
	if (err == ERR_OK)
		err = build_nested(b, root, CONFIG_SECTION_identity, CONFIG_SECTION_header);
	if (err == ERR_OK)
		err = build_nested(b, root, CONFIG_SECTION_route, CONFIG_SECTION_require);
	return err;
}

enum err config_build(struct config_build *b)
{
	struct schema *x = schema_new();
	cfg_t *root = NULL;
	enum err err;

	if (x == NULL)
		return ERR_NOMEM;
	err = parse(b, x, &root);
	if (err == ERR_OK) {
		err = build(b, root);
		(void)cfg_free(root); /* fails only for NULL */
	}
	free(x);
	return err;
}

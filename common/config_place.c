#include "common/config_build.h"

/* The token of the option, or of its section where it is not written. */
static size_t token_of(const struct config_build *b, enum config_option_id id, size_t i)
{
	const struct config_items *items = &b->items[config_options[id].section];
	unsigned frame = i < items->n ? items->frame[i] : CONFIG_NO_FRAME;
	size_t token;

	if (frame == CONFIG_NO_FRAME)
		return SIZE_MAX;
	token = config_source_option(b->source, frame, sv_str(config_options[id].name));
	return token != SIZE_MAX ? token : b->source->frames[frame].open;
}

enum err config_build_error(const struct config_build *b, enum config_option_id id, size_t i,
			    const char *fmt, ...)
{
	char text[ERRMSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap); /* cut is fine: it is a sentence */
	va_end(ap);
	return config_source_error(b->source, token_of(b, id, i), config_options[id].name, "%s",
				   text);
}

enum err config_default_hosts(struct config_build *b)
{
	struct config_route *routes = (void *)b->items[CONFIG_SECTION_route].v;

	for (size_t r = 0; r < b->c->nroutes; r++) {
		const struct config_origins *origins = &routes[r].app->origins;
		struct sv *list;
		size_t n = 0;

		if (routes[r].hosts.n > 0)
			continue;
		list = config_alloc_array(b->arena, origins->n, sizeof *list);
		if (list == NULL)
			return ERR_NOMEM;
		for (size_t i = 0; i < origins->n; i++) {
			bool seen = false;

			for (size_t k = 0; k < n; k++)
				seen = seen || sv_eq(list[k], origins->v[i].host);
			if (!seen)
				list[n++] = origins->v[i].host;
		}
		routes[r].hosts = (struct config_list){list, n};
	}
	return ERR_OK;
}

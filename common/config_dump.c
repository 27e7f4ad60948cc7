#include "common/config_table.h"
#include "common/config_value.h"

/* In double quotes, so that every reader of ours gives the same bytes again. */
static void print_string(FILE *out, struct sv s)
{
	(void)fputc('"', out); /* config_dump() asks ferror() once, at the end */
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c == 0x7f)
			(void)fprintf(out, "\\x%02x", c);
		else
			(void)fprintf(out, "%s%c", strchr("\"\\$", c) != NULL ? "\\" : "", c);
	}
	(void)fputc('"', out);
}

static void print_list(FILE *out, const struct config_list *list)
{
	(void)fputc('{', out);
	for (size_t i = 0; i < list->n; i++) {
		(void)fputs(i == 0 ? "" : ", ", out);
		print_string(out, list->v[i]);
	}
	(void)fputc('}', out);
}

static void print_origins(FILE *out, const struct config_origins *list)
{
	(void)fputc('{', out);
	for (size_t i = 0; i < list->n; i++) {
		(void)fputs(i == 0 ? "" : ", ", out);
		print_string(out, list->v[i].text);
	}
	(void)fputc('}', out);
}

static void print_cidrs(FILE *out, const struct config_listen *l)
{
	char text[CONFIG_CIDR_TEXT];

	(void)fputc('{', out);
	for (size_t i = 0; i < l->ntrusted_peers; i++) {
		config_format_cidr(&l->trusted_peers[i], text);
		(void)fprintf(out, "%s\"%s\"", i == 0 ? "" : ", ", text);
	}
	(void)fputc('}', out);
}

static void print_mask(FILE *out, const struct config_word *w, unsigned mask)
{
	const char *separator = "";

	(void)fputc('{', out);
	for (; w->name != NULL; w++)
		if ((mask & (unsigned)w->value) != 0) {
			(void)fprintf(out, "%s%s", separator, w->name);
			separator = ", ";
		}
	(void)fputc('}', out);
}

static void print_reference(FILE *out, const void *item)
{
	print_string(out, item == NULL ? SV("") : *(const struct sv *)item);
}

static void print_rule(FILE *out, const struct config_option *o, const struct config_require *r)
{
	if (o->kind == CONFIG_RULE)
		print_string(out, r->values.v[0]);
	else
		print_list(out, &r->values);
}

static void print_unit(FILE *out, const struct config_option *o, const void *at)
{
	char text[CONFIG_UNIT_TEXT];

	if (o->kind == CONFIG_DURATION)
		config_format_duration(*(const int64_t *)at, text);
	else
		config_format_size(*(const size_t *)at, text);
	(void)fprintf(out, "\"%s\"", text);
}

static void print_value(FILE *out, const struct config_option *o, const char *section)
{
	const void *at = section + o->offset;

	switch (o->kind) {
	case CONFIG_STRING:
	case CONFIG_SECRET:
	case CONFIG_PATH:
	case CONFIG_ADDRESS:
		print_string(out, *(const struct sv *)at);
		break;
	case CONFIG_BOOL:
		(void)fputs(*(const bool *)at ? "yes" : "no", out);
		break;
	case CONFIG_SWITCH:
		(void)fputs(config_word_name(o->words, *(const bool *)at), out);
		break;
	case CONFIG_COUNT:
		(void)fprintf(out, "%u", *(const unsigned *)at);
		break;
	case CONFIG_BYTES:
		(void)fprintf(out, "%zu", *(const size_t *)at);
		break;
	case CONFIG_SIZE:
	case CONFIG_DURATION:
		print_unit(out, o, at);
		break;
	case CONFIG_WORD:
		(void)fputs(config_word_name(o->words, *(const int *)at), out);
		break;
	case CONFIG_MASK:
		print_mask(out, o->words, *(const unsigned *)at);
		break;
	case CONFIG_LIST:
	case CONFIG_HOSTS:
		print_list(out, at);
		break;
	case CONFIG_ORIGIN:
		print_string(out, ((const struct config_origin *)at)->text);
		break;
	case CONFIG_ORIGINS:
		print_origins(out, at);
		break;
	case CONFIG_CIDRS:
		print_cidrs(out, (const void *)section);
		break;
	case CONFIG_PROVIDER:
	case CONFIG_APP:
	case CONFIG_SERVICE:
	case CONFIG_IDENTITY:
		print_reference(out, *(const void *const *)at);
		break;
	case CONFIG_RULE:
	case CONFIG_RULES:
		print_rule(out, o, (const void *)section);
		break;
	}
}

static void print_options(FILE *out, enum config_section_id id, const char *section,
			  const char *indent)
{
	for (size_t i = 0; i < CONFIG_OPTIONS; i++) {
		const struct config_option *o = &config_options[i];

		if (o->section != id)
			continue;
		if ((o->kind == CONFIG_RULE || o->kind == CONFIG_RULES) &&
		    ((const struct config_require *)(const void *)section)->op !=
			config_require_op((enum config_option_id)i))
			continue;
		(void)fprintf(out, "%s%s = ", indent, o->name);
		print_value(out, o, section);
		(void)fputc('\n', out);
	}
}

static void print_section(FILE *out, enum config_section_id id, const char *section, bool titled)
{
	(void)fputs(config_sections[id].name, out);
	if (titled) {
		(void)fputc(' ', out);
		print_string(out, *(const struct sv *)(const void *)section);
	}
	(void)fputs(" {\n", out);
	print_options(out, id, section, "    ");
}

static void print_nested(FILE *out, enum config_section_id id, const void *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *section = (const char *)items + i * config_sections[id].size;

		(void)fprintf(out, "    %s ", config_sections[id].name);
		print_string(out, *(const struct sv *)(const void *)section);
		(void)fputs(" {\n", out);
		print_options(out, id, section, "        ");
		(void)fputs("    }\n", out);
	}
}

static void print_repeated(FILE *out, enum config_section_id id, const void *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *section = (const char *)items + i * config_sections[id].size;

		print_section(out, id, section, true);
		if (id == CONFIG_SECTION_identity) {
			const struct config_identity *x = (const void *)section;

			print_nested(out, CONFIG_SECTION_header, x->headers, x->nheaders);
		} else if (id == CONFIG_SECTION_route) {
			const struct config_route *x = (const void *)section;

			print_nested(out, CONFIG_SECTION_require, x->requires, x->nrequires);
		}
		(void)fputs("}\n", out);
	}
}

enum err config_dump(const struct config *c, enum config_print what, FILE *out)
{
	bool all = what == CONFIG_PRINT_ALL;

	for (size_t id = 0; id < CONFIG_SECTIONS; id++)
		if (all && config_sections[id].repeats == CONFIG_ONE) {
			print_section(out, (enum config_section_id)id, (const char *)c, false);
			(void)fputs("}\n", out);
		}
	if (all)
		print_repeated(out, CONFIG_SECTION_listen, c->listens, c->nlistens);
	print_repeated(out, CONFIG_SECTION_provider, c->providers, c->nproviders);
	print_repeated(out, CONFIG_SECTION_app, c->apps, c->napps);
	if (all)
		print_repeated(out, CONFIG_SECTION_identity, c->identities, c->nidentities);
	print_repeated(out, CONFIG_SECTION_service, c->services, c->nservices);
	print_repeated(out, CONFIG_SECTION_route, c->routes, c->nroutes);
	return ferror(out) != 0 || fflush(out) == EOF ? ERR_IO : ERR_OK;
}

#include <assert.h>

#include "common/config_build.h"
#include "common/config_value.h"

static_assert(offsetof(struct config_provider, name) == 0, "references print a name");
static_assert(offsetof(struct config_app, name) == 0, "references print a name");
static_assert(offsetof(struct config_service, name) == 0, "references print a name");
static_assert(offsetof(struct config_identity, name) == 0, "references print a name");

/* The sentence about the i-th value. */
__attribute__((format(printf, 4, 5))) static enum err
fail(const struct config_build *b, const struct config_values *v, size_t i, const char *fmt, ...)
{
	size_t token =
	    v->token == SIZE_MAX ? v->section_token : config_source_value(b->source, v->token, i);
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap); /* cut is fine: it is a sentence */
	va_end(ap);
	return config_source_error(b->source, token, v->option->name, "%s", text);
}

static struct sv words_text(const struct config_word *w, char *out, size_t cap)
{
	size_t n = 0;

	for (; w->name != NULL; w++) {
		int k = snprintf(out + n, cap - n, "%s%s", n == 0 ? "" : ", ", w->name);

		if (k < 0 || (size_t)k >= cap - n)
			break;
		n += (size_t)k;
	}
	return sv_of(out, n);
}

static enum err convert_word(struct config_build *b, const struct config_values *v, size_t i,
			     int *ret)
{
	char text[256];

	if (config_word_value(v->option->words, v->v[i], ret))
		return ERR_OK;
	return fail(b, v, i, "expected one of " SV_FMT,
		    SV_ARG(words_text(v->option->words, text, sizeof text)));
}

static enum err convert_number(struct config_build *b, const struct config_values *v, uint64_t *ret)
{
	const struct config_option *o = v->option;
	char from[CONFIG_UNIT_TEXT], to[CONFIG_UNIT_TEXT];
	const char *what = "number without a leading zero";
	enum err err;

	if (o->kind == CONFIG_DURATION) {
		int64_t ms;

		what = "duration with its unit (500ms, 5s, 15m, 2h, 1d)";
		err = config_parse_duration(v->v[0], &ms);
		*ret = err == ERR_OK ? (uint64_t)ms : 0;
		config_format_duration(o->min, from);
		config_format_duration(o->max, to);
	} else if (o->kind == CONFIG_SIZE) {
		what = "size with its unit (512B, 32KiB, 1MiB)";
		err = config_parse_size(v->v[0], ret);
		config_format_size((size_t)o->min, from);
		config_format_size((size_t)o->max, to);
	} else {
		err = config_parse_count(v->v[0], ret);
		(void)snprintf(from, sizeof from, "%lld", (long long)o->min); /* 20 digits fit */
		(void)snprintf(to, sizeof to, "%lld", (long long)o->max);
	}
	if (err == ERR_OK && *ret >= (uint64_t)o->min && *ret <= (uint64_t)o->max)
		return ERR_OK;
	return fail(b, v, 0, "expected a %s from %s to %s", what, from, to);
}

static enum err convert_list(struct config_build *b, const struct config_values *v,
			     struct config_list *ret)
{
	struct sv *list = config_alloc_array(b->arena, v->n, sizeof *list);
	char host[CONFIG_HOST_MAX + 1];

	if (list == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < v->n; i++) {
		struct sv s = v->v[i];

		if (s.n == 0)
			return fail(b, v, i, "expected no empty value");
		if (v->option->kind == CONFIG_HOSTS) {
			if (config_parse_host(s, host, &s.n) != ERR_OK)
				return fail(b, v, i, "expected a host name without port");
			s.p = host;
		}
		if (config_copy(b->arena, s, &list[i]) != ERR_OK)
			return ERR_NOMEM;
		for (size_t k = 0; k < i; k++)
			if (sv_eq(list[k], list[i]))
				return fail(b, v, i, "expected each value once");
	}
	*ret = (struct config_list){list, v->n};
	return ERR_OK;
}

static enum err convert_origin(struct config_build *b, const struct config_values *v, size_t i,
			       struct config_origin *ret)
{
	char *text = config_alloc(b->arena, CONFIG_ORIGIN_TEXT);

	if (text == NULL)
		return ERR_NOMEM;
	if (config_parse_origin(v->v[i], text, ret) != ERR_OK)
		return fail(b, v, i,
			    "expected an origin such as https://app.example.com or "
			    "https://app.example.com:8443, without path");
	return ERR_OK;
}

static enum err convert_origins(struct config_build *b, const struct config_values *v,
				struct config_origins *ret)
{
	struct config_origin *list = config_alloc_array(b->arena, v->n, sizeof *list);

	if (list == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < v->n; i++) {
		enum err err = convert_origin(b, v, i, &list[i]);

		if (err != ERR_OK)
			return err;
		for (size_t k = 0; k < i; k++)
			if (sv_eq(list[k].text, list[i].text))
				return fail(b, v, i, "expected each origin once");
	}
	*ret = (struct config_origins){list, v->n};
	return ERR_OK;
}

static enum err convert_cidrs(struct config_build *b, const struct config_values *v)
{
	struct config_cidr *list = config_alloc_array(b->arena, v->n, sizeof *list);
	struct config_listen *listen = (void *)v->section;

	if (list == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < v->n; i++)
		if (config_parse_cidr(v->v[i], &list[i]) != ERR_OK)
			return fail(b, v, i,
				    "expected a network such as 10.20.0.0/28 or 2001:db8::/64, "
				    "with no bits set beyond the prefix");
	listen->trusted_peers = list;
	listen->ntrusted_peers = v->n;
	return ERR_OK;
}

static enum err convert_reference(struct config_build *b, const struct config_values *v,
				  enum config_section_id to, const void **ret)
{
	const struct config_items *items = &b->items[to];

	if (v->v[0].n == 0)
		return ERR_OK;
	for (size_t i = 0; i < items->n; i++) {
		const void *item = items->v + i * config_sections[to].size;

		if (sv_eq(*(const struct sv *)item, v->v[0])) {
			*ret = item;
			return ERR_OK;
		}
	}
	return fail(b, v, 0, "expected the name of a section `%s`, there is no \"" SV_FMT "\"",
		    config_sections[to].name, SV_ARG(v->v[0]));
}

static enum err convert_string(struct config_build *b, const struct config_values *v,
			       struct sv *ret)
{
	struct sv s = v->n == 0 ? SV("") : v->v[0];

	if (s.n == 0)
		return config_copy(b->arena, s, ret);
	switch ((int)v->option->kind) {
	case CONFIG_SECRET:
		if (!config_is_secret_path(s))
			return fail(b, v, 0,
				    "expected credential:NAME or an absolute path: secrets stand "
				    "in files, never here");
		break;
	case CONFIG_PATH:
		if (s.p[0] != '/')
			return fail(b, v, 0, "expected an absolute path");
		break;
	case CONFIG_ADDRESS:
		if (config_parse_address(s) != ERR_OK)
			return fail(b, v, 0,
				    "expected address and port such as 127.0.0.1:7080 or "
				    "[::1]:7080, or unix:/run/bff/verify.sock (a path of at most "
				    "%d bytes)",
				    CONFIG_UNIX_PATH_MAX);
		break;
	}
	return config_copy(b->arena, s, ret);
}

/* A `require` has exactly one rule, spelled by the option's name. */
static enum err convert_rule(struct config_build *b, const struct config_values *v)
{
	struct config_require *r = (void *)v->section;

	if (v->token == SIZE_MAX)
		return ERR_OK;
	if (r->op != 0)
		return fail(b, v, 0, "expected one rule in a require, it has another");
	if (v->n == 0)
		return fail(b, v, 0, "expected at least one value");
	r->op = config_require_op((enum config_option_id)(v->option - config_options));
	return convert_list(b, v, &r->values);
}

static enum err convert_scalar(struct config_build *b, const struct config_values *v)
{
	uint64_t number = 0;
	unsigned mask = 0;
	int word = 0;
	bool yes = false;
	enum err err = ERR_OK;

	switch (v->option->kind) {
	case CONFIG_BOOL:
		if (config_parse_bool(v->v[0], &yes) != ERR_OK)
			return fail(b, v, 0, "expected yes, no, on, off, true or false");
		*(bool *)(void *)v->at = yes;
		break;
	case CONFIG_SWITCH:
		err = convert_word(b, v, 0, &word);
		*(bool *)(void *)v->at = word == 1;
		break;
	case CONFIG_WORD:
		/* Every enum of config.h is as wide as an int. */
		err = convert_word(b, v, 0, (int *)(void *)v->at);
		break;
	case CONFIG_MASK:
		for (size_t i = 0; err == ERR_OK && i < v->n; i++) {
			err = convert_word(b, v, i, &word);
			mask |= (unsigned)word;
		}
		*(unsigned *)(void *)v->at = mask;
		break;
	case CONFIG_COUNT:
		err = convert_number(b, v, &number);
		*(unsigned *)(void *)v->at = (unsigned)number;
		break;
	case CONFIG_BYTES:
	case CONFIG_SIZE:
		err = convert_number(b, v, &number);
		*(size_t *)(void *)v->at = (size_t)number;
		break;
	case CONFIG_DURATION:
		err = convert_number(b, v, &number);
		*(int64_t *)(void *)v->at = (int64_t)number;
		break;
	default: /* the others are config_convert()'s */
		break;
	}
	return err;
}

static enum err check_text(struct config_build *b, const struct config_values *v)
{
	const struct config_option *o = v->option;

	if (v->n > CONFIG_MAX_LIST)
		return fail(b, v, 0, "expected at most %d values", CONFIG_MAX_LIST);
	if (o->def == NULL && (v->n == 0 || v->v[0].n == 0))
		return fail(b, v, 0, "expected a value: %s", o->text);
	for (size_t i = 0; i < v->n; i++)
		if (o->words == NULL && o->min == 0 && o->max != 0 && o->kind != CONFIG_DURATION &&
		    o->kind != CONFIG_COUNT && v->v[i].n > (size_t)o->max)
			return fail(b, v, i, "expected at most %lld bytes", (long long)o->max);
	return ERR_OK;
}

enum err config_convert(struct config_build *b, const struct config_values *v)
{
	void *at = v->at;
	enum err err = check_text(b, v);

	if (err != ERR_OK)
		return err;
	switch (v->option->kind) {
	case CONFIG_STRING:
	case CONFIG_SECRET:
	case CONFIG_PATH:
	case CONFIG_ADDRESS:
		return convert_string(b, v, at);
	case CONFIG_LIST:
	case CONFIG_HOSTS:
		return convert_list(b, v, at);
	case CONFIG_ORIGIN:
		return v->n == 0 || v->v[0].n == 0 ? ERR_OK : convert_origin(b, v, 0, at);
	case CONFIG_ORIGINS:
		return convert_origins(b, v, at);
	case CONFIG_CIDRS:
		return convert_cidrs(b, v);
	case CONFIG_PROVIDER:
		return convert_reference(b, v, CONFIG_SECTION_provider, at);
	case CONFIG_APP:
		return convert_reference(b, v, CONFIG_SECTION_app, at);
	case CONFIG_SERVICE:
		return v->n == 0 ? ERR_OK : convert_reference(b, v, CONFIG_SECTION_service, at);
	case CONFIG_IDENTITY:
		return v->n == 0 ? ERR_OK : convert_reference(b, v, CONFIG_SECTION_identity, at);
	case CONFIG_RULE:
	case CONFIG_RULES:
		return convert_rule(b, v);
	case CONFIG_BOOL:
	case CONFIG_SWITCH:
	case CONFIG_COUNT:
	case CONFIG_BYTES:
	case CONFIG_SIZE:
	case CONFIG_DURATION:
	case CONFIG_WORD:
	case CONFIG_MASK:
		return v->n == 0 && v->option->kind != CONFIG_MASK
			   ? fail(b, v, 0, "expected a value")
			   : convert_scalar(b, v);
	}
	return ERR_OK;
}

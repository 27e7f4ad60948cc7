#include "worker/form.h"

/* Decodes into out; never longer than s. */
static enum err decode(struct sv s, char *out, struct sv *ret)
{
	size_t o = 0;

	for (size_t i = 0; i < s.n; i++) {
		int c = s.p[i] == '+' ? ' ' : s.p[i];

		if (c == '%') {
			c = sv_hex_byte(s, i + 1);
			if (c == -1)
				return ERR_SYNTAX;
			i += 2;
		}
		out[o++] = (char)c;
	}
	if (sv_has_control(sv_of(out, o)))
		return ERR_SYNTAX;
	*ret = sv_of(out, o);
	return ERR_OK;
}

static enum err take(struct sv pair, struct form_field *fields, size_t n, char *out, size_t *used)
{
	size_t eq = sv_find(pair, '=');
	struct sv name, value = sv_cut(pair, eq + 1, pair.n);

	/* A name is decoded, too: "%63ode" is a second "code", and must count as one. */
	if (decode(sv_cut(pair, 0, eq), out, &name) != ERR_OK)
		return ERR_SYNTAX;
	for (size_t i = 0; i < n; i++) {
		if (!sv_eq(name, fields[i].name))
			continue;
		if (fields[i].value.p != NULL)
			return ERR_EXISTS;
		if (decode(value, out, &fields[i].value) != ERR_OK)
			return ERR_SYNTAX;
		*used = fields[i].value.n;
		return ERR_OK;
	}
	*used = 0;
	return ERR_OK;
}

enum err form_parse(struct sv text, struct form_field *fields, size_t n, char *scratch)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
		fields[i].value = SV_NONE;
	while (text.n > 0) {
		size_t end = sv_find(text, '&'), used = 0;
		enum err e = take(sv_cut(text, 0, end), fields, n, scratch + at, &used);

		if (e != ERR_OK)
			return e;
		at += used;
		text = sv_cut(text, end + 1, text.n);
	}
	return ERR_OK;
}

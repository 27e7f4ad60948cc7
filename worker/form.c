#include "worker/form.h"

static int hex(char c)
{
	char low = sv_lower_char(c);

	if (c >= '0' && c <= '9')
		return c - '0';
	return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* Decodes into out; never longer than s. */
static enum err decode(struct sv s, char *out, struct sv *ret)
{
	size_t o = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			int high = s.n - i > 2 ? hex(s.p[i + 1]) : -1;
			int low = s.n - i > 2 ? hex(s.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return ERR_SYNTAX;
			c = (unsigned char)(high * 16 + low);
			i += 2;
		}
		if (c < ' ' || c == 0x7f)
			return ERR_SYNTAX;
		out[o++] = (char)c;
	}
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

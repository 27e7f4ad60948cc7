#include "worker/http_field.h"

bool http_name_eq(struct sv a, struct sv b)
{
	return sv_eq_nocase(a, b);
}

/* Letters lower-cased, every byte but letters and digits the same separator. */
static char fold(char c)
{
	c = sv_lower_char(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
}

bool http_name_is_alias(struct sv name, struct sv of)
{
	if (name.n != of.n)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (fold(name.p[i]) != fold(of.p[i]))
			return false;
	return !http_name_eq(name, of);
}

const struct http_field *http_fields_nth(struct http_fields f, struct sv name, size_t n)
{
	for (size_t i = 0; i < f.n; i++)
		if (http_name_eq(f.v[i].name, name) && n-- == 0)
			return &f.v[i];
	return NULL;
}

enum err http_fields_one(struct http_fields f, struct sv name, struct sv *ret)
{
	const struct http_field *first = http_fields_nth(f, name, 0);

	if (first == NULL)
		return ERR_NOT_FOUND;
	if (http_fields_nth(f, name, 1) != NULL)
		return ERR_EXISTS;
	*ret = first->value;
	return ERR_OK;
}

/* Only a name with an odd separator, or one where a name of ours has an odd one, can be an
 * alias: with '-' alone in both, folding is what http_name_eq() does. */
static bool has_odd_separator(struct sv name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] != '-' && fold(name.p[i]) == '-')
			return true;
	return false;
}

const struct sv *http_fields_alias(struct http_fields f, const struct sv *names, size_t nnames)
{
	for (size_t j = 0; j < nnames; j++) {
		bool odd = has_odd_separator(names[j]);

		for (size_t i = 0; i < f.n; i++)
			if (f.v[i].name.n == names[j].n &&
			    (odd || has_odd_separator(f.v[i].name)) &&
			    http_name_is_alias(f.v[i].name, names[j]))
				return &names[j];
	}
	return NULL;
}

#include "worker/http_field.h"

/* Letters lower-cased, every byte but letters and digits the same separator. */
static char fold(char c)
{
	c = sv_lower_char(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
}

/* From the end, because so many start with the same word; most are spelt alike. */
bool http_name_folds_as_long(struct sv a, struct sv b)
{
	for (size_t i = a.n; i-- > 0;)
		if (a.p[i] != b.p[i] && fold(a.p[i]) != fold(b.p[i]))
			return false;
	return true;
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
	const struct http_field *found = NULL;

	for (size_t i = 0; i < f.n; i++) {
		if (!http_name_eq(f.v[i].name, name))
			continue;
		if (found != NULL)
			return ERR_EXISTS;
		found = &f.v[i];
	}
	if (found == NULL)
		return ERR_NOT_FOUND;
	*ret = found->value;
	return ERR_OK;
}

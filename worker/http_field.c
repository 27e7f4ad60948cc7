#include "worker/http_field.h"

bool http_name_eq(struct sv a, struct sv b)
{
	return sv_eq_nocase(a, b);
}

/* Letters lower-cased, every byte but letters and digits the same separator. */
static char fold(char c)
{
	return sv_is_alnum(c) ? sv_lower_char(c) : '-';
}

bool http_name_folds(struct sv a, struct sv b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (fold(a.p[i]) != fold(b.p[i]))
			return false;
	return true;
}

/* Lengths and last letters tell most names apart. */
static bool may_be(struct sv a, struct sv b)
{
	return a.n == b.n && (a.n == 0 || ((a.p[a.n - 1] ^ b.p[b.n - 1]) & ~0x20) == 0);
}

const struct http_field *http_fields_nth(struct http_fields f, struct sv name, size_t n)
{
	for (size_t i = 0; i < f.n; i++)
		if (may_be(f.v[i].name, name) && http_name_eq(f.v[i].name, name) && n-- == 0)
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

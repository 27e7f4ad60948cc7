#include "worker/http_field.h"

#include <assert.h>

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

static const struct sv names[] = {
#define HTTP_NAME(id, name, rule) [HTTP_##id] = SV_INIT(name),
#include "worker/http_name.def"
#undef HTTP_NAME
};

static_assert(HTTP_NAMES_END <= 64, "a bit each");

enum http_name http_name_known(struct sv name)
{
	for (enum http_name k = HTTP_OTHER + 1; k < HTTP_NAMES_END && names[k].n <= name.n; k++)
		if (http_name_folds(names[k], name))
			return k;
	return HTTP_OTHER;
}

struct http_fields http_fields_of(struct http_field *v, size_t n)
{
	struct http_fields f = {.v = v, .n = n};

	for (size_t i = 0; i < n; i++) {
		v[i].known = http_name_known(v[i].name);
		v[i].alias =
		    v[i].known != HTTP_OTHER && !http_name_eq(v[i].name, names[v[i].known]);
		f.names |= UINT64_C(1) << v[i].known;
	}
	return f;
}

const struct http_field *http_fields_nth(struct http_fields f, enum http_name name, size_t n)
{
	if ((f.names >> name & 1) == 0)
		return NULL;
	for (size_t i = 0; i < f.n; i++)
		if (f.v[i].known == name && !f.v[i].alias && n-- == 0)
			return &f.v[i];
	return NULL;
}

enum err http_fields_one(struct http_fields f, enum http_name name, struct sv *ret)
{
	const struct http_field *first = http_fields_nth(f, name, 0);

	if (first == NULL)
		return ERR_NOT_FOUND;
	if (http_fields_nth(f, name, 1) != NULL)
		return ERR_EXISTS;
	*ret = first->value;
	return ERR_OK;
}

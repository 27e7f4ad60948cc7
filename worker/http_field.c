#include "worker/http_field.h"

#include <assert.h>
#include <limits.h>

/* Letters lower-cased, every byte but letters and digits the same separator. */
static char fold(char c)
{
	return sv_is_alnum(c) ? sv_lower_char(c) : '-';
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

static const unsigned char lengths[] = {
#define HTTP_NAME(id, name, rule) [HTTP_##id] = sizeof(name) - 1,
#include "worker/http_name.def"
#undef HTTP_NAME
};

/* Of those of its length; HTTP_NAMES_END: there is none. */
static enum http_name first_as_long(struct sv name)
{
	const unsigned char *at = name.n > UCHAR_MAX ? NULL
						     : memchr(lengths + HTTP_OTHER + 1, (int)name.n,
							      sizeof lengths - HTTP_OTHER - 1);

	return at == NULL ? HTTP_NAMES_END : (enum http_name)(at - lengths);
}

/* Most are spelt as they should be; only of the others it is asked whether they are aliases. */
static enum http_name known_as(struct sv name, bool *ret_alias)
{
	const enum http_name first = first_as_long(name);

	*ret_alias = false;
	for (enum http_name k = first; k < HTTP_NAMES_END && lengths[k] == name.n; k++)
		if (http_name_eq(names[k], name))
			return k;
	*ret_alias = true;
	for (enum http_name k = first; k < HTTP_NAMES_END && lengths[k] == name.n; k++)
		if (http_name_folds(names[k], name))
			return k;
	*ret_alias = false;
	return HTTP_OTHER;
}

enum http_name http_name_known(struct sv name)
{
	bool alias;

	return known_as(name, &alias);
}

struct http_fields http_fields_of(struct http_field *v, size_t n)
{
	struct http_fields f = {.v = v, .n = n};

	for (size_t i = 0; i < n; i++) {
		uint64_t bit;

		v[i].known = known_as(v[i].name, &v[i].alias);
		bit = v[i].known == HTTP_OTHER || v[i].alias ? 0 : UINT64_C(1) << v[i].known;
		v[i].again = (f.names & bit) != 0;
		f.twice |= f.names & bit;
		f.names |= bit;
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
	const struct http_field *only = http_fields_nth(f, name, 0);

	if (only == NULL)
		return ERR_NOT_FOUND;
	if ((f.twice >> name & 1) != 0)
		return ERR_EXISTS;
	*ret = only->value;
	return ERR_OK;
}

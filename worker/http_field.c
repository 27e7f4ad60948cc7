#include "worker/http_field.h"

#include <assert.h>

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
    [HTTP_NAMES_END] = {NULL, 0}, /* as long as none */
};

static_assert(HTTP_NAMES_END <= 64, "a bit each");

/* The first of each length; HTTP_UNJUDGED: there is none. */
static const unsigned char first_as_long[] = {
    [4] = HTTP_HOST,
    [6] = HTTP_COOKIE,
    [7] = HTTP_REFERER,
    [9] = HTTP_X_REAL_IP,
    [10] = HTTP_USER_AGENT,
    [11] = HTTP_TRACEPARENT,
    [12] = HTTP_CONTENT_TYPE,
    [13] = HTTP_AUTHORIZATION,
    [14] = HTTP_SEC_FETCH_DEST,
    [15] = HTTP_X_FORWARDED_FOR,
    [16] = HTTP_X_FORWARDED_HOST,
    [17] = HTTP_SEC_WEBSOCKET_KEY,
    [18] = HTTP_X_FORWARDED_METHOD,
    [21] = HTTP_SEC_WEBSOCKET_VERSION,
    [29] = HTTP_ACCESS_CONTROL_REQUEST_METHOD,
};

/* Its last four bytes, letters lower-cased, whatever else may look alike then. No known name is
 * shorter. */
static uint32_t tail_of(struct sv name)
{
	uint32_t tail;

	memcpy(&tail, name.p + name.n - sizeof tail, sizeof tail);
	return tail | 0x20202020;
}

/* Whether a byte of it may be folded. */
static bool may_be_alias(struct sv name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!sv_is_alnum(name.p[i]) && name.p[i] != '-')
			return true;
	return false;
}

/* Most are spelt as they should be; only of the others it is asked whether they are aliases. */
static enum http_name known_as(struct sv name, bool *ret_alias)
{
	const enum http_name first =
	    name.n < sizeof first_as_long ? first_as_long[name.n] : HTTP_UNJUDGED;
	uint32_t tail;

	*ret_alias = false;
	if (first == HTTP_UNJUDGED)
		return HTTP_OTHER;
	tail = tail_of(name);
	for (enum http_name k = first; names[k].n == name.n; k++)
		if (tail_of(names[k]) == tail && sv_eq_nocase(names[k], name))
			return k;
	if (!may_be_alias(name))
		return HTTP_OTHER;
	for (enum http_name k = first; names[k].n == name.n; k++)
		if (http_name_folds_as_long(names[k], name)) {
			*ret_alias = true;
			return k;
		}
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

/* From the end, where an edge puts its own. */
enum err http_fields_one(struct http_fields f, enum http_name name, struct sv *ret)
{
	if ((f.twice >> name & 1) != 0)
		return ERR_EXISTS;
	if ((f.names >> name & 1) != 0)
		for (size_t i = f.n; i-- > 0;)
			if (f.v[i].known == name && !f.v[i].alias) {
				*ret = f.v[i].value;
				return ERR_OK;
			}
	return ERR_NOT_FOUND;
}

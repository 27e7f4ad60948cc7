#include "worker/cookie_keys.h"

#include <stdlib.h>

#include "common/b64.h"
#include "worker/cookie.h"

struct cookie_keys {
	size_t n;
	struct {
		size_t n;
		unsigned char bytes[COOKIE_KEY_MAX];
	} v[COOKIE_KEYS_MAX];
};

bool cookie_keys_nth(const struct cookie_keys *k, size_t i, struct sv *ret)
{
	if (i >= k->n)
		return false;
	*ret = sv_of((const char *)k->v[i].bytes, k->v[i].n);
	return true;
}

void cookie_keys_free(struct cookie_keys **k)
{
	if (*k == NULL)
		return;
	explicit_bzero(*k, sizeof **k);
	free(*k);
	*k = NULL;
}

static enum err take_line(struct cookie_keys *k, struct sv line, unsigned number, struct errmsg *e)
{
	unsigned char *at;
	struct sv other;
	size_t n;

	if (k->n == COOKIE_KEYS_MAX)
		return errmsg_set(e, ERR_CONFIG, "line %u: more than %d keys", number,
				  COOKIE_KEYS_MAX);
	at = k->v[k->n].bytes;
	switch (b64url_decode(line, at, COOKIE_KEY_MAX, &n)) {
	case ERR_OK:
		break;
	case ERR_LIMIT:
		return errmsg_set(e, ERR_CONFIG, "line %u: a key has at most %d bytes", number,
				  COOKIE_KEY_MAX);
	default: /* not ours to list: all of the library's other errors mean the same here */
		return errmsg_set(e, ERR_CONFIG, "line %u: not base64url without padding", number);
	}
	if (n < COOKIE_KEY_MIN)
		return errmsg_set(e, ERR_CONFIG, "line %u: a key has at least %d bytes", number,
				  COOKIE_KEY_MIN);
	for (size_t i = 0; cookie_keys_nth(k, i, &other); i++)
		if (sv_eq(other, sv_of((const char *)at, n)))
			return errmsg_set(e, ERR_CONFIG, "line %u: the same key as before", number);
	k->v[k->n++].n = n;
	return ERR_OK;
}

enum err cookie_keys_parse(struct sv file, struct cookie_keys **ret, struct errmsg *e)
{
	struct cookie_keys *k = calloc(1, sizeof *k);
	enum err got = ERR_OK;

	if (k == NULL)
		return errmsg_set(e, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	for (unsigned number = 1; got == ERR_OK && file.n > 0; number++) {
		size_t end = sv_find(file, '\n');
		struct sv line = sv_cut(file, 0, end);

		file = sv_cut(file, end + 1, file.n);
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (line.n > 0 && line.p[0] != '#')
			got = take_line(k, line, number, e);
	}
	if (got == ERR_OK && k->n == 0)
		got = errmsg_set(e, ERR_CONFIG, "no key in it");
	if (got != ERR_OK) {
		cookie_keys_free(&k);
		return got;
	}
	*ret = k;
	return ERR_OK;
}

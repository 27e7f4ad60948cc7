#include "worker/cookie_keys.h"

#include <stdlib.h>

#include "common/b64.h"
#include "worker/cookie.h"

struct cookie_keys {
	size_t n;
	struct crypt_hmac_key v[COOKIE_KEYS_MAX];
};

const struct crypt_hmac_key *cookie_keys_nth(const struct cookie_keys *k, size_t i)
{
	return i < k->n ? &k->v[i] : NULL;
}

void cookie_keys_free(struct cookie_keys **k)
{
	if (*k == NULL)
		return;
	explicit_bzero(*k, sizeof **k);
	free(*k);
	*k = NULL;
}

static enum err read_key(struct sv line, unsigned number, unsigned char key[COOKIE_KEY_MAX],
			 size_t *ret_n, struct errmsg *e)
{
	switch (b64url_decode(line, key, COOKIE_KEY_MAX, ret_n)) {
	case ERR_OK:
		break;
	case ERR_LIMIT:
		return errmsg_set(e, ERR_CONFIG, "line %u: a key has at most %d bytes", number,
				  COOKIE_KEY_MAX);
	default: /* not ours to list: all of the library's other errors mean the same here */
		return errmsg_set(e, ERR_CONFIG, "line %u: not base64url without padding", number);
	}
	if (*ret_n < COOKIE_KEY_MIN)
		return errmsg_set(e, ERR_CONFIG, "line %u: a key has at least %d bytes", number,
				  COOKIE_KEY_MIN);
	return ERR_OK;
}

static enum err take_line(struct cookie_keys *k, struct sv line, unsigned number, struct errmsg *e)
{
	unsigned char key[COOKIE_KEY_MAX];
	struct crypt_hmac_key *ready;
	enum err got;
	size_t n = 0;

	if (k->n == COOKIE_KEYS_MAX)
		return errmsg_set(e, ERR_CONFIG, "line %u: more than %d keys", number,
				  COOKIE_KEYS_MAX);
	got = read_key(line, number, key, &n, e);
	ready = &k->v[k->n];
	if (got == ERR_OK)
		crypt_hmac_key_init(ready, sv_of((const char *)key, n));
	explicit_bzero(key, sizeof key);
	for (size_t i = 0; got == ERR_OK && i < k->n; i++)
		if (memcmp(&k->v[i], ready, sizeof *ready) == 0)
			return errmsg_set(e, ERR_CONFIG, "line %u: the same key as before", number);
	k->n += got == ERR_OK;
	return got;
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

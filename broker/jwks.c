#include "broker/jwks.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "broker/json_strict.h"

struct jwks {
	size_t n;
	struct jwk keys[];
};

void jwks_free(struct jwks **s)
{
	if (*s == NULL)
		return;
	for (size_t i = 0; i < (*s)->n; i++)
		EVP_PKEY_free((*s)->keys[i].pkey);
	free(*s);
	*s = NULL;
}

size_t jwks_count(const struct jwks *s)
{
	return s == NULL ? 0 : s->n;
}

static enum err read_all(struct json_object *array, struct jwks **ret)
{
	size_t n = json_object_array_length(array);
	struct jwks *s;

	if (n > JWKS_ELEMENTS_MAX)
		return ERR_LIMIT;
	s = calloc(1, sizeof *s + n * sizeof s->keys[0]);
	if (s == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(array, i);

		if (o != NULL && json_object_is_type(o, json_type_object) &&
		    jwk_read(o, &s->keys[s->n]) == ERR_OK)
			s->n++;
	}
	*ret = s;
	return ERR_OK;
}

enum err jwks_parse(struct sv body, struct jwks **ret)
{
	struct json_object *o = NULL, *array;
	enum err e = json_strict_parse(body, JWKS_BYTES_MAX, &o);

	if (e != ERR_OK)
		return e;
	e = json_get_array(o, "keys", &array);
	if (e == ERR_OK)
		e = read_all(array, ret);
	else
		e = ERR_SYNTAX;
	(void)json_object_put(o);
	return e;
}

const struct jwk *jwks_next(const struct jwks *s, const struct jose_header *h, size_t *at)
{
	while (s != NULL && *at < s->n) {
		const struct jwk *k = &s->keys[(*at)++];

		if (k->type != jose_key_type(h->alg) || (k->alg != 0 && k->alg != h->alg))
			continue;
		if (!h->has_kid ||
		    (k->has_kid && sv_eq(sv_of(k->kid, k->kid_n), sv_of(h->kid, h->kid_n))))
			return k;
	}
	return NULL;
}

enum jwt_refusal jwks_verify(const struct jwks *s, const struct jose_token *t)
{
	const struct jwk *k;
	size_t at = 0, tries = 0;

	while (tries < JWKS_TRIES_MAX && (k = jwks_next(s, &t->header, &at)) != NULL) {
		if (jose_verify(t, k->pkey) == ERR_OK)
			return JWT_NONE;
		tries++;
	}
	return tries == 0 ? JWT_KEY : JWT_SIGNATURE;
}

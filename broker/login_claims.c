#include "broker/login_claims.h"

#include "broker/id_token.h"
#include "broker/json_strict.h"

#define TEXT_MAX (ID_TOKEN_CLAIMS_MAX + 8 * JWT_SUB_MAX)

/* Into room that was made before: nothing moves. */
static struct sv copy(struct buf *b, struct sv s)
{
	size_t at = b->n;

	buf_add(b, s);
	return sv_of(b->p + at, s.n);
}

enum err login_claims_take(struct login_claims *c, const struct id_token_claims *from)
{
	size_t all = from->sub.n + from->subject.n + from->sid.n + from->email.n + from->acr.n +
		     from->claims.n;

	buf_init(&c->text, TEXT_MAX);
	if (buf_reserve(&c->text, all + 1) == NULL)
		return ERR_NOMEM;
	c->sub = copy(&c->text, from->sub);
	c->subject = copy(&c->text, from->subject);
	c->sid = copy(&c->text, from->sid);
	c->email = copy(&c->text, from->email);
	c->acr = copy(&c->text, from->acr);
	c->claims = copy(&c->text, from->claims);
	c->auth_time_s = from->auth_time_s;
	return ERR_OK;
}

static bool is(const char *name, const char *other)
{
	return strcmp(name, other) == 0;
}

static enum err put(struct json_object *to, const char *name, struct json_object *value)
{
	if (json_object_object_add(to, name, json_object_get(value)) == 0)
		return ERR_OK;
	(void)json_object_put(value);
	return ERR_NOMEM;
}

/* `add` over `base`. */
static enum err merge(struct json_object *base, struct json_object *add)
{
	struct json_object_iterator at = json_object_iter_begin(add);
	const struct json_object_iterator end = json_object_iter_end(add);
	bool has_email = json_object_object_get_ex(add, "email", NULL);
	enum err rc = ERR_OK;

	if (has_email)
		json_object_object_del(base, "email_verified"); /* of another address */
	for (; rc == ERR_OK && !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
		const char *name = json_object_iter_peek_name(&at);

		if (is(name, "sub") || is(name, "iss") ||
		    (is(name, "email_verified") && !has_email))
			continue;
		rc = put(base, name, json_object_iter_peek_value(&at));
	}
	return rc;
}

static enum err only_names(struct json_object *all, struct json_object **ret)
{
	static const char *const names[] = {"sub", "iss"};
	struct json_object *o = json_object_new_object(), *v;
	enum err rc = o == NULL ? ERR_NOMEM : ERR_OK;

	for (size_t i = 0; i < ARRAY_LEN(names) && rc == ERR_OK; i++)
		if (json_object_object_get_ex(all, names[i], &v))
			rc = put(o, names[i], v);
	if (rc == ERR_OK)
		*ret = o;
	else
		(void)json_object_put(o);
	return rc;
}

/* The texts of the outcome into c->merged. */
static enum err keep(struct login_claims *c, struct json_object *o,
		     const struct id_token_claims *userinfo, bool email_of_userinfo)
{
	size_t n = 0;
	const char *text = json_object_to_json_string_length(
	    o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);

	if (text == NULL)
		return ERR_NOMEM;
	if (n > ID_TOKEN_CLAIMS_MAX)
		return ERR_LIMIT;
	buf_init(&c->merged, TEXT_MAX);
	if (buf_reserve(&c->merged, n + userinfo->subject.n + userinfo->email.n + 1) == NULL)
		return ERR_NOMEM;
	c->claims = copy(&c->merged, sv_of(text, n));
	if (userinfo->subject.n > 0)
		c->subject = copy(&c->merged, userinfo->subject);
	if (email_of_userinfo)
		c->email = copy(&c->merged, userinfo->email);
	return ERR_OK;
}

enum err login_claims_merge(struct login_claims *c, unsigned from,
			    const struct id_token_claims *userinfo)
{
	struct json_object *base = NULL, *add = NULL, *few = NULL;
	bool alone = (from & CLAIMS_ID_TOKEN) == 0;
	enum err rc = json_strict_parse(c->claims, ID_TOKEN_CLAIMS_MAX, &base);

	if (rc == ERR_OK)
		rc = json_strict_parse(userinfo->claims, ID_TOKEN_CLAIMS_MAX, &add);
	if (rc == ERR_OK && alone)
		rc = only_names(base, &few);
	if (rc == ERR_OK)
		rc = merge(alone ? few : base, add);
	if (rc == ERR_OK)
		rc = keep(c, alone ? few : base, userinfo,
			  alone || json_object_object_get_ex(add, "email", NULL));
	(void)json_object_put(base);
	(void)json_object_put(add);
	(void)json_object_put(few);
	return rc;
}

void login_claims_done(struct login_claims *c)
{
	buf_done(&c->text);
	buf_done(&c->merged);
	*c = (struct login_claims){.claims = SV_NONE};
}

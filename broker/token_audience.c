#include "broker/token_audience.h"

#include "broker/jose.h"
#include "broker/json_strict.h"
#include "common/b64.h"
#include "common/buf.h"

/* Whether the token was asked for the service alone, and not for the login. */
static bool selects(const struct config_service *s)
{
	return s != NULL && s->grant != GRANT_SESSION && s->grant != GRANT_ID_TOKEN;
}

/* A base64url part that is a JSON object; the caller puts it. NULL: it is none. */
static struct json_object *part(struct sv text)
{
	struct json_object *o = NULL;
	struct buf b;
	char *at;
	size_t n = 0;

	buf_init(&b, JOSE_TOKEN_MAX);
	at = buf_reserve(&b, text.n);
	if (at != NULL && b64url_decode(text, at, text.n, &n) == ERR_OK) {
		b.n = n;
		if (json_strict_parse(buf_sv(&b), JOSE_TOKEN_MAX, &o) != ERR_OK)
			o = NULL;
	}
	buf_done(&b);
	return o;
}

static bool is_jwt(struct sv token, struct sv *ret_payload)
{
	size_t first = sv_find(token, '.'), second;
	struct json_object *header;
	struct sv alg, rest = sv_cut(token, first + 1, token.n);
	bool yes;

	second = sv_find(rest, '.');
	if (first >= token.n || second >= rest.n ||
	    sv_find(sv_cut(rest, second + 1, rest.n), '.') != rest.n - second - 1)
		return false;
	header = part(sv_cut(token, 0, first));
	yes = header != NULL && json_get_string(header, "alg", JSON_KEY_MAX, &alg) == ERR_OK;
	(void)json_object_put(header);
	*ret_payload = sv_cut(rest, 0, second);
	return yes;
}

static bool has_audience(struct json_object *claims, struct sv want)
{
	struct json_object *array;
	struct sv aud;

	if (json_get_string(claims, "aud", JSON_KEY_MAX, &aud) == ERR_OK)
		return sv_eq(aud, want);
	return json_get_array(claims, "aud", &array) == ERR_OK && json_array_has(array, want);
}

bool token_audience_ok(const struct config_service *service, enum token_opaque opaque,
		       struct sv access_token)
{
	struct sv want, payload;
	struct json_object *claims;
	bool ok;

	if (!selects(service))
		return true;
	want = service->audience.n > 0 ? service->audience : service->resource;
	if (want.n == 0)
		return true;
	if (!is_jwt(access_token, &payload))
		return opaque == TOKEN_OPAQUE_PASSES;
	claims = part(payload);
	ok = claims != NULL && has_audience(claims, want);
	(void)json_object_put(claims);
	return ok;
}

static bool expanded(struct sv scope)
{
	return sv_eq(scope, SV("openid")) || sv_eq(scope, SV("offline_access")) ||
	       sv_ends(scope, SV("/.default"));
}

static bool listed(struct sv list, struct sv want)
{
	while (list.n > 0) {
		size_t end = sv_find(list, ' ');

		if (sv_eq(sv_cut(list, 0, end), want))
			return true;
		list = sv_cut(list, end + 1, list.n);
	}
	return false;
}

bool token_scope_ok(const struct config_service *service, struct sv scope)
{
	if (!selects(service) || scope.p == NULL)
		return true;
	for (size_t i = 0; i < service->scope.n; i++)
		if (!expanded(service->scope.v[i]) && !listed(scope, service->scope.v[i]))
			return false;
	return true;
}

#include "broker/discovery.h"

#include <stdlib.h>

#include "broker/json_strict.h"

enum err discovery_url(struct sv issuer, enum http_policy policy, struct buf *out)
{
	enum err e = http_url_check(issuer, policy);

	if (e != ERR_OK)
		return e;
	if (sv_find(issuer, '?') != issuer.n)
		return ERR_SYNTAX;
	if (issuer.p[issuer.n - 1] == '/')
		issuer.n--;
	buf_add(out, issuer);
	buf_add(out, SV("/.well-known/openid-configuration"));
	return buf_ok(out) ? ERR_OK : ERR_NOMEM;
}

enum need { REQUIRED = 1, OPTIONAL };

/* A row an endpoint: where it goes, what it is called in the document, whether it must be there,
 * and whether we go there ourselves, with the client's authentication. */
static const struct endpoint {
	size_t offset;
	const char *name;
	enum need need;
	bool at_the_back;
} endpoints[] = {
#define ENDPOINT(name, need, at_the_back)                                                          \
	{                                                                                          \
		offsetof(struct provider_metadata, name), #name, need, at_the_back                 \
	}
    ENDPOINT(authorization_endpoint, REQUIRED, false),
    ENDPOINT(token_endpoint, REQUIRED, true),
    ENDPOINT(jwks_uri, REQUIRED, false),
    ENDPOINT(end_session_endpoint, OPTIONAL, false),
    ENDPOINT(revocation_endpoint, OPTIONAL, true),
    ENDPOINT(userinfo_endpoint, OPTIONAL, true),
    ENDPOINT(pushed_authorization_request_endpoint, OPTIONAL, true),
#undef ENDPOINT
};

static const struct flag {
	size_t offset;
	const char *name;
} flags[] = {
    {offsetof(struct provider_metadata, iss_parameter_supported),
     "authorization_response_iss_parameter_supported"},
    {offsetof(struct provider_metadata, require_pushed), "require_pushed_authorization_requests"},
};

/* What the document lists must hold what we use; one that lists nothing says nothing. */
static const struct {
	const char *list, *word;
} lists[] = {
    {"response_types_supported", "code"},
    {"code_challenge_methods_supported", "S256"},
    {"grant_types_supported", "authorization_code"},
};

/* A copy in d->text, which has room for the whole document and so never moves. */
static enum err copy(struct discovery *d, struct sv s, struct sv *ret)
{
	const char *at = buf_reserve(&d->text, s.n);

	if (at == NULL)
		return ERR_NOMEM;
	buf_add(&d->text, s);
	*ret = sv_of(at, s.n);
	return ERR_OK;
}

static enum err read_endpoint(struct json_object *o, const struct endpoint *row,
			      enum http_policy policy, struct discovery *d)
{
	struct sv *to = (struct sv *)(void *)((char *)&d->metadata + row->offset), url;
	struct json_object *v = NULL;
	enum err e;

	/* null in place of an endpoint is seen in the wild and means absent. */
	if ((!json_object_object_get_ex(o, row->name, &v) || v == NULL) && row->need == OPTIONAL)
		return ERR_OK;
	e = json_get_string(o, row->name, HTTP_URL_MAX, &url);
	if (e == ERR_OK)
		e = http_url_check(url, policy);
	return e == ERR_OK ? copy(d, url, to) : e == ERR_NOT_FOUND ? ERR_SYNTAX : e;
}

static enum err read_flag(struct json_object *o, const struct flag *row, struct discovery *d)
{
	bool *to = (bool *)(void *)((char *)&d->metadata + row->offset);
	enum err e = json_get_bool(o, row->name, to);

	return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err check_lists(struct json_object *o, const char **ret_detail)
{
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct json_object *a;
		enum err e = json_get_array(o, lists[i].list, &a);

		if (e == ERR_NOT_FOUND)
			continue;
		*ret_detail = lists[i].list;
		if (e != ERR_OK)
			return e;
		if (!json_array_has(a, sv_str(lists[i].word)))
			return ERR_UNSUPPORTED;
	}
	return ERR_OK;
}

/* Those of ours that RFC 8705 5 speaks of: where the client, not the browser, goes. */
static enum err read_aliases(struct json_object *o, enum http_policy policy, struct discovery *d,
			     const char **ret_detail)
{
	struct json_object *aliases;
	enum err e = json_get_object(o, "mtls_endpoint_aliases", &aliases);

	if (e == ERR_NOT_FOUND)
		return ERR_OK;
	*ret_detail = "mtls_endpoint_aliases";
	for (size_t i = 0; i < ARRAY_LEN(endpoints) && e == ERR_OK; i++) {
		struct endpoint row = endpoints[i];

		row.need = OPTIONAL;
		if (row.at_the_back)
			e = read_endpoint(aliases, &row, policy, d);
	}
	return e;
}

/* PS256 unless it says that it takes RS256 and does not say so of PS256. */
static enum err read_assertion_algs(struct json_object *o, struct discovery *d,
				    const char **ret_detail)
{
	static const char list[] = "token_endpoint_auth_signing_alg_values_supported";
	struct json_object *a;
	enum err e = json_get_array(o, list, &a);

	d->assertion_rsa = ALG_PS256;
	if (e == ERR_NOT_FOUND)
		return ERR_OK;
	*ret_detail = list;
	if (e == ERR_OK && json_array_has(a, SV("RS256")) && !json_array_has(a, SV("PS256")))
		d->assertion_rsa = ALG_RS256;
	return e;
}

static enum err read_all(struct json_object *o, struct sv issuer, enum http_policy policy,
			 enum discovery_tls tls, struct discovery *d, const char **ret_detail)
{
	struct sv got;
	enum err e;

	*ret_detail = "issuer";
	if (json_get_string(o, "issuer", HTTP_URL_MAX, &got) != ERR_OK || !sv_eq(got, issuer))
		return ERR_DENIED;
	e = copy(d, got, &d->metadata.issuer);
	for (size_t i = 0; i < ARRAY_LEN(endpoints) && e == ERR_OK; i++) {
		*ret_detail = endpoints[i].name;
		e = read_endpoint(o, &endpoints[i], policy, d);
	}
	for (size_t i = 0; i < ARRAY_LEN(flags) && e == ERR_OK; i++) {
		*ret_detail = flags[i].name;
		e = read_flag(o, &flags[i], d);
	}
	if (e == ERR_OK && tls == DISCOVERY_MUTUAL_TLS)
		e = read_aliases(o, policy, d, ret_detail);
	if (e == ERR_OK)
		e = read_assertion_algs(o, d, ret_detail);
	if (e == ERR_OK)
		e = check_lists(o, ret_detail);
	if (e == ERR_OK && d->metadata.require_pushed &&
	    d->metadata.pushed_authorization_request_endpoint.n == 0) {
		*ret_detail = "pushed_authorization_request_endpoint";
		e = ERR_SYNTAX;
	}
	return e;
}

enum err discovery_parse(struct sv body, struct sv issuer, enum http_policy policy,
			 enum discovery_tls tls, struct discovery **ret, const char **ret_detail)
{
	struct json_object *o = NULL;
	struct discovery *d;
	enum err e = json_strict_parse(body, DISCOVERY_BYTES_MAX, &o);

	*ret_detail = "json";
	if (e != ERR_OK)
		return e;
	d = calloc(1, sizeof *d);
	if (d != NULL) {
		buf_init(&d->text, DISCOVERY_BYTES_MAX);
		e = buf_reserve(&d->text, body.n) == NULL
			? ERR_NOMEM
			: read_all(o, issuer, policy, tls, d, ret_detail);
	}
	(void)json_object_put(o);
	if (d == NULL)
		return ERR_NOMEM;
	if (e != ERR_OK) {
		discovery_free(&d);
		return e;
	}
	*ret = d;
	*ret_detail = "";
	return ERR_OK;
}

void discovery_free(struct discovery **d)
{
	if (*d == NULL)
		return;
	buf_done(&(*d)->text);
	free(*d);
	*d = NULL;
}

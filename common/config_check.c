#include "common/config_build.h"
#include "common/config_value.h"
#include "common/preset.h"

/* A conninfo is printed and read by anybody; libpq takes passwords in both of its forms. */
static bool has_password(struct sv s)
{
	struct sv word = SV("password");
	size_t scheme = sv_find(s, ':'), at = sv_find(s, '@'), colon;

	for (size_t i = 0; i + word.n <= s.n; i++) {
		size_t end = i + word.n;
		char before = i == 0 ? ' ' : s.p[i - 1];

		if (!sv_eq(sv_cut(s, i, end), word) || strchr(" \t\n?&'", before) == NULL)
			continue;
		while (end < s.n && (s.p[end] == ' ' || s.p[end] == '\t'))
			end++;
		if (end < s.n && s.p[end] == '=')
			return true;
	}
	if (!sv_starts(s, SV("postgres")) || !sv_starts(sv_cut(s, scheme, s.n), SV("://")))
		return false;
	colon = sv_find(sv_cut(s, scheme + 3, s.n), ':') + scheme + 3;
	return at < s.n && colon < at;
}

static enum err check_singles(const struct config_build *b)
{
	const struct config *c = b->c;
	struct sv user = c->broker.peer_user;

	if (has_password(c->database.conninfo))
		return config_build_error(b, CONFIG_OPT_database_conninfo, 0,
					  "expected no password, it belongs into a file: "
					  "web_password_file, broker_password_file");
	for (size_t i = 0; i < user.n; i++)
		if (user.p[i] <= ' ' || user.p[i] == 0x7f || user.p[i] == ':')
			user.n = 0;
	if (user.n == 0)
		return config_build_error(b, CONFIG_OPT_broker_peer_user, 0,
					  "expected the name or number of a user");
	return ERR_OK;
}

static enum err check_listen(const struct config_build *b, size_t i)
{
	const struct config_listen *l = &b->c->listens[i];

	switch (l->edge) {
	case EDGE_NONE:
		if (l->kind == LISTEN_VERIFY)
			return config_build_error(b, CONFIG_OPT_listen_edge, i,
						  "expected the edge that asks here (traefik, "
						  "caddy, nginx, haproxy, envoy)");
		break;
	case EDGE_TRAEFIK:
	case EDGE_CADDY:
	case EDGE_NGINX:
	case EDGE_HAPROXY:
	case EDGE_ENVOY:
		if (l->kind == LISTEN_METRICS)
			return config_build_error(b, CONFIG_OPT_listen_edge, i,
						  "expected none with kind = metrics");
		break;
	}
	for (size_t k = 0; k < i; k++)
		if (sv_eq(b->c->listens[k].address, l->address))
			return config_build_error(b, CONFIG_OPT_listen_address, i,
						  "expected an address of its own, \"" SV_FMT
						  "\" has the same",
						  SV_ARG(b->c->listens[k].name));
	return config_check_listen(b, i);
}

static bool scopes_ok(const struct config_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		for (size_t k = 0; k < list->v[i].n; k++) {
			char c = list->v[i].p[k];

			if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\')
				return false;
		}
	return true;
}

static enum err check_issuer(const struct config_build *b, size_t i)
{
	const struct config_provider *p = &b->c->providers[i];
	char text[CONFIG_ORIGIN_TEXT];
	struct config_origin o;
	struct sv rest;

	if (config_parse_url(p->issuer, text, &o, &rest) != ERR_OK || sv_find(rest, '?') < rest.n ||
	    sv_find(rest, '#') < rest.n)
		return config_build_error(b, CONFIG_OPT_provider_issuer, i,
					  "expected an https URL without query and fragment");
	if (o.scheme.n == 4 && (!p->insecure_loopback || !config_host_is_loopback(o.host)))
		return config_build_error(b, CONFIG_OPT_provider_issuer, i,
					  "expected https (http is taken on loopback names alone, "
					  "with insecure_loopback = yes)");
	return ERR_OK;
}

static enum err check_client_auth(const struct config_build *b, size_t i)
{
	const struct config_provider *p = &b->c->providers[i];
	bool by_secret =
	    p->client_auth == CLIENT_SECRET_BASIC || p->client_auth == CLIENT_SECRET_POST;

	if (by_secret && p->client_secret_file.n == 0)
		return config_build_error(b, CONFIG_OPT_provider_client_secret_file, i,
					  "expected a file, client_auth needs it");
	if (!by_secret && p->client_key_file.n == 0)
		return config_build_error(b, CONFIG_OPT_provider_client_key_file, i,
					  "expected a file, client_auth needs it");
	if (by_secret && p->client_key_file.n > 0)
		return config_build_error(b, CONFIG_OPT_provider_client_key_file, i,
					  "expected with client_auth = private_key_jwt or tls "
					  "alone, it has no effect here");
	if (!by_secret && p->client_secret_file.n > 0)
		return config_build_error(b, CONFIG_OPT_provider_client_secret_file, i,
					  "expected with client_auth = client_secret_basic or "
					  "client_secret_post alone, it has no effect here");
	if (p->client_auth == CLIENT_TLS && p->client_certificate_file.n > 0)
		return config_build_error(b, CONFIG_OPT_provider_client_certificate_file, i,
					  "expected with another client_auth than tls, which shows "
					  "the certificate of client_key_file");
	if (p->client_auth != CLIENT_PRIVATE_KEY_JWT && p->assertion_audience != AUDIENCE_ISSUER)
		return config_build_error(b, CONFIG_OPT_provider_assertion_audience, i,
					  "expected issuer, without client_auth = private_key_jwt "
					  "it has no effect");
	return ERR_OK;
}

static enum err check_grace(const struct config_build *b, size_t i)
{
	const struct config_provider *p = &b->c->providers[i];

	if (p->grace_ms == 0 || preset_of(p->preset)->has_grace)
		return ERR_OK;
	return config_build_error(b, CONFIG_OPT_provider_grace, i,
				  "expected no value, %s has no grace period",
				  preset_word(p->preset));
}

static enum err check_provider(const struct config_build *b, size_t i)
{
	const struct config_provider *p = &b->c->providers[i];
	enum err err = check_issuer(b, i);

	if (err == ERR_OK)
		err = check_client_auth(b, i);
	if (err == ERR_OK)
		err = check_grace(b, i);
	if (err != ERR_OK)
		return err;
	if (!config_list_has(&p->scopes, SV("openid")) || !scopes_ok(&p->scopes))
		return config_build_error(b, CONFIG_OPT_provider_scopes, i,
					  "expected openid and other scopes without blanks, quotes "
					  "and backslashes");
	if (p->claims_from == 0)
		return config_build_error(b, CONFIG_OPT_provider_claims_from, i,
					  "expected id_token, userinfo or both");
	if (p->subject_claim.n == 0)
		return config_build_error(b, CONFIG_OPT_provider_subject_claim, i,
					  "expected the name of a claim");
	return ERR_OK;
}

/* What a grant needs, may have, and has no use for. */
enum field { FIELD_NO = 1, FIELD_MAY, FIELD_MUST };
static const struct grant_fields {
	enum config_grant grant;
	enum field resource, audience, scope, prefetch;
} grants[] = {
    {GRANT_SESSION, FIELD_NO, FIELD_NO, FIELD_NO, FIELD_NO},
    {GRANT_ID_TOKEN, FIELD_NO, FIELD_NO, FIELD_NO, FIELD_NO},
    {GRANT_RESOURCE, FIELD_MUST, FIELD_MAY, FIELD_MAY, FIELD_MAY},
    {GRANT_AUDIENCE, FIELD_NO, FIELD_MUST, FIELD_MAY, FIELD_MAY},
    {GRANT_SCOPE, FIELD_NO, FIELD_MAY, FIELD_MUST, FIELD_MAY},
    {GRANT_EXCHANGE, FIELD_MAY, FIELD_MAY, FIELD_MAY, FIELD_MAY},
    {GRANT_OBO, FIELD_NO, FIELD_MAY, FIELD_MUST, FIELD_MAY},
    {GRANT_CLIENT_CREDENTIALS, FIELD_MAY, FIELD_MAY, FIELD_MAY, FIELD_MAY},
};

static enum err check_field(const struct config_build *b, size_t i, enum config_option_id id,
			    enum field field, bool is_set)
{
	if (field == FIELD_MUST && !is_set)
		return config_build_error(b, id, i, "expected a value, this grant needs it");
	if (field == FIELD_NO && is_set)
		return config_build_error(b, id, i,
					  "expected no value, it has no effect with this grant");
	return ERR_OK;
}

/* Whether the product behind the provider can do it. */
static enum err check_preset(const struct config_build *b, size_t i)
{
	const struct config_service *s = &b->c->services[i];
	const struct preset *preset = preset_of(s->provider->preset);
	const struct config_word *w = config_options[CONFIG_OPT_service_grant].words;
	char can[256] = "";
	size_t n = 0;

	if (s->resource.n > 0 && preset_has_grant(preset, s->grant) &&
	    !preset_has_grant(preset, GRANT_RESOURCE))
		return config_build_error(b, CONFIG_OPT_service_resource, i,
					  "expected no value, %s knows no resource",
					  preset_word(s->provider->preset));
	if (preset_has_grant(preset, s->grant))
		return ERR_OK;
	for (; w->name != NULL && n < sizeof can; w++)
		if (preset_has_grant(preset, (enum config_grant)w->value))
			n += (size_t)snprintf(can + n, sizeof can - n, "%s%s", n == 0 ? "" : ", ",
					      w->name);
	return config_build_error(b, CONFIG_OPT_service_grant, i,
				  "expected one of %s: %s has no other", can,
				  preset_word(s->provider->preset));
}

/* A service that every session would die of. */
static enum err check_scope_of_login(const struct config_build *b, size_t i)
{
	const struct config_service *s = &b->c->services[i];

	if (s->grant != GRANT_SCOPE || !preset_of(s->provider->preset)->dead_if_scope_unknown)
		return ERR_OK;
	for (size_t k = 0; k < s->scope.n; k++)
		if (!config_list_has(&s->provider->scopes, s->scope.v[k]))
			return config_build_error(b, CONFIG_OPT_service_scope, i,
						  "expected scopes of its provider's login alone, "
						  "%s ends the grant for another",
						  preset_word(s->provider->preset));
	return ERR_OK;
}

static enum err check_service(const struct config_build *b, size_t i)
{
	const struct config_service *s = &b->c->services[i];
	const struct grant_fields *f = grants;
	enum err err;

	while (f->grant != s->grant)
		f++;
	err = check_preset(b, i);
	if (err == ERR_OK)
		err =
		    check_field(b, i, CONFIG_OPT_service_resource, f->resource, s->resource.n > 0);
	if (err == ERR_OK)
		err =
		    check_field(b, i, CONFIG_OPT_service_audience, f->audience, s->audience.n > 0);
	if (err == ERR_OK)
		err = check_field(b, i, CONFIG_OPT_service_scope, f->scope, s->scope.n > 0);
	if (err == ERR_OK)
		err = check_field(b, i, CONFIG_OPT_service_prefetch, f->prefetch, s->prefetch);
	if (err != ERR_OK)
		return err;
	if (s->grant == GRANT_EXCHANGE && s->audience.n == 0 && s->resource.n == 0)
		return config_build_error(b, CONFIG_OPT_service_audience, i,
					  "expected a value, or one of resource, this grant needs "
					  "it");
	if (s->resource.n > 0 && !config_is_absolute_uri(s->resource))
		return config_build_error(b, CONFIG_OPT_service_resource, i,
					  "expected an absolute URI without fragment");
	if (!scopes_ok(&s->scope))
		return config_build_error(b, CONFIG_OPT_service_scope, i,
					  "expected scopes without blanks, quotes and backslashes");
	return check_scope_of_login(b, i);
}

enum err config_check(const struct config_build *b)
{
	enum err err = check_singles(b);

	for (size_t i = 0; err == ERR_OK && i < b->c->nlistens; i++)
		err = check_listen(b, i);
	for (size_t i = 0; err == ERR_OK && i < b->c->nproviders; i++)
		err = check_provider(b, i);
	for (size_t i = 0; err == ERR_OK && i < b->c->nservices; i++)
		err = check_service(b, i);
	if (err == ERR_OK)
		err = config_check_apps(b);
	if (err == ERR_OK)
		err = config_check_headers(b);
	if (err == ERR_OK)
		err = config_check_routes(b);
	return err;
}

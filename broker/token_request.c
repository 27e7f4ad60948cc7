#include "broker/token_request.h"

#include "common/preset.h"

void form_escape(struct buf *b, struct sv s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (sv_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '*')
			buf_add_char(b, c);
		else if (c == ' ')
			buf_add_char(b, '+');
		else
			buf_add_escaped(b, c);
	}
}

void form_add(struct buf *b, struct sv name, struct sv value)
{
	if (b->n > 0)
		buf_add_char(b, '&');
	form_escape(b, name);
	buf_add_char(b, '=');
	form_escape(b, value);
}

void token_request_code(struct buf *b, struct sv code, struct sv redirect_uri,
			struct sv code_verifier)
{
	form_add(b, SV("grant_type"), SV("authorization_code"));
	form_add(b, SV("code"), code);
	form_add(b, SV("redirect_uri"), redirect_uri);
	form_add(b, SV("code_verifier"), code_verifier);
}

bool form_has(const struct buf *b, struct sv name)
{
	struct sv rest = buf_sv(b);

	while (rest.n > 0) {
		size_t end = sv_find(rest, '&');

		if (sv_eq(sv_cut(rest, 0, sv_find(sv_cut(rest, 0, end), '=')), name))
			return true;
		rest = sv_cut(rest, end + 1, rest.n);
	}
	return false;
}

/* scope=a+b; nothing for an empty list, which means all that was granted. */
static void add_scope(struct buf *b, const struct config_list *scope)
{
	if (scope->n == 0)
		return;
	buf_add(b, SV("&scope="));
	for (size_t i = 0; i < scope->n; i++) {
		if (i > 0)
			buf_add_char(b, '+');
		form_escape(b, scope->v[i]);
	}
}

/* What a refresh says where the product wants to be told each time. */
static void add_scope_always(struct buf *b, const struct config_provider *p,
			     const struct config_list *of_service)
{
	const struct sv offline = SV("offline_access");

	if (of_service->n == 0) {
		add_scope(b, &p->scopes);
		return;
	}
	add_scope(b, of_service);
	if (config_list_has(&p->scopes, offline) && !config_list_has(of_service, offline)) {
		buf_add_char(b, '+');
		buf_add(b, offline);
	}
}

enum err token_request_refresh(struct buf *b, struct sv refresh_token,
			       const struct config_provider *p,
			       const struct config_service *service)
{
	static const struct config_list none = {NULL, 0};
	enum config_grant grant = service == NULL ? GRANT_SESSION : service->grant;
	bool selects = grant == GRANT_RESOURCE || grant == GRANT_AUDIENCE || grant == GRANT_SCOPE;
	const struct config_list *scope = selects ? &service->scope : &none;

	if (!selects && grant != GRANT_SESSION && grant != GRANT_ID_TOKEN)
		return ERR_UNSUPPORTED;
	form_add(b, SV("grant_type"), SV("refresh_token"));
	form_add(b, SV("refresh_token"), refresh_token);
	if (grant == GRANT_RESOURCE)
		form_add(b, SV("resource"), service->resource);
	if (grant == GRANT_AUDIENCE)
		form_add(b, SV("audience"), service->audience);
	if (preset_of(p->preset)->scope == SCOPE_ALWAYS)
		add_scope_always(b, p, scope);
	else
		add_scope(b, scope);
	return ERR_OK;
}

const char *token_exchange_type(enum config_preset preset)
{
	const char *type = preset_of(preset)->exchange_type;

	return type == NULL ? "access_token" : type;
}

static void exchange(struct buf *b, struct sv subject_token, const struct config_provider *p,
		     const struct config_service *s)
{
	form_add(b, SV("grant_type"), SV("urn:ietf:params:oauth:grant-type:token-exchange"));
	form_add(b, SV("subject_token"), subject_token);
	form_add(b, SV("subject_token_type"), SV(TOKEN_TYPE_URN "access_token"));
	form_add(b, SV("requested_token_type"), SV(TOKEN_TYPE_URN));
	buf_add(b, sv_str(token_exchange_type(p->preset)));
	if (s->resource.n > 0)
		form_add(b, SV("resource"), s->resource);
	if (s->audience.n > 0)
		form_add(b, SV("audience"), s->audience);
	add_scope(b, &s->scope);
}

/* Here the audience is only expected: the scope selects. */
static void on_behalf_of(struct buf *b, struct sv assertion, const struct config_service *s)
{
	form_add(b, SV("grant_type"), SV("urn:ietf:params:oauth:grant-type:jwt-bearer"));
	form_add(b, SV("assertion"), assertion);
	form_add(b, SV("requested_token_use"), SV("on_behalf_of"));
	add_scope(b, &s->scope);
}

enum err token_request_exchange(struct buf *b, struct sv subject_token,
				const struct config_provider *p,
				const struct config_service *service)
{
	if (service->grant == GRANT_EXCHANGE)
		exchange(b, subject_token, p, service);
	else if (service->grant == GRANT_OBO)
		on_behalf_of(b, subject_token, service);
	else
		return ERR_UNSUPPORTED;
	return ERR_OK;
}

enum err token_request_client_credentials(struct buf *b, const struct config_provider *p,
					  const struct config_service *service)
{
	if (service->grant != GRANT_CLIENT_CREDENTIALS)
		return ERR_UNSUPPORTED;
	form_add(b, SV("grant_type"), SV("client_credentials"));
	if (service->resource.n > 0)
		form_add(b, SV("resource"), service->resource);
	/* Elsewhere the parameter is unknown, and the audience only expected. */
	if (service->audience.n > 0 && preset_has_grant(preset_of(p->preset), GRANT_AUDIENCE))
		form_add(b, SV("audience"), service->audience);
	add_scope(b, &service->scope);
	return ERR_OK;
}

void token_request_revoke(struct buf *b, struct sv refresh_token)
{
	form_add(b, SV("token"), refresh_token);
	form_add(b, SV("token_type_hint"), SV("refresh_token"));
}

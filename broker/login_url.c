#include "broker/login_url.h"

#include "broker/token_request.h"

#define OFFLINE SV("offline_access")

static void add(struct buf *b, const char *name, struct sv value)
{
	form_add(b, sv_str(name), value);
}

/* Who wants access_type=offline does not know the scope, and may refuse it. */
static void add_scope(struct buf *b, const struct login_request *u)
{
	const struct config_list *l = &u->provider->scopes;
	struct buf joined;

	buf_init(&joined, LOGIN_SCOPES_MAX);
	for (size_t i = 0; i < l->n; i++) {
		if (u->traits->access_type_offline && sv_eq(l->v[i], OFFLINE))
			continue;
		if (joined.n > 0)
			buf_add_char(&joined, ' ');
		buf_add(&joined, l->v[i]);
	}
	if (!buf_ok(&joined))
		b->failed = true;
	add(b, "scope", buf_sv(&joined));
	buf_done(&joined);
}

static bool wants_resource(const struct config_service *s, const struct config_provider *p)
{
	return s->provider == p && s->grant == GRANT_RESOURCE && s->resource.n > 0;
}

void login_resources(struct buf *b, const struct config *c, const struct config_provider *p)
{
	for (size_t i = 0; i < c->nservices; i++) {
		const struct config_service *s = &c->services[i];

		if (!wants_resource(s, p) || sv_has_word(buf_sv(b), s->resource))
			continue;
		if (b->n > 0)
			buf_add_char(b, ' ');
		buf_add(b, s->resource);
	}
}

static void add_resources(struct buf *b, struct sv resources)
{
	while (resources.n > 0) {
		size_t end = sv_find(resources, ' ');

		add(b, "resource", sv_cut(resources, 0, end));
		resources = sv_cut(resources, end + 1, resources.n);
	}
}

/* Core 11: offline_access without consent is ignored by some; prompt=none stands alone. */
static void add_prompt(struct buf *b, const struct login_request *u)
{
	bool consent =
	    u->traits->consent_for_offline && config_list_has(&u->provider->scopes, OFFLINE);

	if (sv_eq(u->prompt, SV("none")) || sv_eq(u->prompt, SV("consent")))
		add(b, "prompt", u->prompt);
	else if (u->prompt.n > 0 && consent)
		add(b, "prompt",
		    sv_eq(u->prompt, SV("login")) ? SV("login consent")
						  : SV("select_account consent"));
	else if (u->prompt.n > 0)
		add(b, "prompt", u->prompt);
	else if (consent)
		add(b, "prompt", SV("consent"));
}

static void add_u32(struct buf *b, const char *name, uint32_t value)
{
	struct buf text;

	buf_init(&text, 16);
	buf_add_u64(&text, value);
	if (!buf_ok(&text))
		b->failed = true;
	add(b, name, buf_sv(&text));
	buf_done(&text);
}

void login_request_compose(struct buf *b, const struct login_request *u)
{
	add(b, "response_type", SV("code"));
	add(b, "client_id", u->provider->client_id);
	add(b, "redirect_uri", u->redirect_uri);
	add_scope(b, u);
	add(b, "state", u->state);
	add(b, "nonce", u->nonce);
	add(b, "code_challenge", u->code_challenge);
	add(b, "code_challenge_method", SV("S256"));
	if (u->provider->response_mode == RESPONSE_FORM_POST)
		add(b, "response_mode", SV("form_post"));
	add_resources(b, u->resources);
	add_prompt(b, u);
	if (u->traits->access_type_offline && config_list_has(&u->provider->scopes, OFFLINE))
		add(b, "access_type", SV("offline"));
	if (u->login_hint.n > 0)
		add(b, "login_hint", u->login_hint);
	if (u->acr_values.n > 0)
		add(b, "acr_values", u->acr_values);
	if (u->has_max_age)
		add_u32(b, "max_age", u->max_age_s);
	if (u->claims.n > 0)
		add(b, "claims", u->claims);
	if (u->id_token_hint.n > 0)
		add(b, "id_token_hint", u->id_token_hint);
}

void login_pushed_compose(struct buf *b, struct sv client_id, struct sv request_uri)
{
	add(b, "client_id", client_id);
	add(b, "request_uri", request_uri);
}

void url_with_query(struct buf *b, struct sv endpoint, struct sv parameters)
{
	buf_add(b, endpoint);
	buf_add_char(b, sv_find(endpoint, '?') == endpoint.n ? '?' : '&');
	buf_add(b, parameters);
}

void logout_form_compose(struct buf *b, const struct logout_url *u)
{
	add(b, "client_id", u->client_id);
	add(b, "post_logout_redirect_uri", u->post_logout_redirect_uri);
	add(b, "state", u->state);
	if (u->id_token_hint.n > 0)
		add(b, "id_token_hint", u->id_token_hint);
}

void logout_url_compose(struct buf *b, const struct logout_url *u)
{
	struct buf parameters;

	buf_init(&parameters, b->max);
	logout_form_compose(&parameters, u);
	if (!buf_ok(&parameters))
		b->failed = true;
	url_with_query(b, u->endpoint, buf_sv(&parameters));
	buf_done(&parameters);
}

enum ipc_error login_error_meaning(struct sv error, bool silent)
{
	static const struct {
		const char *error;
		enum ipc_error loud, silent;
	} table[] = {
	    {"access_denied", IPC_ERROR_ACCESS_DENIED, IPC_ERROR_ACCESS_DENIED},
	    {"login_required", IPC_ERROR_PROVIDER, IPC_ERROR_LOGIN_REQUIRED},
	    {"interaction_required", IPC_ERROR_PROVIDER, IPC_ERROR_LOGIN_REQUIRED},
	    {"consent_required", IPC_ERROR_PROVIDER, IPC_ERROR_LOGIN_REQUIRED},
	    {"account_selection_required", IPC_ERROR_PROVIDER, IPC_ERROR_LOGIN_REQUIRED},
	    {"temporarily_unavailable", IPC_ERROR_PROVIDER_DOWN, IPC_ERROR_PROVIDER_DOWN},
	    {"server_error", IPC_ERROR_PROVIDER_DOWN, IPC_ERROR_PROVIDER_DOWN},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (sv_eq(error, sv_str(table[i].error)))
			return silent ? table[i].silent : table[i].loud;
	return IPC_ERROR_PROVIDER;
}

const char *login_iss_refusal(struct sv iss, struct sv issuer, bool iss_parameter_supported)
{
	if (iss.n == 0)
		return iss_parameter_supported ? "iss_missing" : NULL;
	return sv_eq(iss, issuer) ? NULL : "iss_mismatch";
}

void logout_return_uri(struct buf *b, const struct config_app *app, struct sv origin)
{
	buf_add(b, app->login_origin.text.n > 0 ? app->login_origin.text : origin);
	buf_add(b, app->auth_path);
	buf_add(b, SV("/logout"));
}

bool login_origin_ok(const struct config_app *app, struct sv origin)
{
	if (app->login_origin.text.n > 0)
		return sv_eq(app->login_origin.text, origin);
	return config_origins_have(&app->origins, origin);
}

#include "broker/token_request.h"

void form_escape(struct buf *b, struct sv s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		    c == '-' || c == '.' || c == '_' || c == '*') {
			buf_add_char(b, (char)c);
		} else if (c == ' ') {
			buf_add_char(b, '+');
		} else {
			buf_add_char(b, '%');
			buf_add_char(b, hex[c >> 4]);
			buf_add_char(b, hex[c & 15]);
		}
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

/* scope=a+b; nothing when the service names none, which means all that was granted. */
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

enum err token_request_refresh(struct buf *b, struct sv refresh_token,
			       const struct config_service *service)
{
	enum config_grant grant = service == NULL ? GRANT_SESSION : service->grant;

	if (grant == GRANT_EXCHANGE || grant == GRANT_OBO || grant == GRANT_CLIENT_CREDENTIALS)
		return ERR_UNSUPPORTED;
	form_add(b, SV("grant_type"), SV("refresh_token"));
	form_add(b, SV("refresh_token"), refresh_token);
	if (grant == GRANT_SESSION || grant == GRANT_ID_TOKEN)
		return ERR_OK;
	if (grant == GRANT_RESOURCE)
		form_add(b, SV("resource"), service->resource);
	if (grant == GRANT_AUDIENCE)
		form_add(b, SV("audience"), service->audience);
	add_scope(b, &service->scope);
	return ERR_OK;
}

void token_request_revoke(struct buf *b, struct sv refresh_token)
{
	form_add(b, SV("token"), refresh_token);
	form_add(b, SV("token_type_hint"), SV("refresh_token"));
}

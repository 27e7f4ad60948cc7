/*
 * token_request - the forms we post to a provider (RFC 6749 4.1.3, 4.4.2 and 6, RFC
 * 7009, 7523, 7636, 8693, 8707)
 *
 * Pure composers into a buffer of the caller, who checks buf_ok() once and adds the client's
 * authentication. The forms hold secrets; buf_done() wipes them.
 */
#ifndef BFF_TOKEN_REQUEST_H
#define BFF_TOKEN_REQUEST_H

#include "common/buf.h"
#include "common/config.h"

#define TOKEN_REQUEST_MAX (256 * 1024)
#define TOKEN_TYPE_URN "urn:ietf:params:oauth:token-type:"

/* application/x-www-form-urlencoded (RFC 6749 appendix B). */
void form_escape(struct buf *b, struct sv s);
/* [&]name=value, value escaped. */
void form_add(struct buf *b, struct sv name, struct sv value);
/* Whether it names the parameter, which needs no escape. */
bool form_has(const struct buf *b, struct sv name);

void token_request_code(struct buf *b, struct sv code, struct sv redirect_uri,
			struct sv code_verifier);

/* `service` NULL, or of GRANT_SESSION or GRANT_ID_TOKEN: plain; otherwise with its selector.
 * ERR_UNSUPPORTED for grants that are no refresh. `p` says whether the scope is always named. */
WARN_UNUSED enum err token_request_refresh(struct buf *b, struct sv refresh_token,
					   const struct config_provider *p,
					   const struct config_service *service);

/* RFC 8693 2.1 for GRANT_EXCHANGE, RFC 7523 2.1 as Entra has it for GRANT_OBO; ERR_UNSUPPORTED for
 * any other. */
WARN_UNUSED enum err token_request_exchange(struct buf *b, struct sv subject_token,
					    const struct config_provider *p,
					    const struct config_service *service);
/* The type a token exchange asks for, and expects, less TOKEN_TYPE_URN. */
const char *token_exchange_type(enum config_preset preset);

/* RFC 6749 4.4.2; ERR_UNSUPPORTED for a service of another grant. */
WARN_UNUSED enum err token_request_client_credentials(struct buf *b,
						      const struct config_provider *p,
						      const struct config_service *service);

void token_request_revoke(struct buf *b, struct sv refresh_token);

#endif

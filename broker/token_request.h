/*
 * token_request - the forms we post to a provider (RFC 6749 4.1.3 and 6, RFC 7636, 7009, 8707)
 *
 * Pure composers into a buffer of the caller, who checks buf_ok() once and adds the client's
 * authentication. The forms hold secrets; buf_done() wipes them.
 */
#ifndef BFF_TOKEN_REQUEST_H
#define BFF_TOKEN_REQUEST_H

#include "common/buf.h"
#include "common/config.h"

#define TOKEN_REQUEST_MAX (256 * 1024)

/* application/x-www-form-urlencoded (RFC 6749 appendix B). */
void form_escape(struct buf *b, struct sv s);
/* [&]name=value, value escaped. */
void form_add(struct buf *b, struct sv name, struct sv value);

void token_request_code(struct buf *b, struct sv code, struct sv redirect_uri,
			struct sv code_verifier);

/* `service` NULL, or of GRANT_SESSION or GRANT_ID_TOKEN: plain; otherwise with its selector.
 * ERR_UNSUPPORTED for grants that are no refresh. */
WARN_UNUSED enum err token_request_refresh(struct buf *b, struct sv refresh_token,
					   const struct config_service *service);

void token_request_revoke(struct buf *b, struct sv refresh_token);

#endif

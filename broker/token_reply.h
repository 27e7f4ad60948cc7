/*
 * token_reply - what a token endpoint's answer means for the grant
 *
 * Pure: the outcome of the transport, status, Retry-After and body in, one enum token_outcome out.
 * The tables in token_reply.c are the whole decision. json-c is not used: it would keep copies of
 * the tokens; the texts live in one buffer here, which token_answer_done() wipes.
 */
#ifndef BFF_TOKEN_REPLY_H
#define BFF_TOKEN_REPLY_H

#include "broker/http_client.h"
#include "broker/provider.h"
#include "common/buf.h"
#include "common/log.h"

#define TOKEN_REPLY_MAX (128 * 1024)
#define TOKEN_ACCESS_MAX 16384 /* IPC_TOKEN_MAX */
#define TOKEN_REFRESH_MAX 16384
#define TOKEN_CLAIMS_MAX 4096 /* of a challenge; grants.challenge */
#define TOKEN_TTL_MAX_S (30 * 24 * 3600)
#define TOKEN_RETRY_AFTER_MAX_S 300

struct token_answer {
	struct token_reply reply; /* views into `text` */
	struct buf text;
};

/* `service`: whose token was asked for, NULL for the login's own. `preset` for the providers that
 * do not speak RFC 6749 5.2. *ret is written always; end it with token_answer_done().
 * TOKEN_MISCONFIGURED of an answer with status 200 carries its refresh token, because the provider
 * may have rotated, and no access token. */
void token_reply_read(const struct http_response *r, enum config_preset preset,
		      const struct config_service *service, int64_t now_s,
		      struct token_answer *ret);
void token_answer_done(struct token_answer *a);

/* LOG_ERROR where somebody has to change a configuration, here or at the provider: no retry helps.
 * While it lasts the holdoff is what keeps it from being logged for each request. */
enum log_level token_outcome_level(enum token_outcome outcome);

/* Retry-After (RFC 9110 10.2.3), seconds or a date; 0: none or unreadable. Capped. */
uint32_t token_retry_after(struct sv value, int64_t now_s);

#endif

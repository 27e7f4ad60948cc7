/*
 * service_token - the access tokens of grant = client_credentials (RFC 6749 4.4)
 *
 * A service's own token names no user, so it is had once per process and configuration of the
 * service and shared by all sessions that may use the service; who asks was judged before, and is
 * judged again if it had to wait.
 * In memory alone: nothing of it is filed. One request at a time for each; renewed ahead of its
 * end while the old one still serves; after a failure held off, growing.
 */
#ifndef BFF_SERVICE_TOKEN_H
#define BFF_SERVICE_TOKEN_H

#include "broker/holdoff.h"
#include "broker/waiters.h"

#define SERVICE_TOKENS_MAX 1024 /* services times their configurations in use */

WARN_UNUSED enum err service_tokens_new(struct broker *b, struct service_tokens **ret);

/* Providers are stopped before: nothing is under way. Frees what waits without answers. */
void service_tokens_free(struct service_tokens **t);

/* Answers at once; or later by token_again(), to which the request's hash and use are. *r may be
 * NULL: ahead of time. digest: token_config_digest() of service. */
void service_token_ask(struct service_tokens *t, struct edition *ed,
		       const struct config_service *service, const unsigned char *digest,
		       struct request **r);

/* For whoever waited and may have it: what stands there now, or a failure. */
void service_token_answer(struct service_tokens *t, const unsigned char *digest,
			  struct request **r);

/* token.c: the token that this request waited for is there. */
void token_again(struct request **r);

/* Pure: what to do with this token, now. */
enum service_token_next {
	SERVICE_TOKEN_ANSWER = 1,
	SERVICE_TOKEN_ANSWER_AND_RENEW,
	SERVICE_TOKEN_FETCH,
};
enum service_token_next service_token_judge(int64_t left_ms, int64_t ttl_ms);

#endif

/*
 * push_reply - what the answer to a pushed authorization request says (RFC 9126 2.2, 2.3)
 *
 * Pure: the outcome of the transport in, a request_uri or the reason of its absence out.
 */
#ifndef BFF_PUSH_REPLY_H
#define BFF_PUSH_REPLY_H

#include "broker/http_client.h"
#include "common/buf.h"

#define PUSH_REPLY_MAX 16384
#define PUSH_URI_MAX 2048

struct push_answer {
	struct buf request_uri;
	const char *detail; /* constant word; "" with ERR_OK */
};

/* ERR_DENIED: refused (4xx), asking again will not help. ERR_UNAVAILABLE: out of reach, throttled,
 * or no such answer. *ret is written always; end it with push_answer_done(). */
WARN_UNUSED enum err push_reply_read(const struct http_response *r, struct push_answer *ret);
void push_answer_done(struct push_answer *a);

#endif

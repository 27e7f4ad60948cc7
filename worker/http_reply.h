/*
 * http_reply - composes one HTTP/1.1 answer
 *
 * Begin, headers, end; everything goes straight into one buffer, which holds whole answers only:
 * http_reply_end() takes back what was composed when anything failed (limit, memory, a value that
 * would break the framing) and says so. Content-Length is always there but where the answer lasts,
 * a HEAD gets no body, and a value with CR, LF, NUL or another control character is a failure,
 * never an injected header. Pure.
 */
#ifndef BFF_HTTP_REPLY_H
#define BFF_HTTP_REPLY_H

#include "common/buf.h"

/* What the answer must respect of its request and connection. */
enum http_reply_flag {
	HTTP_REPLY_HEAD = 1,	   /* HEAD: Content-Length, no body */
	HTTP_REPLY_CLOSE = 2,	   /* the connection ends after this answer */
	HTTP_REPLY_KEEP_ALIVE = 4, /* an HTTP/1.0 client asked for it: say so */
	HTTP_REPLY_LASTS = 8,	   /* no Content-Length: the body ends with the connection */
	HTTP_REPLY_CHUNKED = 16,   /* or with its last chunk; the caller makes the chunks */
};

struct http_reply {
	struct buf *out;
	size_t from; /* where this answer starts in out */
	unsigned status;
	unsigned flags;
	bool bad;
};

/* Starts an answer at the end of out. status is one http_reply knows the phrase of. */
void http_reply_begin(struct http_reply *r, struct buf *out, unsigned status, unsigned flags);

/* One header line. An empty value is written as one ("Authorization: "). */
void http_reply_header(struct http_reply *r, struct sv name, struct sv value);

/* Set-Cookie, with what a cookie_set_...() or cookie_clear_...() left in the buffer, which is wiped
 * and may be used again. */
void http_reply_cookie(struct http_reply *r, struct buf *cookie);

void http_reply_header_u64(struct http_reply *r, struct sv name, uint64_t value);

/* Closes the head and adds the body (type empty: no Content-Type). On failure out is as it was
 * before http_reply_begin(): ERR_LIMIT, or ERR_SYNTAX for a header that must not be. */
WARN_UNUSED enum err http_reply_end(struct http_reply *r, struct sv type, struct sv body);

/* Appends s as a JSON string with its quotes. Bytes that are no ASCII are passed on. */
void http_json_string(struct buf *b, struct sv s);

/* {"error":"<word>","login_url":"<url>"}; without login_url when it is empty. */
void http_json_error(struct buf *b, struct sv word, struct sv login_url);

#endif

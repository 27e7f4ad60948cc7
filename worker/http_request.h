/*
 * http_request - one request's head: where it ends, and what stands in it
 *
 * http_scan() finds the end of a head as bytes come in, and refuses at once what can never become
 * one: a bare CR or LF, other control characters, a folded line. http_request_parse() then
 * has llhttp (strict) read the whole head in one go, so all views point into the caller's buffer
 * and no view is ever in two pieces. Beyond llhttp, refused are: a version other than 1.0 and
 * 1.1, a header name that is no token, Transfer-Encoding together with Content-Length or in 1.0,
 * more than one Host, none in 1.1. Pure; allocates nothing.
 */
#ifndef BFF_HTTP_REQUEST_H
#define BFF_HTTP_REQUEST_H

#include "worker/http_field.h"

struct http_scan {
	size_t at;   /* where the next look starts */
	size_t line; /* where the line under the eye starts */
};

enum http_scanned { HTTP_SCAN_MORE = 1, HTTP_SCAN_DONE, HTTP_SCAN_BAD };

/* Goes on where the last call stopped; `data` starts at the head's first byte and has grown. DONE:
 * the head is data[0, s->at), its empty line included; s->at == 2 is an empty line before any. */
enum http_scanned http_scan(struct http_scan *s, struct sv data);

struct http_request {
	struct sv method;
	struct sv target; /* as sent */
	struct http_fields fields;
	unsigned minor; /* HTTP/1.minor */
	bool keep_alive;
	bool has_body; /* Content-Length above 0, or Transfer-Encoding */
	bool chunked;
	uint64_t content_length;
};

/* head: exactly what http_scan() found. fields: room for max of them. Returns 0, or the status to
 * refuse with: 400, 431, 505. *ret_word: a constant word for the log. */
WARN_UNUSED unsigned http_request_parse(struct sv head, struct http_field *fields, size_t max,
					struct http_request *ret, const char **ret_word);

#endif

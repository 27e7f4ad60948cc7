/*
 * http_client - HTTP requests to providers, on the broker's loop
 *
 * libcurl's multi interface on libevent. One request is one flight: one easy handle, one answer or
 * one failure, then one call of `fn`, from the loop and never from within http_client_send().
 * No redirects, proxies, cookies, compression or HTTP/2; TLS 1.2 or later, verified. An http URL
 * is taken only under HTTP_LOOPBACK_TOO, and its socket connects to a loopback address or not at
 * all. Caps: flights, bytes of head and body, the whole time of a request.
 *
 * SECURITY: each request has a connection of its own. A POST on a reused one that turned out dead
 * libcurl would send a second time by itself, and a refresh token must not be sent twice; and
 * libcurl does not know under which http_trust a connection was made. TLS sessions are resumed
 * (http_trust.h), which spares half of a handshake. Bodies we hold are wiped; libcurl keeps copies
 * of its own which we cannot reach.
 */
#ifndef BFF_HTTP_CLIENT_H
#define BFF_HTTP_CLIENT_H

#include <event2/event.h>

#include "broker/http_url.h"
#include "common/buf.h"
#include "common/metrics.h"
#include "common/trace.h"

#define HTTP_FLIGHTS_MAX 256
#define HTTP_LOGIN_FLIGHTS_MAX 128 /* of them, those that strangers cause */
#define HTTP_HEAD_MAX (64 * 1024)
#define HTTP_BODY_MAX (256 * 1024)
#define HTTP_RETRY_AFTER_MAX 64 /* characters of the header's value; a longer one is ignored */

struct http_client;
struct http_flight;
struct http_trust; /* http_trust.h */

enum http_outcome {
	HTTP_ANSWERED = 1, /* a whole answer, any status */
	HTTP_NOT_SENT,	   /* no byte of the request left */
	HTTP_UNKNOWN,	   /* sent at least in part: the peer may have acted on it */
};

/* Valid during the callback only; wiped after it. */
struct http_response {
	enum http_outcome outcome;
	int status;		/* 0 unless HTTP_ANSWERED */
	struct sv body;		/* empty unless HTTP_ANSWERED */
	struct sv retry_after;	/* as sent; empty: none */
	struct sv content_type; /* ditto */
	const char *detail;	/* constant word for the log: what failed; "" when answered */
};
typedef void (*http_fn)(void *arg, const struct http_response *r);

/* Anybody can cause the first steps of a login, as many as the rate of beginnings lets through; a
 * provider that is slow must not let them take the room of people who are logged in. */
enum http_share { HTTP_SHARE_ALL = 0, HTTP_SHARE_LOGIN };

struct http_request {
	struct sv url; /* copied */
	enum http_policy policy;
	struct sv authorization;	/* value of the header, copied; empty: none */
	const struct http_trust *trust; /* of https; outlives the flight */
	struct buf *form;		/* POST of a form: content is taken, `form` left empty.
					 * NULL: GET */
	bool (*before_send)(
	    void *before_arg); /* may be NULL; asked at most once, right before the first
				* byte; false: HTTP_NOT_SENT. It must not call into here. */
	void *before_arg;
	struct sv provider; /* its name, for metrics */
	enum metrics_request what;
	unsigned deadline_ms; /* of all of it; 0: TIMEOUT_IDP_MS, and never more */
	enum http_share share;
	http_fn fn;
	void *arg;
};

WARN_UNUSED enum err http_client_new(struct event_base *base, struct http_client **ret);

/* Requests are counted from here on. */
void http_client_count(struct http_client *c, struct metrics *m);
/* For those who know what an answer means. NULL: nothing is counted. Accepts NULL. */
struct metrics *http_client_metrics(const struct http_client *c);

/* What is sent from here on is because of this (a child of it goes as `traceparent`), until the
 * next call, with NULL: around a call of provider.h. Copied. Accepts a client of NULL. */
void http_client_trace(struct http_client *c, const struct trace *t);

/* Drops flights without calling back. Not from within a callback. */
void http_client_free(struct http_client **c);

/* ERR_OK: fn will be called, unless *ret_flight is canceled. ERR_LIMIT: too many flights (of the
 * share); ERR_DENIED, ERR_SYNTAX: the URL; ERR_NOMEM. On failure `form` is wiped too. */
WARN_UNUSED enum err http_client_send(struct http_client *c, const struct http_request *r,
				      struct http_flight **ret_flight);

/* Drops the flight without calling back and sets the pointer to NULL. Accepts NULL. */
void http_flight_cancel(struct http_flight **f);

#endif

/*
 * pages - the few pages of our own: fixed text, nothing of the request in it
 *
 * The logout page carries the CSRF token and the configured auth_path, both of ours, and nothing
 * else. Every page: CSP default-src 'none', no framing, no referrer, no-store.
 */
#ifndef BFF_PAGES_H
#define BFF_PAGES_H

#include "worker/request.h"

enum page {
	PAGE_LOGIN_FAILED = 1, /* 400 */
	PAGE_LOGIN_DENIED,     /* 403 */
	PAGE_LOGIN_LIMITED,    /* 429 */
	PAGE_UNAVAILABLE,      /* 503 */
	PAGE_LOGOUT,	       /* 200: the button */
};

/* Composes the answer. csrf: PAGE_LOGOUT's token, else empty. Retry-After is r->retry_after_s
 * or the default, for 429 and 503. */
enum step page_reply(struct request *r, enum page page, struct sv csrf);

#endif

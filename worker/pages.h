/*
 * pages - the few pages of our own: fixed text, nothing of the request in it
 *
 * The logout page carries the CSRF token and the configured auth_path, both of ours; the page that
 * sends a browser on to the provider carries a form from the broker. Every page: CSP default-src
 * 'none', no framing, no referrer, no-store; the one script there is goes by its hash.
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
	PAGE_LOGIN_LOOP,       /* 400: login_loop_cause() of r->session_why */
	PAGE_LOGGED_OUT,       /* 200 */
};

/* Composes the answer. csrf: PAGE_LOGOUT's token, else empty. Retry-After is r->retry_after_s
 * or the default, for 429 and 503. */
enum step page_reply(struct request *r, enum page page, struct sv csrf);

/* The headers that every page has, into an answer that was begun. */
void page_headers(struct request *r, struct sv csp);

#define PAGE_CSP "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
#define PAGE_SEND_ON_SCRIPT "document.forms[0].submit()"
#define PAGE_SEND_ON_CSP                                                                           \
	"default-src 'none'; script-src 'sha256-ePniVEkSivX/c7XWBGafqh8tSpiRrKiqYeqbG7N1TOE='; "   \
	"base-uri 'none'; frame-ancestors 'none'"

/* A page whose form posts to `action` by itself, or by its button where scripts do not run. `form`
 * is form-encoded; of it the parameters of an end-session request are taken (RP-Initiated Logout
 * 2). ERR_SYNTAX, ERR_NOMEM. */
WARN_UNUSED enum err page_send_on(struct buf *body, struct sv action, struct sv form);

#endif

/*
 * pages - the few pages of our own: nothing of the request is in them but its correlation id
 *
 * Each is built in, or the app's own (page_files.h). The logout page carries the CSRF token and the
 * configured auth_path, both of ours; the page that sends a browser on to the provider carries a
 * form from the broker. Every page: CSP default-src 'none', no framing, no referrer, no-store; the
 * one script there is goes by its hash. An app's own may have styles, and images.
 */
#ifndef BFF_PAGES_H
#define BFF_PAGES_H

#include "worker/page_files.h"
#include "worker/request.h"

#define PAGE_BODY_MAX (PAGE_FILE_MAX + 8192) /* but for PAGE_SEND_ON: it is filled in */

/* Composes the answer: any page but PAGE_SEND_ON. csrf: PAGE_LOGOUT's token, else empty.
 * PAGE_LOGIN_LOOP names login_loop_cause() of r->session_why. Retry-After is r->retry_after_s or
 * the default, for 429 and 503. */
enum step page_reply(struct request *r, enum page page, struct sv csrf);

/* The headers that every page has, into an answer that was begun. */
void page_headers(struct request *r, struct sv csp);

#define PAGE_CSP_OF(script, more)                                                                  \
	"default-src 'none'; " script more "base-uri 'none'; frame-ancestors 'none'"
#define PAGE_CSP_SCRIPT "script-src 'sha256-ePniVEkSivX/c7XWBGafqh8tSpiRrKiqYeqbG7N1TOE='; "
#define PAGE_CSP_LOOKS "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
#define PAGE_CSP PAGE_CSP_OF("", "")
#define PAGE_SEND_ON_SCRIPT "document.forms[0].submit()"

/* Of the app's own page, or of the built-in one. */
struct sv page_csp(const struct request *r, enum page page);

/* PAGE_SEND_ON, whose form posts to `action` by itself, or by its button where scripts do not run.
 * `form` is form-encoded; of it the parameters of an end-session request are taken (RP-Initiated
 * Logout 2). ERR_SYNTAX, ERR_NOMEM. */
#define PAGE_SEND_ON_MAX (PAGE_FILE_MAX + 65536) /* with the longest form, escaped */
WARN_UNUSED enum err page_send_on(const struct request *r, struct sv action, struct sv form,
				  struct buf *body);

#endif

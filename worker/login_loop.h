/*
 * login_loop - logins that complete and are lost again
 *
 * A browser whose session cookie does not come back (or comes back to a host with other cookie
 * keys, or twice) is sent to the provider again and again, who lets it in without a question. A
 * counter in a cookie of the login's own origin, LOGIN_LOOP_WINDOW_S long, breaks that: with
 * LOGIN_LOOP_MAX completed logins in it, the next request for a login without a good session gets
 * a page that names the likely cause, and starts counting anew. A logout forgets the count. The
 * counter is the browser's own to forge: all it can do is to see the page, or not. Pure.
 */
#ifndef BFF_LOGIN_LOOP_H
#define BFF_LOGIN_LOOP_H

#include "common/config.h"
#include "worker/denial.h"
#include "worker/http_field.h"

#define LOGIN_LOOP_MAX 3
#define LOGIN_LOOP_WINDOW_S 60
#define LOGIN_LOOP_VALUE_MAX 16

/* How many logins completed within the window that ends now. now_s: clock_wall_s(). */
unsigned login_loop_count(struct http_fields f, const struct config_origin *origin, int64_t now_s);

/* The cookie's value after one more; out: LOGIN_LOOP_VALUE_MAX. */
struct sv login_loop_next(struct http_fields f, const struct config_origin *origin, int64_t now_s,
			  char out[LOGIN_LOOP_VALUE_MAX]);

/* Why a session did not stick, as a sentence for the person; NULL: for this reason sessions end
 * as they should (logout, idle, revoked), or none can be told (an outage). */
const char *login_loop_cause(enum reason why);

#endif

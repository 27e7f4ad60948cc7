/*
 * logout_return - where a browser goes after logout, and how it is known when it comes back
 *
 * RP-Initiated Logout 2 and 3: a browser that is sent to the provider's end-session endpoint takes
 * a fresh state along and has a cookie with the same, and with the place that its logout leads to.
 * The provider sends it back to our logout endpoint, on the app's login_origin where there is one;
 * with the cookie_domain that goes with such a login_origin the cookie reaches there from any of
 * the app's origins. The server keeps nothing. Cookie value: base64url of the state, '.', and the
 * place as a decimal number. Who comes without the state that belongs to its cookie is led nowhere.
 * Pure.
 */
#ifndef BFF_LOGOUT_RETURN_H
#define BFF_LOGOUT_RETURN_H

#include "worker/cookie.h"

/* Places: the app's after_logout in their order or, without any, "/" of each of its origins. The
 * place for `wish`, which must be one of after_logout letter by letter, else the default: the
 * first, or the origin's own. */
size_t logout_place(const struct config_app *app, const struct config_origin *origin,
		    struct sv wish);

/* Appends its URL. ERR_RANGE: there is none of that number. */
WARN_UNUSED enum err logout_place_url(const struct config_app *app, size_t place, struct buf *out);

/* Appends the value of one Set-Cookie field. */
void logout_return_set(struct buf *out, const struct config_app *app,
		       const struct config_origin *origin,
		       const unsigned char state[COOKIE_SECRET_LEN], size_t place);

/* Whether a browser with these fields may be led on: NULL, and the URL is appended, else a constant
 * word: "no_cookie", "two_cookies", "cookie", "no_state", "other_state". */
const char *logout_return_refusal(struct http_fields f, const struct config_app *app,
				  const struct config_origin *origin, struct sv state,
				  struct buf *url);

#endif

/*
 * return_to - where a browser may be sent after login and logout
 *
 * The wish is read as a browser would read it (WHATWG URL), but whatever a browser
 * would repair is refused: control characters, TAB and newlines anywhere, white space, '\',
 * user information, '@' or '%' in the authority, non-ASCII, a path that url.h refuses. Taken are an
 * absolute http or https URL, and a path that starts with exactly one '/' (resolved against the
 * origin of the request). It is allowed when its origin is one of the app's origins or of its
 * return_to list, exactly (scheme, host, port). Pure.
 */
#ifndef BFF_RETURN_TO_H
#define BFF_RETURN_TO_H

#include "common/buf.h"
#include "common/config.h"

#define RETURN_TO_MAX                                                                              \
	2048 /* bytes of the wish, its origin aside: a relative one comes back absolute */

/*
 * Appends the absolute URL to `out`: the wish when it is allowed (true), else the default
 * (false): "/" of `current`, the origin that the request came to, or of the app's first origin
 * when current is NULL or the login_origin (there is no page there). An empty wish is not allowed,
 * and no attack. A fragment stays.
 */
bool return_to_judge(const struct config_app *app, const struct config_origin *current,
		     struct sv wish, struct buf *out);

#endif

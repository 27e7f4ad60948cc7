/*
 * csrf - did the app's own page cause this request?
 *
 * Token: base64url of HMAC-SHA-256(session secret, "bff csrf v1"); a page reads it from the
 * cookie bff_csrf or from /auth/session and sends it as X-CSRF-Token. Asked of requests that
 * carry a session: those with an unsafe method (anything but GET, HEAD and OPTIONS; unknown
 * ones are unsafe) and WebSocket handshakes, which are safe by method and yet are not.
 * Origins compare as whole strings with the app's; "null" is none of them. Pure.
 */
#ifndef BFF_CSRF_H
#define BFF_CSRF_H

#include "common/config.h"
#include "worker/http_field.h"

#define CSRF_TOKEN_LEN 43 /* characters */

enum csrf_outcome {
	CSRF_OK = 1,
	CSRF_TOKEN,  /* no token, two, or a wrong one: error "csrf" */
	CSRF_ORIGIN, /* Origin or Sec-Fetch-Site speak against it: error "origin" */
};

/* Writes CSRF_TOKEN_LEN characters, no NUL. secret: the session's 32 bytes. ERR_CRYPTO. */
WARN_UNUSED enum err csrf_token(struct sv secret, char out[CSRF_TOKEN_LEN]);

/* In constant time. */
bool csrf_token_is(struct sv secret, struct sv got);

/* GET, HEAD or OPTIONS. */
bool csrf_method_is_safe(struct sv method);

/* Is this text exactly one of the app's origins, or its login_origin? */
bool csrf_origin_is_own(const struct config_app *app, struct sv origin);

/*
 * A WebSocket: Origin must be there and the app's; no token (a page cannot set one). A safe
 * method: OK. Else Origin, if there, must be the app's; Sec-Fetch-Site, if there, must be
 * same-origin, or same-site together with such an Origin; X-CSRF-Token must be the
 * session's.
 */
enum csrf_outcome csrf_check(const struct config_app *app, struct sv method, bool websocket,
			     struct http_fields f, struct sv secret);

#endif

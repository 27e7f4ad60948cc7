/*
 * denial - how "no" is said: to the log in full, to the browser in one of a few fixed ways
 *
 * A reason (reason.def, closed) belongs to one kind of denial; the kind and the edge's dialect
 * make status, headers and body. Only a denial that asks for a login carries a URL, made of the
 * app's configured login origin, a validated return target and, for a step-up (RFC 9470), the
 * route's acr and max_age. Nothing else of the request is echoed but an allow-listed Origin.
 *
 * nginx takes headers from a denial and never its body. There a 401 with Location asks for a
 * redirect, any other 401 has the URL in X-Login-URL, and X-Error is what the body would say; from
 * these the sample makes it again: no byte of a login URL needs an escape in JSON (see login_url).
 */
#ifndef BFF_DENIAL_H
#define BFF_DENIAL_H

#include "worker/request.h"

enum denial {
	DENIAL_LOGIN = 1,   /* 302 or 401 */
	DENIAL_STEP_UP,	    /* the same, for a login that the route's acr and max_age ask for */
	DENIAL_BAD,	    /* 400 */
	DENIAL_FORBIDDEN,   /* 403 "forbidden" */
	DENIAL_CSRF,	    /* 403 "csrf" */
	DENIAL_ORIGIN,	    /* 403 "origin" */
	DENIAL_UPSTREAM,    /* 502 */
	DENIAL_UNAVAILABLE, /* 503 with Retry-After */
};

enum reason {
	REASON_NONE = 0,
#define REASON(name, word, denial) REASON_##name,
#include "worker/reason.def"
#undef REASON
};

const char *reason_word(enum reason why);
enum denial reason_denial(enum reason why);

/* Composes the denial of a verify request and logs it, once. detail: a constant word, or NULL. */
COLD enum step deny(struct request *r, enum reason why, const char *detail);

/* The same log line for a handler that composes its own answer. */
void deny_log(const struct request *r, enum reason why, const char *detail);

/* What a failed broker call means (r->waited, r->failure). */
enum reason reason_of_broker(const struct request *r);

/* Appends "?name=value" or "&name=value", escaped, to a URL; nothing for an empty value. */
void login_url_add(struct buf *url, const char *name, struct sv value);

/* Appends "<login origin><auth_path>/login?return_to=<escaped>". return_to empty: left out.
 * SECURITY: '"', '\\' and control characters are in no part of it, since config.h lets none into an
 * origin or an auth_path; the nginx sample puts it into JSON as it is. */
void login_url(const struct config_app *app, const struct config_origin *origin,
	       struct sv return_to, struct buf *out);

#endif

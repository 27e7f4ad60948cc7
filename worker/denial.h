/*
 * denial - how "no" is said: to the log in full, to the browser in one of a few fixed ways
 *
 * A reason (reason.def, closed) belongs to one kind of denial; the kind and the edge's dialect
 * make status, headers and body. Only a denial that asks for a login carries a URL, made of the
 * app's configured login origin and a validated return target. Nothing else of the request is
 * echoed but an allow-listed Origin.
 */
#ifndef BFF_DENIAL_H
#define BFF_DENIAL_H

#include "worker/request.h"

enum denial {
	DENIAL_LOGIN = 1,   /* 302 or 401 */
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
enum step deny(struct request *r, enum reason why, const char *detail);

/* The same log line for a handler that composes its own answer. */
void deny_log(const struct request *r, enum reason why, const char *detail);

/* What a failed broker call means (r->waited, r->failure). */
enum reason reason_of_broker(const struct request *r);

/* Appends "<login origin><auth_path>/login?return_to=<escaped>". return_to empty: left out. */
void login_url(const struct config_app *app, const struct config_origin *origin,
	       struct sv return_to, struct buf *out);

/* Appends s escaped for a query value: all but unreserved characters. */
void url_escape(struct buf *out, struct sv s);

#endif

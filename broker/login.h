/*
 * login - one login of a browser, from its beginning to its session
 *
 * login_begin() (login.c), login_park() (login_park.c: a response that came by POST) and
 * login_finish() (login_finish.c) are handlers of dispatch.h; the state between them lives in
 * PostgreSQL alone, so that any host can finish any login. Every finish, and a beginning that
 * fails, leaves a row in bff.logins, unless it was one too many: what anybody can send is limited
 * by address prefix and in all, beginnings and responses each for themselves, before anything is
 * done.
 *
 * SECURITY: the row is used up before the code is exchanged; the issuer and the browser's binding
 * are checked before either; the session's secret is made here and stored nowhere.
 */
#ifndef BFF_LOGIN_H
#define BFF_LOGIN_H

#include "broker/request.h"

/* What a row of bff.logins says; empty where unknown. */
struct login_note {
	struct sv app, provider, subject, client;
	const char *outcome; /* "ok" or ipc_error_word() */
	const char *detail;  /* constant word, or NULL */
	const char *correlation;
	struct sv trace_id; /* for the log alone */
};
/* Best effort: without a database there is no row, but there is the log line. */
void login_note(struct broker *b, const struct login_note *n);

/* Takes one of who's from the limiter; false: there is none, and the request is answered. */
bool login_allowed(struct request **r, struct rate_limit *l, struct sv who, const char *detail);

#endif

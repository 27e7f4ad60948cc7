/*
 * login_past - what the session that came along brings to a login that begins
 *
 * A provider that gives tokens no more without the person may demand something of the next
 * authorization request (Entra's `claims`, kept by grant_challenged()): it is taken here, once. And
 * a silent login says whom it is about (Core 3.1.2.1). Nothing comes of a session that is over, of
 * another app or of another provider.
 */
#ifndef BFF_LOGIN_PAST_H
#define BFF_LOGIN_PAST_H

#include "broker/broker.h"

struct login_past {
	struct sv claims;	 /* view into the rows; empty: nothing is demanded */
	struct sv hint;		 /* view into the rows: e-mail or preferred name, or empty */
	struct secret *id_token; /* NULL: none */
};

/* session: the cookie's secret, IPC_SECRET_LEN bytes. */
WARN_UNUSED enum err login_past_ask(struct broker *b, const struct config_app *app,
				    struct sv session, pg_fn fn, void *arg);

/* Of the answer; end it with login_past_done(). ERR_PROTOCOL: not one row. */
WARN_UNUSED enum err login_past_read(const struct pg_rows *rows, const struct keyring *ring,
				     struct login_past *ret);
void login_past_done(struct login_past *p);

#endif

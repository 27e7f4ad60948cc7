/*
 * client_binding - which browser a session was made for (bind_session of an app)
 *
 * The first 16 bytes of HMAC-SHA-256(session secret, label, what is bound, SHA-256 of the
 * User-Agent, address prefix): keyed with the session's own secret, so that it needs no key and
 * says nothing to whoever reads it. It stands in the cookie under the tag, so nobody but us
 * writes one, and the database needs to know nothing of it. What an app does not bind does not
 * enter; what it binds does by name, so that a change of the option ends the sessions made
 * before (their users log in again). Pure.
 *
 * It hinders whoever took a cookie alone to another place; whoever took it together with the
 * User-Agent and stands behind the same network is not hindered. A browser's update changes its
 * User-Agent: one login more.
 */
#ifndef BFF_CLIENT_BINDING_H
#define BFF_CLIENT_BINDING_H

#include "worker/cookie.h"

/* user_agent: as sent, or empty; address: the client's, as text. ERR_CRYPTO. */
WARN_UNUSED enum err client_binding(const struct config_app *app, struct sv secret,
				    struct sv user_agent, struct sv address,
				    unsigned char out[COOKIE_CLIENT_LEN]);

/* Whether this session may be used from there: always, where the app binds nothing. */
bool client_binding_holds(const struct config_app *app, const struct cookie_session *s,
			  struct sv user_agent, struct sv address);

#endif

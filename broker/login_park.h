/*
 * login_park - a response that came by POST (OAuth 2.0 Form Post Response Mode)
 *
 * The browser's cookies do not come with it (SameSite=Lax), so nothing can be judged yet: the
 * response is sealed into the row of its state, once, and the browser comes back with a GET that
 * names the state alone. The code never stands in a URL. login_park() is a handler of dispatch.h;
 * login_finish.c opens what it put away.
 */
#ifndef BFF_LOGIN_PARK_H
#define BFF_LOGIN_PARK_H

#include "broker/vault.h"

/* Empty where there is none. */
struct login_response {
	struct sv code, iss, error;
};

/* ERR_SYNTAX: a NUL in it; else as vault_seal(). */
WARN_UNUSED enum err login_response_seal(const struct keyring *ring, struct sv state_hash,
					 const struct login_response *r, struct buf *out);

/* ret's views borrow *room, which the caller frees on any outcome. */
WARN_UNUSED enum err login_response_open(const struct keyring *ring, struct sv state_hash,
					 struct sv sealed, struct secret **room,
					 struct login_response *ret);

#endif

/*
 * dispatch - which message may come when, and who answers it
 *
 * The table in dispatch.c is the whole of what a worker can ask. An unknown number, a message of
 * the other direction or out of its phase, or one that does not decode, drops the peer.
 */
#ifndef BFF_DISPATCH_H
#define BFF_DISPATCH_H

#include "broker/peer.h"

/* ERR_OK, or why the peer is to be dropped (logged here). */
WARN_UNUSED enum err dispatch_packet(struct peer *p, struct sv packet);

/* Handlers: take the request and answer it, now or later. Views in m borrow the packet. */
void login_begin(struct request **r, const struct ipc_login_begin *m);
void login_finish(struct request **r, const struct ipc_login_finish *m);
void login_park(struct request **r, const struct ipc_login_park *m);
void token_get(struct request **r, const struct ipc_token_get *m);
void logout(struct request **r, const struct ipc_logout *m);
void backchannel(struct request **r, const struct ipc_backchannel *m);

#endif

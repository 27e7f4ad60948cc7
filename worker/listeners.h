/*
 * listeners - what a worker makes of the `listen` sections: TLS, and whom they believe
 *
 * Made at the worker's start, where a name that is no user or a file that is no key is an error
 * (ERR_CONFIG, a sentence with the section's place): so a reload with a bad certificate leaves the
 * old workers serving. A listener believes
 *	on a Unix socket	the users of peer_users
 *	elsewhere		the networks of trusted_peers; with tls_client_ca, where those
 *				may be left out, a connection is there only for who has a
 *				certificate
 *	kind = metrics		whom it names, or everybody where it names nobody
 */
#ifndef BFF_LISTENERS_H
#define BFF_LISTENERS_H

#include "common/config.h"
#include "worker/peer.h"
#include "worker/tls.h"

/* What every user of another user namespace looks like (PrivateUsers= of systemd). */
#define LISTENERS_NOBODY 65534

struct listeners;

WARN_UNUSED enum err listeners_new(const struct config *c, struct listeners **ret,
				   struct errmsg *e);
void listeners_free(struct listeners **l);

/* NULL: none is spoken there. `listen` is one of that configuration's; l may be NULL. */
struct tls *listeners_tls(const struct listeners *l, const struct config_listen *listen);

bool listeners_trust(const struct listeners *l, const struct config_listen *listen,
		     const unsigned char peer[PEER_LEN]);

#endif

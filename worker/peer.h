/*
 * peer - who is at the other end of a connection: an address, or the user of a Unix socket
 *
 * Both in 16 bytes: an IPv6 address, IPv4 mapped; a user as a multicast address, which nobody can
 * connect from: twelve bytes 0xff and the uid. Pure, but for asking the kernel.
 */
#ifndef BFF_PEER_H
#define BFF_PEER_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "common/address.h"
#include "common/config.h"

#define PEER_LEN ADDRESS_LEN
#define PEER_TEXT 48 /* "user " and a number, or an address */

/* What accept() said of fd. ERR_IO: the kernel does not tell whose socket it is. */
WARN_UNUSED enum err peer_of(int fd, const struct sockaddr_storage *from,
			     unsigned char out[PEER_LEN]);

bool peer_is_user(const unsigned char peer[PEER_LEN], uid_t *ret);
bool peer_is_within(const unsigned char peer[PEER_LEN], const struct config_cidr *c);

/* "192.0.2.1", "2001:db8::1" or "user 33". */
void peer_text(const unsigned char peer[PEER_LEN], char out[PEER_TEXT]);

#endif

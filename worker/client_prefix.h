/*
 * client_prefix - whom a limit counts: an IPv4 /24, an IPv6 /48
 *
 * One person can have a whole such network, so single addresses would be no limit; a few hundred of
 * them would be none either, and a /48 has 256 /56. Pure.
 */
#ifndef BFF_CLIENT_PREFIX_H
#define BFF_CLIENT_PREFIX_H

#include "common/sv.h"

#define CLIENT_PREFIX_MAX 64 /* an IPv6 address, "/48" and room */

/* "192.0.2.0/24", "2001:db8:1::/48"; "unknown" for what is no address. In out. */
struct sv client_prefix(struct sv address, char out[CLIENT_PREFIX_MAX]);

#endif

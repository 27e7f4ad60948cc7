/*
 * address - IP addresses, as text and as 16 bytes
 *
 * An IPv4 address is its IPv4-mapped IPv6 address (RFC 4291 2.5.5.2), however it was written, so
 * that there is one form of each. Numeric alone: no zone, port, brackets or name. Pure.
 */
#ifndef BFF_ADDRESS_H
#define BFF_ADDRESS_H

#include "common/sv.h"

#define ADDRESS_LEN 16
#define ADDRESS_V4_AT 12 /* where the four bytes of an IPv4 address are */
#define ADDRESS_TEXT 46	 /* the longest, and a NUL */

/* ERR_SYNTAX: no address. */
WARN_UNUSED enum err address_parse(struct sv s, unsigned char ret[ADDRESS_LEN]);

/* four: in network order, as in a struct in_addr. */
void address_from_v4(const void *four, unsigned char ret[ADDRESS_LEN]);
bool address_is_v4(const unsigned char a[ADDRESS_LEN]);

/* "192.0.2.1" or "2001:db8::1" (RFC 5952). */
void address_text(const unsigned char a[ADDRESS_LEN], char out[ADDRESS_TEXT]);

#endif

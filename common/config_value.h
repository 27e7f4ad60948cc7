/*
 * config_value - from the text of one value to what it means
 *
 * Pure. ERR_SYNTAX when the text is no such value, ERR_RANGE when the value does not fit; the
 * caller, who knows file, line and option, makes the sentence. Nothing here takes a default or
 * a value without its unit.
 */
#ifndef BFF_CONFIG_VALUE_H
#define BFF_CONFIG_VALUE_H

#include "common/config.h"

/* Decimal, without sign and without a leading zero (010 is an error, not 8 and not 10). */
WARN_UNUSED enum err config_parse_count(struct sv s, uint64_t *ret);

/* yes, no, on, off, true, false. */
WARN_UNUSED enum err config_parse_bool(struct sv s, bool *ret);

/* A count and ms, s, m, h or d; "0s" is 0. */
WARN_UNUSED enum err config_parse_duration(struct sv s, int64_t *ret_ms);

/* A count and B, KiB or MiB. */
WARN_UNUSED enum err config_parse_size(struct sv s, uint64_t *ret_bytes);

/* The shortest text that config_parse_duration() or _size() gives the same value for. */
#define CONFIG_UNIT_TEXT 24
void config_format_duration(int64_t ms, char out[CONFIG_UNIT_TEXT]);
void config_format_size(size_t bytes, char out[CONFIG_UNIT_TEXT]);

/* A network, or one address; bits beyond the prefix must be 0. */
WARN_UNUSED enum err config_parse_cidr(struct sv s, struct config_cidr *ret);

/* The text of a network. */
#define CONFIG_CIDR_TEXT 64
void config_format_cidr(const struct config_cidr *c, char out[CONFIG_CIDR_TEXT]);

/* 127.0.0.1:7080, [::1]:7080 or unix:/run/x.sock. */
#define CONFIG_UNIX_PATH_MAX 107 /* struct sockaddr_un, less a NUL */
WARN_UNUSED enum err config_parse_address(struct sv s);

/* The path of "unix:/run/x.sock"; empty for an address of the network. */
struct sv config_unix_path(struct sv address);

/* A host name in ASCII, an IPv4 address, or an IPv6 address in brackets; writes it in lower case,
 * an IPv6 address in its canonical form, and NUL-terminated. ERR_LIMIT when out is too short. */
#define CONFIG_HOST_MAX 253
WARN_UNUSED enum err config_parse_host(struct sv s, char out[CONFIG_HOST_MAX + 1], size_t *ret_n);

/* localhost, *.localhost, 127.0.0.0/8, [::1]. */
bool config_host_is_loopback(struct sv host);

/* A name that a cookie may have as its Domain: at least two labels, no address. */
bool config_host_is_domain(struct sv host);

/* host is domain or below it, on whole labels. Both in lower case. */
bool config_host_within(struct sv host, struct sv domain);

/* scheme://host[:port] of http or https; the strings of ret point into out, which the caller keeps.
 */
#define CONFIG_ORIGIN_TEXT (2 * (CONFIG_HOST_MAX + 1) + 16)
WARN_UNUSED enum err config_parse_origin(struct sv s, char out[CONFIG_ORIGIN_TEXT],
					 struct config_origin *ret);

/* An absolute http or https URL: its origin, and what follows that (path, query, fragment; may be
 * empty), which points into s. */
WARN_UNUSED enum err config_parse_url(struct sv s, char out[CONFIG_ORIGIN_TEXT],
				      struct config_origin *ret, struct sv *ret_rest);

/* An absolute URI of any scheme, without fragment (RFC 8707). */
bool config_is_absolute_uri(struct sv s);

/* RFC 9110 5.6.2. */
bool config_is_token(struct sv s);

/* credential:NAME or an absolute path. */
bool config_is_secret_path(struct sv s);

/* One reference token of a JSON pointer, unescaped and NUL-terminated; false: no such token, or
 * longer than a claim's name may be (RFC 6901 3). */
bool config_pointer_token(struct sv token, char out[CONFIG_MAX_CLAIM + 1]);

/* A route's path in the one form that requests are compared in: starts with /, no empty, . or
 * .. segment, percent-encoding in capitals and only where it is needed, never of / or \. */
bool config_is_canonical_path(struct sv s);

#endif

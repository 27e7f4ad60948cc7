/*
 * forwarded - from what the edge says to the browser's request
 *
 * One profile a listener; each names a single source of method, URI, host, scheme and client
 * address, and nothing is guessed. Traefik, Caddy, nginx and HAProxy all use
 * X-Forwarded-Method, -Uri, -Host, -Proto and -For, as the samples in etc/edge/ set them; of
 * X-Forwarded-For the last entry counts in each, because that one the edge itself saw. Envoy
 * repeats the browser's request: method, target (behind its path_prefix) and Host are the verify
 * request's own, the others X-Forwarded-Proto and X-Real-IP, as its sample sets them.
 * X-Forwarded-Prefix, -Port and Forwarded (RFC 7239: Traefik passes the client's) are ignored.
 *
 * Refused, with the word for it:
 *
 *	header_missing	    one of the five is not there
 *	header_...	    field_rules.h
 *	families_disagree   another edge's name for one of the five says something else
 *	method_syntax	    no token
 *	method_refused	    CONNECT and TRACE: ERR_DENIED
 *	proto_syntax	    neither http, https, ws nor wss
 *	for_syntax	    the last entry is no numeric address
 *	host_dot	    a dot at its end
 *	host_port	    no port, zeros before one, or over 65535
 *	host_userinfo	    '@'
 *	host_idn	    bytes over 0x7e, or an escape; an xn-- label is as good as any
 *	host_syntax	    no DNS name or IP literal for other reasons
 *	uri_...		    url.h
 *
 * The host's letter case and the default port are normalised here, once. Pure.
 */
#ifndef BFF_FORWARDED_H
#define BFF_FORWARDED_H

#include "common/config.h"
#include "worker/field_rules.h"
#include "worker/url.h"

#define FORWARDED_ENVOY_PREFIX "/auth/verify"
#define FORWARDED_METHOD_MAX 32
#define FORWARDED_HOST_MAX 253
#define FORWARDED_ORIGIN_MAX (8 + FORWARDED_HOST_MAX + 2 + 6) /* https:// [host] :65535 */

/* The views point into the fields and into the struct itself: do not copy or move it. After a
 * failure its content means nothing. */
struct forwarded {
	struct sv method;
	struct url url;
	bool https;
	bool websocket;	  /* Sec-WebSocket-Key or -Version, or a scheme of ws or wss */
	struct sv host;	  /* lower-case; IPv6 literals in brackets */
	uint16_t port;	  /* always set */
	struct sv origin; /* serialised (RFC 6454 6.2): what config_origin.text holds */
	struct sv client; /* a numeric address */
	char host_buf[FORWARDED_HOST_MAX + 2];
	char origin_buf[FORWARDED_ORIGIN_MAX];
};

/*
 * Of a verify request, whose own method and target (with the prefix) count with Envoy alone.
 * `injected`: every header name that an answer of ours makes the edge set (identity_names()).
 * ERR_SYNTAX (400), ERR_DENIED (403), ERR_UNSUPPORTED (EDGE_NONE), each with
 * a constant word for the log.
 */
WARN_UNUSED enum err forwarded_verify(enum config_edge edge, struct sv method, struct sv target,
				      struct http_fields fields, const struct injected *injected,
				      struct forwarded *ret, const char **ret_reason);

/*
 * Of a request to the browser-facing listener: method and target are the request line's, the
 * host is Host's, the scheme is X-Forwarded-Proto's (without one: http), the client is the
 * last entry of X-Forwarded-For (without one: `peer`). Errors as above.
 */
WARN_UNUSED enum err forwarded_public(struct sv method, struct sv target, struct http_fields fields,
				      struct sv peer, struct forwarded *ret,
				      const char **ret_reason);

/* Parses "host" or "host:port" with default port 443 or 80, lower-cases the host into host_buf and
 * fills host, port, origin of *f (https must be set). ERR_SYNTAX. */
WARN_UNUSED enum err forwarded_host(struct sv text, struct forwarded *f);

#endif

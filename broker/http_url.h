/*
 * http_url - which addresses the broker talks to
 *
 * Pure. Judges the URLs of configuration and metadata before libcurl sees them: absolute, https
 * (or http on a loopback name, where the provider allows it), printable ASCII, no user
 * information, no fragment, at most HTTP_URL_MAX bytes.
 */
#ifndef BFF_HTTP_URL_H
#define BFF_HTTP_URL_H

#include "common/sv.h"

#define HTTP_URL_MAX 2048

enum http_policy {
	HTTP_ONLY_HTTPS = 1,
	HTTP_LOOPBACK_TOO, /* insecure_loopback: also http to 127.0.0.0/8, ::1 and localhost names
			    */
};

/* ERR_SYNTAX, ERR_LIMIT, ERR_DENIED (scheme or host not allowed). */
WARN_UNUSED enum err http_url_check(struct sv url, enum http_policy policy);

#endif

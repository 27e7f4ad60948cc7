/*
 * endpoint - which endpoint a request line names
 *
 * Pure. The browser-facing listener has the app's endpoints under its auth_path and the alias
 * /api/auth/session; verify is not among them. The verify listener has /auth/verify and
 * /auth/forward and nothing else, whatever query comes with them; Envoy's has all below
 * /auth/verify/, which is the browser's own path.
 */
#ifndef BFF_ENDPOINT_H
#define BFF_ENDPOINT_H

#include "common/config.h"

enum endpoint {
	ENDPOINT_NONE = 0,
#define ENDPOINT(name, word) ENDPOINT_##name,
#include "worker/endpoint.def"
#undef ENDPOINT
};

/* path: before the '?'. */
enum endpoint endpoint_public(struct sv path, struct sv auth_path);
enum endpoint endpoint_verify(struct sv path, enum config_edge edge);
enum endpoint endpoint_metrics(struct sv path);

/* May this method be used there? */
bool endpoint_takes(enum endpoint e, struct sv method);
/* The value of Allow. */
struct sv endpoint_allow(enum endpoint e);

#endif

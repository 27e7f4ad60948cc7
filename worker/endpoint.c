#include "worker/endpoint.h"

#include "worker/forwarded.h"

static const struct {
	struct sv path;
	enum endpoint endpoint;
} below_auth[] = {
    {{"/login", 6}, ENDPOINT_LOGIN},
    {{"/callback", 9}, ENDPOINT_CALLBACK},
    {{"/logout", 7}, ENDPOINT_LOGOUT},
    {{"/session", 8}, ENDPOINT_SESSION},
    {{"/health", 7}, ENDPOINT_HEALTH},
    {{"/backchannel-logout", 19}, ENDPOINT_BACKCHANNEL},
    {{"/session/events", 15}, ENDPOINT_EVENTS},
};

enum endpoint endpoint_public(struct sv path, struct sv auth_path)
{
	if (sv_eq(path, SV("/api/auth/session")))
		return ENDPOINT_SESSION;
	if (sv_eq(path, SV("/api/auth/session/events")))
		return ENDPOINT_EVENTS;
	if (!sv_starts(path, auth_path))
		return ENDPOINT_NONE;
	path = sv_cut(path, auth_path.n, path.n);
	for (size_t i = 0; i < ARRAY_LEN(below_auth); i++)
		if (sv_eq(path, below_auth[i].path))
			return below_auth[i].endpoint;
	return ENDPOINT_NONE;
}

enum endpoint endpoint_verify(struct sv path, enum config_edge edge)
{
	bool is = edge == EDGE_ENVOY
		      ? sv_starts(path, SV(FORWARDED_ENVOY_PREFIX "/"))
		      : sv_eq(path, SV("/auth/verify")) || sv_eq(path, SV("/auth/forward"));

	return is ? ENDPOINT_VERIFY : ENDPOINT_NONE;
}

enum endpoint endpoint_metrics(struct sv path)
{
	if (sv_eq(path, SV("/livez")))
		return ENDPOINT_LIVEZ;
	if (sv_eq(path, SV("/metrics")))
		return ENDPOINT_METRICS;
	return sv_eq(path, SV("/readyz")) ? ENDPOINT_READYZ : ENDPOINT_NONE;
}

struct sv endpoint_allow(enum endpoint e)
{
	switch (e) {
	case ENDPOINT_LOGIN:
	case ENDPOINT_CALLBACK:
	case ENDPOINT_LOGOUT:
		return SV("GET, POST");
	case ENDPOINT_BACKCHANNEL:
		return SV("POST");
	case ENDPOINT_SESSION:
	case ENDPOINT_EVENTS:
	case ENDPOINT_HEALTH:
	case ENDPOINT_LIVEZ:
	case ENDPOINT_READYZ:
	case ENDPOINT_METRICS:
		return SV("GET, HEAD");
	case ENDPOINT_NONE:
	case ENDPOINT_VERIFY:
		return SV_NONE;
	}
	return SV_NONE;
}

bool endpoint_takes(enum endpoint e, struct sv method)
{
	bool get = sv_eq(method, SV("GET"));

	switch (e) {
	case ENDPOINT_LOGIN:
	case ENDPOINT_CALLBACK:
	case ENDPOINT_LOGOUT:
		return get || sv_eq(method, SV("POST"));
	case ENDPOINT_BACKCHANNEL:
		return sv_eq(method, SV("POST"));
	case ENDPOINT_SESSION:
	case ENDPOINT_EVENTS:
	case ENDPOINT_HEALTH:
	case ENDPOINT_LIVEZ:
	case ENDPOINT_READYZ:
	case ENDPOINT_METRICS:
		return get || sv_eq(method, SV("HEAD"));
	case ENDPOINT_VERIFY:
		return true;
	case ENDPOINT_NONE:
		return false;
	}
	return false;
}

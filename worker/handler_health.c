#include "worker/handlers.h"
#include "worker/worker.h"

static enum step answer(struct request *r, unsigned status, struct sv body)
{
	request_reply(r, status);
	return request_end(r, SV("application/json"), body);
}

/* In public: whether it works, not why it does not. */
enum step health_reply(struct request *r)
{
	bool ok = pg_ready(r->w->pg) && broker_client_up(r->w->broker);

	return answer(r, ok ? 200 : 503,
		      ok ? SV("{\"status\":\"ok\"}") : SV("{\"status\":\"degraded\"}"));
}

enum step livez_reply(struct request *r)
{
	return answer(r, 200, SV("{\"status\":\"ok\"}"));
}

/* Database and configuration; never the provider, nor what asks it. */
enum step readyz_reply(struct request *r)
{
	if (r->w->draining)
		return answer(r, 503, SV("{\"status\":\"draining\"}"));
	if (!pg_ready(r->w->pg))
		return answer(r, 503, SV("{\"status\":\"no_database\"}"));
	return answer(r, 200, SV("{\"status\":\"ok\"}"));
}

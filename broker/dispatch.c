#include "broker/dispatch.h"

#include "broker/count.h"
#include "broker/token_memory.h"
#include "common/log.h"

static enum err on_hello(struct peer *p, const struct ipc_message *m)
{
	return peer_hello(p, m->id, &m->u.hello);
}

/* A request that could not be taken on was answered, but without memory for it: then the worker's
 * own patience ends. The peer stays either way. */
#define REQUEST_HANDLER(name)                                                                      \
	static enum err on_##name(struct peer *p, const struct ipc_message *m)                     \
	{                                                                                          \
		struct request *r = NULL;                                                          \
                                                                                                   \
		if (peer_request(p, m, m->u.name.correlation, &r) == ERR_OK) {                     \
			trace_read(m->u.name.traceparent, &r->trace);                              \
			name(&r, &m->u.name);                                                      \
		}                                                                                  \
		return ERR_OK;                                                                     \
	}
REQUEST_HANDLER(login_begin)
REQUEST_HANDLER(login_finish)
REQUEST_HANDLER(login_park)
REQUEST_HANDLER(logout)
REQUEST_HANDLER(backchannel)

/* First from what is in memory: then no struct request is made. */
static enum err on_token_get(struct peer *p, const struct ipc_message *m)
{
	struct request *r = NULL;

	if (!token_memory_answer(p, m->id, &m->u.token_get) &&
	    peer_request(p, m, m->u.token_get.correlation, &r) == ERR_OK) {
		trace_read(m->u.token_get.traceparent, &r->trace);
		token_get(&r, &m->u.token_get);
	}
	return ERR_OK;
}

static enum err on_metrics_get(struct peer *p, const struct ipc_message *m)
{
	count_tell(p, m->id, &m->u.metrics_get);
	return ERR_OK;
}

static const struct row {
	enum ipc_number number;
	enum ipc_phase phase;
	enum err (*fn)(struct peer *p, const struct ipc_message *m);
} rows[] = {
    {IPC_HELLO, IPC_PHASE_HELLO, on_hello},
    {IPC_LOGIN_BEGIN, IPC_PHASE_OPEN, on_login_begin},
    {IPC_LOGIN_FINISH, IPC_PHASE_OPEN, on_login_finish},
    {IPC_LOGIN_PARK, IPC_PHASE_OPEN, on_login_park},
    {IPC_TOKEN_GET, IPC_PHASE_OPEN, on_token_get},
    {IPC_LOGOUT, IPC_PHASE_OPEN, on_logout},
    {IPC_BACKCHANNEL, IPC_PHASE_OPEN, on_backchannel},
    {IPC_METRICS_GET, IPC_PHASE_OPEN, on_metrics_get},
};

enum err dispatch_packet(struct peer *p, struct sv packet)
{
	struct ipc_message m = {0};
	enum err rc = ipc_decode(packet, &m);

	if (rc != ERR_OK) {
		log_peer(LOG_WARN, "peer_dropped", KU("peer", p->serial),
			 K("why", "packet does not decode"));
		return rc;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].number == m.number && rows[i].phase == p->phase)
			return rows[i].fn(p, &m);
	log_peer(LOG_WARN, "peer_dropped", KU("peer", p->serial), K("message", m.name),
		 K("why", "not a message of this side or this phase"));
	return ERR_PROTOCOL;
}

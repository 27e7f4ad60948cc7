#include "broker/peer.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/dispatch.h"
#include "common/ipc_listen.h"
#include "common/ipc_socket.h"
#include "common/log.h"

static enum err on_packet(void *arg, struct sv packet)
{
	return dispatch_packet(arg, packet);
}

static void on_close(void *arg, enum err why)
{
	struct peer *p = arg;

	log_info("peer_closed", KU("peer", p->serial), K("why", err_text(why)));
	peer_free(&p);
}

static const struct ipc_socket_events events = {.on_packet = on_packet, .on_close = on_close};

void peer_accept(struct broker *b, int *fd)
{
	struct peer *p = NULL;
	uid_t uid = 0;

	if (ipc_peer_uid(*fd, &uid) != ERR_OK || uid != b->peer_uid) {
		log_peer(LOG_WARN, "peer_refused", K("why", "uid is not that of broker.peer_user"),
			 KU("uid", uid), KU("peer_user", b->peer_uid));
		goto refused;
	}
	if (b->npeers >= BROKER_PEERS_MAX) {
		log_peer(LOG_WARN, "peer_refused", K("why", "too many peers"),
			 KU("peers", b->npeers));
		goto refused;
	}
	p = calloc(1, sizeof *p);
	if (p == NULL || ipc_socket_new(b->base, fd, &events, p, &p->socket) != ERR_OK) {
		log_peer(LOG_WARN, "peer_refused", K("why", "out of memory"));
		goto refused;
	}
	p->broker = b;
	p->phase = IPC_PHASE_HELLO;
	p->serial = ++b->peer_serials;
	p->next = b->peers;
	p->prev = &b->peers;
	if (p->next != NULL)
		p->next->prev = &p->next;
	b->peers = p;
	b->npeers++;
	return;
refused:
	free(p);
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

void peer_free(struct peer **pp)
{
	struct peer *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	for (struct request *r = p->requests; r != NULL; r = r->next)
		r->peer = NULL;
	*p->prev = p->next;
	if (p->next != NULL)
		p->next->prev = p->prev;
	p->broker->npeers--;
	ipc_socket_free(&p->socket);
	edition_unref(&p->edition);
	if (p->broker->draining)
		broker_drained(p->broker);
	free(p);
}

void peer_close_idle(struct peer **p)
{
	if ((*p)->nrequests == 0)
		peer_free(p);
}

enum err peer_answer(struct peer *p, uint32_t id, const struct ipc_message *m)
{
	struct buf *packet = &p->broker->packet;
	enum err encoded = ipc_encode(packet, id, m), sent = ERR_OK;

	if (encoded == ERR_OK)
		sent = ipc_socket_send(p->socket, buf_sv(packet));
	buf_clear(packet);
	/* on_close follows or the worker's own timeout; there is nobody else to tell. */
	if (sent != ERR_OK)
		log_peer(LOG_WARN, "peer_not_reading", KU("peer", p->serial),
			 K("why", err_text(sent)));
	return encoded;
}

/* Looked for again while it is unknown; NULL: still unknown. */
static struct edition *edition_of(struct peer *p)
{
	if (p->edition == NULL) {
		p->edition = editions_find(&p->broker->editions,
					   sv_of((const char *)p->digest, sizeof p->digest));
		if (p->edition != NULL)
			edition_ref(p->edition);
	}
	return p->edition;
}

enum err peer_hello(struct peer *p, uint32_t id, const struct ipc_hello *m)
{
	const struct ipc_message welcome = {
	    .number = IPC_WELCOME,
	    .u.welcome = {.fingerprint = ipc_fingerprint(), .build = SV(BFF_VERSION)}};
	enum err rc;

	if (m->fingerprint != welcome.u.welcome.fingerprint || m->digest.n != sizeof p->digest) {
		log_error("peer_dropped", KU("peer", p->serial),
			  K("why", "another protocol: mixed old and new binaries?"),
			  KS("build", m->build), K("own_build", BFF_VERSION));
		return ERR_PROTOCOL;
	}
	memcpy(p->digest, m->digest.p, sizeof p->digest);
	p->phase = IPC_PHASE_OPEN;
	rc = peer_answer(p, id, &welcome);
	if (edition_of(p) == NULL)
		log_error("config_skew", KU("peer", p->serial),
			  K("why", "the worker's configuration is not that of our file"),
			  K("then", "its requests fail with config_skew"));
	else
		log_info("peer_open", KU("peer", p->serial), KS("build", m->build));
	return rc;
}

enum err peer_request(struct peer *p, const struct ipc_message *m, struct sv correlation,
		      struct request **ret)
{
	struct request *r = calloc(1, sizeof *r);
	uint32_t key_id = 0;
	struct sv key;

	if (r == NULL)
		return ERR_NOMEM;
	r->broker = p->broker;
	r->peer = p;
	r->id = m->id;
	r->name = m->name;
	r->message = metrics_message(m->number);
	assert(correlation.n <= IPC_NAME_MAX); /* ipc_decode() saw to it */
	if (correlation.n > 0)
		memcpy(r->correlation, correlation.p, correlation.n);
	r->next = p->requests;
	r->prev = &p->requests;
	if (r->next != NULL)
		r->next->prev = &r->next;
	p->requests = r;
	p->nrequests++;
	if (p->nrequests > PEER_REQUESTS_MAX) {
		request_fail(&r, IPC_ERROR_INTERNAL,
			     (struct request_failure){.retry_after_s = 1, .detail = "too_many"});
		return ERR_LIMIT;
	}
	if (keyring_primary(p->broker->ring, &key_id, &key) != ERR_OK) {
		request_fail(&r, IPC_ERROR_STORE,
			     (struct request_failure){.retry_after_s = 1, .detail = "no_key"});
		return ERR_UNAVAILABLE;
	}
	r->edition = edition_of(p);
	if (r->edition == NULL) {
		request_fail(&r, IPC_ERROR_CONFIG_SKEW, request_detail("config_skew"));
		return ERR_CONFIG;
	}
	edition_ref(r->edition);
	*ret = r;
	return ERR_OK;
}

#include "broker/request.h"

#include <stdlib.h>

#include "broker/peer.h"
#include "common/log.h"

/* Unlinks, frees, and closes the peer when it was the last one of a drain. */
static void finish(struct request **r)
{
	struct request *q = *r;
	struct broker *b = q->broker;
	struct peer *p = q->peer;

	*r = NULL;
	if (p != NULL) {
		*q->prev = q->next;
		if (q->next != NULL)
			q->next->prev = q->prev;
		p->nrequests--;
	}
	edition_unref(&q->edition);
	free(q);
	if (b->draining)
		broker_drained(b);
}

void request_answer(struct request **r, enum err encoded, struct buf *packet)
{
	if (encoded != ERR_OK) {
		buf_done(packet);
		log_error("answer_not_encoded", K("message", (*r)->name),
			  K("why", err_text(encoded)));
		request_fail(r, IPC_ERROR_INTERNAL, request_detail("answer_not_encoded"));
		return;
	}
	metrics_count((*r)->broker->metrics, METRIC_B_REQUESTS,
		      METRICS_AT((*r)->message, metrics_answer(ERR_OK, IPC_ERROR_NONE)));
	if ((*r)->peer != NULL)
		peer_send((*r)->peer, buf_sv(packet));
	buf_done(packet);
	finish(r);
}

void request_fail(struct request **r, enum ipc_error code, struct request_failure why)
{
	struct ipc_failure m = {.code = code,
				.retry_after_s = why.retry_after_s,
				.return_to = why.return_to,
				.detail = sv_str(why.detail)};
	struct buf packet;

	log_peer(LOG_INFO, "request_failed", K("message", (*r)->name),
		 K("code", ipc_error_word(code)), K("detail", why.detail),
		 K("correlation", (*r)->correlation), KS_IF("trace_id", trace_id(&(*r)->trace)));
	metrics_count((*r)->broker->metrics, METRIC_B_REQUESTS,
		      METRICS_AT((*r)->message, metrics_answer(ERR_OK, code)));
	buf_init(&packet, IPC_FRAME_MAX);
	if (ipc_encode_failure(&packet, (*r)->id, &m) == ERR_OK && (*r)->peer != NULL)
		peer_send((*r)->peer, buf_sv(&packet));
	buf_done(&packet);
	finish(r);
}

void request_fail_store(struct request **r, enum err e)
{
	request_fail(r, IPC_ERROR_STORE,
		     (struct request_failure){.retry_after_s = 1, .detail = err_text(e)});
}

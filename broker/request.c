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

void request_answer(struct request **r, const struct ipc_message *m)
{
	struct request *q = *r;
	enum err e = q->peer == NULL ? ERR_OK : peer_answer(q->peer, q->id, m);

	if (e != ERR_OK) {
		log_error("answer_not_encoded", K("message", q->name), K("why", err_text(e)));
		request_fail(r, IPC_ERROR_INTERNAL, request_detail("answer_not_encoded"));
		return;
	}
	metrics_count(q->broker->metrics, METRIC_B_REQUESTS,
		      METRICS_AT(q->message, metrics_answer(ERR_OK, IPC_ERROR_NONE)));
	finish(r);
}

void request_fail(struct request **r, enum ipc_error code, struct request_failure why)
{
	const struct ipc_message m = {.number = IPC_FAILURE,
				      .u.failure = {.code = code,
						    .retry_after_s = why.retry_after_s,
						    .return_to = why.return_to,
						    .detail = sv_str(why.detail)}};
	struct request *q = *r;

	log_peer(LOG_INFO, "request_failed", K("message", q->name), K("code", ipc_error_word(code)),
		 K("detail", why.detail), K("correlation", q->correlation),
		 KS_IF("trace_id", trace_id(&q->trace)));
	metrics_count(q->broker->metrics, METRIC_B_REQUESTS,
		      METRICS_AT(q->message, metrics_answer(ERR_OK, code)));
	if (q->peer != NULL && peer_answer(q->peer, q->id, &m) != ERR_OK)
		log_error("answer_not_encoded", K("message", q->name),
			  K("then", "the worker's own timeout ends it"));
	finish(r);
}

void request_fail_store(struct request **r, enum err e)
{
	request_fail(r, IPC_ERROR_STORE,
		     (struct request_failure){.retry_after_s = 1, .detail = err_text(e)});
}

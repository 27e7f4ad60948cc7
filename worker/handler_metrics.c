/* handler_metrics - /metrics: what the workers and the master count, and what the broker does. */
#include "common/contract.h"
#include "common/metrics_text.h"
#include "worker/count.h"
#include "worker/handlers.h"
#include "worker/worker.h"

static enum err ask(struct request *r, uint32_t cursor);

/* A broker that is away, slow or of little memory is one that is missing: the rest is told. */
static void on_piece(void *arg, enum err e, const struct ipc_message *m)
{
	struct request *r = arg;

	r->call = NULL;
	if (e == ERR_OK && m->number != IPC_METRICS)
		e = ERR_UNAVAILABLE;
	if (e == ERR_OK) {
		buf_add(&r->form, m->u.metrics.text);
		e = buf_ok(&r->form) ? ERR_OK : ERR_LIMIT;
	}
	if (e == ERR_OK && m->u.metrics.next != 0) {
		e = ask(r, m->u.metrics.next);
		if (e == ERR_OK)
			return;
	}
	r->waited = e;
	request_resume(r);
}

static enum err ask(struct request *r, uint32_t cursor)
{
	const struct ipc_message m = {
	    .number = IPC_METRICS_GET,
	    .u.metrics_get = {.cursor = cursor},
	};

	return request_ask(r, &m, IPC_METRICS, TIMEOUT_METRICS_MS, on_piece);
}

enum step metrics_ask(struct request *r)
{
	r->form.max = METRICS_TEXT_MAX;
	r->waited = ask(r, 0);
	return r->waited == ERR_OK ? STEP_WAIT : STEP_NEXT;
}

static enum err compose(const struct request *r, struct buf *text)
{
	const struct metrics *m = count_metrics(r->w->count);
	uint32_t cursor = 0;
	enum err e = ERR_OK;

	metrics_print_one(text, METRIC_UP, SV_NONE, 1);
	metrics_print_one(text, METRIC_BUILD_INFO, SV("version=\"" BFF_VERSION "\""), 1);
	metrics_print_one(text, METRIC_BROKER_UP, SV_NONE, r->waited == ERR_OK);
	if (m != NULL)
		e = metrics_print(m, METRICS_WORKER | METRICS_MASTER, &cursor, text);
	if (r->waited == ERR_OK)
		buf_add(text, buf_sv(&r->form));
	return e == ERR_OK && cursor == 0 && buf_ok(text) ? ERR_OK : ERR_LIMIT;
}

enum step metrics_reply(struct request *r)
{
	struct buf text;
	enum step step;
	enum err e;

	count_sample(r->w);
	buf_init(&text, METRICS_TEXT_MAX);
	e = compose(r, &text);
	r->from.out->max = METRICS_TEXT_MAX + CONN_READ; /* more than an answer usually is */
	request_reply(r, e == ERR_OK ? 200 : 500);
	step = request_end(r, SV(METRICS_CONTENT_TYPE), e == ERR_OK ? buf_sv(&text) : SV_NONE);
	buf_done(&text);
	return step;
}

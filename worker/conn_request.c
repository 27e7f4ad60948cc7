#include "worker/conn_internal.h"

#include <errno.h>

#include "common/contract.h"
#include "common/log.h"
#include "worker/count.h"
#include "worker/http_reply.h"
#include "worker/worker.h"

static unsigned reply_flags(const struct conn *c)
{
	unsigned flags = c->last ? HTTP_REPLY_CLOSE : 0;

	if (!c->last && c->head.minor == 0)
		flags |= HTTP_REPLY_KEEP_ALIVE;
	if (sv_eq(c->head.method, SV("HEAD")))
		flags |= HTTP_REPLY_HEAD;
	return flags;
}

/* Refuses what never became a request. */
void conn_refuse(struct conn *c, unsigned status, const char *word)
{
	struct http_reply r;

	log_peer(LOG_INFO, "http_refused", KS("listen", c->listen->name), KU("status", status),
		 K("reason", word));
	count_refused(c->w, status);
	c->last = true;
	c->unread = true;
	buf_clear(&c->out);
	http_reply_begin(&r, &c->out, status, HTTP_REPLY_CLOSE);
	http_reply_header(&r, SV("Cache-Control"), SV("no-store"));
	if (http_reply_end(&r, SV_NONE, SV_NONE) != ERR_OK) {
		conn_close(c);
		return;
	}
	conn_write(c);
}

static void on_request_done(void *arg)
{
	struct conn *c = arg;

	/* An answer of last resort is composed by request.c; an empty buffer means no memory. */
	if (c->out.n == 0)
		conn_close(c);
	else
		conn_write(c);
}

static void start_request(struct conn *c)
{
	struct request_from from = {
	    .worker = c->w,
	    .listen = c->listen,
	    .peer = c->peer,
	    .fields = c->fields,
	    .head = &c->head,
	    .body = sv_of(c->in.p + c->head_len, c->body_len),
	    .out = &c->out,
	};

	c->last = c->last || !c->head.keep_alive || c->w->draining;
	from.reply_flags = reply_flags(c);
	c->state = CONN_BUSY; /* its deadline counts from the first wait on */
	if (conn_lend(c, &c->out) != ERR_OK ||
	    request_new(&from, on_request_done, c, &c->request) != ERR_OK) {
		conn_close(c);
		return;
	}
	if (request_run(c->request) == REQUEST_ANSWERED)
		on_request_done(c);
	else
		conn_set_state(c, CONN_BUSY);
}

/* The head is whole: parse it, and see whether a body is to be read. */
static void take_head(struct conn *c)
{
	size_t max = c->w->config->web.max_headers;
	const char *word = "memory";
	unsigned status = 500;

	c->head_len = c->scan.at;
	c->body_len = 0;
	c->unread = false;
	c->last = false;
	c->head = (struct http_request){.minor = 1};
	c->fields = pool_get(&c->w->fields, max * sizeof *c->fields);
	if (c->fields != NULL)
		status = http_request_parse(sv_of(c->in.p, c->head_len), c->fields, max, &c->head,
					    &word);
	if (status != 0) {
		conn_refuse(c, status, word);
		return;
	}
	if (c->head.has_body) {
		size_t want = request_body_max(c->listen, &c->head);

		if (c->head.chunked || c->head.content_length > want) {
			c->last = true;
			c->unread = true;
		} else {
			c->body_len = (size_t)c->head.content_length;
		}
	}
	if (c->in.n >= c->head_len + c->body_len) {
		start_request(c);
		return;
	}
	conn_set_state(c, CONN_BODY);
	c->more = false;
}

static void scan_head(struct conn *c)
{
	switch (http_scan(&c->scan, buf_sv(&c->in))) {
	case HTTP_SCAN_BAD:
		conn_refuse(c, 400, "malformed");
		return;
	case HTTP_SCAN_MORE:
		if (c->in.n >= c->w->config->web.max_head)
			conn_refuse(c, 431, "max_head");
		return;
	case HTTP_SCAN_DONE:
		break;
	}
	if (c->scan.at == 2) { /* one empty line before a request is let pass (RFC 9112 2.2) */
		buf_consume(&c->in, 2);
		c->scan = (struct http_scan){0};
		c->more = c->in.n > 0;
		return;
	}
	if (c->scan.at > c->w->config->web.max_head) {
		conn_refuse(c, 431, "max_head");
		return;
	}
	take_head(c);
}

/* The buffer may have moved while the body came, and every view of the head points into it: the
 * same bytes, parsed where they stand now. */
static void start_with_body(struct conn *c)
{
	const char *word = "memory";
	unsigned status = http_request_parse(sv_of(c->in.p, c->head_len), c->fields,
					     c->w->config->web.max_headers, &c->head, &word);

	if (status != 0)
		conn_refuse(c, status, word);
	else
		start_request(c);
}

/* Most heads come whole: only of one that does not the time is taken. */
static void first_bytes(struct conn *c)
{
	c->state = CONN_HEAD;
	scan_head(c);
	if (c->state == CONN_HEAD || c->state == CONN_BODY)
		conn_set_head_deadline(c);
}

/* As far as the bytes in the buffer go. Never nested: what is pipelined is a loop, no recursion. */
void conn_run(struct conn *c)
{
	c->more = true;
	if (c->running)
		return;
	c->running = true;
	while (c->more && c->in.n > 0) {
		c->more = false;
		if (c->state == CONN_IDLE)
			first_bytes(c);
		else if (c->state == CONN_HEAD)
			scan_head(c);
		else if (c->state == CONN_BODY && c->in.n >= c->head_len + c->body_len)
			start_with_body(c);
	}
	c->running = false;
	if (c->eof && (c->state == CONN_IDLE || c->state == CONN_HEAD || c->state == CONN_BODY))
		conn_close(c); /* a request that will never be whole */
}

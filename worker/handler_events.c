#include "worker/denial.h"
#include "worker/handlers.h"
#include "worker/session.h"
#include "worker/worker.h"

#define GREETING_MAX (2 * SESSION_EVENTS_TEXT_MAX + 64)

/* The field is missing, or once and one of these (empty: not given). */
static bool is_one_of(const struct request *r, enum http_name name, struct sv a, struct sv b)
{
	struct sv v = SV_NONE;
	enum err e = http_fields_one(r->fields, name, &v);

	return e == ERR_NOT_FOUND || (e == ERR_OK && v.n > 0 && (sv_eq(v, a) || sv_eq(v, b)));
}

/* SECURITY: that a session ends, or is used, tells about a person. A page of another origin could
 * not read the stream, but would learn from its being there; so it is for this origin alone. */
enum step events_origin(struct request *r)
{
	if (!is_one_of(r, HTTP_ORIGIN, r->origin->text, SV_NONE))
		return deny(r, REASON_ORIGIN, "origin");
	if (!is_one_of(r, HTTP_SEC_FETCH_SITE, SV("same-origin"), SV("none")))
		return deny(r, REASON_ORIGIN, "sec_fetch_site");
	return STEP_NEXT;
}

static enum step too_many(struct request *r)
{
	r->retry_after_s = SESSION_EVENTS_BUSY_S;
	return deny(r, REASON_STREAMS, NULL);
}

enum step events_reply(struct request *r)
{
	bool head = (r->from.reply_flags & HTTP_REPLY_HEAD) != 0;
	const struct session_stream_of of = {.hash = r->hash,
					     .app = r->app->name,
					     .idle_left_ms = r->session.idle_left_ms,
					     .absolute_left_ms = r->session.absolute_left_ms,
					     .chunked = r->from.head->minor > 0};
	struct buf greeting;
	enum step step;

	if (r->session_why == REASON_STORE)
		return deny(r, REASON_STORE, NULL);
	if (!r->session.live)
		return session_none(r);
	if (!head && session_stream_open(r->w->events, &of, &r->stream) != ERR_OK)
		return too_many(r);
	buf_init(&greeting, GREETING_MAX);
	request_reply(r, 200);
	r->reply.flags |= HTTP_REPLY_LASTS | (of.chunked ? HTTP_REPLY_CHUNKED : 0);
	if (!head) {
		session_stream_greet(r->stream, &greeting);
		r->reply.flags |= HTTP_REPLY_CLOSE;
	}
	http_reply_header(&r->reply, SV("X-Accel-Buffering"), SV("no"));
	step = request_end(r, SV("text/event-stream"), buf_sv(&greeting));
	buf_done(&greeting);
	if (r->reply.status != 200) /* it could not be composed */
		session_stream_free(&r->stream);
	return step;
}

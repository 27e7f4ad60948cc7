#include "worker/request.h"

#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/count.h"
#include "worker/denial.h"
#include "worker/endpoint.h"
#include "worker/handlers.h"
#include "worker/session.h"
#include "worker/session_events.h"
#include "worker/worker.h"

static enum step phase_peer(struct request *r);
static enum step phase_endpoint(struct request *r);

/* The spine. */
static const request_phase first[] = {phase_peer, phase_endpoint, NULL};
static const request_phase verify[] = {verify_forwarded, verify_route, verify_session,
				       verify_policy,	 verify_token, verify_fresh,
				       verify_reply,	 NULL};
static const request_phase login[] = {login_loop, login_begin, login_begun, NULL};
static const request_phase callback[] = {callback_ask, callback_answered, callback_stale, NULL};
static const request_phase logout[] = {logout_check, logout_answered, logout_ended, NULL};
static const request_phase backchannel[] = {backchannel_ask, backchannel_answered, NULL};
static const request_phase session[] = {session_find, session_reply, NULL};
static const request_phase events[] = {events_origin, session_find, events_reply, NULL};
static const request_phase health[] = {health_reply, NULL};
static const request_phase livez[] = {livez_reply, NULL};
static const request_phase readyz[] = {readyz_reply, NULL};
static const request_phase metrics[] = {metrics_ask, metrics_reply, NULL};

static const request_phase *const phases_of[] = {
    [ENDPOINT_NONE] = NULL,
    [ENDPOINT_LOGIN] = login,
    [ENDPOINT_CALLBACK] = callback,
    [ENDPOINT_LOGOUT] = logout,
    [ENDPOINT_BACKCHANNEL] = backchannel,
    [ENDPOINT_SESSION] = session,
    [ENDPOINT_EVENTS] = events,
    [ENDPOINT_HEALTH] = health,
    [ENDPOINT_VERIFY] = verify,
    [ENDPOINT_LIVEZ] = livez,
    [ENDPOINT_READYZ] = readyz,
    [ENDPOINT_METRICS] = metrics,
};

size_t request_body_max(const struct config_listen *listen, const struct http_request *head)
{
	struct sv path = sv_cut(head->target, 0, sv_find(head->target, '?'));

	if (listen->kind != LISTEN_PUBLIC || !sv_eq(head->method, SV("POST")))
		return 0;
	return sv_ends(path, SV("/logout")) || sv_ends(path, SV("/backchannel-logout")) ||
		       sv_ends(path, SV("/login")) || sv_ends(path, SV("/callback"))
		   ? REQUEST_BODY_MAX
		   : 0;
}

static enum err take_id(struct request_ids *ids, char out[REQUEST_CORRELATION_LEN])
{
	unsigned char *at;

	if (ids->left == 0) {
		if (crypt_random(ids->bytes, sizeof ids->bytes) != ERR_OK)
			return ERR_CRYPTO;
		ids->left = REQUEST_IDS;
	}
	at = ids->bytes + --ids->left * REQUEST_CORRELATION_BYTES;
	(void)b64url_encode(at, REQUEST_CORRELATION_BYTES, out); /* fills out exactly */
	explicit_bzero(at, REQUEST_CORRELATION_BYTES);
	return ERR_OK;
}

size_t request_size(void)
{
	return sizeof(struct request);
}

enum err request_new(const struct request_from *from, void (*done)(void *arg), void *arg,
		     struct request **ret)
{
	struct request *r = pool_get(&from->worker->requests, sizeof *r);

	if (r == NULL)
		return ERR_NOMEM;
	/* All zero: request_free() wiped it. */
	if (take_id(&from->worker->ids, r->correlation) != ERR_OK) {
		pool_put(&from->worker->requests, r);
		return ERR_CRYPTO;
	}
	r->from = *from;
	r->w = from->worker;
	r->fields = from->head->fields;
	r->done = done;
	r->arg = arg;
	r->phases = first;
	r->session_why = REASON_NO_COOKIE;
	buf_init(&r->token, IPC_FORM_MAX);
	buf_init(&r->target, IPC_URL_MAX);
	buf_init(&r->form, REQUEST_FORM_MAX);
	r->begun_us = r->now_us = clock_boot_us();
	count_begun(r);
	*ret = r;
	return ERR_OK;
}

void request_free(struct request **p)
{
	struct request *r = *p;
	struct worker *w;

	if (r == NULL)
		return;
	count_over(r);
	pg_call_cancel(&r->query);
	broker_cancel(&r->call);
	cookie_session_wipe(&r->cookie);
	session_stream_free(&r->stream);
	session_entry_free(&r->own);
	pool_put(&r->w->chunks, buf_take_back(&r->cookies, CONN_CHUNK));
	buf_done(&r->token);
	buf_done(&r->target);
	buf_done(&r->form);
	w = r->w;
	explicit_bzero(r, sizeof *r);
	pool_put(&w->requests, r);
	*p = NULL;
}

enum request_state request_run(struct request *r)
{
	assert(!r->in_run);
	r->in_run = true;
	for (;;) {
		request_phase phase = r->phases[r->at++];

		assert(phase != NULL); /* the last phase of every table answers */
		switch (phase(r)) {
		case STEP_NEXT:
			continue;
		case STEP_WAIT:
			/* Memory may let go of it before we come back. */
			r->entry = NULL;
			r->session = (struct request_session){0};
			count_waits(r);
			r->in_run = false;
			return REQUEST_WAITING;
		case STEP_ANSWER:
			count_answered(r);
			r->in_run = false;
			return REQUEST_ANSWERED;
		}
	}
}

void request_resume(struct request *r)
{
	r->now_us = clock_boot_us();
	if (request_run(r) == REQUEST_ANSWERED)
		r->done(r->arg);
}

struct sv request_correlation(const struct request *r)
{
	return sv_of(r->correlation, sizeof r->correlation);
}

struct trace request_trace(const struct request *r)
{
	struct trace t = {.n = 0};

	if (r->is_believed)
		trace_read(request_field(r, HTTP_TRACEPARENT), &t);
	return t;
}

struct sv request_field(const struct request *r, enum http_name name)
{
	struct sv v = SV_NONE;

	return http_fields_one(r->fields, name, &v) == ERR_OK ? v : SV_NONE;
}

enum err request_form(struct request *r, struct sv text, struct form_field *fields, size_t n)
{
	/* Room for query and body from the start: what is decoded does not move. */
	size_t room = r->fw.url.query.n + r->from.body.n + 1;
	enum err e;

	if (r->form.p == NULL && buf_reserve(&r->form, room) == NULL)
		return ERR_LIMIT;
	e = form_parse(text, fields, n, r->form.p + r->form.n);
	r->form.n += text.n;
	return e;
}

enum err request_body_form(struct request *r, struct form_field *fields, size_t n)
{
	struct sv type = request_field(r, HTTP_CONTENT_TYPE);

	type = sv_trim(sv_cut(type, 0, sv_find(type, ';')));
	if (!sv_eq_nocase(type, SV("application/x-www-form-urlencoded")))
		return ERR_UNSUPPORTED;
	return request_form(r, r->from.body, fields, n);
}

enum err request_ask(struct request *r, const struct ipc_message *m, enum ipc_number answer,
		     int64_t timeout_ms, broker_fn fn)
{
	uint32_t id = broker_next_id(r->w->broker);
	struct buf packet;
	enum err e;

	buf_init(&packet, IPC_FRAME_MAX);
	e = ipc_encode(&packet, id, m);
	if (e == ERR_OK)
		e = broker_send(r->w->broker, id, answer, buf_sv(&packet), timeout_ms, fn, r,
				&r->call);
	buf_done(&packet);
	return e;
}

void request_keep_failure(struct request *r, const struct ipc_failure *m)
{
	size_t n = m->detail.n < sizeof r->failure_detail ? m->detail.n : 0;

	r->failure = m->code == IPC_ERROR_NONE ? IPC_ERROR_INTERNAL : m->code;
	r->retry_after_s = m->retry_after_s;
	if (n > 0)
		memcpy(r->failure_detail, m->detail.p, n);
	r->failure_detail[n] = '\0';
	buf_clear(&r->target);
	buf_add(&r->target, m->return_to);
}

void request_reply(struct request *r, unsigned status)
{
	http_reply_begin(&r->reply, r->from.out, status, r->from.reply_flags);
	http_reply_header(&r->reply, SV("X-Correlation-ID"), request_correlation(r));
	http_reply_header(&r->reply, SV("Cache-Control"), SV("no-store"));
}

enum step request_end(struct request *r, struct sv type, struct sv body)
{
	enum err e = http_reply_end(&r->reply, type, body);

	if (e == ERR_OK)
		return STEP_ANSWER;
	log_error("answer_failed", K("error", err_text(e)), KU("status", r->reply.status),
		  KS("id", request_correlation(r)));
	request_reply(r, 500);
	if (http_reply_end(&r->reply, SV_NONE, SV_NONE) != ERR_OK)
		log_error("answer_impossible", KS("id", request_correlation(r)));
	return STEP_ANSWER;
}

/* What a stranger says about where it comes from is not even looked at. */
static void disbelieve_forwarded(struct request *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->fields.n; i++) {
		struct http_field f = r->fields.v[i];

		if (!sv_eq_nocase(sv_cut(f.name, 0, 12), SV("X-Forwarded-")))
			r->from.fields[n++] = f;
	}
	r->fields = http_fields_of(r->from.fields, n);
}

static enum step phase_peer(struct request *r)
{
	const struct config_listen *l = r->from.listen;
	uid_t uid;

	r->is_believed = listeners_trust(r->w->listeners, l, r->from.peer);
	if (r->is_believed)
		return STEP_NEXT;
	count_untrusted(r);
	if (l->kind != LISTEN_PUBLIC || peer_is_user(r->from.peer, &uid)) {
		peer_text(r->from.peer, r->peer_text);
		return deny(r, REASON_PEER, r->peer_text);
	}
	disbelieve_forwarded(r);
	return STEP_NEXT;
}

static enum step refuse(struct request *r, unsigned status, struct sv word, enum endpoint e)
{
	struct buf body;
	enum step step;

	buf_init(&body, 256);
	http_json_error(&body, word, SV_NONE);
	request_reply(r, status);
	if (status == 405)
		http_reply_header(&r->reply, SV("Allow"), endpoint_allow(e));
	step = request_end(r, SV("application/json"), buf_sv(&body));
	buf_done(&body);
	return step;
}

/* Empty for a user of this machine: only the edge knows the client's address. */
static struct sv peer_address(struct request *r)
{
	uid_t uid;

	if (!peer_is_user(r->from.peer, &uid))
		peer_text(r->from.peer, r->peer_text);
	return sv_str(r->peer_text);
}

/* Which app, on which of its origins? 0, or the status to refuse with. */
static unsigned public_endpoint(struct request *r, enum endpoint *ret)
{
	const struct http_request *head = r->from.head;
	const char *why = NULL;
	struct sv word;

	if (forwarded_public(head->method, head->target, r->fields, peer_address(r), &r->fw,
			     &why) != ERR_OK) {
		deny_log(r, REASON_FORWARDED, why);
		return 400;
	}
	r->app = route_app(r->w->routes, r->fw.origin, &r->origin);
	if (r->app != NULL) {
		*ret = endpoint_public(r->fw.url.path, r->app->auth_path);
		return 0;
	}
	/* A health check comes under any name. */
	word = SV("/auth/health");
	*ret = sv_eq(r->fw.url.path, word) ? ENDPOINT_HEALTH : ENDPOINT_NONE;
	if (*ret == ENDPOINT_HEALTH)
		return 0;
	deny_log(r, REASON_HOST, NULL);
	return 421;
}

static enum step phase_endpoint(struct request *r)
{
	const struct http_request *head = r->from.head;
	struct sv path = sv_cut(head->target, 0, sv_find(head->target, '?'));
	enum endpoint e = ENDPOINT_NONE;
	unsigned status = 0;

	switch (r->from.listen->kind) {
	case LISTEN_VERIFY:
		e = endpoint_verify(path, r->from.listen->edge);
		break;
	case LISTEN_METRICS:
		e = endpoint_metrics(path);
		break;
	case LISTEN_PUBLIC:
		status = public_endpoint(r, &e);
		break;
	}
	if (status != 0)
		return refuse(r, status, status == 421 ? SV("unknown_host") : SV("bad_request"), e);
	if (e == ENDPOINT_NONE)
		return refuse(r, 404, SV("not_found"), e);
	if (!endpoint_takes(e, head->method))
		return refuse(r, 405, SV("method_not_allowed"), e);
	r->endpoint = e;
	r->phases = phases_of[e];
	r->at = 0;
	return STEP_NEXT;
}

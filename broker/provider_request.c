/* The requests of provider.h to the endpoints that want the client's authentication. */
#include <assert.h> /* static_assert */
#include <stdlib.h>

#include "broker/client_auth.h"
#include "broker/provider_call.h"
#include "broker/push_reply.h"
#include "broker/token_reply.h"
#include "broker/token_request.h"
#include "common/clock.h"
#include "common/log.h"

#define AUTHORIZATION_MAX (512 * 1024)

struct request {
	struct provider_call call; /* first */
	struct http_flight *flight;
	enum metrics_request what;
	struct event *soon;		      /* a revocation with nothing to ask */
	const struct config_service *service; /* refresh: outlives the call, as `config` does */
	enum http_share share;
	void (*canceled)(struct request *rq); /* calls back with ERR_CANCELED */
	union {
		provider_token_fn token;
		provider_revoke_fn revoke;
		provider_push_fn push;
	} fn;
	void *arg;
};

/* Off the list; the callback comes between this and request_free(). */
static void request_end(struct request *rq)
{
	TAILQ_REMOVE(&rq->call.provider->calls, &rq->call, link);
	http_flight_cancel(&rq->flight);
	if (rq->soon != NULL)
		event_free(rq->soon);
	rq->soon = NULL;
}

static void request_cancel(struct provider_call *call)
{
	struct request *rq = (struct request *)call;

	request_end(rq);
	rq->canceled(rq);
	free(rq);
}

static void token_canceled(struct request *rq)
{
	rq->fn.token(rq->arg, ERR_CANCELED, NULL);
}

static void revoke_canceled(struct request *rq)
{
	rq->fn.revoke(rq->arg, ERR_CANCELED, 0);
}

static void push_canceled(struct request *rq)
{
	rq->fn.push(rq->arg, ERR_CANCELED, SV_NONE, "");
}

static enum err request_new(struct provider *p, void (*canceled)(struct request *rq), void *arg,
			    struct request **ret)
{
	struct request *rq = calloc(1, sizeof *rq);

	if (rq == NULL)
		return ERR_NOMEM;
	rq->call.provider = p;
	rq->call.cancel = request_cancel;
	rq->canceled = canceled;
	rq->arg = arg;
	TAILQ_INSERT_TAIL(&p->calls, &rq->call, link);
	*ret = rq;
	return ERR_OK;
}

static_assert(TOKEN_OK == 1 && TOKEN_TOO_OFTEN == 9, "METRICS_WORDS_token in this order");

static void count(const struct provider *p, enum metrics_request what, enum token_outcome outcome)
{
	struct metrics *m = http_client_metrics(p->http);

	if (m != NULL)
		metrics_count(m, METRIC_B_TOKEN_REPLIES,
			      METRICS_AT(metrics_name(m, METRICS_provider, p->config->name), what,
					 (unsigned)outcome - 1));
}

static void on_token(void *arg, const struct http_response *r)
{
	struct request *rq = arg;
	struct provider *p = rq->call.provider;
	struct token_answer answer;

	rq->flight = NULL; /* http_client ends it */
	request_end(rq);
	token_reply_read(r, p->config->preset, rq->service, clock_wall_s(), &answer);
	count(p, rq->what, answer.reply.outcome);
	rq->fn.token(rq->arg, ERR_OK, &answer.reply);
	token_answer_done(&answer);
	free(rq);
}

/* RFC 7009 2.2: 200 also for a token the provider does not know. */
static void on_revoked(void *arg, const struct http_response *r)
{
	struct request *rq = arg;
	uint32_t after = 0;
	enum err e = ERR_UNAVAILABLE;

	rq->flight = NULL;
	request_end(rq);
	if (r->outcome == HTTP_ANSWERED) {
		after = token_retry_after(r->retry_after, clock_wall_s());
		if (r->status == 200)
			e = ERR_OK;
		else if (r->status >= 400 && r->status < 500 && r->status != 429)
			e = ERR_DENIED;
	}
	rq->fn.revoke(rq->arg, e, after);
	free(rq);
}

static void on_pushed(void *arg, const struct http_response *r)
{
	struct request *rq = arg;
	struct push_answer answer;
	enum err e;

	rq->flight = NULL;
	request_end(rq);
	e = push_reply_read(r, &answer);
	if (e == ERR_UNAVAILABLE)
		provider_breaker_failed(&rq->call.provider->pushes, r->retry_after);
	else
		provider_breaker_answered(&rq->call.provider->pushes);
	rq->fn.push(rq->arg, e, e == ERR_OK ? buf_sv(&answer.request_uri) : SV_NONE, answer.detail);
	push_answer_done(&answer);
	free(rq);
}

/* Adds the client's authentication and sends; the form is consumed on any outcome. */
static enum err post(struct request *rq, struct sv url, struct buf *form,
		     bool (*before_send)(void *arg), http_fn fn)
{
	struct provider *p = rq->call.provider;
	struct http_request r = {.url = url,
				 .policy = p->policy,
				 .trust = p->credential->trust,
				 .form = form,
				 .share = rq->share,
				 .provider = p->config->name,
				 .what = rq->what,
				 .before_send = before_send,
				 .before_arg = rq->arg,
				 .fn = fn,
				 .arg = rq};
	const struct client_auth auth = {.provider = p->config,
					 .credential = p->credential,
					 .rsa = p->discovery->assertion_rsa,
					 .token_endpoint = p->discovery->metadata.token_endpoint,
					 .now_s = clock_wall_s()};
	struct buf authorization;
	enum err e;

	buf_init(&authorization, AUTHORIZATION_MAX);
	e = client_auth_apply(&auth, form, &authorization);
	if (e == ERR_DENIED)
		log_error("assertion_refused", KS("provider", p->config->name),
			  K("why", "the token endpoint is not on the issuer's host"),
			  K("then", "nothing is asked of it; set assertion_audience = issuer"));
	if (e == ERR_OK && (!buf_ok(&authorization) || !buf_ok(form)))
		e = ERR_LIMIT;
	r.authorization = buf_sv(&authorization);
	if (e == ERR_OK)
		e = http_client_send(p->http, &r, &rq->flight);
	buf_done(&authorization);
	buf_done(form);
	return e;
}

/* Posts to the token endpoint; on failure nothing is left behind. */
static enum err post_token(struct provider *p, struct buf *form, enum metrics_request what,
			   const struct config_service *service, bool (*before_send)(void *arg),
			   provider_token_fn fn, void *arg)
{
	struct request *rq;
	enum err e = request_new(p, token_canceled, arg, &rq);

	if (e != ERR_OK) {
		buf_done(form);
		return e;
	}
	rq->what = what;
	rq->share = what == METRICS_REQUEST_CODE ? HTTP_SHARE_LOGIN : HTTP_SHARE_ALL;
	rq->service = service;
	rq->fn.token = fn;
	e = post(rq, p->discovery->metadata.token_endpoint, form, before_send, on_token);
	if (e != ERR_OK) {
		request_end(rq);
		free(rq);
	}
	return e;
}

enum err provider_code(struct provider *p, struct sv code, struct sv redirect_uri,
		       struct sv code_verifier, provider_token_fn fn, void *arg)
{
	struct buf form;

	if (p->discovery == NULL)
		return ERR_UNAVAILABLE;
	buf_init(&form, TOKEN_REQUEST_MAX);
	token_request_code(&form, code, redirect_uri, code_verifier);
	return post_token(p, &form, METRICS_REQUEST_CODE, NULL, NULL, fn, arg);
}

/* The composer's error, or the form is posted and consumed. */
static enum err post_composed(struct provider *p, enum err e, struct buf *form,
			      enum metrics_request what, const struct config_service *service,
			      bool (*before_send)(void *arg), provider_token_fn fn, void *arg)
{
	if (e == ERR_OK)
		return post_token(p, form, what, service, before_send, fn, arg);
	buf_done(form);
	return e;
}

enum err provider_refresh(struct provider *p, struct sv refresh_token,
			  const struct config_service *service, bool (*before_send)(void *arg),
			  provider_token_fn fn, void *arg)
{
	struct buf form;
	enum err e;

	if (p->discovery == NULL)
		return ERR_UNAVAILABLE;
	buf_init(&form, TOKEN_REQUEST_MAX);
	e = token_request_refresh(&form, refresh_token, p->config, service);
	return post_composed(p, e, &form, METRICS_REQUEST_REFRESH, service, before_send, fn, arg);
}

enum err provider_exchange(struct provider *p, struct sv subject_token,
			   const struct config_service *service, provider_token_fn fn, void *arg)
{
	struct buf form;
	enum err e;

	if (p->discovery == NULL)
		return ERR_UNAVAILABLE;
	buf_init(&form, TOKEN_REQUEST_MAX);
	e = token_request_exchange(&form, subject_token, p->config, service);
	return post_composed(p, e, &form, METRICS_REQUEST_EXCHANGE, service, NULL, fn, arg);
}

enum err provider_client_credentials(struct provider *p, const struct config_service *service,
				     provider_token_fn fn, void *arg)
{
	struct buf form;
	enum err e;

	if (p->discovery == NULL)
		return ERR_UNAVAILABLE;
	buf_init(&form, TOKEN_REQUEST_MAX);
	e = token_request_client_credentials(&form, p->config, service);
	return post_composed(p, e, &form, METRICS_REQUEST_CLIENT_CREDENTIALS, service, NULL, fn,
			     arg);
}

enum err provider_push(struct provider *p, struct buf *form, provider_push_fn fn, void *arg)
{
	struct request *rq;
	struct sv url;
	enum err e = p->discovery == NULL ? ERR_UNAVAILABLE : ERR_OK;

	if (e == ERR_OK) {
		url = p->discovery->metadata.pushed_authorization_request_endpoint;
		e = url.n == 0 ? ERR_UNSUPPORTED : ERR_OK;
	}
	if (e == ERR_OK)
		e = provider_breaker_admit(&p->pushes) ? request_new(p, push_canceled, arg, &rq)
						       : ERR_UNAVAILABLE;
	if (e != ERR_OK) {
		buf_done(form);
		return e;
	}
	rq->what = METRICS_REQUEST_PUSH;
	rq->share = HTTP_SHARE_LOGIN;
	rq->fn.push = fn;
	e = post(rq, url, form, NULL, on_pushed);
	if (e != ERR_OK) {
		request_end(rq);
		free(rq);
	}
	return e;
}

static void on_nothing_to_revoke(evutil_socket_t fd, short what, void *arg)
{
	struct request *rq = arg;

	(void)fd;
	(void)what;
	request_end(rq);
	rq->fn.revoke(rq->arg, ERR_OK, 0);
	free(rq);
}

enum err provider_revoke(struct provider *p, struct sv refresh_token, provider_revoke_fn fn,
			 void *arg)
{
	struct request *rq;
	struct buf form;
	enum err e;

	if (p->discovery == NULL)
		return ERR_UNAVAILABLE;
	e = request_new(p, revoke_canceled, arg, &rq);
	if (e != ERR_OK)
		return e;
	rq->what = METRICS_REQUEST_REVOKE;
	rq->fn.revoke = fn;
	if (p->discovery->metadata.revocation_endpoint.n == 0) {
		rq->soon = event_new(p->base, -1, 0, on_nothing_to_revoke, rq);
		if (rq->soon != NULL)
			event_active(rq->soon, EV_TIMEOUT, 0);
		else
			e = ERR_NOMEM;
	} else {
		buf_init(&form, TOKEN_REQUEST_MAX);
		token_request_revoke(&form, refresh_token);
		e = post(rq, p->discovery->metadata.revocation_endpoint, &form, NULL, on_revoked);
	}
	if (e != ERR_OK) {
		request_end(rq);
		free(rq);
	}
	return e;
}

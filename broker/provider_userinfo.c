/* provider_userinfo() of provider.h. */
#include <stdlib.h>

#include "broker/provider_call.h"

struct question {
	struct provider_call call; /* first */
	struct http_flight *flight;
	struct buf sub;
	provider_id_token_fn fn;
	void *arg;
};

static void question_end(struct question *q)
{
	TAILQ_REMOVE(&q->call.provider->calls, &q->call, link);
	http_flight_cancel(&q->flight);
}

static void question_free(struct question *q)
{
	buf_done(&q->sub);
	free(q);
}

static void question_cancel(struct provider_call *call)
{
	struct question *q = (struct question *)call;

	question_end(q);
	q->fn(q->arg, ERR_CANCELED, NULL, "");
	question_free(q);
}

static bool media_type_is(struct sv content_type, struct sv want)
{
	struct sv type = sv_cut(content_type, 0, sv_find(content_type, ';'));

	return sv_eq_nocase(sv_trim(type), want);
}

static void read_json(struct question *q, struct sv body, const struct id_token_expect *expect)
{
	struct id_token_rules rules = provider_rules(q->call.provider, expect);
	struct id_token t = {.payload = NULL};
	enum jwt_refusal why = userinfo_check(body, &rules, &t);

	if (why == JWT_NONE)
		q->fn(q->arg, ERR_OK, &t.claims, "");
	else
		q->fn(q->arg, ERR_CRYPTO, NULL, jwt_refusal_word(why));
	id_token_done(&t);
}

/* Core 5.3.2: the media type says whether it is signed. */
static void read_success(struct question *q, const struct http_response *r)
{
	const struct id_token_expect expect = {.sub = buf_sv(&q->sub)};
	enum err e = ERR_OK;

	if (media_type_is(r->content_type, SV("application/json")))
		read_json(q, r->body, &expect);
	else if (media_type_is(r->content_type, SV("application/jwt")))
		e = provider_judge(q->call.provider, r->body, &expect, userinfo_check_signed, q->fn,
				   q->arg);
	else
		q->fn(q->arg, ERR_CRYPTO, NULL, "content_type");
	if (e != ERR_OK)
		q->fn(q->arg, e, NULL, "");
}

/* SECURITY: a provider that stumbles over one person's UserInfo must keep nobody else out: where it
 * answers at all, if only with an error or with more than we read, nothing is held off. Not for a
 * 429 either, which is mostly for the person whose token it is: they log in too often. */
static void note(struct provider *p, const struct http_response *r)
{
	bool too_large = sv_eq(sv_str(r->detail), SV("too_large"));

	if ((r->outcome != HTTP_ANSWERED && !too_large) || r->status == 503)
		provider_breaker_failed(&p->userinfos, r->retry_after);
	else
		provider_breaker_answered(&p->userinfos);
}

static void on_answer(void *arg, const struct http_response *r)
{
	struct question *q = arg;

	q->flight = NULL; /* http_client ends it */
	question_end(q);
	note(q->call.provider, r);
	if (r->outcome != HTTP_ANSWERED)
		q->fn(q->arg, ERR_UNAVAILABLE, NULL, r->detail);
	else if (r->status == 200)
		read_success(q, r);
	else if (r->status == 401 || r->status == 403)
		q->fn(q->arg, ERR_DENIED, NULL, "refused");
	else
		q->fn(q->arg, ERR_UNAVAILABLE, NULL, "status");
	question_free(q);
}

/* In the header alone (RFC 6750 2.1). */
static enum err ask(struct question *q, struct sv access_token)
{
	struct provider *p = q->call.provider;
	struct http_request r = {.url = p->discovery->metadata.userinfo_endpoint,
				 .policy = p->policy,
				 .trust = p->credential->trust,
				 .provider = p->config->name,
				 .what = METRICS_REQUEST_USERINFO,
				 .fn = on_answer,
				 .arg = q};
	struct buf bearer;
	enum err e = ERR_LIMIT;

	buf_init(&bearer, HTTP_HEAD_MAX / 2);
	buf_add(&bearer, SV("Bearer "));
	buf_add(&bearer, access_token);
	r.authorization = buf_sv(&bearer);
	if (buf_ok(&bearer) && buf_ok(&q->sub))
		e = http_client_send(p->http, &r, &q->flight);
	buf_done(&bearer);
	return e;
}

bool provider_userinfo_held(const struct provider *p, uint32_t *ret_left_s)
{
	return provider_breaker_holds(&p->userinfos, ret_left_s);
}

enum err provider_userinfo(struct provider *p, struct sv access_token, struct sv sub,
			   provider_id_token_fn fn, void *arg)
{
	struct question *q;
	enum err e;

	if (p->discovery == NULL)
		return ERR_UNAVAILABLE;
	if (p->discovery->metadata.userinfo_endpoint.n == 0)
		return ERR_UNSUPPORTED;
	if (sub.n == 0)
		return ERR_SYNTAX; /* nobody's claims would be everybody's */
	if (!provider_breaker_admit(&p->userinfos))
		return ERR_UNAVAILABLE;
	q = calloc(1, sizeof *q);
	if (q == NULL)
		return ERR_NOMEM;
	q->call.provider = p;
	q->call.cancel = question_cancel;
	q->fn = fn;
	q->arg = arg;
	buf_init(&q->sub, JWT_SUB_MAX);
	buf_add(&q->sub, sub);
	TAILQ_INSERT_TAIL(&p->calls, &q->call, link);
	e = ask(q, access_token);
	if (e != ERR_OK) {
		question_end(q);
		question_free(q);
	}
	return e;
}

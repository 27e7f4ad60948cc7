#include "broker/service_token.h"

#include <stdlib.h>

#include "broker/http_client.h"
#include "broker/lease.h"
#include "broker/token_reply.h"
#include "broker/token_row.h"
#include "common/clock.h"
#include "common/log.h"

struct service_token {
	struct service_token *next;
	struct service_tokens *table;
	unsigned char digest[CRYPT_SHA256_LEN];
	struct secret *token; /* NULL: none */
	int64_t until_ms, ttl_ms;
	struct refusal refused; /* its own failures */
	struct waiters waiters;
	/* While a request is under way. */
	struct edition *edition; /* referenced; NULL: none is */
	const struct config_service *service;
};

struct service_tokens {
	struct broker *broker;
	struct service_token *first;
	size_t n;
};

enum err service_tokens_new(struct broker *b, struct service_tokens **ret)
{
	struct service_tokens *t = calloc(1, sizeof *t);

	if (t == NULL)
		return ERR_NOMEM;
	t->broker = b;
	*ret = t;
	return ERR_OK;
}

static void destroy(struct service_token *s)
{
	waiters_fail(&s->waiters, IPC_ERROR_INTERNAL, "stopping", 1);
	edition_unref(&s->edition);
	secret_free(&s->token);
	free(s);
}

void service_tokens_free(struct service_tokens **t)
{
	if (*t == NULL)
		return;
	while ((*t)->first != NULL) {
		struct service_token *s = (*t)->first;

		(*t)->first = s->next;
		destroy(s);
	}
	free(*t);
	*t = NULL;
}

static int64_t left_ms(const struct service_token *s)
{
	return s->token == NULL ? 0 : s->until_ms - clock_boot_ms();
}

/* Those of configurations that are gone. */
static void drop_dead(struct service_tokens *t)
{
	for (struct service_token **p = &t->first; *p != NULL;) {
		struct service_token *s = *p;

		if (s->edition != NULL || left_ms(s) > 0) {
			p = &s->next;
			continue;
		}
		*p = s->next;
		t->n--;
		destroy(s);
	}
}

static struct service_token *find(const struct service_tokens *t, const unsigned char *digest)
{
	struct service_token *s = t->first;

	while (s != NULL && memcmp(s->digest, digest, sizeof s->digest) != 0)
		s = s->next;
	return s;
}

static struct service_token *find_or_make(struct service_tokens *t, const unsigned char *digest)
{
	struct service_token *s = find(t, digest);

	if (s != NULL)
		return s;
	if (t->n >= SERVICE_TOKENS_MAX)
		drop_dead(t);
	s = t->n < SERVICE_TOKENS_MAX ? calloc(1, sizeof *s) : NULL;
	if (s == NULL)
		return NULL;
	s->table = t;
	s->waiters.late = IPC_ERROR_PROVIDER_DOWN;
	memcpy(s->digest, digest, sizeof s->digest);
	s->next = t->first;
	t->first = s;
	t->n++;
	return s;
}

enum service_token_next service_token_judge(int64_t left, int64_t ttl_ms)
{
	if (left < TOKEN_USABLE_MS)
		return SERVICE_TOKEN_FETCH;
	/* No jitter: it is one token, not one of many. */
	if (left > token_margin_ms(ttl_ms, SV_NONE))
		return SERVICE_TOKEN_ANSWER;
	return SERVICE_TOKEN_ANSWER_AND_RENEW;
}

static void done(struct service_token *s)
{
	edition_unref(&s->edition);
	s->service = NULL;
}

static void failed(struct service_token *s, enum log_level level, enum ipc_error answer,
		   const char *detail, uint32_t retry_s)
{
	unsigned char random;

	broker_random(&random, sizeof random);
	refusal_grow(&s->refused, answer, clock_boot_ms(), random);
	LOG_CALL(log_write, level, "service_token_failed", KS("service", s->service->name),
		 K("why", detail), K("answer", ipc_error_word(answer)));
	done(s);
	waiters_fail(&s->waiters, answer, detail, retry_s);
}

static void keep(struct service_token *s, const struct token_reply *reply)
{
	const struct config_provider *p = s->service->provider;
	struct secret *token = NULL;
	struct request *r;

	if (secret_new(reply->access_token, &token) != ERR_OK) {
		failed(s, LOG_WARN, IPC_ERROR_INTERNAL, "memory", 1);
		return;
	}
	secret_free(&s->token);
	s->token = token;
	s->ttl_ms = reply->expires_in_s * 1000;
	s->until_ms = clock_boot_ms() + s->ttl_ms;
	s->refused = (struct refusal){.key = 0};
	holdoff_well(edition_holdoffs(s->edition, &p), p, clock_boot_ms());
	done(s);
	/* Their sessions may have ended meanwhile. None of them comes back to wait. */
	while ((r = waiters_take(&s->waiters)) != NULL)
		token_again(&r);
}

/* A refusal is this service's; only a provider that is away or throttles is everybody's. */
static void note_provider(struct service_token *s, const struct lease_verdict *v,
			  uint32_t retry_after_s)
{
	const struct config_provider *p = s->service->provider;
	struct holdoffs *h = edition_holdoffs(s->edition, &p);
	int64_t now = clock_boot_ms();
	unsigned char random;

	broker_random(&random, sizeof random);
	if (v->holdoff == LEASE_HOLDOFF_THROTTLE)
		holdoff_for(h, p, v->answer, now, 1000 * (int64_t)retry_after_s, random);
	else if (v->answer == IPC_ERROR_PROVIDER_DOWN && v->holdoff == LEASE_HOLDOFF_PROVIDER)
		holdoff_failed(h, p, v->answer, now, random);
	else
		holdoff_well(h, p, now);
}

static void on_reply(void *arg, enum err e, const struct token_reply *reply)
{
	static const struct token_reply not_sent = {.outcome = TOKEN_NOT_SENT,
						    .detail = "no_metadata"};
	struct service_token *s = arg;
	struct lease_verdict v;

	if (e == ERR_CANCELED) {
		done(s);
		waiters_fail(&s->waiters, IPC_ERROR_PROVIDER_DOWN, "stopping", 1);
		return;
	}
	if (e != ERR_OK)
		reply = &not_sent;
	if (reply->outcome == TOKEN_OK) {
		keep(s, reply);
		return;
	}
	v = lease_judge_reply(reply, false);
	/* No login helps a service. */
	if (v.answer != IPC_ERROR_PROVIDER_DOWN)
		v.answer = IPC_ERROR_UPSTREAM;
	note_provider(s, &v, reply->retry_after_s);
	failed(s, token_outcome_level(reply->outcome), v.answer, reply->detail,
	       reply->retry_after_s == 0 && v.answer == IPC_ERROR_PROVIDER_DOWN
		   ? 1
		   : reply->retry_after_s);
}

static void fetch(struct service_token *s, struct edition *ed, const struct config_service *service,
		  const struct trace *trace)
{
	struct provider *p = edition_provider(ed, service->provider->name);
	const struct config_provider *of = service->provider;
	struct holdoffs *h = edition_holdoffs(ed, &of);
	int64_t now = clock_boot_ms();
	uint32_t left_s = 0;
	enum ipc_error held = IPC_ERROR_NONE;
	enum err rc = ERR_UNAVAILABLE;

	if (s->edition != NULL)
		return; /* under way */
	if (s->refused.until_ms > now) {
		held = s->refused.answer;
		left_s = (uint32_t)((s->refused.until_ms - now + 999) / 1000);
	} else {
		held = holdoff_admit(h, of, HOLDOFF_ANY, now, &left_s);
	}
	if (held != IPC_ERROR_NONE) {
		waiters_fail(&s->waiters, held, "held_off", left_s);
		return;
	}
	s->edition = ed;
	edition_ref(s->edition);
	s->service = service;
	http_client_trace(s->table->broker->http, trace);
	if (p != NULL)
		rc = provider_client_credentials(p, service, on_reply, s);
	http_client_trace(s->table->broker->http, NULL);
	if (rc != ERR_OK)
		on_reply(s, rc == ERR_CANCELED ? ERR_UNAVAILABLE : rc, NULL);
}

void service_token_ask(struct service_tokens *t, struct edition *ed,
		       const struct config_service *service, const unsigned char *digest,
		       struct request **r)
{
	struct service_token *s = find_or_make(t, digest);
	const struct trace trace = r == NULL ? (struct trace){.n = 0} : (*r)->trace;
	enum service_token_next next;

	if (s == NULL) {
		if (r != NULL)
			request_fail(r, IPC_ERROR_PROVIDER_DOWN,
				     (struct request_failure){.retry_after_s = 1,
							      .detail = "too_many_services"});
		return;
	}
	next = service_token_judge(left_ms(s), s->ttl_ms);
	if (next == SERVICE_TOKEN_FETCH && r != NULL)
		waiters_add(&s->waiters, r);
	if (next == SERVICE_TOKEN_FETCH ||
	    (next == SERVICE_TOKEN_ANSWER_AND_RENEW && !t->broker->draining))
		fetch(s, ed, service, &trace); /* first this: the answer gives up the edition */
	if (next != SERVICE_TOKEN_FETCH && r != NULL)
		waiters_answer_one(r, secret_view(s->token), left_ms(s));
}

void service_token_answer(struct service_tokens *t, const unsigned char *digest, struct request **r)
{
	const struct service_token *s = find(t, digest);

	if (s != NULL && left_ms(s) > 0)
		waiters_answer_one(r, secret_view(s->token), left_ms(s));
	else
		request_fail(r, IPC_ERROR_UPSTREAM, request_detail("token_too_short_lived"));
}

/* token - TOKEN_GET: the session is judged by the row, then a token is answered or fetched. */
#include <stdlib.h>

#include "broker/dispatch.h"
#include "broker/grant_table.h"
#include "broker/service_token.h"
#include "common/clock.h"
#include "common/log.h"

struct token_call {
	struct request *request;
	const struct config_service *service;
	char app[CONFIG_NAME_MAX + 1];
	size_t app_len;
	unsigned char hash[CRYPT_SHA256_LEN], digest[CRYPT_SHA256_LEN];
};

/* A renewal ahead of time does not insist. */
static void renew(struct broker *b, const struct grant_ask *ask)
{
	uint32_t left_s = 0;

	if (b->draining || grant_table_busy(b->grants, ask) ||
	    grant_held(b->grants, ask, &left_s) != IPC_ERROR_NONE)
		return;
	grant_table_ask(b->grants, ask, NULL);
}

static void judge(struct token_call *c, const struct token_row *row)
{
	struct broker *b = c->request->broker;
	struct edition *ed = c->request->edition;
	const struct token_ask ask = {.app = sv_of(c->app, c->app_len),
				      .service = c->service,
				      .config_digest =
					  sv_of((const char *)c->digest, sizeof c->digest)};
	const struct grant_ask wants = {.grant_id = row->grant_id,
					.app = ask.app,
					.hash = c->hash,
					.digest = c->digest,
					.edition = ed,
					.service = c->service,
					.kind = GRANT_JOB_TOKEN};
	struct secret *token = NULL;
	struct token_held held;
	struct token_verdict v;
	enum err opened = ERR_OK;

	token_open(b->ring, row, &ask, clock_wall_s(), &token, &held, &opened);
	if (opened != ERR_OK)
		log_error("token_not_opened", KS("service", c->service->name),
			  K("why", err_text(opened)), K("then", "fetching another"));
	v = token_judge(row, &ask, &held);
	switch (v.next) {
	case TOKEN_ANSWER_AND_RENEW:
		renew(b, &wants); /* first this: the answer gives up the edition's reference */
		waiters_answer_one(&c->request, token_view(c->service, token), held.left_ms);
		break;
	case TOKEN_ANSWER:
		waiters_answer_one(&c->request, token_view(c->service, token), held.left_ms);
		break;
	case TOKEN_REFRESH:
		grant_table_ask(b->grants, &wants, &c->request);
		break;
	case TOKEN_OF_SERVICE:
		service_token_ask(b->service_tokens, ed, c->service, c->digest, &c->request);
		break;
	case TOKEN_REFUSE:
		request_fail(&c->request, v.refusal, request_detail(v.detail));
		break;
	}
	secret_free(&token);
}

static void on_row(void *arg, enum err e, const struct pg_rows *rows)
{
	struct token_call *c = arg;
	struct token_row row;

	if (e == ERR_OK)
		e = token_row_read(rows, &row);
	if (e != ERR_OK)
		request_fail_store(&c->request, e);
	else
		judge(c, &row);
	free(c);
}

/* Refusals that need no row. */
static enum ipc_error refuse_early(const struct request *r, const struct ipc_token_get *m,
				   const struct config_service **ret, const char **ret_detail)
{
	const struct config *c = r->edition->config;
	const struct config_app *app = config_app(c, m->app);
	const struct config_service *s = config_service(c, m->service);

	*ret_detail = "unknown_app_or_service";
	if (app == NULL || s == NULL)
		return IPC_ERROR_FORBIDDEN;
	*ret_detail = "service_of_another_provider";
	if (s->provider != app->provider)
		return IPC_ERROR_FORBIDDEN;
	*ret_detail = "service_of_no_route";
	if (!token_app_uses(c, app, s))
		return IPC_ERROR_FORBIDDEN;
	*ret_detail = "session_secret";
	if (m->session.n != IPC_SECRET_LEN)
		return IPC_ERROR_NO_SESSION;
	*ret = s;
	return IPC_ERROR_NONE;
}

void token_get(struct request **r, const struct ipc_token_get *m)
{
	struct token_call *c = NULL;
	const struct config_service *s = NULL;
	const char *detail = NULL;
	enum ipc_error refusal = refuse_early(*r, m, &s, &detail);
	struct broker *b = (*r)->broker;
	struct sv filed_as;
	enum err rc;

	if (refusal != IPC_ERROR_NONE) {
		request_fail(r, refusal, request_detail(detail));
		return;
	}
	c = calloc(1, sizeof *c);
	if (c == NULL || crypt_sha256(m->session, c->hash) != ERR_OK ||
	    token_config_digest(s, c->digest) != ERR_OK) {
		free(c);
		request_fail(r, IPC_ERROR_INTERNAL, request_detail("memory"));
		return;
	}
	c->service = s;
	c->app_len = m->app.n; /* a name of the configuration: within CONFIG_NAME_MAX */
	memcpy(c->app, m->app.p, m->app.n);
	c->request = *r;
	*r = NULL;
	filed_as = token_filed_as(s);
	const struct pg_param params[] = {PG_BYTES(c->hash, sizeof c->hash), PG_SV(filed_as)};
	rc = pg_query(b->pg, SQL_TOKEN_SESSION, params, on_row, c, NULL);
	if (rc != ERR_OK) {
		request_fail_store(&c->request, rc);
		free(c);
	}
}

/* token - TOKEN_GET that memory does not answer: the session is judged by its row, then a token is
 * answered or fetched. */
#include <stdlib.h>

#include "broker/dispatch.h"
#include "broker/grant_table.h"
#include "broker/service_token.h"
#include "broker/token_memory.h"
#include "common/clock.h"
#include "common/log.h"

#define READS_MAX 4 /* of a row that a notification named meanwhile */

struct token_call {
	struct request *request;
	const struct edition_use *use; /* of the request's edition */
	unsigned reads;
	bool waited;   /* for a service's own token */
	uint64_t tick; /* of the reading under way */
	unsigned char hash[CRYPT_SHA256_LEN];
};

static void read_row(struct token_call *c);

static struct session_read read_of(const struct token_call *c, const struct pg_rows *rows)
{
	return (struct session_read){.hash = c->hash, .trip = pg_rows_trip(rows), .tick = c->tick};
}

static void keep(const struct token_call *c, const struct pg_rows *rows,
		 const struct token_row *row, const struct token_held *held, struct sv token)
{
	const struct token_read t = {.read = read_of(c, rows),
				     .row = row,
				     .held = held,
				     .token = token,
				     .by = RENEWAL_BY_REQUEST};

	token_memory_file(c->request->broker->tokens, c->use, &t);
}

/* The service's own token, for a session that may have it now. */
static void of_service(struct token_call *c)
{
	struct request *r = c->request;

	c->request = NULL;
	if (c->waited) {
		service_token_answer(r->broker->service_tokens, c->use->digest, &r);
		return;
	}
	memcpy(r->hash, c->hash, sizeof r->hash);
	r->use = c->use;
	service_token_ask(r->broker->service_tokens, r->edition, c->use->service, c->use->digest,
			  &r);
}

static void act(struct token_call *c, const struct token_row *row, struct token_verdict v,
		struct sv token, int64_t left_ms)
{
	struct broker *b = c->request->broker;
	const struct edition_use *u = c->use;
	const struct grant_ask wants = {.grant_id = row->grant_id,
					.app = u->app->name,
					.hash = c->hash,
					.digest = u->digest,
					.edition = c->request->edition,
					.service = u->service,
					.kind = GRANT_JOB_TOKEN};

	switch (v.next) {
	case TOKEN_ANSWER_AND_RENEW:
		token_memory_renew(b, &wants); /* first: the answer gives up the edition */
		waiters_answer_one(&c->request, token, left_ms);
		break;
	case TOKEN_ANSWER:
		waiters_answer_one(&c->request, token, left_ms);
		break;
	case TOKEN_REFRESH:
		b->counts.waited++;
		grant_table_ask(b->grants, &wants, &c->request);
		break;
	case TOKEN_OF_SERVICE:
		of_service(c);
		break;
	case TOKEN_REFUSE:
		request_fail(&c->request, v.refusal, request_detail(v.detail));
		break;
	}
}

static void judge(struct token_call *c, const struct pg_rows *rows, const struct token_row *row)
{
	const struct token_ask ask = {
	    .app = c->use->app->name,
	    .service = c->use->service,
	    .config_digest = sv_of((const char *)c->use->digest, sizeof c->use->digest)};
	struct secret *opened = NULL;
	struct sv token = SV_NONE;
	struct token_held held;
	struct token_verdict v;
	enum err failure = ERR_OK;

	token_open(c->request->broker->ring, row, &ask, clock_wall_s(), &opened, &held, &failure);
	if (failure != ERR_OK)
		log_error("token_not_opened", KS("service", c->use->service->name),
			  K("why", err_text(failure)), K("then", "fetching another"));
	v = token_judge(row, &ask, &held);
	if (opened != NULL)
		token = token_view(c->use->service, opened);
	if (v.next != TOKEN_REFUSE)
		keep(c, rows, row, &held, token);
	act(c, row, v, token, held.left_ms);
	secret_free(&opened);
}

static void on_row(void *arg, enum err e, const struct pg_rows *rows)
{
	struct token_call *c = arg;
	struct session_read read;
	struct token_row row;

	if (e == ERR_OK)
		e = token_row_read(rows, &row);
	if (e == ERR_OK)
		read = read_of(c, rows);
	if (e == ERR_OK && !token_memory_believes(c->request->broker->tokens, &read)) {
		if (++c->reads < READS_MAX) {
			read_row(c);
			return;
		}
		e = ERR_CONFLICT;
	}
	if (e != ERR_OK)
		request_fail_store(&c->request, e);
	else
		judge(c, rows, &row);
	free(c);
}

static void read_row(struct token_call *c)
{
	struct sv filed_as = token_filed_as(c->use->service);
	const struct pg_param params[] = {PG_BYTES(c->hash, sizeof c->hash), PG_SV(filed_as)};
	enum err rc;

	c->tick = token_memory_tick(c->request->broker->tokens);
	rc = pg_query(c->request->broker->pg, SQL_TOKEN_READ, params, on_row, c, NULL);
	if (rc != ERR_OK) {
		request_fail_store(&c->request, rc);
		free(c);
	}
}

/* Why edition_uses_find() found nothing, for the log. */
static const char *why_not(const struct config *c, const struct ipc_token_get *m)
{
	const struct config_app *app = config_app(c, m->app);
	const struct config_service *s = config_service(c, m->service);

	if (app == NULL || s == NULL)
		return "unknown_app_or_service";
	return s->provider != app->provider ? "service_of_another_provider" : "service_of_no_route";
}

void token_get(struct request **r, const struct ipc_token_get *m)
{
	const struct edition_use *use = edition_uses_find(&(*r)->edition->uses, m->app, m->service);
	struct broker *b = (*r)->broker;
	struct token_call *c;

	if (use == NULL) {
		request_fail(r, IPC_ERROR_FORBIDDEN,
			     request_detail(why_not((*r)->edition->config, m)));
		return;
	}
	if (m->session.n != IPC_SECRET_LEN) {
		request_fail(r, IPC_ERROR_NO_SESSION, request_detail("session_secret"));
		return;
	}
	c = calloc(1, sizeof *c);
	if (c == NULL || crypt_sha256(m->session, c->hash) != ERR_OK) {
		free(c);
		request_fail(r, IPC_ERROR_INTERNAL, request_detail("memory"));
		return;
	}
	c->use = use;
	c->request = *r;
	*r = NULL;
	if (token_memory_allows(b->tokens, c->hash, use)) {
		of_service(c);
		free(c);
		return;
	}
	b->counts.read++;
	read_row(c);
}

void token_again(struct request **r)
{
	struct token_call *c = calloc(1, sizeof *c);

	if (c == NULL) {
		request_fail(r, IPC_ERROR_INTERNAL, request_detail("memory"));
		return;
	}
	c->use = (*r)->use;
	c->waited = true;
	memcpy(c->hash, (*r)->hash, sizeof c->hash);
	c->request = *r;
	*r = NULL;
	if (token_memory_allows(c->request->broker->tokens, c->hash, c->use)) {
		of_service(c);
		free(c);
	} else {
		read_row(c);
	}
}

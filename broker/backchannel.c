/* backchannel - BACKCHANNEL: a logout token, from the provider or from anybody (OIDC Back-Channel
 * Logout 1.0). The answer says "accepted" only once what it ends has ended for every host. */
#include <stdlib.h>

#include "broker/dispatch.h"
#include "broker/http_client.h"
#include "broker/login_transaction.h"
#include "broker/logout_token.h"
#include "broker/revocation.h"
#include "common/contract.h"
#include "common/log.h"

#define BEGUN_SKEW_MS (JWT_SKEW_S * 1000) /* the provider's clock and the database's */
/* A login that began before it finishes within this: transaction, code exchange, ID token. */
#define REMEMBER_MS (LOGIN_LIFETIME_MS + TIMEOUT_BROKER_LOGIN_MS)

struct backchannel_call {
	struct request *request;
	const struct config_app *app;
};

static void call_end(struct backchannel_call *c)
{
	c->request->broker->nbackchannels--;
	free(c);
}

static void answer(struct backchannel_call *c, const struct ipc_backchannel_done *m)
{
	const struct ipc_message done = {.number = IPC_BACKCHANNEL_DONE, .u.backchannel_done = *m};
	struct request *r = c->request;

	call_end(c);
	request_answer(&r, &done);
}

static void fail(struct backchannel_call *c, enum ipc_error code, const char *detail)
{
	struct request *r = c->request;

	call_end(c);
	request_fail(&r, code, request_detail(detail));
}

static void on_ended(void *arg, enum err e, const struct pg_rows *rows)
{
	struct backchannel_call *c = arg;
	struct ipc_backchannel_done m = {.accepted = 1};
	bool replayed;

	if (e != ERR_OK || pg_rows_count(rows) != 1) {
		fail(c, IPC_ERROR_STORE, err_text(e));
		return;
	}
	m.sessions = (uint32_t)pg_rows_i64(rows, 0, 0);
	replayed = pg_rows_bool(rows, 0, 1);
	log_info("backchannel_logout", KS("provider", c->app->provider->name),
		 KU("sessions", m.sessions), K("replayed", replayed ? "yes" : "no"),
		 K("correlation", c->request->correlation),
		 KS_IF("trace_id", trace_id(&c->request->trace)));
	if (m.sessions > 0)
		revocation_kick(c->request->broker->revocation);
	answer(c, &m);
}

static enum err end_sessions(struct backchannel_call *c, const struct logout_token *t)
{
	struct sql_i64 iat, until, skew, login;
	const struct pg_param params[] = {PG_SV(c->app->provider->issuer),
					  PG_SV(t->sub),
					  PG_SV(t->sid),
					  PG_SV(t->jti),
					  sql_i64(&iat, t->iat_s),
					  sql_i64(&until, t->replayable_until_s),
					  sql_i64(&skew, BEGUN_SKEW_MS),
					  sql_i64(&login, REMEMBER_MS)};

	return pg_query(c->request->broker->pg, SQL_BACKCHANNEL_LOGOUT, params, on_ended, c, NULL);
}

static void on_token(void *arg, enum err e, const struct logout_token *t, const char *detail)
{
	struct backchannel_call *c = arg;
	struct ipc_backchannel_done refused = {.why = sv_str(detail)};
	enum err rc;

	if (e == ERR_CRYPTO) {
		log_peer(LOG_INFO, "logout_token_refused", KS("provider", c->app->provider->name),
			 K("why", detail), K("correlation", c->request->correlation),
			 KS_IF("trace_id", trace_id(&c->request->trace)));
		answer(c, &refused);
		return;
	}
	if (e != ERR_OK) {
		fail(c, IPC_ERROR_PROVIDER_DOWN, detail);
		return;
	}
	rc = end_sessions(c, t);
	if (rc != ERR_OK)
		fail(c, IPC_ERROR_STORE, err_text(rc));
}

void backchannel(struct request **r, const struct ipc_backchannel *m)
{
	const struct config_app *app = config_app((*r)->edition->config, m->app);
	struct broker *b = (*r)->broker;
	struct backchannel_call *c;
	enum err rc;

	if (app == NULL) {
		request_fail(r, IPC_ERROR_INTERNAL, request_detail("app"));
		return;
	}
	/* Strangers must not take the place of logins and tokens. */
	if (b->nbackchannels >= BACKCHANNEL_MAX) {
		request_fail(r, IPC_ERROR_PROVIDER_DOWN, request_detail("too_many_logout_tokens"));
		return;
	}
	c = calloc(1, sizeof *c);
	if (c == NULL) {
		request_fail(r, IPC_ERROR_INTERNAL, request_detail("memory"));
		return;
	}
	*c = (struct backchannel_call){.request = *r, .app = app};
	*r = NULL;
	b->nbackchannels++;
	http_client_trace(b->http, &c->request->trace);
	rc = provider_logout_token(edition_provider(c->request->edition, app->provider->name),
				   m->logout_token, on_token, c);
	http_client_trace(b->http, NULL);
	if (rc != ERR_OK)
		fail(c, IPC_ERROR_INTERNAL, err_text(rc));
}

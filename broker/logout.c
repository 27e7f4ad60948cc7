/* logout - LOGOUT: ends the session in the database, answers where the browser goes next. */
#include <stdlib.h>

#include "broker/dispatch.h"
#include "broker/login_url.h"
#include "broker/revocation.h"
#include "broker/token_memory.h"
#include "common/log.h"

struct logout_call {
	struct request *request;
	const struct config_app *app;
	unsigned char hash[CRYPT_SHA256_LEN];
	struct buf target;
};

static void call_free(struct logout_call *c)
{
	buf_done(&c->target);
	free(c);
}

/* The hint only where it is asked for: it puts a token into a URL. */
static void open_hint(const struct logout_call *c, const struct pg_rows *rows, struct secret **ret)
{
	struct vault_label label =
	    token_id_token_label(pg_rows_sv(rows, 0, 3), pg_rows_i64(rows, 0, 4));
	struct sv sealed = pg_rows_sv(rows, 0, 2);
	enum err rc = ERR_OK;

	if (c->app->id_token_hint && sealed.n > 0)
		rc = vault_open(c->request->broker->ring, &label, sealed, ret);
	if (rc != ERR_OK)
		log_warn("id_token_not_opened", K("why", err_text(rc)),
			 K("then", "logout goes without id_token_hint"));
}

static void on_ended(void *arg, enum err e, const struct pg_rows *rows)
{
	struct logout_call *c = arg;
	const struct provider_metadata *meta;
	struct ipc_logged_out m = {0};
	struct secret *hint = NULL;
	struct buf url, packet;
	enum err rc;

	if (e != ERR_OK || pg_rows_count(rows) != 1) {
		request_fail_store(&c->request, e);
		call_free(c);
		return;
	}
	buf_init(&url, IPC_URL_MAX);
	meta = provider_metadata(edition_provider(c->request->edition, c->app->provider->name));
	m.sessions = (uint32_t)pg_rows_i64(rows, 0, 0);
	m.redirect_url = buf_sv(&c->target);
	if (m.sessions > 0 && meta != NULL && meta->end_session_endpoint.n > 0) {
		struct logout_url u = {.endpoint = meta->end_session_endpoint,
				       .client_id = c->app->provider->client_id,
				       .post_logout_redirect_uri = buf_sv(&c->target)};

		open_hint(c, rows, &hint);
		if (hint != NULL)
			u.id_token_hint = secret_view(hint);
		logout_url_compose(&url, &u);
		if (buf_ok(&url))
			m.redirect_url = buf_sv(&url);
	}
	log_info("logout", KS("app", c->app->name), KU("sessions", m.sessions),
		 K("correlation", c->request->correlation));
	if (m.sessions > 0)
		revocation_kick(c->request->broker->revocation);
	token_memory_end(c->request->broker->tokens, c->hash); /* the others: by notification */
	buf_init(&packet, IPC_FRAME_MAX);
	rc = ipc_encode_logged_out(&packet, c->request->id, &m);
	request_answer(&c->request, rc, &packet);
	secret_free(&hint);
	buf_done(&url);
	call_free(c);
}

void logout(struct request **r, const struct ipc_logout *m)
{
	const struct config_app *app = config_app((*r)->edition->config, m->app);
	struct logout_call *c;
	enum err rc;

	if (app == NULL || m->session.n != IPC_SECRET_LEN) {
		request_fail(r, IPC_ERROR_NO_SESSION, request_detail("app_or_session"));
		return;
	}
	c = calloc(1, sizeof *c);
	if (c == NULL) {
		request_fail(r, IPC_ERROR_INTERNAL, request_detail("memory"));
		return;
	}
	c->request = *r;
	*r = NULL;
	c->app = app;
	buf_init(&c->target, IPC_URL_MAX);
	logout_target(&c->target, app, m->origin);
	rc = crypt_sha256(m->session, c->hash);
	if (rc == ERR_OK) {
		const struct pg_param params[] = {PG_BYTES(c->hash, sizeof c->hash),
						  PG_SV(app->name), sql_bool(m->everywhere != 0)};

		rc = pg_query(c->request->broker->pg, SQL_LOGOUT, params, on_ended, c, NULL);
	}
	if (rc != ERR_OK) {
		request_fail_store(&c->request, rc);
		call_free(c);
	}
}

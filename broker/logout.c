/* logout - LOGOUT: ends the session in the database, answers where the browser goes next. */
#include <stdlib.h>

#include "broker/dispatch.h"
#include "broker/login_url.h"
#include "broker/revocation.h"
#include "broker/token_memory.h"
#include "common/b64.h"
#include "common/log.h"

struct logout_call {
	struct request *request;
	const struct config_app *app;
	unsigned char hash[CRYPT_SHA256_LEN];
	struct buf return_uri;
	char state[IPC_SECRET_LEN];
};

static void call_free(struct logout_call *c)
{
	buf_done(&c->return_uri);
	free(c);
}

/* NULL where none is asked for, or there is none. SECURITY: nothing of one provider goes to another
 * that took its name, or its app. */
static struct secret *open_hint(const struct logout_call *c, const struct pg_rows *rows)
{
	struct vault_label label =
	    token_id_token_label(pg_rows_sv(rows, 0, 3), pg_rows_i64(rows, 0, 4));
	struct sv sealed = pg_rows_sv(rows, 0, 2);
	struct secret *hint = NULL;
	enum err rc = ERR_OK;

	if (c->app->id_token_hint && sealed.n > 0 &&
	    sv_eq(pg_rows_sv(rows, 0, 1), c->app->provider->name) &&
	    sv_eq(pg_rows_sv(rows, 0, 5), c->app->provider->issuer))
		rc = vault_open(c->request->broker->ring, &label, sealed, &hint);
	if (rc != ERR_OK)
		log_warn("id_token_not_opened", K("why", err_text(rc)),
			 K("then", "logout goes without id_token_hint"));
	return hint;
}

/* RP-Initiated Logout 2. Whatever is too long is left out: the local logout is done already.
 * SECURITY: with logout_method = post no address has the token, whoever asks. */
static void send_on(struct logout_call *c, const struct pg_rows *rows, struct buf *url,
		    struct buf *form, struct ipc_logged_out *m)
{
	const struct provider_metadata *meta =
	    provider_metadata(edition_provider(c->request->edition, c->app->provider->name));
	char state[B64URL_LEN(IPC_SECRET_LEN)];
	struct logout_url u = {.client_id = c->app->provider->client_id,
			       .post_logout_redirect_uri = buf_sv(&c->return_uri)};
	struct sv hint = SV_NONE;
	struct secret *id_token;

	if (meta == NULL || meta->end_session_endpoint.n == 0)
		return;
	broker_random(c->state, sizeof c->state);
	u.state = sv_of(state, b64url_encode(c->state, sizeof c->state, state));
	u.endpoint = meta->end_session_endpoint;
	id_token = open_hint(c, rows);
	if (id_token != NULL)
		hint = secret_view(id_token);
	if (c->app->logout_method == LOGOUT_GET)
		u.id_token_hint = hint;
	logout_url_compose(url, &u);
	if (!buf_ok(url) && hint.n > 0) {
		u.id_token_hint = SV_NONE;
		buf_clear(url);
		logout_url_compose(url, &u);
	}
	if (buf_ok(url)) {
		m->redirect_url = buf_sv(url);
		m->state = sv_of(c->state, sizeof c->state);
	}
	if (c->app->logout_method == LOGOUT_POST) {
		u.id_token_hint = hint;
		logout_form_compose(form, &u);
		if (buf_ok(form) && m->state.n > 0) {
			m->action = u.endpoint;
			m->form = buf_sv(form);
		}
	}
	secret_free(&id_token);
}

static void on_ended(void *arg, enum err e, const struct pg_rows *rows)
{
	struct logout_call *c = arg;
	struct ipc_message m = {.number = IPC_LOGGED_OUT, .u.logged_out = {.sessions = 0}};
	struct ipc_logged_out *out = &m.u.logged_out;
	struct buf url, form;

	if (e != ERR_OK || pg_rows_count(rows) != 1) {
		request_fail_store(&c->request, e);
		call_free(c);
		return;
	}
	buf_init(&url, IPC_URL_MAX);
	buf_init(&form, IPC_FORM_MAX);
	out->sessions = (uint32_t)pg_rows_i64(rows, 0, 0);
	if (out->sessions > 0)
		send_on(c, rows, &url, &form, out);
	log_info("logout", KS("app", c->app->name), KU("sessions", out->sessions),
		 K("correlation", c->request->correlation),
		 KS_IF("trace_id", trace_id(&c->request->trace)));
	if (out->sessions > 0)
		revocation_kick(c->request->broker->revocation);
	token_memory_end(c->request->broker->tokens, c->hash); /* the others: by notification */
	request_answer(&c->request, &m);
	buf_done(&url);
	buf_done(&form);
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
	buf_init(&c->return_uri, IPC_URL_MAX);
	logout_return_uri(&c->return_uri, app, m->origin);
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

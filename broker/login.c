#include "broker/login.h"

#include <stdlib.h>

#include "broker/dispatch.h"
#include "broker/login_transaction.h"
#include "broker/login_url.h"
#include "common/clock.h"
#include "common/log.h"

static void on_noted(void *arg, enum err e, const struct pg_rows *rows)
{
	(void)arg;
	(void)rows;
	if (e != ERR_OK && e != ERR_CANCELED)
		log_peer(LOG_WARN, "login_not_noted", K("why", err_text(e)));
}

void login_note(struct broker *b, const struct login_note *n)
{
	struct sv outcome = sv_str(n->outcome), detail = sv_str(n->detail),
		  correlation = sv_str(n->correlation);
	const struct pg_param params[] = {
	    PG_SV(n->app),   PG_SV(n->provider),	   PG_SV(outcome),
	    PG_SV(detail),   sql_text_or_null(n->subject), PG_SV(correlation),
	    PG_SV(n->client)};
	enum err rc = pg_query(b->pg, SQL_LOGIN_NOTE, params, on_noted, NULL, NULL);

	log_info("login", K("outcome", n->outcome), K("detail", n->detail), KS("app", n->app),
		 KS("client", n->client), K("correlation", n->correlation));
	if (rc != ERR_OK)
		on_noted(NULL, rc, NULL);
}

/* Lives until the row is written. */
struct begin {
	struct request *request;
	struct buf location;
	struct buf sealed;
	unsigned char binding[IPC_SECRET_LEN];
};

static void begin_free(struct begin *g)
{
	buf_done(&g->location);
	buf_done(&g->sealed);
	explicit_bzero(g, sizeof *g);
	free(g);
}

static void on_begun(void *arg, enum err e, const struct pg_rows *rows)
{
	struct begin *g = arg;
	struct ipc_login_begun m = {.location = buf_sv(&g->location),
				    .binding = sv_of((const char *)g->binding, sizeof g->binding)};
	struct buf packet;
	enum err rc;

	if (e == ERR_OK && (pg_rows_count(rows) != 1 || !pg_rows_bool(rows, 0, 0)))
		e = ERR_CONFLICT;
	if (e != ERR_OK) {
		request_fail_store(&g->request, e);
	} else {
		buf_init(&packet, IPC_FRAME_MAX);
		rc = ipc_encode_login_begun(&packet, g->request->id, &m);
		request_answer(&g->request, rc, &packet);
	}
	begin_free(g);
}

static void fail_noted(struct request **r, const struct ipc_login_begin *m,
		       const struct config_app *app, enum ipc_error code, const char *detail)
{
	const struct login_note note = {.app = m->app,
					.provider = app == NULL ? SV_NONE : app->provider->name,
					.client = m->client,
					.outcome = ipc_error_word(code),
					.detail = detail,
					.correlation = (*r)->correlation};

	login_note((*r)->broker, &note);
	request_fail(r, code,
		     (struct request_failure){.retry_after_s = code == IPC_ERROR_PROVIDER_DOWN,
					      .detail = detail});
}

/* State, transaction and URL; the state itself stays in the URL alone, its hash is the row's key.
 */
static enum err compose(struct begin *g, const struct ipc_login_begin *m,
			const struct config_app *app, struct sv redirect_uri,
			unsigned char state_hash[CRYPT_SHA256_LEN])
{
	struct provider *p = edition_provider(g->request->edition, app->provider->name);
	const struct provider_metadata *meta = provider_metadata(p);
	struct login_transaction t = {.issuer = app->provider->issuer,
				      .silent = sv_eq(m->prompt, SV("none"))};
	char state[LOGIN_WORD_LEN], challenge[LOGIN_WORD_LEN];
	enum err rc = login_transaction_new(&t);

	if (rc == ERR_OK)
		rc = login_random_word(state);
	if (rc == ERR_OK)
		rc = crypt_sha256(sv_of(state, sizeof state), state_hash);
	if (rc == ERR_OK)
		rc = login_challenge(&t, challenge);
	if (rc == ERR_OK)
		rc = login_transaction_seal(g->request->broker->ring,
					    sv_of((const char *)state_hash, CRYPT_SHA256_LEN), &t,
					    &g->sealed);
	if (rc == ERR_OK) {
		const struct login_url url = {
		    .endpoint = meta->authorization_endpoint,
		    .provider = app->provider,
		    .config = g->request->edition->config,
		    .consent_for_offline = provider_traits(p)->consent_for_offline,
		    .access_type_offline = provider_traits(p)->access_type_offline,
		    .redirect_uri = redirect_uri,
		    .state = sv_of(state, sizeof state),
		    .nonce = sv_of(t.nonce, sizeof t.nonce),
		    .code_challenge = sv_of(challenge, sizeof challenge),
		    .prompt = m->prompt,
		    .login_hint = m->login_hint};

		login_url_compose(&g->location, &url);
		rc = buf_ok(&g->location) ? ERR_OK : ERR_LIMIT;
	}
	explicit_bzero(state, sizeof state);
	login_transaction_wipe(&t);
	return rc;
}

static enum err write_row(struct begin *g, const struct ipc_login_begin *m,
			  const struct config_app *app)
{
	unsigned char state_hash[CRYPT_SHA256_LEN], binding_hash[CRYPT_SHA256_LEN];
	struct sql_i64 lifetime, open_max;
	struct buf redirect_uri;
	enum err rc;

	buf_init(&redirect_uri, IPC_URL_MAX);
	buf_add(&redirect_uri, m->origin);
	buf_add(&redirect_uri, app->auth_path);
	buf_add(&redirect_uri, SV("/callback"));
	rc = buf_ok(&redirect_uri) ? ERR_OK : ERR_LIMIT;
	if (rc == ERR_OK)
		rc = compose(g, m, app, buf_sv(&redirect_uri), state_hash);
	if (rc == ERR_OK)
		rc = crypt_sha256(sv_of((const char *)g->binding, sizeof g->binding), binding_hash);
	if (rc == ERR_OK) {
		const struct pg_param params[] = {PG_BYTES(state_hash, sizeof state_hash),
						  PG_SV(app->name),
						  PG_SV(app->provider->name),
						  PG_BYTES(binding_hash, sizeof binding_hash),
						  PG_SV(buf_sv(&redirect_uri)),
						  PG_SV(m->return_to),
						  PG_BYTES(g->sealed.p, g->sealed.n),
						  sql_i64(&lifetime, LOGIN_LIFETIME_MS),
						  sql_i64(&open_max, LOGIN_OPEN_MAX)};

		rc = pg_query(g->request->broker->pg, SQL_LOGIN_BEGIN, params, on_begun, g, NULL);
	}
	buf_done(&redirect_uri);
	return rc;
}

void login_begin(struct request **r, const struct ipc_login_begin *m)
{
	const struct config_app *app = config_app((*r)->edition->config, m->app);
	struct begin *g;
	uint32_t retry_s = 0;
	enum err rc;

	if (!rate_limit_take((*r)->broker->limits, m->client, clock_boot_ms(), &retry_s)) {
		request_fail(
		    r, IPC_ERROR_LIMITED,
		    (struct request_failure){.retry_after_s = retry_s, .detail = "login_rate"});
		return;
	}
	if (app == NULL || !login_origin_ok(app, m->origin) ||
	    (m->binding.n != 0 && m->binding.n != IPC_SECRET_LEN)) {
		fail_noted(r, m, app, IPC_ERROR_FORBIDDEN, "app_origin_or_binding");
		return;
	}
	if (provider_metadata(edition_provider((*r)->edition, app->provider->name)) == NULL) {
		fail_noted(r, m, app, IPC_ERROR_PROVIDER_DOWN, "no_metadata");
		return;
	}
	g = calloc(1, sizeof *g);
	if (g == NULL) {
		request_fail(r, IPC_ERROR_INTERNAL, request_detail("memory"));
		return;
	}
	g->request = *r;
	*r = NULL;
	buf_init(&g->location, IPC_URL_MAX);
	buf_init(&g->sealed, VAULT_PLAIN_MAX);
	if (m->binding.n == IPC_SECRET_LEN)
		memcpy(g->binding, m->binding.p, IPC_SECRET_LEN);
	else
		broker_random(g->binding, sizeof g->binding);
	rc = write_row(g, m, app);
	if (rc == ERR_OK)
		return;
	if (rc == ERR_UNAVAILABLE)
		request_fail_store(&g->request, rc);
	else
		request_fail(&g->request, IPC_ERROR_INTERNAL, request_detail(err_text(rc)));
	begin_free(g);
}

/* login_finish - the return from the provider: its row, its issuer, its error; see login.h. */
#include "broker/login_finish.h"

#include <stdlib.h>

#include "broker/dispatch.h"
#include "broker/http_client.h"
#include "broker/login_park.h"
#include "broker/login_url.h"
#include "common/clock.h"
#include "common/log.h"

void finish_free(struct finish *f)
{
	login_transaction_wipe(&f->transaction);
	secret_free(&f->transaction_room);
	secret_free(&f->response_room);
	secret_free(&f->code);
	secret_free(&f->access_token);
	secret_free(&f->refresh_token);
	secret_free(&f->id_token);
	login_claims_done(&f->claims);
	buf_done(&f->text);
	buf_done(&f->redirect_uri);
	buf_done(&f->return_to);
	buf_done(&f->refresh_sealed);
	buf_done(&f->id_token_sealed);
	buf_done(&f->access_sealed);
	explicit_bzero(f, sizeof *f);
	free(f);
}

void finish_note(const struct finish *f, const char *outcome, const char *detail)
{
	const struct login_note n = {.app = f->app->name,
				     .provider = f->app->provider->name,
				     .subject = f->claims.subject,
				     .client = f->client,
				     .outcome = outcome,
				     .detail = detail,
				     .correlation = f->request->correlation,
				     .trace_id = trace_id(&f->request->trace)};

	login_note(f->request->broker, &n);
}

static void on_revoked(void *arg, enum err e, uint32_t retry_after_s)
{
	(void)arg;
	(void)retry_after_s;
	if (e != ERR_OK)
		log_warn("refresh_token_orphaned", K("why", err_text(e)),
			 K("then", "it ends when the provider's own limit does"));
}

/* A refresh token that no grant will hold is given back. */
static void revoke_unused(struct finish *f)
{
	if (f->refresh_token == NULL)
		return;
	http_client_trace(f->request->broker->http, &f->request->trace);
	if (provider_revoke(f->provider, secret_view(f->refresh_token), on_revoked, NULL) != ERR_OK)
		on_revoked(NULL, ERR_UNAVAILABLE, 0);
	http_client_trace(f->request->broker->http, NULL);
}

void finish_fail(struct finish *f, enum ipc_error code, const char *detail)
{
	struct request_failure why = {.return_to = buf_sv(&f->return_to), .detail = detail};

	if (code == IPC_ERROR_PROVIDER_DOWN || code == IPC_ERROR_STORE)
		why.retry_after_s = f->retry_after_s > 0 ? f->retry_after_s : 1;
	finish_note(f, ipc_error_word(code), detail);
	revoke_unused(f);
	request_fail(&f->request, code, why);
	finish_free(f);
}

/* What the response says before anything is asked of the provider; NONE: exchange the code. */
static enum ipc_error judge_response(const struct finish *f, const char **ret_detail)
{
	const struct provider_metadata *meta = provider_metadata(f->provider);
	struct sv redirect_uri = buf_sv(&f->redirect_uri);

	*ret_detail = "other_origin";
	if (!sv_starts(redirect_uri, f->origin) || redirect_uri.n == f->origin.n ||
	    redirect_uri.p[f->origin.n] != '/')
		return IPC_ERROR_BINDING;
	*ret_detail = "other_issuer";
	if (!sv_eq(f->transaction.issuer, f->app->provider->issuer))
		return IPC_ERROR_STALE;
	*ret_detail = login_iss_refusal(f->iss, f->transaction.issuer,
					meta != NULL && meta->iss_parameter_supported);
	if (*ret_detail != NULL)
		return IPC_ERROR_PROVIDER;
	*ret_detail = "authorization_error";
	if (f->error.n > 0)
		return login_error_meaning(f->error, f->transaction.silent);
	*ret_detail = "no_code";
	return f->code == NULL ? IPC_ERROR_PROVIDER : IPC_ERROR_NONE;
}

static void exchange(struct finish *f)
{
	const char *detail = NULL;
	enum ipc_error refusal = judge_response(f, &detail);

	if (refusal != IPC_ERROR_NONE) {
		if (f->error.n > 0)
			log_peer(LOG_WARN, "authorization_error",
				 KS("provider", f->app->provider->name), KS("error", f->error));
		finish_fail(f, refusal, detail);
		return;
	}
	finish_exchange(f);
}

/* --- the row --- */

/* The response that was put away for this login. */
static enum err take_parked(struct finish *f, struct sv sealed)
{
	struct login_response r;
	enum err rc = login_response_open(f->request->broker->ring,
					  sv_of((const char *)f->state_hash, sizeof f->state_hash),
					  sealed, &f->response_room, &r);

	if (rc != ERR_OK)
		return rc;
	f->iss = r.iss;
	f->error = r.error;
	return r.code.n == 0 ? ERR_OK : secret_new(r.code, &f->code);
}

static void on_taken(void *arg, enum err e, const struct pg_rows *rows)
{
	struct finish *f = arg;
	struct sv state;
	enum err rc;

	if (e != ERR_OK || pg_rows_count(rows) != 1) {
		finish_fail(f, IPC_ERROR_STORE, err_text(e));
		return;
	}
	state = pg_rows_sv(rows, 0, 0);
	if (sv_eq(state, SV("unknown"))) {
		finish_fail(f, IPC_ERROR_BINDING, "unknown_state");
		return;
	}
	buf_add(&f->redirect_uri, pg_rows_sv(rows, 0, 2));
	buf_add(&f->return_to, pg_rows_sv(rows, 0, 3));
	if (!sv_eq(state, SV("taken"))) {
		finish_fail(f, IPC_ERROR_STALE, sv_eq(state, SV("used")) ? "used" : "expired");
		return;
	}
	f->begun_ms = pg_rows_i64(rows, 0, 5);
	if (!sv_eq(pg_rows_sv(rows, 0, 1), f->app->provider->name)) {
		finish_fail(f, IPC_ERROR_STALE, "other_provider");
		return;
	}
	rc = login_transaction_open(f->request->broker->ring,
				    sv_of((const char *)f->state_hash, sizeof f->state_hash),
				    pg_rows_sv(rows, 0, 4), &f->transaction_room, &f->transaction);
	if (rc == ERR_OK && f->parked)
		rc = take_parked(f, pg_rows_sv(rows, 0, 6));
	if (rc != ERR_OK || !buf_ok(&f->redirect_uri) || !buf_ok(&f->return_to)) {
		log_error("login_not_opened", K("why", err_text(rc)),
			  K("then", "is a key missing in the key ring?"));
		finish_fail(f, IPC_ERROR_INTERNAL, "not_opened");
		return;
	}
	exchange(f);
}

struct holdoffs *finish_holdoffs(const struct finish *f, const struct config_provider **ret)
{
	*ret = f->app->provider;
	return edition_holdoffs(f->request->edition, ret);
}

/* Before the row is used up: when the provider is back, the same callback will do. */
static bool held_off(struct finish *f)
{
	const struct config_provider *p;
	struct holdoffs *h = finish_holdoffs(f, &p);

	if ((f->app->provider->claims_from & CLAIMS_USERINFO) != 0 &&
	    provider_userinfo_held(f->provider, &f->retry_after_s))
		return true;
	return holdoff_judge(h, p, clock_boot_ms(), &f->retry_after_s) != IPC_ERROR_NONE;
}

static struct sv copy(struct buf *b, struct sv s)
{
	size_t at = b->n;

	buf_add(b, s);
	return buf_ok(b) ? sv_of(b->p + at, s.n) : SV_NONE;
}

/* The views of m end with this turn of the loop. */
static enum err copy_message(struct finish *f, const struct ipc_login_finish *m)
{
	size_t all = m->origin.n + m->iss.n + m->error.n + m->client.n + m->user_agent.n;

	if (buf_reserve(&f->text, all + 1) == NULL)
		return ERR_NOMEM;
	f->origin = copy(&f->text, m->origin);
	f->iss = copy(&f->text, m->iss);
	f->error = copy(&f->text, m->error);
	f->client = copy(&f->text, m->client);
	f->user_agent = copy(&f->text, m->user_agent);
	f->replaces = m->old_session.n == IPC_SECRET_LEN;
	if (f->replaces && crypt_sha256(m->old_session, f->old_hash) != ERR_OK)
		return ERR_CRYPTO;
	return m->code.n == 0 ? ERR_OK : secret_new(m->code, &f->code);
}

static enum err take_row(struct finish *f, const struct ipc_login_finish *m)
{
	unsigned char binding_hash[CRYPT_SHA256_LEN];
	enum err rc = crypt_sha256(m->binding, binding_hash);

	if (rc == ERR_OK)
		rc = crypt_sha256(m->state, f->state_hash);
	if (rc == ERR_OK) {
		const struct pg_param params[] = {PG_BYTES(f->state_hash, sizeof f->state_hash),
						  PG_BYTES(binding_hash, sizeof binding_hash),
						  PG_SV(f->app->name), sql_bool(f->parked)};

		rc = pg_query(f->request->broker->pg, SQL_LOGIN_RETURN, params, on_taken, f, NULL);
	}
	return rc;
}

void login_finish(struct request **r, const struct ipc_login_finish *m)
{
	const struct config_app *app = config_app((*r)->edition->config, m->app);
	struct finish *f;
	enum err rc;

	if (!login_allowed(r, (*r)->broker->responses, m->client, "response_rate"))
		return;
	if (app == NULL || !login_origin_ok(app, m->origin) || m->binding.n != IPC_SECRET_LEN ||
	    m->state.n == 0) {
		request_fail(r, IPC_ERROR_BINDING, request_detail("app_origin_or_binding"));
		return;
	}
	f = calloc(1, sizeof *f);
	if (f == NULL) {
		request_fail(r, IPC_ERROR_INTERNAL, request_detail("memory"));
		return;
	}
	f->request = *r;
	*r = NULL;
	f->app = app;
	f->provider = edition_provider(f->request->edition, app->provider->name);
	f->parked = app->provider->response_mode == RESPONSE_FORM_POST;
	buf_init(&f->text, IPC_FRAME_MAX);
	buf_init(&f->redirect_uri, IPC_URL_MAX);
	buf_init(&f->return_to, IPC_URL_MAX);
	buf_init(&f->refresh_sealed, VAULT_PLAIN_MAX + VAULT_OVERHEAD);
	buf_init(&f->id_token_sealed, VAULT_PLAIN_MAX + VAULT_OVERHEAD);
	buf_init(&f->access_sealed, VAULT_PLAIN_MAX + VAULT_OVERHEAD);
	rc = copy_message(f, m);
	if (rc == ERR_OK && f->parked && (f->code != NULL || f->error.n > 0)) {
		finish_fail(f, IPC_ERROR_BINDING, "response_mode");
		return;
	}
	if (rc == ERR_OK && f->error.n == 0 && held_off(f)) {
		finish_fail(f, IPC_ERROR_PROVIDER_DOWN, "held_off");
		return;
	}
	if (rc == ERR_OK)
		rc = take_row(f, m);
	if (rc == ERR_UNAVAILABLE)
		finish_fail(f, IPC_ERROR_STORE, err_text(rc));
	else if (rc != ERR_OK)
		finish_fail(f, IPC_ERROR_INTERNAL, err_text(rc));
}

/* login_finish - the return from the provider: row, issuer, code, ID token, session; see login.h.
 */
#include "broker/login.h"

#include <stdlib.h>

#include "broker/dispatch.h"
#include "broker/login_transaction.h"
#include "broker/login_url.h"
#include "broker/token_row.h"
#include "common/clock.h"
#include "common/log.h"

#define DAY_S 86400
#define GRANT_ID_LEN 16

/* Lives from the message to its answer; each step is a callback of the one before. */
struct finish {
	struct request *request;
	const struct config_app *app;
	struct provider *provider;
	struct login_transaction transaction;
	struct secret *transaction_room, *code, *access_token, *refresh_token, *id_token;
	struct buf text; /* where the views below point to */
	struct sv origin, iss, error, client, user_agent;
	struct buf redirect_uri, return_to;
	unsigned char state_hash[CRYPT_SHA256_LEN], old_hash[CRYPT_SHA256_LEN];
	bool replaces;
	int64_t begun_ms, ttl_ms;
	unsigned char session[IPC_SECRET_LEN];
	struct buf refresh_sealed, id_token_sealed, access_sealed;
	char subject[256];
	size_t subject_len;
};

static void finish_free(struct finish *f)
{
	login_transaction_wipe(&f->transaction);
	secret_free(&f->transaction_room);
	secret_free(&f->code);
	secret_free(&f->access_token);
	secret_free(&f->refresh_token);
	secret_free(&f->id_token);
	buf_done(&f->text);
	buf_done(&f->redirect_uri);
	buf_done(&f->return_to);
	buf_done(&f->refresh_sealed);
	buf_done(&f->id_token_sealed);
	buf_done(&f->access_sealed);
	explicit_bzero(f, sizeof *f);
	free(f);
}

static void note(const struct finish *f, const char *outcome, const char *detail)
{
	const struct login_note n = {.app = f->app->name,
				     .provider = f->app->provider->name,
				     .subject = sv_of(f->subject, f->subject_len),
				     .client = f->client,
				     .outcome = outcome,
				     .detail = detail,
				     .correlation = f->request->correlation};

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
	if (f->refresh_token != NULL &&
	    provider_revoke(f->provider, secret_view(f->refresh_token), on_revoked, NULL) != ERR_OK)
		on_revoked(NULL, ERR_UNAVAILABLE, 0);
}

static void fail(struct finish *f, enum ipc_error code, const char *detail)
{
	struct request_failure why = {.return_to = buf_sv(&f->return_to), .detail = detail};

	if (code == IPC_ERROR_PROVIDER_DOWN || code == IPC_ERROR_STORE)
		why.retry_after_s = 1;
	note(f, ipc_error_word(code), detail);
	revoke_unused(f);
	request_fail(&f->request, code, why);
	finish_free(f);
}

/* --- the session --- */

static void on_created(void *arg, enum err e, const struct pg_rows *rows)
{
	struct finish *f = arg;
	struct ipc_login_finished m = {0};
	struct buf packet;
	enum err rc;

	if (e != ERR_OK || pg_rows_count(rows) != 1) {
		fail(f, IPC_ERROR_STORE, err_text(e));
		return;
	}
	if (!pg_rows_bool(rows, 0, 0)) {
		fail(f, IPC_ERROR_STALE, "revoked_meanwhile");
		return;
	}
	m.session = sv_of((const char *)f->session, sizeof f->session);
	m.day = (uint32_t)(clock_wall_s() / DAY_S);
	m.return_to = buf_sv(&f->return_to);
	m.session_ref = pg_rows_sv(rows, 0, 1);
	note(f, "ok", NULL);
	buf_init(&packet, IPC_FRAME_MAX);
	rc = ipc_encode_login_finished(&packet, f->request->id, &m);
	request_answer(&f->request, rc, &packet);
	finish_free(f);
}

static enum err seal_tokens(struct finish *f, struct sv grant_id)
{
	const struct keyring *ring = f->request->broker->ring;
	struct vault_label refresh = token_refresh_label(grant_id, 1);
	struct vault_label id_token = token_id_token_label(grant_id, 1);
	enum err rc = vault_seal(ring, &id_token, secret_view(f->id_token), &f->id_token_sealed);

	if (rc == ERR_OK && f->refresh_token != NULL)
		rc = vault_seal(ring, &refresh, secret_view(f->refresh_token), &f->refresh_sealed);
	if (rc == ERR_OK && f->access_token != NULL)
		rc = token_seal(ring, grant_id, TOKEN_SESSION_SERVICE, 1,
				secret_view(f->access_token), f->ttl_ms, &f->access_sealed);
	return rc;
}

/* User agents come as browsers like; the database wants UTF-8 and the log no surprises. */
static struct sv printable(struct sv s, char *room, size_t len)
{
	size_t n = s.n < len ? s.n : len;

	for (size_t i = 0; i < n; i++)
		room[i] = (char)(s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?');
	return sv_of(room, n);
}

static enum err insert_session(struct finish *f, const struct id_token_claims *claims,
			       struct sv grant_id)
{
	struct sql_i64 auth_time, idle, absolute, begun, max_sessions, ttl;
	unsigned char id_hash[CRYPT_SHA256_LEN];
	char agent[512];
	struct sv user_agent = printable(f->user_agent, agent, sizeof agent);
	enum err rc = crypt_sha256(sv_of((const char *)f->session, sizeof f->session), id_hash);

	if (rc != ERR_OK)
		return rc;
	const struct pg_param params[] = {PG_BYTES(id_hash, sizeof id_hash),
					  PG_SV(f->app->name),
					  PG_SV(f->app->provider->name),
					  PG_SV(f->app->provider->issuer),
					  PG_SV(claims->sub),
					  PG_SV(claims->sid),
					  PG_SV(claims->subject),
					  PG_SV(claims->email),
					  PG_SV(claims->claims),
					  PG_SV(claims->acr),
					  sql_i64(&auth_time, claims->auth_time_s),
					  sql_i64(&idle, f->app->idle_timeout_ms),
					  sql_i64(&absolute, f->app->absolute_timeout_ms),
					  sql_i64(&begun, f->begun_ms),
					  f->replaces ? PG_BYTES(f->old_hash, sizeof f->old_hash)
						      : PG_NULL,
					  sql_i64(&max_sessions, f->app->max_sessions),
					  PG_BYTES(grant_id.p, grant_id.n),
					  sql_bytes_or_null(buf_sv(&f->refresh_sealed)),
					  sql_bytes_or_null(buf_sv(&f->id_token_sealed)),
					  sql_bytes_or_null(buf_sv(&f->access_sealed)),
					  sql_i64(&ttl, f->ttl_ms),
					  PG_SV(f->client),
					  PG_SV(user_agent)};

	return pg_query(f->request->broker->pg, SQL_SESSION_CREATE, params, on_created, f, NULL);
}

static void on_id_token(void *arg, enum err e, const struct id_token_claims *claims,
			const char *detail)
{
	struct finish *f = arg;
	char id[GRANT_ID_LEN];
	struct sv grant_id = sv_of(id, sizeof id);
	enum err rc;

	if (e != ERR_OK) {
		log_warn("id_token_refused", KS("provider", f->app->provider->name),
			 K("why", detail), K("code", err_text(e)));
		fail(f, e == ERR_UNAVAILABLE ? IPC_ERROR_PROVIDER_DOWN : IPC_ERROR_PROVIDER,
		     detail == NULL ? "id_token" : detail);
		return;
	}
	f->subject_len =
	    claims->subject.n < sizeof f->subject ? claims->subject.n : sizeof f->subject;
	memcpy(f->subject, claims->subject.p, f->subject_len);
	broker_random(id, sizeof id);
	broker_random(f->session, sizeof f->session);
	rc = seal_tokens(f, grant_id);
	if (rc == ERR_OK)
		rc = insert_session(f, claims, grant_id);
	if (rc == ERR_UNAVAILABLE)
		fail(f, IPC_ERROR_STORE, err_text(rc));
	else if (rc != ERR_OK)
		fail(f, IPC_ERROR_INTERNAL, err_text(rc));
}

/* --- the code --- */

static enum err keep(struct sv token, struct secret **ret)
{
	return token.n == 0 ? ERR_OK : secret_new(token, ret);
}

static enum ipc_error code_refusal(enum token_outcome outcome)
{
	switch (outcome) {
	case TOKEN_OK:
		return IPC_ERROR_NONE;
	case TOKEN_NOT_SENT:
	case TOKEN_UNKNOWN:
	case TOKEN_THROTTLED:
		return IPC_ERROR_PROVIDER_DOWN;
	case TOKEN_DEAD:
	case TOKEN_MISCONFIGURED:
	case TOKEN_INTERACTION:
	case TOKEN_CLIENT_BROKEN:
		return IPC_ERROR_PROVIDER;
	}
	return IPC_ERROR_PROVIDER;
}

static void on_code(void *arg, enum err e, const struct token_reply *reply)
{
	struct finish *f = arg;
	struct id_token_expect expect = {0};
	enum ipc_error refusal;
	enum err rc;

	secret_free(&f->code);
	if (e != ERR_OK) {
		fail(f, IPC_ERROR_PROVIDER_DOWN, "no_metadata");
		return;
	}
	refusal = code_refusal(reply->outcome);
	if (refusal != IPC_ERROR_NONE) {
		fail(f, refusal, reply->detail);
		return;
	}
	f->ttl_ms = reply->expires_in_s * 1000;
	rc = keep(reply->access_token, &f->access_token);
	if (rc == ERR_OK)
		rc = keep(reply->refresh_token, &f->refresh_token);
	if (rc == ERR_OK)
		rc = keep(reply->id_token, &f->id_token);
	if (rc != ERR_OK) {
		fail(f, IPC_ERROR_INTERNAL, err_text(rc));
		return;
	}
	if (f->id_token == NULL) {
		fail(f, IPC_ERROR_PROVIDER, "no_id_token");
		return;
	}
	expect.nonce = sv_of(f->transaction.nonce, sizeof f->transaction.nonce);
	expect.access_token = reply->access_token;
	rc = provider_id_token(f->provider, secret_view(f->id_token), &expect, on_id_token, f);
	if (rc != ERR_OK)
		fail(f, IPC_ERROR_INTERNAL, err_text(rc));
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
	enum err rc;

	if (refusal != IPC_ERROR_NONE) {
		if (f->error.n > 0)
			log_peer(LOG_WARN, "authorization_error",
				 KS("provider", f->app->provider->name), KS("error", f->error));
		fail(f, refusal, detail);
		return;
	}
	rc = provider_code(f->provider, secret_view(f->code), buf_sv(&f->redirect_uri),
			   sv_of(f->transaction.verifier, sizeof f->transaction.verifier), on_code,
			   f);
	if (rc != ERR_OK)
		fail(f, rc == ERR_UNAVAILABLE ? IPC_ERROR_PROVIDER_DOWN : IPC_ERROR_INTERNAL,
		     err_text(rc));
}

/* --- the row --- */

static void on_taken(void *arg, enum err e, const struct pg_rows *rows)
{
	struct finish *f = arg;
	struct sv state;
	enum err rc;

	if (e != ERR_OK || pg_rows_count(rows) != 1) {
		fail(f, IPC_ERROR_STORE, err_text(e));
		return;
	}
	state = pg_rows_sv(rows, 0, 0);
	if (sv_eq(state, SV("unknown"))) {
		fail(f, IPC_ERROR_BINDING, "unknown_state");
		return;
	}
	buf_add(&f->redirect_uri, pg_rows_sv(rows, 0, 2));
	buf_add(&f->return_to, pg_rows_sv(rows, 0, 3));
	if (!sv_eq(state, SV("taken"))) {
		fail(f, IPC_ERROR_STALE, sv_eq(state, SV("used")) ? "used" : "expired");
		return;
	}
	f->begun_ms = pg_rows_i64(rows, 0, 5);
	if (!sv_eq(pg_rows_sv(rows, 0, 1), f->app->provider->name)) {
		fail(f, IPC_ERROR_STALE, "other_provider");
		return;
	}
	rc = login_transaction_open(f->request->broker->ring,
				    sv_of((const char *)f->state_hash, sizeof f->state_hash),
				    pg_rows_sv(rows, 0, 4), &f->transaction_room, &f->transaction);
	if (rc != ERR_OK || !buf_ok(&f->redirect_uri) || !buf_ok(&f->return_to)) {
		log_error("login_not_opened", K("why", err_text(rc)),
			  K("then", "is a key missing in the key ring?"));
		fail(f, IPC_ERROR_INTERNAL, "not_opened");
		return;
	}
	exchange(f);
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
						  PG_SV(f->app->name)};

		rc = pg_query(f->request->broker->pg, SQL_LOGIN_TAKE, params, on_taken, f, NULL);
	}
	return rc;
}

void login_finish(struct request **r, const struct ipc_login_finish *m)
{
	const struct config_app *app = config_app((*r)->edition->config, m->app);
	struct finish *f;
	enum err rc;

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
	buf_init(&f->text, IPC_FRAME_MAX);
	buf_init(&f->redirect_uri, IPC_URL_MAX);
	buf_init(&f->return_to, IPC_URL_MAX);
	buf_init(&f->refresh_sealed, VAULT_PLAIN_MAX + VAULT_OVERHEAD);
	buf_init(&f->id_token_sealed, VAULT_PLAIN_MAX + VAULT_OVERHEAD);
	buf_init(&f->access_sealed, VAULT_PLAIN_MAX + VAULT_OVERHEAD);
	rc = copy_message(f, m);
	if (rc == ERR_OK)
		rc = take_row(f, m);
	if (rc == ERR_UNAVAILABLE)
		fail(f, IPC_ERROR_STORE, err_text(rc));
	else if (rc != ERR_OK)
		fail(f, IPC_ERROR_INTERNAL, err_text(rc));
}

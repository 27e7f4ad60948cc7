/* login_session - from the code to the session; see login_finish.h. */
#include <stdlib.h>

#include "broker/http_client.h"
#include "broker/login_finish.h"
#include "broker/prefetch.h"
#include "broker/token_seal.h"
#include "common/clock.h"
#include "common/log.h"

#define DAY_S 86400

/* Our own failure, or none: then a callback goes on. */
static void finish_failed(struct finish *f, enum err rc)
{
	if (rc == ERR_UNAVAILABLE)
		finish_fail(f, IPC_ERROR_STORE, err_text(rc));
	else if (rc != ERR_OK)
		finish_fail(f, IPC_ERROR_INTERNAL, err_text(rc));
}

/* --- the session --- */

static void on_created(void *arg, enum err e, const struct pg_rows *rows)
{
	struct finish *f = arg;
	struct ipc_message m = {.number = IPC_LOGIN_FINISHED};

	if (e != ERR_OK || pg_rows_count(rows) != 1) {
		finish_fail(f, IPC_ERROR_STORE, err_text(e));
		return;
	}
	if (!pg_rows_bool(rows, 0, 0)) {
		finish_fail(f, IPC_ERROR_STALE, "revoked_meanwhile");
		return;
	}
	prefetch(f->request->broker, f->request->edition, f->app,
		 sv_of((const char *)f->grant_id, sizeof f->grant_id), f->id_hash);
	m.u.login_finished = (struct ipc_login_finished){
	    .session = sv_of((const char *)f->session, sizeof f->session),
	    .day = (uint32_t)(clock_wall_s() / DAY_S),
	    .return_to = buf_sv(&f->return_to),
	    .session_ref = pg_rows_sv(rows, 0, 1)};
	finish_note(f, "ok", NULL);
	request_answer(&f->request, &m);
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

/* Without a refresh token nobody can ask again. */
static int64_t revalidate_ms(const struct finish *f)
{
	if (f->app->revalidate_ms > 0 && f->refresh_token == NULL) {
		log_warn("session_not_revalidated", KS("app", f->app->name),
			 KS("provider", f->app->provider->name), K("why", "no refresh token came"),
			 K("then", "the session lives to its own limits"));
		return 0;
	}
	return f->app->revalidate_ms;
}

static enum err insert_session(struct finish *f, struct sv grant_id)
{
	const struct login_claims *claims = &f->claims;
	struct sql_i64 auth_time, idle, absolute, begun, max_sessions, ttl, revalidate;
	unsigned char nonce_hash[CRYPT_SHA256_LEN];
	char agent[512];
	struct sv user_agent = printable(f->user_agent, agent, sizeof agent);
	enum err rc = crypt_sha256(sv_of((const char *)f->session, sizeof f->session), f->id_hash);

	if (rc == ERR_OK)
		rc = crypt_sha256(sv_of(f->transaction.nonce, sizeof f->transaction.nonce),
				  nonce_hash);
	if (rc != ERR_OK)
		return rc;
	const struct pg_param params[] = {PG_BYTES(f->id_hash, sizeof f->id_hash),
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
					  PG_SV(user_agent),
					  sql_i64(&revalidate, revalidate_ms(f)),
					  PG_BYTES(f->state_hash, sizeof f->state_hash),
					  PG_BYTES(nonce_hash, sizeof nonce_hash)};

	return pg_query(f->request->broker->pg, SQL_SESSION_CREATE, params, on_created, f, NULL);
}

static void make_session(struct finish *f)
{
	struct sv grant_id = sv_of((const char *)f->grant_id, sizeof f->grant_id);
	enum err rc;

	broker_random(f->grant_id, sizeof f->grant_id);
	broker_random(f->session, sizeof f->session);
	rc = seal_tokens(f, grant_id);
	if (rc == ERR_OK)
		rc = insert_session(f, grant_id);
	finish_failed(f, rc);
}

/* --- a silent login may not change who it is (Core 3.1.2.1: the hinted user) --- */

static void on_old_session(void *arg, enum err e, const struct pg_rows *rows)
{
	struct finish *f = arg;
	struct token_row row;

	if (e == ERR_OK)
		e = token_row_read(rows, &row);
	if (e != ERR_OK) {
		finish_fail(f, IPC_ERROR_STORE, err_text(e));
		return;
	}
	if (sv_eq(row.state, SV("live")) && sv_eq(row.app, f->app->name) &&
	    !(sv_eq(row.issuer, f->app->provider->issuer) && sv_eq(row.sub, f->claims.sub))) {
		finish_fail(f, IPC_ERROR_LOGIN_REQUIRED, "other_user");
		return;
	}
	make_session(f);
}

static void check_user(struct finish *f)
{
	const struct sv service = TOKEN_SESSION_SERVICE;

	if (!f->transaction.silent || !f->replaces) {
		make_session(f);
		return;
	}
	const struct pg_param params[] = {PG_BYTES(f->old_hash, sizeof f->old_hash),
					  PG_SV(service)};

	finish_failed(
	    f, pg_query(f->request->broker->pg, SQL_TOKEN_READ, params, on_old_session, f, NULL));
}

/* --- who it is --- */

/* What an ID token or a UserInfo that is not to be believed means for the login. */
static void refuse(struct finish *f, const char *event, enum err e, const char *detail)
{
	log_warn(event, KS("provider", f->app->provider->name), K("why", detail),
		 K("code", err_text(e)));
	finish_fail(
	    f, e == ERR_CRYPTO || e == ERR_DENIED ? IPC_ERROR_PROVIDER : IPC_ERROR_PROVIDER_DOWN,
	    detail);
}

static void on_userinfo(void *arg, enum err e, const struct id_token_claims *claims,
			const char *detail)
{
	struct finish *f = arg;

	if (e != ERR_OK) {
		refuse(f, "userinfo_refused", e,
		       detail == NULL || *detail == '\0' ? "userinfo" : detail);
		return;
	}
	e = login_claims_merge(&f->claims, f->app->provider->claims_from, claims);
	if (e == ERR_NOMEM)
		finish_fail(f, IPC_ERROR_INTERNAL, err_text(e));
	else if (e != ERR_OK)
		finish_fail(f, IPC_ERROR_PROVIDER, "claims_size");
	else if (f->claims.subject.n == 0)
		finish_fail(f, IPC_ERROR_PROVIDER, "subject_claim");
	else
		check_user(f);
}

static void ask_userinfo(struct finish *f)
{
	enum err rc = ERR_UNSUPPORTED;

	http_client_trace(f->request->broker->http, &f->request->trace);
	if (f->access_token != NULL && provider_metadata(f->provider)->userinfo_endpoint.n > 0)
		rc = provider_userinfo(f->provider, secret_view(f->access_token), f->claims.sub,
				       on_userinfo, f);
	http_client_trace(f->request->broker->http, NULL);
	if (rc == ERR_UNSUPPORTED)
		finish_fail(f, IPC_ERROR_PROVIDER, "userinfo_endpoint_missing");
	else if (rc == ERR_UNAVAILABLE)
		finish_fail(f, IPC_ERROR_PROVIDER_DOWN, "userinfo");
	else
		finish_failed(f, rc);
}

static void on_id_token(void *arg, enum err e, const struct id_token_claims *claims,
			const char *detail)
{
	struct finish *f = arg;
	const char *unmet;

	if (e != ERR_OK) {
		refuse(f, "id_token_refused", e,
		       detail == NULL || *detail == '\0' ? "id_token" : detail);
		return;
	}
	e = login_claims_take(&f->claims, claims);
	if (e != ERR_OK) {
		finish_failed(f, e);
		return;
	}
	unmet = login_transaction_unmet(&f->transaction, claims, f->begun_ms / 1000);
	if (unmet != NULL)
		finish_fail(f, IPC_ERROR_PROVIDER, unmet);
	else if ((f->app->provider->claims_from & CLAIMS_USERINFO) != 0)
		ask_userinfo(f);
	else
		check_user(f);
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
	case TOKEN_TOO_OFTEN:
		return IPC_ERROR_PROVIDER_DOWN;
	case TOKEN_DEAD:
	case TOKEN_MISCONFIGURED:
	case TOKEN_INTERACTION:
	case TOKEN_CLIENT_BROKEN:
		return IPC_ERROR_PROVIDER;
	}
	return IPC_ERROR_PROVIDER;
}

/* What came of it is worth knowing to all who ask the provider. SECURITY: anybody can bring a code
 * that is none: one that a server stumbles over, or a proxy has a page for. So neither a refusal
 * nor an answer that says nothing proves that the provider is well, or that it is not. */
static void note_provider(const struct finish *f, const struct token_reply *reply)
{
	const struct config_provider *p;
	struct holdoffs *h = finish_holdoffs(f, &p);
	int64_t now = clock_boot_ms(), wait_s = reply->retry_after_s;
	unsigned char random;

	broker_random(&random, sizeof random);
	switch (reply->outcome) {
	case TOKEN_OK:
		holdoff_well(h, p, now);
		break;
	case TOKEN_NOT_SENT:
	case TOKEN_UNKNOWN:
		if (reply->answered)
			holdoff_doubtful(h, p, now);
		else
			holdoff_failed(h, p, IPC_ERROR_PROVIDER_DOWN, now, random);
		break;
	case TOKEN_THROTTLED:
		if (wait_s > HOLDOFF_THROTTLE_MAX_S)
			wait_s = HOLDOFF_THROTTLE_MAX_S;
		holdoff_for(h, p, IPC_ERROR_PROVIDER_DOWN, now, 1000 * wait_s, random);
		break;
	case TOKEN_DEAD:
	case TOKEN_MISCONFIGURED:
	case TOKEN_INTERACTION:
	case TOKEN_CLIENT_BROKEN:
	case TOKEN_TOO_OFTEN:
		holdoff_answered(h, p);
		break;
	}
}

static void on_code(void *arg, enum err e, const struct token_reply *reply)
{
	struct finish *f = arg;
	struct id_token_expect expect = {0};
	enum ipc_error refusal;
	enum err rc;

	secret_free(&f->code);
	if (e != ERR_OK) {
		finish_fail(f, IPC_ERROR_PROVIDER_DOWN, "no_metadata");
		return;
	}
	note_provider(f, reply);
	refusal = code_refusal(reply->outcome);
	if (refusal != IPC_ERROR_NONE) {
		finish_fail(f, refusal, reply->detail);
		return;
	}
	f->ttl_ms = reply->expires_in_s * 1000;
	rc = keep(reply->access_token, &f->access_token);
	if (rc == ERR_OK)
		rc = keep(reply->refresh_token, &f->refresh_token);
	if (rc == ERR_OK)
		rc = keep(reply->id_token, &f->id_token);
	if (rc != ERR_OK) {
		finish_fail(f, IPC_ERROR_INTERNAL, err_text(rc));
		return;
	}
	if (f->id_token == NULL) {
		finish_fail(f, IPC_ERROR_PROVIDER, "no_id_token");
		return;
	}
	expect.nonce = sv_of(f->transaction.nonce, sizeof f->transaction.nonce);
	expect.access_token = reply->access_token;
	http_client_trace(f->request->broker->http, &f->request->trace);
	rc = provider_id_token(f->provider, secret_view(f->id_token), &expect, on_id_token, f);
	http_client_trace(f->request->broker->http, NULL);
	if (rc != ERR_OK)
		finish_fail(f, IPC_ERROR_INTERNAL, err_text(rc));
}

/* It may have been held off since the row was asked for, or another be the probe. */
void finish_exchange(struct finish *f)
{
	const struct config_provider *p;
	struct holdoffs *h = finish_holdoffs(f, &p);
	enum err rc;

	if (holdoff_admit(h, p, HOLDOFF_ANY, clock_boot_ms(), &f->retry_after_s) !=
	    IPC_ERROR_NONE) {
		finish_fail(f, IPC_ERROR_PROVIDER_DOWN, "held_off");
		return;
	}
	http_client_trace(f->request->broker->http, &f->request->trace);
	rc = provider_code(f->provider, secret_view(f->code), buf_sv(&f->redirect_uri),
			   sv_of(f->transaction.verifier, sizeof f->transaction.verifier), on_code,
			   f);
	http_client_trace(f->request->broker->http, NULL);
	if (rc != ERR_OK)
		finish_fail(f, rc == ERR_UNAVAILABLE ? IPC_ERROR_PROVIDER_DOWN : IPC_ERROR_INTERNAL,
			    err_text(rc));
}

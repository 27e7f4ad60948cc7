#include "broker/token_row.h"

enum err token_row_read(const struct pg_rows *rows, struct token_row *ret)
{
	if (pg_rows_count(rows) != 1)
		return ERR_NOT_FOUND;
	*ret = (struct token_row){
	    .state = pg_rows_sv(rows, 0, 0),
	    .app = pg_rows_sv(rows, 0, 1),
	    .provider = pg_rows_sv(rows, 0, 2),
	    .grant_id = pg_rows_sv(rows, 0, 3),
	    .generation = pg_rows_i64(rows, 0, 4),
	    .grant_live = sv_eq(pg_rows_sv(rows, 0, 5), SV("live")),
	    .refresh_sealed = pg_rows_sv(rows, 0, 6),
	    .attempts = pg_rows_i64(rows, 0, 7),
	    .lease_left_ms = pg_rows_i64(rows, 0, 8),
	    .token_sealed = pg_rows_sv(rows, 0, 9),
	    .token_left_ms = pg_rows_i64(rows, 0, 10),
	    .token_generation = pg_rows_i64(rows, 0, 11),
	    .sub = pg_rows_sv(rows, 0, 12),
	    .issuer = pg_rows_sv(rows, 0, 13),
	    .id_token_sealed = pg_rows_sv(rows, 0, 14),
	    .token_config = pg_rows_sv(rows, 0, 15),
	    .absolute_left_ms = pg_rows_i64(rows, 0, 16),
	    .refresh_generation = pg_rows_i64(rows, 0, 17),
	    .id_token_generation = pg_rows_i64(rows, 0, 18),
	    .idle_left_ms = pg_rows_i64(rows, 0, 19),
	    .resources_known = !pg_rows_null(rows, 0, 20),
	    .resources = pg_rows_sv(rows, 0, 20),
	    .nonce_hash = pg_rows_sv(rows, 0, 21),
	    .auth_time_s = pg_rows_i64(rows, 0, 22),
	};
	return ERR_OK;
}

static struct token_verdict refuse(enum ipc_error code, const char *detail)
{
	return (struct token_verdict){.next = TOKEN_REFUSE, .refusal = code, .detail = detail};
}

/* A refresh can narrow what the login asked for, not widen it (RFC 8707 2.2), and a provider that
 * refuses may have spent the refresh token: then the whole session would be over. */
static bool asked_for(const struct token_row *row, const struct config_service *s)
{
	return s->grant != GRANT_RESOURCE || !row->resources_known ||
	       sv_has_word(row->resources, s->resource);
}

int64_t token_margin_ms(int64_t ttl_ms, struct sv grant_id)
{
	int64_t margin = ttl_ms * TOKEN_MARGIN_PERCENT / 100;

	if (margin < TOKEN_MARGIN_MS)
		margin = TOKEN_MARGIN_MS;
	if (grant_id.n > 0)
		margin += margin * (unsigned char)grant_id.p[0] / 1024;
	return margin > ttl_ms / TOKEN_MARGIN_SHARE ? ttl_ms / TOKEN_MARGIN_SHARE : margin;
}

struct token_verdict token_judge(const struct token_row *row, const struct token_ask *ask,
				 const struct token_held *held)
{
	const struct config_provider *p = ask->service->provider;

	if (!sv_eq(row->state, SV("live")))
		return refuse(IPC_ERROR_NO_SESSION, "session_not_live");
	if (!sv_eq(row->app, ask->app))
		return refuse(IPC_ERROR_NO_SESSION, "other_app");
	/* SECURITY: nothing of one provider goes to another that took its name. */
	if (!sv_eq(row->provider, p->name) || !sv_eq(row->issuer, p->issuer))
		return refuse(IPC_ERROR_REAUTHENTICATE, "other_provider");
	if (ask->service->grant == GRANT_CLIENT_CREDENTIALS)
		return (struct token_verdict){.next = TOKEN_OF_SERVICE};
	if (held->left_ms > token_margin_ms(held->ttl_ms, row->grant_id))
		return (struct token_verdict){.next = TOKEN_ANSWER};
	if (!row->grant_live)
		return refuse(IPC_ERROR_REAUTHENTICATE, "grant_over");
	if (!asked_for(row, ask->service))
		return refuse(IPC_ERROR_REAUTHENTICATE, "resource_not_asked_for");
	/* An exchange starts from the login's own access token. */
	if (row->refresh_sealed.n == 0 && ask->service->grant != GRANT_EXCHANGE &&
	    ask->service->grant != GRANT_OBO) {
		if (held->left_ms >= TOKEN_USABLE_MS)
			return (struct token_verdict){.next = TOKEN_ANSWER};
		/* The login's own token comes anew with a login; another service's never would. */
		if (ask->service->grant == GRANT_SESSION || ask->service->grant == GRANT_ID_TOKEN)
			return refuse(IPC_ERROR_REAUTHENTICATE, "no_refresh_token");
		return refuse(IPC_ERROR_UPSTREAM, "no_refresh_token");
	}
	if (held->left_ms >= TOKEN_USABLE_MS)
		return (struct token_verdict){.next = TOKEN_ANSWER_AND_RENEW};
	return (struct token_verdict){.next = TOKEN_REFRESH};
}

bool token_app_uses(const struct config *c, const struct config_app *app,
		    const struct config_service *s)
{
	for (size_t i = 0; i < c->nroutes; i++)
		if (c->routes[i].app == app && c->routes[i].service == s)
			return true;
	return false;
}

#include "broker/login_past.h"

#include "broker/token_seal.h"
#include "common/log.h"

enum column { COL_CHALLENGE, COL_HINT, COL_GRANT, COL_ID_TOKEN, COL_ID_TOKEN_GENERATION };

enum err login_past_ask(struct broker *b, const struct config_app *app, struct sv session, pg_fn fn,
			void *arg)
{
	unsigned char hash[CRYPT_SHA256_LEN];
	enum err rc = crypt_sha256(session, hash);
	const struct pg_param params[] = {PG_BYTES(hash, sizeof hash), PG_SV(app->name),
					  PG_SV(app->provider->name), PG_SV(app->provider->issuer)};

	if (rc != ERR_OK)
		return rc;
	return pg_query(b->pg, SQL_LOGIN_PAST, params, fn, arg, NULL);
}

enum err login_past_read(const struct pg_rows *rows, const struct keyring *ring,
			 struct login_past *ret)
{
	struct login_past p = {.id_token = NULL};
	struct vault_label label;
	struct sv sealed;
	enum err e;

	if (pg_rows_count(rows) != 1)
		return ERR_PROTOCOL;
	p.claims = pg_rows_sv(rows, 0, COL_CHALLENGE);
	p.hint = pg_rows_sv(rows, 0, COL_HINT);
	sealed = pg_rows_sv(rows, 0, COL_ID_TOKEN);
	if (sealed.n > 0) {
		label = token_id_token_label(pg_rows_sv(rows, 0, COL_GRANT),
					     pg_rows_i64(rows, 0, COL_ID_TOKEN_GENERATION));
		e = vault_open(ring, &label, sealed, &p.id_token);
		if (e != ERR_OK)
			log_warn("id_token_not_opened", K("why", err_text(e)),
				 K("then", "the login goes on without it"));
	}
	*ret = p;
	return ERR_OK;
}

void login_past_done(struct login_past *p)
{
	secret_free(&p->id_token);
}

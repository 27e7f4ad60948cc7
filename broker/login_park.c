#include "broker/login_park.h"

#include <assert.h>
#include <stdio.h>

#include "broker/dispatch.h"
#include "broker/login.h"

/* --- the sealed form: code NUL iss NUL error --- */

static struct vault_label label_of(struct sv state_hash)
{
	return (struct vault_label){.purpose = SV("login response"), .object = state_hash};
}

enum err login_response_seal(const struct keyring *ring, struct sv state_hash,
			     const struct login_response *r, struct buf *out)
{
	const struct sv fields[] = {r->code, r->iss, r->error};
	struct vault_label label = label_of(state_hash);
	enum err rc = ERR_OK;
	struct buf plain;

	buf_init(&plain, IPC_FRAME_MAX);
	for (size_t i = 0; i < ARRAY_LEN(fields) && rc == ERR_OK; i++) {
		if (sv_find(fields[i], '\0') != fields[i].n)
			rc = ERR_SYNTAX;
		if (i > 0)
			buf_add_char(&plain, '\0');
		buf_add(&plain, fields[i]);
	}
	if (rc == ERR_OK)
		rc = buf_ok(&plain) ? vault_seal(ring, &label, buf_sv(&plain), out) : ERR_LIMIT;
	buf_done(&plain);
	return rc;
}

enum err login_response_open(const struct keyring *ring, struct sv state_hash, struct sv sealed,
			     struct secret **room, struct login_response *ret)
{
	struct sv *fields[] = {&ret->code, &ret->iss, &ret->error};
	struct vault_label label = label_of(state_hash);
	struct sv plain;
	enum err rc = vault_open(ring, &label, sealed, room);

	if (rc != ERR_OK)
		return rc;
	plain = secret_view(*room);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		size_t end = sv_find(plain, '\0');
		bool last = i == ARRAY_LEN(fields) - 1;

		if ((end == plain.n) != last)
			return ERR_SYNTAX;
		*fields[i] = sv_cut(plain, 0, end);
		plain = sv_cut(plain, end + 1, plain.n);
	}
	return ERR_OK;
}

/* --- the message --- */

static void on_parked(void *arg, enum err e, const struct pg_rows *rows)
{
	struct request *r = arg;
	struct ipc_message m = {.number = IPC_LOGIN_PARKED};

	if (e != ERR_OK || pg_rows_count(rows) != 1) {
		request_fail_store(&r, e);
		return;
	}
	m.u.login_parked.known = pg_rows_bool(rows, 0, 0) ? 1 : 0;
	request_answer(&r, &m);
}

static enum err park(struct request *r, const struct config_app *app,
		     const struct ipc_login_park *m)
{
	const struct login_response response = {.code = m->code, .iss = m->iss, .error = m->error};
	unsigned char hash[CRYPT_SHA256_LEN];
	struct sv state_hash = sv_of((const char *)hash, sizeof hash);
	struct buf sealed;
	enum err rc = crypt_sha256(m->state, hash);

	buf_init(&sealed, IPC_FRAME_MAX + VAULT_OVERHEAD);
	if (rc == ERR_OK)
		rc = login_response_seal(r->broker->ring, state_hash, &response, &sealed);
	if (rc == ERR_OK) {
		const struct pg_param params[] = {PG_BYTES(hash, sizeof hash), PG_SV(app->name),
						  PG_BYTES(sealed.p, sealed.n)};

		rc = pg_query(r->broker->pg, SQL_LOGIN_PARK, params, on_parked, r, NULL);
	}
	buf_done(&sealed);
	return rc;
}

/* Not in one bucket with the GET that follows: a login is one of each. */
static bool allowed(struct request **r, struct sv client)
{
	char who[80];
	int n = snprintf(who, sizeof who, "park " SV_FMT, SV_ARG(client));

	assert(n > 0 && (size_t)n < sizeof who); /* ipc_decode() saw to it */
	return login_allowed(r, (*r)->broker->responses, sv_of(who, (size_t)n), "response_rate");
}

void login_park(struct request **r, const struct ipc_login_park *m)
{
	const struct config_app *app = config_app((*r)->edition->config, m->app);
	enum err rc;

	if (!allowed(r, m->client))
		return;
	if (app == NULL || app->provider->response_mode != RESPONSE_FORM_POST || m->state.n == 0 ||
	    (m->code.n == 0) == (m->error.n == 0)) {
		request_fail(r, IPC_ERROR_BINDING, request_detail("app_or_response_mode"));
		return;
	}
	rc = park(*r, app, m);
	if (rc == ERR_OK)
		*r = NULL;
	else if (rc == ERR_UNAVAILABLE)
		request_fail_store(r, rc);
	else
		request_fail(r, IPC_ERROR_INTERNAL, request_detail(err_text(rc)));
}

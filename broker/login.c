#include "broker/login.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/dispatch.h"
#include "broker/http_client.h"
#include "broker/login_past.h"
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
		 KS("client", n->client), K("correlation", n->correlation),
		 KS_IF("trace_id", n->trace_id));
	if (rc != ERR_OK)
		on_noted(NULL, rc, NULL);
}

bool login_allowed(struct request **r, struct rate_limit *l, struct sv who, const char *detail)
{
	struct request_failure why = {.detail = detail};

	if (rate_limit_take(l, who, clock_boot_ms(), &why.retry_after_s))
		return true;
	request_fail(r, IPC_ERROR_LIMITED, why);
	return false;
}

/* Lives from the message to its answer: the request may have to be pushed, then its row written. */
struct begin {
	struct request *request;
	const struct config_app *app;
	struct provider *provider;
	struct buf text; /* where the views below point to */
	struct sv client, return_to, redirect_uri;
	struct login_request asked; /* what of it the message says */
	struct buf parameters;	    /* of the authorization request */
	struct buf location;
	struct buf sealed;
	struct buf resources; /* that it asks for, by spaces */
	unsigned char state_hash[CRYPT_SHA256_LEN];
	unsigned char binding[IPC_SECRET_LEN];
};

static void begin_free(struct begin *g)
{
	buf_done(&g->text);
	buf_done(&g->parameters);
	buf_done(&g->location);
	buf_done(&g->sealed);
	buf_done(&g->resources);
	explicit_bzero(g, sizeof *g);
	free(g);
}

static struct request_failure begin_failure(enum ipc_error code, const char *detail)
{
	return (struct request_failure){.retry_after_s = code == IPC_ERROR_PROVIDER_DOWN,
					.detail = detail};
}

static void fail_noted(struct request **r, const struct login_note *about, enum ipc_error code,
		       const char *detail)
{
	struct login_note note = *about;

	note.outcome = ipc_error_word(code);
	note.detail = detail;
	note.correlation = (*r)->correlation;
	note.trace_id = trace_id(&(*r)->trace);
	login_note((*r)->broker, &note);
	request_fail(r, code, begin_failure(code, detail));
}

/* As fail_noted(), and the end of g. */
static void begin_fail(struct begin *g, enum ipc_error code, const char *detail)
{
	const struct login_note about = {
	    .app = g->app->name, .provider = g->app->provider->name, .client = g->client};

	fail_noted(&g->request, &about, code, detail);
	begin_free(g);
}

/* Our own failure, which says nothing about logins. */
static void begin_broken(struct begin *g, enum err e)
{
	if (e == ERR_UNAVAILABLE)
		request_fail_store(&g->request, e);
	else
		request_fail(&g->request, IPC_ERROR_INTERNAL, request_detail(err_text(e)));
	begin_free(g);
}

/* --- the row, last: what is not pushed leaves none --- */

static void on_begun(void *arg, enum err e, const struct pg_rows *rows)
{
	struct begin *g = arg;
	const struct ipc_message m = {
	    .number = IPC_LOGIN_BEGUN,
	    .u.login_begun = {.location = buf_sv(&g->location),
			      .binding = sv_of((const char *)g->binding, sizeof g->binding)}};

	if (e == ERR_OK && (pg_rows_count(rows) != 1 || !pg_rows_bool(rows, 0, 0)))
		e = ERR_CONFLICT;
	if (e != ERR_OK)
		request_fail_store(&g->request, e);
	else
		request_answer(&g->request, &m);
	begin_free(g);
}

static enum err write_row(struct begin *g)
{
	unsigned char binding_hash[CRYPT_SHA256_LEN];
	struct sql_i64 lifetime, open_max;
	enum err rc =
	    crypt_sha256(sv_of((const char *)g->binding, sizeof g->binding), binding_hash);

	if (rc != ERR_OK)
		return rc;
	const struct sv resources = buf_sv(&g->resources);
	const struct pg_param params[] = {PG_BYTES(g->state_hash, sizeof g->state_hash),
					  PG_SV(g->app->name),
					  PG_SV(g->app->provider->name),
					  PG_BYTES(binding_hash, sizeof binding_hash),
					  PG_SV(g->redirect_uri),
					  PG_SV(g->return_to),
					  PG_BYTES(g->sealed.p, g->sealed.n),
					  sql_i64(&lifetime, LOGIN_LIFETIME_MS),
					  sql_i64(&open_max, LOGIN_OPEN_MAX),
					  PG_SV(resources)};

	return pg_query(g->request->broker->pg, SQL_LOGIN_BEGIN, params, on_begun, g, NULL);
}

/* `parameters` are what the browser carries. */
static void send_off(struct begin *g, const struct buf *parameters)
{
	const struct provider_metadata *meta = provider_metadata(g->provider);
	enum err rc = ERR_LIMIT;

	url_with_query(&g->location, meta->authorization_endpoint, buf_sv(parameters));
	if (buf_ok(parameters) && buf_ok(&g->location))
		rc = write_row(g);
	if (rc != ERR_OK)
		begin_broken(g, rc);
}

/* --- the request: pushed where the provider takes that (RFC 9126), else in the URL --- */

static void on_pushed(void *arg, enum err e, struct sv request_uri, const char *detail)
{
	struct begin *g = arg;
	struct buf parameters;

	if (e != ERR_OK) {
		char why[IPC_NAME_MAX];

		(void)snprintf(why, sizeof why, "push_%s", *detail == '\0' ? "failed" : detail);
		begin_fail(g, e == ERR_DENIED ? IPC_ERROR_PROVIDER : IPC_ERROR_PROVIDER_DOWN, why);
		return;
	}
	buf_init(&parameters, IPC_URL_MAX);
	login_pushed_compose(&parameters, g->app->provider->client_id, request_uri);
	send_off(g, &parameters);
	buf_done(&parameters);
}

static bool pushes(const struct begin *g)
{
	return provider_metadata(g->provider)->pushed_authorization_request_endpoint.n > 0;
}

static void send_request(struct begin *g)
{
	enum err rc;

	if (!pushes(g)) {
		send_off(g, &g->parameters);
		return;
	}
	http_client_trace(g->request->broker->http, &g->request->trace);
	rc = provider_push(g->provider, &g->parameters, on_pushed, g);
	http_client_trace(g->request->broker->http, NULL);
	if (rc == ERR_UNAVAILABLE)
		begin_fail(g, IPC_ERROR_PROVIDER_DOWN, "push_unavailable");
	else if (rc != ERR_OK)
		begin_broken(g, rc);
}

/* What the session that came along brings; a token goes into no URL. */
static void add_past(struct begin *g, struct login_request *q, const struct login_past *past)
{
	q->claims = past->claims;
	if (!sv_eq(q->prompt, SV("none")) || q->login_hint.n > 0)
		return;
	if (!pushes(g))
		q->login_hint = past->hint;
	else if (past->id_token != NULL)
		q->id_token_hint = secret_view(past->id_token);
}

static enum err write_parameters(struct begin *g, struct login_request *q)
{
	size_t endpoint_n = provider_metadata(g->provider)->authorization_endpoint.n;

	login_request_compose(&g->parameters, q);
	if (q->claims.n > 0 && !pushes(g) &&
	    (!buf_ok(&g->parameters) || endpoint_n + 1 + g->parameters.n > IPC_URL_MAX)) {
		log_warn("challenge_too_long", KS("provider", g->app->provider->name),
			 K("then", "the login goes on without it"));
		q->claims = SV_NONE;
		buf_clear(&g->parameters);
		login_request_compose(&g->parameters, q);
	}
	return buf_ok(&g->parameters) ? ERR_OK : ERR_LIMIT;
}

/* State, transaction and parameters; the state itself stays with these alone, its hash is the row's
 * key. */
static enum err compose(struct begin *g, const struct login_past *past)
{
	struct login_request q = g->asked;
	struct login_transaction t = {.issuer = g->app->provider->issuer,
				      .silent = sv_eq(q.prompt, SV("none")),
				      .acr_values = q.acr_values,
				      .has_max_age = q.has_max_age,
				      .max_age_s = q.max_age_s};
	char state[LOGIN_WORD_LEN], challenge[LOGIN_WORD_LEN];
	enum err rc = login_transaction_new(&t);

	login_resources(&g->resources, g->request->edition->config, g->app->provider);
	if (!buf_ok(&g->resources))
		rc = ERR_LIMIT;
	if (rc == ERR_OK)
		rc = login_random_word(state);
	if (rc == ERR_OK)
		rc = crypt_sha256(sv_of(state, sizeof state), g->state_hash);
	if (rc == ERR_OK)
		rc = login_challenge(&t, challenge);
	if (rc == ERR_OK)
		rc = login_transaction_seal(
		    g->request->broker->ring,
		    sv_of((const char *)g->state_hash, sizeof g->state_hash), &t, &g->sealed);
	if (rc == ERR_OK) {
		q.provider = g->app->provider;
		q.traits = provider_traits(g->provider);
		q.resources = buf_sv(&g->resources);
		q.redirect_uri = g->redirect_uri;
		q.state = sv_of(state, sizeof state);
		q.nonce = sv_of(t.nonce, sizeof t.nonce);
		q.code_challenge = sv_of(challenge, sizeof challenge);
		add_past(g, &q, past);
		rc = write_parameters(g, &q);
	}
	explicit_bzero(state, sizeof state);
	login_transaction_wipe(&t);
	return rc;
}

static void go_on(struct begin *g, const struct login_past *past)
{
	enum err rc = compose(g, past);

	if (rc == ERR_OK)
		send_request(g);
	else
		begin_broken(g, rc);
}

static void on_past(void *arg, enum err e, const struct pg_rows *rows)
{
	struct begin *g = arg;
	struct login_past past;

	if (e == ERR_OK)
		e = login_past_read(rows, g->request->broker->ring, &past);
	if (e != ERR_OK) {
		request_fail_store(&g->request, e);
		begin_free(g);
		return;
	}
	go_on(g, &past);
	login_past_done(&past);
}

static struct sv copy(struct buf *b, struct sv s)
{
	size_t at = b->n;

	buf_add(b, s);
	return buf_ok(b) ? sv_of(b->p + at, s.n) : SV_NONE;
}

/* The views of m end with this turn of the loop. */
static enum err copy_message(struct begin *g, const struct ipc_login_begin *m)
{
	const struct sv callback = SV("/callback");
	size_t redirect_n = m->origin.n + g->app->auth_path.n + callback.n, at;

	if (buf_reserve(&g->text, m->client.n + m->return_to.n + redirect_n + m->prompt.n +
				      m->login_hint.n + m->acr_values.n + 1) == NULL)
		return ERR_NOMEM;
	g->client = copy(&g->text, m->client);
	g->return_to = copy(&g->text, m->return_to);
	g->asked = (struct login_request){.prompt = copy(&g->text, m->prompt),
					  .login_hint = copy(&g->text, m->login_hint),
					  .acr_values = copy(&g->text, m->acr_values),
					  .has_max_age = m->has_max_age != 0,
					  .max_age_s = m->max_age_s};
	at = g->text.n;
	buf_add(&g->text, m->origin);
	buf_add(&g->text, g->app->auth_path);
	buf_add(&g->text, callback);
	g->redirect_uri = sv_of(g->text.p + at, redirect_n);
	if (m->binding.n == IPC_SECRET_LEN)
		memcpy(g->binding, m->binding.p, IPC_SECRET_LEN);
	else
		broker_random(g->binding, sizeof g->binding);
	return ERR_OK;
}

/* Takes *r. NULL without memory. */
static struct begin *begin_new(struct request **r, const struct config_app *app)
{
	struct begin *g = calloc(1, sizeof *g);

	if (g == NULL)
		return NULL;
	g->request = *r;
	*r = NULL;
	g->app = app;
	g->provider = edition_provider(g->request->edition, app->provider->name);
	buf_init(&g->text, IPC_FRAME_MAX);
	buf_init(&g->parameters, LOGIN_REQUEST_MAX);
	buf_init(&g->location, IPC_URL_MAX);
	buf_init(&g->sealed, VAULT_PLAIN_MAX);
	buf_init(&g->resources, IPC_URL_MAX);
	return g;
}

void login_begin(struct request **r, const struct ipc_login_begin *m)
{
	const struct config_app *app = config_app((*r)->edition->config, m->app);
	const struct login_note about = {.app = m->app,
					 .provider = app == NULL ? SV_NONE : app->provider->name,
					 .client = m->client};
	struct begin *g;
	enum err rc;

	if (!login_allowed(r, (*r)->broker->limits, m->client, "login_rate"))
		return;
	if (app == NULL || !login_origin_ok(app, m->origin) ||
	    (m->binding.n != 0 && m->binding.n != IPC_SECRET_LEN) ||
	    (m->session.n != 0 && m->session.n != IPC_SECRET_LEN)) {
		fail_noted(r, &about, IPC_ERROR_FORBIDDEN, "app_origin_or_binding");
		return;
	}
	if (provider_metadata(edition_provider((*r)->edition, app->provider->name)) == NULL) {
		fail_noted(r, &about, IPC_ERROR_PROVIDER_DOWN, "no_metadata");
		return;
	}
	g = begin_new(r, app);
	if (g == NULL) {
		request_fail(r, IPC_ERROR_INTERNAL, request_detail("memory"));
		return;
	}
	rc = copy_message(g, m);
	if (rc == ERR_OK && m->session.n > 0)
		rc = login_past_ask(g->request->broker, app, m->session, on_past, g);
	else if (rc == ERR_OK)
		go_on(g, &(struct login_past){.id_token = NULL});
	if (rc != ERR_OK)
		begin_broken(g, rc);
}

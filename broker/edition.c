#include "broker/edition.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/client_credential.h"
#include "broker/http_client.h"
#include "common/clock.h"
#include "common/config_digest.h"
#include "common/log.h"

enum err edition_check_secrets(const struct config *c, struct errmsg *msg)
{
	for (size_t i = 0; i < c->nproviders; i++) {
		struct client_credential *cr = NULL;
		enum err rc = client_credential_read(c, &c->providers[i], &cr, msg);

		client_credential_free(&cr);
		if (rc != ERR_OK)
			return rc;
	}
	return ERR_OK;
}

void edition_stop(struct edition *ed)
{
	if (ed->providers == NULL || ed->lenders == NULL)
		return; /* without memory there were none */
	for (size_t i = 0; i < ed->config->nproviders; i++) {
		if (ed->lenders[i] == NULL)
			provider_free(&ed->providers[i]);
		ed->providers[i] = NULL;
		edition_unref(&ed->lenders[i]);
	}
}

static void edition_free(struct edition *ed)
{
	edition_stop(ed);
	free(ed->providers);
	free(ed->lenders);
	edition_uses_done(&ed->uses);
	config_free(&ed->config);
	free(ed);
}

static bool same_list(const struct config_list *a, const struct config_list *b)
{
	bool same = a->n == b->n;

	for (size_t i = 0; same && i < a->n; i++)
		same = sv_eq(a->v[i], b->v[i]);
	return same;
}

/* Everything but the place in the file. */
static bool same_provider(const struct config_provider *a, const struct config_provider *b)
{
	return sv_eq(a->name, b->name) && a->preset == b->preset && sv_eq(a->issuer, b->issuer) &&
	       sv_eq(a->client_id, b->client_id) && a->client_auth == b->client_auth &&
	       sv_eq(a->client_secret_file, b->client_secret_file) &&
	       sv_eq(a->client_key_file, b->client_key_file) &&
	       sv_eq(a->client_certificate_file, b->client_certificate_file) &&
	       a->assertion_audience == b->assertion_audience && sv_eq(a->ca_file, b->ca_file) &&
	       a->grace_ms == b->grace_ms && a->signing_alg == b->signing_alg &&
	       same_list(&a->scopes, &b->scopes) && sv_eq(a->subject_claim, b->subject_claim) &&
	       a->claims_from == b->claims_from && same_list(&a->keep_claims, &b->keep_claims) &&
	       a->response_mode == b->response_mode && a->insecure_loopback == b->insecure_loopback;
}

/* From the newest edition, or from whom that has it. */
static bool borrow_provider(const struct editions *e, struct edition *ed, size_t i)
{
	struct edition *from = e->newest;

	for (size_t k = 0; from != NULL && k < from->config->nproviders; k++) {
		if (!same_provider(&from->config->providers[k], &ed->config->providers[i]))
			continue;
		ed->providers[i] = from->providers[k];
		ed->lenders[i] = from->lenders[k] != NULL ? from->lenders[k] : from;
		edition_ref(ed->lenders[i]);
		return true;
	}
	return false;
}

static enum err start_providers(struct editions *e, struct edition *ed, struct errmsg *msg)
{
	const struct config *c = ed->config;

	ed->providers = calloc(c->nproviders + 1, sizeof(struct provider *));
	ed->lenders = calloc(c->nproviders + 1, sizeof(struct edition *));
	if (ed->providers == NULL || ed->lenders == NULL)
		return errmsg_set(msg, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < c->nproviders; i++) {
		struct client_credential *cr = NULL;
		enum err rc;

		if (borrow_provider(e, ed, i))
			continue;
		rc = client_credential_read(c, &c->providers[i], &cr, msg);
		if (rc != ERR_OK)
			return rc;
		rc = provider_new(e->base, e->http, &c->providers[i], &cr, &ed->providers[i]);
		client_credential_free(&cr);
		if (rc != ERR_OK)
			return errmsg_set(msg, rc, "%s:%u: provider: %s",
					  c->providers[i].place.file, c->providers[i].place.line,
					  err_text(rc));
	}
	return ERR_OK;
}

/* Those that nobody uses go, oldest first, until the list is short enough. */
static void trim(struct editions *e)
{
	while (e->n > EDITIONS_MAX) {
		struct edition **oldest = NULL, *gone;

		for (struct edition **p = &e->newest->next; *p != NULL; p = &(*p)->next)
			if ((*p)->refs == 0)
				oldest = p;
		if (oldest == NULL)
			return;
		gone = *oldest;
		*oldest = gone->next;
		e->n--;
		edition_free(gone);
	}
}

/* The digest is what workers say in their hello: to be compared when they do not agree. */
static void log_loaded(const struct editions *e, const struct edition *ed)
{
	char hex[2 * CRYPT_SHA256_LEN + 1];

	for (size_t i = 0; i < CRYPT_SHA256_LEN; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", ed->digest[i]);
	log_info("config_loaded", K("path", e->path), K("digest", hex), KU("editions", e->n));
}

void editions_init(struct editions *e, struct event_base *base, struct http_client *http,
		   const char *path)
{
	*e = (struct editions){.base = base, .http = http, .path = path};
	bucket_init(&e->rereads, EDITION_REREADS, EDITION_REREAD_MS, clock_boot_ms());
}

enum err editions_add(struct editions *e, struct config **config, struct errmsg *msg)
{
	struct edition *ed = calloc(1, sizeof *ed);
	enum err rc;

	if (ed == NULL) {
		config_free(config);
		return errmsg_set(msg, ERR_NOMEM, "out of memory");
	}
	ed->config = *config;
	if (!metrics_add_names(http_client_metrics(e->http), ed->config))
		log_warn("metrics_names_full",
			 K("then", "what is beyond the limit is counted as \"-\""));
	rc = config_digest(ed->config, ed->digest);
	if (rc != ERR_OK)
		(void)errmsg_set(msg, rc, "configuration digest: %s", err_text(rc));
	if (rc == ERR_OK && (rc = edition_uses_make(ed->config, &ed->uses)) != ERR_OK)
		(void)errmsg_set(msg, rc, "configuration: %s", err_text(rc));
	if (rc == ERR_OK)
		rc = start_providers(e, ed, msg);
	*config = NULL;
	if (rc != ERR_OK) {
		edition_free(ed);
		return rc;
	}
	ed->next = e->newest;
	e->newest = ed;
	e->n++;
	log_loaded(e, ed);
	trim(e);
	return ERR_OK;
}

void editions_done(struct editions *e)
{
	while (e->newest != NULL) {
		struct edition *ed = e->newest;

		assert(ed->refs == 0);
		e->newest = ed->next;
		edition_free(ed);
	}
	e->n = 0;
}

static struct edition *by_digest(const struct editions *e, struct sv digest)
{
	for (struct edition *ed = e->newest; ed != NULL; ed = ed->next)
		if (sv_eq(sv_of((const char *)ed->digest, sizeof ed->digest), digest))
			return ed;
	return NULL;
}

static void not_loaded(const struct errmsg *msg)
{
	log_error("config_not_loaded", K("why", msg->text),
		  K("then", "the editions of before stay"));
}

struct edition *editions_find(struct editions *e, struct sv digest)
{
	struct edition *ed = by_digest(e, digest);
	unsigned char got_digest[CRYPT_SHA256_LEN];
	struct config *c = NULL;
	struct errmsg msg;

	if (ed != NULL || !bucket_take(&e->rereads, clock_boot_ms()))
		return ed;
	if (config_load(e->path, &c, &msg) != ERR_OK) {
		not_loaded(&msg);
		return NULL;
	}
	if (config_digest(c, got_digest) != ERR_OK ||
	    !sv_eq(digest, sv_of((char *)got_digest, sizeof got_digest))) {
		log_warn("config_not_the_workers", K("path", e->path),
			 K("then", "the file changed since its master read it; reload the master"));
		config_free(&c);
		return NULL;
	}
	if (editions_add(e, &c, &msg) != ERR_OK) {
		not_loaded(&msg);
		return NULL;
	}
	return by_digest(e, digest);
}

void edition_ref(struct edition *ed)
{
	ed->refs++;
}

void edition_unref(struct edition **ed)
{
	if (*ed == NULL)
		return;
	assert((*ed)->refs > 0);
	(*ed)->refs--;
	*ed = NULL;
}

struct provider *edition_provider(const struct edition *ed, struct sv name)
{
	const struct config *c = ed->config;

	for (size_t i = 0; i < c->nproviders; i++)
		if (sv_eq(c->providers[i].name, name))
			return ed->providers[i];
	return NULL;
}

struct edition *editions_app(const struct editions *e, struct sv name,
			     const struct config_app **ret_app)
{
	struct edition *ed = e->newest;

	while (ed != NULL && config_app(ed->config, name) == NULL)
		ed = ed->next;
	if (ed != NULL)
		*ret_app = config_app(ed->config, name);
	return ed;
}

struct holdoffs *edition_holdoffs(struct edition *ed, const struct config_provider **p)
{
	size_t i = (size_t)(*p - ed->config->providers);

	if (ed->lenders == NULL || ed->lenders[i] == NULL)
		return &ed->holdoffs;
	*p = config_provider(ed->lenders[i]->config, (*p)->name);
	return &ed->lenders[i]->holdoffs;
}

struct provider *editions_provider(const struct editions *e, struct sv name, struct sv issuer)
{
	for (const struct edition *ed = e->newest; ed != NULL; ed = ed->next) {
		const struct config_provider *c = config_provider(ed->config, name);

		if (c != NULL && sv_eq(c->issuer, issuer))
			return edition_provider(ed, name);
	}
	return NULL;
}

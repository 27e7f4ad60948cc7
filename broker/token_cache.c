#include "broker/token_cache.h"

#include <assert.h>
#include <stdlib.h>

struct kept_token {
	struct kept_token *next;
	struct renewal *renewal; /* NULL: forgotten */
	int64_t expires_ms, ttl_ms;
	unsigned char id[CRYPT_SHA256_LEN];
	size_t n;
	char bytes[];
};

/* Of one session. The texts follow, in the order of their lengths. */
struct kept_session {
	struct session_cached cached;
	struct kept_token *tokens;
	bool grant_live, refreshable;
	unsigned short app_n, provider_n, issuer_n, grant_id_n;
	char texts[];
};

static_assert(offsetof(struct kept_session, cached) == 0, "as the cache wants it");

struct token_cache {
	struct session_cache *sessions;
	struct renewals *renewals;
};

static void token_free(struct kept_token **p)
{
	struct kept_token *t = *p;

	*p = t->next;
	renewal_release(&t->renewal);
	explicit_bzero(t->bytes, t->n);
	free(t);
}

static void session_free(void *arg, void *value)
{
	struct kept_session *s = value;

	(void)arg;
	while (s->tokens != NULL)
		token_free(&s->tokens);
	free(s);
}

enum err token_cache_new(size_t max_bytes, uint64_t secret, struct renewals *renewals,
			 struct token_cache **ret)
{
	struct token_cache *c = calloc(1, sizeof *c);
	const struct session_cache_options o = {
	    .max_bytes = max_bytes, .secret = secret, .free_value = session_free, .arg = c};
	enum err rc = c == NULL ? ERR_NOMEM : session_cache_new(&o, &c->sessions);

	if (rc != ERR_OK) {
		free(c);
		return rc;
	}
	c->renewals = renewals;
	*ret = c;
	return ERR_OK;
}

void token_cache_free(struct token_cache **c)
{
	if (*c == NULL)
		return;
	session_cache_free(&(*c)->sessions);
	free(*c);
	*c = NULL;
}

struct session_cache *token_cache_sessions(const struct token_cache *c)
{
	return c->sessions;
}

static struct kept_token **find_token(struct kept_session *s, const unsigned char *id)
{
	struct kept_token **p = &s->tokens;

	while (*p != NULL && memcmp((*p)->id, id, CRYPT_SHA256_LEN) != 0)
		p = &(*p)->next;
	return p;
}

/* As it was read. Of the sealed refresh token only that there is one. */
static struct token_row row_of(const struct kept_session *s)
{
	const char *at = s->texts;
	struct token_row row = {.state = SV("live"),
				.grant_live = s->grant_live,
				.refresh_sealed = s->refreshable ? SV("kept") : SV_NONE};

	row.app = sv_of(at, s->app_n);
	at += s->app_n;
	row.provider = sv_of(at, s->provider_n);
	at += s->provider_n;
	row.issuer = sv_of(at, s->issuer_n);
	at += s->issuer_n;
	row.grant_id = sv_of(at, s->grant_id_n);
	return row;
}

enum token_next token_cache_find(struct token_cache *c, const unsigned char hash[CRYPT_SHA256_LEN],
				 const struct edition_use *use, int64_t now_ms,
				 struct token_found *ret)
{
	struct kept_session *s = session_cache_get(c->sessions, hash, now_ms);
	struct token_held held = {0};
	struct kept_token *t;
	struct token_ask ask = {.app = use->app->name, .service = use->service};
	struct token_row row;
	enum token_next next;

	if (s == NULL)
		return 0;
	t = *find_token(s, use->id);
	row = row_of(s);
	if (t != NULL)
		held = (struct token_held){.left_ms = t->expires_ms - now_ms, .ttl_ms = t->ttl_ms};
	next = token_judge(&row, &ask, &held).next;
	if (t == NULL)
		return next == TOKEN_OF_SERVICE ? next : 0;
	/* Within the margin it is being renewed: without a note of that, somebody has to ask. */
	if (next != TOKEN_ANSWER && (next != TOKEN_ANSWER_AND_RENEW || t->renewal == NULL))
		return 0;
	if (t->renewal != NULL)
		t->renewal->used_ms = now_ms;
	*ret = (struct token_found){.token = sv_of(t->bytes, t->n), .left_ms = held.left_ms};
	return TOKEN_ANSWER;
}

static struct kept_session *session_new(const struct token_row *row)
{
	const struct sv texts[] = {row->app, row->provider, row->issuer, row->grant_id};
	struct kept_session *s;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].n > UINT16_MAX)
			return NULL;
		n += texts[i].n;
	}
	s = calloc(1, sizeof *s + n);
	if (s == NULL)
		return NULL;
	s->grant_live = row->grant_live;
	s->refreshable = row->refresh_sealed.n > 0;
	s->app_n = (unsigned short)row->app.n;
	s->provider_n = (unsigned short)row->provider.n;
	s->issuer_n = (unsigned short)row->issuer.n;
	s->grant_id_n = (unsigned short)row->grant_id.n;
	n = 0;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].n > 0)
			memcpy(s->texts + n, texts[i].p, texts[i].n);
		n += texts[i].n;
	}
	return s;
}

/* The other services' tokens stay with a session that is read again: they are its own whatever
 * the row says anew, and each ends by itself. */
static void inherit(struct kept_session *s, struct kept_session *old, const unsigned char *id,
		    int64_t now_ms)
{
	struct kept_token **p = &old->tokens;
	unsigned n = 0;

	while (*p != NULL)
		if (memcmp((*p)->id, id, CRYPT_SHA256_LEN) == 0 || (*p)->expires_ms <= now_ms ||
		    ++n >= TOKEN_CACHE_TOKENS_MAX)
			token_free(p);
		else
			p = &(*p)->next;
	s->tokens = old->tokens;
	old->tokens = NULL;
}

static void add_token(struct token_cache *c, struct kept_session *s, const struct token_filing *f,
		      int64_t now_ms)
{
	struct kept_token *t;
	struct renewal *r = NULL;

	if (f->token.n == 0)
		return;
	t = malloc(sizeof *t + f->token.n);
	if (t == NULL)
		return;
	*t = (struct kept_token){.next = s->tokens,
				 .expires_ms = f->read.trip->sent_ms + f->held.left_ms,
				 .ttl_ms = f->held.ttl_ms,
				 .n = f->token.n};
	memcpy(t->id, f->id, sizeof t->id);
	memcpy(t->bytes, f->token.p, f->token.n);
	if (s->grant_live && s->refreshable)
		r = renewals_note(c->renewals, f->read.hash, f->id, f->row->grant_id, t->expires_ms,
				  t->ttl_ms, f->by, now_ms);
	s->tokens = t;
	if (r != NULL)
		renewal_hold(r, &t->renewal);
}

static size_t bytes_of(const struct kept_session *s)
{
	size_t n = sizeof *s + s->app_n + s->provider_n + s->issuer_n + s->grant_id_n;

	for (const struct kept_token *t = s->tokens; t != NULL; t = t->next)
		n += sizeof *t + t->n;
	return n;
}

static int64_t nearer_limit_ms(const struct token_row *row)
{
	return row->idle_left_ms < row->absolute_left_ms ? row->idle_left_ms
							 : row->absolute_left_ms;
}

void token_cache_file(struct token_cache *c, const struct token_filing *f, int64_t now_ms)
{
	struct kept_session *old = session_cache_take(c->sessions, f->read.hash);
	struct kept_session *s = session_new(f->row);

	if (s != NULL && old != NULL)
		inherit(s, old, f->id, now_ms);
	if (old != NULL)
		session_free(c, old);
	if (s == NULL)
		return;
	add_token(c, s, f, now_ms);
	if (!session_cache_put(c->sessions, &f->read, nearer_limit_ms(f->row), s, bytes_of(s),
			       now_ms))
		session_free(c, s);
}

#include "worker/session_entry.h"

#include <assert.h>
#include <stdlib.h>

#include "common/session_cache.h"

#define LINE 64		  /* bytes that a processor fetches at a time */
#define CHUNK_OVERHEAD 16 /* of malloc(), with its rounding */

/* A text under a key; of a token also its end. */
struct piece {
	struct piece *next;
	const void *key;
	int64_t ends_ms;
	size_t n;
	char text[];
};

struct pieces {
	struct piece *first; /* the newest */
	size_t first_n;	     /* its bytes, known without a look at it */
};

/* In the order of a hit's need: see common/session_cache.h. */
struct session_entry {
	struct session_cached cached;
	const struct config_app *app;
	struct pieces blocks, tokens;
	int64_t auth_time_s, idle_ends_ms, absolute_ends_ms, touch_at_ms;
	uint32_t bits_n, ref_n, subject_n, acr_n, claims_n;
	char bytes[]; /* the policy's bits, then the texts in that order */
};

static_assert(offsetof(struct session_entry, cached) == 0, "as the cache wants it");

static size_t texts_n(const struct session_entry *e)
{
	return (size_t)e->ref_n + e->subject_n + e->acr_n + e->claims_n;
}

/* When activity is next to be noted. The row says whether now; else its last one was noted within
 * the last minute, and exactly when follows from the limit, as long as that is still the same. */
static int64_t touch_at(const struct session_row *row, int64_t sent_ms, int64_t idle_ms)
{
	int64_t age = idle_ms - row->idle_left_ms;

	if (row->touch_due)
		return sent_ms;
	if (age < 0 || age > SESSION_TOUCH_MS)
		return sent_ms; /* the limit changed: ask, session_touch() knows */
	return sent_ms + SESSION_TOUCH_MS - age + SESSION_TOUCH_SLACK_MS;
}

enum err session_entry_new(const struct session_row *row, const struct session_entry_of *of,
			   struct session_entry **ret)
{
	const struct sv texts[] = {row->ref, row->subject, row->acr, row->claims};
	struct session_entry *e;
	size_t n = 0;
	char *at;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].n > SESSION_ROW_MAX)
			return ERR_LIMIT;
		n += texts[i].n;
	}
	if (n > SESSION_ROW_MAX)
		return ERR_LIMIT;
	e = malloc(sizeof *e + of->policy_bits_n + n);
	if (e == NULL)
		return ERR_NOMEM;
	*e = (struct session_entry){.app = of->app,
				    .auth_time_s = row->auth_time_s,
				    .idle_ends_ms = of->sent_ms + row->idle_left_ms,
				    .absolute_ends_ms = of->sent_ms + row->absolute_left_ms,
				    .touch_at_ms = touch_at(row, of->sent_ms, of->idle_ms),
				    .bits_n = (uint32_t)of->policy_bits_n,
				    .ref_n = (uint32_t)row->ref.n,
				    .subject_n = (uint32_t)row->subject.n,
				    .acr_n = (uint32_t)row->acr.n,
				    .claims_n = (uint32_t)row->claims.n};
	memset(e->bytes, 0, of->policy_bits_n);
	at = e->bytes + of->policy_bits_n;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].n > 0)
			memcpy(at, texts[i].p, texts[i].n);
		at += texts[i].n;
	}
	*ret = e;
	return ERR_OK;
}

static void piece_free(struct piece **p)
{
	struct piece *x = *p;

	*p = x->next;
	explicit_bzero(x->text, x->n);
	free(x);
}

void session_entry_free(struct session_entry **e)
{
	if (*e == NULL)
		return;
	while ((*e)->tokens.first != NULL)
		piece_free(&(*e)->tokens.first);
	while ((*e)->blocks.first != NULL)
		piece_free(&(*e)->blocks.first);
	free(*e);
	*e = NULL;
}

struct session_row session_entry_row(struct session_entry *e, int64_t now_ms)
{
	char *at = e->bytes + e->bits_n;
	struct session_row row = {.auth_time_s = e->auth_time_s,
				  .idle_left_ms = e->idle_ends_ms - now_ms,
				  .absolute_left_ms = e->absolute_ends_ms - now_ms,
				  .touch_due = now_ms >= e->touch_at_ms};

	row.ref = sv_of(at, e->ref_n);
	at += e->ref_n;
	row.subject = sv_of(at, e->subject_n);
	at += e->subject_n;
	row.acr = sv_of(at, e->acr_n);
	at += e->acr_n;
	row.claims = sv_of(at, e->claims_n);
	at += e->claims_n;
	row.policy_bits = e->bits_n == 0 ? NULL : (unsigned char *)e->bytes;
	return row;
}

void session_entry_touched(struct session_entry *e, int64_t now_ms)
{
	e->touch_at_ms = now_ms + SESSION_TOUCH_MS;
}

static size_t bytes_of(const struct pieces *ps)
{
	size_t n = 0;

	for (const struct piece *p = ps->first; p != NULL; p = p->next)
		n += sizeof *p + p->n + CHUNK_OVERHEAD;
	return n;
}

size_t session_entry_bytes(const struct session_entry *e)
{
	return sizeof *e + texts_n(e) + e->bits_n + CHUNK_OVERHEAD + bytes_of(&e->tokens) +
	       bytes_of(&e->blocks);
}

/* Asked for soon, and of a session that was not seen for a while no longer near: all at once is
 * faster than one after the other. */
static void fetch(const struct pieces *ps)
{
	for (size_t i = 0; i < ps->first_n; i += LINE)
		__builtin_prefetch((const char *)ps->first + i);
}

void session_entry_fetch(const struct session_entry *e, const struct config_service *service)
{
	fetch(&e->blocks);
	if (service != NULL)
		fetch(&e->tokens);
}

const struct config_app *session_entry_app(const struct session_entry *e)
{
	return e->app;
}

static struct piece **find(struct piece **list, const void *key, unsigned *ret_n)
{
	*ret_n = 0;
	for (; *list != NULL && (*list)->key != key; list = &(*list)->next)
		++*ret_n;
	return list;
}

static const struct piece *get(const struct pieces *ps, const void *key)
{
	const struct piece *p = ps->first;

	while (p != NULL && p->key != key)
		p = p->next;
	return p;
}

/* In place of the one under this key. NULL: it is full, or no memory. */
static struct piece *add(struct pieces *ps, const void *key, size_t n, unsigned max)
{
	unsigned before;
	struct piece **p = find(&ps->first, key, &before), *x;

	if (*p != NULL)
		piece_free(p);
	else if (before >= max)
		return NULL;
	ps->first_n = 0;
	x = malloc(sizeof *x + n);
	if (x == NULL)
		return NULL;
	*x = (struct piece){.next = ps->first, .key = key, .n = n};
	*ps = (struct pieces){x, sizeof *x + n};
	return x;
}

struct sv session_entry_token(const struct session_entry *e, const struct config_service *service,
			      int64_t now_ms)
{
	const struct piece *p = get(&e->tokens, service);

	return p != NULL && now_ms < p->ends_ms ? sv_of(p->text, p->n) : SV_NONE;
}

void session_entry_add_token(struct session_entry *e, const struct config_service *service,
			     struct sv token, int64_t asked_ms, int64_t left_ms)
{
	struct piece *p;

	if (left_ms <= 0 || token.n == 0)
		return;
	p = add(&e->tokens, service, token.n, SESSION_TOKENS_MAX);
	if (p == NULL)
		return;
	p->ends_ms = asked_ms + left_ms / SESSION_TOKEN_SHARE;
	memcpy(p->text, token.p, token.n);
}

struct sv session_entry_block(const struct session_entry *e, const void *key)
{
	const struct piece *p = get(&e->blocks, key);

	return p != NULL ? sv_of(p->text, p->n) : SV_NONE;
}

void session_entry_add_block(struct session_entry *e, const void *key, struct sv text)
{
	struct piece *p = add(&e->blocks, key, text.n, SESSION_BLOCKS_MAX);

	if (p != NULL && text.n > 0)
		memcpy(p->text, text.p, text.n);
}

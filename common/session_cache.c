#include "common/session_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>

#define CHAINS_FIRST 64 /* doubled when there are as many entries */
#define MARKS 1024	/* when, in ticks, a session of this mark was last named */
#define PREFIX_LEN 8	/* bytes of a hash that a notification names */
#define PREFIX_DIGITS (2 * PREFIX_LEN)

/* What a look needs comes first: most are no longer in the processor's cache. */
struct entry {
	struct entry *next; /* of its chain */
	unsigned char hash[CRYPT_SHA256_LEN];
	void *value;
	int64_t ends_ms; /* first moment at which it no longer counts */
	struct pg_trip trip;
	TAILQ_ENTRY(entry) by_age; /* oldest first */
	LIST_ENTRY(entry) by_conn;
	size_t bytes;
};

/* What is known of the pool's connection of this number. */
struct lease {
	uint64_t serial; /* 0: none yet */
	int64_t sent_ms;
	LIST_HEAD(, entry) entries;
};

struct session_cache {
	struct session_cache_options o;
	struct entry **chains;
	unsigned chain_bits;
	struct lease leases[SESSION_CACHE_CONNECTIONS_MAX];
	uint64_t tick, marks[MARKS], flushed;
	TAILQ_HEAD(, entry) ages;
	struct session_cache_stats stats;
};

static uint64_t prefix_of(const unsigned char *hash)
{
	uint64_t v = 0;

	for (size_t i = 0; i < PREFIX_LEN; i++)
		v = v << 8 | hash[i];
	return v;
}

/* Multiply-shift by an odd secret number. By the prefix alone, so that a notification finds all
 * that it may mean. */
static size_t spread(const struct session_cache *c, uint64_t prefix, unsigned bits)
{
	return (size_t)(prefix * (c->o.secret | 1) >> (64 - bits));
}

static uint64_t *mark_of(struct session_cache *c, uint64_t prefix)
{
	static_assert((MARKS & (MARKS - 1)) == 0, "a power of two");
	return &c->marks[spread(c, prefix, 10)];
}

static_assert(MARKS == 1 << 10, "as mark_of() spreads");

static struct entry **find(struct session_cache *c, const unsigned char *hash)
{
	struct entry **p = &c->chains[spread(c, prefix_of(hash), c->chain_bits)];

	while (*p != NULL && memcmp((*p)->hash, hash, sizeof(*p)->hash) != 0)
		p = &(*p)->next;
	return p;
}

/* Off every list; the value is the caller's. */
static void unlink_entry(struct session_cache *c, struct entry **p)
{
	struct entry *e = *p;

	*p = e->next;
	TAILQ_REMOVE(&c->ages, e, by_age);
	LIST_REMOVE(e, by_conn);
	c->stats.entries--;
	c->stats.bytes -= e->bytes;
	free(e);
}

static void drop(struct session_cache *c, struct entry **p)
{
	void *value = (*p)->value;

	unlink_entry(c, p);
	c->o.free_value(c->o.arg, value);
}

static void drop_entry(struct session_cache *c, const struct entry *e)
{
	drop(c, find(c, e->hash));
}

static void drop_all(struct session_cache *c)
{
	while (!TAILQ_EMPTY(&c->ages))
		drop_entry(c, TAILQ_FIRST(&c->ages));
}

enum err session_cache_new(const struct session_cache_options *o, struct session_cache **ret)
{
	struct session_cache *c = calloc(1, sizeof *c);

	if (c == NULL)
		return ERR_NOMEM;
	c->chains = calloc(CHAINS_FIRST, sizeof(struct entry *));
	if (c->chains == NULL) {
		free(c);
		return ERR_NOMEM;
	}
	c->o = *o;
	static_assert(CHAINS_FIRST == 1 << 6, "as chain_bits says");
	c->chain_bits = 6;
	TAILQ_INIT(&c->ages);
	for (size_t i = 0; i < SESSION_CACHE_CONNECTIONS_MAX; i++)
		LIST_INIT(&c->leases[i].entries);
	*ret = c;
	return ERR_OK;
}

void session_cache_free(struct session_cache **c)
{
	if (*c == NULL)
		return;
	drop_all(*c);
	free((*c)->chains);
	free(*c);
	*c = NULL;
}

/* Without memory the chains just grow longer. */
static void grow(struct session_cache *c)
{
	size_t old_n = (size_t)1 << c->chain_bits;
	struct entry **old = c->chains, **more = calloc(2 * old_n, sizeof(struct entry *));

	if (more == NULL)
		return;
	c->chains = more;
	c->chain_bits++;
	for (size_t i = 0; i < old_n; i++) {
		struct entry *next;

		for (struct entry *e = old[i]; e != NULL; e = next) {
			struct entry **to = &more[spread(c, prefix_of(e->hash), c->chain_bits)];

			next = e->next;
			e->next = *to;
			*to = e;
		}
	}
	free(old);
}

static bool leased(const struct session_cache *c, const struct pg_trip *t, int64_t now_ms)
{
	const struct lease *l = &c->leases[t->conn];

	return l->serial == t->serial && now_ms - l->sent_ms < PG_LEASE_MS;
}

void *session_cache_get(struct session_cache *c, const unsigned char hash[CRYPT_SHA256_LEN],
			int64_t now_ms)
{
	const struct entry *e = *find(c, hash);

	if (e != NULL)
		__builtin_prefetch(e->value);
	if (e == NULL || now_ms >= e->ends_ms || !leased(c, &e->trip, now_ms)) {
		c->stats.misses++;
		return NULL;
	}
	c->stats.hits++;
	return e->value;
}

static int64_t ends_at(const struct pg_trip *trip, int64_t left_ms)
{
	return trip->sent_ms +
	       (left_ms < SESSION_CACHE_ENTRY_MS ? left_ms : SESSION_CACHE_ENTRY_MS);
}

uint64_t session_cache_tick(const struct session_cache *c)
{
	return c->tick;
}

bool session_cache_believes(struct session_cache *c, const struct session_read *r, int64_t now_ms)
{
	return now_ms - r->trip->sent_ms < PG_LEASE_MS && r->tick >= c->flushed &&
	       r->tick >= *mark_of(c, prefix_of(r->hash));
}

static bool may_be_filed(struct session_cache *c, const struct session_read *r, int64_t ends_ms,
			 int64_t now_ms)
{
	return r->trip->conn < SESSION_CACHE_CONNECTIONS_MAX && leased(c, r->trip, now_ms) &&
	       now_ms < ends_ms && session_cache_believes(c, r, now_ms);
}

static void make_room(struct session_cache *c)
{
	while (c->stats.bytes > c->o.max_bytes) {
		drop_entry(c, TAILQ_FIRST(&c->ages));
		c->stats.evictions++;
	}
}

bool session_cache_put(struct session_cache *c, const struct session_read *r, int64_t left_ms,
		       void *value, size_t bytes, int64_t now_ms)
{
	struct entry **p = find(c, r->hash), *e;
	int64_t ends_ms = ends_at(r->trip, left_ms);

	if (*p != NULL)
		drop(c, p);
	bytes += sizeof *e;
	if (!may_be_filed(c, r, ends_ms, now_ms) || bytes > c->o.max_bytes)
		return false;
	e = malloc(sizeof *e);
	if (e == NULL)
		return false;
	if (c->stats.entries >> c->chain_bits != 0)
		grow(c);
	p = &c->chains[spread(c, prefix_of(r->hash), c->chain_bits)];
	*e = (struct entry){
	    .next = *p, .trip = *r->trip, .ends_ms = ends_ms, .bytes = bytes, .value = value};
	memcpy(e->hash, r->hash, sizeof e->hash);
	*p = e;
	TAILQ_INSERT_TAIL(&c->ages, e, by_age);
	LIST_INSERT_HEAD(&c->leases[r->trip->conn].entries, e, by_conn);
	c->stats.entries++;
	c->stats.bytes += bytes;
	make_room(c); /* this one fits, so it is not reached */
	return true;
}

void *session_cache_take(struct session_cache *c, const unsigned char hash[CRYPT_SHA256_LEN])
{
	struct entry **p = find(c, hash);
	void *value = *p == NULL ? NULL : (*p)->value;

	if (*p != NULL)
		unlink_entry(c, p);
	return value;
}

void session_cache_resize(struct session_cache *c, const unsigned char hash[CRYPT_SHA256_LEN],
			  size_t bytes)
{
	struct entry *e = *find(c, hash);

	if (e == NULL)
		return;
	bytes += sizeof *e;
	c->stats.bytes += bytes - e->bytes;
	e->bytes = bytes;
	make_room(c);
}

void session_cache_end(struct session_cache *c, const unsigned char hash[CRYPT_SHA256_LEN])
{
	struct entry **p = find(c, hash);

	*mark_of(c, prefix_of(hash)) = ++c->tick;
	if (*p != NULL)
		drop(c, p);
}

static bool read_prefix(struct sv payload, uint64_t *ret)
{
	uint64_t v = 0;

	if (payload.n != PREFIX_DIGITS)
		return false;
	for (size_t i = 0; i < payload.n; i++) {
		char d = payload.p[i];

		if (d >= '0' && d <= '9')
			v = v << 4 | (uint64_t)(d - '0');
		else if (d >= 'a' && d <= 'f')
			v = v << 4 | (uint64_t)(d - 'a' + 10);
		else
			return false;
	}
	*ret = v;
	return true;
}

bool session_cache_names(struct sv payload, const unsigned char hash[CRYPT_SHA256_LEN])
{
	uint64_t prefix = 0;

	return !read_prefix(payload, &prefix) || prefix == prefix_of(hash);
}

void session_cache_notified(struct session_cache *c, struct sv payload)
{
	uint64_t prefix = 0;
	struct entry **p;

	if (!read_prefix(payload, &prefix)) {
		c->flushed = ++c->tick;
		drop_all(c);
		return;
	}
	*mark_of(c, prefix) = ++c->tick;
	p = &c->chains[spread(c, prefix, c->chain_bits)];
	while (*p != NULL) {
		if (prefix_of((*p)->hash) == prefix)
			drop(c, p);
		else
			p = &(*p)->next;
	}
}

void session_cache_renewed(struct session_cache *c, const struct pg_trip *t)
{
	struct lease *l;

	if (t->conn >= SESSION_CACHE_CONNECTIONS_MAX)
		return;
	l = &c->leases[t->conn];
	if (l->serial != t->serial) {
		session_cache_disturbed(c, t->conn);
		l->serial = t->serial;
		l->sent_ms = t->sent_ms;
	}
	if (t->sent_ms > l->sent_ms)
		l->sent_ms = t->sent_ms;
}

void session_cache_disturbed(struct session_cache *c, unsigned conn)
{
	if (conn >= SESSION_CACHE_CONNECTIONS_MAX)
		return;
	c->leases[conn].serial = 0;
	while (!LIST_EMPTY(&c->leases[conn].entries))
		drop_entry(c, LIST_FIRST(&c->leases[conn].entries));
}

/* In the order of filing, which is nearly that of their end: one that ends early waits for those
 * before it, SESSION_CACHE_ENTRY_MS at most. */
void session_cache_sweep(struct session_cache *c, int64_t now_ms)
{
	while (!TAILQ_EMPTY(&c->ages) && now_ms >= TAILQ_FIRST(&c->ages)->ends_ms)
		drop_entry(c, TAILQ_FIRST(&c->ages));
}

struct session_cache_stats session_cache_stats(const struct session_cache *c)
{
	return c->stats;
}

#include "common/session_cache.h"

#include <assert.h>
#include <stdlib.h>

#define SLOT_BITS 6  /* at first; one more when over half of the slots are to be taken */
#define SLOTS_EACH 2 /* at least, of an entry */
#define MARK_BITS 10 /* of the marks: when, in ticks, a session of one was last named */
#define PREFIX_LEN 8 /* bytes of a hash that a notification names */
#define PREFIX_DIGITS (2 * PREFIX_LEN)
#define LINE 64	      /* bytes that a processor fetches at a time */
#define HIT_BYTES 192 /* about so many does a hit read of a value */

/* An entry stands in the first slot from its home on that was empty; the prefix beside it tells it
 * from those of other homes without a look at them. */
struct slot {
	uint64_t prefix;
	struct session_cached *entry; /* NULL: empty, and a look ends here */
};
#define SLOTS_BYTES (SLOTS_EACH * sizeof(struct slot)) /* of an entry's bytes */

/* What is known of the pool's connection of this number. */
struct lease {
	uint64_t serial; /* 0: none yet */
	int64_t sent_ms;
};

struct session_cache {
	struct session_cache_options o;
	struct slot *slots;
	unsigned slot_bits;
	struct lease leases[SESSION_CACHE_CONNECTIONS_MAX];
	uint64_t tick, marks[1 << MARK_BITS], flushed;
	TAILQ_HEAD(, session_cached) ages;
	struct session_cache_stats stats;
};

static uint64_t prefix_of(const unsigned char *hash)
{
	uint64_t v;

	static_assert(sizeof v == PREFIX_LEN, "a number");
	memcpy(&v, hash, sizeof v);
	return be64toh(v);
}

/* Multiply-shift by an odd secret number. By the prefix alone, so that a notification finds all
 * that it may mean. */
static size_t spread(const struct session_cache *c, uint64_t prefix, unsigned bits)
{
	return (size_t)(prefix * (c->o.secret | 1) >> (64 - bits));
}

static uint64_t *mark_of(struct session_cache *c, uint64_t prefix)
{
	return &c->marks[spread(c, prefix, MARK_BITS)];
}

static size_t slots_n(const struct session_cache *c)
{
	return (size_t)1 << c->slot_bits;
}

static size_t home_of(const struct session_cache *c, uint64_t prefix)
{
	return spread(c, prefix, c->slot_bits);
}

/* The last one is followed by the first. */
static size_t next_to(const struct session_cache *c, size_t i)
{
	return (i + 1) & (slots_n(c) - 1);
}

/* The first slot from i on that is empty or of this prefix. */
static size_t seek(const struct session_cache *c, size_t i, uint64_t prefix)
{
	while (c->slots[i].entry != NULL && c->slots[i].prefix != prefix)
		i = next_to(c, i);
	return i;
}

/* Its slot, or an empty one. */
static size_t find(const struct session_cache *c, const unsigned char *hash)
{
	uint64_t prefix = prefix_of(hash);
	size_t i = seek(c, home_of(c, prefix), prefix);

	while (c->slots[i].entry != NULL &&
	       memcmp(c->slots[i].entry->hash, hash, CRYPT_SHA256_LEN) != 0)
		i = seek(c, next_to(c, i), prefix);
	return i;
}

/* Of a prefix that may be there already. */
static void fill(struct session_cache *c, struct slot s)
{
	size_t i = home_of(c, s.prefix);

	while (c->slots[i].entry != NULL)
		i = next_to(c, i);
	c->slots[i] = s;
}

/* A look would end here, so whoever may have come by is placed anew. */
static void empty(struct session_cache *c, size_t i)
{
	c->slots[i] = (struct slot){0};
	for (i = next_to(c, i); c->slots[i].entry != NULL; i = next_to(c, i)) {
		struct slot s = c->slots[i];

		c->slots[i] = (struct slot){0};
		fill(c, s);
	}
}

/* Off every list; now the caller's. */
static struct session_cached *unlink_slot(struct session_cache *c, size_t i)
{
	struct session_cached *e = c->slots[i].entry;

	empty(c, i);
	TAILQ_REMOVE(&c->ages, e, by_age);
	c->stats.entries--;
	c->stats.bytes -= e->bytes;
	return e;
}

static void drop(struct session_cache *c, size_t i)
{
	c->o.free_value(c->o.arg, unlink_slot(c, i));
}

static void drop_entry(struct session_cache *c, const struct session_cached *e)
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
	c->slot_bits = SLOT_BITS;
	c->slots = calloc(slots_n(c), sizeof *c->slots);
	if (c->slots == NULL) {
		free(c);
		return ERR_NOMEM;
	}
	c->o = *o;
	TAILQ_INIT(&c->ages);
	*ret = c;
	return ERR_OK;
}

void session_cache_free(struct session_cache **c)
{
	if (*c == NULL)
		return;
	drop_all(*c);
	free((*c)->slots);
	free(*c);
	*c = NULL;
}

/* Without memory it stays as it is. */
static void grow(struct session_cache *c)
{
	size_t old_n = slots_n(c);
	struct slot *old = c->slots, *more = calloc(2 * old_n, sizeof *more);

	if (more == NULL)
		return;
	c->slots = more;
	c->slot_bits++;
	for (size_t i = 0; i < old_n; i++)
		if (old[i].entry != NULL)
			fill(c, old[i]);
	free(old);
}

static bool leased(const struct session_cache *c, unsigned conn, uint64_t serial, int64_t now_ms)
{
	const struct lease *l = &c->leases[conn];

	return l->serial == serial && now_ms - l->sent_ms < PG_LEASE_MS;
}

void session_cache_expect(const struct session_cache *c, const unsigned char hash[CRYPT_SHA256_LEN])
{
	uint64_t prefix = prefix_of(hash);
	const struct session_cached *e = c->slots[seek(c, home_of(c, prefix), prefix)].entry;

	if (e == NULL)
		return;
	for (size_t i = 0; i <= HIT_BYTES; i += LINE)
		__builtin_prefetch((const char *)&e->conn + i);
}

void *session_cache_get(struct session_cache *c, const unsigned char hash[CRYPT_SHA256_LEN],
			int64_t now_ms)
{
	struct session_cached *e = c->slots[find(c, hash)].entry;

	if (e == NULL || now_ms >= e->ends_ms || !leased(c, e->conn, e->serial, now_ms)) {
		c->stats.misses++;
		return NULL;
	}
	c->stats.hits++;
	return e;
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
	return r->trip->conn < SESSION_CACHE_CONNECTIONS_MAX &&
	       leased(c, r->trip->conn, r->trip->serial, now_ms) && now_ms < ends_ms &&
	       session_cache_believes(c, r, now_ms);
}

static void make_room(struct session_cache *c)
{
	while (c->stats.bytes > c->o.max_bytes || c->stats.entries * SLOTS_EACH > slots_n(c)) {
		drop_entry(c, TAILQ_FIRST(&c->ages));
		c->stats.evictions++;
	}
}

bool session_cache_put(struct session_cache *c, const struct session_read *r, int64_t left_ms,
		       void *value, size_t bytes, int64_t now_ms)
{
	struct session_cached *e = value;
	int64_t ends_ms = ends_at(r->trip, left_ms);
	size_t i = find(c, r->hash);

	if (c->slots[i].entry != NULL)
		drop(c, i);
	bytes += SLOTS_BYTES;
	if (!may_be_filed(c, r, ends_ms, now_ms) || bytes > c->o.max_bytes)
		return false;
	if (c->stats.entries * SLOTS_EACH >= slots_n(c))
		grow(c);
	e->bytes = bytes;
	e->conn = r->trip->conn;
	e->serial = r->trip->serial;
	e->ends_ms = ends_ms;
	memcpy(e->hash, r->hash, sizeof e->hash);
	fill(c, (struct slot){prefix_of(e->hash), e});
	TAILQ_INSERT_TAIL(&c->ages, e, by_age);
	c->stats.entries++;
	c->stats.bytes += bytes;
	make_room(c); /* this one fits, so it is not reached */
	return true;
}

void *session_cache_take(struct session_cache *c, const unsigned char hash[CRYPT_SHA256_LEN])
{
	size_t i = find(c, hash);

	return c->slots[i].entry == NULL ? NULL : unlink_slot(c, i);
}

void session_cache_resize(struct session_cache *c, const unsigned char hash[CRYPT_SHA256_LEN],
			  size_t bytes)
{
	struct session_cached *e = c->slots[find(c, hash)].entry;

	if (e == NULL)
		return;
	bytes += SLOTS_BYTES;
	c->stats.bytes += bytes - e->bytes;
	e->bytes = bytes;
	make_room(c);
}

void session_cache_end(struct session_cache *c, const unsigned char hash[CRYPT_SHA256_LEN])
{
	size_t i = find(c, hash);

	*mark_of(c, prefix_of(hash)) = ++c->tick;
	if (c->slots[i].entry != NULL)
		drop(c, i);
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
	size_t i;

	if (!read_prefix(payload, &prefix)) {
		c->flushed = ++c->tick;
		drop_all(c);
		return;
	}
	*mark_of(c, prefix) = ++c->tick;
	i = seek(c, home_of(c, prefix), prefix);
	while (c->slots[i].entry != NULL) {
		drop(c, i);
		i = seek(c, i, prefix); /* another one moved here */
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
	struct session_cached *e, *next;

	if (conn >= SESSION_CACHE_CONNECTIONS_MAX)
		return;
	c->leases[conn].serial = 0;
	for (e = TAILQ_FIRST(&c->ages); e != NULL; e = next) {
		next = TAILQ_NEXT(e, by_age);
		if (e->conn == conn)
			drop_entry(c, e);
	}
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

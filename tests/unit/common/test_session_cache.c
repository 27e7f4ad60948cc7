/* session_cache: its rules one by one, and a model test over the real code.
 *
 * The model: a PostgreSQL that takes snapshots, commits ends and delivers notifications before it
 * says that it is ready; connections that are slow, that are cut without anybody seeing it, that
 * break and come back; a client that does what pg.h promises. Everything happens in random order,
 * from a seed. BFF_MODEL_STEPS says how many steps (default STEPS), BFF_MODEL_SEED which; a failure
 * prints both.
 *
 * Rule Zero: over 400 lines, because the rules and the model that searches for a way around them
 * are one argument. */
#include "common/session_cache.h"

#include "tests/unit/chance.h"
#include "tests/unit/unit.h"

#define STEPS 2000000
#define KB 1024

static bool without_memory;
static size_t most_at_once; /* elements that calloc() was asked for */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	if (without_memory)
		return NULL;
	most_at_once = n > most_at_once ? n : most_at_once;
	return __real_calloc(n, size);
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n)
{
	return without_memory ? NULL : __real_malloc(n);
}

/* --- the rules one by one --- */

struct value {
	struct session_cached cached;
	unsigned session;
	int64_t sent_ms, ends_ms;
};

static unsigned values_alive;

static void free_value(void *arg, void *value)
{
	assert_ptr_equal(arg, &values_alive);
	values_alive--;
	free(value);
}

static struct value *value_new(unsigned session)
{
	struct value *v = calloc(1, sizeof *v);

	assert_non_null(v);
	v->session = session;
	values_alive++;
	return v;
}

static struct session_cache *cache_new_of(size_t max_bytes, uint64_t secret)
{
	struct session_cache_options o = {.max_bytes = max_bytes,
					  .secret = secret,
					  .free_value = free_value,
					  .arg = &values_alive};
	struct session_cache *c = NULL;

	values_alive = 0;
	assert_int_equal(session_cache_new(&o, &c), ERR_OK);
	return c;
}

static struct session_cache *cache_new(size_t max_bytes)
{
	return cache_new_of(max_bytes, 0x9e3779b97f4a7c15);
}

static void cache_done(struct session_cache *c)
{
	session_cache_free(&c);
	assert_null(c);
	assert_int_equal(values_alive, 0);
}

/* Hash number n; the first eight bytes are those of `prefix`. */
static const unsigned char *hash_of(unsigned prefix, unsigned n)
{
	static unsigned char h[4][CRYPT_SHA256_LEN];
	static unsigned at;
	unsigned char *p = h[at++ % ARRAY_LEN(h)];

	memset(p, 0, CRYPT_SHA256_LEN);
	memcpy(p + 4, &prefix, sizeof prefix);
	memcpy(p + 8, &n, sizeof n);
	return p;
}

static struct sv payload_of(const unsigned char *hash)
{
	static char text[17];

	for (size_t i = 0; i < 8; i++)
		snprintf(text + 2 * i, 3, "%02x", hash[i]);
	return sv_of(text, 16);
}

static bool put(struct session_cache *c, const unsigned char *hash, const struct pg_trip *t,
		uint64_t tick, int64_t left_ms, size_t bytes, unsigned session, int64_t now)
{
	struct session_read r = {.hash = hash, .trip = t, .tick = tick};
	struct value *v = value_new(session);

	if (session_cache_put(c, &r, left_ms, v, bytes, now))
		return true;
	free_value(&values_alive, v);
	return false;
}

/* A round trip of connection 0 that was sent at `sent_ms`, and one row over it. */
static bool file_of(struct session_cache *c, unsigned n, uint64_t tick, int64_t sent_ms,
		    int64_t left_ms, int64_t now)
{
	struct pg_trip t = {.conn = 0, .serial = 7, .sent_ms = sent_ms};

	session_cache_renewed(c, &t);
	return put(c, hash_of(n, n), &t, tick, left_ms, 100, n, now);
}

static bool file(struct session_cache *c, unsigned n, int64_t sent_ms, int64_t left_ms, int64_t now)
{
	return file_of(c, n, session_cache_tick(c), sent_ms, left_ms, now);
}

static bool has(struct session_cache *c, unsigned n, int64_t now)
{
	const struct value *v = session_cache_get(c, hash_of(n, n), now);

	assert_true(v == NULL || v->session == n);
	return v != NULL;
}

static void a_lease_is_needed_and_ends(void **state)
{
	struct session_cache *c = cache_new(64 * KB);
	struct pg_trip later = {.conn = 0, .serial = 7, .sent_ms = 2500},
		       other = {.conn = 1, .serial = 8, .sent_ms = 9000};

	(void)state;
	assert_false(has(c, 1, 1000));
	assert_true(file(c, 1, 1000, 60000, 1001));
	assert_true(has(c, 1, 1000 + PG_LEASE_MS - 1));
	assert_false(has(c, 1, 1000 + PG_LEASE_MS));
	session_cache_renewed(c, &later);
	assert_true(has(c, 1, 2500 + PG_LEASE_MS - 1));
	assert_false(has(c, 1, 2500 + PG_LEASE_MS));
	session_cache_renewed(c, &other); /* another connection's lease is not this row's */
	assert_false(has(c, 1, 9001));
	later.sent_ms = 2000; /* an answer to what was sent before tells nothing new */
	session_cache_renewed(c, &later);
	assert_true(has(c, 1, 2500 + PG_LEASE_MS - 1));
	cache_done(c);
}

static void an_entry_ends_by_its_limits(void **state)
{
	struct session_cache *c = cache_new(64 * KB);
	struct pg_trip t = {.conn = 0, .serial = 7};

	(void)state;
	assert_true(file(c, 1, 1000, 500, 1001));
	assert_true(has(c, 1, 1499));
	assert_false(has(c, 1, 1500));
	assert_true(file(c, 2, 2000, INT64_MAX, 2001));
	for (t.sent_ms = 2000; t.sent_ms < 40000; t.sent_ms += 1000) {
		session_cache_renewed(c, &t);
		assert_int_equal(has(c, 2, t.sent_ms), t.sent_ms < 2000 + SESSION_CACHE_ENTRY_MS);
	}
	assert_false(file(c, 3, 50000, 0, 50000));
	assert_false(file(c, 3, 50000, -5, 50000));
	assert_false(file(c, 3, 50000, 10, 50010));
	session_cache_sweep(c, 60000);
	assert_int_equal(session_cache_stats(c).entries, 0);
	assert_int_equal(session_cache_stats(c).bytes, 0);
	cache_done(c);
}

static void what_was_named_goes_and_is_not_filed(void **state)
{
	static const char *const FLUSH[] = {
	    "flush", "", "0123", "0123456789abcdeF", "0123456789abcdef0", "0123456789abcdeg"};
	struct session_cache *c = cache_new(64 * KB);
	struct pg_trip t = {.conn = 0, .serial = 7, .sent_ms = 3000};
	uint64_t before;

	(void)state;
	assert_true(file(c, 1, 1000, 60000, 1000));
	assert_true(file(c, 2, 1000, 60000, 1000));
	session_cache_renewed(c, &t);
	/* Of the same first eight bytes: goes too. */
	assert_true(put(c, hash_of(1, 99), &t, session_cache_tick(c), 60000, 1, 77, 3000));
	assert_true(session_cache_names(payload_of(hash_of(1, 1)), hash_of(1, 99)));
	assert_false(session_cache_names(payload_of(hash_of(1, 1)), hash_of(2, 1)));
	before = session_cache_tick(c);
	session_cache_notified(c, payload_of(hash_of(1, 1)));
	assert_null(session_cache_get(c, hash_of(1, 1), 3100));
	assert_null(session_cache_get(c, hash_of(1, 99), 3100));
	assert_true(has(c, 2, 3100));
	assert_false(file_of(c, 1, before, 3100, 60000, 3200)); /* sent before */
	assert_true(file(c, 1, 3100, 60000, 3200));
	assert_true(file_of(c, 2, before, 3100, 60000, 3200)); /* not named */
	for (size_t i = 0; i < ARRAY_LEN(FLUSH); i++) {
		int64_t now = 10000 + 1000 * (int64_t)i;

		assert_true(file(c, 2, now, 60000, now));
		assert_true(session_cache_names(sv_str(FLUSH[i]), hash_of(2, 2)));
		before = session_cache_tick(c);
		session_cache_notified(c, sv_str(FLUSH[i]));
		assert_int_equal(session_cache_stats(c).entries, 0);
		assert_false(file_of(c, 2, before, now, 60000, now));
		assert_true(file(c, 2, now, 60000, now));
	}
	before = session_cache_tick(c);
	assert_true(has(c, 2, 15003));
	session_cache_end(c, hash_of(2, 2));
	assert_false(has(c, 2, 15003));
	assert_false(file_of(c, 2, before, 15003, 60000, 15004));
	cache_done(c);
}

static void a_row_of_an_old_or_disturbed_query_is_not_filed(void **state)
{
	struct session_cache *c = cache_new(64 * KB);
	struct pg_trip t = {.conn = 0, .serial = 7, .sent_ms = 1000},
		       next = {.conn = 0, .serial = 9, .sent_ms = 1500},
		       far = {.conn = SESSION_CACHE_CONNECTIONS_MAX, .serial = 9, .sent_ms = 1500};
	(void)state;
	assert_false(file(c, 1, 1000, 60000, 1000 + PG_LEASE_MS));
	session_cache_renewed(c, &(struct pg_trip){.conn = 0, .serial = 7, .sent_ms = 1900});
	assert_false(file(c, 1, 1000, 60000, 1000 + PG_LEASE_MS)); /* whatever the lease */
	assert_true(file(c, 1, 1000, 60000, 1000 + PG_LEASE_MS - 1));
	assert_true(file(c, 2, 1000, 60000, 1000));
	session_cache_disturbed(c, 1);
	assert_true(has(c, 2, 1001));
	session_cache_disturbed(c, 0);
	assert_int_equal(session_cache_stats(c).entries, 0);
	assert_false(put(c, hash_of(1, 1), &t, 0, 60000, 1, 1, 1001));
	session_cache_renewed(c, &next);
	assert_false(put(c, hash_of(1, 1), &t, 0, 60000, 1, 1, 1501));
	assert_false(put(c, hash_of(1, 1), &far, 0, 60000, 1, 1, 1501));
	assert_true(put(c, hash_of(1, 1), &next, 0, 60000, 1, 1, 1501));
	next.serial = 10; /* nobody told, but it is another connection */
	session_cache_renewed(c, &next);
	assert_false(has(c, 1, 1501));
	assert_int_equal(session_cache_stats(c).entries, 0);
	cache_done(c);
}

static void bytes_are_bounded(void **state)
{
	struct session_cache *c = cache_new(4 * KB);
	struct pg_trip t = {.conn = 0, .serial = 7, .sent_ms = 1000};
	size_t before;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		assert_true(file(c, i, 1000, 60000, 1000));
		assert_true(has(c, i, 1000));
		assert_true(session_cache_stats(c).bytes <= 4 * KB);
	}
	assert_int_equal(session_cache_stats(c).evictions, 100 - session_cache_stats(c).entries);
	assert_false(has(c, 0, 1000)); /* the oldest went first */
	assert_true(has(c, 98, 1000));
	before = session_cache_stats(c).bytes;
	session_cache_resize(c, hash_of(98, 98), 101); /* one more */
	assert_int_equal(session_cache_stats(c).bytes, before + 1);
	session_cache_resize(c, hash_of(98, 98), 3 * KB);
	assert_true(session_cache_stats(c).bytes <= 4 * KB && has(c, 98, 1000) && has(c, 99, 1000));
	session_cache_resize(c, hash_of(99, 99), 5 * KB);
	assert_int_equal(session_cache_stats(c).entries, 0);
	session_cache_resize(c, hash_of(99, 99), 1);
	assert_false(put(c, hash_of(1, 1), &t, 0, 60000, 4 * KB, 1, 1000));
	cache_done(c);
}

static void a_value_is_replaced_or_taken(void **state)
{
	struct session_cache *c = cache_new(64 * KB);
	struct value *v;

	(void)state;
	assert_true(file(c, 1, 1000, 60000, 1000));
	assert_true(file(c, 1, 1001, 60000, 1001));
	assert_int_equal(values_alive, 1);
	v = session_cache_take(c, hash_of(1, 1));
	assert_int_equal(v->session, 1);
	assert_null(session_cache_take(c, hash_of(1, 1)));
	assert_int_equal(session_cache_stats(c).bytes, 0);
	free_value(&values_alive, v);
	cache_done(c);
}

static void many_are_found_again(void **state)
{
	struct session_cache *c = cache_new(64 * 1024 * KB);

	(void)state;
	most_at_once = 0;
	for (unsigned i = 0; i < 50000; i++)
		assert_true(file(c, i, 1000, 60000, 1000));
	for (unsigned i = 0; i < 50000; i++)
		assert_true(has(c, i, 1000));
	assert_int_equal(session_cache_stats(c).hits, 50000);
	assert_in_range(most_at_once, 2 * 50000, 4 * 50000); /* never more than half full */
	cache_done(c);
}

/* Which of MANY sessions share a mark, and so a place, with number 1: those that are not filed
 * after a notification of that one. */
#define MANY 20000

static void find_neighbours(uint64_t secret, bool shares[MANY], size_t *ret_n)
{
	struct session_cache *c = cache_new_of(64 * 1024 * KB, secret);
	uint64_t before = session_cache_tick(c);

	session_cache_notified(c, payload_of(hash_of(1, 1)));
	*ret_n = 0;
	for (unsigned i = 2; i < MANY; i++) {
		shares[i] = !file_of(c, i, before, 1000, 60000, 1000);
		*ret_n += shares[i];
	}
	cache_done(c);
}

/* Whoever could choose hashes would not know which of them meet: that is the secret's. */
static void a_secret_decides_who_meets(void **state)
{
	static bool one[MANY], other[MANY];
	size_t n_one, n_other, both = 0;

	(void)state;
	find_neighbours(0x9e3779b97f4a7c15, one, &n_one);
	find_neighbours(0xd1342543de82ef95, other, &n_other);
	for (size_t i = 0; i < MANY; i++)
		both += one[i] && other[i];
	assert_in_range(n_one, 1, MANY / 200); /* one in a thousand, about */
	assert_in_range(n_other, 1, MANY / 200);
	assert_true(both < n_one && both < n_other);
}

static void assert_only_those_are_gone(struct session_cache *c, unsigned n, const bool *gone)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(has(c, i, 1000), !gone[i]);
}

/* In any order, of a table that is as full as it gets: whoever stands behind one that goes, because
 * that one's place was taken, is found all the same. */
static void whoever_stands_behind_one_that_goes_is_found(void **state)
{
	static bool gone[8192]; /* half of a power of two */
	struct session_cache *c = cache_new(64 * 1024 * KB);
	uint64_t chance = chance_of(1);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(gone); i++)
		assert_true(file(c, i, 1000, 60000, 1000));
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned n = 0; n < 200; n++) {
			unsigned i = chance_below(&chance, ARRAY_LEN(gone));

			if (round % 2 == 0)
				session_cache_end(c, hash_of(i, i));
			else
				session_cache_notified(c, payload_of(hash_of(i, i)));
			gone[i] = true;
		}
		assert_only_those_are_gone(c, ARRAY_LEN(gone), gone);
	}
	cache_done(c);
}

/* Of one name in the notifications, and so of one home: in the order in which they stand there, and
 * with one of another name between them. */
static void all_of_one_prefix_go_at_once(void **state)
{
	struct session_cache *c = cache_new(64 * KB);
	struct pg_trip t = {.conn = 0, .serial = 7, .sent_ms = 1000};

	(void)state;
	session_cache_renewed(c, &t);
	for (unsigned n = 0; n < 30; n++) {
		const unsigned char *hash = hash_of(n % 3 == 0 ? 5 : 6, n);

		assert_true(put(c, hash, &t, session_cache_tick(c), 60000, 1, n, 1000));
		assert_non_null(session_cache_get(c, hash, 1000));
	}
	session_cache_notified(c, payload_of(hash_of(5, 0)));
	for (unsigned n = 0; n < 30; n++) {
		const struct value *v = session_cache_get(c, hash_of(n % 3 == 0 ? 5 : 6, n), 1000);

		assert_int_equal(v != NULL, n % 3 != 0);
		assert_true(v == NULL || v->session == n);
	}
	session_cache_notified(c, payload_of(hash_of(6, 0)));
	assert_int_equal(session_cache_stats(c).entries, 0);
	cache_done(c);
}

static void an_expected_one_is_as_good_as_before(void **state)
{
	struct session_cache *c = cache_new(64 * KB);
	struct session_cache_stats before, after;

	(void)state;
	session_cache_expect(c, hash_of(1, 1)); /* of nobody */
	assert_true(file(c, 1, 1000, 60000, 1000));
	before = session_cache_stats(c);
	session_cache_expect(c, hash_of(1, 1));
	session_cache_expect(c, hash_of(1, 2)); /* of the same first eight bytes */
	session_cache_expect(c, hash_of(2, 2));
	after = session_cache_stats(c);
	assert_memory_equal(&before, &after, sizeof before);
	assert_true(has(c, 1, 1000));
	assert_null(session_cache_get(c, hash_of(1, 2), 1000));
	session_cache_end(c, hash_of(1, 1));
	session_cache_expect(c, hash_of(1, 1));
	assert_false(has(c, 1, 1000));
	cache_done(c);
}

/* What a hit reads stands together, whatever is added to it. */
static void what_a_hit_reads_is_the_end_of_it(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct session_cached) - offsetof(struct session_cached, conn), 56);
	assert_int_equal(offsetof(struct session_cached, hash) + CRYPT_SHA256_LEN,
			 sizeof(struct session_cached));
}

static void without_memory_it_keeps_less(void **state)
{
	struct session_cache_options o = {
	    .max_bytes = KB, .free_value = free_value, .arg = &values_alive};
	struct session_cache *c = NULL;

	(void)state;
	without_memory = true;
	assert_int_equal(session_cache_new(&o, &c), ERR_NOMEM);
	without_memory = false;
	c = cache_new(64 * 1024 * KB);
	for (unsigned i = 0; i < 1000; i++) { /* filing needs none: the youngest is always there */
		struct pg_trip t = {.conn = 0, .serial = 7, .sent_ms = 1000};
		struct session_read r = {.hash = hash_of(i, i), .trip = &t};
		struct value *v = value_new(i);

		session_cache_renewed(c, &t);
		without_memory = true;
		assert_true(session_cache_put(c, &r, 60000, v, 1, 1000));
		without_memory = false;
		assert_true(has(c, i, 1000));
	}
	assert_in_range(session_cache_stats(c).entries, 10, 999);
	assert_int_equal(session_cache_stats(c).evictions, 1000 - session_cache_stats(c).entries);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(has(c, i, 1000), i >= 1000 - session_cache_stats(c).entries);
	assert_true(file(c, 1, 1000, 60000, 1000)); /* and more again, with memory */
	assert_true(file(c, 2, 1000, 60000, 1000));
	assert_int_equal(session_cache_stats(c).evictions, 1002 - session_cache_stats(c).entries);
	cache_done(c);
}

/* --- the model --- */

#define SESSIONS 40
#define CONNS 3
#define QUEUE 64

enum op_kind { OP_QUERY = 1, OP_SYNC };
struct op {
	enum op_kind kind;
	unsigned session, number; /* its place, and who had it then */
	struct pg_trip trip;
	uint64_t tick;
	bool has_snapshot, live;
	int64_t left_ms;
};

enum item_kind { ITEM_NOTICE = 1, ITEM_ANSWER };
struct item {
	enum item_kind kind;
	char payload[20];
	struct op op;
};

struct conn {
	bool up, cut; /* cut: nothing comes through any more, and the client does not know */
	uint64_t serial;
	struct op ops[QUEUE]; /* at the server */
	size_t nops;
	char undelivered[QUEUE][20];
	size_t nundelivered;
	struct item stream[2 * QUEUE]; /* on the wire to the client */
	size_t nstream;
};

struct session {
	unsigned prefix, number;
	bool ended;
	int64_t ended_ms; /* acknowledged */
	bool told;	  /* the client heard of it: not one more yes */
	/* What must be in the cache, by a second, naive account. */
	bool filed;
	struct pg_trip trip;
	int64_t ends_ms;
};

struct model {
	uint64_t chance, seed;
	unsigned long step;
	int64_t now;
	uint64_t serials;
	unsigned numbers;
	struct session_cache *c;
	bool exact; /* nothing is evicted: the naive account is exact */
	struct conn conns[CONNS];
	int64_t lease_ms[CONNS];
	struct session sessions[SESSIONS];
	unsigned long grown, taken;
	unsigned long yes, yes_after_end, refused_late, refused_else, notices, drops;
};

static unsigned below(struct model *m, unsigned n)
{
	return chance_below(&m->chance, n);
}

#define HOLDS(m, condition)                                                                        \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("%s: replay with BFF_MODEL_SEED=%llu BFF_MODEL_STEPS=%lu",        \
				 #condition, (unsigned long long)(m)->seed, (m)->step + 1);        \
	} while (0)

static const unsigned char *hash_of_session(const struct session *s)
{
	return hash_of(s->prefix, s->number);
}

/* Another person's login in this place; now and then of the same first eight bytes as a neighbour.
 */
static void session_begin(struct model *m, struct session *s)
{
	unsigned number = ++m->numbers;

	*s = (struct session){.number = number,
			      .prefix = below(m, 4) == 0 ? m->sessions[below(m, SESSIONS)].prefix
							 : number};
}

static void unfile_conn(struct model *m, unsigned conn)
{
	for (size_t i = 0; i < SESSIONS; i++)
		if (m->sessions[i].trip.conn == conn)
			m->sessions[i].filed = false;
}

static void disturb(struct model *m, unsigned conn)
{
	m->conns[conn].serial = ++m->serials;
	session_cache_disturbed(m->c, conn);
	unfile_conn(m, conn);
	m->drops++;
}

static void do_time(struct model *m)
{
	unsigned what = below(m, 1000);

	if (what < 900)
		m->now += below(m, 8);
	else if (what < 990)
		m->now += below(m, 400);
	else if (what < 999)
		m->now += below(m, 2500);
	else
		m->now += below(m, 40000);
}

static void do_send(struct model *m)
{
	unsigned number = below(m, CONNS);
	struct conn *c = &m->conns[number];
	struct op *op = &c->ops[c->nops];

	if (!c->up || c->nops == QUEUE)
		return;
	*op = (struct op){.kind = below(m, 4) == 0 ? OP_SYNC : OP_QUERY,
			  .session = below(m, SESSIONS),
			  .trip = {.conn = number, .serial = c->serial, .sent_ms = m->now}};
	op->number = m->sessions[op->session].number;
	op->tick = session_cache_tick(m->c);
	c->nops++;
}

static void deliver_notices(struct conn *c)
{
	for (size_t i = 0; i < c->nundelivered && c->nstream < ARRAY_LEN(c->stream); i++) {
		struct item *item = &c->stream[c->nstream++];

		item->kind = ITEM_NOTICE;
		memcpy(item->payload, c->undelivered[i], sizeof item->payload);
	}
	c->nundelivered = 0;
}

/* First the snapshot, later what is pending and that it is ready. */
static void do_serve(struct model *m)
{
	struct conn *c = &m->conns[below(m, CONNS)];
	struct op *op = &c->ops[0];
	const struct session *s;

	if (!c->up || c->cut || c->nstream + c->nundelivered + 1 >= ARRAY_LEN(c->stream))
		return;
	if (c->nops == 0) {
		deliver_notices(c); /* an idle backend does so by itself */
		return;
	}
	if (!op->has_snapshot) {
		s = &m->sessions[op->session];
		op->has_snapshot = true;
		op->live = !s->ended && s->number == op->number;
		op->left_ms = below(m, 8) == 0 ? below(m, 3000) : 100000;
		return;
	}
	deliver_notices(c);
	c->stream[c->nstream].kind = ITEM_ANSWER;
	c->stream[c->nstream++].op = *op;
	memmove(c->ops, c->ops + 1, --c->nops * sizeof *op);
}

static void commit_notice(struct model *m, const char *payload)
{
	for (size_t i = 0; i < CONNS; i++) {
		struct conn *c = &m->conns[i];

		if (!c->up || c->cut)
			continue;
		HOLDS(m, c->nundelivered < QUEUE);
		snprintf(c->undelivered[c->nundelivered++], sizeof c->undelivered[0], "%s",
			 payload);
	}
}

static bool has_room(const struct model *m)
{
	for (size_t i = 0; i < CONNS; i++)
		if (m->conns[i].nundelivered + 1 >= QUEUE)
			return false;
	return true;
}

static void session_end(struct model *m, struct session *s)
{
	if (s->ended)
		return;
	s->ended = true;
	s->ended_ms = m->now;
}

static void do_end(struct model *m)
{
	struct session *s = &m->sessions[below(m, SESSIONS)];
	char payload[20];

	if (!has_room(m))
		return;
	if (s->ended && m->now - s->ended_ms > 2500) {
		session_begin(m, s);
		return;
	}
	if (below(m, 25) == 0) {
		for (size_t i = 0; i < SESSIONS / 3; i++)
			session_end(m, &m->sessions[below(m, SESSIONS)]);
		commit_notice(m, "flush");
		return;
	}
	session_end(m, s);
	snprintf(payload, sizeof payload, SV_FMT, SV_ARG(payload_of(hash_of_session(s))));
	commit_notice(m, payload);
	if (below(m, 4) == 0) { /* it was our own doing */
		session_cache_end(m->c, hash_of_session(s));
		s->filed = false;
		s->told = true;
	}
}

static void take_notice(struct model *m, const struct item *item)
{
	m->notices++;
	session_cache_notified(m->c, sv_str(item->payload));
	for (size_t i = 0; i < SESSIONS; i++) {
		struct session *s = &m->sessions[i];

		if (strcmp(item->payload, "flush") != 0 &&
		    !sv_eq(payload_of(hash_of_session(s)), sv_str(item->payload)))
			continue;
		s->filed = false;
		s->told = s->ended;
	}
}

static void take_answer(struct model *m, const struct op *op)
{
	struct session *s = &m->sessions[op->session];
	struct session_read read;
	struct value *v;

	if (op->trip.serial == m->conns[op->trip.conn].serial) {
		session_cache_renewed(m->c, &op->trip);
		m->lease_ms[op->trip.conn] = op->trip.sent_ms;
	}
	if (op->kind == OP_SYNC || !op->live || op->number != s->number)
		return;
	v = value_new(s->number);
	read =
	    (struct session_read){.hash = hash_of_session(s), .trip = &op->trip, .tick = op->tick};
	v->sent_ms = op->trip.sent_ms;
	v->ends_ms = op->trip.sent_ms + op->left_ms;
	if (session_cache_put(m->c, &read, op->left_ms, v, below(m, 2000), m->now)) {
		s->filed = true;
		s->trip = op->trip;
		s->ends_ms = v->ends_ms < v->sent_ms + SESSION_CACHE_ENTRY_MS
				 ? v->ends_ms
				 : v->sent_ms + SESSION_CACHE_ENTRY_MS;
		HOLDS(m, op->trip.serial == m->conns[op->trip.conn].serial);
		HOLDS(m, m->now - op->trip.sent_ms < PG_LEASE_MS && m->now < s->ends_ms);
		return;
	}
	free_value(&values_alive, v);
	s->filed = false;
	if (m->now - op->trip.sent_ms >= PG_LEASE_MS)
		m->refused_late++;
	else
		m->refused_else++;
}

static void do_read(struct model *m)
{
	struct conn *c = &m->conns[below(m, CONNS)];
	struct item item;

	if (!c->up || c->nstream == 0)
		return;
	item = c->stream[0];
	memmove(c->stream, c->stream + 1, --c->nstream * sizeof item);
	if (item.kind == ITEM_NOTICE)
		take_notice(m, &item);
	else
		take_answer(m, &item.op);
}

static void do_break(struct model *m)
{
	unsigned number = below(m, CONNS);
	struct conn *c = &m->conns[number];

	switch (below(m, 4)) {
	case 0: /* seen */
		if (!c->up)
			return;
		*c = (struct conn){0};
		disturb(m, number);
		break;
	case 1: /* not seen: what is on the wire still arrives */
		c->cut = c->up;
		break;
	case 2: /* an error that may mean a lost notification: that one is lost here */
		if (!c->up || c->cut || c->nundelivered == 0)
			return;
		c->nundelivered = 0;
		disturb(m, number);
		break;
	default:
		break;
	}
}

static void do_connect(struct model *m)
{
	unsigned number = below(m, CONNS);
	struct conn *c = &m->conns[number];

	if (c->up)
		return;
	*c = (struct conn){.up = true};
	disturb(m, number); /* its serial; LISTEN is committed before anything else */
}

static void do_get(struct model *m)
{
	struct session *s = &m->sessions[below(m, SESSIONS)];
	const struct value *v;
	bool want =
	    s->filed && m->now < s->ends_ms && m->now - m->lease_ms[s->trip.conn] < PG_LEASE_MS;

	session_cache_expect(m->c, hash_of_session(s));
	v = session_cache_get(m->c, hash_of_session(s), m->now);
	HOLDS(m, v == NULL || want);
	HOLDS(m, !m->exact || (v != NULL) == want);
	if (v == NULL)
		return;
	m->yes++;
	HOLDS(m, v->session == s->number);
	HOLDS(m, m->now < v->ends_ms && m->now - v->sent_ms < SESSION_CACHE_ENTRY_MS);
	HOLDS(m, !s->ended || m->now - s->ended_ms < PG_LEASE_MS);
	HOLDS(m, !s->told);
	m->yes_after_end += s->ended;
}

/* What is got grows: a token, or ready headers. It may be gone afterwards, where room is scarce. */
static void do_grow(struct model *m)
{
	struct session *s = &m->sessions[below(m, SESSIONS)];

	if (session_cache_get(m->c, hash_of_session(s), m->now) == NULL)
		return;
	session_cache_resize(m->c, hash_of_session(s), 1 + below(m, 3000));
	m->grown++;
}

/* A row that was read said no, or is brought up to date. */
static void do_take(struct model *m)
{
	struct session *s = &m->sessions[below(m, SESSIONS)];
	struct value *v = session_cache_take(m->c, hash_of_session(s));

	HOLDS(m, !m->exact || v != NULL || !s->filed || m->now >= s->ends_ms); /* else swept */
	s->filed = false;
	if (v == NULL)
		return;
	HOLDS(m, v->session == s->number);
	free_value(&values_alive, v);
	m->taken++;
}

static void step(struct model *m)
{
	static const struct {
		void (*fn)(struct model *m);
		unsigned weight;
	} ACTS[] = {{do_time, 15}, {do_send, 30},   {do_serve, 90}, {do_read, 90}, {do_end, 2},
		    {do_break, 1}, {do_connect, 6}, {do_get, 90},   {do_grow, 5},  {do_take, 1}};
	unsigned total = 0, at;

	for (size_t i = 0; i < ARRAY_LEN(ACTS); i++)
		total += ACTS[i].weight;
	at = below(m, total);
	for (size_t i = 0; i < ARRAY_LEN(ACTS); i++) {
		if (at < ACTS[i].weight) {
			ACTS[i].fn(m);
			return;
		}
		at -= ACTS[i].weight;
	}
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);

	return v == NULL ? otherwise : strtoull(v, NULL, 10);
}

static void run_model(uint64_t seed, unsigned long steps, size_t max_bytes)
{
	struct model *m = calloc(1, sizeof *m);
	struct session_cache_stats stats;

	assert_non_null(m);
	m->seed = seed;
	m->chance = chance_of(seed);
	m->now = 1000000;
	m->c = cache_new(max_bytes);
	m->exact = max_bytes > SESSIONS * 4 * KB;
	for (size_t i = 0; i < SESSIONS; i++)
		session_begin(m, &m->sessions[i]);
	for (m->step = 0; m->step < steps; m->step++) {
		step(m);
		stats = session_cache_stats(m->c);
		HOLDS(m, stats.bytes <= max_bytes && stats.entries == values_alive);
		if (m->step % 1024 == 0)
			session_cache_sweep(m->c, m->now);
	}
	/* It did say yes, and it met what it has to be careful about. */
	HOLDS(m, m->yes > steps / 50 && m->yes_after_end > 0 && m->refused_late > 0);
	HOLDS(m, m->grown > 100 && m->taken > 10);
	HOLDS(m, m->refused_else > 0 && m->notices > 100 && m->drops > 100);
	HOLDS(m, m->exact == (stats.evictions == 0));
	print_message(
	    "seed %llu, %lu steps: %lu yes, %lu of them after an end but within the bound\n",
	    (unsigned long long)seed, steps, m->yes, m->yes_after_end);
	cache_done(m->c);
	free(m);
}

static void model_without_eviction(void **state)
{
	(void)state;
	run_model(number_of("BFF_MODEL_SEED", 1), number_of("BFF_MODEL_STEPS", STEPS), 1024 * KB);
}

static void model_with_eviction(void **state)
{
	(void)state;
	run_model(number_of("BFF_MODEL_SEED", 2), number_of("BFF_MODEL_STEPS", STEPS), 8 * KB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_lease_is_needed_and_ends),
	    cmocka_unit_test(an_entry_ends_by_its_limits),
	    cmocka_unit_test(what_was_named_goes_and_is_not_filed),
	    cmocka_unit_test(a_row_of_an_old_or_disturbed_query_is_not_filed),
	    cmocka_unit_test(bytes_are_bounded),
	    cmocka_unit_test(a_value_is_replaced_or_taken),
	    cmocka_unit_test(many_are_found_again),
	    cmocka_unit_test(whoever_stands_behind_one_that_goes_is_found),
	    cmocka_unit_test(all_of_one_prefix_go_at_once),
	    cmocka_unit_test(an_expected_one_is_as_good_as_before),
	    cmocka_unit_test(what_a_hit_reads_is_the_end_of_it),
	    cmocka_unit_test(a_secret_decides_who_meets),
	    cmocka_unit_test(without_memory_it_keeps_less),
	    cmocka_unit_test(model_without_eviction),
	    cmocka_unit_test(model_with_eviction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/count.h"

#include "broker/grant_table.h"
#include "common/metrics_text.h"
#include "tests/unit/broker/peer_stand.h"

static struct session_cache_stats cache;
static struct pg_state pool;

struct pg_state __wrap_pg_state(const struct pg *p);
struct pg_state __wrap_pg_state(const struct pg *p)
{
	(void)p;
	return pool;
}

struct session_cache_stats __wrap_token_memory_stats(const struct token_memory *m);
struct session_cache_stats __wrap_token_memory_stats(const struct token_memory *m)
{
	(void)m;
	return cache;
}

size_t __wrap_token_memory_renewals(const struct token_memory *m);
size_t __wrap_token_memory_renewals(const struct token_memory *m)
{
	(void)m;
	return 11;
}

size_t __wrap_grant_table_count(const struct grant_table *g);
size_t __wrap_grant_table_count(const struct grant_table *g)
{
	(void)g;
	return 12;
}

static int open_counting(void **state)
{
	if (set_up(state) != 0)
		return -1;
	cache = (struct session_cache_stats){0};
	pool = (struct pg_state){0};
	return metrics_new(NULL, &t.broker.metrics) == ERR_OK &&
		       metrics_add_names(t.broker.metrics, t.broker.editions.newest->config)
		   ? 0
		   : -1;
}

static int close_counting(void **state)
{
	metrics_free(&t.broker.metrics);
	return tear_down(state);
}

static int64_t value(enum metric id, unsigned a)
{
	return (int64_t)metrics_sum(t.broker.metrics, id, METRICS_AT(a));
}

static void what_others_keep_is_brought_over_as_far_as_it_is_new(void **state)
{
	(void)state;
	t.broker.counts =
	    (struct broker_counts){.from_memory = 5, .read = 4, .waited = 3, .ahead = 2};
	cache = (struct session_cache_stats){.entries = 7, .bytes = 700, .hits = 10, .misses = 3};
	pool = (struct pg_state){.connections = 4, .up = 2, .calls = 1};
	count_sample(&t.broker);
	t.broker.counts.from_memory = 6;
	cache.hits = 12;
	cache.entries = 1;
	count_sample(&t.broker);
	assert_int_equal(value(METRIC_B_TOKEN_REQUESTS, METRICS_WAY_MEMORY), 6);
	assert_int_equal(value(METRIC_B_TOKEN_REQUESTS, METRICS_WAY_ROW), 4);
	assert_int_equal(value(METRIC_B_TOKEN_REQUESTS, METRICS_WAY_PROVIDER), 3);
	assert_int_equal(value(METRIC_B_TOKEN_REQUESTS, METRICS_WAY_AHEAD), 2);
	assert_int_equal(value(METRIC_B_CACHE_HITS, 0), 12);
	assert_int_equal(value(METRIC_B_CACHE_MISSES, 0), 3);
	assert_int_equal(value(METRIC_B_CACHE_ENTRIES, 0), 1);
	assert_int_equal(value(METRIC_B_CACHE_BYTES, 0), 700);
	assert_int_equal(value(METRIC_B_DB_CONNECTIONS, 0), 2);
	assert_int_equal(value(METRIC_B_DB_CONNECTIONS_MAX, 0), 4);
	assert_int_equal(value(METRIC_B_DB_IN_FLIGHT, 0), 1);
	assert_int_equal(value(METRIC_B_RENEWALS, 0), 11);
	assert_int_equal(value(METRIC_B_GRANTS, 0), 12);
}

static void keys_by_state(void **state)
{
	size_t n = keyring_count(t.broker.ring);

	(void)state;
	count_sample(&t.broker);
	assert_int_equal(value(METRIC_B_KEYS, KEY_PRIMARY - 1), 1);
	keyring_set_state(t.broker.ring, 1, KEY_RETIRED);
	count_sample(&t.broker);
	assert_int_equal(value(METRIC_B_KEYS, KEY_PRIMARY - 1), 0);
	assert_int_equal(value(METRIC_B_KEYS, KEY_RETIRED - 1), 1);
	assert_int_equal(value(METRIC_B_KEYS, KEY_PENDING - 1) +
			     value(METRIC_B_KEYS, KEY_DECRYPT_ONLY - 1) +
			     value(METRIC_B_KEYS, KEY_RETIRED - 1),
			 n);
}

static void a_provider_that_failed_is_held_off(void **state)
{
	struct edition *ed = t.broker.editions.newest;
	const struct config_provider *p = &ed->config->providers[0], *as = p;
	struct holdoffs *h = edition_holdoffs(ed, &as);
	unsigned number = count_provider(&t.broker, p).a;

	(void)state;
	assert_int_not_equal(number, 0);
	count_sample(&t.broker);
	assert_int_equal(value(METRIC_B_BREAKER, number), 0);
	holdoff_failed(h, as, IPC_ERROR_PROVIDER_DOWN, clock_boot_ms(), 0);
	count_sample(&t.broker);
	assert_int_equal(value(METRIC_B_BREAKER, number), 1);
	holdoff_clear(h, as);
	count_sample(&t.broker);
	assert_int_equal(value(METRIC_B_BREAKER, number), 0);
}

/* The whole text, piece by piece, also to a worker whose configuration nobody knows. */
static void it_is_told_in_pieces_without_a_request(void **state)
{
	struct peer *p = open_peer();
	struct ipc_metrics_get m = {.cursor = 0};
	struct buf got, want;
	uint32_t cursor = 0;

	(void)state;
	edition_unref(&p->edition);
	buf_init(&got, METRICS_TEXT_MAX);
	buf_init(&want, METRICS_TEXT_MAX);
	do {
		count_tell(p, 5, &m);
		loop_turns(t.broker.base, 2);
		assert_true(get());
		assert_int_equal(t.answer.number, IPC_METRICS);
		assert_int_equal(t.answer.id, 5);
		buf_add(&got, t.answer.u.metrics.text);
		m.cursor = t.answer.u.metrics.next;
	} while (m.cursor != 0);
	assert_int_equal(metrics_print(t.broker.metrics, METRICS_BROKER, &cursor, &want), ERR_OK);
	assert_sv_equal(buf_sv(&got), buf_sv(&want));
	assert_int_equal(value(METRIC_B_PEERS, 0), 1);
	assert_int_equal(p->nrequests, 0);
	buf_done(&got);
	buf_done(&want);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_counting, close_counting)
	const struct CMUnitTest tests[] = {
	    TEST(what_others_keep_is_brought_over_as_far_as_it_is_new),
	    TEST(keys_by_state),
	    TEST(a_provider_that_failed_is_held_off),
	    TEST(it_is_told_in_pieces_without_a_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

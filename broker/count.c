#include "broker/count.h"

#include "broker/grant_table.h"
#include "broker/token_memory.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/metrics_text.h"

static_assert((int)KEY_PENDING == 1 && (int)KEY_RETIRED == 4, "METRICS_WORDS_key in this order");

struct metrics_at count_provider(const struct broker *b, const struct config_provider *p)
{
	return METRICS_AT(metrics_name(b->metrics, METRICS_provider, p->name));
}

static void sample_token_requests(struct broker *b)
{
	const struct broker_counts *now = &b->counts;
	struct broker_counts *before = &b->counted;

	metrics_follow(b->metrics, METRIC_B_TOKEN_REQUESTS, METRICS_AT(METRICS_WAY_MEMORY),
		       now->from_memory, &before->from_memory);
	metrics_follow(b->metrics, METRIC_B_TOKEN_REQUESTS, METRICS_AT(METRICS_WAY_ROW), now->read,
		       &before->read);
	metrics_follow(b->metrics, METRIC_B_TOKEN_REQUESTS, METRICS_AT(METRICS_WAY_PROVIDER),
		       now->waited, &before->waited);
	metrics_follow(b->metrics, METRIC_B_TOKEN_REQUESTS, METRICS_AT(METRICS_WAY_AHEAD),
		       now->ahead, &before->ahead);
}

static void sample_cache(struct broker *b)
{
	const struct session_cache_stats now = token_memory_stats(b->tokens);
	struct session_cache_stats *before = &b->cache_counted;

	metrics_set(b->metrics, METRIC_B_CACHE_ENTRIES, METRICS_AT(0), now.entries);
	metrics_set(b->metrics, METRIC_B_CACHE_BYTES, METRICS_AT(0), now.bytes);
	metrics_follow(b->metrics, METRIC_B_CACHE_HITS, METRICS_AT(0), now.hits, &before->hits);
	metrics_follow(b->metrics, METRIC_B_CACHE_MISSES, METRICS_AT(0), now.misses,
		       &before->misses);
	metrics_follow(b->metrics, METRIC_B_CACHE_EVICTIONS, METRICS_AT(0), now.evictions,
		       &before->evictions);
	metrics_follow(b->metrics, METRIC_B_LOG_SUPPRESSED, METRICS_AT(0), log_suppressed(),
		       &b->log_counted);
}

static void sample_keys(struct broker *b)
{
	uint64_t n[KEY_RETIRED + 1] = {0};

	for (size_t i = 0; i < keyring_count(b->ring); i++)
		n[keyring_entry(b->ring, i).state]++;
	for (unsigned state = KEY_PENDING; state <= KEY_RETIRED; state++)
		metrics_set(b->metrics, METRIC_B_KEYS, METRICS_AT(state - KEY_PENDING), n[state]);
}

/* Providers of the newest edition alone: the others are as good as gone. */
static void sample_breakers(struct broker *b)
{
	struct edition *ed = b->editions.newest;
	int64_t now = clock_boot_ms();

	for (size_t i = 0; ed != NULL && i < ed->config->nproviders; i++) {
		const struct config_provider *p = &ed->config->providers[i], *as = p;
		const struct holdoffs *h = edition_holdoffs(ed, &as);
		uint32_t left_s = 0;
		bool open = holdoff_judge(h, as, now, &left_s) != IPC_ERROR_NONE;

		metrics_set(b->metrics, METRIC_B_BREAKER, count_provider(b, p), open);
	}
}

void count_sample(struct broker *b)
{
	const struct pg_state pg = pg_state(b->pg);

	sample_token_requests(b);
	sample_cache(b);
	sample_keys(b);
	sample_breakers(b);
	metrics_set(b->metrics, METRIC_B_PEERS, METRICS_AT(0), b->npeers);
	metrics_set(b->metrics, METRIC_B_GRANTS, METRICS_AT(0), grant_table_count(b->grants));
	metrics_set(b->metrics, METRIC_B_RENEWALS, METRICS_AT(0), token_memory_renewals(b->tokens));
	metrics_set(b->metrics, METRIC_B_DB_CONNECTIONS, METRICS_AT(0), pg.up);
	metrics_set(b->metrics, METRIC_B_DB_CONNECTIONS_MAX, METRICS_AT(0), pg.connections);
	metrics_set(b->metrics, METRIC_B_DB_IN_FLIGHT, METRICS_AT(0), pg.calls);
}

void count_tell(struct peer *p, uint32_t id, const struct ipc_metrics_get *m)
{
	struct broker *b = p->broker;
	struct ipc_message answer = {.number = IPC_METRICS, .u.metrics.next = m->cursor};
	struct buf text;
	enum err e;

	if (m->cursor == 0)
		count_sample(b);
	buf_init(&text, IPC_METRICS_MAX);
	e = metrics_print(b->metrics, METRICS_BROKER, &answer.u.metrics.next, &text);
	answer.u.metrics.text = buf_sv(&text);
	if (e == ERR_OK)
		e = peer_answer(p, id, &answer);
	if (e != ERR_OK)
		log_error("metrics_not_told", K("why", err_text(e)));
	buf_done(&text);
}

/*
 * metrics_memory - how the memory of metrics.h lies; for metrics*.c alone
 *
 * One mapping: header, names, slabs. A name is written before its count is (release, acquire), and
 * never again.
 */
#ifndef BFF_METRICS_MEMORY_H
#define BFF_METRICS_MEMORY_H

#include <stdalign.h>

#include "common/ipc.h"
#include "common/metrics.h"

/* How many words or names a label has at most. */
#define METRICS_PLUS(word) +1
#define METRICS_ERROR_PLUS(name, word) +1
enum {
	METRICS_N_NONE = 1,
	METRICS_N_result = 0 METRICS_WORDS_result(METRICS_PLUS),
	METRICS_N_exit = 0 METRICS_WORDS_exit(METRICS_PLUS),
	METRICS_N_outcome = 0 METRICS_WORDS_outcome(METRICS_PLUS),
	METRICS_N_waited = 0 METRICS_WORDS_waited(METRICS_PLUS),
	METRICS_N_code = 0 METRICS_WORDS_code(METRICS_PLUS),
	METRICS_N_failure = 0 METRICS_WORDS_failure(METRICS_PLUS),
	METRICS_N_way = 0 METRICS_WORDS_way(METRICS_PLUS),
	METRICS_N_wait = 0 METRICS_WORDS_wait(METRICS_PLUS),
	METRICS_N_key = 0 METRICS_WORDS_key(METRICS_PLUS),
	METRICS_N_request = 0 METRICS_WORDS_request(METRICS_PLUS),
	METRICS_N_http = 0 METRICS_WORDS_http(METRICS_PLUS),
	METRICS_N_token = 0 METRICS_WORDS_token(METRICS_PLUS),
	METRICS_N_answer =
	    3 IPC_ERRORS(METRICS_ERROR_PLUS), /* ok, a FAILURE's, timeout, unavailable */
	METRICS_N_endpoint = 1
#define ENDPOINT(name, word) +1
#include "worker/endpoint.def"
#undef ENDPOINT
	,
	METRICS_N_reason = 1
#define REASON(name, word, denial) +1
#include "worker/reason.def"
#undef REASON
	,
	METRICS_N_message = 0
#define IPC_MESSAGE(name, NAME, number, direction, phase) +1
#include "common/ipc.def"
#undef IPC_MESSAGE
	,
#define METRICS_NO_WORDS(label, shown)
#define METRICS_NAMES_N(label, max) METRICS_N_##label = (max),
	METRICS_LABELS(METRICS_NO_WORDS, METRICS_NAMES_N)
#undef METRICS_NAMES_N
};

/* Only its offsets are used: where the names of a label begin. */
struct metrics_names_lie {
#define METRICS_NAMES_LIE(label, max) char label[max];
	METRICS_LABELS(METRICS_NO_WORDS, METRICS_NAMES_LIE)
#undef METRICS_NAMES_LIE
#undef METRICS_NO_WORDS
};

#define METRICS_CELLS_COUNTER 1
#define METRICS_CELLS_COUNTER_US 1
#define METRICS_CELLS_GAUGE 1
#define METRICS_CELLS_HISTOGRAM (METRICS_BUCKETS + 1) /* and the sum, in microseconds */

struct metrics_slab {
#define METRIC(id, name, kind, who, l1, l2, l3, help)                                              \
	uint64_t id[METRICS_N_##l1 * METRICS_N_##l2 * METRICS_N_##l3 * METRICS_CELLS_##kind];
#include "common/metrics.def"
#undef METRIC
	alignas(64) char end[64]; /* the next one begins on a cache line of its own */
};

struct metrics_text {
	uint32_t n;
	char p[METRICS_NAME_MAX];
};

struct metrics_memory {
	uint64_t fingerprint;
	uint32_t nslabs; /* that ever had an owner */
	uint32_t nnames[METRICS_LABELS_END];
	int64_t owner[METRICS_SLABS_MAX];
	struct metrics_text names[sizeof(struct metrics_names_lie)];
	alignas(64) struct metrics_slab slabs[];
};

struct metrics {
	struct metrics_memory *memory;
	uint64_t *cells; /* of our slab */
	size_t bytes;
	unsigned nslabs; /* that there is room for */
};

/* A hash of the table, every word and the version: the same on both sides or no sharing. */
uint64_t metrics_fingerprint(void);

/* Adds a text as a label's name, or finds it. 0: no room. */
unsigned metrics_name_put(struct metrics *m, enum metrics_label label, struct sv text);

#endif

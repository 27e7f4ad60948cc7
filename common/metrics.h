/*
 * metrics - counters that several processes keep and any of them can sum
 *
 * metrics.def is the table. The memory is a header (fingerprint of the table, names) and slabs; a
 * slab holds every cell of the table and is written by one process at a time, with relaxed atomic
 * stores: no lock, no lock prefix, no system call. Whoever prints sums the slabs. A process that
 * dies leaves its slab's counts, and the next one that gets the slab goes on from them: counters
 * never go back while the memory lives. Gauges say what is now: they are emptied when their process
 * is gone.
 *
 *	master	makes the memory (metrics_new), hands it to workers by descriptor and keeps slab
 *		0: master/tally.h
 *	worker	metrics_attach() to its slab; without one (METRICS_SLAB_NONE) it counts for
 *		itself alone
 *	broker	memory of its own with one slab
 *
 * Labels have closed lists of words, or names of the configuration (route, rule, listen, provider),
 * which only the memory's owner adds and which keep their number for good, so that generations
 * agree. Number 0 of these is "-": none, or one beyond the limit. Nothing of a request ever becomes
 * a label.
 *
 * Every function accepts NULL for the memory: nothing is counted. SECURITY: any worker can write
 * anything into the memory: the owner believes nothing of it, and readers check lengths.
 */
#ifndef BFF_METRICS_H
#define BFF_METRICS_H

#include "common/buf.h"
#include "common/config.h"

#define METRICS_SLABS_MAX 1024		   /* processes at a time, drained generations included */
#define METRICS_SLAB_NONE 0		   /* for metrics_attach(): slab 0 is the owner's */
#define METRICS_NAME_MAX 222		   /* bytes of a label's text as it is printed */
#define METRICS_TEXT_MAX (4 * 1024 * 1024) /* bytes of one scrape */

/* Durations: bounds are 2^e and 1.5 * 2^e microseconds, from 16 us to 16.8 s. */
#define METRICS_BUCKET_FIRST 4
#define METRICS_BUCKET_LAST 24
#define METRICS_BUCKETS                                                                            \
	(2 + 2 * (METRICS_BUCKET_LAST - METRICS_BUCKET_FIRST)) /* the last: +Inf                   \
								*/

/* WORDS(label, W): a closed list. NAMES(label, max): "-" and names of the configuration. Lists that
 * stand elsewhere (endpoint, reason, message, answer) are read from there: the files that have
 * them. */
#define METRICS_WORDS_result(W) W("ok") W("failed")
#define METRICS_WORDS_exit(W) W("drained") W("error") W("signal")
#define METRICS_WORDS_outcome(W)                                                                   \
	W("allowed")                                                                               \
	W("login")                                                                                 \
	W("step_up") W("bad") W("forbidden") W("csrf") W("origin") W("upstream") W("unavailable")
#define METRICS_WORDS_waited(W) W("nothing") W("database") W("broker")
#define METRICS_WORDS_code(W) W("1xx") W("2xx") W("3xx") W("4xx") W("5xx")
#define METRICS_WORDS_failure(W)                                                                   \
	W("timeout") W("unavailable") W("conflict") W("denied") W("canceled") W("other")
#define METRICS_WORDS_way(W) W("memory") W("row") W("provider") W("ahead")
#define METRICS_WORDS_wait(W) W("queued") W("leased_elsewhere")
#define METRICS_WORDS_key(W) W("pending") W("primary") W("decrypt_only") W("retired")
#define METRICS_WORDS_request(W)                                                                   \
	W("discovery")                                                                             \
	W("jwks")                                                                                  \
	W("code")                                                                                  \
	W("refresh") W("exchange") W("client_credentials") W("push") W("revoke") W("userinfo")
#define METRICS_WORDS_http(W) W("2xx") W("3xx") W("4xx") W("5xx") W("not_sent") W("unknown")
#define METRICS_WORDS_token(W)                                                                     \
	W("ok")                                                                                    \
	W("not_sent")                                                                              \
	W("unknown")                                                                               \
	W("dead")                                                                                  \
	W("misconfigured") W("interaction") W("client_broken") W("throttled") W("too_often")

/* label, as it is shown */
#define METRICS_LABELS(WORDS, NAMES)                                                               \
	WORDS(NONE, "")                                                                            \
	WORDS(result, "result")                                                                    \
	WORDS(exit, "how")                                                                         \
	WORDS(outcome, "outcome")                                                                  \
	WORDS(waited, "waited_for")                                                                \
	WORDS(code, "code")                                                                        \
	WORDS(failure, "error")                                                                    \
	WORDS(way, "from")                                                                         \
	WORDS(wait, "why")                                                                         \
	WORDS(key, "state")                                                                        \
	WORDS(request, "request")                                                                  \
	WORDS(http, "outcome")                                                                     \
	WORDS(token, "outcome")                                                                    \
	WORDS(endpoint, "endpoint")                                                                \
	WORDS(reason, "reason")                                                                    \
	WORDS(message, "message")                                                                  \
	WORDS(answer, "answer")                                                                    \
	NAMES(route, 1024)                                                                         \
	NAMES(rule, 1024)                                                                          \
	NAMES(listen, 32)                                                                          \
	NAMES(provider, 64)

enum metrics_label {
#define METRICS_LABEL_ENUM(label, ...) METRICS_##label,
	METRICS_LABELS(METRICS_LABEL_ENUM, METRICS_LABEL_ENUM)
#undef METRICS_LABEL_ENUM
	    METRICS_LABELS_END
};

enum metric {
#define METRIC(id, ...) METRIC_##id,
#include "common/metrics.def"
#undef METRIC
	METRICS_END
};

/* Numbers of words that callers name. */
enum { METRICS_RELOAD_OK = 0, METRICS_RELOAD_FAILED };
enum { METRICS_EXIT_DRAINED = 0, METRICS_EXIT_ERROR, METRICS_EXIT_SIGNAL };
enum { METRICS_WAITED_NOTHING = 0, METRICS_WAITED_DATABASE, METRICS_WAITED_BROKER };
enum { METRICS_WAY_MEMORY = 0, METRICS_WAY_ROW, METRICS_WAY_PROVIDER, METRICS_WAY_AHEAD };
enum { METRICS_WAIT_QUEUED = 0, METRICS_WAIT_LEASED };
enum metrics_request {
	METRICS_REQUEST_DISCOVERY = 0,
	METRICS_REQUEST_JWKS,
	METRICS_REQUEST_CODE,
	METRICS_REQUEST_REFRESH,
	METRICS_REQUEST_EXCHANGE,
	METRICS_REQUEST_CLIENT_CREDENTIALS,
	METRICS_REQUEST_PUSH,
	METRICS_REQUEST_REVOKE,
	METRICS_REQUEST_USERINFO,
};

struct metrics;

/* Which cell of a metric; labels it does not have are 0. */
struct metrics_at {
	unsigned a, b, c;
};
#define METRICS_AT(...) METRICS_AT_(__VA_ARGS__, 0, 0, 0)
#define METRICS_AT_(a, b, c, ...) ((struct metrics_at){(a), (b), (c)})

/* ---- counting ------------------------------------------------------------------------------ */

void metrics_add(struct metrics *m, enum metric id, struct metrics_at at, uint64_t n);
static inline void metrics_count(struct metrics *m, enum metric id, struct metrics_at at)
{
	metrics_add(m, id, at, 1);
}
/* A gauge: by so much, or as it is. */
void metrics_move(struct metrics *m, enum metric id, struct metrics_at at, int by);
void metrics_set(struct metrics *m, enum metric id, struct metrics_at at, uint64_t value);
/* A duration into a histogram; below 0 counts as 0. */
void metrics_observe(struct metrics *m, enum metric id, struct metrics_at at, int64_t us);

/* A counter that another module keeps: adds what came since *before, and notes it there. */
void metrics_follow(struct metrics *m, enum metric id, struct metrics_at at, uint64_t now,
		    uint64_t *before);

/* The cells for a class of status, an answer of the broker (enum ipc_error; 0 is "ok"), a message
 * by its enum ipc_number, a failure of the database. */
unsigned metrics_code(unsigned status);
unsigned metrics_answer(enum err waited, uint32_t ipc_error);
unsigned metrics_message(unsigned ipc_number);
unsigned metrics_failure(enum err e);

/* The number of a name; 0: not known. A rule is named by its route and its title. */
unsigned metrics_name(const struct metrics *m, enum metrics_label label, struct sv name);
unsigned metrics_rule(const struct metrics *m, struct sv route, struct sv rule);

/* ---- memory -------------------------------------------------------------------------------- */

/* The owner's: all of it, and slab 0. ret_fd: a memfd that can neither grow nor shrink, to be
 * handed on; NULL: none, one slab. ERR_IO, ERR_NOMEM. */
WARN_UNUSED enum err metrics_new(int *ret_fd, struct metrics **ret);
/* Slab `slab` of the memory behind fd, which stays the caller's. ERR_UNSUPPORTED: another layout;
 * ERR_IO, ERR_RANGE, ERR_NOMEM. */
WARN_UNUSED enum err metrics_attach(int fd, unsigned slab, struct metrics **ret);
void metrics_free(struct metrics **m);

/* The owner's: names of a configuration, beside those of former ones. False: some are beyond the
 * limit. */
bool metrics_add_names(struct metrics *m, const struct config *c);

/* The owner's: whose slab that is (0: nobody's), from which follows how many are summed. */
void metrics_set_owner(struct metrics *m, unsigned slab, int64_t pid);
int64_t metrics_owner(const struct metrics *m, unsigned slab);
/* Its process is gone: no gauge of it counts any more. */
void metrics_clear_gauges(struct metrics *m, unsigned slab);

/* ---- reading ------------------------------------------------------------------------------- */

/* A counter or gauge; of a histogram how many it has. */
uint64_t metrics_sum(const struct metrics *m, enum metric id, struct metrics_at at);

/* How many there are now: all words, or the names so far with "-". */
unsigned metrics_label_count(const struct metrics *m, enum metrics_label label);
/* `label="word"`; "-" where what stands in the memory is no name; empty for METRICS_NONE, and for a
 * number that there is not. */
struct sv metrics_label_text(const struct metrics *m, enum metrics_label label, unsigned number,
			     char room[METRICS_NAME_MAX]);

/* A row of the table, as it lies in a slab. */
enum metrics_kind { METRICS_COUNTER = 1, METRICS_COUNTER_US, METRICS_GAUGE, METRICS_HISTOGRAM };
enum metrics_who { METRICS_WORKER = 1, METRICS_MASTER = 2, METRICS_BROKER = 4, METRICS_SCRAPE = 8 };
struct metrics_row {
	const char *name, *help;
	enum metrics_kind kind;
	enum metrics_who who;
	enum metrics_label labels[3];
	unsigned n[3];	 /* of each label */
	size_t at, size; /* cells */
};
const struct metrics_row *metrics_row(enum metric id);
/* Sum over slabs of one cell of a slab. */
uint64_t metrics_cell_sum(const struct metrics *m, size_t cell);
/* The first cell of a series. */
size_t metrics_cell(const struct metrics_row *row, struct metrics_at at);
/* Upper bound of a bucket in microseconds, all but the last. */
uint64_t metrics_bound(unsigned bucket);

#endif

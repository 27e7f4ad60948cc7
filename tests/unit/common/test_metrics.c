#include "common/metrics.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/metrics_memory.h"
#include "tests/unit/torture.h"

static struct {
	int fd;
	struct metrics *owner;
} t;

static int setup(void **state)
{
	(void)state;
	t.fd = -1;
	return metrics_new(&t.fd, &t.owner) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	metrics_free(&t.owner);
	return close(t.fd);
}

static struct metrics *attach(unsigned slab)
{
	struct metrics *m = NULL;

	metrics_set_owner(t.owner, slab, 1000 + slab);
	assert_int_equal(metrics_attach(t.fd, slab, &m), ERR_OK);
	return m;
}

static uint64_t paused(void)
{
	return metrics_sum(t.owner, METRIC_ACCEPT_PAUSED, METRICS_AT(0));
}

static void what_processes_count_is_summed(void **state)
{
	struct metrics *a = attach(1), *b = attach(2);

	(void)state;
	assert_true(a->cells == (uint64_t *)(void *)&a->memory->slabs[1] &&
		    b->cells == (uint64_t *)(void *)&b->memory->slabs[2]); /* nobody else's */
	metrics_count(a, METRIC_ACCEPT_PAUSED, METRICS_AT(0));
	metrics_add(b, METRIC_ACCEPT_PAUSED, METRICS_AT(0), 40);
	metrics_count(t.owner, METRIC_ACCEPT_PAUSED, METRICS_AT(0));
	assert_int_equal(paused(), 42);
	assert_int_equal(metrics_sum(a, METRIC_ACCEPT_PAUSED, METRICS_AT(0)), 42);
	assert_int_equal(metrics_sum(a, METRIC_LOG_SUPPRESSED, METRICS_AT(0)), 0);
	metrics_free(&a);
	metrics_free(&b);
}

/* Every cell of a metric of two labels is one of its own, and none is its neighbour's. */
static void no_two_series_share_a_cell(void **state)
{
	(void)state;
	for (unsigned a = 0; a < 3; a++)
		for (unsigned b = 0; b < METRICS_N_outcome; b++)
			metrics_add(t.owner, METRIC_VERIFY_REQUESTS, METRICS_AT(a, b), 100 * a + b);
	for (unsigned a = 0; a < 3; a++)
		for (unsigned b = 0; b < METRICS_N_outcome; b++)
			assert_int_equal(
			    metrics_sum(t.owner, METRIC_VERIFY_REQUESTS, METRICS_AT(a, b)),
			    100 * a + b);
	metrics_add(t.owner, METRIC_VERIFY_REQUESTS,
		    METRICS_AT(METRICS_N_route - 1, METRICS_N_outcome - 1), 7);
	metrics_observe(t.owner, METRIC_VERIFY_DURATION, METRICS_AT(0), 1);
	assert_int_equal(metrics_sum(t.owner, METRIC_VERIFY_REQUESTS,
				     METRICS_AT(METRICS_N_route - 1, METRICS_N_outcome - 1)),
			 7);
	assert_int_equal(metrics_sum(t.owner, METRIC_VERIFY_DURATION, METRICS_AT(0)), 1);
}

/* As when a worker is killed and another gets its slab. */
static void the_next_process_goes_on_from_the_counts(void **state)
{
	struct metrics *b;
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct metrics *m = attach(1);

		metrics_add(m, METRIC_ACCEPT_PAUSED, METRICS_AT(0), 5);
		metrics_set(m, METRIC_IPC_CONNECTIONS, METRICS_AT(0), 3);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(paused(), 5);
	assert_int_equal(metrics_sum(t.owner, METRIC_IPC_CONNECTIONS, METRICS_AT(0)), 3);
	metrics_set_owner(t.owner, 1, 0);
	metrics_clear_gauges(t.owner, 1);
	assert_int_equal(metrics_owner(t.owner, 1), 0);
	assert_int_equal(paused(), 5); /* without a process, too */
	assert_int_equal(metrics_sum(t.owner, METRIC_IPC_CONNECTIONS, METRICS_AT(0)), 0);
	b = attach(1);
	metrics_count(b, METRIC_ACCEPT_PAUSED, METRICS_AT(0));
	assert_int_equal(paused(), 6);
	metrics_free(&b);
}

static void a_gauge_moves_both_ways_over_processes(void **state)
{
	struct metrics *a = attach(1), *b = attach(2);

	(void)state;
	metrics_move(a, METRIC_CONNECTIONS, METRICS_AT(1), 1);
	metrics_move(a, METRIC_CONNECTIONS, METRICS_AT(1), 1);
	metrics_move(b, METRIC_CONNECTIONS, METRICS_AT(1), 1);
	metrics_move(a, METRIC_CONNECTIONS, METRICS_AT(1), -1);
	assert_int_equal(metrics_sum(t.owner, METRIC_CONNECTIONS, METRICS_AT(1)), 2);
	metrics_move(b, METRIC_CONNECTIONS, METRICS_AT(1), -1);
	metrics_move(a, METRIC_CONNECTIONS, METRICS_AT(1), -1);
	assert_int_equal(metrics_sum(t.owner, METRIC_CONNECTIONS, METRICS_AT(1)), 0);
	metrics_free(&a);
	metrics_free(&b);
}

/* ---- histograms ------------------------------------------------------------ */

static unsigned bucket_for(int64_t us)
{
	size_t at = metrics_row(METRIC_DB_DURATION)->at;
	uint64_t before[METRICS_BUCKETS];
	unsigned found = METRICS_BUCKETS;

	for (unsigned i = 0; i < METRICS_BUCKETS; i++)
		before[i] = metrics_cell_sum(t.owner, at + i);
	metrics_observe(t.owner, METRIC_DB_DURATION, METRICS_AT(0), us);
	for (unsigned i = 0; i < METRICS_BUCKETS; i++)
		if (metrics_cell_sum(t.owner, at + i) != before[i]) {
			assert_int_equal(found, METRICS_BUCKETS); /* one alone */
			found = i;
		}
	return found;
}

static void a_bound_belongs_to_the_bucket_below_it(void **state)
{
	uint64_t last = 0;

	(void)state;
	for (unsigned i = 0; i < METRICS_BUCKETS - 1; i++) {
		uint64_t bound = metrics_bound(i);

		assert_true(bound > last);
		assert_int_equal(bucket_for((int64_t)bound), i);
		assert_int_equal(bucket_for((int64_t)bound + 1), i + 1);
		last = bound;
	}
	assert_int_equal(metrics_bound(0), 16);
	assert_int_equal(metrics_bound(1), 24);
	assert_int_equal(metrics_bound(2), 32);
	assert_int_equal(metrics_bound(METRICS_BUCKETS - 2), 1U << METRICS_BUCKET_LAST);
}

static void durations_beyond_the_bounds_are_in_the_outer_buckets(void **state)
{
	(void)state;
	assert_int_equal(bucket_for(0), 0);
	assert_int_equal(bucket_for(1), 0);
	assert_int_equal(bucket_for(-5), 0); /* a clock that went back */
	assert_int_equal(bucket_for(INT64_MAX), METRICS_BUCKETS - 1);
}

/* ---- memory ---------------------------------------------------------------- */

static void the_memory_has_its_size_for_good(void **state)
{
	struct metrics *m = NULL;

	(void)state;
	assert_int_equal(ftruncate(t.fd, 4096), -1);
	assert_int_equal(ftruncate(t.fd, 1LL << 40), -1);
	assert_int_equal(metrics_attach(t.fd, METRICS_SLABS_MAX, &m), ERR_RANGE);
	assert_int_equal(metrics_attach(-1, 1, &m), ERR_IO);
	assert_null(m);
}

static void another_table_is_not_counted_in(void **state)
{
	struct metrics *m = NULL;
	int other = memfd_create("other", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(other, 65536), 0);
	assert_int_equal(metrics_attach(other, 1, &m), ERR_UNSUPPORTED);
	assert_int_equal(close(other), 0);
	t.owner->memory->fingerprint++;
	assert_int_equal(metrics_attach(t.fd, 1, &m), ERR_UNSUPPORTED);
	assert_null(m);
}

/* Another process can write anything there. */
static void a_spoilt_header_harms_nobody(void **state)
{
	char room[METRICS_NAME_MAX];

	(void)state;
	t.owner->memory->nslabs = UINT32_MAX;
	assert_int_equal(paused(), 0);
	t.owner->memory->nslabs = 1;
	t.owner->memory->nnames[METRICS_route] = UINT32_MAX;
	assert_int_equal(metrics_label_count(t.owner, METRICS_route), METRICS_N_route);
	t.owner->memory->names[1].n = UINT32_MAX;
	assert_sv_equal(metrics_label_text(t.owner, METRICS_route, 1, room), SV("route=\"-\""));
}

static void one_alone_counts_for_itself(void **state)
{
	struct metrics *m = NULL;

	(void)state;
	assert_int_equal(metrics_new(NULL, &m), ERR_OK);
	metrics_count(m, METRIC_ACCEPT_PAUSED, METRICS_AT(0));
	assert_int_equal(metrics_sum(m, METRIC_ACCEPT_PAUSED, METRICS_AT(0)), 1);
	assert_int_equal(paused(), 0);
	metrics_free(&m);
	assert_null(m);
	metrics_free(&m);
}

static void without_memory_nothing_is_counted(void **state)
{
	(void)state;
	metrics_count(NULL, METRIC_ACCEPT_PAUSED, METRICS_AT(0));
	metrics_move(NULL, METRIC_CONNECTIONS, METRICS_AT(0), -1);
	metrics_set(NULL, METRIC_CONNECTIONS, METRICS_AT(0), 1);
	metrics_observe(NULL, METRIC_DB_DURATION, METRICS_AT(0), 1);
}

static enum err attempt(void *arg)
{
	struct metrics *m = NULL, *other = NULL;
	int fd = -1;
	enum err e = metrics_new(&fd, &m);

	(void)arg;
	assert_true((m != NULL) == (e == ERR_OK) && (fd != -1) == (e == ERR_OK));
	if (e == ERR_OK)
		e = metrics_attach(fd, 1, &other);
	metrics_free(&other);
	metrics_free(&m);
	if (fd != -1)
		(void)close(fd);
	return e;
}

static void no_memory_at_any_place(void **state)
{
	(void)state;
	assert_true(torture(attempt, NULL) >= 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(what_processes_count_is_summed),
	    TEST(no_two_series_share_a_cell),
	    TEST(the_next_process_goes_on_from_the_counts),
	    TEST(a_gauge_moves_both_ways_over_processes),
	    TEST(a_bound_belongs_to_the_bucket_below_it),
	    TEST(durations_beyond_the_bounds_are_in_the_outer_buckets),
	    TEST(the_memory_has_its_size_for_good),
	    TEST(another_table_is_not_counted_in),
	    TEST(a_spoilt_header_harms_nobody),
	    TEST(one_alone_counts_for_itself),
	    TEST(without_memory_nothing_is_counted),
	    TEST(no_memory_at_any_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "master/tally.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/unit/common/config_text.h"
#include "tests/unit/unit.h"

#define DRAINED 0
#define ERROR_70 (70 << 8)
#define KILLED 9

static struct tally t;

static int setup(void **state)
{
	struct errmsg e;

	(void)state;
	log_set_level(LOG_ERROR);
	memset(&t, 0, sizeof t);
	return tally_open(&t, &e) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	tally_close(&t);
	return 0;
}

static int64_t value(enum metric id, unsigned a)
{
	return (int64_t)metrics_sum(t.metrics, id, METRICS_AT(a));
}

/* A child of ours, as a worker is; it ends with us. */
static pid_t child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	}
	assert_int_not_equal(pid, -1);
	return pid;
}

static void end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A worker: its slab, and its view of the memory. */
static unsigned start(pid_t pid, struct metrics **ret)
{
	unsigned slab = tally_find(&t);

	tally_own(&t, slab, pid);
	if (ret != NULL)
		assert_int_equal(metrics_attach(t.fd, slab, ret), ERR_OK);
	return slab;
}

static void each_worker_has_a_slab_of_its_own(void **state)
{
	unsigned a, b;

	(void)state;
	a = start(100, NULL);
	b = start(101, NULL);
	assert_true(a != METRICS_SLAB_NONE && b != METRICS_SLAB_NONE && a != b);
	assert_int_equal(value(METRIC_WORKERS, 0), 2);
	tally_reaped(&t, 100, DRAINED);
	assert_int_equal(value(METRIC_WORKERS, 0), 1);
	assert_int_equal(start(102, NULL), a); /* the dead one's, never the living one's */
}

static void the_successor_goes_on_and_what_was_now_is_over(void **state)
{
	struct metrics *m = NULL, *next = NULL;

	(void)state;
	(void)start(100, &m);
	metrics_add(m, METRIC_ACCEPT_PAUSED, METRICS_AT(0), 3);
	metrics_move(m, METRIC_IN_FLIGHT, METRICS_AT(0), 5);
	assert_int_equal(value(METRIC_IN_FLIGHT, 0), 5);
	tally_reaped(&t, 100, KILLED);
	assert_int_equal(value(METRIC_ACCEPT_PAUSED, 0), 3);
	assert_int_equal(value(METRIC_IN_FLIGHT, 0), 0);
	(void)start(101, &next);
	metrics_count(next, METRIC_ACCEPT_PAUSED, METRICS_AT(0));
	assert_int_equal(value(METRIC_ACCEPT_PAUSED, 0), 4);
	metrics_free(&m);
	metrics_free(&next);
}

static void ends_are_told_apart_and_strangers_are_not_ours(void **state)
{
	static const int statuses[] = {DRAINED, ERROR_70, ERROR_70, KILLED};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		(void)start(100, NULL);
		tally_reaped(&t, 100, statuses[i]);
	}
	tally_reaped(&t, 999, KILLED);
	assert_int_equal(value(METRIC_WORKER_EXITS, METRICS_EXIT_DRAINED), 1);
	assert_int_equal(value(METRIC_WORKER_EXITS, METRICS_EXIT_ERROR), 2);
	assert_int_equal(value(METRIC_WORKER_EXITS, METRICS_EXIT_SIGNAL), 1);
	assert_int_equal(value(METRIC_WORKERS, 0), 0);
}

static void one_too_many_counts_for_itself(void **state)
{
	(void)state;
	for (pid_t i = 1; i < METRICS_SLABS_MAX; i++)
		assert_int_not_equal(start(1000 + i, NULL), METRICS_SLAB_NONE);
	assert_int_equal(tally_find(&t), METRICS_SLAB_NONE);
	tally_own(&t, METRICS_SLAB_NONE, 5000); /* as the worker's start does */
	tally_reaped(&t, 5000, DRAINED);
	assert_int_equal(value(METRIC_WORKERS, 0), METRICS_SLABS_MAX - 1);
	tally_reaped(&t, 1007, DRAINED);
	assert_int_equal(tally_find(&t), 7);
	assert_int_equal(tally_find(NULL), METRICS_SLAB_NONE);
}

/* A new image: counts and gauges go on, and what the old workers own is not given away. */
static void an_upgrade_takes_the_memory_along(void **state)
{
	struct tally after = {.fd = -1};
	struct errmsg e;
	pid_t a = child(), b = child();

	(void)state;
	(void)start(a, NULL);
	(void)start(b, NULL);
	metrics_count(t.metrics, METRIC_CONFIG_RELOADS, METRICS_AT(METRICS_RELOAD_OK));
	assert_int_equal(tally_adopt(&after, dup(t.fd), &e), ERR_OK);
	assert_int_equal(
	    metrics_sum(after.metrics, METRIC_CONFIG_RELOADS, METRICS_AT(METRICS_RELOAD_OK)), 1);
	assert_int_equal(tally_find(&after), 3);
	tally_reaped(&after, b, DRAINED);
	assert_int_equal(tally_find(&after), 2);
	assert_int_equal(metrics_sum(after.metrics, METRIC_WORKERS, METRICS_AT(0)), 1);
	tally_close(&after);
	end(a);
	end(b);
}

/* A worker that was taken over writes what it likes: no process of ours has those slabs, and nobody
 * would ever free them. */
static void an_upgrade_does_not_believe_in_owners_that_are_none(void **state)
{
	struct tally after = {.fd = -1};
	struct errmsg e;
	pid_t a = child();

	(void)state;
	(void)start(a, NULL);
	for (unsigned i = 2; i < METRICS_SLABS_MAX; i++)
		metrics_set_owner(t.metrics, i,
				  i % 3 == 0   ? getpid()
				  : i % 3 == 1 ? -1
					       : INT64_MAX);
	assert_int_equal(tally_adopt(&after, dup(t.fd), &e), ERR_OK);
	assert_int_equal(tally_find(&after), 2);
	tally_own(&after, 2, 100);
	assert_int_equal(tally_find(&after), 3);
	tally_reaped(&after, a, DRAINED);
	assert_int_equal(tally_find(&after), 1);
	tally_close(&after);
	end(a);
}

static void another_tables_memory_is_refused(void **state)
{
	struct tally after = {.fd = -1};
	struct errmsg e = {""};
	int other = memfd_create("other", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(tally_adopt(&after, other, &e), ERR_UNSUPPORTED);
	assert_string_equal(e.text, "memory for metrics: not supported");
	assert_null(after.metrics);
	tally_close(&after);
	assert_int_equal(close(other), 0); /* the caller's still */
}

static void names_come_before_their_workers(void **state)
{
	static const char text[] =
	    CONFIG_TEXT_DATABASE CONFIG_TEXT_WEB CONFIG_TEXT_BROKER CONFIG_TEXT_PROVIDER
		CONFIG_TEXT_APP CONFIG_TEXT_IDENTITY CONFIG_TEXT_SERVICE CONFIG_TEXT_ROUTE;
	struct config *c = NULL;
	struct metrics *m = NULL;
	struct errmsg e;
	size_t n;

	(void)state;
	assert_int_equal(config_text_load(text, sizeof text - 1, &c, &e, &n), ERR_OK);
	tally_names(&t, c);
	(void)start(100, &m);
	assert_int_not_equal(metrics_name(m, METRICS_route, SV("r")), 0);
	metrics_free(&m);
	config_free(&c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(each_worker_has_a_slab_of_its_own),
	    TEST(the_successor_goes_on_and_what_was_now_is_over),
	    TEST(ends_are_told_apart_and_strangers_are_not_ours),
	    TEST(one_too_many_counts_for_itself),
	    TEST(an_upgrade_takes_the_memory_along),
	    TEST(an_upgrade_does_not_believe_in_owners_that_are_none),
	    TEST(another_tables_memory_is_refused),
	    TEST(names_come_before_their_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

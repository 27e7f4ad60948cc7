#include "master/supervisor.h"

#include "master/reload.h"
#include "master/upgrade.h"
#include "tests/unit/master/stage.h"
#include "tests/unit/torture.h"

#define TURNS_MAX 64

/* supervisor_run() as it is; each turn of its loop is the next one of these.
 *
 * Rule Zero: over 400 lines, because every case needs the same stage and the same turns. */
typedef void (*turn_fn)(void);

static struct {
	struct supervisor s;
	turn_fn turns[TURNS_MAX + 1]; /* NULL: the loop fails, which ends the run */
	unsigned turn;
	enum err self_says, resolve_says, load_says;
	unsigned workers;
	unsigned loads, keeps, closes, releases;
	size_t unused;
} f;

int __real_event_base_loop(struct event_base *base, int flags);
int __wrap_event_base_loop(struct event_base *base, int flags);
enum err __real_config_load(const char *path, struct config **ret, struct errmsg *e);
enum err __wrap_config_load(const char *path, struct config **ret, struct errmsg *e);
enum err __wrap_spawn_find_self(char out[PATH_MAX], struct errmsg *e);
enum err __wrap_spawn_find_worker(const char *self, char out[PATH_MAX], struct errmsg *e);
enum err __wrap_listen_resolve(struct listen_table *t, const struct config *c,
			       struct listen_plan *ret, struct errmsg *e);
void __wrap_listen_keep(struct listen_table *t, const struct listen_plan *plan);
size_t __wrap_listen_unused(const struct listen_table *t, const struct listen_plan *plan);
bool __wrap_upgrade_is_due(const struct supervisor *s);
void __wrap_upgrade_release(struct supervisor *s);
struct event_base *__real_event_base_new(void);
struct event_base *__wrap_event_base_new(void);

int __wrap_event_base_loop(struct event_base *base, int flags)
{
	turn_fn turn;

	if ((flags & EVLOOP_NONBLOCK) != 0) /* the test's own */
		return __real_event_base_loop(base, flags);
	assert_int_equal(flags, EVLOOP_ONCE);
	assert_true(f.turn <= TURNS_MAX);
	turn = f.turns[f.turn++];
	if (turn == NULL)
		return -1;
	turn();
	loop_turns(f.s.base, 3);
	return 0;
}

enum err __wrap_config_load(const char *path, struct config **ret, struct errmsg *e)
{
	if (strncmp(path, "/proc/", 6) == 0) /* stage_config() */
		return __real_config_load(path, ret, e);
	f.loads++;
	if (f.load_says != ERR_OK)
		return errmsg_set(e, f.load_says, "bad file");
	*ret = stage_config(f.workers);
	return ERR_OK;
}

enum err __wrap_spawn_find_self(char out[PATH_MAX], struct errmsg *e)
{
	(void)strcpy(out, "/usr/sbin/bffd");
	return f.self_says == ERR_OK ? ERR_OK : errmsg_set(e, f.self_says, "no self");
}

enum err __wrap_spawn_find_worker(const char *self, char out[PATH_MAX], struct errmsg *e)
{
	(void)e;
	assert_string_equal(self, "/usr/sbin/bffd");
	(void)strcpy(out, "/bff-worker");
	return ERR_OK;
}

enum err __wrap_listen_resolve(struct listen_table *t, const struct config *c,
			       struct listen_plan *ret, struct errmsg *e)
{
	(void)t;
	(void)c;
	*ret = (struct listen_plan){.n = 0};
	return f.resolve_says == ERR_OK ? ERR_OK : errmsg_set(e, f.resolve_says, "taken");
}

void __wrap_listen_keep(struct listen_table *t, const struct listen_plan *plan)
{
	(void)t;
	f.keeps += plan != NULL;
	f.closes += plan == NULL;
}

size_t __wrap_listen_unused(const struct listen_table *t, const struct listen_plan *plan)
{
	(void)t;
	(void)plan;
	return f.unused;
}

bool __wrap_upgrade_is_due(const struct supervisor *s)
{
	(void)s;
	return false;
}

void __wrap_upgrade_release(struct supervisor *s)
{
	f.releases++;
	s->nformer = 0;
}

/* Not tortured: without memory for epoll, libevent silently takes poll. */
struct event_base *__wrap_event_base_new(void)
{
	unsigned at = torture_state.at;
	struct event_base *base;

	torture_state.at = 0;
	base = __real_event_base_new();
	torture_state.at = at;
	return base;
}

static int setup(void **state)
{
	(void)state;
	stage_open();
	stage_manager();
	memset(&f, 0, sizeof f);
	f.workers = 2;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	supervisor_done(&f.s);
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	stage_close();
	return 0;
}

static void init(void)
{
	struct config *c = stage_config(f.workers);
	struct errmsg e;

	if (supervisor_init(&f.s, "/etc/test.conf", &c, &e) != ERR_OK)
		fail_msg("%s", e.text);
	assert_null(c);
}

#define RUN(...)                                                                                   \
	run((const turn_fn[]){__VA_ARGS__},                                                        \
	    sizeof((const turn_fn[]){__VA_ARGS__}) / sizeof(turn_fn))

static int run(const turn_fn *turns, size_t n)
{
	assert_true(n <= TURNS_MAX);
	memset(f.turns, 0, sizeof f.turns);
	memcpy(f.turns, turns, n * sizeof *turns);
	f.turn = 0;
	return supervisor_run(&f.s);
}

/* ---- what may happen in a turn -------------------------------------------------------------- */

static void nothing(void)
{
}

static void all_ready(void)
{
	for (unsigned i = 0; i < stage.n; i++)
		if (stage.workers[i].signal == 0 && stage.workers[i].fd != -1) {
			char byte = CONTRACT_READY;

			(void)send(stage.workers[i].fd, &byte, 1, MSG_NOSIGNAL);
		}
}

static void first_ready(void)
{
	stage_says(0, CONTRACT_READY);
}

static void die(unsigned worker, int status)
{
	stage_dies(worker, status);
	assert_int_equal(raise(SIGCHLD), 0);
}

static void first_dies(void)
{
	die(0, SIGKILL);
}

static void first_refuses(void)
{
	die(0, STAGE_EXITED(CONTRACT_EXIT_CONFIG));
}

/* Everyone that was told to end does. */
static void the_told_end(void)
{
	for (unsigned i = 0; i < stage.n; i++)
		if (stage.workers[i].signal != 0 && stage.workers[i].fd != -1) {
			(void)close(stage.workers[i].fd);
			stage.workers[i].fd = -1;
			die(i, 0);
		}
}

static void first_slots_timer(void)
{
	loop_fire_event(f.s.base, f.s.current->slots[0].timer);
}

static void a_stranger_dies(void)
{
	stage.dead[stage.ndead].pid = 1234567;
	stage.dead[stage.ndead++].status = 0;
	assert_int_equal(raise(SIGCHLD), 0);
}

static void hup(void)
{
	assert_int_equal(raise(SIGHUP), 0);
}

static void term(void)
{
	assert_int_equal(raise(SIGTERM), 0);
}

static void interrupt(void)
{
	assert_int_equal(raise(SIGINT), 0);
}

static void watchdog(void)
{
	loop_fire_event(f.s.base, f.s.watchdog);
}

/* ---- serving and stopping ------------------------------------------------------------------- */

static void it_announces_when_all_are_ready(void **state)
{
	(void)state;
	init();
	assert_int_equal(stage.n, 2);
	assert_int_equal(stage.workers[0].generation, 1);
	assert_int_equal(RUN(first_ready, nothing), CONTRACT_EXIT_ERROR);
	assert_string_equal(stage_heard(), "");
	assert_int_equal(RUN(all_ready, nothing), CONTRACT_EXIT_ERROR);
	assert_string_equal(stage_heard(), "READY=1\nSTATUS=generation 1, 2 workers");
	assert_string_equal(stage_heard(), ""); /* once */
	assert_int_equal(f.releases, 1);
}

static void told_to_stop_it_ends_with_the_last_worker(void **state)
{
	static const turn_fn ways[] = {term, interrupt};

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		unsigned closes;

		init();
		assert_int_equal(RUN(all_ready, nothing), CONTRACT_EXIT_ERROR);
		(void)stage_heard();
		closes = f.closes;
		assert_int_equal(RUN(ways[i], nothing), CONTRACT_EXIT_ERROR); /* not yet */
		assert_string_equal(stage_heard(), "STOPPING=1\nSTATUS=draining");
		assert_int_equal(stage.workers[0].signal, SIGTERM);
		assert_int_equal(stage.workers[1].signal, SIGTERM);
		assert_int_equal(f.closes, closes + 1); /* refused is better than queued */
		assert_int_equal(RUN(ways[i], hup, the_told_end), CONTRACT_EXIT_OK);
		assert_int_equal(f.loads, 0); /* nothing is reloaded any more */
		assert_string_equal(stage_heard(), "");
		teardown(state);
		setup(state);
	}
}

static void a_worker_that_dies_is_replaced(void **state)
{
	(void)state;
	init();
	assert_int_equal(RUN(all_ready, first_dies, nothing), CONTRACT_EXIT_ERROR);
	assert_int_equal(service_count(f.s.current, SLOT_WAITING), 1);
	assert_int_equal(stage.n, 2); /* after a while */
	assert_true(evtimer_pending(f.s.current->slots[0].timer, NULL));
	assert_int_equal(RUN(first_slots_timer), CONTRACT_EXIT_ERROR);
	assert_int_equal(stage.n, 3);
	assert_int_equal(stage.workers[2].slot, 0);
	/* While stopping it is not. */
	assert_int_equal(RUN(term, the_told_end), CONTRACT_EXIT_OK);
	assert_int_equal(stage.n, 3);
}

/* As process 1 of a container we inherit anybody's children. */
static void strangers_are_buried_too(void **state)
{
	(void)state;
	init();
	assert_int_equal(RUN(a_stranger_dies, all_ready, a_stranger_dies, nothing),
			 CONTRACT_EXIT_ERROR);
	assert_int_equal(stage.ndead, 0);
	assert_int_equal(service_count(f.s.current, SLOT_READY), 2);
}

static void before_anything_served_a_refusal_ends_it(void **state)
{
	(void)state;
	init();
	assert_int_equal(RUN(first_refuses, the_told_end), CONTRACT_EXIT_CONFIG);
	teardown(state);
	setup(state);
	init(); /* later it is one worker's matter */
	assert_int_equal(RUN(all_ready, nothing, first_refuses, nothing), CONTRACT_EXIT_ERROR);
	assert_false(f.s.is_stopping);
	assert_int_equal(service_count(f.s.current, SLOT_WAITING), 1);
	teardown(state);
	setup(state);
	init(); /* and so it is while those of the image before us serve */
	f.s.nformer = 1;
	assert_int_equal(RUN(first_refuses, nothing), CONTRACT_EXIT_ERROR);
	assert_false(f.s.is_stopping);
	f.s.nformer = 0;
}

/* ---- reloads -------------------------------------------------------------------------------- */

static void a_reload_replaces_the_generation_and_forgets_the_old(void **state)
{
	(void)state;
	init();
	assert_int_equal(RUN(all_ready, hup, all_ready, nothing), CONTRACT_EXIT_ERROR);
	assert_int_equal(f.s.current->generation, 2);
	assert_int_equal(f.s.ndraining, 1);
	assert_int_equal(RUN(the_told_end, nothing), CONTRACT_EXIT_ERROR);
	assert_int_equal(f.s.ndraining, 0);
	assert_null(f.s.draining);
	assert_true(stage_logged("generation_gone("));
	assert_int_equal(service_count(f.s.current, SLOT_READY), 2);
}

static void one_reload_at_a_time(void **state)
{
	(void)state;
	init();
	assert_int_equal(RUN(all_ready, hup, hup, hup, nothing), CONTRACT_EXIT_ERROR);
	assert_int_equal(f.loads, 1);
	assert_int_equal(f.s.trial->generation, 2);
	assert_int_equal(RUN(all_ready, nothing), CONTRACT_EXIT_ERROR);
	assert_int_equal(f.loads, 2); /* the ones meanwhile count as one */
	assert_int_equal(f.s.current->generation, 2);
	assert_int_equal(f.s.trial->generation, 3);
	assert_int_equal(RUN(all_ready, nothing), CONTRACT_EXIT_ERROR);
	assert_int_equal(f.loads, 2);
	f.s.check_pid = 99; /* the check of an upgrade is one, too */
	assert_int_equal(RUN(hup, nothing), CONTRACT_EXIT_ERROR);
	assert_int_equal(f.loads, 2);
	f.s.check_pid = 0;
}

static void so_many_generations_may_drain(void **state)
{
	(void)state;
	f.workers = 1;
	init();
	assert_int_equal(RUN(all_ready, nothing), CONTRACT_EXIT_ERROR);
	for (unsigned i = 0; i < SUPERVISOR_DRAINING_MAX; i++)
		assert_int_equal(RUN(hup, all_ready, nothing), CONTRACT_EXIT_ERROR);
	assert_int_equal(f.s.ndraining, SUPERVISOR_DRAINING_MAX);
	assert_int_equal(RUN(hup, nothing), CONTRACT_EXIT_ERROR);
	assert_int_equal(f.loads, SUPERVISOR_DRAINING_MAX);
	assert_null(f.s.trial);
	assert_int_equal(RUN(the_told_end, nothing), CONTRACT_EXIT_ERROR); /* one is gone: now */
	assert_int_equal(f.loads, SUPERVISOR_DRAINING_MAX + 1);
}

static void trial_worker_dies(void)
{
	die(2, STAGE_EXITED(70));
}

static void trial_worker_is_killed(void)
{
	die(2, SIGSEGV);
}

static void a_trial_that_fails_leaves_the_current_one(void **state)
{
	(void)state;
	init();
	assert_int_equal(RUN(all_ready, hup, trial_worker_dies, nothing), CONTRACT_EXIT_ERROR);
	assert_true(stage_logged("reload_failed(worker 0 exited with status 70)\n"));
	assert_int_equal(f.s.current->generation, 1);
	assert_int_equal(service_count(f.s.current, SLOT_READY), 2);
	assert_int_equal(stage.workers[0].signal + stage.workers[1].signal, 0);
	assert_int_equal(stage.workers[3].signal, SIGKILL);
	teardown(state);
	setup(state);
	init();
	assert_int_equal(RUN(all_ready, hup, trial_worker_is_killed, nothing), CONTRACT_EXIT_ERROR);
	assert_true(stage_logged("reload_failed(worker 0 was ended by signal 11)\n"));
	teardown(state);
	setup(state);
	init(); /* one that cannot even be forked */
	assert_int_equal(RUN(all_ready, nothing), CONTRACT_EXIT_ERROR);
	stage.spawn_fails = true;
	assert_int_equal(RUN(hup, nothing), CONTRACT_EXIT_ERROR);
	assert_true(stage_logged("reload_failed(cannot fork)\n"));
	assert_null(f.s.trial);
}

static void the_current_ones_end(void)
{
	die(0, 0);
	die(1, 0);
	stage.workers[0].signal = stage.workers[1].signal = 0;
}

static void a_stop_gives_up_the_trial(void **state)
{
	(void)state;
	init();
	assert_int_equal(RUN(all_ready, hup, term, nothing), CONTRACT_EXIT_ERROR);
	assert_int_equal(stage.workers[1].signal, SIGTERM);
	assert_int_equal(stage.workers[2].signal, SIGKILL);
	assert_int_equal(RUN(the_current_ones_end, nothing), CONTRACT_EXIT_ERROR); /* not all */
	assert_int_equal(RUN(the_told_end), CONTRACT_EXIT_OK);
}

/* ---- the service manager -------------------------------------------------------------------- */

static void the_watchdog_hears_of_us_while_somebody_serves(void **state)
{
	(void)state;
	assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
	init();
	assert_int_equal(loop_asked_of(f.s.watchdog), 15000);
	assert_int_equal(RUN(watchdog), CONTRACT_EXIT_ERROR);
	assert_string_equal(stage_heard(), "");
	assert_int_equal(RUN(first_ready, watchdog), CONTRACT_EXIT_ERROR);
	assert_string_equal(stage_heard(), "WATCHDOG=1");
	assert_int_equal(RUN(first_dies, watchdog), CONTRACT_EXIT_ERROR);
	assert_string_equal(stage_heard(), "");
}

static void unused_sockets_are_said(void **state)
{
	(void)state;
	f.unused = 2;
	init();
	assert_true(stage_logged("listeners_unused("));
}

/* ---- what it cannot start with -------------------------------------------------------------- */

static void what_fails_takes_the_configuration_along(void **state)
{
	(void)state;
	for (int way = 0; way < 3; way++) {
		struct config *c = stage_config(1);
		struct errmsg e = {""};
		enum err want = way == 0 ? ERR_NOT_FOUND : way == 1 ? ERR_CONFIG : ERR_UNSUPPORTED;

		f.self_says = way == 0 ? ERR_NOT_FOUND : ERR_OK;
		f.resolve_says = way == 1 ? ERR_CONFIG : ERR_OK;
		if (way == 2)
			assert_int_equal(setenv("NOTIFY_SOCKET", "relative", 1), 0);
		assert_int_equal(supervisor_init(&f.s, "/etc/test.conf", &c, &e), want);
		assert_null(c);
		assert_true(e.text[0] != '\0');
		assert_int_equal(stage.n, 0);
		supervisor_done(&f.s);
	}
}

static enum err attempt(void *arg)
{
	static struct supervisor s;
	unsigned at = torture_state.at;
	struct config *c;
	struct errmsg e = {""};
	enum err err;

	(void)arg;
	torture_state.at = 0;
	c = stage_config(2);
	torture_state.at = at;
	err = supervisor_init(&s, "/etc/test.conf", &c, &e);
	assert_null(c);
	assert_true((e.text[0] == '\0') == (err == ERR_OK));
	/* Not for a worker's own timer or channel is there no master; but it is said. */
	if (stage_logged("worker_timer_failed(") || stage_logged("worker_status_unheard("))
		err = ERR_NOMEM;
	supervisor_done(&s);
	torture_state.at = 0;
	stage_close();
	stage_open();
	torture_state.at = at;
	return err;
}

static void without_memory_it_does_not_start_or_says_what_is_missing(void **state)
{
	(void)state;
	(void)unsetenv("NOTIFY_SOCKET");
	stage_close();
	stage_open();
	assert_true(torture(attempt, NULL) > 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(it_announces_when_all_are_ready),
	    CASE(told_to_stop_it_ends_with_the_last_worker),
	    CASE(a_worker_that_dies_is_replaced),
	    CASE(strangers_are_buried_too),
	    CASE(before_anything_served_a_refusal_ends_it),
	    CASE(a_reload_replaces_the_generation_and_forgets_the_old),
	    CASE(one_reload_at_a_time),
	    CASE(so_many_generations_may_drain),
	    CASE(a_trial_that_fails_leaves_the_current_one),
	    CASE(a_stop_gives_up_the_trial),
	    CASE(the_watchdog_hears_of_us_while_somebody_serves),
	    CASE(unused_sockets_are_said),
	    CASE(what_fails_takes_the_configuration_along),
	    CASE(without_memory_it_does_not_start_or_says_what_is_missing),
	};

	torture_libevent();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

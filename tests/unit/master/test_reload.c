#include "master/reload.h"

#include "master/upgrade.h"
#include "tests/unit/master/stage.h"

/* The parts around reload: each is played, and what it was asked stands here. */
static struct {
	struct supervisor s;
	enum err load_says, resolve_says, check_says;
	const struct listen_plan *kept; /* of the last listen_keep() */
	unsigned keeps, releases, checks, execs;
	bool is_due;
	bool old_told_when_kept; /* the old workers drain before sockets are closed */
} f;

enum err __wrap_config_load(const char *path, struct config **ret, struct errmsg *e);
enum err __wrap_listen_resolve(struct listen_table *t, const struct config *c,
			       struct listen_plan *ret, struct errmsg *e);
void __wrap_listen_keep(struct listen_table *t, const struct listen_plan *plan);
bool __wrap_upgrade_is_due(const struct supervisor *s);
enum err __wrap_upgrade_check(struct supervisor *s, struct errmsg *e);
enum err __wrap_upgrade_exec(struct supervisor *s, struct errmsg *e);
void __wrap_upgrade_release(struct supervisor *s);

enum err __real_config_load(const char *path, struct config **ret, struct errmsg *e);

enum err __wrap_config_load(const char *path, struct config **ret, struct errmsg *e)
{
	if (strncmp(path, "/proc/", 6) == 0) /* stage_config() */
		return __real_config_load(path, ret, e);
	assert_string_equal(path, "/etc/test.conf");
	if (f.load_says != ERR_OK)
		return errmsg_set(e, f.load_says, "/etc/test.conf:3: nonsense");
	*ret = stage_config(2);
	return ERR_OK;
}

enum err __wrap_listen_resolve(struct listen_table *t, const struct config *c,
			       struct listen_plan *ret, struct errmsg *e)
{
	(void)t;
	assert_int_equal(c->nlistens, 1);
	*ret = (struct listen_plan){.fd = {77}, .n = 1};
	return f.resolve_says == ERR_OK ? ERR_OK : errmsg_set(e, f.resolve_says, "listen m: taken");
}

void __wrap_listen_keep(struct listen_table *t, const struct listen_plan *plan)
{
	(void)t;
	f.kept = plan;
	f.keeps++;
	f.old_told_when_kept = stage.workers[0].signal == SIGTERM;
}

bool __wrap_upgrade_is_due(const struct supervisor *s)
{
	(void)s;
	return f.is_due;
}

enum err __wrap_upgrade_check(struct supervisor *s, struct errmsg *e)
{
	f.checks++;
	s->check_pid = 12345;
	return f.check_says == ERR_OK ? ERR_OK : errmsg_set(e, f.check_says, "cannot run it");
}

enum err __wrap_upgrade_exec(struct supervisor *s, struct errmsg *e)
{
	(void)s;
	f.execs++;
	return errmsg_set(e, ERR_IO, "exec failed");
}

void __wrap_upgrade_release(struct supervisor *s)
{
	(void)s;
	f.releases++;
}

static int setup(void **state)
{
	struct errmsg e;

	(void)state;
	stage_open();
	stage_manager();
	memset(&f, 0, sizeof f);
	f.s.base = event_base_new();
	assert_non_null(f.s.base);
	assert_int_equal(notify_open(&f.s.notify, &e), ERR_OK);
	f.s.config_path = "/etc/test.conf";
	f.s.generation = 4;
	f.s.is_announced = true;
	f.s.current = stage_service(f.s.base, 2, 4);
	stage_says(0, CONTRACT_READY);
	stage_says(1, CONTRACT_READY);
	loop_turns(f.s.base, 2);
	assert_true(service_is_ready(f.s.current));
	return 0;
}

static int teardown(void **state)
{
	struct service *next;

	(void)state;
	service_free(&f.s.trial);
	service_free(&f.s.current);
	for (struct service *v = f.s.draining; v != NULL; v = next) {
		next = v->next;
		service_free(&v);
	}
	notify_close(&f.s.notify);
	event_base_free(f.s.base);
	stage_close();
	return 0;
}

/* Nothing has changed, and it was said once. */
static void assert_failed(const struct service *current, const char *reason)
{
	char line[256];

	(void)snprintf(line, sizeof line, "reload_failed(%s)\n", reason);
	if (stage_logged_times("reload_failed(") != 1 || !stage_logged(line))
		fail_msg("want once %s, got\n%s", line, stage.events);
	assert_ptr_equal(f.s.current, current);
	assert_null(f.s.trial);
	assert_int_equal(stage.workers[0].signal + stage.workers[1].signal, 0);
	(void)snprintf(line, sizeof line, "READY=1\nSTATUS=reload failed, serving generation 4: %s",
		       reason);
	assert_int_equal(strncmp(stage_heard(), "RELOADING=1\n", 12), 0);
	assert_string_equal(stage_heard(), line);
	assert_string_equal(stage_heard(), "");
}

static void a_bad_file_changes_nothing(void **state)
{
	const struct service *current = f.s.current;

	(void)state;
	f.load_says = ERR_CONFIG;
	reload_begin(&f.s);
	assert_failed(current, "/etc/test.conf:3: nonsense");
	assert_ptr_equal(f.kept, &current->listen);
	assert_int_equal(f.s.generation, 4);
	assert_int_equal(stage.n, 2);
}

static void a_taken_address_changes_nothing(void **state)
{
	const struct service *current = f.s.current;

	(void)state;
	f.resolve_says = ERR_CONFIG;
	reload_begin(&f.s);
	assert_failed(current, "listen m: taken");
	assert_ptr_equal(f.kept, &current->listen); /* what it had bound is closed again */
}

static void before_the_first_ready_none_is_claimed(void **state)
{
	(void)state;
	f.s.is_announced = false;
	f.load_says = ERR_CONFIG;
	reload_begin(&f.s);
	(void)stage_heard();
	assert_string_equal(stage_heard(), "STATUS=reload failed, serving generation 4: "
					   "/etc/test.conf:3: nonsense");
}

static void a_trial_is_in_force_when_all_of_it_is_ready(void **state)
{
	struct service *old = f.s.current, *trial;

	(void)state;
	reload_begin(&f.s);
	trial = f.s.trial;
	assert_non_null(trial);
	assert_int_equal(trial->generation, 5);
	assert_int_equal(f.s.generation, 5);
	assert_int_equal(stage.n, 4);
	stage_says(2, CONTRACT_READY);
	loop_turns(f.s.base, 2);
	reload_judge(&f.s);
	assert_ptr_equal(f.s.trial, trial); /* not with half of it */
	assert_int_equal(stage.workers[0].signal, 0);
	stage_says(3, CONTRACT_READY);
	loop_turns(f.s.base, 2);
	reload_judge(&f.s);
	assert_null(f.s.trial);
	assert_ptr_equal(f.s.current, trial);
	assert_ptr_equal(f.s.draining, old);
	assert_int_equal(f.s.ndraining, 1);
	assert_int_equal(stage.workers[0].signal, SIGTERM);
	assert_int_equal(stage.workers[1].signal, SIGTERM);
	assert_int_equal(stage.workers[2].signal + stage.workers[3].signal, 0);
	assert_ptr_equal(f.kept, &trial->listen);
	assert_int_equal(f.kept->fd[0], 77);
	assert_true(f.old_told_when_kept);
	assert_int_equal(f.releases, 1);
	assert_true(stage_logged("reload_done("));
	(void)stage_heard();
	assert_string_equal(stage_heard(), "READY=1\nSTATUS=generation 5, 2 workers");
}

static void a_trial_whose_worker_dies_is_given_up(void **state)
{
	const struct service *current = f.s.current;

	(void)state;
	reload_begin(&f.s);
	stage_says(2, CONTRACT_READY);
	loop_turns(f.s.base, 2);
	service_failed(f.s.trial, "worker 1 exited with status 70");
	reload_judge(&f.s);
	assert_failed(current, "worker 1 exited with status 70");
	assert_int_equal(stage.workers[2].signal, SIGTERM);
	assert_int_equal(stage.workers[3].signal, SIGKILL);
	assert_int_equal(f.s.ndraining, 1);
	assert_int_equal(f.releases, 0);
	assert_ptr_equal(f.kept, &current->listen);
}

static void a_trial_that_is_late_is_given_up(void **state)
{
	const struct service *current = f.s.current;

	(void)state;
	reload_begin(&f.s);
	assert_int_equal(loop_asked_of(f.s.trial->slots[1].timer), CONTRACT_FIRST_STATUS_MS);
	loop_fire_event(f.s.base, f.s.trial->slots[1].timer);
	reload_judge(&f.s);
	assert_failed(current, "worker 1 was not ready in 10000 ms");
}

static void workers_of_another_version_are_told_apart(void **state)
{
	const struct service *current = f.s.current;

	(void)state;
	reload_begin(&f.s);
	f.s.trial->failed_exit = CONTRACT_EXIT_BUILD;
	service_failed(f.s.trial, "worker 1 exited with status 65");
	reload_judge(&f.s);
	assert_failed(current, "bff-worker on disk is of another version: restart bffd");
}

static void generations_are_not_numbered_twice(void **state)
{
	(void)state;
	reload_begin(&f.s);
	service_failed(f.s.trial, "no");
	reload_judge(&f.s);
	reload_begin(&f.s);
	assert_int_equal(f.s.trial->generation, 6);
}

/* ---- another program on disk --------------------------------------------------------------- */

static void another_program_checks_first(void **state)
{
	const struct service *current = f.s.current;

	(void)state;
	f.is_due = true;
	f.load_says = ERR_CONFIG; /* ours may not know what is in the file: not asked */
	reload_begin(&f.s);
	assert_int_equal(f.checks, 1);
	assert_int_equal(f.execs, 0);
	assert_null(f.s.trial);
	assert_int_equal(stage_logged_times("reload_failed("), 0);
	reload_checked(&f.s, STAGE_EXITED(CONTRACT_EXIT_CONFIG));
	assert_int_equal(f.s.check_pid, 0);
	assert_int_equal(f.execs, 0);
	assert_failed(current, "the new bffd on disk does not accept the configuration");
}

static void a_check_that_is_ended_by_a_signal_is_no_yes(void **state)
{
	const struct service *current = f.s.current;

	(void)state;
	f.is_due = true;
	reload_begin(&f.s);
	reload_checked(&f.s, SIGALRM);
	assert_int_equal(f.execs, 0);
	assert_failed(current, "the new bffd on disk does not accept the configuration");
}

static void a_check_that_says_yes_is_followed_by_the_exec(void **state)
{
	const struct service *current = f.s.current;

	(void)state;
	f.is_due = true;
	reload_begin(&f.s);
	reload_checked(&f.s, STAGE_EXITED(CONTRACT_EXIT_OK));
	assert_int_equal(f.execs, 1);
	assert_failed(current, "exec failed"); /* it came back */
}

static void a_check_that_cannot_start_is_a_failure(void **state)
{
	const struct service *current = f.s.current;

	(void)state;
	f.is_due = true;
	f.check_says = ERR_IO;
	reload_begin(&f.s);
	assert_failed(current, "cannot run it");
}

static void a_check_that_ends_while_stopping_does_nothing(void **state)
{
	(void)state;
	f.s.is_stopping = true;
	f.s.check_pid = 1;
	reload_checked(&f.s, STAGE_EXITED(CONTRACT_EXIT_OK));
	assert_int_equal(f.s.check_pid, 0);
	assert_int_equal(f.execs, 0);
	assert_int_equal(stage_logged_times("reload_failed("), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(a_bad_file_changes_nothing),
	    CASE(a_taken_address_changes_nothing),
	    CASE(before_the_first_ready_none_is_claimed),
	    CASE(a_trial_is_in_force_when_all_of_it_is_ready),
	    CASE(a_trial_whose_worker_dies_is_given_up),
	    CASE(a_trial_that_is_late_is_given_up),
	    CASE(workers_of_another_version_are_told_apart),
	    CASE(generations_are_not_numbered_twice),
	    CASE(another_program_checks_first),
	    CASE(a_check_that_is_ended_by_a_signal_is_no_yes),
	    CASE(a_check_that_says_yes_is_followed_by_the_exec),
	    CASE(a_check_that_cannot_start_is_a_failure),
	    CASE(a_check_that_ends_while_stopping_does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

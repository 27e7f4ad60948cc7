#include "master/service.h"

#include "tests/unit/master/stage.h"
#include "tests/unit/torture.h"

static struct event_base *base;

static int setup(void **state)
{
	(void)state;
	stage_open();
	base = event_base_new();
	return base == NULL ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	stage_close();
	event_base_free(base);
	return 0;
}

static void turn(void)
{
	loop_turns(base, 2);
}

static void a_service_starts_all_its_workers(void **state)
{
	struct service *v = stage_service(base, 3, 7);

	(void)state;
	assert_int_equal(stage.n, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(stage.workers[i].slot, i);
		assert_int_equal(stage.workers[i].generation, 7);
		assert_ptr_equal(service_find(v, stage.workers[i].pid), &v->slots[i]);
	}
	assert_int_equal(service_count(v, SLOT_STARTING), 3);
	assert_null(service_find(v, STAGE_PID + 3));
	assert_null(service_find(NULL, STAGE_PID));
	assert_false(v->has_failed);
	assert_int_equal(v->failed_exit, -1);
	service_free(&v);
	assert_null(v);
	service_free(&v);
}

static void ready_with_the_last_and_gone_with_the_last(void **state)
{
	struct service *v = stage_service(base, 2, 1);

	(void)state;
	stage_says(0, CONTRACT_READY);
	turn();
	assert_int_equal(service_count(v, SLOT_READY), 1);
	assert_false(service_is_ready(v));
	stage_says(1, CONTRACT_READY);
	turn();
	assert_true(service_is_ready(v));
	assert_false(service_is_gone(v));
	service_stop(v);
	assert_int_equal(stage.workers[0].signal, SIGTERM);
	assert_int_equal(stage.workers[1].signal, SIGTERM);
	assert_int_equal(slot_died(&v->slots[0], 0, SLOT_THEN_NOTHING), 0);
	assert_false(service_is_gone(v));
	assert_int_equal(slot_died(&v->slots[1], 0, SLOT_THEN_NOTHING), 0);
	assert_true(service_is_gone(v));
	service_free(&v);
}

/* Who serves may finish; who does not serve yet is not waited for. */
static void given_up_the_ready_ones_drain_and_the_others_are_killed(void **state)
{
	struct service *v = stage_service(base, 2, 1);

	(void)state;
	stage_says(0, CONTRACT_READY);
	turn();
	service_abandon(v);
	assert_int_equal(stage.workers[0].signal, SIGTERM);
	assert_int_equal(stage.workers[1].signal, SIGKILL);
	service_free(&v);
}

static void the_first_failure_is_the_reason(void **state)
{
	struct config *c = stage_config(1);
	struct listen_plan plan = {.n = 0};
	struct service *v = NULL;
	struct errmsg e;

	(void)state;
	assert_int_equal(service_new(&c, &plan, "/w", 1, base, &v, &e), ERR_OK);
	stage.spawn_fails = true;
	service_start(v);
	assert_true(v->has_failed);
	assert_string_equal(v->failure.text, "cannot fork");
	assert_true(stage_logged("worker_start_failed(cannot fork)"));
	assert_int_equal(service_count(v, SLOT_WAITING), 1); /* and is tried again */
	service_failed(v, "%s", "another");
	assert_string_equal(v->failure.text, "cannot fork");
	service_free(&v);
}

/* Workers outlive their service: they drain when they see its end of the channel close. */
static void freed_it_closes_the_channels(void **state)
{
	struct service *v = stage_service(base, 1, 1);
	char byte;

	(void)state;
	service_free(&v);
	assert_int_equal(stage.workers[0].signal, 0);
	assert_int_equal(recv(stage.workers[0].fd, &byte, 1, 0), 0);
}

static enum err attempt(void *arg)
{
	unsigned at = torture_state.at;
	struct listen_plan plan = {.n = 0};
	struct service *v = NULL;
	struct errmsg e = {""};
	struct config *c;
	enum err err;

	(void)arg;
	torture_state.at = 0;
	c = stage_config(3);
	torture_state.at = at;
	err = service_new(&c, &plan, "/w", 1, base, &v, &e);
	assert_null(c); /* taken, also on failure */
	assert_true((v != NULL) == (err == ERR_OK));
	assert_string_equal(e.text, err == ERR_OK ? "" : "no memory for 3 workers");
	service_free(&v);
	return err;
}

static void without_memory_there_is_none(void **state)
{
	(void)state;
	assert_int_equal(torture(attempt, NULL), 2 + 3 * 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(a_service_starts_all_its_workers),
	    CASE(ready_with_the_last_and_gone_with_the_last),
	    CASE(given_up_the_ready_ones_drain_and_the_others_are_killed),
	    CASE(the_first_failure_is_the_reason),
	    CASE(freed_it_closes_the_channels),
	    CASE(without_memory_there_is_none),
	};

	torture_libevent();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

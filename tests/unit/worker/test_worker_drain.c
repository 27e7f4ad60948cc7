/* The end: who drains it, which connections it waits for, and who gets the place of one. */
#include "tests/unit/worker/worker_stage.h"

static void sigterm(struct worker *w)
{
	become_ready(w);
	drain(w);
	assert_true(f.exited);
	assert_int_equal(raise(SIGTERM), 0);
	turns(w);
	assert_int_equal(status(), 0); /* once */
	client_connects();
	turns(w);
	assert_int_equal(w->conns.n, 0);
}

static void before_ready(struct worker *w)
{
	drain(w);
	f.on_ready(w, true);
	f.on_state(w, true);
	loop_fire_event(w->base, w->ev_warm_up);
	assert_int_equal(status(), 0);
}

static void master_goes(struct worker *w)
{
	become_ready(w);
	(void)close(f.status);
	f.status = -1;
	turns(w);
	assert_true(w->draining);
	assert_true(f.exited);
}

static void test_sigterm_drains_once(void **state)
{
	(void)state;
	assert_int_equal(run(sigterm), CONTRACT_EXIT_OK);
}

static void test_one_that_drains_does_not_become_ready(void **state)
{
	(void)state;
	assert_int_equal(run(before_ready), CONTRACT_EXIT_OK);
}

static void test_a_master_that_goes_drains(void **state)
{
	(void)state;
	assert_int_equal(run(master_goes), CONTRACT_EXIT_OK);
}

static void last_connection_ends_it(struct worker *w)
{
	char got[512] = "";

	become_ready(w);
	client_connects();
	LOOP_UNTIL(w->base, w->conns.n == 1);
	client_says("GET /livez HTTP/1.1\r\n");
	turns(w);
	drain(w);
	assert_int_equal(loop_asked_of(w->ev_drain_idle), CONTRACT_DRAIN_IDLE_MS);
	loop_fire_event(w->base, w->ev_drain_idle); /* not idle: it said something */
	assert_int_equal(w->conns.n, 1);
	assert_int_equal(loop_asked_of(w->ev_drain_idle), CONTRACT_DRAIN_IDLE_MS / 5);
	assert_false(f.exited);
	client_says("Host: x\r\n\r\n");
	LOOP_UNTIL(w->base, f.exited);
	assert_true(recv(f.client, got, sizeof got - 1, 0) > 0);
	assert_int_equal(strncmp(got, "HTTP/1.1 200 ", 13), 0);
	assert_non_null(strstr(got, "\r\nConnection: close\r\n"));
	assert_int_equal(w->conns.n, 0);
}

static void idle_connections_have_their_time(struct worker *w)
{
	char byte;

	become_ready(w);
	client_connects();
	LOOP_UNTIL(w->base, w->conns.n == 1);
	drain(w);
	turns(w);
	assert_int_equal(w->conns.n, 1); /* one more request may come */
	loop_fire_event(w->base, w->ev_drain_idle);
	turns(w);
	assert_int_equal(w->conns.n, 0);
	assert_true(f.exited);
	assert_int_equal(recv(f.client, &byte, 1, 0), 0);
}

static void room_for_one(struct worker *w)
{
	int first;

	become_ready(w);
	client_connects();
	LOOP_UNTIL(w->base, w->conns.n == 1);
	first = f.client;
	f.client = -1;
	client_connects();
	turns(w);
	assert_int_equal(w->conns.n, 1);
	assert_int_equal(loop_asked_ms(), ACCEPTOR_RETRY_MS);
	(void)close(first);
	LOOP_UNTIL(w->base, w->conns.n == 0);
	assert_true(TAILQ_EMPTY(&w->conns.dead)); /* reaped */
	assert_int_equal(loop_asked_ms(), 0);
	loop_fire(w->base);
	LOOP_UNTIL(w->base, w->conns.n == 1);
}

static void test_the_next_has_the_place_of_one_that_ends(void **state)
{
	(void)state;
	(void)run(room_for_one);
}

static void test_it_ends_with_the_last_connection(void **state)
{
	(void)state;
	assert_int_equal(run(last_connection_ends_it), CONTRACT_EXIT_OK);
}

static void test_idle_connections_are_closed_after_a_while(void **state)
{
	(void)state;
	assert_int_equal(run(idle_connections_have_their_time), CONTRACT_EXIT_OK);
}

static void with_a_connection(struct worker *w)
{
	become_ready(w);
	client_connects();
	LOOP_UNTIL(w->base, w->conns.n == 1);
}

static void test_a_loop_that_fails_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(run(with_a_connection), CONTRACT_EXIT_ERROR); /* it ended undrained */
	f.dispatch_says = -1;
	(void)status();
	assert_int_equal(run(drain), CONTRACT_EXIT_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAGE(test_sigterm_drains_once),
	    STAGE(test_one_that_drains_does_not_become_ready),
	    STAGE(test_a_master_that_goes_drains),
	    STAGE(test_the_next_has_the_place_of_one_that_ends),
	    STAGE(test_it_ends_with_the_last_connection),
	    STAGE(test_idle_connections_are_closed_after_a_while),
	    STAGE(test_a_loop_that_fails_is_an_error),
	};

	return cmocka_run_group_tests(tests, take_contract_fds, NULL);
}

#include "broker/waiters.h"

#include "tests/unit/broker/token_stand.h"

static void add(struct waiters *w)
{
	struct request *r = stand_request();

	waiters_add(w, &r);
	assert_null(r);
}

static void all_get_the_token_once(void **state)
{
	struct waiters w = {.late = IPC_ERROR_PROVIDER_DOWN};

	(void)state;
	for (int i = 0; i < 5; i++)
		add(&w);
	assert_int_equal(w.n, 5);
	waiters_answer(&w, SV("at"), 1234);
	assert_int_equal(stand.got.answers, 5);
	assert_int_equal(stand.got.left_ms, 1234);
	assert_sv_equal(stand_sv(&stand.got.token), SV("at"));
	assert_int_equal(w.n, 0);
	waiters_answer(&w, SV("at"), 1234);
	waiters_fail(&w, IPC_ERROR_STORE, "again", 1);
	assert_int_equal(stand.got.answers + stand.got.failures, 5);
}

static void one_by_one_they_are_the_callers(void **state)
{
	struct waiters w = {.late = IPC_ERROR_PROVIDER_DOWN};
	struct request *r;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		add(&w);
	for (; (r = waiters_take(&w)) != NULL; n++)
		free(r);
	assert_int_equal(n, 3);
	assert_int_equal(w.n, 0);
	assert_nothing_said();
}

static void all_fail_once(void **state)
{
	struct waiters w = {.late = IPC_ERROR_PROVIDER_DOWN};

	(void)state;
	for (int i = 0; i < 3; i++)
		add(&w);
	waiters_fail(&w, IPC_ERROR_UPSTREAM, "why", 9);
	assert_int_equal(stand.got.failures, 3);
	assert_int_equal(stand.got.code, IPC_ERROR_UPSTREAM);
	assert_int_equal(stand.got.retry_after_s, 9);
}

/* Whose patience is over is off the list, wherever it stood, with what is true at that moment. */
static void patience(void **state)
{
	struct waiters w = {.late = IPC_ERROR_PROVIDER_DOWN};
	struct event *deadlines[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(deadlines); i++) {
		add(&w);
		assert_int_equal(loop_asked_ms(), WAITER_PATIENCE_MS);
		deadlines[i] = loop_state.last;
	}
	w.late = IPC_ERROR_STORE;
	event_active(deadlines[1], EV_TIMEOUT, 0);
	loop_turn(stand.broker.base);
	assert_failed(IPC_ERROR_STORE, "wait_over");
	assert_int_equal(w.n, 2);
	event_active(deadlines[0], EV_TIMEOUT, 0);
	loop_turn(stand.broker.base);
	assert_failed(IPC_ERROR_STORE, "wait_over");
	add(&w);
	waiters_answer(&w, SV("at"), 1);
	assert_int_equal(stand.got.answers, 2);
	assert_int_equal(w.n, 0);
}

static void no_more_than_there_is_room_for(void **state)
{
	struct waiters w = {.late = IPC_ERROR_PROVIDER_DOWN, .n = WAITERS_MAX};

	(void)state;
	add(&w);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "too_many_waiters");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAND(all_get_the_token_once),
	    STAND(one_by_one_they_are_the_callers),
	    STAND(all_fail_once),
	    STAND(patience),
	    STAND(no_more_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

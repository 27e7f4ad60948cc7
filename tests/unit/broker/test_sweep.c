#include "broker/sweep.h"

#include "broker/revocation.h"
#include "tests/unit/broker/token_stand.h"

static unsigned kicks;

void __wrap_revocation_kick(struct revocation *r);
void __wrap_revocation_kick(struct revocation *r)
{
	(void)r;
	kicks++;
}

static int open_sweep(void **state)
{
	kicks = 0;
	assert_int_equal(stand_open(state), 0);
	return sweep_new(&stand.broker, &stand.broker.sweep) == ERR_OK ? 0 : -1;
}

static int close_sweep(void **state)
{
	sweep_free(&stand.broker.sweep);
	assert_null(stand.broker.sweep);
	sweep_free(&stand.broker.sweep);
	return stand_close(state);
}

static void swept(int64_t rows_swept)
{
	const struct pg_rows rows = {.n = 1, .v = {{{.number = rows_swept}}}};

	loop_fire(stand.broker.base);
	assert_asked(SQL_SWEEP);
	fake_answer(ERR_OK, &rows);
}

static void when_it_comes_again(void **state)
{
	static const struct {
		int64_t rows, want_ms;
		unsigned kicks;
	} rows[] = {
	    {0, SWEEP_EVERY_MS, 0},
	    {7, SWEEP_EVERY_MS, 1}, /* what it ended is to be revoked */
	    {SWEEP_ROWS_MAX - 1, SWEEP_EVERY_MS, 1},
	    {SWEEP_ROWS_MAX, SWEEP_AGAIN_MS, 1}, /* there is more */
	    {9 * SWEEP_ROWS_MAX, SWEEP_AGAIN_MS, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		kicks = 0;
		swept(rows[i].rows);
		assert_int_equal(loop_asked_ms(), rows[i].want_ms);
		assert_int_equal(kicks, rows[i].kicks);
	}
	stand.random = 255;
	swept(0);
	assert_int_equal(loop_asked_ms(), SWEEP_EVERY_MS + SWEEP_EVERY_MS * 255 / 1024);
}

static void a_database_that_is_away(void **state)
{
	(void)state;
	fake_refuse = ERR_UNAVAILABLE;
	loop_fire(stand.broker.base);
	assert_int_equal(loop_asked_ms(), SWEEP_EVERY_MS);
	fake_refuse = ERR_OK;
	loop_fire(stand.broker.base);
	fake_answer(ERR_TIMEOUT, NULL);
	assert_int_equal(loop_asked_ms(), SWEEP_EVERY_MS);
	swept(0);
}

static void not_in_a_drain_nor_after_it(void **state)
{
	(void)state;
	loop_fire(stand.broker.base);
	stand.broker.stopping = true;
	fake_answer(ERR_CANCELED, NULL);
	stand.broker.draining = true;
	loop_fire(stand.broker.base);
	assert_int_equal(fake_nasked, 0);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, open_sweep, close_sweep)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(when_it_comes_again),
	    CASE(a_database_that_is_away),
	    CASE(not_in_a_drain_nor_after_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

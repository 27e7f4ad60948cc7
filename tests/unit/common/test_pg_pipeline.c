#include "tests/unit/common/pg_calls.h"

static void on_answer_close(void *arg, enum err e, const struct pg_rows *rows)
{
	(void)arg;
	(void)rows;
	assert_int_equal(e, ERR_OK);
	pg_close(&pq.pg);
}

static void each_is_its_own_transaction_and_answered_in_order(void **state)
{
	struct asked a[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		ask(&a[i]);
	assert_string_equal(pq.trace, "query=b sync query=b sync query=b sync ");
	answer(PGRES_TUPLES_OK, NULL, NULL);
	answer(PGRES_FATAL_ERROR, "23505", "ERROR");
	answer(PGRES_COMMAND_OK, NULL, NULL);
	pq_io(conn(), EV_READ);
	assert_int_equal(a[0].e, ERR_OK);
	assert_int_equal(a[1].e, ERR_CONFLICT);
	assert_int_equal(a[2].e, ERR_OK);
	for (unsigned i = 0; i < ARRAY_LEN(a); i++) {
		assert_int_equal(a[i].calls, 1);
		assert_int_equal(a[i].order, i + 1);
	}
	assert_int_equal(conn()->ncalls, 0);
	assert_int_equal(conn()->state, PG_UP);
}

/* Rows are no answer before their transaction has ended: at its commit it may still fail. */
static void an_answer_is_one_after_its_sync(void **state)
{
	struct asked a;

	(void)state;
	ask(&a);
	pq_result(PGRES_TUPLES_OK, NULL, NULL);
	pq_null();
	pq_io(conn(), EV_READ);
	assert_int_equal(a.calls, 0);
	pq_result(PGRES_FATAL_ERROR, "40001", "ERROR");
	pq_null();
	pq_result(PGRES_PIPELINE_SYNC, NULL, NULL);
	pq_io(conn(), EV_READ);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.e, ERR_CONFLICT);
}

static void the_first_result_counts_where_nothing_fails(void **state)
{
	struct asked a;

	(void)state;
	ask(&a);
	pq_result(PGRES_TUPLES_OK, NULL, NULL);
	pq_result(PGRES_COMMAND_OK, NULL, NULL);
	pq_null();
	pq_result(PGRES_PIPELINE_SYNC, NULL, NULL);
	pq_io(conn(), EV_READ);
	assert_int_equal(a.e, ERR_OK);
}

/* One of three fails; another group was asked for before that is known. */
static void a_group_that_fails_is_asked_again_one_by_one(void **state)
{
	static const enum err want[] = {ERR_OK, ERR_PROTOCOL, ERR_OK};
	struct asked a[ARRAY_LEN(want)], next;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		ask_grouped(&a[i]);
	loop_turn(pq.base);
	ask_grouped(&next);
	answer(PGRES_FATAL_ERROR, "22012", "ERROR");
	pq_io(conn(), EV_READ);
	assert_string_equal(pq.trace, "query=a3 sync query=a1 sync "
				      "query=a1 sync query=a1 sync query=a1 sync ");
	assert_int_equal(answered, 0);
	for (size_t i = 0; i < 1 + ARRAY_LEN(a); i++)
		answer(i == 2 ? PGRES_FATAL_ERROR : PGRES_TUPLES_OK, i == 2 ? "22012" : NULL,
		       i == 2 ? "ERROR" : NULL);
	pq_io(conn(), EV_READ);
	assert_int_equal(next.order, 1);
	for (unsigned i = 0; i < ARRAY_LEN(a); i++) {
		assert_int_equal(a[i].calls, 1);
		assert_int_equal(a[i].order, 2 + i);
		assert_int_equal(a[i].e, want[i]);
	}
	assert_int_equal(conn()->ncalls, 0);
	assert_int_equal(conn()->state, PG_UP);
	assert_string_equal(pq.events, "database_error\ndatabase_error\n");
}

/* What is nobody's own fault is all the calls' answer at once. */
static void which_errors_are_asked_again(void **state)
{
	static const struct {
		const char *sqlstate, *severity;
		bool again;
		enum err want;
	} cases[] = {
	    {"22012", "ERROR", true, 0},
	    {"40001", "ERROR", true, 0},
	    {"42501", "ERROR", true, 0},
	    {"XX001", "ERROR", true, 0}, /* what is stored is corrupt */
	    {"57014", "ERROR", false, ERR_TIMEOUT},
	    {"53200", "ERROR", false, ERR_UNAVAILABLE},
	    {"57P01", "FATAL", false, ERR_UNAVAILABLE},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct asked a[2];

		ask_grouped(&a[0]);
		ask_grouped(&a[1]);
		answer(PGRES_FATAL_ERROR, cases[i].sqlstate, cases[i].severity);
		pq_io(conn(), EV_READ);
		for (size_t k = 0; k < ARRAY_LEN(a); k++) {
			assert_int_equal(a[k].calls, !cases[i].again);
			assert_int_equal(a[k].e, cases[i].want);
		}
		assert_int_equal(conn()->ncalls, cases[i].again ? 2 : 0);
		teardown(state);
		setup(state);
	}
}

/* So that nobody is given another one's row. */
static void a_group_has_as_many_rows_as_calls(void **state)
{
	struct asked a[2];

	(void)state;
	for (int n = 0; n <= 3; n++) {
		ask_grouped(&a[0]);
		ask_grouped(&a[1]);
		answer_rows(n);
		pq_io(conn(), EV_READ);
		assert_int_equal(a[0].calls + a[1].calls, n == 2 ? 2 : 0);
		if (n == 2)
			continue;
		answer_rows(n == 0 ? 0 : 1);
		answer_rows(2);
		pq_io(conn(), EV_READ);
		assert_int_equal(a[0].e, n == 0 ? ERR_PROTOCOL : ERR_OK);
		assert_int_equal(a[1].e, ERR_PROTOCOL);
	}
}

static void on_record(void *arg, enum err e, const struct pg_rows *rows)
{
	const size_t *whole = arg; /* fields of it that came whole */

	assert_int_equal(e, ERR_OK);
	for (unsigned col = 0; col < 4; col++) {
		struct sv v = pg_rows_sv(rows, 0, col);

		assert_true(col < *whole && col != 1 ? v.n == 4 : v.p == NULL);
		if (v.n == 4)
			assert_int_equal(pg_rows_i64(rows, 0, col), -1 - (int)col);
	}
}

/* An int4, a null and two more; whatever is missing at the end is null. */
static void a_record_that_is_cut_has_fewer_fields(void **state)
{
	static const char record[] = "\0\0\0\4"
				     "\0\0\0\x17\0\0\0\4\xff\xff\xff\xff"
				     "\0\0\0\x17\xff\xff\xff\xff"
				     "\0\0\0\x17\0\0\0\4\xff\xff\xff\xfd"
				     "\0\0\0\x17\0\0\0\4\xff\xff\xff\xfc";
	static const size_t ends[] = {16, 24, 36, 48};

	(void)state;
	for (size_t n = 0; n < sizeof record; n++) {
		size_t whole = 0;

		while (whole < ARRAY_LEN(ends) && ends[whole] <= n)
			whole++;
		pq.record = (struct buf){.p = malloc(n == 0 ? 1 : n), .n = n};
		memcpy(pq.record.p, record, n);
		assert_int_equal(pg_query(pq.pg, STATEMENT_B, NULL, on_record, &whole, NULL),
				 ERR_OK);
		answer(PGRES_TUPLES_OK, NULL, NULL);
		pq_io(conn(), EV_READ);
		assert_int_equal(conn()->ncalls, 0);
		free(pq.record.p);
	}
	pq.record.p = NULL;
}

static void a_group_fails_that_cannot_be_asked_again(void **state)
{
	struct asked a[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		ask_grouped(&a[i]);
	loop_turn(pq.base);
	pq.send_fails = true;
	answer(PGRES_FATAL_ERROR, "22012", "ERROR");
	pq_io(conn(), EV_READ);
	assert_string_equal(pq.trace, "query=a3 sync query=a1 "); /* then nothing more */
	assert_int_equal(answered, 0);
	loop_turn(pq.base);
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		assert_int_equal(a[i].e, ERR_UNAVAILABLE);
	assert_int_equal(conn()->state, PG_DOWN);
}

static void an_answer_ends_with_its_connection(void **state)
{
	struct asked a;

	(void)state;
	ask(&a);
	pq_result(PGRES_TUPLES_OK, NULL, NULL);
	pq_io(conn(), EV_READ);
	pq.consume_fails = true;
	pq_io(conn(), EV_READ);
	assert_int_equal(a.e, ERR_UNAVAILABLE);
	assert_null(conn()->result);
	assert_true(pq.results[pq.taken - 1].cleared);
}

static void a_group_ends_with_its_connection(void **state)
{
	struct asked a, b;

	(void)state;
	ask_grouped(&a);
	ask_grouped(&b);
	pq.consume_fails = true;
	pq_io(conn(), EV_READ);
	assert_int_equal(a.e, ERR_UNAVAILABLE);
	assert_int_equal(b.e, ERR_UNAVAILABLE);
	assert_int_equal(conn()->grouped, 0);
}

static void a_closed_pool_cancels_a_group(void **state)
{
	struct pg_param p = PG_BYTES("x", 1);
	struct asked b;

	(void)state;
	assert_int_equal(pg_query(pq.pg, STATEMENT_A, &p, on_answer_close, NULL, NULL), ERR_OK);
	ask_grouped(&b);
	answer_rows(2);
	pq_io(conn(), EV_READ);
	assert_null(pq.pg);
	assert_int_equal(b.calls, 1);
	assert_int_equal(b.e, ERR_CANCELED);
}

static void errors_by_table(void **state)
{
	static const struct {
		const char *sqlstate, *severity;
		enum err want;
		bool drops;
	} cases[] = {
	    {"23505", "ERROR", ERR_CONFLICT, false},	{"40P01", "ERROR", ERR_CONFLICT, false},
	    {"42501", "ERROR", ERR_DENIED, false},	{"BF001", "ERROR", ERR_DENIED, false},
	    {"BF002", "ERROR", ERR_PROTOCOL, false},	{"42703", "ERROR", ERR_PROTOCOL, false},
	    {"57014", "ERROR", ERR_TIMEOUT, false},	{"55P03", "ERROR", ERR_TIMEOUT, false},
	    {"53100", "ERROR", ERR_UNAVAILABLE, false}, /* another connection has no more of it */
	    {"08006", "ERROR", ERR_UNAVAILABLE, true},	{"57P01", "FATAL", ERR_UNAVAILABLE, true},
	    {"25006", "ERROR", ERR_UNAVAILABLE, true}, /* a primary that is none any more */
	    {"26000", "ERROR", ERR_UNAVAILABLE, true}, /* prepared statements are gone ... */
	    {"0A000", "ERROR", ERR_UNAVAILABLE, true}, /* ... or stale */
	    {"XX000", "FATAL", ERR_UNAVAILABLE, true},	{"XX000", "PANIC", ERR_UNAVAILABLE, true},
	    {"XX000", "ERROR", ERR_PROTOCOL, false},	{NULL, NULL, ERR_UNAVAILABLE, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct asked a, next;

		ask(&a);
		ask(&next);
		answer(PGRES_FATAL_ERROR, cases[i].sqlstate, cases[i].severity);
		pq_io(conn(), EV_READ);
		assert_int_equal(a.calls, 1);
		assert_int_equal(a.e, cases[i].want);
		assert_int_equal(conn()->state, cases[i].drops ? PG_DOWN : PG_UP);
		assert_int_equal(next.calls, cases[i].drops ? 1 : 0);
		if (cases[i].drops)
			assert_int_equal(next.e, ERR_UNAVAILABLE);
		assert_true((strstr(pq.events, "database_pooler_unfit\n") != NULL) ==
			    (cases[i].sqlstate != NULL && strcmp(cases[i].sqlstate, "26000") == 0));
		teardown(state);
		setup(state);
	}
}

/* One timer, that of the first call, looked at when it fires. */
static void deadlines(void **state)
{
	struct asked a, b;

	(void)state;
	ask(&a);
	assert_int_equal(loop_asked_of(conn()->timer), PQ_TIMEOUT_MS);
	pq_pass(400);
	ask(&b);
	answer(PGRES_TUPLES_OK, NULL, NULL);
	pq_io(conn(), EV_READ);
	pq_pass(PQ_TIMEOUT_MS - 400);
	pq_timer(conn()); /* early for the second */
	assert_int_equal(b.calls, 0);
	assert_int_equal(loop_asked_of(conn()->timer), 400);
	ask(&a);
	assert_int_equal(loop_asked_of(conn()->timer), 400);
	pq_pass(399);
	pq_timer(conn());
	assert_int_equal(b.calls, 0);
	pq_pass(1);
	pq_timer(conn());
	assert_int_equal(b.e, ERR_TIMEOUT);
	assert_int_equal(a.e, ERR_UNAVAILABLE); /* it would have had time */
	assert_int_equal(conn()->state, PG_DOWN);
	assert_non_null(strstr(pq.events, "database_query_timeout\n"));
}

static void no_timer_without_calls(void **state)
{
	static struct asked a; /* canceled at the end */

	(void)state;
	ask(&a);
	answer(PGRES_TUPLES_OK, NULL, NULL);
	pq_io(conn(), EV_READ);
	pq_pass(PQ_TIMEOUT_MS);
	pq_timer(conn());
	assert_int_equal(conn()->state, PG_UP);
	assert_false(conn()->timer_set);
	ask(&a);
	assert_true(conn()->timer_set);
}

static void a_connection_that_ends(void **state)
{
	struct asked a;

	ask(&a);
	pq.consume_fails = true;
	pq_io(conn(), EV_READ);
	assert_int_equal(a.e, ERR_UNAVAILABLE);
	teardown(state);
	setup(state);
	pq.status = CONNECTION_BAD; /* seen only after what came was read */
	ask(&a);
	answer(PGRES_TUPLES_OK, NULL, NULL);
	pq_io(conn(), EV_READ);
	assert_int_equal(a.e, ERR_OK);
	assert_int_equal(conn()->state, PG_DOWN);
}

/* Under TLS one read may leave bytes behind that the socket does not show. */
static void tls_is_read_twice(void **state)
{
	(void)state;
	pq.consumed = 0;
	pq_io(conn(), EV_READ);
	assert_int_equal(pq.consumed, 1);
	pq.ssl = true;
	pq_io(conn(), EV_READ);
	assert_int_equal(pq.consumed, 3);
}

static void a_libpq_that_expects_nothing_is_left_alone(void **state)
{
	static struct asked a; /* canceled at the end */

	(void)state;
	ask(&a);
	for (int i = 0; i < 50; i++)
		pq_null();
	pq_io(conn(), EV_READ);
	assert_true(pq.taken < pq.nresults); /* no endless loop */
	assert_int_equal(a.calls, 0);
}

static void a_canceled_call_has_its_answer_dropped(void **state)
{
	struct asked a = {0}, b;
	struct pg_call *call = NULL;

	(void)state;
	assert_int_equal(pg_query(pq.pg, STATEMENT_B, NULL, on_answer, &a, &call), ERR_OK);
	pg_call_cancel(&call);
	ask(&b);
	answer(PGRES_TUPLES_OK, NULL, NULL);
	answer(PGRES_TUPLES_OK, NULL, NULL);
	pq_io(conn(), EV_READ);
	assert_int_equal(a.calls, 0);
	assert_int_equal(b.calls, 1);
}

static struct pg_call *others[2];

static void on_answer_cancel(void *arg, enum err e, const struct pg_rows *rows)
{
	struct pg_param p = PG_BYTES("y", 1);

	on_answer(arg, e, rows);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		pg_call_cancel(&others[i]);
	/* In the memory of whoever was answered before. */
	assert_int_equal(pg_query(pq.pg, STATEMENT_A, &p, on_answer, (struct asked *)arg + 1, NULL),
			 ERR_OK);
}

/* Answered at once, or asked again one by one: whose row is whose stays as it was. */
static void one_of_a_group_cancels_the_others(void **state)
{
	struct pg_param p = PG_BYTES("x", 1);

	(void)state;
	for (int again = 0; again < 2; again++) {
		struct asked first, a[2] = {0}, canceled[ARRAY_LEN(others)] = {0}, last;

		ask_grouped(&first);
		assert_int_equal(pg_query(pq.pg, STATEMENT_A, &p, on_answer_cancel, &a[0], NULL),
				 ERR_OK);
		for (size_t i = 0; i < ARRAY_LEN(others); i++)
			assert_int_equal(
			    pg_query(pq.pg, STATEMENT_A, &p, on_answer, &canceled[i], &others[i]),
			    ERR_OK);
		ask_grouped(&last);
		loop_turn(pq.base);
		if (again == 1)
			answer(PGRES_FATAL_ERROR, "22012", "ERROR");
		for (int i = 0; again == 1 && i < 5; i++)
			answer_rows(1);
		if (again == 0)
			answer_rows(5);
		pq_io(conn(), EV_READ);
		assert_int_equal(first.row, 0);
		assert_int_equal(a[0].row, again == 1 ? 0 : 1);
		assert_int_equal(last.row, again == 1 ? 0 : 4);
		assert_int_equal(a[1].calls, 0);
		loop_turn(pq.base);
		answer_rows(1);
		pq_io(conn(), EV_READ);
		assert_int_equal(first.calls + a[0].calls + a[1].calls + last.calls, 4);
		assert_int_equal(canceled[0].calls + canceled[1].calls, 0);
		assert_int_equal(conn()->ncalls, 0);
		assert_int_equal(conn()->state, PG_UP);
	}
}

/* Sent to answered, in any case, or lost; a bare sync is nobody's query. */
static void queries_are_counted(void **state)
{
	struct metrics *m = NULL;
	struct pg_state s;
	struct asked a[3];

	(void)state;
	assert_int_equal(metrics_new(NULL, &m), ERR_OK);
	pq.pg->metrics = (struct pg_metrics){
	    .metrics = m, .duration = METRIC_DB_DURATION, .errors = METRIC_DB_ERRORS};
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		ask(&a[i]);
	s = pg_state(pq.pg);
	assert_int_equal(s.calls, 3);
	assert_int_equal(s.up, 1);
	assert_int_equal(s.connections, 1);
	pq_pass(3);
	answer(PGRES_TUPLES_OK, NULL, NULL);
	answer(PGRES_FATAL_ERROR, "40001", "ERROR");
	answer(PGRES_TUPLES_OK, NULL, NULL);
	pq_io(conn(), EV_READ);
	assert_int_equal(a[2].calls, 1);
	assert_int_equal(pg_state(pq.pg).calls, 0);
	assert_int_equal(metrics_sum(m, METRIC_DB_DURATION, METRICS_AT(0)), 3);
	assert_int_equal(metrics_cell_sum(m, metrics_row(METRIC_DB_DURATION)->at + METRICS_BUCKETS),
			 9000);
	assert_int_equal(
	    metrics_sum(m, METRIC_DB_ERRORS, METRICS_AT(metrics_failure(ERR_CONFLICT))), 1);
	ask(&a[0]);
	pq_pass(PQ_TIMEOUT_MS / 2);
	ask(&a[1]);
	pq_pass(PQ_TIMEOUT_MS / 2);
	pq_timer(conn());
	assert_int_equal(metrics_sum(m, METRIC_DB_ERRORS, METRICS_AT(metrics_failure(ERR_TIMEOUT))),
			 1);
	assert_int_equal(
	    metrics_sum(m, METRIC_DB_ERRORS, METRICS_AT(metrics_failure(ERR_UNAVAILABLE))), 1);
	pq.pg->metrics.metrics = NULL;
	metrics_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(each_is_its_own_transaction_and_answered_in_order),
	    CASE(an_answer_is_one_after_its_sync),
	    CASE(the_first_result_counts_where_nothing_fails),
	    CASE(a_group_that_fails_is_asked_again_one_by_one),
	    CASE(which_errors_are_asked_again),
	    CASE(a_group_has_as_many_rows_as_calls),
	    CASE(a_record_that_is_cut_has_fewer_fields),
	    CASE(a_group_fails_that_cannot_be_asked_again),
	    CASE(an_answer_ends_with_its_connection),
	    CASE(a_group_ends_with_its_connection),
	    CASE(a_closed_pool_cancels_a_group),
	    CASE(errors_by_table),
	    CASE(deadlines),
	    CASE(no_timer_without_calls),
	    CASE(a_connection_that_ends),
	    CASE(tls_is_read_twice),
	    CASE(a_libpq_that_expects_nothing_is_left_alone),
	    CASE(a_canceled_call_has_its_answer_dropped),
	    CASE(one_of_a_group_cancels_the_others),
	    CASE(queries_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* pg_calls - one connection of pg_stand.h that is up, calls on it, and how they were answered. */
#ifndef BFF_TESTS_PG_CALLS_H
#define BFF_TESTS_PG_CALLS_H

#include "tests/unit/common/pg_stand.h"

struct asked {
	unsigned calls;
	enum err e;
	bool rows;
	unsigned order; /* when it was answered, from 1 */
	int64_t sent_ms;
	int row; /* of the result */
};

static unsigned answered;

static inline void on_answer(void *arg, enum err e, const struct pg_rows *rows)
{
	struct asked *a = arg;

	a->calls++;
	a->e = e;
	a->rows = rows != NULL;
	a->order = ++answered;
	a->sent_ms = rows == NULL ? 0 : pg_rows_trip(rows)->sent_ms;
	assert_true(a->rows == (e == ERR_OK));
	a->row = rows == NULL ? -1 : rows->first;
}

static inline struct pg_conn *conn(void)
{
	return &pq.pg->conns[0];
}

static inline int setup(void **state)
{
	(void)state;
	answered = 0;
	pq_open("host=h", 1, NULL);
	pq_up(conn());
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	pq_close();
	return 0;
}

static inline void ask(struct asked *a)
{
	*a = (struct asked){0};
	assert_int_equal(pg_query(pq.pg, STATEMENT_B, NULL, on_answer, a, NULL), ERR_OK);
	assert_int_equal(a->calls, 0); /* never from within */
}

/* STATEMENT_A is PG_GROUPED. */
static inline void ask_grouped(struct asked *a)
{
	struct pg_param p = PG_BYTES("x", 1);

	*a = (struct asked){0};
	assert_int_equal(pg_query(pq.pg, STATEMENT_A, &p, on_answer, a, NULL), ERR_OK);
	assert_int_equal(a->calls, 0);
}

/* What libpq gives for a statement that ended so. */
static inline void answer(ExecStatusType status, const char *sqlstate, const char *severity)
{
	pq_result(status, sqlstate, severity);
	pq_null();
	pq_result(PGRES_PIPELINE_SYNC, NULL, NULL);
}

/* For a group that was answered with so many rows. */
static inline void answer_rows(int n)
{
	answer(PGRES_TUPLES_OK, NULL, NULL);
	pq.results[pq.nresults - 3].rows = n;
}

#endif

/*
 * fake_pg - the database of the broker's tests, played by the test
 *
 * What is asked stands in fake_asked, oldest first, and is answered by fake_answer() or
 * FAKE_ROWS(): with rows of text, numbers and booleans, or with an error. Where a number or a
 * boolean is wanted and there is text, it is read from the text, as PostgreSQL writes it. What is
 * answered last stays in fake_asked[0]. A note of a login (SQL_LOGIN_NOTE) is no question: nobody
 * waits for its answer, and it stands in fake_note.
 *
 * The Makefile links each __wrap_NAME in place of NAME. fake_reset() begins a test.
 */
#ifndef BFF_TEST_FAKE_PG_H
#define BFF_TEST_FAKE_PG_H

#include "broker/broker_sql.h"
#include "tests/unit/unit.h"

#define FAKE_ASKED_MAX 64
#define FAKE_COLUMNS_MAX 24
#define FAKE_PARAMS_MAX 26
#define FAKE_PARAM_MAX 4096

struct fake_value {
	struct sv text;
	int64_t number; /* and booleans */
};

struct pg_rows {
	size_t n;
	struct fake_value v[FAKE_ASKED_MAX][FAKE_COLUMNS_MAX];
};

struct fake_question {
	unsigned stmt;
	pg_fn fn;
	void *arg;
	struct {
		bool null;
		size_t n;
		char bytes[FAKE_PARAM_MAX];
	} params[FAKE_PARAMS_MAX];
};

static struct fake_question fake_asked[FAKE_ASKED_MAX], fake_note;
static size_t fake_nasked;    /* not answered yet */
static unsigned fake_nnotes;  /* notes of logins */
static unsigned fake_queries; /* questions so far */
static enum err fake_refuse;  /* what pg_query() says of a question; ERR_OK: takes it */

static inline void fake_reset(void)
{
	memset(fake_asked, 0, sizeof fake_asked);
	memset(&fake_note, 0, sizeof fake_note);
	fake_nasked = fake_nnotes = fake_queries = 0;
	fake_refuse = ERR_OK;
}

static inline void fake_keep(struct fake_question *q, unsigned stmt, const struct pg_param *params)
{
	assert_true(stmt < SQL_COUNT && broker_statements[stmt].nparams <= FAKE_PARAMS_MAX);
	q->stmt = stmt;
	for (unsigned i = 0; i < broker_statements[stmt].nparams; i++) {
		assert_true(params[i].n <= FAKE_PARAM_MAX);
		q->params[i].null = params[i].p == NULL;
		q->params[i].n = params[i].n;
		if (params[i].n > 0)
			memcpy(q->params[i].bytes, params[i].p, params[i].n);
	}
}

enum err __wrap_pg_query(struct pg *p, unsigned stmt, const struct pg_param *params, pg_fn fn,
			 void *arg, struct pg_call **ret);
enum err __wrap_pg_query(struct pg *p, unsigned stmt, const struct pg_param *params, pg_fn fn,
			 void *arg, struct pg_call **ret)
{
	(void)p;
	(void)ret;
	if (stmt == SQL_LOGIN_NOTE) {
		fake_keep(&fake_note, stmt, params);
		fake_nnotes++;
		return ERR_OK;
	}
	if (fake_refuse != ERR_OK)
		return fake_refuse;
	assert_true(fake_nasked < FAKE_ASKED_MAX);
	fake_keep(&fake_asked[fake_nasked], stmt, params);
	fake_asked[fake_nasked].fn = fn;
	fake_asked[fake_nasked].arg = arg;
	fake_nasked++;
	fake_queries++;
	return ERR_OK;
}

size_t __wrap_pg_rows_count(const struct pg_rows *r);
size_t __wrap_pg_rows_count(const struct pg_rows *r)
{
	return r->n;
}

struct sv __wrap_pg_rows_sv(const struct pg_rows *r, size_t row, unsigned col);
struct sv __wrap_pg_rows_sv(const struct pg_rows *r, size_t row, unsigned col)
{
	assert_true(row < r->n && col < FAKE_COLUMNS_MAX);
	return r->v[row][col].text;
}

bool __wrap_pg_rows_null(const struct pg_rows *r, size_t row, unsigned col);
bool __wrap_pg_rows_null(const struct pg_rows *r, size_t row, unsigned col)
{
	return __wrap_pg_rows_sv(r, row, col).p == NULL;
}

int64_t __wrap_pg_rows_i64(const struct pg_rows *r, size_t row, unsigned col);
int64_t __wrap_pg_rows_i64(const struct pg_rows *r, size_t row, unsigned col)
{
	struct sv text = __wrap_pg_rows_sv(r, row, col);
	uint64_t v = 0;

	if (text.n == 0)
		return r->v[row][col].number;
	assert_int_equal(sv_u64(text, INT64_MAX, &v), ERR_OK);
	return (int64_t)v;
}

bool __wrap_pg_rows_bool(const struct pg_rows *r, size_t row, unsigned col);
bool __wrap_pg_rows_bool(const struct pg_rows *r, size_t row, unsigned col)
{
	struct sv text = __wrap_pg_rows_sv(r, row, col);

	return text.n == 0 ? r->v[row][col].number != 0 : sv_eq(text, SV("t"));
}

static inline struct sv fake_param_of(const struct fake_question *q, size_t i)
{
	return sv_of(q->params[i].bytes, q->params[i].n);
}

/* Of the question that was asked as number `asked` of those that stand here. */
static inline struct sv fake_param(size_t asked, size_t i)
{
	return fake_param_of(&fake_asked[asked], i);
}

/* A parameter of type int8. */
static inline int64_t fake_number(size_t asked, size_t i)
{
	struct sv p = fake_param(asked, i);
	uint64_t v = 0;

	assert_int_equal(p.n, 8);
	for (size_t k = 0; k < 8; k++)
		v = v << 8 | (unsigned char)p.p[k];
	return (int64_t)v;
}

/* Answers the oldest question. */
static inline void fake_answer(enum err e, const struct pg_rows *rows)
{
	pg_fn fn = fake_asked[0].fn;
	void *arg = fake_asked[0].arg;

	assert_true(fake_nasked > 0);
	fake_nasked--;
	memmove(&fake_asked[0], &fake_asked[1], fake_nasked * sizeof fake_asked[0]);
	fn(arg, e, e == ERR_OK ? rows : NULL);
}

/* With one row of texts, or none at all. */
static inline void fake_row(const struct sv *v, size_t n)
{
	struct pg_rows rows = {.n = n > 0 ? 1 : 0};

	assert_true(n <= FAKE_COLUMNS_MAX);
	for (size_t i = 0; i < n; i++)
		rows.v[0][i].text = v[i];
	fake_answer(ERR_OK, &rows);
}

#define FAKE_ROW(...)                                                                              \
	fake_row((const struct sv[]){__VA_ARGS__}, ARRAY_LEN(((const struct sv[]){__VA_ARGS__})))

#endif

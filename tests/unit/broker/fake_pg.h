/* fake_pg - a database that a unit test plays: what was asked, and answers as the test gives them.
 *
 * Defined here instead of pg.c's, which is then not linked. A question is answered by fake_answer()
 * with rows of text, numbers and booleans, or with an error. */
#ifndef BFF_TEST_FAKE_PG_H
#define BFF_TEST_FAKE_PG_H

#include "common/pg.h"
#include "tests/unit/unit.h"

#define FAKE_ASKED_MAX 64
#define FAKE_COLUMNS_MAX 20

struct fake_value {
	struct sv text;
	int64_t number; /* and booleans */
	bool null;
};

struct pg_rows {
	size_t n;
	struct fake_value v[FAKE_ASKED_MAX][FAKE_COLUMNS_MAX];
};

static struct {
	unsigned stmt;
	pg_fn fn;
	void *arg;
	struct {
		bool null;
		size_t n;
		char bytes[512];
	} params[PG_PARAMS_MAX];
} fake_asked[FAKE_ASKED_MAX];
static size_t fake_nasked;	  /* not answered yet */
static enum err fake_refuse;	  /* what pg_query() answers at once; ERR_OK: takes it */
static unsigned fake_nparams[64]; /* of each statement; set by the test */

enum err pg_query(struct pg *p, unsigned stmt, const struct pg_param *params, pg_fn fn, void *arg,
		  struct pg_call **ret)
{
	(void)p;
	(void)ret;
	if (fake_refuse != ERR_OK)
		return fake_refuse;
	assert_true(fake_nasked < FAKE_ASKED_MAX);
	memset(&fake_asked[fake_nasked], 0, sizeof fake_asked[0]);
	fake_asked[fake_nasked].stmt = stmt;
	fake_asked[fake_nasked].fn = fn;
	fake_asked[fake_nasked].arg = arg;
	for (unsigned i = 0; i < fake_nparams[stmt]; i++) {
		assert_true(params[i].n <= sizeof fake_asked[0].params[0].bytes);
		fake_asked[fake_nasked].params[i].null = params[i].p == NULL;
		fake_asked[fake_nasked].params[i].n = params[i].n;
		if (params[i].n > 0)
			memcpy(fake_asked[fake_nasked].params[i].bytes, params[i].p, params[i].n);
	}
	fake_nasked++;
	return ERR_OK;
}

size_t pg_rows_count(const struct pg_rows *r)
{
	return r->n;
}

struct sv pg_rows_sv(const struct pg_rows *r, size_t row, unsigned col)
{
	return r->v[row][col].text;
}

int64_t pg_rows_i64(const struct pg_rows *r, size_t row, unsigned col)
{
	return r->v[row][col].number;
}

bool pg_rows_bool(const struct pg_rows *r, size_t row, unsigned col)
{
	return r->v[row][col].number != 0;
}

static inline struct sv fake_param(size_t asked, size_t i)
{
	return sv_of(fake_asked[asked].params[i].bytes, fake_asked[asked].params[i].n);
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

#endif

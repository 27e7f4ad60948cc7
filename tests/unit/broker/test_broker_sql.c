#include "broker/broker_sql.h"

#include "tests/unit/unit.h"

static void int8_goes_big_endian(void **state)
{
	static const struct {
		int64_t v;
		unsigned char want[8];
	} cases[] = {{0, {0}},
		     {1, {0, 0, 0, 0, 0, 0, 0, 1}},
		     {0x0102030405060708, {1, 2, 3, 4, 5, 6, 7, 8}},
		     {-2, {255, 255, 255, 255, 255, 255, 255, 254}},
		     {INT64_MIN, {128}}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sql_i64 room;
		struct pg_param p = sql_i64(&room, cases[i].v);

		assert_true(p.binary);
		assert_int_equal(p.n, 8);
		assert_memory_equal(p.p, cases[i].want, 8);
	}
}

static void nothing_is_null(void **state)
{
	struct pg_param p;

	(void)state;
	assert_null(sql_bytes_or_null(SV_NONE).p);
	assert_null(sql_bytes_or_null(SV("")).p);
	assert_null(sql_text_or_null(SV("")).p);
	p = sql_bytes_or_null(SV("\0x"));
	assert_true(p.binary && p.n == 2);
	p = sql_text_or_null(SV("x"));
	assert_true(!p.binary && p.n == 1);
	assert_memory_equal(sql_bool(true).p, "t", 1);
	assert_memory_equal(sql_bool(false).p, "f", 1);
}

/* The highest $n of each statement is its number of parameters, and none is left out. */
static void the_table_counts_its_parameters(void **state)
{
	(void)state;
	for (size_t i = 0; i < SQL_COUNT; i++) {
		const struct pg_statement *s = &broker_statements[i];
		bool seen[PG_PARAMS_MAX + 1] = {false};

		assert_non_null(s->name);
		assert_true(s->nparams <= PG_PARAMS_MAX);
		for (const char *p = strchr(s->sql, '$'); p != NULL; p = strchr(p + 1, '$')) {
			long n = strtol(p + 1, NULL, 10);

			assert_in_range(n, 1, s->nparams);
			seen[n] = true;
		}
		for (unsigned n = 1; n <= s->nparams; n++)
			if (!seen[n])
				fail_msg("%s: no $%u", s->name, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(int8_goes_big_endian),
	    cmocka_unit_test(nothing_is_null),
	    cmocka_unit_test(the_table_counts_its_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

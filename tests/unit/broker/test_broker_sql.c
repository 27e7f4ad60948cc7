#include "broker/broker_sql.h"

#include "tests/unit/unit.h"

static void numbers_go_in_network_order(void **state)
{
	static const struct {
		int64_t v;
		unsigned char want[8];
	} rows[] = {
	    {0, {0, 0, 0, 0, 0, 0, 0, 0}},
	    {1, {0, 0, 0, 0, 0, 0, 0, 1}},
	    {-1, {255, 255, 255, 255, 255, 255, 255, 255}},
	    {-2, {255, 255, 255, 255, 255, 255, 255, 254}},
	    {0x0102030405060708, {1, 2, 3, 4, 5, 6, 7, 8}},
	    {INT64_MAX, {127, 255, 255, 255, 255, 255, 255, 255}},
	    {INT64_MIN, {128, 0, 0, 0, 0, 0, 0, 0}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sql_i64 room;
		struct pg_param p = sql_i64(&room, rows[i].v);

		assert_ptr_equal(p.p, room.p); /* borrowed */
		assert_int_equal(p.n, 8);
		assert_true(p.binary);
		assert_memory_equal(p.p, rows[i].want, 8);
	}
}

static void bytes_go_as_they_are_and_nothing_is_null(void **state)
{
	static const char bytes[] = {0, 'a', (char)0xff};
	struct pg_param p = sql_bytes_or_null(sv_of(bytes, sizeof bytes));

	(void)state;
	assert_ptr_equal(p.p, bytes);
	assert_int_equal(p.n, sizeof bytes);
	assert_true(p.binary);
	assert_null(sql_bytes_or_null(SV_NONE).p);
	assert_null(sql_bytes_or_null(sv_of(bytes, 0)).p); /* empty, though somewhere */
}

static void text_goes_as_text_and_nothing_is_null(void **state)
{
	struct sv text = SV("text");
	struct pg_param p = sql_text_or_null(text);

	(void)state;
	assert_ptr_equal(p.p, text.p);
	assert_int_equal(p.n, 4);
	assert_false(p.binary);
	assert_null(sql_text_or_null(SV_NONE).p);
	assert_null(sql_text_or_null(SV("")).p);
}

static void truth_is_a_letter(void **state)
{
	struct pg_param yes = sql_bool(true), no = sql_bool(false);

	(void)state;
	assert_sv_equal(sv_of(yes.p, yes.n), SV("t"));
	assert_sv_equal(sv_of(no.p, no.n), SV("f"));
	assert_false(yes.binary || no.binary);
}

/* The highest $N of a statement; each below it stands there, too. */
static unsigned params_of(const char *sql)
{
	bool seen[PG_PARAMS_MAX + 1] = {false};
	unsigned max = 0;

	for (const char *p = strchr(sql, '$'); p != NULL; p = strchr(p + 1, '$')) {
		unsigned long n = strtoul(p + 1, NULL, 10);

		assert_in_range(n, 1, PG_PARAMS_MAX);
		seen[n] = true;
		if (n > max)
			max = (unsigned)n;
	}
	for (unsigned i = 1; i <= max; i++)
		if (!seen[i])
			fail_msg("no $%u in %s", i, sql);
	return max;
}

/* That each PREPAREs as bff_broker is test_sql.py's. */
static void every_statement_is_one_call_with_the_parameters_it_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < SQL_COUNT; i++) {
		const struct pg_statement *s = &broker_statements[i];

		assert_non_null(s->name);
		assert_true(strlen(s->name) < 64); /* NAMEDATALEN: PostgreSQL would cut it */
		assert_int_equal(s->nparams, params_of(s->sql));
		assert_true(s->nparams <= PG_PARAMS_MAX);
		assert_int_equal(strncmp(s->sql, "select ", 7), 0);
		assert_non_null(strstr(s->sql, "bff_private."));
		assert_null(strchr(s->sql, ';'));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(s->name, broker_statements[k].name);
	}
	assert_string_equal(broker_statements[SQL_LOGIN_BEGIN].name, "LOGIN_BEGIN");
	assert_string_equal(broker_statements[SQL_RESEAL_PUT].name, "RESEAL_PUT");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_go_in_network_order),
	    cmocka_unit_test(bytes_go_as_they_are_and_nothing_is_null),
	    cmocka_unit_test(text_goes_as_text_and_nothing_is_null),
	    cmocka_unit_test(truth_is_a_letter),
	    cmocka_unit_test(every_statement_is_one_call_with_the_parameters_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/touch.h"

#include "common/log.h"
#include "tests/unit/loop.h"
#include "tests/unit/torture.h"
#include "tests/unit/unit.h"

#define STATEMENT 7

static struct {
	struct event_base *base;
	struct touch *t;
	unsigned queries;
	enum err says;
	char text[128 * 1024]; /* the last query's parameter */
	size_t n;
	pg_fn fn;
} f;

enum err __wrap_pg_query(struct pg *p, unsigned stmt, const struct pg_param *params, pg_fn fn,
			 void *arg, struct pg_call **ret);

enum err __wrap_pg_query(struct pg *p, unsigned stmt, const struct pg_param *params, pg_fn fn,
			 void *arg, struct pg_call **ret)
{
	(void)p;
	(void)arg;
	assert_int_equal(stmt, STATEMENT);
	assert_null(ret); /* nobody waits for it */
	assert_false(params[0].binary);
	assert_true(params[0].n < sizeof f.text);
	memcpy(f.text, params[0].p, params[0].n);
	f.text[f.n = params[0].n] = '\0';
	f.queries++;
	f.fn = fn;
	return f.says;
}

static int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof f);
	log_set_level(LOG_ERROR);
	f.base = event_base_new();
	assert_non_null(f.base);
	assert_int_equal(touch_new(f.base, NULL, STATEMENT, &f.t), ERR_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	touch_free(&f.t);
	assert_null(f.t);
	touch_free(&f.t);
	event_base_free(f.base);
	return 0;
}

static void add(unsigned n)
{
	unsigned char hash[CRYPT_SHA256_LEN] = {0};

	hash[0] = (unsigned char)(n >> 8);
	hash[1] = (unsigned char)n;
	hash[31] = 0xaf;
	touch_add(f.t, hash);
}

static unsigned elements(void)
{
	unsigned n = 0;

	for (const char *at = f.text; (at = strstr(at, "\\\\x")) != NULL; at++)
		n++;
	return n;
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000"

static void a_second_is_one_query_and_each_session_once(void **state)
{
	(void)state;
	add(2);
	add(1);
	add(2);
	assert_int_equal(f.queries, 0);
	assert_int_equal(loop_asked_ms(), TOUCH_MS);
	loop_turns(f.base, 3);
	assert_int_equal(f.queries, 1);
	/* A bytea[] as PostgreSQL reads one. */
	assert_string_equal(f.text, "{\"\\\\x0001" ZEROS "af\",\"\\\\x0002" ZEROS "af\"}");
	add(3);
	loop_turns(f.base, 3);
	assert_int_equal(f.queries, 2);
	assert_string_equal(f.text, "{\"\\\\x0003" ZEROS "af\"}");
	loop_turns(f.base, 3);
	assert_int_equal(f.queries, 2); /* nothing new, nothing sent */
}

static void a_full_batch_goes_at_once(void **state)
{
	(void)state;
	loop_hold();
	for (unsigned i = 0; i < TOUCH_MAX; i++)
		add(i);
	assert_int_equal(f.queries, 0);
	add(TOUCH_MAX);
	assert_int_equal(f.queries, 1);
	assert_int_equal(elements(), TOUCH_MAX);
	loop_release();
	touch_free(&f.t);
	assert_int_equal(f.queries, 2);
	assert_int_equal(elements(), 1);
}

static void what_is_left_goes_at_the_end(void **state)
{
	(void)state;
	touch_free(&f.t);
	assert_int_equal(f.queries, 0);
	assert_int_equal(touch_new(f.base, NULL, STATEMENT, &f.t), ERR_OK);
	add(1);
	touch_free(&f.t);
	assert_int_equal(f.queries, 1);
	f.fn(NULL, ERR_CANCELED, NULL); /* the pool closes: nothing of ours is used any more */
}

static void a_failure_is_not_repeated(void **state)
{
	(void)state;
	f.says = ERR_UNAVAILABLE;
	add(1);
	loop_turns(f.base, 3);
	assert_int_equal(f.queries, 1);
	f.says = ERR_OK;
	add(2);
	loop_turns(f.base, 3);
	assert_int_equal(f.queries, 2);
	assert_int_equal(elements(), 1);
	f.fn(NULL, ERR_TIMEOUT, NULL);
	loop_turns(f.base, 3);
	assert_int_equal(f.queries, 2);
}

static enum err attempt(void *arg)
{
	struct touch *t = NULL;
	enum err e = touch_new(f.base, NULL, STATEMENT, &t);

	(void)arg;
	assert_true((t != NULL) == (e == ERR_OK));
	touch_free(&t);
	return e;
}

static void without_memory_there_is_none(void **state)
{
	(void)state;
	assert_true(torture(attempt, NULL) >= 2);
}

static void fail_next(unsigned at)
{
	torture_state.at = at;
	torture_state.seen = 0;
}

/* No memory for the list, or for its text: that batch is lost, and nothing else. */
static void without_memory_a_batch_is_lost(void **state)
{
	(void)state;
	fail_next(1);
	add(1);
	fail_next(0);
	loop_turns(f.base, 2);
	assert_int_equal(f.queries, 0);
	add(2);
	fail_next(1);
	loop_turns(f.base, 2);
	fail_next(0);
	assert_int_equal(f.queries, 0);
	add(3);
	loop_turns(f.base, 2);
	assert_int_equal(f.queries, 1);
	assert_string_equal(f.text, "{\"\\\\x0003" ZEROS "af\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(a_second_is_one_query_and_each_session_once),
	    CASE(a_full_batch_goes_at_once),
	    CASE(what_is_left_goes_at_the_end),
	    CASE(a_failure_is_not_repeated),
	    CASE(without_memory_there_is_none),
	    CASE(without_memory_a_batch_is_lost),
	};

	torture_libevent();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

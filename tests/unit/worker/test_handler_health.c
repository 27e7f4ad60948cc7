#include "worker/handlers.h"

#include "tests/unit/worker/stand_in.h"

#define HEALTH "GET /auth/health HTTP/1.1\r\nHost: "

static void in_public_it_says_whether_and_not_why(void **state)
{
	static const char want[] = "{\"status\":\"degraded\"}";

	(void)state;
	stand_ask(LISTEN_PUBLIC, HEALTH "a.example.com\r\nX-Forwarded-Proto: https\r\n", "");
	assert_answer(200);
	assert_has("{\"status\":\"ok\"}");
	assert_has("\r\nContent-Type: application/json\r\n");
	assert_has("\r\nCache-Control: no-store\r\n");
	for (int i = 0; i < 2; i++) {
		stand.pg.ready = i == 0;
		stand.broker.up = i == 1;
		stand_ask(LISTEN_PUBLIC, HEALTH "10.0.0.1:7081\r\n", ""); /* under any name */
		assert_answer(503);
		assert_memory_equal(stand.out.p + stand.out.n - (sizeof want - 1), want,
				    sizeof want - 1);
		assert_lacks("database");
		assert_lacks("broker");
	}
}

static void alive_whatever_else_is_down(void **state)
{
	(void)state;
	stand.pg.ready = stand.broker.up = false;
	stand.w.draining = true;
	stand_ask(LISTEN_METRICS, "GET /livez HTTP/1.1\r\nHost: x\r\n", "");
	assert_answer(200);
}

/* The broker, and the provider behind it, do not make a worker unready. */
static void ready_with_the_database_until_it_drains(void **state)
{
	static const struct {
		bool database, broker, draining, want;
		const char *word;
	} cases[] = {
	    {true, true, false, true, "ok"},
	    {true, false, false, true, "ok"},
	    {false, true, false, false, "no_database"},
	    {true, true, true, false, "draining"},
	    {false, false, true, false, "draining"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char want[64];

		stand.pg.ready = cases[i].database;
		stand.broker.up = cases[i].broker;
		stand.w.draining = cases[i].draining;
		stand_ask(LISTEN_METRICS, "GET /readyz HTTP/1.1\r\nHost: x\r\n", "");
		(void)snprintf(want, sizeof want, "{\"status\":\"%s\"}", cases[i].word);
		assert_has(want);
		assert_has(cases[i].want ? "HTTP/1.1 200 " : "HTTP/1.1 503 ");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
	    CASE(in_public_it_says_whether_and_not_why),
	    CASE(alive_whatever_else_is_down),
	    CASE(ready_with_the_database_until_it_drains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

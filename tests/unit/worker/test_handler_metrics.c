#include "common/contract.h"
#include "tests/unit/worker/stand_in.h"
#include "worker/count.h"
#include "worker/handlers.h"

struct pg_state __wrap_pg_state(const struct pg *p);
struct pg_state __wrap_pg_state(const struct pg *p)
{
	(void)p;
	return (struct pg_state){.connections = 2, .up = 1, .calls = 7};
}

static int open_counting(void **state)
{
	struct errmsg e;

	(void)stand_open(state);
	return count_new(stand.w.config, METRICS_SLAB_NONE, &stand.w.count, &e) == ERR_OK ? 0 : -1;
}

static int close_counting(void **state)
{
	stand_next();
	count_free(&stand.w.count);
	return stand_close(state);
}

static void scrape(void)
{
	stand_ask(LISTEN_METRICS, "GET /metrics HTTP/1.1\r\nHost: x\r\n", "");
}

static void piece(struct sv text, uint32_t next)
{
	struct ipc_message m = {.number = IPC_METRICS};

	m.u.metrics = (struct ipc_metrics){.text = text, .next = next};
	stand_broker(ERR_OK, &m);
}

static void it_tells_ours_and_the_brokers(void **state)
{
	(void)state;
	scrape();
	assert_int_equal(stand.state, REQUEST_WAITING);
	assert_int_equal(stand.broker.asked.number, IPC_METRICS_GET);
	assert_int_equal(stand.broker.asked.u.metrics_get.cursor, 0);
	assert_int_equal(stand.broker.timeout_ms, TIMEOUT_METRICS_MS);
	piece(SV("bff_broker_keys 1\n"), 77);
	assert_int_equal(stand.done, 0);
	assert_int_equal(stand.broker.asked.u.metrics_get.cursor, 77);
	piece(SV("bff_broker_peers 3\n"), 0);
	assert_answer(200);
	assert_has("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	assert_has("\nbff_up 1\n");
	assert_has("\nbff_build_info{version=\"" BFF_VERSION "\"} 1\n");
	assert_has("\nbff_broker_up 1\n");
	assert_has("\nbff_database_connections 1\n");
	assert_has("\nbff_database_queries_in_flight 7\n");
	assert_has("\nbff_broker_keys 1\nbff_broker_peers 3\n");
}

static void without_the_broker_it_tells_the_rest(void **state)
{
	struct ipc_message other = {.number = IPC_FAILURE};

	(void)state;
	for (int i = 0; i < 4; i++) {
		stand.broker.refuses = i == 0 ? ERR_UNAVAILABLE : ERR_OK;
		scrape();
		if (i == 1) {
			piece(SV("bff_broker_keys 1\n"), 77);
			stand_broker(ERR_TIMEOUT, NULL); /* half of it is none of it */
		} else if (i == 2) {
			stand_broker(ERR_OK, &other);
		} else if (i == 3) {
			stand.broker.refuses = ERR_UNAVAILABLE;
			piece(SV("bff_broker_keys 1\n"), 77);
		}
		assert_answer(200);
		assert_has("\nbff_broker_up 0\n");
		assert_has("\nbff_denials_total{reason=\"tag\"} 0\n");
		assert_lacks("bff_broker_keys");
	}
}

/* A broker that never ends costs memory up to a limit. */
static void too_much_of_the_broker_is_none(void **state)
{
	static char text[IPC_METRICS_MAX];
	unsigned n = 0;

	(void)state;
	memset(text, '#', sizeof text);
	scrape();
	while (stand.done == 0) {
		assert_true(++n <= METRICS_TEXT_MAX / sizeof text + 1);
		piece(sv_of(text, sizeof text), n);
	}
	assert_answer(200);
	assert_has("\nbff_broker_up 0\n");
}

static void a_worker_without_counters_tells_that_it_is_up(void **state)
{
	(void)state;
	count_free(&stand.w.count);
	stand.broker.refuses = ERR_UNAVAILABLE;
	scrape();
	assert_answer(200);
	assert_has("\nbff_up 1\n");
	assert_lacks("bff_denials_total");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_counting, close_counting)
	const struct CMUnitTest tests[] = {
	    TEST(it_tells_ours_and_the_brokers),
	    TEST(without_the_broker_it_tells_the_rest),
	    TEST(too_much_of_the_broker_is_none),
	    TEST(a_worker_without_counters_tells_that_it_is_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

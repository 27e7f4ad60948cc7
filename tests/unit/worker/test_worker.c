/* The beginning: what a worker is ready by, and what it cannot start with. */
#include "tests/unit/worker/worker_stage.h"

static void until_both_had_an_outcome(struct worker *w)
{
	client_connects();
	turns(w);
	assert_int_equal(status(), 0);
	f.on_ready(w, false); /* "down" is an outcome, too */
	f.on_ready(w, true);
	turns(w);
	assert_int_equal(status(), 0);
	assert_int_equal(w->conns.n, 0);
	f.on_state(w, false);
	turns(w);
	assert_int_equal(status(), CONTRACT_READY);
	LOOP_UNTIL(w->base, w->conns.n == 1);
	f.on_state(w, true);
	f.on_ready(w, false);
	loop_fire_event(w->base, w->ev_warm_up);
	assert_int_equal(status(), 0); /* once */
	drain(w);
}

static void after_warm_up(struct worker *w)
{
	assert_int_equal(loop_asked_of(w->ev_warm_up), CONTRACT_WARM_UP_MS);
	f.on_state(w, false);
	assert_int_equal(status(), 0);
	loop_fire_event(w->base, w->ev_warm_up);
	assert_int_equal(status(), CONTRACT_READY);
	drain(w);
}

static void heartbeats_once_ready(struct worker *w)
{
	assert_int_equal(loop_asked_of(w->ev_heartbeat), CONTRACT_HEARTBEAT_MS);
	loop_fire_event(w->base, w->ev_heartbeat);
	assert_int_equal(status(), 0);
	become_ready(w);
	for (int i = 0; i < 3; i++) {
		loop_fire_event(w->base, w->ev_heartbeat);
		assert_int_equal(status(), CONTRACT_ALIVE);
	}
	assert_int_equal(status(), 0);
	drain(w);
}

static void test_ready_when_both_had_an_outcome(void **state)
{
	(void)state;
	assert_int_equal(run(until_both_had_an_outcome), CONTRACT_EXIT_OK);
}

static void test_ready_without_either_after_a_while(void **state)
{
	(void)state;
	assert_int_equal(run(after_warm_up), CONTRACT_EXIT_OK);
}

static void test_alive_is_said_of_a_ready_one(void **state)
{
	(void)state;
	assert_int_equal(run(heartbeats_once_ready), CONTRACT_EXIT_OK);
}

static void test_what_the_database_and_the_broker_are_given(void **state)
{
	static const char *const names[] = {"SESSION_GET", "SESSION_TOUCH", "REVOCATIONS",
					    "SESSION_END"};
	struct config *c = load("");
	unsigned char want[CRYPT_SHA256_LEN];

	(void)state;
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/run/creds", 1), 0);
	assert_int_equal(run(drain), CONTRACT_EXIT_OK);
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	assert_string_equal(f.options.user, "bff_web");
	assert_string_equal(f.password_file, "/run/creds/pw");
	assert_int_equal(f.options.password_file_mode, SECRET_FILE_STRICT);
	assert_int_equal(f.options.connections, 3);
	assert_string_equal(f.options.channel, SESSION_CACHE_CHANNEL);
	assert_int_equal(f.options.query_timeout_ms, 70);
	assert_int_equal(f.options.nstatements, ARRAY_LEN(names));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_string_equal(f.options.statements[i].name, names[i]);
	assert_string_equal(f.broker_path, "/run/bff/broker.sock");
	assert_int_equal(config_digest(c, want), ERR_OK);
	assert_memory_equal(f.digest, want, sizeof want);
	config_free(&c);
}

/* ---- what it cannot start with ---------------------------------------------------------- */

static void test_what_retrying_does_not_help_is_a_configuration_error(void **state)
{
	struct config *c = load("");

	(void)state;
	assert_int_equal(worker_run(&c, 2, 1, METRICS_SLAB_NONE),
			 CONTRACT_EXIT_CONFIG); /* two came, one is known */
	assert_null(c);
	write_key("short");
	assert_int_equal(run(NULL), CONTRACT_EXIT_CONFIG);
	assert_int_equal(unlink(f.key_path), 0);
	assert_int_equal(run(NULL), CONTRACT_EXIT_CONFIG);
	write_key("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"); /* mode 0644 */
	assert_int_equal(run(NULL), CONTRACT_EXIT_CONFIG);
	assert_int_equal(f.scripts, 0);
	assert_int_equal(f.failures, 4);
	assert_int_equal(status(), 0);
}

static void test_anything_else_is_an_error(void **state)
{
	(void)state;
	f.pg_says = ERR_NOMEM;
	assert_int_equal(run(NULL), CONTRACT_EXIT_ERROR);
	f.pg_says = ERR_CONFIG; /* a conninfo that is none */
	assert_int_equal(run(NULL), CONTRACT_EXIT_CONFIG);
	f.pg_says = ERR_OK;
	f.broker_says = ERR_NOMEM;
	assert_int_equal(run(NULL), CONTRACT_EXIT_ERROR);
	assert_int_equal(f.scripts, 0);
}

static enum err attempt(void *arg)
{
	unsigned at = torture_state.at;
	struct config *c;
	int got;

	(void)arg;
	torture_state.at = 0;
	c = load("");
	f.script = drain;
	torture_state.at = at;
	got = worker_run(&c, 1, 1, METRICS_SLAB_NONE);
	assert_int_equal(f.pg_opened + f.broker_opened, 0);
	assert_true(got == CONTRACT_EXIT_OK || got == CONTRACT_EXIT_ERROR);
	return got == CONTRACT_EXIT_OK ? ERR_OK : ERR_NOMEM;
}

static void test_without_memory_it_does_not_start(void **state)
{
	(void)state;
	assert_true(torture(attempt, NULL) > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAGE(test_ready_when_both_had_an_outcome),
	    STAGE(test_ready_without_either_after_a_while),
	    STAGE(test_alive_is_said_of_a_ready_one),
	    STAGE(test_what_the_database_and_the_broker_are_given),
	    STAGE(test_what_retrying_does_not_help_is_a_configuration_error),
	    STAGE(test_anything_else_is_an_error),
	    STAGE(test_without_memory_it_does_not_start),
	};

	return cmocka_run_group_tests(tests, take_contract_fds, NULL);
}

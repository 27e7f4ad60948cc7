#include "broker/broker.h"

#include <limits.h>

#include "tests/unit/broker/broker_stand.h"

/* ---- bff-broker -t ------------------------------------------------------------------------ */

static void check_reads_every_secret(void **state)
{
	static const char *const files[] = {"secret", "ring", "password"};
	struct errmsg e;

	(void)state;
	stand_write("password", "a password", 0600);
	assert_int_equal(check("", PASSWORD, &e), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		assert_int_equal(chmod(stand_file(files[i]), 0640), 0);
		assert_int_equal(check("", PASSWORD, &e), ERR_CONFIG);
		assert_non_null(strstr(e.text, stand_file(files[i])));
		assert_int_equal(chmod(stand_file(files[i]), 0600), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		const char *key = strcmp(files[i], "ring") == 0 ? "1 " RING_KEY_A "\n" : "again";

		stand_write(files[i], "", 0600);
		assert_int_equal(check("", PASSWORD, &e), ERR_CONFIG);
		assert_non_null(strstr(e.text, stand_file(files[i])));
		assert_int_equal(unlink(stand_file(files[i])), 0);
		assert_int_equal(check("", PASSWORD, &e), ERR_CONFIG);
		assert_non_null(strstr(e.text, stand_file(files[i])));
		stand_write(files[i], key, 0600);
		assert_int_equal(check("", PASSWORD, &e), ERR_OK);
	}
	assert_int_equal(unlink(stand_file("password")), 0);
	assert_int_equal(check("", "", &e), ERR_OK); /* not named, not read */
}

static void mounts_of_a_container_are_taken_where_that_is_said(void **state)
{
	static const char *const files[] = {"secret", "ring", "password"};
	struct errmsg e;

	(void)state;
	stand_write("password", "a password", 0444);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		assert_int_equal(chmod(stand_file(files[i]), 0444), 0);
	assert_int_equal(check("", PASSWORD, &e), ERR_CONFIG);
	assert_int_equal(check("secret_files = container", PASSWORD, &e), ERR_OK);
}

static void check_parses_the_ring(void **state)
{
	struct errmsg e;

	(void)state;
	stand_write("ring", "1 " RING_KEY_A "\n1 " RING_KEY_B "\n", 0600);
	assert_int_equal(check("", "", &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, stand_file("ring")));
	assert_null(strstr(e.text, RING_KEY_B));
}

static void peer_user_is_a_number_or_somebody(void **state)
{
	struct errmsg e;

	(void)state;
	assert_int_equal(check_user("0", &e), ERR_OK);
	assert_int_equal(check_user("4294967294", &e), ERR_OK);
	assert_int_equal(check_user("root", &e), ERR_OK);
	assert_int_equal(check_user("4294967295", &e), ERR_CONFIG); /* (uid_t)-1 is nobody */
	assert_non_null(strstr(e.text, "broker.peer_user: no user of the name 4294967295"));
	assert_int_equal(check_user("no-such-user", &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, stand.path));
	assert_non_null(strstr(e.text, "no-such-user"));
}

/* $CREDENTIALS_DIRECTORY may be of any length. */
static void paths_that_are_too_long_are_refused(void **state)
{
	static char dir[PATH_MAX + 1];
	struct config *c = stand_load();
	struct errmsg e = {0};

	(void)state;
	memset(dir, 'd', sizeof dir - 1);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", dir, 1), 0);
	c->database.broker_password_file = SV("credential:password");
	assert_int_equal(broker_check(c, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "database.broker_password_file: path too long"));
	c->broker.key_ring = SV("credential:ring");
	assert_int_equal(broker_check(c, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "broker.key_ring: path too long"));
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	config_free(&c);
}

/* ---- the start ---------------------------------------------------------------------------- */

static void the_database_is_opened_as_the_brokers_role(void **state)
{
	(void)state;
	stand_config("", "secret_files = container", PASSWORD);
	start();
	assert_string_equal(t.pg.user, "bff_broker");
	assert_ptr_equal(t.pg.statements, broker_statements);
	assert_int_equal(t.pg.nstatements, SQL_COUNT);
	assert_string_equal(t.password_file, stand_file("password"));
	assert_int_equal(t.pg.password_file_mode, SECRET_FILE_CONTAINER);
	assert_non_null(t.pg.channel); /* and what is said there is heard */
	assert_non_null(t.pg.listener.notified);
	t.on_ready(t.on_ready_arg, false);
	assert_int_equal(t.kicks, 0);
	t.on_ready(t.on_ready_arg, true);
	assert_int_equal(t.kicks, 1); /* asks which key seals */
}

static void what_cannot_be_used_keeps_it_from_starting(void **state)
{
	struct errmsg e = {0};

	(void)state;
	t.pg_refuses = true;
	assert_int_equal(make(NULL, 0, &e), ERR_CONFIG);
	assert_string_equal(e.text, "no such conninfo");
	t.pg_refuses = false;
	t.no_base = true;
	assert_int_equal(make(NULL, 0, &e), ERR_NOMEM);
	t.no_base = false;
	stand_write("ring", "no ring", 0600);
	assert_int_equal(make(NULL, 0, &e), ERR_CONFIG);
	stand_write("ring", "1 " RING_KEY_A "\n", 0600);
	assert_int_equal(unlink(stand_file("secret")), 0);
	assert_int_equal(make(NULL, 0, &e), ERR_CONFIG);
	assert_null(t.broker);
	assert_int_equal(stand.alive, 0);
}

static void two_brokers_have_two_names(void **state)
{
	unsigned char owner[BROKER_OWNER_LEN];

	(void)state;
	start();
	memcpy(owner, t.broker->owner, sizeof owner);
	broker_free(&t.broker);
	assert_null(t.broker);
	start();
	assert_memory_not_equal(t.broker->owner, owner, sizeof owner);
}

/* ---- listeners ---------------------------------------------------------------------------- */

static void what_is_handed_in_must_listen_for_packets(void **state)
{
	struct errmsg e = {0};
	int fds[3], pipe_fds[2];

	(void)state;
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	fds[0] = listener(SOCK_STREAM, true);
	fds[1] = listener(SOCK_SEQPACKET, false);
	fds[2] = pipe_fds[0];
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		int two[2] = {listener(SOCK_SEQPACKET, true), fds[i]};

		e = (struct errmsg){0};
		assert_int_equal(make(two, 2, &e), ERR_CONFIG);
		assert_non_null(strstr(e.text, "expected a listening SOCK_SEQPACKET socket"));
		assert_int_equal(fcntl(two[0], F_GETFD), -1); /* closed, both */
		assert_int_equal(fcntl(two[1], F_GETFD), -1);
	}
	(void)close(pipe_fds[1]);
}

static void listeners_have_a_limit(void **state)
{
	struct errmsg e = {0};
	int fds[BROKER_LISTENERS_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = listener(SOCK_SEQPACKET, true);
	assert_int_equal(make(fds, ARRAY_LEN(fds), &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "too many listeners"));
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		assert_int_equal(fcntl(fds[i], F_GETFD), -1);
}

static void what_is_handed_in_is_listened_on_and_no_path_is_bound(void **state)
{
	struct errmsg e = {0};
	int fds[2] = {listener(SOCK_SEQPACKET, true), listener(SOCK_SEQPACKET, true)};
	int clients[2];

	(void)state;
	assert_int_equal(make(fds, 2, &e), ERR_OK);
	assert_int_equal(access(stand_file("socket"), F_OK), -1);
	for (size_t i = 0; i < 2; i++)
		clients[i] = connect_fd(fds[i]);
	loop_turn(t.broker->base);
	assert_int_equal(t.broker->npeers, 2);
	assert_int_equal(t.broker->peer_uid, geteuid());
	for (size_t i = 0; i < 2; i++)
		(void)close(clients[i]);
}

static void a_turn_accepts_so_many_and_the_next_one_the_rest(void **state)
{
	int clients[70];

	(void)state;
	start();
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		clients[i] = connect_path();
	loop_turn(t.broker->base);
	assert_int_equal(t.broker->npeers, 64);
	loop_turn(t.broker->base);
	assert_int_equal(t.broker->npeers, ARRAY_LEN(clients));
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		(void)close(clients[i]);
}

/* ---- the drain ---------------------------------------------------------------------------- */

static void with_nothing_under_way_it_ends_at_once(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		int client;

		start();
		client = connect_path();
		loop_turn(t.broker->base);
		assert_int_equal(raise(signals[i]), 0);
		broker_run(t.broker);
		assert_true(t.broker->draining);
		assert_true(is_closed(client));
		assert_int_equal(t.broker->npeers + t.broker->nlisteners, 0);
		assert_logged("draining");
		(void)close(client);
		client = -1;
		assert_int_not_equal(ipc_connect(stand_file("socket"), &client), ERR_OK);
		broker_free(&t.broker);
	}
}

static void idle_peers_are_closed_and_a_busy_one_gets_its_answer(void **state)
{
	struct request *r;
	int idle, busy;

	(void)state;
	start();
	idle = connect_path();
	loop_turn(t.broker->base);
	busy = connect_path();
	loop_turn(t.broker->base);
	r = request_new();
	signal_and_turn(SIGTERM);
	assert_true(is_closed(idle));
	assert_false(is_closed(busy));
	assert_false(over());
	request_fail(&r, IPC_ERROR_STORE, request_detail("x"));
	assert_false(is_closed(busy)); /* not from within: who answered still has its objects */
	loop_turn(t.broker->base);
	assert_true(over());
	assert_true(recv(busy, &(char[IPC_FRAME_MAX]){0}, IPC_FRAME_MAX, 0) > 0);
	assert_true(is_closed(busy));
	(void)close(idle);
	(void)close(busy);
}

static void a_refresh_in_flight_is_waited_for(void **state)
{
	(void)state;
	start();
	t.grants = 1;
	signal_and_turn(SIGTERM);
	assert_false(over());
	broker_drained(t.broker);
	loop_turn(t.broker->base);
	assert_false(over());
	t.grants = 0;
	broker_drained(t.broker);
	assert_false(over()); /* deferred */
	loop_turn(t.broker->base);
	assert_true(over());
}

static void time_is_over_some_time(void **state)
{
	unsigned timers;

	(void)state;
	start();
	t.grants = 1;
	signal_and_turn(SIGTERM);
	assert_int_equal(loop_asked_of(t.broker->drain_timer), BROKER_DRAIN_MS);
	timers = loop_state.n;
	signal_and_turn(SIGTERM); /* a second one does not begin anew */
	signal_and_turn(SIGINT);
	assert_int_equal(loop_state.n, timers);
	assert_false(over());
	loop_fire_event(t.broker->base, t.broker->drain_timer);
	assert_true(over());
	assert_logged("drain_over");
}

static void without_memory_for_the_timer_it_does_not_wait(void **state)
{
	(void)state;
	start();
	t.grants = 1;
	loop_state.fails = 1;
	assert_int_equal(raise(SIGTERM), 0);
	loop_turn(t.broker->base);
	assert_int_equal(loop_state.fails, 0);
	assert_true(over());
}

/* ---- the end ------------------------------------------------------------------------------ */

static void the_end_is_in_order(void **state)
{
	int client;

	(void)state;
	start();
	client = connect_path();
	loop_turn(t.broker->base);
	t.pending = request_new();
	broker_free(&t.broker);
	assert_null(t.broker);
	assert_true(t.pg_closed && t.pg_stopping);
	assert_null(t.pending);		       /* and its edition was still there */
	assert_int_equal(t.alive_at_close, 0); /* providers first: their last callbacks query */
	assert_int_equal(t.kicks, 0);	       /* nothing is begun any more */
	assert_true(is_closed(client));
	(void)close(client);
	broker_free(&t.broker); /* NULL */
}

static enum err attempt(void *arg)
{
	unsigned at = torture_state.at;
	struct broker *b = NULL;
	struct errmsg e = {0};
	struct config *c;
	enum err rc;

	(void)arg;
	torture_state.at = 0;
	c = stand_load();
	torture_state.at = at;
	rc = broker_new(stand.path, &c, NULL, 0, &b, &e);
	assert_true((b != NULL) == (rc == ERR_OK));
	assert_true(rc == ERR_OK || e.text[0] != '\0');
	torture_state.at = 0;
	config_free(&c);
	broker_free(&b);
	return rc;
}

static void without_memory_there_is_none_and_it_says_so(void **state)
{
	(void)state;
	assert_true(torture(attempt, NULL) >= 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(check_reads_every_secret),
	    WITH(mounts_of_a_container_are_taken_where_that_is_said),
	    WITH(check_parses_the_ring),
	    WITH(peer_user_is_a_number_or_somebody),
	    WITH(paths_that_are_too_long_are_refused),
	    WITH(the_database_is_opened_as_the_brokers_role),
	    WITH(what_cannot_be_used_keeps_it_from_starting),
	    WITH(two_brokers_have_two_names),
	    WITH(what_is_handed_in_must_listen_for_packets),
	    WITH(listeners_have_a_limit),
	    WITH(what_is_handed_in_is_listened_on_and_no_path_is_bound),
	    WITH(a_turn_accepts_so_many_and_the_next_one_the_rest),
	    WITH(with_nothing_under_way_it_ends_at_once),
	    WITH(idle_peers_are_closed_and_a_busy_one_gets_its_answer),
	    WITH(a_refresh_in_flight_is_waited_for),
	    WITH(time_is_over_some_time),
	    WITH(without_memory_for_the_timer_it_does_not_wait),
	    WITH(the_end_is_in_order),
	    WITH(without_memory_there_is_none_and_it_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* pg_prepare: what a new connection is sent first, and what follows from the answers. */
#include "tests/unit/common/pg_stand.h"

#include "common/crypt.h"
#include "tests/unit/torture.h"

static struct pg_conn *conn(size_t i)
{
	return &pq.pg->conns[i];
}

static unsigned renewed;

static void on_notified(void *arg, struct sv payload)
{
	(void)arg;
	(void)payload;
}

static void on_renewed(void *arg, const struct pg_trip *t)
{
	(void)arg;
	(void)t;
	renewed++;
}

static void on_disturbed(void *arg, unsigned conn)
{
	(void)arg;
	(void)conn;
}

/* A pool with a channel. */
static void open_listening(unsigned connections)
{
	pq_open("host=h", connections, NULL);
	pq.pg->listener = (struct pg_listener){on_notified, on_renewed, on_disturbed, NULL};
	pq.pg->listen = strdup("listen x");
	renewed = 0;
}

static void answer(void)
{
	pq_result(PGRES_COMMAND_OK, NULL, NULL);
	pq_null();
}

/* From waiting to up, where the session of the server calls itself `number`; NULL: nothing says. */
static void up(struct pg_conn *c, const char *number)
{
	pq_timer(c);
	pq.poll = PGRES_POLLING_OK;
	pq_io(c, EV_WRITE);
	for (int i = 0; i < 3; i++) /* two statements, LISTEN */
		answer();
	if (number != NULL) {
		pq_result(PGRES_TUPLES_OK, NULL, NULL);
		(void)snprintf(pq.value, sizeof pq.value, "%s", number);
		pq_null();
	}
	pq_result(PGRES_PIPELINE_SYNC, NULL, NULL);
	pq_io(c, EV_READ);
	assert_int_equal(c->state, PG_UP);
}

static void all_of_it_is_one_round_trip(void **state)
{
	(void)state;
	open_listening(1);
	up(conn(0), "4711");
	assert_string_equal(pq.trace, "start=h poll pipeline prepare=a prepare=b ask=listen x "
				      "ask=select pg_catalog.pg_backend_pid() sync ");
	pq_close();
	pq_open("host=h", 1, NULL); /* nobody wants to know */
	pq_timer(conn(0));
	pq.poll = PGRES_POLLING_OK;
	pq_io(conn(0), EV_WRITE);
	assert_string_equal(pq.trace, "start=h poll pipeline prepare=a prepare=b sync ");
	pq_close();
}

static void a_name_is_its_text(void **state)
{
	unsigned char d[CRYPT_SHA256_LEN];
	char want[32];

	(void)state;
	pq_open("host=h", 1, NULL);
	for (size_t i = 0; i < ARRAY_LEN(pq_statements); i++) {
		assert_int_equal(crypt_sha256(sv_str(pq_statements[i].sql), d), ERR_OK);
		(void)snprintf(want, sizeof want, "%s_%02x%02x%02x%02x", pq_statements[i].name,
			       d[0], d[1], d[2], d[3]);
		assert_string_equal(pq.pg->names[i], want);
	}
	pq_close();
}

static void on_answer(void *arg, enum err e, const struct pg_rows *rows)
{
	(void)arg;
	(void)rows;
	assert_int_equal(e, ERR_OK);
}

/* Whether a round trip of the connection is told as a lease. */
static bool leases(struct pg_conn *c)
{
	struct pg_call *call = calloc(1, sizeof *call);
	unsigned before = renewed;

	assert_non_null(call);
	call->fn = on_answer;
	assert_true(pg_send_sync(c, call));
	pq_result(PGRES_PIPELINE_SYNC, NULL, NULL);
	pq_io(c, EV_READ);
	assert_int_equal(c->ncalls, 0);
	return renewed == before + 1;
}

static void behind_a_pooler_nothing_gives_a_lease(void **state)
{
	/* It tells a number of its own; whoever is not sure is told one, too. */
	static const char *const OTHERS[] = {"4712", "-4711", "04711", "47110", ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++) {
		open_listening(1);
		up(conn(0), OTHERS[i]);
		assert_false(leases(conn(0)));
		assert_string_equal(pq.events, "database_pooler\ndatabase_connected\n");
		assert_false(pg_hears(pq.pg));
		pq_close();
	}
	open_listening(1);
	up(conn(0), "4711");
	assert_true(leases(conn(0)));
	assert_string_equal(pq.events, "database_connected\n");
	assert_true(pg_hears(pq.pg));
	pq_close();
}

/* Each connection is judged by itself, each time, and the log has it once. */
static void a_pool_hears_if_all_of_it_does(void **state)
{
	(void)state;
	open_listening(2);
	assert_true(pg_hears(pq.pg)); /* nothing is up that would not */
	up(conn(0), "4711");
	up(conn(1), "1");
	assert_false(pg_hears(pq.pg));
	assert_true(leases(conn(0)));
	assert_false(leases(conn(1)));
	pg_conn_drop(conn(1), "lost", NULL);
	assert_true(pg_hears(pq.pg));
	up(conn(1), "2");
	assert_false(pg_hears(pq.pg));
	pg_conn_drop(conn(1), "lost", NULL);
	up(conn(1), "4711");
	assert_true(pg_hears(pq.pg));
	assert_true(leases(conn(1)));
	pg_conn_drop(conn(1), "lost", NULL);
	up(conn(1), NULL);
	assert_false(pg_hears(pq.pg));
	assert_false(leases(conn(1)));
	assert_string_equal(pq.events,
			    "database_connected\ndatabase_pooler\ndatabase_connected\nlost\n"
			    "database_connected\nlost\ndatabase_connected\nlost\n"
			    "database_connected\n");
	pq_close();
	pq_open("host=h", 1, NULL);
	pq_up(conn(0));
	assert_false(pg_hears(pq.pg)); /* no channel */
	pq_close();
}

static void a_statement_that_does_not_prepare(void **state)
{
	static const struct {
		const char *sqlstate, *events;
	} cases[] = {
	    {"42P01", "database_schema_mismatch\ndatabase_connect_failed\n"},
	    {"42501", "database_schema_mismatch\ndatabase_connect_failed\n"},
	    {"42P05", "database_pooler_unfit\ndatabase_connect_failed\n"}, /* there already */
	    {"53300", "database_connect_failed\n"}, /* not the schema's fault */
	    {"57P01", "database_connect_failed\n"},
	    {NULL, "database_connect_failed\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pg_conn *c;

		pq_open("host=h", 1, NULL);
		c = conn(0);
		pq_timer(c);
		pq.poll = PGRES_POLLING_OK;
		pq_io(c, EV_WRITE);
		pq_result(PGRES_COMMAND_OK, NULL, NULL);
		pq_null();
		pq_result(PGRES_FATAL_ERROR, cases[i].sqlstate, "ERROR");
		pq_io(c, EV_READ);
		assert_int_equal(c->state, PG_DOWN);
		assert_string_equal(pq.events, cases[i].events);
		assert_int_equal(pq.nready, 0);
		pq_close();
	}
}

static void a_connection_that_breaks_while_it_prepares(void **state)
{
	(void)state;
	for (int way = 0; way < 4; way++) {
		struct pg_conn *c;

		pq_open("host=h", 1, NULL);
		c = conn(0);
		pq_timer(c);
		pq.poll = PGRES_POLLING_OK;
		pq.send_fails = way == 0;
		pq.flush = way == 1 ? -1 : 0;
		pq_io(c, EV_WRITE);
		pq.consume_fails = way == 2;
		if (way == 3) { /* libpq expects nothing more, and no sync came */
			pq_null();
			pq_null();
		}
		if (way >= 2)
			pq_io(c, EV_READ);
		assert_int_equal(c->state, PG_DOWN);
		assert_int_equal(pq.finished, 1);
		pq_close();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_of_it_is_one_round_trip),
	    cmocka_unit_test(a_name_is_its_text),
	    cmocka_unit_test(behind_a_pooler_nothing_gives_a_lease),
	    cmocka_unit_test(a_pool_hears_if_all_of_it_does),
	    cmocka_unit_test(a_statement_that_does_not_prepare),
	    cmocka_unit_test(a_connection_that_breaks_while_it_prepares),
	};

	torture_libevent();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

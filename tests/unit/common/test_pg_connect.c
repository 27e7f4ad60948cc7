#include "tests/unit/common/pg_stand.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/contract.h"
#include "tests/unit/torture.h"

static struct pg_conn *conn(size_t i)
{
	return &pq.pg->conns[i];
}

static void the_way_up(void **state)
{
	struct pg_conn *c;

	(void)state;
	pq_open("host=h", 1, NULL);
	c = conn(0);
	assert_string_equal(pq.trace, ""); /* from the loop */
	pq_timer(c);
	assert_int_equal(c->state, PG_CONNECTING);
	assert_int_equal(c->io_want, EV_WRITE);
	assert_int_equal(loop_asked_of(c->timer), TIMEOUT_CONNECT_MS);
	pq.poll = PGRES_POLLING_READING;
	pq_io(c, EV_WRITE);
	assert_int_equal(c->io_want, EV_READ);
	pq.poll = PGRES_POLLING_OK;
	pq.flush = 1;
	pq_io(c, EV_READ);
	assert_int_equal(c->state, PG_PREPARING);
	assert_int_equal(c->io_want, EV_READ | EV_WRITE);
	assert_string_equal(pq.trace, "start=h poll poll pipeline prepare=a prepare=b sync ");
	pq.flush = 0;
	pq_io(c, EV_WRITE);
	assert_int_equal(c->io_want, EV_READ);
	pq_prepared();
	pq.nresults -= 2; /* all but the last null and the sync */
	pq_io(c, EV_READ);
	assert_int_equal(c->state, PG_PREPARING);
	assert_false(pg_ready(pq.pg));
	pq.nresults += 2;
	pq_io(c, EV_READ);
	assert_int_equal(c->state, PG_UP);
	assert_int_equal(pq.nready, 1);
	assert_false(evtimer_pending(c->timer, NULL));
	assert_string_equal(pq.events, "database_connected\n");
	pq_close();
	assert_int_equal(pq.nunready, 0); /* whoever closes knows */
}

static void hosts_in_turn_then_a_wait(void **state)
{
	struct pg_conn *c;

	(void)state;
	pq_open("host=a,b,c", 1, NULL);
	c = conn(0);
	pq.poll = PGRES_POLLING_FAILED;
	pq_timer(c);
	pq_io(c, EV_WRITE);
	pq_timer(c); /* b: no answer in time */
	assert_int_equal(c->state, PG_CONNECTING);
	pq_io(c, EV_WRITE);
	assert_int_equal(c->state, PG_DOWN);
	assert_string_equal(pq.trace, "start=a poll finish start=b finish start=c poll finish ");
	assert_int_equal(c->io_want, 0);
	assert_in_range(loop_asked_of(c->timer), PG_BACKOFF_MIN_MS / 2, PG_BACKOFF_MIN_MS);
	pq_forget();
	pq_timer(c);
	assert_string_equal(pq.trace, "start=a ");
	pq_close();
}

static void one_that_cannot_even_start(void **state)
{
	struct pg_conn *c;

	(void)state;
	pq_open("host=a,b", 1, NULL);
	c = conn(0);
	pq.start_fails = true;
	pq_timer(c);
	assert_int_equal(c->state, PG_DOWN);
	pq.start_fails = false;
	pq.status = CONNECTION_BAD;
	pq_timer(c);
	assert_int_equal(c->state, PG_DOWN);
	assert_string_equal(pq.trace, "start=a start=b start=a finish start=b finish ");
	pq_close();
}

static void back_off_grows_and_starts_anew(void **state)
{
	int64_t want = PG_BACKOFF_MIN_MS;
	struct pg_conn *c;

	(void)state;
	pq_open("host=h", 1, NULL);
	c = conn(0);
	pq.start_fails = true;
	for (int i = 0; i < 10; i++) {
		pq_timer(c);
		assert_in_range(loop_asked_of(c->timer),
				want / 2 < PG_BACKOFF_MIN_MS ? PG_BACKOFF_MIN_MS : want / 2, want);
		want = want * 2 > PG_BACKOFF_MAX_MS ? PG_BACKOFF_MAX_MS : want * 2;
	}
	pq.start_fails = false;
	pq_up(c);
	pg_conn_drop(c, "lost", NULL);
	assert_int_equal(loop_asked_of(c->timer), PG_BACKOFF_MIN_MS);
	pq_close();
}

static void the_password_is_read_for_each_connection(void **state)
{
	char path[] = "/tmp/bff-test-pg-XXXXXX";
	int fd = mkstemp(path);
	struct pg_conn *c;

	(void)state;
	assert_int_equal(write(fd, "one", 3), 3);
	pq_open("host=h", 1, path);
	c = conn(0);
	pq.status = CONNECTION_BAD;
	pq_timer(c);
	assert_int_equal(pwrite(fd, "two", 3, 0), 3);
	pq_timer(c);
	assert_string_equal(pq.trace, "start=h password=one finish start=h password=two finish ");
	pq_forget();
	assert_int_equal(fchmod(fd, 0644), 0); /* readable by others: no connection with it */
	pq_timer(c);
	assert_string_equal(pq.trace, "");
	assert_string_equal(pq.events, "database_password_unreadable\n");
	assert_int_equal(c->state, PG_DOWN);
	(void)close(fd);
	(void)unlink(path);
	pq_close();
}

static void ready_is_told_at_changes(void **state)
{
	(void)state;
	pq_open("host=h", 2, NULL);
	pq_up(conn(1));
	pq_up(conn(0));
	assert_int_equal(pq.nready, 1);
	pg_conn_drop(conn(1), "lost", NULL);
	assert_int_equal(pq.nunready, 0);
	assert_true(pg_ready(pq.pg));
	pg_conn_drop(conn(0), "lost", NULL);
	assert_int_equal(pq.nunready, 1);
	pq_close();
}

struct asked {
	unsigned calls;
	enum err e;
	bool closes;
};

static void on_answer(void *arg, enum err e, const struct pg_rows *rows)
{
	struct asked *a = arg;

	assert_null(rows);
	a->calls++;
	a->e = e;
	if (a->closes) {
		pg_close(&pq.pg);
		return;
	}
	/* First the state, then the callers. */
	if (pq.pg != NULL)
		assert_int_equal(pg_query(pq.pg, STATEMENT_B, NULL, on_answer, a, NULL),
				 ERR_UNAVAILABLE);
}

static void what_waits_on_a_lost_connection(void **state)
{
	struct asked a[3] = {{0}, {0}, {0}};

	(void)state;
	pq_open("host=h", 1, NULL);
	pq_up(conn(0));
	assert_int_equal(pg_query(pq.pg, STATEMENT_B, NULL, on_answer, &a[0], NULL), ERR_OK);
	pq_pass(PQ_TIMEOUT_MS);
	assert_int_equal(pg_query(pq.pg, STATEMENT_B, NULL, on_answer, &a[1], NULL), ERR_OK);
	pg_conn_drop(conn(0), "lost", NULL);
	assert_int_equal(a[0].e, ERR_TIMEOUT); /* its own deadline */
	assert_int_equal(a[1].e, ERR_UNAVAILABLE);
	assert_int_equal(a[0].calls + a[1].calls, 2);
	assert_int_equal(conn(0)->ncalls, 0);
	pq_up(conn(0)); /* and it comes back */
	pq_close();
}

static void a_callback_that_closes_the_pool(void **state)
{
	struct asked a[2] = {{.closes = true}, {0}};

	(void)state;
	pq_open("host=h", 1, NULL);
	pq_up(conn(0));
	assert_int_equal(pg_query(pq.pg, STATEMENT_B, NULL, on_answer, &a[0], NULL), ERR_OK);
	assert_int_equal(pg_query(pq.pg, STATEMENT_B, NULL, on_answer, &a[1], NULL), ERR_OK);
	pq.consume_fails = true;
	pq_io(conn(0), EV_READ);
	assert_null(pq.pg);
	assert_int_equal(a[0].e, ERR_UNAVAILABLE);
	assert_int_equal(a[1].calls, 1);
	assert_int_equal(a[1].e, ERR_CANCELED);
	pq_close();
}

static unsigned renewed, disturbed;

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
	disturbed++;
}

static void on_any_answer(void *arg, enum err e, const struct pg_rows *rows)
{
	(void)e;
	(void)rows;
	++*(unsigned *)arg;
}

/* An error that answers no query may be one in taking in a notification: what came over this
 * connection is no longer to be relied on, nor is what comes with it. */
static void an_error_of_its_own_accord_ends_the_connection(void **state)
{
	static const struct {
		const char *severity;
		bool ends;
	} cases[] = {{"DEBUG", false},	{"LOG", false},	    {"INFO", false},
		     {"NOTICE", false}, {"WARNING", false}, {"ERROR", true},
		     {"FATAL", true},	{"PANIC", true},    {NULL, true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct pq_result notice = {.severity = cases[i].severity};
		struct pg_conn *c;
		unsigned calls = 0;

		pq_open("host=h", 1, NULL);
		c = &pq.pg->conns[0];
		pq_up(c);
		pq.pg->listener = (struct pg_listener){NULL, on_renewed, on_disturbed, NULL};
		pq.pg->listen = strdup("listen x");
		c->is_direct = true;
		renewed = disturbed = 0;
		assert_int_equal(pg_query(pq.pg, STATEMENT_B, NULL, on_any_answer, &calls, NULL),
				 ERR_OK);
		pq_result(PGRES_TUPLES_OK, NULL, NULL);
		pq_null();
		pq_result(PGRES_PIPELINE_SYNC, NULL, NULL);
		pq.notice_comes = &notice;
		pq_io(c, EV_READ);
		assert_int_equal(renewed, cases[i].ends ? 0 : 1);
		loop_turn(pq.base);
		assert_int_equal(calls, 1);
		assert_int_equal(disturbed, cases[i].ends ? 1 : 0);
		assert_int_equal(c->state, cases[i].ends ? PG_DOWN : PG_UP);
		pq_close();
	}
}

static void illegal_transitions_abort(void **state)
{
	static const struct {
		enum pg_conn_state from, to;
	} cases[] = {
	    {PG_DOWN, PG_UP},	    {PG_DOWN, PG_PREPARING}, {PG_CONNECTING, PG_UP},
	    {PG_UP, PG_CONNECTING}, {PG_UP, PG_PREPARING},   {PG_UP, PG_UP},
	};

	(void)state;
	pq_open("host=h", 1, NULL);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		pid_t pid = fork();
		int status;

		assert_int_not_equal(pid, -1);
		if (pid == 0) {
			const struct rlimit none = {0, 0};

			(void)setrlimit(RLIMIT_CORE, &none);
			(void)signal(SIGABRT, SIG_DFL);
			(void)close(STDERR_FILENO);
			conn(0)->state = cases[i].from;
			pg_conn_set_state(conn(0), cases[i].to);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
	pq_close();
}

static enum err attempt(void *arg)
{
	struct pg_options o = {.conninfo = "host=a,b",
			       .password_file = "/p",
			       .user = "u",
			       .statements = pq_statements,
			       .nstatements = 2,
			       .connections = 2,
			       .query_timeout_ms = 1};
	struct pg *p = NULL;
	struct errmsg e = {""};
	enum err err = pg_open(arg, &o, &p, &e);

	assert_true((p != NULL) == (err == ERR_OK));
	assert_true((e.text[0] == '\0') == (err == ERR_OK));
	pg_close(&p);
	return err;
}

static void without_memory_there_is_no_pool(void **state)
{
	(void)state;
	pq_open("host=h", 1, NULL);
	assert_true(torture(attempt, pq.base) >= 3 + 2 * 3);
	pq_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_way_up),
	    cmocka_unit_test(hosts_in_turn_then_a_wait),
	    cmocka_unit_test(one_that_cannot_even_start),
	    cmocka_unit_test(back_off_grows_and_starts_anew),
	    cmocka_unit_test(the_password_is_read_for_each_connection),
	    cmocka_unit_test(ready_is_told_at_changes),
	    cmocka_unit_test(what_waits_on_a_lost_connection),
	    cmocka_unit_test(a_callback_that_closes_the_pool),
	    cmocka_unit_test(an_error_of_its_own_accord_ends_the_connection),
	    cmocka_unit_test(illegal_transitions_abort),
	    cmocka_unit_test(without_memory_there_is_no_pool),
	};

	torture_libevent();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Rule Zero: over 400 lines, for the model of a server at the end needs what the cases need. */
#include "tests/unit/chance.h"
#include "tests/unit/common/pg_calls.h"

static void reads_of_one_turn_are_one_transaction(void **state)
{
	struct asked a[3];
	int64_t first_ms = pq.now_ms;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		ask_grouped(&a[i]);
		pq_pass(5);
	}
	assert_string_equal(pq.trace, "query=a query=a query=a ");
	loop_turn(pq.base);
	assert_string_equal(pq.trace, "query=a query=a query=a sync ");
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		row(PGRES_TUPLES_OK, NULL);
	pq_io(conn(), EV_READ);
	assert_int_equal(answered, 0); /* a notification may still come before its end */
	pq_result(PGRES_PIPELINE_SYNC, NULL, NULL);
	pq_io(conn(), EV_READ);
	for (unsigned i = 0; i < ARRAY_LEN(a); i++) {
		assert_int_equal(a[i].e, ERR_OK);
		assert_int_equal(a[i].order, i + 1);
		assert_int_equal(a[i].sent_ms, first_ms);
	}
	assert_int_equal(conn()->ncalls, 0);
	pq_forget();
	ask_grouped(&a[0]); /* the next turn's is another one */
	loop_turn(pq.base);
	assert_string_equal(pq.trace, "query=a sync ");
	row(PGRES_TUPLES_OK, NULL);
	pq_result(PGRES_PIPELINE_SYNC, NULL, NULL);
	pq_io(conn(), EV_READ);
	assert_int_equal(a[0].sent_ms, first_ms + 15);
}

static void nothing_else_is_in_a_group(void **state)
{
	static struct asked a[PG_GROUP_MAX + 3]; /* canceled at the end */
	struct pg_call *bare = calloc(1, sizeof *bare);

	(void)state;
	ask_grouped(&a[0]);
	ask(&a[1]);
	ask_grouped(&a[2]);
	assert_string_equal(pq.trace, "query=a sync query=b sync query=a ");
	row(PGRES_TUPLES_OK, NULL);
	pq_result(PGRES_PIPELINE_SYNC, NULL, NULL);
	answer(PGRES_TUPLES_OK, NULL, NULL);
	pq_io(conn(), EV_READ); /* which libpq begins with writing */
	assert_string_equal(pq.trace, "query=a sync query=b sync query=a sync ");
	assert_int_equal(a[0].calls + a[1].calls, 2);
	assert_int_equal(a[2].calls, 0);
	pq_forget();
	ask_grouped(&a[0]);
	assert_true(pg_send_sync(conn(), bare)); /* the lease's is as good as any */
	assert_string_equal(pq.trace, "query=a sync ");
	pq_forget();
	for (size_t i = 0; i < PG_GROUP_MAX; i++) {
		assert_null(strstr(pq.trace, "sync"));
		ask_grouped(&a[3 + i]);
	}
	assert_non_null(strstr(pq.trace, "query=a sync "));
	ask_grouped(&a[1]);
	assert_int_equal(conn()->grouped, 1);
}

static void what_does_not_fit_waits_for_the_socket(void **state)
{
	struct asked a;

	(void)state;
	pq.flush = 1;
	ask(&a);
	loop_turn(pq.base);
	assert_int_equal(conn()->io_want, EV_READ | EV_WRITE);
	pq.flush = 0;
	pq_io(conn(), EV_WRITE);
	assert_int_equal(conn()->io_want, EV_READ);
	pq.flush = -1;
	pq_io(conn(), EV_WRITE);
	assert_int_equal(a.e, ERR_UNAVAILABLE);
	assert_int_equal(conn()->state, PG_DOWN);
}

/* Nobody is called back from within pg_query(), not even those before. */
static void a_send_that_fails_drops_from_the_loop(void **state)
{
	struct asked a, b = {0};

	(void)state;
	ask(&a);
	pq.send_fails = true;
	assert_int_equal(pg_query(pq.pg, STATEMENT_B, NULL, on_answer, &b, NULL), ERR_UNAVAILABLE);
	assert_int_equal(a.calls, 0);
	pq.send_fails = false;
	assert_int_equal(pg_query(pq.pg, STATEMENT_B, NULL, on_answer, &b, NULL), ERR_UNAVAILABLE);
	loop_turns(pq.base, 2);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.e, ERR_UNAVAILABLE);
	assert_int_equal(b.calls, 0);
	assert_int_equal(conn()->state, PG_DOWN);
}

static void a_group_waits_behind_two(void **state)
{
	struct asked first, second, a[3];

	(void)state;
	conn()->queues = true;
	ask_grouped(&first);
	loop_turn(pq.base);
	ask_grouped(&second);
	loop_turn(pq.base);
	assert_string_equal(pq.trace, "query=a sync query=a sync ");
	pq_forget();
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		ask_grouped(&a[i]);
		loop_turns(pq.base, 2);
	}
	assert_string_equal(pq.trace, "query=a query=a query=a ");
	row(PGRES_TUPLES_OK, NULL);
	pq_io(conn(), EV_READ); /* the answer begins */
	assert_string_equal(pq.trace, "query=a query=a query=a sync ");
	assert_int_equal(answered, 0);
	pq_result(PGRES_PIPELINE_SYNC, NULL, NULL);
	answer(PGRES_TUPLES_OK, NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		row(PGRES_TUPLES_OK, NULL);
	pq_result(PGRES_PIPELINE_SYNC, NULL, NULL);
	pq_io(conn(), EV_READ);
	assert_int_equal(answered, 5);
	assert_int_equal(a[2].sent_ms, a[0].sent_ms);
	assert_int_equal(conn()->ncalls, 0);
}

static void on_answer_ask(void *arg, enum err e, const struct pg_rows *rows)
{
	struct pg_param p = PG_SV(SV("x"));

	(void)rows;
	assert_int_equal(e, ERR_OK);
	assert_int_equal(pg_query(pq.pg, STATEMENT_A, &p, on_answer, arg, NULL), ERR_OK);
}

/* All is answered at once: there is no answer left that the group might wait for. */
static void a_group_does_not_wait_for_nothing(void **state)
{
	struct asked a[3] = {0};

	(void)state;
	conn()->queues = true;
	assert_int_equal(pg_query(pq.pg, STATEMENT_B, NULL, on_answer_ask, &a[0], NULL), ERR_OK);
	ask(&a[1]);
	ask(&a[2]);
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		answer(PGRES_TUPLES_OK, NULL, NULL);
	pq_forget();
	pq_io(conn(), EV_READ);
	assert_string_equal(pq.trace, "query=a ");
	loop_turn(pq.base);
	assert_string_equal(pq.trace, "query=a sync ");
	answer(PGRES_TUPLES_OK, NULL, NULL);
	pq_io(conn(), EV_READ);
	assert_int_equal(a[0].calls, 1);
}

/* Over twice the fastest so far, from its sending on: what it waited here before is not counted,
 * nor is a statement of its own. */
static void a_group_that_took_long_had_to_queue(void **state)
{
	static const struct {
		int64_t took_ms;
		bool want;
	} cases[] = {{5, false}, {10, false}, {11, true}, {9, false},
		     {4, false}, {9, true},   {8, false}};
	struct asked a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ask_grouped(&a);
		pq_pass(100);
		loop_turn(pq.base);
		pq_pass(cases[i].took_ms);
		answer(PGRES_TUPLES_OK, NULL, NULL);
		pq_io(conn(), EV_READ);
		assert_int_equal(a.e, ERR_OK);
		assert_int_equal(conn()->queues, cases[i].want);
	}
	ask(&a);
	answer(PGRES_TUPLES_OK, NULL, NULL);
	pq_io(conn(), EV_READ);
	assert_false(conn()->queues);
	assert_int_equal(conn()->fastest_us, 4000);
}

/* On the wire they do not stand in each other's way. */
static void where_nothing_queues_no_group_waits(void **state)
{
	static struct asked a[5];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		ask_grouped(&a[i]);
		loop_turn(pq.base);
	}
	assert_int_equal(conn()->ntrips, ARRAY_LEN(a));
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		answer(PGRES_TUPLES_OK, NULL, NULL);
	pq_io(conn(), EV_READ);
	assert_int_equal(answered, ARRAY_LEN(a));
}

/* One that breaks or does not answer takes the group along that waits. */
static void a_group_that_waits_has_its_deadline(void **state)
{
	struct asked a[3];

	(void)state;
	conn()->queues = true;
	conn()->fastest_us = 1;
	ask(&a[0]);
	ask(&a[1]);
	pq_pass(400);
	ask_grouped(&a[2]);
	loop_turn(pq.base);
	assert_null(strstr(pq.trace, "query=a sync "));
	pq_pass(PQ_TIMEOUT_MS - 400);
	pq_timer(conn());
	assert_int_equal(a[0].e, ERR_TIMEOUT);
	assert_int_equal(a[2].e, ERR_UNAVAILABLE);
	assert_int_equal(a[2].calls, 1);
	pq_up(conn());
	assert_false(conn()->queues); /* another server may be */
	assert_int_equal(conn()->fastest_us, 0);
	ask_grouped(&a[0]); /* nothing is under way any more */
	loop_turn(pq.base);
	assert_string_equal(pq.trace, "query=a sync ");
	row(PGRES_TUPLES_OK, NULL);
	pq_result(PGRES_PIPELINE_SYNC, NULL, NULL);
	pq_io(conn(), EV_READ);
	assert_int_equal(a[0].e, ERR_OK);
}

static void which_connection_is_asked(void **state)
{
	static struct asked a[8]; /* canceled at the end */

	teardown(state);
	pq_open("host=h", 2, NULL);
	pq_up(&pq.pg->conns[0]);
	pq_up(&pq.pg->conns[1]);
	pq.pg->conns[0].queues = pq.pg->conns[1].queues = true;
	ask_grouped(&a[0]);
	ask_grouped(&a[1]); /* of one turn: together, though the other one is idle */
	assert_int_equal(pq.pg->conns[0].grouped, 2);
	loop_turn(pq.base);
	ask(&a[2]); /* the idle one */
	ask(&a[3]); /* the one with fewer calls */
	assert_int_equal(pq.pg->conns[1].ncalls, 2);
	ask_grouped(&a[4]); /* as few: the first, which is not ahead */
	loop_turn(pq.base);
	assert_int_equal(pq.pg->conns[0].ntrips, 2);
	ask_grouped(&a[5]);
	loop_turn(pq.base);
	assert_int_equal(pq.pg->conns[1].grouped, 1); /* waits ... */
	pq.pg->conns[1].ncalls += 10;
	ask_grouped(&a[6]); /* ... and is joined, however many they are */
	assert_int_equal(pq.pg->conns[1].grouped, 2);
	pq.pg->conns[1].ncalls -= 10;
	pq.pg->max_calls = pq.pg->conns[1].ncalls;
	ask_grouped(&a[7]); /* but for the limit */
	assert_int_equal(pq.pg->conns[0].grouped, 1);
}

static void an_idle_connection_goes_before_a_group_that_waits(void **state)
{
	static struct asked a[4]; /* canceled at the end */

	teardown(state);
	pq_open("host=h", 2, NULL);
	pq_up(&pq.pg->conns[1]);
	pq.pg->conns[1].queues = true;
	ask(&a[0]);
	ask(&a[1]);
	ask_grouped(&a[2]);
	assert_int_equal(pq.pg->conns[1].grouped, 1);
	pq_up(&pq.pg->conns[0]);
	ask_grouped(&a[3]);
	assert_int_equal(pq.pg->conns[0].grouped, 1);
}

/* ---- whatever comes in whatever order ------------------------------------------------------- */

#define WORLDS 300
#define STEPS 200
#define MANY 8192

static struct {
	uint64_t chance;
	struct asked asked[MANY];
	size_t nasked;
	bool over;			/* nobody asks any more */
	unsigned waited;		/* groups, over a turn */
	size_t sent[MANY], first, last; /* statements of each transaction that libpq was given */
	size_t open;			/* statements since the last sync */
} world;

static void on_world(void *arg, enum err e, const struct pg_rows *rows);

static void world_ask(void)
{
	static const struct pg_param x = {.p = "x", .n = 1};

	assert_true(world.nasked < MANY);
	assert_int_equal(pg_query(pq.pg,
				  chance_below(&world.chance, 8) == 0 ? STATEMENT_B : STATEMENT_A,
				  &x, on_world, &world.asked[world.nasked], NULL),
			 ERR_OK);
	world.nasked++;
}

static void on_world(void *arg, enum err e, const struct pg_rows *rows)
{
	on_answer(arg, e, rows);
	assert_int_equal(e, ERR_OK);
	if (!world.over && chance_below(&world.chance, 3) == 0)
		world_ask();
}

/* What libpq was given since. */
static void world_look(void)
{
	for (char *p = strtok(pq.trace, " "); p != NULL; p = strtok(NULL, " ")) {
		if (strcmp(p, "sync") != 0) {
			world.open++;
			continue;
		}
		world.sent[world.last++] = world.open;
		assert_true(world.last < MANY);
		world.open = 0;
	}
	pq_forget();
	assert_int_equal(conn()->ntrips, world.last - world.first);
	assert_int_equal(conn()->grouped, world.open);
}

/* So many transactions of those under way are answered in one read. */
static void world_answer(size_t n)
{
	for (; n > 0 && world.first < world.last; n--) {
		for (size_t i = world.sent[world.first++]; i > 0; i--)
			row(PGRES_TUPLES_OK, NULL);
		pq_result(PGRES_PIPELINE_SYNC, NULL, NULL);
	}
	pq_io(conn(), EV_READ);
	assert_int_equal(pq.taken, pq.nresults);
	for (size_t i = 0; i < pq.taken; i++)
		assert_true(pq.results[i].null || pq.results[i].cleared);
	pq.taken = pq.nresults = 0;
}

static void world_step(void)
{
	struct pg_call *bare;

	pq_pass(chance_below(&world.chance, 2));
	switch (chance_below(&world.chance, 8)) {
	case 0:
		bare = calloc(1, sizeof *bare);
		assert_non_null(bare);
		assert_true(pg_send_sync(conn(), bare));
		break;
	case 1:
		pq_io(conn(), EV_WRITE);
		break;
	case 2:
	case 3:
		world_look();
		world_answer(chance_below(&world.chance, 4));
		break;
	case 4:
		for (uint32_t n = chance_below(&world.chance, 2 * PG_GROUP_MAX); n > 0; n--)
			world_ask();
		break;
	default:
		world_ask();
		break;
	}
	world_look();
	if (chance_below(&world.chance, 2) == 0)
		return;
	loop_turn(pq.base);
	world_look();
	/* Whatever waits, waits for an answer that will come. */
	assert_true(conn()->grouped == 0 || conn()->ntrips >= PG_TRIPS_AHEAD);
	world.waited += conn()->grouped > 0;
}

static void none_is_left_unsent(void **state)
{
	unsigned waited = 0;

	for (uint32_t seed = 1; seed <= WORLDS; seed++) {
		memset(&world, 0, sizeof world);
		world.chance = chance_of(seed);
		for (unsigned i = 0; i < STEPS; i++)
			world_step();
		world.over = true;
		while (conn()->ncalls > 0) {
			loop_turn(pq.base);
			world_look();
			assert_true(world.first < world.last);
			world_answer(1);
		}
		for (size_t i = 0; i < world.nasked; i++)
			assert_int_equal(world.asked[i].calls, 1);
		waited += world.waited;
		teardown(state);
		setup(state);
	}
	assert_in_range(waited, WORLDS * STEPS / 100, WORLDS * STEPS); /* some did */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(reads_of_one_turn_are_one_transaction),
	    CASE(nothing_else_is_in_a_group),
	    CASE(a_group_waits_behind_two),
	    CASE(a_group_that_took_long_had_to_queue),
	    CASE(where_nothing_queues_no_group_waits),
	    CASE(a_group_does_not_wait_for_nothing),
	    CASE(a_group_that_waits_has_its_deadline),
	    CASE(which_connection_is_asked),
	    CASE(an_idle_connection_goes_before_a_group_that_waits),
	    CASE(none_is_left_unsent),
	    CASE(what_does_not_fit_waits_for_the_socket),
	    CASE(a_send_that_fails_drops_from_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Rule Zero: over 400 lines, for the model of a server at the end needs what the cases need. */
#include "tests/unit/chance.h"
#include "tests/unit/common/pg_calls.h"

static void reads_of_one_turn_are_one_statement(void **state)
{
	static const char key[PG_KEY_MAX + 1] = "thirty-two bytes of which no one";
	static const size_t lengths[] = {PG_KEY_MAX, 0, 1};
	struct asked a[ARRAY_LEN(lengths)] = {0};
	int64_t first_ms = pq.now_ms;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		struct pg_param p = PG_BYTES(key, lengths[i]);

		assert_int_equal(pg_query(pq.pg, STATEMENT_A, &p, on_answer, &a[i], NULL), ERR_OK);
		pq_pass(5);
	}
	assert_string_equal(pq.trace, "");
	loop_turn(pq.base);
	assert_string_equal(pq.trace, "query=a3 sync ");
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		assert_true(sv_eq(pq.keys[i], sv_of(key, lengths[i])));
	answer_rows(3);
	pq.nresults--;
	pq_io(conn(), EV_READ);
	assert_int_equal(answered, 0); /* a notification may still come before its end */
	pq.nresults++;
	pq_io(conn(), EV_READ);
	for (unsigned i = 0; i < ARRAY_LEN(a); i++) {
		assert_int_equal(a[i].e, ERR_OK);
		assert_int_equal(a[i].row, i);
		assert_int_equal(a[i].order, i + 1);
		assert_int_equal(a[i].sent_ms, first_ms);
	}
	assert_int_equal(conn()->ncalls, 0);
	pq_forget();
	ask_grouped(&a[0]); /* the next turn's is another one */
	loop_turn(pq.base);
	assert_string_equal(pq.trace, "query=a1 sync ");
	answer_rows(1);
	pq_io(conn(), EV_READ);
	assert_int_equal(a[0].sent_ms, first_ms + 15);
}

static void nothing_else_is_in_a_group(void **state)
{
	static struct asked a[PG_GROUP_MAX + 3]; /* canceled at the end */

	(void)state;
	ask_grouped(&a[0]);
	ask(&a[1]);
	ask_grouped(&a[2]);
	assert_string_equal(pq.trace, "query=a1 sync query=b sync ");
	answer_rows(1);
	answer(PGRES_TUPLES_OK, NULL, NULL);
	pq_io(conn(), EV_READ);
	assert_string_equal(pq.trace, "query=a1 sync query=b sync query=a1 sync ");
	assert_int_equal(a[0].calls + a[1].calls, 2);
	assert_int_equal(a[2].calls, 0);
	pq_forget();
	ask_grouped(&a[0]);
	assert_true(pg_send_sync(conn(), pg_call_new(pq.pg, PG_STMT_NONE)));
	assert_string_equal(pq.trace, "query=a1 sync sync ");
	pq_forget();
	for (size_t i = 0; i < PG_GROUP_MAX; i++) {
		assert_string_equal(pq.trace, "");
		ask_grouped(&a[3 + i]);
	}
	assert_string_equal(pq.trace, "query=a32 sync ");
	ask_grouped(&a[1]);
	assert_int_equal(conn()->grouped, 1);
}

static void a_calls_memory_is_used_again_but_not_all_is_kept(void **state)
{
	struct pg_call *call = NULL, *next = NULL;
	struct asked a = {0};

	(void)state;
	assert_int_equal(pg_query(pq.pg, STATEMENT_B, NULL, on_answer, &a, &call), ERR_OK);
	answer(PGRES_TUPLES_OK, NULL, NULL);
	pq_io(conn(), EV_READ);
	assert_int_equal(pq.pg->nspare, 1);
	assert_int_equal(pg_query(pq.pg, STATEMENT_B, NULL, on_answer, &a, &next), ERR_OK);
	assert_ptr_equal(next, call);
	assert_int_equal(pq.pg->nspare, 0);
	for (unsigned i = 0; i < PG_SPARE_MAX; i++) {
		pq_forget();
		ask(&a);
	}
	while (conn()->ncalls > 0) {
		pq.taken = pq.nresults = 0;
		answer(PGRES_TUPLES_OK, NULL, NULL);
		pq_io(conn(), EV_READ);
	}
	assert_int_equal(pq.pg->nspare, PG_SPARE_MAX);
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
	assert_string_equal(pq.trace, "query=a1 sync query=a1 sync ");
	pq_forget();
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		ask_grouped(&a[i]);
		loop_turns(pq.base, 2);
	}
	assert_string_equal(pq.trace, "");
	answer_rows(1);
	pq.nresults--;
	pq_io(conn(), EV_READ); /* the answer begins */
	assert_string_equal(pq.trace, "query=a3 sync ");
	assert_int_equal(answered, 0);
	pq.nresults++;
	answer_rows(1);
	answer_rows(3);
	pq_io(conn(), EV_READ);
	assert_int_equal(answered, 5);
	assert_int_equal(a[2].sent_ms, a[0].sent_ms);
	assert_int_equal(conn()->ncalls, 0);
}

static void on_answer_ask(void *arg, enum err e, const struct pg_rows *rows)
{
	struct pg_param p = PG_BYTES("x", 1);

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
	assert_string_equal(pq.trace, "");
	loop_turn(pq.base);
	assert_string_equal(pq.trace, "query=a1 sync ");
	answer(PGRES_TUPLES_OK, NULL, NULL);
	pq_io(conn(), EV_READ);
	assert_int_equal(a[0].calls, 1);
}

/* Over twice the fastest lately, from its sending on: what it waited here before is not counted,
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
	assert_in_range(conn()->fastest_ns, 4000000, 4010000);
}

/* A machine that became slower for good, or a first answer that came fast by chance. */
static void what_was_fastest_once_is_forgotten(void **state)
{
	struct asked a;

	(void)state;
	for (unsigned i = 0; i < 2 * PG_FORGET; i++) {
		pq.taken = pq.nresults = 0;
		ask_grouped(&a);
		loop_turn(pq.base);
		pq_pass(i == 0 ? 5 : 20);
		answer_rows(1);
		pq_io(conn(), EV_READ);
		pq_forget();
		if (i > 0 && i < PG_FORGET / 2)
			assert_true(conn()->queues);
	}
	assert_false(conn()->queues);
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
		answer_rows(1);
	pq_io(conn(), EV_READ);
	assert_int_equal(answered, ARRAY_LEN(a));
}

/* One that breaks or does not answer takes the group along that waits. */
static void a_group_that_waits_has_its_deadline(void **state)
{
	struct asked a[3];

	(void)state;
	conn()->queues = true;
	conn()->fastest_ns = 1;
	ask(&a[0]);
	ask(&a[1]);
	pq_pass(400);
	ask_grouped(&a[2]);
	loop_turn(pq.base);
	assert_null(strstr(pq.trace, "query=a"));
	pq_pass(PQ_TIMEOUT_MS - 400);
	pq_timer(conn());
	assert_int_equal(a[0].e, ERR_TIMEOUT);
	assert_int_equal(a[2].e, ERR_UNAVAILABLE);
	assert_int_equal(a[2].calls, 1);
	pq_up(conn());
	assert_false(conn()->queues); /* another server may be */
	assert_int_equal(conn()->fastest_ns, 0);
	ask_grouped(&a[0]); /* nothing is under way any more */
	loop_turn(pq.base);
	assert_string_equal(pq.trace, "query=a1 sync ");
	answer_rows(1);
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
	bool over;	 /* nobody asks any more */
	unsigned waited; /* groups, over a turn */
	/* Transactions that libpq was given: the rows of each, and whose they are. */
	struct {
		int rows;
		uint16_t asked[PG_GROUP_MAX];
	} sent[MANY];
	size_t first, last;
} world;

static void on_world(void *arg, enum err e, const struct pg_rows *rows);

static bool is_alone(size_t asked)
{
	return asked % 8 == 3;
}

static bool fails(size_t asked)
{
	return asked % 16 == 5;
}

static void world_ask(void)
{
	const uint16_t number = (uint16_t)world.nasked;
	const struct pg_param key = PG_BYTES(&number, sizeof number);

	assert_true(world.nasked < MANY);
	assert_int_equal(pg_query(pq.pg, is_alone(number) ? STATEMENT_B : STATEMENT_A, &key,
				  on_world, &world.asked[number], NULL),
			 ERR_OK);
	world.nasked++;
}

static void on_world(void *arg, enum err e, const struct pg_rows *rows)
{
	struct asked *a = arg;
	size_t number = (size_t)(a - world.asked);

	on_answer(a, e, rows);
	assert_int_equal(e, fails(number) ? ERR_DENIED : ERR_OK);
	if (e == ERR_OK && !is_alone(number)) {
		const struct pq_result *r = (const void *)rows->result;

		assert_int_equal(world.sent[r->of].asked[a->row], number);
	}
	if (!world.over && chance_below(&world.chance, 3) == 0)
		world_ask();
}

static void on_world_query(unsigned keys)
{
	world.sent[world.last].rows = keys == 0 ? 1 : (int)keys;
	for (unsigned i = 0; i < keys; i++)
		memcpy(&world.sent[world.last].asked[i], pq.keys[i].p, pq.keys[i].n);
}

static void on_world_sync(void)
{
	world.last++;
	assert_true(world.last < MANY);
}

static void world_look(void)
{
	pq_forget();
	assert_int_equal(conn()->ntrips, world.last - world.first);
}

static void world_answer_one(size_t of)
{
	bool failed = false;

	for (int i = 0; i < world.sent[of].rows; i++)
		failed = failed || fails(world.sent[of].asked[i]);
	if (world.sent[of].rows == 0) {
		pq_result(PGRES_PIPELINE_SYNC, NULL, NULL);
		return;
	}
	if (failed)
		answer(PGRES_FATAL_ERROR, "42501", "ERROR");
	else
		answer_rows(world.sent[of].rows);
	pq.results[pq.nresults - 3].of = of;
}

/* So many transactions of those under way are answered in one read. */
static void world_answer(size_t n)
{
	for (; n > 0 && world.first < world.last; n--)
		world_answer_one(world.first++);
	pq_io(conn(), EV_READ);
	assert_int_equal(pq.taken, pq.nresults);
	for (size_t i = 0; i < pq.taken; i++)
		assert_true(pq.results[i].null || pq.results[i].cleared);
	pq.taken = pq.nresults = 0;
}

static void world_step(void)
{
	pq_pass(chance_below(&world.chance, 2));
	switch (chance_below(&world.chance, 8)) {
	case 0:
		assert_true(pg_send_sync(conn(), pg_call_new(pq.pg, PG_STMT_NONE)));
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

static void each_is_answered_with_its_row(void **state)
{
	unsigned waited = 0;

	for (uint32_t seed = 1; seed <= WORLDS; seed++) {
		memset(&world, 0, sizeof world);
		world.chance = chance_of(seed);
		pq.on_query = on_world_query;
		pq.on_sync = on_world_sync;
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
	    CASE(reads_of_one_turn_are_one_statement),
	    CASE(nothing_else_is_in_a_group),
	    CASE(a_group_waits_behind_two),
	    CASE(a_group_that_took_long_had_to_queue),
	    CASE(what_was_fastest_once_is_forgotten),
	    CASE(where_nothing_queues_no_group_waits),
	    CASE(a_group_does_not_wait_for_nothing),
	    CASE(a_group_that_waits_has_its_deadline),
	    CASE(which_connection_is_asked),
	    CASE(an_idle_connection_goes_before_a_group_that_waits),
	    CASE(each_is_answered_with_its_row),
	    CASE(a_calls_memory_is_used_again_but_not_all_is_kept),
	    CASE(what_does_not_fit_waits_for_the_socket),
	    CASE(a_send_that_fails_drops_from_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

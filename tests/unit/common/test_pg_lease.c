/* pg_lease: what a pool that listens tells, and when. A real PostgreSQL. */
#include "tests/unit/common/pg_fixture.h"

#define CHANNEL "bff_test"
#define BARRIERS 1000

enum { NOTIFY = LENGTH + 1 };
static const struct pg_statement LISTENING[] = {
    [TYPES] = {"types", "select 1", 0, PG_ALONE},
    [ECHO] = {"echo", "select $1::int8", 1, PG_ALONE},
    [RAISE] = {"raise", "select raise($1)", 1, PG_ALONE},
    [SLEEP] = {"sleep", "select 1 from pg_sleep($1::int8)", 1, PG_ALONE},
    [LATE] = {"late", "insert into late values (1) returning x", 0, PG_ALONE},
    [XID] = {"xid", "select pg_current_xact_id()::text", 0, PG_ALONE},
    [LENGTH] = {"length", "select octet_length($1::bytea)::int8", 1, PG_ALONE},
    [NOTIFY] = {"notify", "select pg_notify('" CHANNEL "', $1)", 1, PG_ALONE},
};

/* What was told, in order: n(otified), r(enewed), d(isturbed), a(nswer). */
struct heard {
	struct fixture f;
	char order[64];
	char last[64];
	unsigned notified, renewed, disturbed;
	struct pg_trip trip, answered;
	bool close_on_notice;
};

static void note(struct heard *h, char what)
{
	size_t n = strlen(h->order);

	if (n + 1 < sizeof h->order)
		h->order[n] = what;
}

static void on_notified(void *arg, struct sv payload)
{
	struct heard *h = arg;

	note(h, 'n');
	h->notified++;
	snprintf(h->last, sizeof h->last, SV_FMT, SV_ARG(payload));
	if (h->close_on_notice)
		pg_close(&h->f.pg);
}

static void on_renewed(void *arg, const struct pg_trip *t)
{
	struct heard *h = arg;

	note(h, 'r');
	h->renewed++;
	h->trip = *t;
}

static void on_disturbed(void *arg, unsigned conn)
{
	struct heard *h = arg;

	assert_int_equal(conn, 0);
	note(h, 'd');
	h->disturbed++;
}

static void on_heard_answer(void *arg, enum err e, const struct pg_rows *rows)
{
	struct heard *h = arg;

	note(h, 'a');
	if (e == ERR_OK)
		h->answered = *pg_rows_trip(rows);
}

static void open_listening(struct heard *h, struct pg_options o)
{
	struct pg_listener l = {on_notified, on_renewed, on_disturbed, h};

	memset(h, 0, sizeof *h);
	o.connections = 1;
	o.statements = LISTENING;
	o.nstatements = ARRAY_LEN(LISTENING);
	o.channel = CHANNEL;
	o.listener = l;
	open_pool(&h->f, o);
	RUN_UNTIL(&h->f, pg_ready(h->f.pg));
	assert_string_equal(h->order, "d"); /* a new connection begins with nothing */
	h->order[0] = '\0';
	h->disturbed = 0;
}

static void ask(struct heard *h, unsigned stmt, const char *text)
{
	struct pg_param p = PG_SV(sv_str(text));

	assert_int_equal(pg_query(h->f.pg, stmt, &p, on_heard_answer, h, NULL), ERR_OK);
}

static void test_notice_and_lease_come_before_the_answer(void **state)
{
	struct heard h;
	int64_t before = clock_boot_ms();

	(void)state;
	open_listening(&h, (struct pg_options){0});
	ask(&h, NOTIFY, "one");
	ask(&h, NOTIFY, "two");
	RUN_UNTIL(&h.f, h.renewed == 2 && strlen(h.order) == 6);
	/* libpq may read ahead, so that a notice comes early; never late. */
	assert_true(strcmp(h.order, "nranra") == 0 || strcmp(h.order, "nnrara") == 0 ||
		    strcmp(h.order, "nrnara") == 0);
	assert_string_equal(h.last, "two");
	assert_true(h.trip.sent_ms >= before && h.trip.sent_ms <= clock_boot_ms());
	assert_int_equal(h.answered.serial, h.trip.serial);
	assert_int_equal(h.answered.conn, 0);
	close_pool(&h.f);
}

static void on_answer_of_its_trip(void *arg, enum err e, const struct pg_rows *rows)
{
	struct heard *h = arg;

	assert_int_equal(e, ERR_OK);
	assert_int_equal(h->trip.sent_ms, pg_rows_trip(rows)->sent_ms);
	note(h, 'a');
}

/* What was sent since proves nothing before it is answered, too. */
static void test_a_lease_begins_with_its_own_round_trip(void **state)
{
	struct pg_param p = PG_SV(SV(""));
	struct heard h;

	(void)state;
	open_listening(&h, (struct pg_options){0});
	for (unsigned i = 0; i < 3; i++) {
		int64_t now = clock_boot_ms();

		assert_int_equal(pg_query(h.f.pg, XID, &p, on_answer_of_its_trip, &h, NULL),
				 ERR_OK);
		while (clock_boot_ms() < now + 2)
			; /* so that the next one is of another time */
	}
	RUN_UNTIL(&h.f, strlen(h.order) == 6);
	assert_string_equal(h.order, "rarara");
	close_pool(&h.f);
}

static void test_notice_comes_to_an_idle_connection(void **state)
{
	struct heard h;

	(void)state;
	open_listening(&h, (struct pg_options){0});
	command("sql select pg_notify('" CHANNEL "', 'psql')");
	RUN_UNTIL(&h.f, h.notified == 1);
	assert_string_equal(h.order, "n");
	assert_string_equal(h.last, "psql");
	close_pool(&h.f);
}

struct barrier {
	struct heard *h;
	unsigned acknowledged, answered;
};

static void on_barrier(void *arg, enum err e, const struct pg_rows *rows)
{
	struct barrier *b = arg;

	(void)rows;
	assert_int_equal(e, ERR_OK);
	assert_int_equal(b->h->notified, b->acknowledged);
	b->answered++;
}

static void on_acknowledged(void *arg, enum err e, const struct pg_rows *rows)
{
	struct barrier *b = arg;
	unsigned char raw[8];
	struct pg_param p = i64_param(1, raw);

	(void)rows;
	assert_int_equal(e, ERR_OK);
	b->acknowledged++;
	assert_int_equal(pg_query(b->h->f.pg, ECHO, &p, on_barrier, b, NULL), ERR_OK);
}

/* What all of the cache stands on: a round trip that was sent after somebody's commit was
 * acknowledged does not come back before the notification of it. */
static void test_round_trip_is_a_barrier(void **state)
{
	struct heard h;
	struct fixture other;
	struct barrier b = {.h = &h};
	struct pg_param p = PG_SV(SV("x"));

	(void)state;
	open_listening(&h, (struct pg_options){0});
	open_pool(&other, (struct pg_options){.connections = 1,
					      .statements = LISTENING,
					      .nstatements = ARRAY_LEN(LISTENING)});
	RUN_UNTIL(&other, pg_ready(other.pg));
	/* Two loops, run in turn: the answer of one sends on the other. */
	for (unsigned i = 0; i < BARRIERS; i++) {
		assert_int_equal(pg_query(other.pg, NOTIFY, &p, on_acknowledged, &b, NULL), ERR_OK);
		RUN_UNTIL(&other, b.acknowledged == i + 1);
		RUN_UNTIL(&h.f, b.answered == i + 1);
	}
	close_pool(&other);
	close_pool(&h.f);
}

static void on_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

static void run_for(struct fixture *f, int64_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	bool over = false;
	struct event *timer = evtimer_new(f->base, on_over, &over);

	evtimer_add(timer, &tv);
	RUN_UNTIL(f, over);
	event_free(timer);
}

static void test_a_lease_is_renewed_while_it_is_used(void **state)
{
	struct heard h;
	int64_t first;

	(void)state;
	open_listening(&h, (struct pg_options){0});
	run_for(&h.f, 2 * PG_RENEW_MS);
	assert_int_equal(h.renewed, 0); /* nobody uses it: nothing is asked */
	pg_lease_used(h.f.pg);
	RUN_UNTIL(&h.f, h.renewed == 1);
	first = h.trip.sent_ms;
	pg_lease_used(h.f.pg);
	RUN_UNTIL(&h.f, h.renewed == 2);
	assert_in_range(h.trip.sent_ms - first, PG_RENEW_MS / 2, PG_LEASE_MS - 1);
	run_for(&h.f, 3 * PG_RENEW_MS);
	assert_int_equal(h.renewed, 2);
	close_pool(&h.f);
}

static void test_disturbances(void **state)
{
	static const struct {
		const char *sqlstate;
		bool disturbs, drops;
	} CASES[] = {
	    {"23505", false, false}, {"40001", false, false}, {"57014", false, false},
	    {"22012", false, false}, {"BF002", false, false}, {"P0001", false, false},
	    {"XX000", true, false},  {"58P01", true, false},  {"53100", true, false},
	    {"57P01", true, true},   {"25006", true, true},
	};
	struct heard h;

	(void)state;
	open_listening(&h, (struct pg_options){0});
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		uint64_t serial;

		RUN_UNTIL(&h.f, pg_ready(h.f.pg));
		ask(&h, XID, "");
		RUN_UNTIL(&h.f, strchr(h.order, 'a') != NULL);
		serial = h.trip.serial;
		memset(h.order, 0, sizeof h.order);
		h.disturbed = h.renewed = 0;
		ask(&h, RAISE, CASES[i].sqlstate);
		ask(&h, XID, ""); /* sent before the error came: of the serial of before */
		RUN_UNTIL(&h.f,
			  strlen(h.order) >= 3 && strrchr(h.order, 'a') != strchr(h.order, 'a'));
		assert_int_equal(h.disturbed > 0, CASES[i].disturbs);
		assert_int_equal(h.renewed, CASES[i].disturbs ? 0 : 2);
		assert_true(!CASES[i].drops || !pg_ready(h.f.pg));
		if (CASES[i].disturbs) {
			assert_int_equal(h.order[0], 'd'); /* before any answer */
			RUN_UNTIL(&h.f, pg_ready(h.f.pg));
			ask(&h, XID, "");
			RUN_UNTIL(&h.f, h.renewed == 1);
			assert_int_not_equal(h.trip.serial, serial);
		}
		memset(h.order, 0, sizeof h.order);
	}
	command("kill");
	h.disturbed = 0;
	RUN_UNTIL(&h.f, h.disturbed == 1);
	command("start");
	close_pool(&h.f);
}

static void test_closing_from_a_notice(void **state)
{
	struct heard h;

	(void)state;
	open_listening(&h, (struct pg_options){0});
	h.close_on_notice = true;
	ask(&h, NOTIFY, "bye");
	RUN_UNTIL(&h.f, h.f.pg == NULL);
	assert_string_equal(h.order, "na"); /* the answer: canceled */
	assert_int_equal(h.disturbed, 0);
	close_pool(&h.f);
}

static void test_without_a_channel_there_is_no_lease(void **state)
{
	struct fixture f;
	struct answer a = {0};

	(void)state;
	open_pool(&f, (struct pg_options){.connections = 1});
	RUN_UNTIL(&f, pg_ready(f.pg));
	pg_lease_used(f.pg);
	assert_int_equal(ask_i64(&f, ECHO, 1, &a), ERR_OK);
	RUN_UNTIL(&f, a.calls == 1);
	close_pool(&f);
}

/* Time under the lease, from sending to sending; the lag of a notification since the last of them;
 * and each lease that a disturbance ended. */
static void test_what_is_counted_of_leases(void **state)
{
	struct pg_options o = {.metrics = {.duration = METRIC_DB_DURATION,
					   .errors = METRIC_DB_ERRORS,
					   .lease_held = METRIC_LEASE_HELD,
					   .lease_lost = METRIC_LEASE_LOST,
					   .revocation_lag = METRIC_REVOCATION_LAG}};
	struct metrics_at at = METRICS_AT(0);
	struct metrics *m = NULL;
	struct heard h;
	int64_t first;

	(void)state;
	assert_int_equal(metrics_new(NULL, &m), ERR_OK);
	o.metrics.metrics = m;
	open_listening(&h, o);
	command("sql select pg_notify('" CHANNEL "', 'early')");
	RUN_UNTIL(&h.f, h.notified == 1);
	assert_int_equal(metrics_sum(m, METRIC_REVOCATION_LAG, at), 0); /* nobody had a lease */
	ask(&h, XID, "");
	RUN_UNTIL(&h.f, h.renewed == 1);
	first = h.trip.sent_ms;
	assert_int_equal(metrics_sum(m, METRIC_LEASE_HELD, at), 0);
	command("sql select pg_notify('" CHANNEL "', 'x')");
	RUN_UNTIL(&h.f, h.notified == 2);
	assert_int_equal(metrics_sum(m, METRIC_REVOCATION_LAG, at), 1);
	ask(&h, XID, "");
	RUN_UNTIL(&h.f, h.renewed == 2);
	assert_in_range(metrics_sum(m, METRIC_LEASE_HELD, at) / 1000, h.trip.sent_ms - first - 1,
			h.trip.sent_ms - first + 1);
	assert_int_equal(metrics_sum(m, METRIC_LEASE_LOST, at), 0);
	ask(&h, RAISE, "XX000");
	RUN_UNTIL(&h.f, h.disturbed == 1);
	assert_int_equal(metrics_sum(m, METRIC_LEASE_LOST, at), 1);
	ask(&h, RAISE, "XX000"); /* there is none any more */
	RUN_UNTIL(&h.f, h.disturbed == 2);
	command("sql select pg_notify('" CHANNEL "', 'y')");
	RUN_UNTIL(&h.f, h.notified == 3);
	assert_int_equal(metrics_sum(m, METRIC_LEASE_LOST, at), 1);
	assert_int_equal(metrics_sum(m, METRIC_REVOCATION_LAG, at), 1);
	close_pool(&h.f);
	metrics_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_notice_and_lease_come_before_the_answer),
	    cmocka_unit_test(test_a_lease_begins_with_its_own_round_trip),
	    cmocka_unit_test(test_notice_comes_to_an_idle_connection),
	    cmocka_unit_test(test_round_trip_is_a_barrier),
	    cmocka_unit_test(test_a_lease_is_renewed_while_it_is_used),
	    cmocka_unit_test(test_disturbances),
	    cmocka_unit_test(test_closing_from_a_notice),
	    cmocka_unit_test(test_without_a_channel_there_is_no_lease),
	    cmocka_unit_test(test_what_is_counted_of_leases),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}

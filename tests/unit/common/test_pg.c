/* pg against a real PostgreSQL.
 *
 * Rule Zero: over 400 lines, because every case needs the same server, and a second file would
 * start a second cluster. What a pool tells of leases is in test_pg_lease.c. */
#include "common/pg_internal.h"
#include "tests/unit/chance.h"
#include "tests/unit/common/pg_fixture.h"

#define TIMEOUT_MS 400

/* ---- tests ----------------------------------------------------------------------------------- */

static void on_types(void *arg, enum err e, const struct pg_rows *r)
{
	assert_int_equal(e, ERR_OK);
	assert_int_equal(pg_rows_count(r), 1);
	assert_true(sv_eq(pg_rows_sv(r, 0, 0), SV("gr\xc3\xbc\xc3\x9f")));
	assert_int_equal(pg_rows_i64(r, 0, 1), -5000000000);
	assert_int_equal(pg_rows_i64(r, 0, 2), -7);
	assert_true(pg_rows_bool(r, 0, 3));
	assert_true(sv_eq(pg_rows_sv(r, 0, 4), SV("\x00\x01\xff")));
	assert_true(pg_rows_null(r, 0, 5));
	assert_int_equal(pg_rows_sv(r, 0, 5).n, 0);
	assert_int_equal(pg_rows_i64(r, 0, 5), 0);
	*(bool *)arg = true;
}

static void test_types_go_both_ways(void **state)
{
	struct fixture f;
	unsigned char raw[8];
	bool done = false;
	struct pg_param p[] = {PG_SV(SV("gr\xc3\xbc\xc3\x9f")), i64_param(-5000000000, raw),
			       PG_SV(SV("-7")), PG_SV(SV("t")), PG_BYTES("\x00\x01\xff", 3)};

	(void)state;
	open_pool(&f, (struct pg_options){0});
	assert_false(pg_ready(f.pg));
	RUN_UNTIL(&f, pg_ready(f.pg));
	assert_int_equal(pg_query(f.pg, TYPES, p, on_types, &done, NULL), ERR_OK);
	assert_false(done);
	RUN_UNTIL(&f, done);
	p[0] = PG_SV(SV("a\0b"));
	assert_int_equal(pg_query(f.pg, TYPES, p, on_types, &done, NULL), ERR_SYNTAX);
	close_pool(&f);
}

static void on_record(void *arg, enum err e, const struct pg_rows *r)
{
	on_types(arg, e, r);
	assert_false(pg_rows_null(r, 0, 6));
	assert_int_equal(pg_rows_sv(r, 0, 6).n, 0);
	assert_true(sv_eq(pg_rows_sv(r, 0, 7), SV("last")));
	assert_int_equal(pg_rows_i64(r, 0, PG_RECORD_MAX - 1), PG_RECORD_MAX - 1);
	for (unsigned col = PG_RECORD_MAX; col < PG_RECORD_MAX + 2; col++)
		assert_true(pg_rows_null(r, 0, col));
	assert_true(pg_rows_null(r, 1, 0));
}

static void test_a_records_fields_are_columns(void **state)
{
	static const struct pg_statement RECORD[] = {
	    {"record",
	     "select row($1::text, $2::int8, $3::int4, $4::bool, $5::bytea, null::text, ''::text, "
	     "'last'::text, 8, 9, 10, 11, 12, 13, 14, 15, 16)",
	     5, PG_ALONE}};
	struct fixture f;
	unsigned char raw[8];
	bool done = false;
	struct pg_param p[] = {PG_SV(SV("gr\xc3\xbc\xc3\x9f")), i64_param(-5000000000, raw),
			       PG_SV(SV("-7")), PG_SV(SV("t")), PG_BYTES("\x00\x01\xff", 3)};

	(void)state;
	open_pool(&f, (struct pg_options){.statements = RECORD, .nstatements = 1});
	RUN_UNTIL(&f, pg_ready(f.pg));
	assert_int_equal(pg_query(f.pg, 0, p, on_record, &done, NULL), ERR_OK);
	RUN_UNTIL(&f, done);
	close_pool(&f);
}

#define MANY 10000

static void test_ten_thousand_in_a_pipeline(void **state)
{
	struct answer *a = calloc(MANY, sizeof *a);
	struct fixture f;
	unsigned want_ok = 0;

	(void)state;
	open_pool(&f, (struct pg_options){0});
	RUN_UNTIL(&f, pg_ready(f.pg));
	for (int i = 0; i < MANY; i++)
		assert_int_equal(ask_i64(&f, ECHO, i, &a[i]), ERR_OK);
	for (int i = 0; i < MANY; i++) {
		RUN_UNTIL(&f, a[i].calls > 0);
		want_ok += a[i].e == ERR_OK && a[i].i64 == i && a[i].calls == 1;
	}
	assert_int_equal(want_ok, MANY);
	close_pool(&f);
	free(a);
}

static void test_calls_over_the_limit_are_refused(void **state)
{
	struct answer a = {0};
	struct fixture f;

	(void)state;
	open_pool(&f, (struct pg_options){.connections = 1});
	RUN_UNTIL(&f, pg_ready(f.pg));
	for (int i = 0; i < PG_CALLS_MAX; i++)
		assert_int_equal(ask_i64(&f, ECHO, i, &a), ERR_OK);
	assert_int_equal(ask_i64(&f, ECHO, 0, &a), ERR_LIMIT);
	RUN_UNTIL(&f, a.calls == PG_CALLS_MAX);
	assert_int_equal(ask_i64(&f, ECHO, 0, &a), ERR_OK);
	close_pool(&f);
	assert_int_equal(a.e, ERR_CANCELED);
}

#define LARGE (1024 * 1024)

/* More than the socket takes at once, so that the rest waits for it to be writable. */
static void test_large_parameters(void **state)
{
	char *large = calloc(1, LARGE);
	struct answer a[16] = {0};
	struct fixture f;

	(void)state;
	open_pool(&f, (struct pg_options){.connections = 1});
	RUN_UNTIL(&f, pg_ready(f.pg));
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		struct pg_param p = PG_BYTES(large, LARGE - i);

		assert_int_equal(pg_query(f.pg, LENGTH, &p, on_answer, &a[i], NULL), ERR_OK);
	}
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		RUN_UNTIL(&f, a[i].calls > 0);
		assert_int_equal(a[i].i64, LARGE - i);
	}
	memset(large, 'x', LARGE);
	assert_int_equal(pg_query(f.pg, RAISE, &(struct pg_param){.p = large, .n = LARGE},
				  on_answer, &a[0], NULL),
			 ERR_LIMIT);
	close_pool(&f);
	free(large);
}

static void test_errors_of_the_server(void **state)
{
	static const struct {
		const char *sqlstate;
		enum err want;
	} CASES[] = {
	    {"23505", ERR_CONFLICT},	{"40001", ERR_CONFLICT},    {"40P01", ERR_CONFLICT},
	    {"42501", ERR_DENIED},	{"BF001", ERR_DENIED},	    {"BF002", ERR_PROTOCOL},
	    {"22012", ERR_PROTOCOL},	{"57014", ERR_TIMEOUT},	    {"55P03", ERR_TIMEOUT},
	    {"53100", ERR_UNAVAILABLE}, {"57P01", ERR_UNAVAILABLE}, {"25006", ERR_UNAVAILABLE},
	};
	struct fixture f;

	(void)state;
	open_pool(&f, (struct pg_options){.connections = 1});
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct answer got = {0}, after = {0};
		struct pg_param p = PG_SV(sv_str(CASES[i].sqlstate));

		RUN_UNTIL(&f, pg_ready(f.pg));
		assert_int_equal(pg_query(f.pg, RAISE, &p, on_answer, &got, NULL), ERR_OK);
		/* What follows in the same turn is a transaction of its own. */
		assert_int_equal(ask_i64(&f, ECHO, 3, &after), ERR_OK);
		RUN_UNTIL(&f, after.calls == 1);
		assert_int_equal(got.e, CASES[i].want);
		assert_true(after.e == ERR_OK || CASES[i].want == ERR_UNAVAILABLE);
	}
	close_pool(&f);
}

static void test_failure_at_commit_is_a_failure(void **state)
{
	struct answer a = {0};
	struct fixture f;

	(void)state;
	open_pool(&f, (struct pg_options){0});
	RUN_UNTIL(&f, pg_ready(f.pg));
	assert_int_equal(pg_query(f.pg, LATE, NULL, on_answer, &a, NULL), ERR_OK);
	RUN_UNTIL(&f, a.calls == 1);
	assert_int_equal(a.e, ERR_CONFLICT);
	close_pool(&f);
}

static void test_canceled_call_is_not_answered(void **state)
{
	struct answer canceled = {0}, other = {0};
	struct pg_call *call = NULL;
	struct fixture f;

	(void)state;
	open_pool(&f, (struct pg_options){.connections = 1});
	RUN_UNTIL(&f, pg_ready(f.pg));
	assert_int_equal(pg_query(f.pg, XID, NULL, on_answer, &canceled, &call), ERR_OK);
	assert_int_equal(ask_i64(&f, ECHO, 1, &other), ERR_OK);
	pg_call_cancel(&call);
	assert_null(call);
	pg_call_cancel(&call);
	RUN_UNTIL(&f, other.calls == 1);
	assert_int_equal(other.e, ERR_OK);
	assert_int_equal(canceled.calls, 0);
	close_pool(&f);
}

static void test_close_cancels_what_is_under_way(void **state)
{
	struct answer a[3] = {0};
	struct fixture f;

	(void)state;
	open_pool(&f, (struct pg_options){0});
	RUN_UNTIL(&f, pg_ready(f.pg));
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		assert_int_equal(ask_i64(&f, SLEEP, 60, &a[i]), ERR_OK);
	close_pool(&f);
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		assert_int_equal(a[i].calls, 1);
		assert_int_equal(a[i].e, ERR_CANCELED);
	}
}

static void on_answer_close(void *arg, enum err e, const struct pg_rows *rows)
{
	struct answer *a = arg;

	on_answer(a, e, rows);
	pg_close(&a->f->pg);
}

static void test_close_from_a_callback(void **state)
{
	struct answer first = {0}, second = {0};
	struct fixture f;
	unsigned char raw[8];
	struct pg_param p = i64_param(1, raw);

	(void)state;
	open_pool(&f, (struct pg_options){.connections = 1});
	RUN_UNTIL(&f, pg_ready(f.pg));
	first.f = &f;
	assert_int_equal(pg_query(f.pg, ECHO, &p, on_answer_close, &first, NULL), ERR_OK);
	assert_int_equal(ask_i64(&f, ECHO, 2, &second), ERR_OK);
	RUN_UNTIL(&f, second.calls == 1);
	assert_int_equal(first.e, ERR_OK);
	assert_int_equal(second.e, ERR_CANCELED);
	assert_null(f.pg);
	close_pool(&f);
}

static void test_server_stopped_and_back(void **state)
{
	static const char *const WAYS[] = {"stop fast", "stop immediate", "kill"};
	struct fixture f;

	(void)state;
	open_pool(&f, (struct pg_options){0});
	for (size_t i = 0; i < ARRAY_LEN(WAYS); i++) {
		struct answer in_flight = {0}, after = {0};
		int64_t begun;

		RUN_UNTIL(&f, pg_ready(f.pg));
		assert_int_equal(ask_i64(&f, SLEEP, 60, &in_flight), ERR_OK);
		assert_int_equal(ask_i64(&f, SLEEP, 60, &after), ERR_OK);
		command(WAYS[i]);
		begun = clock_boot_ms();
		RUN_UNTIL(&f, in_flight.calls == 1 && after.calls == 1);
		assert_int_equal(in_flight.e, ERR_UNAVAILABLE);
		RUN_UNTIL(&f, !pg_ready(f.pg));
		assert_true(clock_boot_ms() - begun < 1000);
		assert_int_equal(ask_i64(&f, ECHO, 1, &after), ERR_UNAVAILABLE);
		assert_int_equal(after.calls, 1);
		command("start");
		RUN_UNTIL(&f, pg_ready(f.pg));
		after.calls = 0;
		assert_int_equal(ask_i64(&f, ECHO, 9, &after), ERR_OK);
		RUN_UNTIL(&f, after.calls == 1);
		assert_int_equal(after.i64, 9);
	}
	assert_true(f.nunready >= ARRAY_LEN(WAYS));
	assert_int_equal(f.nready, f.nunready + 1);
	close_pool(&f);
}

static void test_frozen_server_is_a_timeout(void **state)
{
	struct answer a = {0}, b = {0};
	struct fixture f;
	int64_t begun, took;

	(void)state;
	open_pool(&f, (struct pg_options){.connections = 1, .query_timeout_ms = TIMEOUT_MS});
	RUN_UNTIL(&f, pg_ready(f.pg));
	command("freeze");
	begun = clock_boot_ms();
	assert_int_equal(ask_i64(&f, ECHO, 1, &a), ERR_OK);
	assert_int_equal(ask_i64(&f, ECHO, 2, &b), ERR_OK);
	RUN_UNTIL(&f, a.calls == 1 && b.calls == 1);
	took = clock_boot_ms() - begun;
	command("thaw");
	assert_int_equal(a.e, ERR_TIMEOUT);
	assert_true(b.e == ERR_TIMEOUT || b.e == ERR_UNAVAILABLE);
	assert_in_range(took, TIMEOUT_MS, TIMEOUT_MS + 1000);
	RUN_UNTIL(&f, pg_ready(f.pg));
	assert_int_equal(ask_i64(&f, ECHO, 3, &a), ERR_OK);
	RUN_UNTIL(&f, a.calls == 2);
	assert_int_equal(a.i64, 3);
	close_pool(&f);
}

static void on_first_try(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

/* Runs the loop for a while in which nothing may become ready. */
static void stays_unready(struct fixture *f)
{
	struct timeval tv = {.tv_usec = 400 * 1000};
	bool over = false;
	struct event *timer = evtimer_new(f->base, on_first_try, &over);

	evtimer_add(timer, &tv);
	RUN_UNTIL(f, over);
	assert_false(pg_ready(f->pg));
	event_free(timer);
}

static void test_schema_mismatch_until_migrated(void **state)
{
	static const struct pg_statement ONE[] = {{"later", "select later()", 0, PG_ALONE}};
	struct fixture f;

	(void)state;
	log_set_level(LOG_ERROR + 1);
	open_pool(&f, (struct pg_options){.statements = ONE, .nstatements = 1});
	stays_unready(&f);
	log_set_level(LOG_ERROR);
	command("sql create function later() returns int8 language sql as 'select 1::int8'");
	RUN_UNTIL(&f, pg_ready(f.pg));
	close_pool(&f);
}

static void test_read_only_server_is_refused(void **state)
{
	char conninfo[640];
	struct fixture f;

	(void)state;
	/* The conninfo cannot ask for a standby either. */
	snprintf(conninfo, sizeof conninfo,
		 "%s target_session_attrs=any options='-c default_transaction_read_only=on'",
		 server.conninfo);
	open_pool(&f, (struct pg_options){.conninfo = conninfo});
	stays_unready(&f);
	close_pool(&f);
}

static void write_file(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fchmod(fileno(out), 0600), 0);
	fputs(text, out);
	fclose(out);
}

static void test_password_file_is_read_each_time(void **state)
{
	char dir[] = "/tmp/bff-test-XXXXXX", path[64];
	struct answer a = {0};
	struct fixture f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/password", dir);
	write_file(path, "wrong\n");
	/* `raise` and `late` are not this role's, but EXECUTE is everyone's by default. */
	command("sql grant insert, select on late to bff_test");
	open_pool(&f, (struct pg_options){
			  .conninfo = server.tcp, .user = "bff_test", .password_file = path});
	stays_unready(&f);
	write_file(path, "right\n");
	RUN_UNTIL(&f, pg_ready(f.pg));
	assert_int_equal(ask_i64(&f, ECHO, 1, &a), ERR_OK);
	RUN_UNTIL(&f, a.calls == 1);
	close_pool(&f);
	unlink(path);
	rmdir(dir);
}

static void test_hosts_are_tried_in_turn(void **state)
{
	const char *port = strstr(server.conninfo, "port=");
	char conninfo[640], directory[256];
	struct fixture f;

	(void)state;
	assert_int_equal(sscanf(server.conninfo, "host=%255s", directory), 1);
	snprintf(conninfo, sizeof conninfo,
		 "host=/nowhere,127.0.0.1,%s dbname=postgres user=postgres "
		 "port=1,1,%d",
		 directory, atoi(port + 5));
	open_pool(&f, (struct pg_options){.conninfo = conninfo});
	RUN_UNTIL(&f, pg_ready(f.pg));
	close_pool(&f);
}

static void test_conninfo_is_checked(void **state)
{
	static const struct {
		const char *conninfo, *want;
	} CASES[] = {
	    {"host", "missing \"=\""},
	    {"nonsense=1", "nonsense"},
	    {"host=a,b port=1,2,3", "3 ports"},
	    {"host=a,b hostaddr=127.0.0.1", "hostaddr"},
	    {"host=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "16 hosts"},
	};
	struct event_base *base = event_base_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct pg_options o = {
		    .conninfo = CASES[i].conninfo, .connections = 1, .query_timeout_ms = 1};
		struct errmsg e = {0};
		struct pg *pg = NULL;

		assert_int_equal(pg_open(base, &o, &pg, &e), ERR_CONFIG);
		assert_non_null(strstr(e.text, CASES[i].want));
		assert_null(pg);
	}
	event_base_free(base);
}

enum { READ_XID, READ_LENGTH, READ_RECORD, READ_RAISE, OWN_XID, LOCK, UNLOCK };
static const struct pg_statement READS[] = {
    [READ_XID] = {"read_xid", "select pg_current_xact_id()::text::int8 from unnest($1::bytea[])", 1,
		  PG_GROUPED},
    [READ_LENGTH] = {"read_length", "select length(k) from unnest($1::bytea[]) k", 1, PG_GROUPED},
    [READ_RECORD] = {"read_record", "select row(length(k)) from unnest($1::bytea[]) k", 1,
		     PG_GROUPED},
    [READ_RAISE] = {"read_raise",
		    "select case k when '' then 1 else raise(convert_from(k, 'UTF8'))::int8 end "
		    "from unnest($1::bytea[]) k",
		    1, PG_GROUPED},
    [OWN_XID] = {"own_xid", "select pg_current_xact_id()::text::int8", 0, PG_ALONE},
    [LOCK] = {"lock", "select 1 from pg_advisory_lock(1)", 0, PG_ALONE},
    [UNLOCK] = {"unlock", "select pg_advisory_unlock(1)", 0, PG_ALONE},
};

static enum err ask_key(const struct fixture *f, unsigned stmt, struct answer *a)
{
	struct pg_param key = PG_BYTES("", 0);

	return pg_query(f->pg, stmt, &key, on_answer, a, NULL);
}

/* Of two connections, too. */
static void test_reads_of_one_turn_share_a_transaction(void **state)
{
	struct answer a[PG_GROUP_MAX] = {0}, own = {0}, over = {0};
	struct fixture f;

	(void)state;
	open_pool(&f, (struct pg_options){.statements = READS, .nstatements = ARRAY_LEN(READS)});
	RUN_UNTIL(&f, pg_state(f.pg).up == 2);
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		assert_int_equal(ask_key(&f, READ_XID, &a[i]), ERR_OK);
	assert_int_equal(ask_key(&f, READ_XID, &over), ERR_OK);
	assert_int_equal(pg_query(f.pg, OWN_XID, NULL, on_answer, &own, NULL), ERR_OK);
	RUN_UNTIL(&f, own.calls == 1 && over.calls == 1 && a[0].calls == 1);
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		assert_int_equal(a[i].calls, 1);
		assert_int_equal(a[i].i64, a[0].i64);
	}
	assert_int_not_equal(own.i64, a[0].i64);
	assert_int_not_equal(own.i64, over.i64);
	assert_int_not_equal(over.i64, a[0].i64);
	close_pool(&f);
}

/* Those of many turns, while two transactions are under way. */
static void test_reads_that_wait_share_a_transaction(void **state)
{
	struct pg_options o = {
	    .statements = READS, .nstatements = ARRAY_LEN(READS), .connections = 1};
	struct answer a[PG_GROUP_MAX - 1] = {0}, own = {0}, locked[2] = {0}, unlocked = {0};
	struct fixture f, other;

	(void)state;
	open_pool(&f, o);
	open_pool(&other, o);
	RUN_UNTIL(&f, pg_ready(f.pg));
	RUN_UNTIL(&other, pg_ready(other.pg));
	assert_int_equal(pg_query(other.pg, LOCK, NULL, on_answer, &locked[0], NULL), ERR_OK);
	RUN_UNTIL(&other, locked[0].calls == 1);
	f.pg->conns[0].queues = true; /* which it would find out by and by */
	assert_int_equal(pg_query(f.pg, LOCK, NULL, on_answer, &locked[1], NULL), ERR_OK);
	assert_int_equal(pg_query(f.pg, OWN_XID, NULL, on_answer, &own, NULL), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		assert_int_equal(ask_key(&f, READ_XID, &a[i]), ERR_OK);
		event_base_loop(f.base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(locked[1].calls + own.calls, 0);
	assert_int_equal(pg_query(other.pg, UNLOCK, NULL, on_answer, &unlocked, NULL), ERR_OK);
	RUN_UNTIL(&other, unlocked.calls == 1);
	RUN_UNTIL(&f, a[ARRAY_LEN(a) - 1].calls == 1);
	assert_int_equal(locked[1].e, ERR_OK);
	assert_int_not_equal(own.i64, a[0].i64);
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		assert_int_equal(a[i].calls, 1);
		assert_int_equal(a[i].i64, a[0].i64);
	}
	close_pool(&other);
	close_pool(&f);
}

#define CROWDS 2000
#define CROWD 16

static struct {
	struct fixture f;
	uint64_t chance;
	unsigned asked, answered;
} crowd;

static void on_crowd(void *arg, enum err e, const struct pg_rows *rows);

static void crowd_ask(void)
{
	const struct pg_param key = PG_BYTES("", 0);

	crowd.asked++;
	assert_int_equal(pg_query(crowd.f.pg,
				  chance_below(&crowd.chance, 2) == 0 ? OWN_XID : READ_XID, &key,
				  on_crowd, NULL, NULL),
			 ERR_OK);
}

static void on_crowd(void *arg, enum err e, const struct pg_rows *rows)
{
	(void)arg;
	(void)rows;
	assert_int_equal(e, ERR_OK);
	crowd.answered++;
	if (chance_below(&crowd.chance, 2) == 0)
		crowd_ask();
}

static void crowds(unsigned connections)
{
	memset(&crowd, 0, sizeof crowd);
	crowd.chance = chance_of(connections);
	open_pool(&crowd.f, (struct pg_options){.statements = READS,
						.nstatements = ARRAY_LEN(READS),
						.connections = connections});
	RUN_UNTIL(&crowd.f, pg_state(crowd.f.pg).up == connections);
	for (unsigned i = 0; i < CROWDS; i++) {
		for (unsigned n = 1 + chance_below(&crowd.chance, CROWD); n > 0; n--)
			crowd_ask();
		RUN_UNTIL(&crowd.f, crowd.answered == crowd.asked);
	}
	assert_int_equal(pg_state(crowd.f.pg).calls, 0);
	close_pool(&crowd.f);
}

/* Some ask at once, some of them again: one that is left unsent is missed at the end of each. */
static void test_all_of_a_crowd_are_answered(void **state)
{
	(void)state;
	crowds(1);
	crowds(2);
}

/* Each its own; and of two statements there are two groups. */
static void have_their_rows(unsigned stmt)
{
	static const char key[PG_KEY_MAX];
	struct answer a[PG_GROUP_MAX] = {0}, other = {0};
	struct fixture f;

	open_pool(&f, (struct pg_options){
			  .statements = READS, .nstatements = ARRAY_LEN(READS), .connections = 1});
	RUN_UNTIL(&f, pg_ready(f.pg));
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		struct pg_param p = PG_BYTES(key, i);

		assert_int_equal(pg_query(f.pg, stmt, &p, on_answer, &a[i], NULL), ERR_OK);
		if (i == 4)
			assert_int_equal(ask_key(&f, READ_XID, &other), ERR_OK);
	}
	assert_int_equal(f.pg->conns[0].ntrips, 2);
	RUN_UNTIL(&f, a[ARRAY_LEN(a) - 1].calls == 1);
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		assert_int_equal(a[i].i64, i);
	assert_int_equal(other.calls, 1);
	close_pool(&f);
}

static void test_reads_of_one_turn_have_their_rows(void **state)
{
	(void)state;
	have_their_rows(READ_LENGTH);
	have_their_rows(READ_RECORD);
}

static void test_a_read_that_fails_fails_alone(void **state)
{
	struct pg_param code = PG_BYTES("22012", 5);
	struct answer before = {0}, failed = {0}, behind = {0}, later = {0};
	struct fixture f;

	(void)state;
	open_pool(&f, (struct pg_options){
			  .statements = READS, .nstatements = ARRAY_LEN(READS), .connections = 1});
	RUN_UNTIL(&f, pg_ready(f.pg));
	assert_int_equal(ask_key(&f, READ_RAISE, &before), ERR_OK);
	assert_int_equal(pg_query(f.pg, READ_RAISE, &code, on_answer, &failed, NULL), ERR_OK);
	assert_int_equal(ask_key(&f, READ_RAISE, &behind), ERR_OK);
	RUN_UNTIL(&f, behind.calls == 1);
	assert_int_equal(before.e, ERR_OK);
	assert_int_equal(failed.e, ERR_PROTOCOL);
	assert_int_equal(behind.e, ERR_OK);
	assert_int_equal(ask_key(&f, READ_RAISE, &later), ERR_OK);
	RUN_UNTIL(&f, later.calls == 1);
	assert_int_equal(later.e, ERR_OK);
	close_pool(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_conninfo_is_checked),
	    cmocka_unit_test(test_types_go_both_ways),
	    cmocka_unit_test(test_a_records_fields_are_columns),
	    cmocka_unit_test(test_ten_thousand_in_a_pipeline),
	    cmocka_unit_test(test_calls_over_the_limit_are_refused),
	    cmocka_unit_test(test_large_parameters),
	    cmocka_unit_test(test_reads_of_one_turn_share_a_transaction),
	    cmocka_unit_test(test_reads_that_wait_share_a_transaction),
	    cmocka_unit_test(test_all_of_a_crowd_are_answered),
	    cmocka_unit_test(test_reads_of_one_turn_have_their_rows),
	    cmocka_unit_test(test_a_read_that_fails_fails_alone),
	    cmocka_unit_test(test_errors_of_the_server),
	    cmocka_unit_test(test_failure_at_commit_is_a_failure),
	    cmocka_unit_test(test_canceled_call_is_not_answered),
	    cmocka_unit_test(test_close_cancels_what_is_under_way),
	    cmocka_unit_test(test_close_from_a_callback),
	    cmocka_unit_test(test_server_stopped_and_back),
	    cmocka_unit_test(test_frozen_server_is_a_timeout),
	    cmocka_unit_test(test_schema_mismatch_until_migrated),
	    cmocka_unit_test(test_read_only_server_is_refused),
	    cmocka_unit_test(test_password_file_is_read_each_time),
	    cmocka_unit_test(test_hosts_are_tried_in_turn),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}

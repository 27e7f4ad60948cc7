#include "common/metrics_text.h"

#include "common/metrics_memory.h"
#include "tests/unit/unit.h"

#define WEB (METRICS_WORKER | METRICS_MASTER)

static struct {
	struct metrics *m;
	struct buf out;
} t;

static int setup(void **state)
{
	(void)state;
	buf_init(&t.out, METRICS_TEXT_MAX);
	return metrics_new(NULL, &t.m) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	buf_done(&t.out);
	metrics_free(&t.m);
	return 0;
}

static void print(unsigned who)
{
	uint32_t cursor = 0;

	buf_clear(&t.out);
	assert_int_equal(metrics_print(t.m, who, &cursor, &t.out), ERR_OK);
	assert_int_equal(cursor, 0);
}

static bool has(const char *text)
{
	return memmem(t.out.p, t.out.n, text, strlen(text)) != NULL;
}

static void a_counter_has_its_head_and_its_value(void **state)
{
	(void)state;
	metrics_add(t.m, METRIC_ACCEPT_PAUSED, METRICS_AT(0), UINT64_C(12345678901234));
	print(WEB);
	assert_true(has("# TYPE bff_accept_paused_total counter\n"
			"bff_accept_paused_total 12345678901234\n"));
	assert_true(has("# HELP bff_accept_paused_total times"));
	assert_false(has("bff_up"));	      /* told by who is asked */
	assert_false(has("bff_broker_keys")); /* the broker's */
	print(METRICS_BROKER);
	assert_true(has("bff_broker_keys{state=\"primary\"} 0\n"));
	assert_false(has("bff_accept_paused_total"));
}

/* Closed lists and single names are always there, so that a rate has its zero; products are not. */
static void one_label_is_always_there_and_two_once_they_counted(void **state)
{
	unsigned route = metrics_name_put(t.m, METRICS_route, SV("route=\"r\""));

	(void)state;
	assert_int_equal(metrics_name_put(t.m, METRICS_listen, SV("listen=\"l\"")), 1);
	print(WEB);
	assert_true(has("bff_denials_total{reason=\"revoked\"} 0\n"));
	assert_true(has("bff_connections{listen=\"l\"} 0\n"));
	assert_false(has("bff_connections{listen=\"-\"}"));
	assert_true(has("# TYPE bff_verify_requests_total counter\n# HELP "));
	metrics_count(t.m, METRIC_VERIFY_REQUESTS, METRICS_AT(route, 0));
	metrics_count(t.m, METRIC_VERIFY_REQUESTS, METRICS_AT(0, 4));
	print(WEB);
	assert_true(has("# TYPE bff_verify_requests_total counter\n"
			"bff_verify_requests_total{route=\"-\",outcome=\"forbidden\"} 1\n"
			"bff_verify_requests_total{route=\"r\",outcome=\"allowed\"} 1\n# HELP"));
}

static void a_histogram_is_cumulative_and_in_seconds(void **state)
{
	(void)state;
	metrics_observe(t.m, METRIC_DB_DURATION, METRICS_AT(0), 10);
	metrics_observe(t.m, METRIC_DB_DURATION, METRICS_AT(0), 20);
	metrics_observe(t.m, METRIC_DB_DURATION, METRICS_AT(0), 1500000);
	metrics_observe(t.m, METRIC_DB_DURATION, METRICS_AT(0), 60000000);
	print(WEB);
	assert_true(has("# TYPE bff_database_query_duration_seconds histogram\n"
			"bff_database_query_duration_seconds_bucket{le=\"0.000016\"} 1\n"
			"bff_database_query_duration_seconds_bucket{le=\"0.000024\"} 2\n"));
	assert_true(has("_bucket{le=\"1.572864\"} 3\n"));
	assert_true(has("_bucket{le=\"16.777216\"} 3\n"
			"bff_database_query_duration_seconds_bucket{le=\"+Inf\"} 4\n"
			"bff_database_query_duration_seconds_sum 61.50003\n"
			"bff_database_query_duration_seconds_count 4\n"));
	metrics_observe(t.m, METRIC_VERIFY_DURATION, METRICS_AT(METRICS_WAITED_BROKER), 24);
	print(WEB);
	assert_true(
	    has("bff_verify_duration_seconds_bucket{waited_for=\"broker\",le=\"0.000024\"} 1\n"));
	assert_true(has("bff_verify_duration_seconds_sum{waited_for=\"broker\"} 0.000024\n"));
}

static void gauges_have_signs_and_microseconds_are_shown_as_seconds(void **state)
{
	(void)state;
	metrics_move(t.m, METRIC_IN_FLIGHT, METRICS_AT(0), -1);
	metrics_add(t.m, METRIC_LEASE_HELD, METRICS_AT(0), 2500000);
	print(WEB);
	assert_true(has("\nbff_requests_in_flight -1\n"));
	assert_true(
	    has("# TYPE bff_lease_held_seconds_total counter\nbff_lease_held_seconds_total 2.5\n"));
}

/* Whatever the size of a piece, together they are the whole. */
static void pieces_are_the_whole(void **state)
{
	char name[32];
	struct buf whole, piece;
	unsigned pieces = 0;
	uint32_t cursor = 0;

	(void)state;
	for (unsigned i = 1; i < 9; i++) {
		(void)snprintf(name, sizeof name, "provider=\"p%u\"", i);
		assert_int_equal(metrics_name_put(t.m, METRICS_provider, sv_str(name)), i);
		metrics_observe(t.m, METRIC_B_IDP_DURATION, METRICS_AT(i), 1000 * i);
		metrics_count(t.m, METRIC_B_IDP_REQUESTS, METRICS_AT(i, i, i % 6));
	}
	print(METRICS_BROKER);
	buf_init(&whole, METRICS_TEXT_MAX);
	do {
		buf_init(&piece, 5000);
		assert_int_equal(metrics_print(t.m, METRICS_BROKER, &cursor, &piece), ERR_OK);
		assert_true(buf_ok(&piece));
		buf_add(&whole, buf_sv(&piece));
		buf_done(&piece);
		pieces++;
	} while (cursor != 0);
	assert_true(pieces > 5);
	assert_sv_equal(buf_sv(&whole), buf_sv(&t.out));
	buf_done(&whole);
	buf_init(&piece, 64);
	assert_int_equal(metrics_print(t.m, METRICS_BROKER, &cursor, &piece), ERR_LIMIT);
	buf_done(&piece);
}

/* A broker answers in packets: the largest piece that there can be, of the longest names. */
static void the_largest_piece_fits_a_packet(void **state)
{
	char name[METRICS_NAME_MAX];
	struct sv longest = sv_of(name, sizeof name);
	struct buf out;

	(void)state;
	memset(name, 'x', sizeof name);
	assert_int_equal(metrics_name_put(t.m, METRICS_provider, longest), 1);
	for (unsigned a = 0; a < METRICS_END; a++) {
		const struct metrics_row *row = metrics_row(a);

		if (row->who != METRICS_BROKER)
			continue;
		for (unsigned i = row->labels[0] == METRICS_provider; i < row->n[0] && i < 2; i++)
			for (unsigned b = 0; b < row->n[1]; b++)
				for (unsigned c = 0; c < row->n[2]; c++) {
					if (row->kind == METRICS_HISTOGRAM)
						metrics_observe(t.m, a, METRICS_AT(i, b, c), 1);
					else
						metrics_add(t.m, a, METRICS_AT(i, b, c),
							    UINT64_MAX / 2);
				}
	}
	for (uint32_t cursor = 0, first = 1; first || cursor != 0; first = 0) {
		buf_init(&out, IPC_METRICS_MAX);
		assert_int_equal(metrics_print(t.m, METRICS_BROKER, &cursor, &out), ERR_OK);
		buf_done(&out);
	}
}

static void one_that_is_not_kept(void **state)
{
	(void)state;
	metrics_print_one(&t.out, METRIC_BUILD_INFO, SV("version=\"1\""), 1);
	assert_true(has("# TYPE bff_build_info gauge\nbff_build_info{version=\"1\"} 1\n"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(a_counter_has_its_head_and_its_value),
	    TEST(one_label_is_always_there_and_two_once_they_counted),
	    TEST(a_histogram_is_cumulative_and_in_seconds),
	    TEST(gauges_have_signs_and_microseconds_are_shown_as_seconds),
	    TEST(pieces_are_the_whole),
	    TEST(the_largest_piece_fits_a_packet),
	    TEST(one_that_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "common/log.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/unit/unit.h"

/* Points stderr at a pipe while `fn` runs and returns what it wrote. */
static const char *captured(void (*fn)(void))
{
	static char text[16384];
	int fds[2], old = dup(STDERR_FILENO);
	size_t n = 0;
	ssize_t got;

	assert_int_equal(pipe(fds), 0);
	assert_int_not_equal(dup2(fds[1], STDERR_FILENO), -1);
	assert_int_equal(close(fds[1]), 0);
	fn();
	assert_int_not_equal(dup2(old, STDERR_FILENO), -1);
	assert_int_equal(close(old), 0);
	while ((got = read(fds[0], text + n, sizeof text - 1 - n)) > 0)
		n += (size_t)got;
	assert_int_equal(close(fds[0]), 0);
	text[n] = '\0';
	return text;
}

static void hostile(void)
{
	log_warn("peer_said", K("what", "a b\n\"=\x01\xff"), K("empty", ""), KI("n", -5));
}

static void a_peer_cannot_forge_a_line(void **state)
{
	const char *got;

	(void)state;
	log_init("worker", 3);
	got = captured(hostile);
	assert_non_null(strstr(
	    got, " gen=3 event=peer_said what=\"a b\\x0a\\\"=\\x01\\xff\" empty=\"\" n=-5\n"));
	assert_ptr_equal(strchr(got, '\n'), got + strlen(got) - 1);
	assert_int_equal(strncmp(got, "level=warn role=worker pid=", 27), 0);
}

static void long_value(void)
{
	static char text[4 * LOG_LINE_MAX];

	memset(text, 'x', sizeof text - 1);
	log_info("long", K("a", text), K("b", text), K("c", text), K("d", text), K("e", text),
		 K("f", text), K("g", text), K("h", text), K("i", text));
}

static void a_line_has_a_limit(void **state)
{
	const char *got;

	(void)state;
	got = captured(long_value);
	assert_true(strlen(got) <= LOG_LINE_MAX);
	assert_int_equal(got[strlen(got) - 1], '\n');
	assert_non_null(strstr(got, "x...\""));
}

/* So many lines in each of these seconds. */
static void knock(int64_t from_s, int64_t to_s, int lines)
{
	for (int64_t s = from_s; s <= to_s; s++) {
		clock_set(s * 1000, s);
		for (int i = 0; i < lines; i++)
			log_peer(LOG_INFO, "knock", KI("i", i));
	}
	clock_unset();
}

static void flood(void)
{
	knock(1, 1, LOG_PEER_PER_SECOND + 7);
	knock(2, 2, 1);
}

static void long_flood(void)
{
	knock(101, 110, LOG_PEER_PER_SECOND + 1);
}

/* The second after the flood still has few, the one after that as many as ever. */
static void after_a_flood(void)
{
	knock(201, 202, LOG_PEER_PER_SECOND + 1);
	knock(203, 204, LOG_PEER_PER_SECOND);
}

static void a_pause_ends_a_flood(void)
{
	knock(301, 301, LOG_PEER_PER_SECOND + 1);
	knock(303, 303, LOG_PEER_PER_SECOND);
}

static unsigned lines_of(void (*what)(void))
{
	unsigned lines = 0;

	for (const char *p = captured(what); (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	return lines;
}

static void a_stranger_cannot_fill_the_log(void **state)
{
	const char *got;
	unsigned lines = 0;
	uint64_t before;

	(void)state;
	before = log_suppressed();
	got = captured(flood);
	for (const char *p = got; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_int_equal(lines, LOG_PEER_PER_SECOND + 2);
	assert_non_null(strstr(got, "event=log_lines_dropped dropped=7\n"));
	assert_int_equal(log_suppressed() - before, 7);
}

static void fields_that_may_be_missing(void)
{
	log_info("x", KS_IF("a", SV_NONE), KS_IF("b", SV("1")), KS("c", SV_NONE));
}

static void an_empty_field_is_left_out_where_it_may_be(void **state)
{
	(void)state;
	assert_non_null(strstr(captured(fields_that_may_be_missing), "event=x b=1 c=\"\"\n"));
}

static void a_flood_that_goes_on_is_told_in_few_lines(void **state)
{
	(void)state;
	/* Each second after the first also says how many lines the one before lacked. */
	assert_int_equal(lines_of(long_flood), LOG_PEER_PER_SECOND + 9 * (LOG_PEER_IN_FLOOD + 1));
	assert_int_equal(lines_of(after_a_flood),
			 LOG_PEER_PER_SECOND + 2 * LOG_PEER_IN_FLOOD + LOG_PEER_PER_SECOND + 4);
	assert_int_equal(lines_of(a_pause_ends_a_flood), 2 * LOG_PEER_PER_SECOND + 1);
}

static void below_the_level(void)
{
	log_debug("quiet", K("a", "b"));
}

static void debug_is_off_unless_asked(void **state)
{
	(void)state;
	assert_string_equal(captured(below_the_level), "");
	log_set_level(LOG_DEBUG);
	assert_non_null(strstr(captured(below_the_level), "event=quiet a=b"));
	log_set_level(LOG_INFO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_peer_cannot_forge_a_line),
	    cmocka_unit_test(a_line_has_a_limit),
	    cmocka_unit_test(a_stranger_cannot_fill_the_log),
	    cmocka_unit_test(an_empty_field_is_left_out_where_it_may_be),
	    cmocka_unit_test(a_flood_that_goes_on_is_told_in_few_lines),
	    cmocka_unit_test(debug_is_off_unless_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

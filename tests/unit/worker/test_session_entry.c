#include "worker/session_entry.h"

#include "tests/unit/torture.h"
#include "tests/unit/unit.h"

#define SENT 100000
#define IDLE 3600000

static const char demo; /* an app: only its address counts */

static const struct session_entry_of of = {.app = (const struct config_app *)(const void *)&demo,
					   .sent_ms = SENT,
					   .idle_ms = IDLE,
					   .policy_bits_n = 9};

static const struct session_row row = {
    .ref = SV_INIT("k3f9"),
    .subject = SV_INIT("alice"),
    .claims = SV_INIT("{\"name\":\"Alice\"}"),
    .acr = SV_INIT("gold"),
    .auth_time_s = 1700000000,
    .idle_left_ms = IDLE - 20000,
    .absolute_left_ms = 7200000,
};

/* Two services of a configuration: only their addresses count. */
static const char services[SESSION_TOKENS_MAX + 1];

static const struct config_service *service(size_t i)
{
	return (const struct config_service *)(const void *)&services[i];
}

static struct session_entry *entry(void)
{
	struct session_entry *e = NULL;

	assert_int_equal(session_entry_new(&row, &of, &e), ERR_OK);
	return e;
}

static void a_row_comes_back_as_it_was(void **state)
{
	struct session_entry *e = entry();
	struct session_row got = session_entry_row(e, SENT + 1000);

	(void)state;
	assert_ptr_equal(session_entry_app(e), &demo);
	assert_sv_equal(got.ref, row.ref);
	assert_sv_equal(got.subject, row.subject);
	assert_sv_equal(got.claims, row.claims);
	assert_sv_equal(got.acr, row.acr);
	assert_int_equal(got.auth_time_s, row.auth_time_s);
	assert_int_equal(got.idle_left_ms, row.idle_left_ms - 1000);
	assert_int_equal(got.absolute_left_ms, row.absolute_left_ms - 1000);
	assert_false(got.touch_due);
	assert_memory_equal(got.policy_bits, "\0\0\0\0\0\0\0\0\0", 9);
	memcpy(got.policy_bits, "abcdefghi", 9); /* kept */
	assert_memory_equal(session_entry_row(e, SENT).policy_bits, "abcdefghi", 9);
	assert_sv_equal(session_entry_row(e, SENT).claims, row.claims);
	session_entry_free(&e);
	assert_null(e);
	session_entry_free(&e);
}

static void activity_is_due_by_table(void **state)
{
	static const struct {
		bool due;
		int64_t idle_left_ms, want_after_ms;
	} cases[] = {
	    {true, IDLE - 61000, 0},
	    {false, IDLE - 20000, 40000 + SESSION_TOUCH_SLACK_MS},
	    {false, IDLE, 60000 + SESSION_TOUCH_SLACK_MS},
	    {false, IDLE - 60000, SESSION_TOUCH_SLACK_MS},
	    {false, IDLE - 60001, 0}, /* of another limit: the database knows */
	    {false, IDLE + 1, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct session_row r = row;
		struct session_entry *e = NULL;
		int64_t at = SENT + cases[i].want_after_ms;

		r.touch_due = cases[i].due;
		r.idle_left_ms = cases[i].idle_left_ms;
		assert_int_equal(session_entry_new(&r, &of, &e), ERR_OK);
		assert_true(session_entry_row(e, at).touch_due);
		assert_false(session_entry_row(e, at - 1).touch_due);
		session_entry_touched(e, at);
		assert_false(session_entry_row(e, at + SESSION_TOUCH_MS - 1).touch_due);
		assert_true(session_entry_row(e, at + SESSION_TOUCH_MS).touch_due);
		session_entry_free(&e);
	}
}

static void tokens_are_kept_for_half_of_their_time(void **state)
{
	struct session_entry *e = entry();

	(void)state;
	assert_int_equal(session_entry_token(e, service(0), SENT).n, 0);
	session_entry_add_token(e, service(0), SV("one"), SENT, 1000);
	assert_sv_equal(session_entry_token(e, service(0), SENT), SV("one"));
	assert_sv_equal(session_entry_token(e, service(0), SENT + 499), SV("one"));
	assert_int_equal(session_entry_token(e, service(0), SENT + 500).n, 0);
	assert_int_equal(session_entry_token(e, service(1), SENT).n, 0);
	session_entry_add_token(e, service(1), SV("two"), SENT, 2000);
	session_entry_add_token(e, service(0), SV("three"), SENT, 1000); /* in its place */
	assert_sv_equal(session_entry_token(e, service(0), SENT), SV("three"));
	assert_sv_equal(session_entry_token(e, service(1), SENT + 999), SV("two"));
	session_entry_add_token(e, service(2), SV("dead"), SENT, 0);
	session_entry_add_token(e, service(2), SV("dead"), SENT, -5);
	session_entry_add_token(e, service(2), SV_NONE, SENT, 1000);
	assert_int_equal(session_entry_token(e, service(2), SENT - 100).n, 0);
	session_entry_free(&e);
}

static void there_are_so_many_at_most(void **state)
{
	struct session_entry *e = entry();

	(void)state;
	for (size_t i = 0; i <= SESSION_TOKENS_MAX; i++) {
		session_entry_add_token(e, service(i), SV("t"), SENT, 1000);
		session_entry_add_block(e, service(i), SV("b"));
	}
	for (size_t i = 0; i <= SESSION_TOKENS_MAX; i++) {
		assert_int_equal(session_entry_token(e, service(i), SENT).n > 0,
				 i < SESSION_TOKENS_MAX);
		assert_int_equal(session_entry_block(e, service(i)).n > 0, i < SESSION_BLOCKS_MAX);
	}
	session_entry_add_token(e, service(0), SV("new"), SENT, 1000); /* replacing needs no room */
	assert_sv_equal(session_entry_token(e, service(0), SENT), SV("new"));
	session_entry_free(&e);
}

static void blocks_are_found_by_their_key(void **state)
{
	struct session_entry *e = entry();

	(void)state;
	assert_int_equal(session_entry_block(e, service(0)).n, 0);
	session_entry_add_block(e, service(0), SV("A: 1\r\n"));
	session_entry_add_block(e, NULL, SV("B: 2\r\n"));
	assert_sv_equal(session_entry_block(e, service(0)), SV("A: 1\r\n"));
	assert_sv_equal(session_entry_block(e, NULL), SV("B: 2\r\n"));
	assert_int_equal(session_entry_token(e, service(0), SENT).n, 0);
	session_entry_free(&e);
}

static void bytes_are_counted(void **state)
{
	struct session_entry *e = entry();
	size_t before = session_entry_bytes(e), with_token;
	char big[1000] = "";

	(void)state;
	assert_in_range(before, row.claims.n, 256); /* of the budget of 1 KiB */
	memset(big, 'x', sizeof big);
	session_entry_add_token(e, service(0), sv_of(big, sizeof big), SENT, 1000);
	with_token = session_entry_bytes(e);
	assert_in_range(with_token - before, sizeof big, sizeof big + 100);
	session_entry_add_block(e, NULL, sv_of(big, sizeof big));
	assert_in_range(session_entry_bytes(e) - with_token, sizeof big, sizeof big + 100);
	session_entry_free(&e);
}

static void a_row_has_a_limit(void **state)
{
	struct session_row r = row;
	struct session_entry *e = NULL;
	char *big = calloc(1, SESSION_ROW_MAX + 1);

	(void)state;
	assert_non_null(big);
	r.claims = sv_of(big, SESSION_ROW_MAX + 1);
	assert_int_equal(session_entry_new(&r, &of, &e), ERR_LIMIT);
	r.claims = sv_of(big, SESSION_ROW_MAX);
	assert_int_equal(session_entry_new(&r, &of, &e), ERR_LIMIT);
	assert_null(e);
	r = (struct session_row){.claims = sv_of(big, SESSION_ROW_MAX)};
	assert_int_equal(session_entry_new(&r, &of, &e), ERR_OK);
	session_entry_free(&e);
	free(big);
}

static enum err make_all(void *arg)
{
	struct session_entry *e = NULL;
	enum err rc = session_entry_new(&row, &of, &e);

	(void)arg;
	if (rc != ERR_OK)
		return rc;
	session_entry_add_token(e, service(0), SV("t"), SENT, 1000);
	session_entry_add_block(e, NULL, SV("b"));
	if (session_entry_token(e, service(0), SENT).n == 0 || session_entry_block(e, NULL).n == 0)
		rc = ERR_NOMEM;
	session_entry_free(&e);
	return rc;
}

static void without_memory_it_keeps_less(void **state)
{
	(void)state;
	assert_true(torture(make_all, NULL) >= 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_row_comes_back_as_it_was),
	    cmocka_unit_test(activity_is_due_by_table),
	    cmocka_unit_test(tokens_are_kept_for_half_of_their_time),
	    cmocka_unit_test(there_are_so_many_at_most),
	    cmocka_unit_test(blocks_are_found_by_their_key),
	    cmocka_unit_test(bytes_are_counted),
	    cmocka_unit_test(a_row_has_a_limit),
	    cmocka_unit_test(without_memory_it_keeps_less),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

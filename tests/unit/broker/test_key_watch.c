#include "broker/key_watch.h"

#include <unistd.h>

#include "broker/reseal.h"
#include "tests/unit/broker/fake_pg.h"
#include "tests/unit/broker/ring.h"

static struct {
	struct broker broker;
	struct key_watch *watch;
	unsigned passes;
} t;

void __wrap_reseal_start(struct reseal *r);
void __wrap_reseal_start(struct reseal *r)
{
	(void)r;
	t.passes++;
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	fake_reset();
	t.broker.base = event_base_new();
	t.broker.ring = ring_of("1 pending " RING_KEY_A "\n2 pending " RING_KEY_B "\n");
	return key_watch_new(&t.broker, SV("host /run/s"), &t.watch) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	key_watch_free(&t.watch);
	keyring_free(&t.broker.ring);
	event_base_free(t.broker.base);
	return 0;
}

/* The database's answer to a report: "1 primary" and so on. */
static void answer(const char *const *words, const int64_t *ids, size_t n)
{
	struct pg_rows rows = {.n = n};

	for (size_t i = 0; i < n; i++) {
		rows.v[i][0].number = ids[i];
		rows.v[i][1].text = sv_str(words[i]);
	}
	fake_answer(ERR_OK, &rows);
}

static uint32_t primary(void)
{
	uint32_t id = 0;
	struct sv key;

	return keyring_primary(t.broker.ring, &id, &key) == ERR_OK ? id : 0;
}

static void a_report_says_what_is_here_and_brings_states(void **state)
{
	struct keyring_entry e = keyring_entry(t.broker.ring, 0);
	char print[64];

	(void)state;
	key_watch_kick(t.watch);
	assert_int_equal(fake_nasked, 1);
	assert_int_equal(fake_asked[0].stmt, SQL_KEYS_REPORT);
	assert_sv_equal(fake_param(0, 0), SV("host /run/s"));
	assert_sv_equal(fake_param(0, 2), SV("t"));
	assert_sv_equal(fake_param(0, 3), SV("{1,2}"));
	(void)snprintf(print, sizeof print, "{\"\\\\x%02x%02x", e.print[0], e.print[1]);
	assert_true(sv_starts(fake_param(0, 4), sv_str(print)));
	key_watch_kick(t.watch); /* one at a time */
	assert_int_equal(fake_nasked, 1);
	answer((const char *const[]){"primary", "pending"}, (const int64_t[]){1, 2}, 2);
	assert_int_equal(primary(), 1);
	assert_int_equal(t.passes, 0); /* nothing is being replaced */
	key_watch_kick(t.watch);
	assert_sv_equal(fake_param(0, 2), SV("f")); /* no longer just started */
	fake_answer(ERR_UNAVAILABLE, NULL);
	assert_int_equal(primary(), 1); /* an outage changes no state */
}

static void another_primary_key_starts_one_pass(void **state)
{
	(void)state;
	key_watch_kick(t.watch);
	answer((const char *const[]){"primary", "pending"}, (const int64_t[]){1, 2}, 2);
	for (int i = 0; i < 3; i++) {
		key_watch_kick(t.watch);
		answer((const char *const[]){"decrypt-only", "primary"}, (const int64_t[]){1, 2},
		       2);
		assert_int_equal(primary(), 2);
		assert_int_equal(t.passes, 1);
	}
}

static void a_restart_amid_a_replacement_starts_a_pass(void **state)
{
	(void)state;
	key_watch_kick(t.watch);
	answer((const char *const[]){"decrypt-only", "primary"}, (const int64_t[]){1, 2}, 2);
	assert_int_equal(t.passes, 1);
}

static void without_the_primary_key_nothing_is_sealed(void **state)
{
	(void)state;
	key_watch_kick(t.watch);
	answer((const char *const[]){"primary", "pending"}, (const int64_t[]){1, 2}, 2);
	key_watch_kick(t.watch);
	answer((const char *const[]){"decrypt-only", "pending", "missing"},
	       (const int64_t[]){1, 2, 9}, 3);
	assert_int_equal(primary(), 0);
	assert_int_equal(t.passes, 0);
}

static void another_key_of_our_id_is_not_ours(void **state)
{
	struct sv key;

	(void)state;
	key_watch_kick(t.watch);
	answer((const char *const[]){"other", "primary"}, (const int64_t[]){1, 2}, 2);
	assert_int_equal(keyring_find(t.broker.ring, 1, &key), ERR_NO_KEY);
	assert_int_equal(primary(), 2);
}

static void without_a_database_it_waits(void **state)
{
	(void)state;
	fake_refuse = ERR_UNAVAILABLE;
	key_watch_kick(t.watch);
	fake_refuse = ERR_OK;
	key_watch_kick(t.watch);
	assert_int_equal(fake_nasked, 1);
	fake_answer(ERR_UNAVAILABLE, NULL);
	assert_int_equal(primary(), 0);
}

/* Machines of one name differ; what is in the file is not in what they are called. */
static void a_machine_is_told_from_others_of_its_name(void **state)
{
	static const char *const ids[] = {"3d1219c7c4c5404aaa1f6d2a48adfda4\n",
					  "3d1219c7c4c5404aaa1f6d2a48adfda5\n"};
	char path[] = "/tmp/bff-machine-XXXXXX", seen[2][16];
	int fd = mkstemp(path);
	struct buf b;

	(void)state;
	assert_int_not_equal(fd, -1);
	buf_init(&b, 64);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		assert_int_equal(pwrite(fd, ids[i], strlen(ids[i]), 0), strlen(ids[i]));
		buf_clear(&b);
		key_watch_machine(path, &b);
		assert_int_equal(b.n, 2 * KEY_WATCH_MACHINE_BYTES);
		(void)snprintf(seen[i], sizeof seen[i], SV_FMT, SV_ARG(buf_sv(&b)));
		assert_null(strstr(ids[i], seen[i]));
	}
	assert_string_not_equal(seen[0], seen[1]);
	buf_clear(&b);
	assert_int_equal(ftruncate(fd, 0), 0);
	key_watch_machine(path, &b);
	close(fd);
	unlink(path);
	key_watch_machine(path, &b);
	assert_int_equal(b.n, 0);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_report_says_what_is_here_and_brings_states, set_up,
					    tear_down),
	    cmocka_unit_test_setup_teardown(another_primary_key_starts_one_pass, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_restart_amid_a_replacement_starts_a_pass, set_up,
					    tear_down),
	    cmocka_unit_test_setup_teardown(without_the_primary_key_nothing_is_sealed, set_up,
					    tear_down),
	    cmocka_unit_test_setup_teardown(another_key_of_our_id_is_not_ours, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(without_a_database_it_waits, set_up, tear_down),
	    cmocka_unit_test(a_machine_is_told_from_others_of_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

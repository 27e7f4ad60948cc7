#include "broker/reseal.h"

#include "broker/token_seal.h"
#include "tests/unit/broker/fake_pg.h"
#include "tests/unit/broker/ring.h"

static struct {
	struct broker broker;
	struct reseal *reseal;
	struct keyring *old;
	struct buf sealed[3];
} t;

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	fake_reset();
	t.broker.base = event_base_new();
	t.broker.ring = ring_of("1 decrypt-only " RING_KEY_A "\n2 primary " RING_KEY_B "\n");
	t.old = ring_of(RING_ONE);
	for (size_t i = 0; i < ARRAY_LEN(t.sealed); i++)
		buf_init(&t.sealed[i], 1024);
	return reseal_new(&t.broker, &t.reseal) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	reseal_free(&t.reseal);
	keyring_free(&t.broker.ring);
	keyring_free(&t.old);
	for (size_t i = 0; i < ARRAY_LEN(t.sealed); i++)
		buf_done(&t.sealed[i]);
	event_base_free(t.broker.base);
	return 0;
}

static const struct sv grant = SV_INIT("grant-id");

static void seal_old(struct buf *b, const struct vault_label *label, const char *what)
{
	assert_int_equal(vault_seal(t.old, label, sv_str(what), b), ERR_OK);
}

/* One grant whose refresh token is of generation 3, and ID token and superseded refresh token of
 * generation 2. */
static struct pg_rows one_row(void)
{
	struct pg_rows rows = {.n = 1};
	struct vault_label refresh = token_refresh_label(grant, 3);
	struct vault_label id_token = token_id_token_label(grant, 2);
	struct vault_label previous = token_refresh_label(grant, 2);

	seal_old(&t.sealed[0], &refresh, "refresh token");
	seal_old(&t.sealed[1], &id_token, "id token");
	seal_old(&t.sealed[2], &previous, "the one of before");
	rows.v[0][0].text = grant;
	rows.v[0][1].number = 1;
	rows.v[0][2].text = buf_sv(&t.sealed[0]);
	rows.v[0][3].number = 3;
	rows.v[0][4].text = buf_sv(&t.sealed[1]);
	rows.v[0][5].number = 2;
	rows.v[0][6].text = buf_sv(&t.sealed[2]);
	rows.v[0][7].number = 2;
	return rows;
}

static void opens_under_the_old_and_seals_under_the_new(void **state)
{
	struct pg_rows rows = one_row(), put = {.n = 1};
	struct vault_label label = token_refresh_label(grant, 3);
	struct keyring *only_new = ring_of("2 primary " RING_KEY_B "\n");
	struct secret *plain = NULL;

	(void)state;
	reseal_start(t.reseal);
	assert_int_equal(fake_asked[0].stmt, SQL_RESEAL_TAKE);
	assert_int_equal(fake_param(0, 0).n, 0);
	fake_answer(ERR_OK, &rows);
	assert_int_equal(fake_nasked, 1);
	assert_int_equal(fake_asked[0].stmt, SQL_RESEAL_PUT);
	assert_sv_equal(fake_param(0, 0), grant);
	assert_sv_equal(fake_param(0, 1), buf_sv(&t.sealed[0]));
	assert_int_equal(vault_open(only_new, &label, fake_param(0, 2), &plain), ERR_OK);
	assert_sv_equal(secret_view(plain), SV("refresh token"));
	assert_sv_equal(fake_param(0, 3), buf_sv(&t.sealed[1]));
	secret_free(&plain);
	label = token_refresh_label(grant, 2);
	assert_sv_equal(fake_param(0, 5), buf_sv(&t.sealed[2]));
	assert_int_equal(vault_open(only_new, &label, fake_param(0, 6), &plain), ERR_OK);
	assert_sv_equal(secret_view(plain), SV("the one of before"));
	fake_answer(ERR_OK, &put);
	assert_int_equal(fake_nasked, 0); /* a short batch is the last */
	secret_free(&plain);
	keyring_free(&only_new);
}

static void what_does_not_open_stays(void **state)
{
	struct pg_rows rows = one_row();

	(void)state;
	rows.v[0][3].number = 4; /* another generation: the label does not fit */
	rows.v[0][4].text = SV_NONE;
	reseal_start(t.reseal);
	fake_answer(ERR_OK, &rows);
	assert_int_equal(fake_asked[0].stmt, SQL_RESEAL_PUT); /* of the one that does */
	assert_int_equal(fake_param(0, 1).n + fake_param(0, 2).n, 0);
	assert_int_equal(fake_param(0, 3).n + fake_param(0, 4).n, 0);
	assert_sv_equal(fake_param(0, 5), buf_sv(&t.sealed[2]));
	fake_answer(ERR_OK, &(struct pg_rows){.n = 1});
	rows.v[0][7].number = 4;
	reseal_start(t.reseal);
	fake_answer(ERR_OK, &rows);
	assert_int_equal(fake_nasked, 0);
}

static void loop_until_asked(void)
{
	while (fake_nasked == 0)
		assert_int_equal(event_base_loop(t.broker.base, EVLOOP_ONCE), 0);
}

static void walks_on_behind_the_last_of_a_full_batch(void **state)
{
	static struct pg_rows rows;
	static char ids[RESEAL_ROWS][4];

	(void)state;
	memset(&rows, 0, sizeof rows);
	rows.n = RESEAL_ROWS;
	for (size_t i = 0; i < RESEAL_ROWS; i++) {
		(void)snprintf(ids[i], sizeof ids[i], "%03u", (unsigned)i);
		rows.v[i][0].text = sv_of(ids[i], 3);
	}
	reseal_start(t.reseal);
	fake_answer(ERR_OK, &rows);
	assert_int_equal(fake_nasked, 0); /* not in the same turn */
	loop_until_asked();
	assert_sv_equal(fake_param(0, 0), sv_of(ids[RESEAL_ROWS - 1], 3));
	/* A new primary key in the middle: from the beginning. */
	reseal_start(t.reseal);
	assert_int_equal(fake_nasked, 1);
	rows.n = 1;
	fake_answer(ERR_OK, &rows);
	loop_until_asked();
	assert_int_equal(fake_param(0, 0).n, 0);
	rows.n = 0;
	fake_answer(ERR_OK, &rows);
	assert_int_equal(fake_nasked, 0);
}

static void an_outage_ends_the_pass_and_it_may_begin_again(void **state)
{
	(void)state;
	reseal_start(t.reseal);
	fake_answer(ERR_UNAVAILABLE, NULL);
	assert_int_equal(fake_nasked, 0);
	fake_refuse = ERR_UNAVAILABLE;
	reseal_start(t.reseal);
	fake_refuse = ERR_OK;
	reseal_start(t.reseal);
	assert_int_equal(fake_nasked, 1);
	fake_answer(ERR_UNAVAILABLE, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(opens_under_the_old_and_seals_under_the_new, set_up,
					    tear_down),
	    cmocka_unit_test_setup_teardown(what_does_not_open_stays, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(walks_on_behind_the_last_of_a_full_batch, set_up,
					    tear_down),
	    cmocka_unit_test_setup_teardown(an_outage_ends_the_pass_and_it_may_begin_again, set_up,
					    tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/login_past.h"

#include "broker/token_seal.h"
#include "tests/unit/broker/fake_pg.h"
#include "tests/unit/broker/ring.h"

static void what_a_session_brings(void **state)
{
	struct keyring *ring = ring_of(RING_ONE);
	struct vault_label label = token_id_token_label(SV("grant"), 2);
	struct pg_rows rows = {.n = 1};
	struct login_past p;
	struct buf sealed;

	(void)state;
	buf_init(&sealed, 4096);
	assert_int_equal(vault_seal(ring, &label, SV("jwt"), &sealed), ERR_OK);
	rows.v[0][0].text = SV("{}");
	rows.v[0][1].text = SV("a@example.com");
	rows.v[0][2].text = SV("grant");
	rows.v[0][3].text = buf_sv(&sealed);
	rows.v[0][4].number = 2;
	assert_int_equal(login_past_read(&rows, ring, &p), ERR_OK);
	assert_sv_equal(p.claims, SV("{}"));
	assert_sv_equal(p.hint, SV("a@example.com"));
	assert_sv_equal(secret_view(p.id_token), SV("jwt"));
	login_past_done(&p);
	/* Of another generation it does not open; the rest counts. */
	rows.v[0][4].number = 3;
	assert_int_equal(login_past_read(&rows, ring, &p), ERR_OK);
	assert_null(p.id_token);
	assert_sv_equal(p.claims, SV("{}"));
	login_past_done(&p);
	buf_done(&sealed);
	keyring_free(&ring);
}

static void a_session_that_is_over_brings_nothing(void **state)
{
	struct pg_rows rows = {.n = 1};
	struct login_past p;

	(void)state;
	assert_int_equal(login_past_read(&rows, NULL, &p), ERR_OK);
	assert_int_equal(p.claims.n + p.hint.n, 0);
	assert_null(p.id_token);
	login_past_done(&p);
	rows.n = 0;
	assert_int_equal(login_past_read(&rows, NULL, &p), ERR_PROTOCOL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_a_session_brings),
	    cmocka_unit_test(a_session_that_is_over_brings_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

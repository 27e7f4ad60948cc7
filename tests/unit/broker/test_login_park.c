#include "broker/login_park.h"

#include "common/clock.h"
#include "tests/unit/broker/login_stand.h"

static const struct sv hash = SV_INIT("0123456789abcdef0123456789abcdef");

static enum err seal(const struct login_response *r, struct buf *out)
{
	buf_init(out, IPC_FRAME_MAX);
	return login_response_seal(stand.broker.ring, hash, r, out);
}

static void what_was_put_away_comes_back(void **state)
{
	static const struct login_response rows[] = {
	    {SV_INIT("code"), SV_INIT("https://q.example"), SV_INIT("")},
	    {SV_INIT(""), SV_INIT(""), SV_INIT("access_denied")},
	    {SV_INIT("code"), SV_INIT(""), SV_INIT("")},
	    {SV_INIT(""), SV_INIT(""), SV_INIT("")},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct login_response got;
		struct secret *room = NULL;
		struct buf sealed;

		assert_int_equal(seal(&rows[i], &sealed), ERR_OK);
		assert_int_equal(
		    login_response_open(stand.broker.ring, hash, buf_sv(&sealed), &room, &got),
		    ERR_OK);
		assert_sv_equal(got.code, rows[i].code);
		assert_sv_equal(got.iss, rows[i].iss);
		assert_sv_equal(got.error, rows[i].error);
		secret_free(&room);
		buf_done(&sealed);
	}
}

static void it_opens_for_its_own_login_alone(void **state)
{
	const struct login_response r = {.code = SV("c")};
	const struct vault_label other = {.purpose = SV("login response"), .object = hash};
	struct login_response got;
	struct secret *room = NULL;
	struct buf sealed;

	(void)state;
	assert_int_equal(seal(&r, &sealed), ERR_OK);
	assert_int_equal(login_response_open(stand.broker.ring, SV("another state's hash"),
					     buf_sv(&sealed), &room, &got),
			 ERR_CRYPTO);
	assert_null(room);
	buf_clear(&sealed);
	assert_int_equal(vault_seal(stand.broker.ring, &other, SV("two\0fields"), &sealed), ERR_OK);
	assert_int_equal(login_response_open(stand.broker.ring, hash, buf_sv(&sealed), &room, &got),
			 ERR_SYNTAX);
	secret_free(&room);
	buf_clear(&sealed);
	assert_int_equal(vault_seal(stand.broker.ring, &other, SV("1\0002\0003\0004"), &sealed),
			 ERR_OK);
	assert_int_equal(login_response_open(stand.broker.ring, hash, buf_sv(&sealed), &room, &got),
			 ERR_SYNTAX);
	secret_free(&room);
	buf_done(&sealed);
}

static void a_nul_in_a_response_is_refused(void **state)
{
	const struct login_response r = {.code = SV("c\0iss")};
	struct buf sealed;

	(void)state;
	assert_int_equal(seal(&r, &sealed), ERR_SYNTAX);
	assert_int_equal(sealed.n, 0);
	buf_done(&sealed);
}

static struct ipc_login_park message(void)
{
	return (struct ipc_login_park){.app = SV("f"),
				       .state = SV("S"),
				       .code = SV("the code"),
				       .iss = SV("https://p.example"),
				       .client = SV("192.0.2.0/24"),
				       .correlation = SV("c-1")};
}

static void park(const struct ipc_login_park *m)
{
	struct request *r = stand_request();

	login_park(&r, m);
	assert_null(r);
}

static void the_row_is_that_of_the_state_and_holds_no_plain_code(void **state)
{
	const struct ipc_login_park m = message();
	unsigned char want[CRYPT_SHA256_LEN];
	struct sv sealed;

	(void)state;
	park(&m);
	assert_waiting();
	assert_int_equal(fake_asked[0].stmt, SQL_LOGIN_PARK);
	assert_int_equal(crypt_sha256(SV("S"), want), ERR_OK);
	assert_sv_equal(fake_param(0, 0), sv_of((const char *)want, sizeof want));
	assert_sv_equal(fake_param(0, 1), SV("f"));
	sealed = fake_param(0, 2);
	assert_null(memmem(sealed.p, sealed.n, "the code", 8));
	STAND_ROWS(SV("t"));
	assert_false(stand.answer.failed);
	assert_int_equal(stand.answer.m.number, IPC_LOGIN_PARKED);
	assert_int_equal(stand.answer.m.u.login_parked.known, 1);
	park(&m);
	STAND_ROWS(SV("f"));
	assert_int_equal(stand.answer.m.u.login_parked.known, 0);
}

static void what_is_not_put_away(void **state)
{
	struct ipc_login_park rows[6];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		rows[i] = message();
	rows[0].app = SV("a"); /* its provider answers by GET */
	rows[1].app = SV("none");
	rows[2].state = SV_NONE;
	rows[3].code = SV_NONE;
	rows[4].error = SV("access_denied");
	rows[5].app = SV_NONE;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		park(&rows[i]);
		assert_failed(IPC_ERROR_BINDING, "app_or_response_mode");
	}
	assert_int_equal(fake_queries, 0);
}

static void responses_by_post_come_at_the_rate_of_beginnings(void **state)
{
	const struct ipc_login_park m = message();
	uint32_t retry_s = 0;

	(void)state;
	for (unsigned i = 0; i < 10 * LOGIN_PREFIX_BURST; i++) {
		park(&m);
		if (fake_nasked > 0)
			STAND_ROWS(SV("f"));
		assert_int_equal(stand.answer.n, 1);
	}
	assert_failed(IPC_ERROR_LIMITED, "response_rate");
	assert_true(stand.answer.retry_after_s > 0);
	assert_in_range(fake_queries, LOGIN_PREFIX_BURST, 2 * LOGIN_PREFIX_BURST);
	/* The GET that follows counts by itself, and so does a beginning. */
	assert_true(rate_limit_take(stand.broker.responses, m.client, clock_boot_ms(), &retry_s));
	assert_true(rate_limit_take(stand.broker.limits, m.client, clock_boot_ms(), &retry_s));
}

static void without_a_database_or_a_key(void **state)
{
	struct ipc_login_park m = message();

	(void)state;
	park(&m);
	fake_answer(ERR_TIMEOUT, NULL);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_TIMEOUT));
	fake_refuse = ERR_UNAVAILABLE;
	park(&m);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_UNAVAILABLE));
	fake_refuse = ERR_OK;
	m.iss = SV("a\0b");
	park(&m);
	assert_failed(IPC_ERROR_INTERNAL, err_text(ERR_SYNTAX));
	m.iss = SV_NONE;
	keyring_free(&stand.broker.ring);
	stand.broker.ring = ring_of("1 pending " RING_KEY_A "\n"); /* no primary is known yet */
	park(&m);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_UNAVAILABLE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAND(what_was_put_away_comes_back),
	    STAND(it_opens_for_its_own_login_alone),
	    STAND(a_nul_in_a_response_is_refused),
	    STAND(the_row_is_that_of_the_state_and_holds_no_plain_code),
	    STAND(what_is_not_put_away),
	    STAND(responses_by_post_come_at_the_rate_of_beginnings),
	    STAND(without_a_database_or_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

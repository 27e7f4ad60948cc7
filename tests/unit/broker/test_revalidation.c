#include "broker/revalidation.h"

#include "tests/unit/broker/token_stand.h"

static const struct id_token_claims claims = {.sub = SV_INIT("alice"),
					      .email = SV_INIT("a@example.com"),
					      .claims =
						  SV_INIT("{\"sub\":\"alice\",\"name\":\"A\"}")};

static int open_stand(void **state)
{
	assert_int_equal(stand_open(state), 0);
	assert_int_equal(revalidation_new(&stand.broker, &stand.broker.revalidation), ERR_OK);
	return 0;
}

/* Lets the timer come: one session of app a, or of `app`. */
static void take(const char *app, const char *issuer)
{
	const struct pg_rows rows = {
	    .n = 1,
	    .v = {{{.text = sv_of((const char *)stand_hash, sizeof stand_hash)},
		   {.text = sv_str(app)},
		   {.text = SV("p")},
		   {.text = sv_str(issuer)},
		   {.text = SV("alice")},
		   {.text = SV(STAND_ID)},
		   {.number = 2}}}};

	assert_int_equal(loop_asked_ms() >= REVALIDATION_EVERY_MS, true);
	loop_fire(stand.broker.base);
	assert_asked(SQL_REVALIDATION_TAKE);
	fake_answer(ERR_OK, &rows);
}

static void to_reply(void)
{
	take("a", STAND_ISSUER);
	stand_reads(NULL, "good for long", 290000);
	stand_leases(true, 1, 0);
	assert_called(CALL_REFRESH, SV("rt-1"));
}

static void noted(bool yes)
{
	assert_sv_equal(fake_param(0, 0), sv_of((const char *)stand_hash, sizeof stand_hash));
	stand_bool(yes);
	assert_int_equal(stand.edition.refs, 0);
	assert_nothing_said();
}

static void delays_grow_to_their_limit(void **state)
{
	static const struct {
		int64_t tries;
		uint32_t retry_after_s;
		unsigned char random;
		int64_t want_ms;
	} rows[] = {
	    {1, 0, 0, 5000},	   {2, 0, 0, 10000},   {3, 0, 0, 20000},
	    {7, 0, 0, 300000},	   {99, 0, 0, 300000}, {1, 60, 0, 60000},
	    {1, 86400, 0, 300000}, {3, 1, 0, 20000},   {1, 0, 255, 6245},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(
		    revalidation_delay_ms(rows[i].tries, rows[i].retry_after_s, rows[i].random),
		    rows[i].want_ms);
}

static void the_claims_of_the_new_id_token(void **state)
{
	struct token_reply reply = stand_success("at", "rt-2");

	(void)state;
	reply.id_token = SV("jwt");
	to_reply();
	stand_reply(ERR_OK, &reply);
	assert_called(CALL_ID_TOKEN, SV("jwt"));
	stand_claims(ERR_OK, &claims, "");
	assert_asked(SQL_GRANT_COMMIT); /* first the successor */
	stand_bool(true);
	stand_reads(NULL, "at", 300000);
	assert_asked(SQL_REVALIDATION_DONE);
	assert_int_equal(fake_number(0, 2), 15 * 60 * 1000);
	assert_sv_equal(fake_param(0, 3), claims.claims);
	assert_sv_equal(fake_param(0, 4), claims.email);
	noted(true);
}

static void without_an_id_token_they_stay(void **state)
{
	const struct token_reply reply = stand_success("at", "rt-2");

	(void)state;
	to_reply();
	stand_reply(ERR_OK, &reply);
	stand_bool(true);
	stand_reads(NULL, "at", 300000);
	assert_asked(SQL_REVALIDATION_DONE);
	assert_int_equal(fake_number(0, 2), 15 * 60 * 1000);
	assert_true(fake_asked[0].params[3].null && fake_asked[0].params[4].null);
	noted(true);
}

static void set_claims_from(unsigned from)
{
	/* The configuration is ours, and not shared. */
	union {
		const struct config_provider *in;
		struct config_provider *out;
	} p = {.in = config_provider(stand.config, SV("p"))};

	p.out->claims_from = from;
}

static void userinfo_where_claims_come_from_it(void **state)
{
	static const struct {
		unsigned from;
		const char *id_token;
		const char *want;
	} rows[] = {
	    {CLAIMS_USERINFO, "jwt", "{\"sub\":\"alice\",\"groups\":[\"x\"]}"},
	    {CLAIMS_ID_TOKEN | CLAIMS_USERINFO, "jwt",
	     "{\"sub\":\"alice\",\"name\":\"A\",\"groups\":[\"x\"]}"},
	    /* What nobody says any more does not stay. */
	    {CLAIMS_ID_TOKEN | CLAIMS_USERINFO, "", "{\"groups\":[\"x\"]}"},
	};
	const struct id_token_claims info = {.sub = SV("alice"),
					     .claims = SV("{\"groups\":[\"x\"]}")};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct token_reply reply = stand_success("at", "rt-2");

		set_claims_from(rows[i].from);
		reply.id_token = sv_str(rows[i].id_token);
		to_reply();
		stand_reply(ERR_OK, &reply);
		if (reply.id_token.n > 0)
			stand_claims(ERR_OK, &claims, "");
		stand_bool(true);
		stand_reads(NULL, "at", 300000);
		assert_called(CALL_USERINFO, SV("at"));
		stand_claims(ERR_OK, &info, "");
		assert_asked(SQL_REVALIDATION_DONE);
		assert_sv_equal(fake_param(0, 3), sv_str(rows[i].want));
		noted(true);
	}
	set_claims_from(CLAIMS_USERINFO);
	to_reply();
	const struct token_reply reply = stand_success("at", "rt-2");

	stand_reply(ERR_OK, &reply);
	stand_bool(true);
	stand_reads(NULL, "at", 300000);
	stand_claims(ERR_UNAVAILABLE, NULL, "");
	assert_asked(SQL_REVALIDATION_RETRY);
	noted(true);
}

/* Which answers end the session, and which put it off. */
static void what_an_answer_means(void **state)
{
	static const struct {
		enum token_outcome outcome;
		enum broker_statement want;
	} rows[] = {
	    {TOKEN_DEAD, SQL_REVALIDATION_END},
	    {TOKEN_INTERACTION, SQL_REVALIDATION_END},
	    {TOKEN_NOT_SENT, SQL_REVALIDATION_RETRY},
	    {TOKEN_UNKNOWN, SQL_REVALIDATION_RETRY},
	    {TOKEN_THROTTLED, SQL_REVALIDATION_RETRY},
	    {TOKEN_CLIENT_BROKEN, SQL_REVALIDATION_RETRY},
	    {TOKEN_MISCONFIGURED, SQL_REVALIDATION_RETRY},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		stand.now_ms += 1000000;
		to_reply();
		stand_outcome(rows[i].outcome, "word");
		stand_bool(true); /* the lease, or the grant's end */
		assert_asked(rows[i].want);
		if (rows[i].want == SQL_REVALIDATION_RETRY)
			assert_true(fake_number(0, 2) >= revalidation_delay_ms(2, 0, 0));
		noted(true);
	}
}

/* Before the session ends, with which its grant would be gone. */
static void a_challenge_is_kept_for_the_next_login(void **state)
{
	const struct token_reply reply = {
	    .outcome = TOKEN_INTERACTION, .detail = "word", .claims = SV("{\"a\":1}")};

	(void)state;
	to_reply();
	stand_reply(ERR_OK, &reply);
	assert_asked(SQL_GRANT_CHALLENGE);
	assert_sv_equal(fake_param(0, 1), SV("{\"a\":1}"));
	stand_bool(true);
	stand_bool(true); /* the lease */
	assert_asked(SQL_REVALIDATION_END);
	noted(true);
}

static void attempts_used_up(void **state)
{
	struct stand_ask a;

	(void)state;
	take("a", STAND_ISSUER);
	stand_reads(NULL, "good for long", 290000);
	stand_leases(true, LEASE_ATTEMPTS_MAX + 1, 1000);
	stand_bool(true);
	assert_asked(SQL_REVALIDATION_RETRY); /* an outage led to that */
	noted(true);
	/* Nor when a request was told so. */
	stand.now_ms += 1000000;
	stand_ask_for(&a, "own");
	grant_table_ask(stand.broker.grants, &a.ask, NULL);
	stand_reads(NULL, NULL, 0);
	stand_leases(true, LEASE_ATTEMPTS_MAX + 1, 1000);
	stand_bool(true);
	take("a", STAND_ISSUER);
	stand_reads(NULL, "good for long", 290000);
	assert_asked(SQL_REVALIDATION_RETRY);
	noted(true);
}

/* The last attempt is sent when the provider answered somebody else of late. */
static void the_last_attempt_is_not_risked(void **state)
{
	const struct token_reply reply = stand_success("robot", "");
	const struct config_service *cc = stand_service("cc");
	static const unsigned char digest[CRYPT_SHA256_LEN] = {1};

	(void)state;
	take("a", STAND_ISSUER);
	stand_reads(NULL, "good for long", 290000);
	stand_leases(true, LEASE_ATTEMPTS_MAX, 1000);
	assert_int_equal(stand.calls.n, 0);
	assert_asked(SQL_REFRESH_RELEASE);
	assert_sv_equal(fake_param(0, 4), SV("unused"));
	stand_bool(true);
	assert_asked(SQL_REVALIDATION_RETRY);
	noted(true);
	service_token_ask(stand.broker.service_tokens, &stand.edition, cc, digest, NULL);
	stand_reply(ERR_OK, &reply);
	take("a", STAND_ISSUER);
	stand_reads(NULL, "good for long", 290000);
	stand_leases(true, LEASE_ATTEMPTS_MAX, 1000);
	assert_called(CALL_REFRESH, SV("rt-1"));
	stand_outcome(TOKEN_DEAD, "invalid_grant");
	stand_bool(true);
	assert_asked(SQL_REVALIDATION_END);
	noted(true);
}

static void a_session_that_is_over(void **state)
{
	struct stand_row r;

	(void)state;
	take("a", STAND_ISSUER);
	stand_row_of(&r, NULL, NULL, 0);
	r.rows.v[0][0].text = SV("logout");
	fake_answer(ERR_OK, &r.rows);
	stand_row_done(&r);
	assert_asked(SQL_REVALIDATION_DONE);
	assert_int_equal(fake_number(0, 2), 0);
	noted(false);
}

static void what_the_configuration_says_now(void **state)
{
	(void)state;
	take("gone", STAND_ISSUER);
	assert_asked(SQL_REVALIDATION_RETRY); /* it may be back with the next reload */
	noted(true);
	take("a", "https://other.example");
	assert_asked(SQL_REVALIDATION_RETRY);
	noted(true);
	take("b", STAND_ISSUER); /* without revalidate */
	assert_asked(SQL_REVALIDATION_DONE);
	assert_int_equal(fake_number(0, 2), 0);
	noted(true);
	assert_int_equal(stand.calls.n, 0);
}

static void without_a_database(void **state)
{
	(void)state;
	fake_refuse = ERR_UNAVAILABLE;
	loop_fire(stand.broker.base);
	fake_refuse = ERR_OK;
	loop_fire(stand.broker.base);
	assert_asked(SQL_REVALIDATION_TAKE);
	fake_answer(ERR_TIMEOUT, NULL);
	take("a", STAND_ISSUER);
	fake_answer(ERR_TIMEOUT, NULL);
	assert_asked(SQL_REVALIDATION_RETRY);
	fake_answer(ERR_TIMEOUT, NULL); /* its lease ends by itself */
	assert_int_equal(stand.edition.refs, 0);
}

static void not_in_a_drain(void **state)
{
	(void)state;
	stand.broker.draining = true;
	loop_fire(stand.broker.base);
	assert_int_equal(fake_nasked, 0);
}

/* The end of the process in the middle of one. */
static void stopped(void **state)
{
	(void)state;
	to_reply();
	stand.broker.stopping = true;
	stand_reply(ERR_CANCELED, NULL);
	assert_int_equal(fake_nasked, 0);
	assert_int_equal(stand.edition.refs, 0);
}

static int close_all(void **state)
{
	stand.broker.stopping = true;
	revalidation_free(&stand.broker.revalidation);
	assert_null(stand.broker.revalidation);
	revalidation_free(&stand.broker.revalidation);
	return stand_close(state);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, open_stand, close_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(delays_grow_to_their_limit),
	    CASE(the_claims_of_the_new_id_token),
	    CASE(without_an_id_token_they_stay),
	    CASE(userinfo_where_claims_come_from_it),
	    CASE(what_an_answer_means),
	    CASE(a_challenge_is_kept_for_the_next_login),
	    CASE(attempts_used_up),
	    CASE(the_last_attempt_is_not_risked),
	    CASE(a_session_that_is_over),
	    CASE(what_the_configuration_says_now),
	    CASE(without_a_database),
	    CASE(not_in_a_drain),
	    CASE(stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

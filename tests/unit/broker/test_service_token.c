#include "broker/service_token.h"

#include "tests/unit/broker/token_stand.h"

/* Whoever waited is found good again. */
void __wrap_token_again(struct request **r);
void __wrap_token_again(struct request **r)
{
	service_token_answer(stand.broker.service_tokens, (*r)->hash, r);
}

static void ask_as(unsigned char digest)
{
	const unsigned char d[CRYPT_SHA256_LEN] = {digest};
	struct request *r = stand_request();

	memcpy(r->hash, d, sizeof r->hash); /* for the above */
	service_token_ask(stand.broker.service_tokens, &stand.edition, stand_service("cc"), d, &r);
}

static void ask(void)
{
	ask_as(1);
}

static void what_to_do_with_it(void **state)
{
	static const struct {
		int64_t left_ms, ttl_ms;
		enum service_token_next want;
	} rows[] = {
	    {0, 0, SERVICE_TOKEN_FETCH},
	    {-5, 300000, SERVICE_TOKEN_FETCH},
	    {TOKEN_USABLE_MS - 1, 300000, SERVICE_TOKEN_FETCH},
	    {TOKEN_USABLE_MS, 300000, SERVICE_TOKEN_ANSWER_AND_RENEW},
	    {TOKEN_MARGIN_MS, 300000, SERVICE_TOKEN_ANSWER_AND_RENEW},
	    {TOKEN_MARGIN_MS + 1, 300000, SERVICE_TOKEN_ANSWER},
	    {10000, 30000, SERVICE_TOKEN_ANSWER_AND_RENEW},
	    {10001, 30000, SERVICE_TOKEN_ANSWER},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(service_token_judge(rows[i].left_ms, rows[i].ttl_ms),
				 rows[i].want);
}

static void had_once_for_all(void **state)
{
	const struct token_reply reply = stand_success("robot", "");

	(void)state;
	ask();
	ask();
	assert_int_equal(stand.calls.n, 1);
	assert_int_equal(stand.edition.refs, 1);
	ask_as(2); /* another configuration of the service */
	assert_int_equal(stand.calls.n, 2);
	stand_reply(ERR_OK, &reply);
	assert_int_equal(stand.got.answers, 2);
	assert_sv_equal(stand_sv(&stand.got.token), SV("robot"));
	stand_outcome(TOKEN_UNKNOWN, "timeout");
	assert_int_equal(stand.got.failures, 1);
	assert_int_equal(stand.edition.refs, 0);
	memset(&stand.got, 0, sizeof stand.got);
	stand.now_ms += 100000;
	ask();
	assert_int_equal(stand.got.left_ms, 200000);
	assert_answered("robot");
	assert_int_equal(stand.calls.n, 0);
}

static void renewed_ahead(void **state)
{
	const struct token_reply first = stand_success("first", ""),
				 second = stand_success("second", "");

	(void)state;
	ask();
	stand_reply(ERR_OK, &first);
	assert_answered("first");
	stand.now_ms += 300000 - TOKEN_MARGIN_MS;
	ask();
	assert_answered("first");
	ask();
	assert_answered("first");
	assert_int_equal(stand.calls.n, 1);
	stand_reply(ERR_OK, &second);
	ask();
	assert_answered("second");
	/* In a drain what is there still serves, and what is not is still had. */
	stand.broker.draining = true;
	stand.now_ms += 300000 - TOKEN_MARGIN_MS;
	ask();
	assert_answered("second");
	assert_int_equal(stand.calls.n, 0);
	stand.now_ms += TOKEN_MARGIN_MS;
	ask();
	assert_int_equal(stand.calls.n, 1);
	stand_reply(ERR_OK, &first);
	assert_answered("first");
}

static void what_a_failure_means(void **state)
{
	static const struct {
		enum token_outcome outcome;
		enum ipc_error want;
		bool provider; /* is held off for the others, too */
	} rows[] = {
	    {TOKEN_NOT_SENT, IPC_ERROR_PROVIDER_DOWN, true},
	    {TOKEN_UNKNOWN, IPC_ERROR_PROVIDER_DOWN, true},
	    {TOKEN_THROTTLED, IPC_ERROR_PROVIDER_DOWN, true},
	    {TOKEN_TOO_OFTEN, IPC_ERROR_PROVIDER_DOWN, false},
	    {TOKEN_DEAD, IPC_ERROR_UPSTREAM, false},
	    {TOKEN_MISCONFIGURED, IPC_ERROR_UPSTREAM, false},
	    {TOKEN_INTERACTION, IPC_ERROR_UPSTREAM, false},
	    {TOKEN_CLIENT_BROKEN, IPC_ERROR_UPSTREAM, false},
	};
	const struct config_provider *p = stand_service("cc")->provider;
	uint32_t left_s = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct token_reply reply = {
		    .outcome = rows[i].outcome, .detail = "word", .retry_after_s = 2};

		memset(&stand.edition.holdoffs, 0, sizeof stand.edition.holdoffs);
		ask_as((unsigned char)(10 + i));
		stand_reply(ERR_OK, &reply);
		assert_failed(rows[i].want, "word");
		assert_int_equal(holdoff_judge(&stand.edition.holdoffs, p, stand.now_ms, &left_s) !=
				     IPC_ERROR_NONE,
				 rows[i].provider);
		/* Not asked again for a while, and then asked. */
		memset(&stand.edition.holdoffs, 0, sizeof stand.edition.holdoffs);
		ask_as((unsigned char)(10 + i));
		assert_failed(rows[i].want, "held_off");
		stand.now_ms += REFUSAL_FIRST_MS;
		ask_as((unsigned char)(10 + i));
		assert_int_equal(stand.calls.n, 1);
		stand_reply(ERR_OK, &reply);
		memset(&stand.got, 0, sizeof stand.got);
	}
}

static void a_provider_in_trouble_is_not_asked(void **state)
{
	const struct config_provider *p = stand_service("cc")->provider;

	(void)state;
	holdoff_for(&stand.edition.holdoffs, p, IPC_ERROR_PROVIDER_DOWN, stand.now_ms, 5000, 0);
	ask();
	assert_int_equal(stand.got.retry_after_s, 5);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "held_off");
	assert_int_equal(stand.calls.n, 0);
}

static void a_renewal_that_fails_spares_the_old_one(void **state)
{
	const struct token_reply first = stand_success("first", "");

	(void)state;
	ask();
	stand_reply(ERR_OK, &first);
	assert_answered("first");
	stand.now_ms += 290000;
	ask();
	assert_answered("first");
	stand_outcome(TOKEN_UNKNOWN, "timeout");
	ask();
	assert_answered("first");
	assert_int_equal(stand.calls.n, 0); /* held off */
}

static void without_metadata_or_provider(void **state)
{
	(void)state;
	stand.calls.refuses = ERR_UNAVAILABLE;
	ask();
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "no_metadata");
	stand.calls.gone = true;
	stand.now_ms += 100000;
	ask();
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "no_metadata");
	assert_int_equal(stand.edition.refs, 0);
}

static void the_end_of_the_process(void **state)
{
	(void)state;
	ask();
	stand_reply(ERR_CANCELED, NULL);
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "stopping");
	ask();
	service_tokens_free(&stand.broker.service_tokens);
	assert_null(stand.broker.service_tokens);
	assert_failed(IPC_ERROR_INTERNAL, "stopping");
	service_tokens_free(&stand.broker.service_tokens);
}

/* What only a change of configuration mends is an error, once; an outage is none. */
static void what_is_an_error(void **state)
{
	static const enum token_outcome errors[] = {TOKEN_CLIENT_BROKEN, TOKEN_MISCONFIGURED},
					none[] = {TOKEN_NOT_SENT, TOKEN_UNKNOWN, TOKEN_THROTTLED,
						  TOKEN_INTERACTION};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		stand.errors = 0;
		stand.now_ms += 1000000;
		ask();
		stand_outcome(errors[i], "word");
		assert_int_equal(stand.errors, 1);
		assert_string_equal(stand.error, "service_token_failed");
		ask();
		assert_int_equal(stand.errors, 1); /* held off */
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		stand.now_ms += 1000000;
		ask();
		stand_outcome(none[i], "word");
	}
	assert_int_equal(stand.errors, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_to_do_with_it),
	    STAND(had_once_for_all),
	    STAND(renewed_ahead),
	    STAND(what_a_failure_means),
	    STAND(a_provider_in_trouble_is_not_asked),
	    STAND(a_renewal_that_fails_spares_the_old_one),
	    STAND(without_metadata_or_provider),
	    STAND(what_is_an_error),
	    STAND(the_end_of_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

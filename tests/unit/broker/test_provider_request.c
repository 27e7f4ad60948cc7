#include "tests/unit/broker/provider_fixture.h"

static void code(struct seen *s)
{
	*s = (struct seen){.allow = true};
	assert_int_equal(provider_code(t.provider, SV("the code"), SV("https://a.example/cb"),
				       SV("verifier"), on_token, s),
			 ERR_OK);
	assert_int_equal(s->calls, 0);
	loop_until(t.base, &s->done);
	assert_int_equal(s->calls, 1);
}

static void refresh(const struct config_service *service, bool allow, struct seen *s)
{
	*s = (struct seen){.allow = allow};
	assert_int_equal(provider_refresh(t.provider, SV("rt-1"), service, may_send, on_token, s),
			 ERR_OK);
	loop_until(t.base, &s->done);
	assert_int_equal(s->calls, 1);
}

static void a_code_is_exchanged(void **state)
{
	struct seen s;

	(void)state;
	server_on(&t.server, "POST /token", 200,
		  "{\"access_token\":\"at\",\"token_type\":\"bearer\",\"refresh_token\":\"rt\"}");
	code(&s);
	assert_int_equal(s.e, ERR_OK);
	assert_int_equal(s.outcome, TOKEN_OK);
	assert_string_equal(s.access_token, "at");
	assert_string_equal(s.refresh_token, "rt");
	assert_int_equal(s.expires_in_s, TOKEN_DEFAULT_TTL_S);
	/* app : s3cr%2Bet+%26, then base64 */
	assert_non_null(
	    strstr(t.server.last, "\r\nAuthorization: Basic YXBwOnMzY3IlMkJldCslMjY=\r\n"));
	assert_non_null(strstr(t.server.last,
			       "\r\n\r\ngrant_type=authorization_code&code=the+code&redirect_uri="
			       "https%3A%2F%2Fa.example%2Fcb&code_verifier=verifier"));
}

static void a_refresh_carries_its_resource(void **state)
{
	struct seen s;

	(void)state;
	server_on(&t.server, "POST /token", 200,
		  "{\"access_token\":\"at\",\"token_type\":\"Bearer\",\"expires_in\":60}");
	refresh(&t.service, true, &s);
	assert_int_equal(s.outcome, TOKEN_OK);
	assert_int_equal(s.expires_in_s, 60);
	assert_string_equal(s.refresh_token, "");
	assert_non_null(strstr(t.server.last,
			       "grant_type=refresh_token&refresh_token=rt-1&resource="
			       "https%3A%2F%2Forders.example%2F"));
}

static void a_refresh_without_the_lease_is_not_sent(void **state)
{
	struct seen s;

	(void)state;
	server_on(&t.server, "POST /token", 200, "{}");
	refresh(NULL, false, &s);
	assert_int_equal(s.e, ERR_OK);
	assert_int_equal(s.outcome, TOKEN_NOT_SENT);
	assert_int_equal(server_hits(&t.server, "POST /token"), 0);
}

static void a_lost_answer_is_unknown(void **state)
{
	struct seen s;

	(void)state;
	server_on(&t.server, "POST /token", 200, "{}")->action = SERVER_CLOSE;
	refresh(&t.service, true, &s);
	assert_int_equal(s.outcome, TOKEN_UNKNOWN);
	assert_int_equal(server_hits(&t.server, "POST /token"), 1);
}

static void a_provider_gone_is_not_sent(void **state)
{
	struct seen s;

	(void)state;
	loop_for_hits("GET /keys", 1);
	server_deaf(&t.server);
	refresh(&t.service, true, &s);
	assert_int_equal(s.outcome, TOKEN_NOT_SENT);
	assert_string_equal(s.detail, "connect");
}

static void other_grants_are_not_refreshed(void **state)
{
	static const enum config_grant grants[] = {GRANT_EXCHANGE, GRANT_OBO,
						   GRANT_CLIENT_CREDENTIALS};
	struct seen s = {.allow = true};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(grants); i++) {
		t.service.grant = grants[i];
		assert_int_equal(
		    provider_refresh(t.provider, SV("rt"), &t.service, may_send, on_token, &s),
		    ERR_UNSUPPORTED);
	}
	assert_int_equal(s.calls, 0);
}

static void other_client_authentication_is_unsupported(void **state)
{
	struct seen s = {.allow = true};

	(void)state;
	t.config.client_auth = CLIENT_PRIVATE_KEY_JWT;
	assert_int_equal(provider_code(t.provider, SV("c"), SV("u"), SV("v"), on_token, &s),
			 ERR_UNSUPPORTED);
	assert_int_equal(provider_revoke(t.provider, SV("r"), on_revoked, &s), ERR_OK);
	loop_until(t.base, &s.done);
	assert_int_equal(s.e, ERR_OK); /* there is no endpoint to authenticate to */
}

static int set_up_revocable(void **state)
{
	char extra[128];

	if (set_up(state) != 0)
		return -1;
	snprintf(extra, sizeof extra, ",\"revocation_endpoint\":\"%s/revoke\"", t.issuer);
	serve_metadata(t.issuer, extra);
	start_provider();
	loop_for_metadata();
	return 0;
}

static void a_token_is_revoked(void **state)
{
	static const struct {
		int status;
		const char *headers;
		enum err want;
		uint32_t want_after;
	} rows[] = {
	    {200, "", ERR_OK, 0},
	    {400, "", ERR_DENIED, 0},
	    {503, "Retry-After: 7\r\n", ERR_UNAVAILABLE, 7},
	    {429, "Retry-After: 9999\r\n", ERR_UNAVAILABLE, 300},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seen s = {.allow = true};
		struct server_row *row = server_on(&t.server, "POST /revoke", rows[i].status, "");

		snprintf(row->headers, sizeof row->headers, "%s", rows[i].headers);
		assert_int_equal(provider_revoke(t.provider, SV("rt&"), on_revoked, &s), ERR_OK);
		loop_until(t.base, &s.done);
		assert_int_equal(s.e, rows[i].want);
		assert_int_equal(s.retry_after_s, rows[i].want_after);
		assert_non_null(
		    strstr(t.server.last, "\r\n\r\ntoken=rt%26&token_type_hint=refresh_token"));
	}
}

#define READY(fn) cmocka_unit_test_setup_teardown(fn, set_up_ready, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    READY(a_code_is_exchanged),
	    READY(a_refresh_carries_its_resource),
	    READY(a_refresh_without_the_lease_is_not_sent),
	    READY(a_lost_answer_is_unknown),
	    READY(a_provider_gone_is_not_sent),
	    READY(other_grants_are_not_refreshed),
	    READY(other_client_authentication_is_unsupported),
	    cmocka_unit_test_setup_teardown(a_token_is_revoked, set_up_revocable, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

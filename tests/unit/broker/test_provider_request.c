#include "broker/json_strict.h"
#include "tests/unit/broker/certificates.h"
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

/* Anybody can begin a login and bring a code, made up or not; with a slow provider such requests
 * pile up, and people who are logged in still need their tokens. */
static void logins_leave_room_for_refreshes(void **state)
{
	static struct seen s;
	struct buf form;
	enum err e = ERR_OK;

	(void)state;
	s = (struct seen){.allow = true};
	for (unsigned i = 0; i <= HTTP_FLIGHTS_MAX && e == ERR_OK; i++)
		e = provider_code(t.provider, SV("made up"), SV("https://a.example/cb"),
				  SV("verifier"), on_token, &s);
	assert_int_equal(e, ERR_LIMIT);
	buf_init(&form, 1000);
	buf_add(&form, SV("client_id=app"));
	assert_int_equal(provider_push(t.provider, &form, on_pushed, &s), ERR_LIMIT);
	/* Less one: the keys may be under way. */
	for (unsigned i = 1; i < HTTP_FLIGHTS_MAX - HTTP_LOGIN_FLIGHTS_MAX; i++)
		assert_int_equal(
		    provider_refresh(t.provider, SV("rt"), &t.service, may_send, on_token, &s),
		    ERR_OK);
	assert_int_equal(s.calls, 0);
}

static int set_up_pushing(void **state)
{
	char extra[128];

	if (set_up(state) != 0)
		return -1;
	snprintf(extra, sizeof extra, ",\"pushed_authorization_request_endpoint\":\"%s/par\"",
		 t.issuer);
	serve_metadata(t.issuer, extra);
	start_provider();
	loop_for_metadata();
	loop_for_hits("GET /keys", 1);
	return 0;
}

static int set_up_signing(void **state)
{
	if (set_up(state) != 0)
		return -1;
	t.config.client_auth = CLIENT_PRIVATE_KEY_JWT;
	put_key(&t.pem, t.key, NULL);
	start_provider();
	loop_for_metadata();
	return 0;
}

static struct sv sent_assertion(char out[4096])
{
	const char *at = strstr(t.server.last, "&client_assertion=");

	assert_non_null(at);
	snprintf(out, 4096, "%s", at + strlen("&client_assertion="));
	return sv_str(out);
}

/* An assertion sent twice is a replay (RFC 7523 3). */
static void every_attempt_has_an_assertion_of_its_own(void **state)
{
	char first[4096], second[4096];
	struct jose_token token;
	struct seen s;

	(void)state;
	server_on(&t.server, "POST /token", 503, "");
	refresh(&t.service, true, &s);
	assert_int_equal(s.outcome, TOKEN_UNKNOWN);
	assert_int_equal(jose_parse(sent_assertion(first), ALG_ES256, &token), JWT_NONE);
	assert_int_equal(jose_verify(&token, t.key), ERR_OK);
	assert_null(strstr(t.server.last, "\r\nAuthorization:"));
	refresh(&t.service, true, &s);
	assert_int_equal(jose_parse(sent_assertion(second), ALG_ES256, &token), JWT_NONE);
	assert_int_equal(jose_verify(&token, t.key), ERR_OK);
	assert_string_not_equal(first, second);
}

static void an_assertion_for_the_token_endpoint_names_it(void **state)
{
	char sent[4096], want[128];
	struct json_object *o = NULL;
	struct jose_token token;
	struct buf payload;
	struct seen s;
	struct sv got;

	(void)state;
	t.config.assertion_audience = AUDIENCE_TOKEN_ENDPOINT;
	server_on(&t.server, "POST /token", 503, "");
	refresh(&t.service, true, &s);
	(void)snprintf(want, sizeof want, "%s/token", t.issuer);
	assert_int_equal(jose_parse(sent_assertion(sent), ALG_ES256, &token), JWT_NONE);
	buf_init(&payload, 4096);
	assert_int_equal(jose_payload(&token, &payload), ERR_OK);
	assert_int_equal(json_strict_parse(buf_sv(&payload), 4096, &o), ERR_OK);
	assert_int_equal(json_get_string(o, "aud", 1000, &got), ERR_OK);
	assert_sv_equal(got, sv_str(want));
	(void)json_object_put(o);
	buf_done(&payload);
}

static void a_token_is_exchanged(void **state)
{
	static const struct {
		enum config_grant grant;
		const char *body, *want;
	} rows[] = {
	    {GRANT_EXCHANGE,
	     "{\"access_token\":\"at-2\",\"token_type\":\"Bearer\",\"issued_token_type\":"
	     "\"urn:ietf:params:oauth:token-type:access_token\"}",
	     "token-exchange&subject_token=at%2B1&"},
	    {GRANT_OBO, "{\"access_token\":\"at-2\",\"token_type\":\"Bearer\"}",
	     "jwt-bearer&assertion=at%2B1&"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seen s = {.allow = false};

		t.service.grant = rows[i].grant;
		server_on(&t.server, "POST /token", 200, rows[i].body);
		assert_int_equal(
		    provider_exchange(t.provider, SV("at+1"), &t.service, on_token, &s), ERR_OK);
		loop_until(t.base, &s.done);
		assert_int_equal(s.calls, 1);
		assert_int_equal(s.outcome, TOKEN_OK);
		assert_string_equal(s.access_token, "at-2");
		assert_non_null(strstr(t.server.last, rows[i].want));
		assert_non_null(strstr(t.server.last, "\r\nAuthorization: Basic "));
	}
}

static void the_client_asks_for_itself(void **state)
{
	struct seen s = {.allow = false};

	(void)state;
	t.service.grant = GRANT_CLIENT_CREDENTIALS;
	server_on(&t.server, "POST /token", 200,
		  "{\"access_token\":\"at\",\"token_type\":\"Bearer\"}");
	assert_int_equal(provider_client_credentials(t.provider, &t.service, on_token, &s), ERR_OK);
	loop_until(t.base, &s.done);
	assert_int_equal(s.outcome, TOKEN_OK);
	assert_non_null(strstr(t.server.last, "\r\n\r\ngrant_type=client_credentials&resource="));
}

static void a_service_of_another_grant_is_not_asked_for(void **state)
{
	struct seen s = {.allow = true};

	(void)state;
	assert_int_equal(provider_exchange(t.provider, SV("at"), &t.service, on_token, &s),
			 ERR_UNSUPPORTED);
	assert_int_equal(provider_client_credentials(t.provider, &t.service, on_token, &s),
			 ERR_UNSUPPORTED);
	assert_int_equal(s.calls, 0);
}

static enum err push(struct seen *s)
{
	struct buf form;

	*s = (struct seen){.allow = true};
	buf_init(&form, 1000);
	buf_add(&form, SV("response_type=code&client_id=app&state=s"));
	return provider_push(t.provider, &form, on_pushed, s);
}

static int set_up_pushable(void **state)
{
	char extra[128];

	if (set_up(state) != 0)
		return -1;
	snprintf(extra, sizeof extra, ",\"pushed_authorization_request_endpoint\":\"%s/par\"",
		 t.issuer);
	serve_metadata(t.issuer, extra);
	start_provider();
	loop_for_metadata();
	return 0;
}

static void a_request_is_pushed(void **state)
{
	struct seen s;

	(void)state;
	server_on(
	    &t.server, "POST /par", 201,
	    "{\"request_uri\":\"urn:example:bwc4JK-ESC0w8acc191e-Y1LTC2\",\"expires_in\":90}");
	assert_int_equal(push(&s), ERR_OK);
	loop_until(t.base, &s.done);
	assert_int_equal(s.e, ERR_OK);
	assert_int_equal(s.calls, 1);
	assert_string_equal(s.request_uri, "urn:example:bwc4JK-ESC0w8acc191e-Y1LTC2");
	assert_non_null(strstr(t.server.last, "\r\nAuthorization: Basic "));
	assert_non_null(strstr(t.server.last, "\r\n\r\nresponse_type=code&client_id=app&state=s"));
}

/* RFC 6749 3.1: no parameter twice. */
static void a_pushed_request_names_the_client_once(void **state)
{
	const char *at;
	struct seen s;

	(void)state;
	t.config.client_auth = CLIENT_SECRET_POST;
	server_on(&t.server, "POST /par", 201, "{\"request_uri\":\"urn:x\",\"expires_in\":90}");
	assert_int_equal(push(&s), ERR_OK);
	loop_until(t.base, &s.done);
	at = strstr(t.server.last, "client_id=app");
	assert_non_null(at);
	assert_null(strstr(at + 1, "client_id="));
	assert_non_null(strstr(t.server.last, "&client_secret="));
}

static void a_refused_push_says_so(void **state)
{
	struct seen s;

	(void)state;
	server_on(&t.server, "POST /par", 400, "{\"error\":\"invalid_scope\"}");
	assert_int_equal(push(&s), ERR_OK);
	loop_until(t.base, &s.done);
	assert_int_equal(s.e, ERR_DENIED);
	assert_string_equal(s.detail, "invalid_scope");
	assert_string_equal(s.request_uri, "");
}

/* The breaker of pushed requests: refreshes do not know of it. */
static void failing_pushes_are_held_off(void **state)
{
	const int64_t boot = clock_boot_ms(), wall = clock_wall_s();
	struct server_row *row = server_on(&t.server, "POST /par", 400, "{}");
	static const struct {
		int after_s, status;
		const char *headers;
		enum err want; /* of the call */
	} rows[] = {
	    {0, 500, "", ERR_OK},
	    {0, 400, "", ERR_OK}, /* it answers: from the beginning */
	    {0, 500, "", ERR_OK},
	    {0, 500, "", ERR_OK},
	    {0, 0, "", ERR_UNAVAILABLE},
	    {4, 0, "", ERR_UNAVAILABLE},
	    {7, 500, "", ERR_OK},
	    {11, 0, "", ERR_UNAVAILABLE},
	    {14, 429, "Retry-After: 200\r\n", ERR_OK},
	    {213, 0, "", ERR_UNAVAILABLE},
	    {215, 400, "", ERR_OK},
	    {215, 500, "", ERR_OK},
	    {215, 400, "", ERR_OK},
	};
	struct seen s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		clock_set(boot + 1000 * (int64_t)rows[i].after_s, wall + rows[i].after_s);
		row->status = rows[i].status;
		snprintf(row->headers, sizeof row->headers, "%s", rows[i].headers);
		if (push(&s) != rows[i].want)
			fail_msg("row %zu", i);
		if (rows[i].want == ERR_OK)
			loop_until(t.base, &s.done);
	}
	clock_unset();
}

/* When the time is over one goes ahead, and the others wait for what comes of it. */
static void one_push_finds_out(void **state)
{
	const int64_t boot = clock_boot_ms(), wall = clock_wall_s();
	struct server_row *row = server_on(&t.server, "POST /par", 500, "");
	struct seen s, other;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(push(&s), ERR_OK);
		loop_until(t.base, &s.done);
	}
	clock_set(boot + 10000, wall);
	row->status = 400;
	assert_int_equal(push(&s), ERR_OK);
	assert_int_equal(push(&other), ERR_UNAVAILABLE);
	loop_until(t.base, &s.done);
	assert_int_equal(push(&other), ERR_OK);
	loop_until(t.base, &other.done);
	clock_unset();
}

static void a_push_needs_an_endpoint(void **state)
{
	struct seen s;

	(void)state;
	assert_int_equal(push(&s), ERR_UNSUPPORTED);
	assert_int_equal(s.calls, 0);
}

static void a_pending_push_is_canceled(void **state)
{
	struct seen s;

	(void)state;
	server_on(&t.server, "POST /par", 201, "")->action = SERVER_SILENCE;
	assert_int_equal(push(&s), ERR_OK);
	provider_free(&t.provider);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.e, ERR_CANCELED);
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

static void token_answers_are_counted_by_their_meaning(void **state)
{
	struct metrics *m = NULL;
	struct seen s;

	(void)state;
	assert_int_equal(metrics_new(NULL, &m), ERR_OK);
	http_client_count(t.http, m);
	server_on(&t.server, "POST /token", 200,
		  "{\"access_token\":\"at\",\"token_type\":\"bearer\"}");
	code(&s);
	server_on(&t.server, "POST /token", 400, "{\"error\":\"invalid_grant\"}");
	refresh(&t.service, true, &s);
	assert_int_equal(metrics_sum(m, METRIC_B_TOKEN_REPLIES,
				     METRICS_AT(0, METRICS_REQUEST_CODE, TOKEN_OK - 1)),
			 1);
	assert_int_equal(metrics_sum(m, METRIC_B_TOKEN_REPLIES,
				     METRICS_AT(0, METRICS_REQUEST_REFRESH, TOKEN_DEAD - 1)),
			 1);
	assert_int_equal(
	    metrics_sum(m, METRIC_B_IDP_REQUESTS, METRICS_AT(0, METRICS_REQUEST_REFRESH, 2)), 1);
	http_client_count(t.http, NULL);
	metrics_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(logins_leave_room_for_refreshes, set_up_pushing,
					    tear_down),
	    READY(a_code_is_exchanged),
	    READY(a_refresh_carries_its_resource),
	    READY(a_refresh_without_the_lease_is_not_sent),
	    READY(a_lost_answer_is_unknown),
	    READY(token_answers_are_counted_by_their_meaning),
	    READY(a_provider_gone_is_not_sent),
	    READY(other_grants_are_not_refreshed),
	    cmocka_unit_test_setup_teardown(every_attempt_has_an_assertion_of_its_own,
					    set_up_signing, tear_down),
	    cmocka_unit_test_setup_teardown(an_assertion_for_the_token_endpoint_names_it,
					    set_up_signing, tear_down),
	    READY(a_token_is_exchanged),
	    READY(the_client_asks_for_itself),
	    READY(a_service_of_another_grant_is_not_asked_for),
	    READY(a_push_needs_an_endpoint),
	    cmocka_unit_test_setup_teardown(a_request_is_pushed, set_up_pushable, tear_down),
	    cmocka_unit_test_setup_teardown(a_pushed_request_names_the_client_once, set_up_pushable,
					    tear_down),
	    cmocka_unit_test_setup_teardown(a_refused_push_says_so, set_up_pushable, tear_down),
	    cmocka_unit_test_setup_teardown(one_push_finds_out, set_up_pushable, tear_down),
	    cmocka_unit_test_setup_teardown(failing_pushes_are_held_off, set_up_pushable,
					    tear_down),
	    cmocka_unit_test_setup_teardown(a_pending_push_is_canceled, set_up_pushable, tear_down),
	    cmocka_unit_test_setup_teardown(a_token_is_revoked, set_up_revocable, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/handlers.h"

#include "tests/unit/worker/stand_in.h"

#define A "a.example.com"
#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"
#define ISS "iss=https%3A%2F%2Fidp.example"

static void begin(const char *target, const char *more)
{
	stand_browse("GET", A, target, more, "");
}

static void begun(const char *location, const char *binding)
{
	struct ipc_message m = {.number = IPC_LOGIN_BEGUN};

	m.u.login_begun =
	    (struct ipc_login_begun){.location = sv_str(location), .binding = sv_str(binding)};
	stand_broker(ERR_OK, &m);
}

#define BINDING_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void a_login_begins_at_the_broker(void **state)
{
	char cookie[160];

	(void)state;
	begin("/auth/login?return_to=%2Fpage%3Fx%3D1&prompt=none&login_hint=alice&acr_values=gold"
	      "&max_age=0",
	      "");
	assert_int_equal(stand.state, REQUEST_WAITING);
	assert_int_equal(stand.broker.asked.number, IPC_LOGIN_BEGIN);
	assert_int_equal(stand.broker.answer, IPC_LOGIN_BEGUN);
	assert_int_equal(stand.broker.timeout_ms, TIMEOUT_BROKER_LOGIN_MS);
	assert_sv_equal(stand.broker.asked.u.login_begin.app, SV("a"));
	assert_sv_equal(stand.broker.asked.u.login_begin.origin, SV("https://a.example.com"));
	assert_sv_equal(stand.broker.asked.u.login_begin.return_to,
			SV("https://a.example.com/page?x=1"));
	assert_sv_equal(stand.broker.asked.u.login_begin.binding, SV_NONE);
	assert_sv_equal(stand.broker.asked.u.login_begin.client, SV("192.0.2.0/24"));
	assert_sv_equal(stand.broker.asked.u.login_begin.prompt, SV("none"));
	assert_sv_equal(stand.broker.asked.u.login_begin.login_hint, SV("alice"));
	assert_sv_equal(stand.broker.asked.u.login_begin.acr_values, SV("gold"));
	assert_int_equal(stand.broker.asked.u.login_begin.has_max_age, 1);
	assert_int_equal(stand.broker.asked.u.login_begin.max_age_s, 0);
	assert_sv_equal(stand.broker.asked.u.login_begin.correlation, request_correlation(stand.r));
	begun("https://idp.example/authorize?client_id=c&state=s", BINDING_B);
	assert_answer(302);
	assert_has("\r\nLocation: https://idp.example/authorize?client_id=c&state=s\r\n");
	assert_has("\r\nReferrer-Policy: no-referrer\r\n");
	(void)snprintf(cookie, sizeof cookie, "\r\nSet-Cookie: %s; ", stand_binding('b'));
	assert_has(cookie);
	assert_int_equal(stand.pg.queries, 0);
}

static void what_is_not_asked_for_is_not_sent(void **state)
{
	(void)state;
	begin("/auth/login", "");
	assert_sv_equal(stand.broker.asked.u.login_begin.return_to, SV("https://a.example.com/"));
	assert_sv_equal(stand.broker.asked.u.login_begin.prompt, SV_NONE);
	assert_int_equal(stand.broker.asked.u.login_begin.has_max_age, 0);
}

static void a_browsers_binding_is_used_again(void **state)
{
	char cookie[160];

	(void)state;
	(void)snprintf(cookie, sizeof cookie, "Cookie: %s\r\n", stand_binding('b'));
	begin("/auth/login", cookie);
	assert_sv_equal(stand.broker.asked.u.login_begin.binding, SV(BINDING_B));
	begin("/auth/login", "Cookie: __Host-bff_login=short\r\n"); /* none of ours */
	assert_sv_equal(stand.broker.asked.u.login_begin.binding, SV_NONE);
}

static void a_foreign_target_becomes_the_front_page(void **state)
{
	(void)state;
	begin("/auth/login?return_to=https%3A%2F%2Fevil.example%2F", "");
	assert_sv_equal(stand.broker.asked.u.login_begin.return_to, SV("https://a.example.com/"));
}

/* Binding cookie and callback belong to login_origin: over there, with all that was asked for. */
static void it_hops_to_login_origin(void **state)
{
	(void)state;
	stand_browse("GET", "c.example.org",
		     "/auth/login?return_to=%2Fx&prompt=none&login_hint=a%26b&acr_values=g+s&"
		     "max_age=60",
		     "", "");
	assert_int_equal(stand.broker.sent, 0);
	assert_answer(302);
	assert_has("\r\nLocation: https://login.example.org/auth/login?return_to="
		   "https%3A%2F%2Fc.example.org%2Fx&prompt=none&login_hint=a%26b&acr_values=g%20s&"
		   "max_age=60\r\n");
	assert_lacks("Set-Cookie");
	stand_browse("GET", "login.example.org",
		     "/auth/login?return_to=https%3A%2F%2Fc.example.org%2Fx", "", "");
	assert_int_equal(stand.broker.sent, 1);
	assert_sv_equal(stand.broker.asked.u.login_begin.origin, SV("https://login.example.org"));
	assert_sv_equal(stand.broker.asked.u.login_begin.return_to, SV("https://c.example.org/x"));
}

static void a_third_party_may_begin(void **state)
{
	(void)state;
	begin("/auth/login?" ISS "&target_link_uri=%2Fx", "");
	assert_int_equal(stand.broker.sent, 1);
	assert_sv_equal(stand.broker.asked.u.login_begin.return_to, SV("https://a.example.com/x"));
	/* By POST the cookies did not come along: once more, by GET. */
	stand_browse("POST", A, "/auth/login", FORM, ISS "&target_link_uri=%2Fx&login_hint=bob");
	assert_int_equal(stand.broker.sent, 0);
	assert_answer(303);
	assert_has("\r\nLocation: https://a.example.com/auth/login?return_to="
		   "https%3A%2F%2Fa.example.com%2Fx&login_hint=bob\r\n");
}

static void what_is_refused(void **state)
{
	static const struct {
		const char *method, *target, *fields, *body;
	} cases[] = {
	    {"GET", "/auth/login?prompt=login", "", ""},
	    {"GET", "/auth/login?return_to=/a&return_to=/b", "", ""},
	    {"GET", "/auth/login?" ISS, "Sec-Fetch-Dest: iframe\r\n", ""},
	    {"GET", "/auth/login?iss=https://other.example", "", ""},
	    {"POST", "/auth/login?" ISS, "", ISS},
	    {"POST", "/auth/login", FORM, "return_to=%2F"}, /* only a third party posts */
	    {"POST", "/auth/login?" ISS, FORM, ""},
	    /* A silent login that failed there already would fail there again. */
	    {"GET", "/auth/login?prompt=none&return_to=%2Fx%3Flogin%3Drequired", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		stand_browse(cases[i].method, A, cases[i].target, cases[i].fields, cases[i].body);
		assert_answer(400);
		assert_has("Login failed");
		assert_lacks("Location");
		assert_lacks("Set-Cookie");
		assert_int_equal(stand.broker.sent, 0);
	}
	begin("/auth/login?return_to=%2Fx%3Flogin%3Drequired", ""); /* not a silent one */
	assert_int_equal(stand.broker.sent, 1);
	begin("/auth/login", "Sec-Fetch-Dest: iframe\r\n"); /* nor a third party's */
	assert_int_equal(stand.broker.sent, 1);
}

static void the_brokers_no_is_a_page(void **state)
{
	static const struct {
		enum ipc_error code;
		const char *status;
	} cases[] = {
	    {IPC_ERROR_INTERNAL, "503"},    {IPC_ERROR_STORE, "503"},
	    {IPC_ERROR_CONFIG_SKEW, "503"}, {IPC_ERROR_PROVIDER_DOWN, "503"},
	    {IPC_ERROR_LIMITED, "429"},	    {IPC_ERROR_ACCESS_DENIED, "403"},
	    {IPC_ERROR_NO_SESSION, "400"},  {IPC_ERROR_FORBIDDEN, "400"},
	    {IPC_ERROR_STALE, "400"},	    {IPC_ERROR_BINDING, "400"},
	    {IPC_ERROR_PROVIDER, "400"},    {IPC_ERROR_REAUTHENTICATE, "400"},
	    {IPC_ERROR_UPSTREAM, "400"},    {IPC_ERROR_LOGIN_REQUIRED, "400"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char want[32];

		begin("/auth/login", "");
		stand_failure(cases[i].code, 11, SV("https://a.example.com/back"));
		(void)snprintf(want, sizeof want, "HTTP/1.1 %s ", cases[i].status);
		assert_has(want);
		assert_has("\r\nContent-Type: text/html; charset=utf-8\r\n");
		assert_int_equal(stand_has("\r\nRetry-After: 11\r\n"),
				 cases[i].status[0] == '5' || strcmp(cases[i].status, "429") == 0);
		assert_lacks("detail_word");
		assert_lacks("Location");
		assert_lacks("Set-Cookie");
		assert_int_equal(stand.done, 1);
	}
}

static void a_broker_that_is_away_is_no_refusal(void **state)
{
	static const enum err errors[] = {ERR_TIMEOUT, ERR_UNAVAILABLE};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		begin("/auth/login", "");
		stand_broker(errors[i], NULL);
		assert_answer(503);
		stand.broker.refuses = errors[i]; /* at once */
		begin("/auth/login", "");
		assert_answer(503);
		stand.broker.refuses = ERR_OK;
	}
}

static void an_answer_that_makes_no_sense_is_none(void **state)
{
	(void)state;
	begin("/auth/login", "");
	begun("https://idp.example/", "short");
	assert_answer(503);
	assert_lacks("Set-Cookie");
	begin("/auth/login", "");
	begun("https://idp.example/\r\nX: y", BINDING_B);
	assert_answer(500);
	assert_lacks("X: y");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
	    CASE(a_login_begins_at_the_broker),
	    CASE(what_is_not_asked_for_is_not_sent),
	    CASE(a_browsers_binding_is_used_again),
	    CASE(a_foreign_target_becomes_the_front_page),
	    CASE(it_hops_to_login_origin),
	    CASE(a_third_party_may_begin),
	    CASE(what_is_refused),
	    CASE(the_brokers_no_is_a_page),
	    CASE(a_broker_that_is_away_is_no_refusal),
	    CASE(an_answer_that_makes_no_sense_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/handlers.h"

#include "tests/unit/worker/stand_in.h"

#define A "a.example.com"
#define PATH "/auth/backchannel-logout"

static void post(const char *body)
{
	char more[64];

	(void)snprintf(more, sizeof more, "Content-Length: %zu\r\n", strlen(body));
	stand_browse("POST", A, PATH, more, body);
}

static void judged(uint32_t accepted)
{
	struct ipc_message m = {.number = IPC_BACKCHANNEL_DONE};

	m.u.backchannel_done = (struct ipc_backchannel_done){
	    .accepted = accepted, .sessions = accepted, .why = SV("canary_word")};
	assert_int_equal(stand.state, REQUEST_WAITING);
	stand_broker(ERR_OK, &m);
	assert_int_equal(stand.done, 1);
}

static void the_token_goes_on_as_it_came_with_the_app_of_its_host(void **state)
{
	(void)state;
	post("unknown=1&logout_token=a.b%2Ec&unknown=2");
	assert_int_equal(stand.broker.asked.number, IPC_BACKCHANNEL);
	assert_int_equal(stand.broker.answer, IPC_BACKCHANNEL_DONE);
	assert_int_equal(stand.broker.timeout_ms, TIMEOUT_BROKER_LOGIN_MS);
	assert_sv_equal(stand.broker.asked.u.backchannel.app, SV("a"));
	assert_sv_equal(stand.broker.asked.u.backchannel.logout_token, SV("a.b.c"));
	assert_int_equal(stand.broker.asked.u.backchannel.correlation.n, REQUEST_CORRELATION_LEN);
	assert_int_equal(stand.pg.queries, 0);
	stand_browse("POST", "login.example.org", PATH, "Content-Length: 14\r\n", "logout_token=x");
	assert_sv_equal(stand.broker.asked.u.backchannel.app, SV("c"));
}

static void accepted_is_200_and_empty(void **state)
{
	(void)state;
	post("logout_token=a.b.c");
	assert_int_equal(stand.out.n, 0); /* nothing before the broker's word */
	judged(1);
	assert_has("HTTP/1.1 200 ");
	assert_has("\r\nCache-Control: no-store\r\n");
	assert_has("\r\nContent-Length: 0\r\n");
	assert_lacks("Set-Cookie");
	assert_lacks("a.b.c");
}

static void refused_is_400_and_one_word(void **state)
{
	(void)state;
	post("logout_token=a.b.c");
	judged(0);
	assert_has("HTTP/1.1 400 ");
	assert_has("\r\nCache-Control: no-store\r\n");
	assert_has("\r\n\r\n{\"error\":\"invalid_request\"}");
	assert_lacks("canary_word");
	assert_lacks("a.b.c");
}

static void what_is_no_logout_token_is_refused_here(void **state)
{
	static char too_long[IPC_LOGOUT_TOKEN_MAX + 32] = "logout_token=";
	static const char *const bodies[] = {"",
					     "x=1",
					     "logout_token",
					     "logout_token=",
					     "logout_token=a&logout_token=a",
					     "logout_token=a&%6cogout_token=a",
					     "logout_token=%zz",
					     "logout_token=%0d",
					     too_long};

	(void)state;
	/* Longer than a body that is read at all, but a test's stand does not ask. */
	memset(too_long + 13, 'x', REQUEST_BODY_MAX - 13 - 1);
	for (size_t i = 0; i < ARRAY_LEN(bodies) - 1; i++) {
		post(bodies[i]);
		assert_int_equal(stand.state, REQUEST_ANSWERED);
		assert_has("HTTP/1.1 400 ");
		assert_has("{\"error\":\"invalid_request\"}");
		assert_int_equal(stand.broker.sent, 0);
	}
	post(too_long); /* the longest that gets here gets through, too */
	assert_int_equal(stand.broker.sent, 1);
}

static void no_cookie_and_no_csrf_token_are_asked_for(void **state)
{
	char more[1024];

	(void)state;
	(void)snprintf(
	    more, sizeof more,
	    "Cookie: %s\r\nOrigin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n"
	    "Content-Length: 14\r\n",
	    stand_cookie("bff_session", 's'));
	stand_browse("POST", A, PATH, more, "logout_token=x");
	assert_int_equal(stand.broker.sent, 1);
	assert_int_equal(stand.pg.queries, 0);
}

static void only_post_and_only_a_body_will_do(void **state)
{
	static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		stand_browse(methods[i], A, PATH "?logout_token=x", "", "");
		assert_has("HTTP/1.1 405 ");
		assert_has("\r\nAllow: POST\r\n");
		assert_int_equal(stand.broker.sent, 0);
	}
	stand_browse("POST", A, PATH "?logout_token=x", "", "");
	assert_has("HTTP/1.1 400 ");
}

/* Whatever is not the token's fault is worth another try. */
static void a_failure_is_503_whatever_its_word(void **state)
{
	(void)state;
	for (uint32_t code = 1; ipc_error_word(code) != NULL; code++) {
		post("logout_token=x");
		stand_failure((enum ipc_error)code, 7, SV_NONE);
		assert_has("HTTP/1.1 503 ");
		assert_has("\r\nRetry-After: 7\r\n");
		assert_has("{\"error\":\"unavailable\"}");
		assert_lacks("Set-Cookie");
	}
	post("logout_token=x");
	stand_broker(ERR_TIMEOUT, NULL);
	assert_has("HTTP/1.1 503 ");
	assert_has("\r\nRetry-After: 2\r\n");
	stand.broker.refuses = ERR_UNAVAILABLE;
	post("logout_token=x");
	assert_int_equal(stand.state, REQUEST_ANSWERED);
	assert_has("HTTP/1.1 503 ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
	    CASE(the_token_goes_on_as_it_came_with_the_app_of_its_host),
	    CASE(accepted_is_200_and_empty),
	    CASE(refused_is_400_and_one_word),
	    CASE(what_is_no_logout_token_is_refused_here),
	    CASE(no_cookie_and_no_csrf_token_are_asked_for),
	    CASE(only_post_and_only_a_body_will_do),
	    CASE(a_failure_is_503_whatever_its_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

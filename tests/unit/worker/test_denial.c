#include "worker/denial.h"

#include "tests/unit/unit.h"

/* An outage is never said as "log in" or "no". */
static void outages_are_unavailable(void **state)
{
	static const enum reason outages[] = {REASON_STORE,	    REASON_BROKER,
					      REASON_CONFIG_SKEW,   REASON_TOKEN_WAIT,
					      REASON_PROVIDER_DOWN, REASON_INTERNAL};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(outages); i++)
		assert_int_equal(reason_denial(outages[i]), DENIAL_UNAVAILABLE);
}

static void broker_errors_by_table(void **state)
{
	static const struct {
		enum err waited;
		uint32_t failure;
		enum reason want;
	} cases[] = {
	    {ERR_OK, IPC_ERROR_NONE, REASON_NONE},
	    {ERR_UNAVAILABLE, IPC_ERROR_NONE, REASON_BROKER},
	    {ERR_LIMIT, IPC_ERROR_NONE, REASON_BROKER},
	    {ERR_TIMEOUT, IPC_ERROR_NONE, REASON_TOKEN_WAIT},
	    {ERR_OK, IPC_ERROR_INTERNAL, REASON_INTERNAL},
	    {ERR_OK, IPC_ERROR_STORE, REASON_STORE},
	    {ERR_OK, IPC_ERROR_CONFIG_SKEW, REASON_CONFIG_SKEW},
	    {ERR_OK, IPC_ERROR_NO_SESSION, REASON_ENDED},
	    {ERR_OK, IPC_ERROR_FORBIDDEN, REASON_SERVICE},
	    {ERR_OK, IPC_ERROR_PROVIDER_DOWN, REASON_PROVIDER_DOWN},
	    {ERR_OK, IPC_ERROR_REAUTHENTICATE, REASON_GRANT},
	    {ERR_OK, IPC_ERROR_UPSTREAM, REASON_UPSTREAM},
	    {ERR_OK, IPC_ERROR_LIMITED, REASON_INTERNAL},
	    {ERR_OK, 4711, REASON_INTERNAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct request r = {.waited = cases[i].waited, .failure = cases[i].failure};

		assert_int_equal(reason_of_broker(&r), cases[i].want);
	}
}

static void urls_are_escaped(void **state)
{
	struct config_origin at = {.text = SV("https://a.example")};
	struct config_app app = {.auth_path = SV("/auth")};
	struct buf b;

	(void)state;
	buf_init(&b, 1024);
	login_url(&app, &at, SV("https://a.example/x?y=1&z=\"\xc3\xa9#~"), &b);
	assert_sv_equal(buf_sv(&b),
			SV("https://a.example/auth/login?return_to=https%3A%2F%2Fa.example"
			   "%2Fx%3Fy%3D1%26z%3D%22%C3%A9%23~"));
	buf_clear(&b);
	app.login_origin = (struct config_origin){.text = SV("https://login.example")};
	login_url(&app, &at, SV_NONE, &b);
	assert_sv_equal(buf_sv(&b), SV("https://login.example/auth/login"));
	buf_done(&b);
}

/* The nginx sample writes a login URL between quotes. */
static void urls_need_no_escape_in_json(void **state)
{
	struct config_origin at = {.text = SV("https://a.example")};
	struct config_app app = {.auth_path = SV("/auth")};
	struct buf url, json;

	(void)state;
	for (int c = 0; c <= 255; c++) {
		char byte = (char)c;

		buf_init(&url, 1024);
		buf_init(&json, 1024);
		login_url(&app, &at, sv_of(&byte, 1), &url);
		http_json_string(&json, buf_sv(&url));
		assert_sv_equal(sv_cut(buf_sv(&json), 1, json.n - 1), buf_sv(&url));
		buf_done(&url);
		buf_done(&json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(outages_are_unavailable),
	    cmocka_unit_test(broker_errors_by_table),
	    cmocka_unit_test(urls_are_escaped),
	    cmocka_unit_test(urls_need_no_escape_in_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/client_auth.h"

#include "tests/unit/unit.h"

static void each_method_puts_the_secret_where_it_belongs(void **state)
{
	static const struct {
		enum config_client_auth method;
		struct sv id, secret;
		enum err want;
		struct sv want_form, want_authorization;
	} rows[] = {
	    {CLIENT_SECRET_BASIC, SV_INIT("app"), SV_INIT("secret"), ERR_OK, SV_INIT("x=y"),
	     SV_INIT("Basic YXBwOnNlY3JldA==")},
	    /* a%3Ab:s3cr%2Bet+%26 */
	    {CLIENT_SECRET_BASIC, SV_INIT("a:b"), SV_INIT("s3cr+et &"), ERR_OK, SV_INIT("x=y"),
	     SV_INIT("Basic YSUzQWI6czNjciUyQmV0KyUyNg==")},
	    {CLIENT_SECRET_POST, SV_INIT("a:b"), SV_INIT("s3cr+et &"), ERR_OK,
	     SV_INIT("x=y&client_id=a%3Ab&client_secret=s3cr%2Bet+%26"), SV_INIT("")},
	    {CLIENT_SECRET_BASIC, SV_INIT("app"), SV_INIT(""), ERR_CONFIG, SV_INIT("x=y"),
	     SV_INIT("")},
	    {CLIENT_SECRET_POST, SV_INIT("app"), SV_INIT(""), ERR_CONFIG, SV_INIT("x=y"),
	     SV_INIT("")},
	    {CLIENT_PRIVATE_KEY_JWT, SV_INIT("app"), SV_INIT("secret"), ERR_UNSUPPORTED,
	     SV_INIT("x=y"), SV_INIT("")},
	    {CLIENT_TLS, SV_INIT("app"), SV_INIT("secret"), ERR_UNSUPPORTED, SV_INIT("x=y"),
	     SV_INIT("")},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_provider p = {.client_auth = rows[i].method, .client_id = rows[i].id};
		struct buf form, authorization;

		buf_init(&form, 1000);
		buf_init(&authorization, 1000);
		buf_add(&form, SV("x=y"));
		assert_int_equal(client_auth_apply(&p, rows[i].secret, &form, &authorization),
				 rows[i].want);
		assert_sv_equal(buf_sv(&form), rows[i].want_form);
		assert_sv_equal(buf_sv(&authorization), rows[i].want_authorization);
		buf_done(&form);
		buf_done(&authorization);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_method_puts_the_secret_where_it_belongs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/prefetch.h"

#include "tests/unit/broker/token_stand.h"

static void those_of_the_apps_routes(void **state)
{
	(void)state;
	prefetch(&stand.broker, &stand.edition, config_app(stand.config, SV("a")), SV(STAND_ID),
		 stand_hash);
	/* res and ex from the grant; cc at once; not other, which is not asked for ahead, nor
	 * unused. */
	assert_int_equal(fake_nasked, 2);
	assert_sv_equal(fake_param(0, 0), sv_of((const char *)stand_hash, sizeof stand_hash));
	assert_sv_equal(fake_param(0, 1), SV("res"));
	assert_sv_equal(fake_param(1, 1), SV("ex"));
	assert_int_equal(stand.calls.n, 1);
	assert_called(CALL_CLIENT, SV_NONE);
	assert_nothing_said();
}

static void the_first_request_joins(void **state)
{
	(void)state;
	prefetch(&stand.broker, &stand.edition, config_app(stand.config, SV("a")), SV(STAND_ID),
		 stand_hash);
	stand_want("res");
	assert_int_equal(fake_nasked, 2);
	stand_reads("res", "prefetched", 200000);
	assert_answered("prefetched");
}

static void not_for_an_app_without_services(void **state)
{
	(void)state;
	prefetch(&stand.broker, &stand.edition, config_app(stand.config, SV("b")), SV(STAND_ID),
		 stand_hash);
	assert_int_equal(fake_nasked + stand.calls.n, 0);
}

static void not_in_a_drain(void **state)
{
	(void)state;
	stand.broker.draining = true;
	prefetch(&stand.broker, &stand.edition, config_app(stand.config, SV("a")), SV(STAND_ID),
		 stand_hash);
	assert_int_equal(fake_nasked + stand.calls.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAND(those_of_the_apps_routes),
	    STAND(the_first_request_joins),
	    STAND(not_for_an_app_without_services),
	    STAND(not_in_a_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

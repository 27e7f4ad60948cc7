#include "tests/unit/unit.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/sandbox.h"

static void hardening_takes_effect(void **state)
{
	struct rlimit got;
	struct errmsg e;

	(void)state;
	assert_int_equal(sandbox_harden(&e), ERR_OK);
	assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	assert_int_equal(getrlimit(RLIMIT_CORE, &got), 0);
	assert_int_equal(got.rlim_cur, 0);
	assert_int_equal(got.rlim_max, 0);
}

static void hardening_twice_is_fine(void **state)
{
	struct errmsg e;

	(void)state;
	assert_int_equal(sandbox_harden(&e), ERR_OK);
	assert_int_equal(sandbox_harden(&e), ERR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hardening_takes_effect),
	    cmocka_unit_test(hardening_twice_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

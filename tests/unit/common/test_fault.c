#include "common/fault.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

/* What becomes of a child that passes here, there, here, here under this setting; a stopped one is
 * killed. */
static int fate(const char *setting)
{
	int status = 0;
	pid_t child = fork();

	assert_int_not_equal(child, -1);
	if (child == 0) {
		if (setting != NULL)
			setenv("BFF_FAULT", setting, 1);
		else
			unsetenv("BFF_FAULT");
		(void)signal(SIGABRT, SIG_DFL); /* not cmocka's, which would go on */
		FAULT_POINT("here");
		FAULT_POINT("there");
		FAULT_POINT("here");
		FAULT_POINT("here");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	if (WIFSTOPPED(status)) {
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, NULL, 0), child);
		return WSTOPSIG(status);
	}
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void the_nth_passage_alone(void **state)
{
	static const struct {
		const char *setting;
		int want;
	} rows[] = {
	    {NULL, 0},
	    {"", 0},
	    {"elsewhere:kill", 0},
	    {"here:kill", SIGKILL},
	    {"here:kill:3", SIGKILL},
	    {"here:kill:4", 0},
	    {"there:kill:1", SIGKILL},
	    {"there:kill:2", 0},
	    {"here:stop", SIGSTOP},
	    {"here:stop:2", SIGSTOP},
	    {"here:nonsense", SIGABRT},
	    {"here", SIGABRT},
	    {"here:kill:x", SIGABRT},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
#ifdef BFF_FAULT_POINTS
		assert_int_equal(fate(rows[i].setting), rows[i].want);
#else
		assert_int_equal(fate(rows[i].setting), 0); /* compiled to nothing */
#endif
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_nth_passage_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

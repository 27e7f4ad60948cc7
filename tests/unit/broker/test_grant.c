#include "broker/grant.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/broker/token_stand.h"

#define BIT(s) (1U << (s))

/* Whether setting `to` in state `from` is allowed; what is not, aborts. */
static bool may_go(enum grant_state from, enum grant_state to)
{
	int status = 0;
	pid_t child = fork();

	assert_int_not_equal(child, -1);
	if (child == 0) {
		struct grant_job j = {.state = from};

		(void)signal(SIGABRT, SIG_DFL);
		(void)close(STDERR_FILENO); /* the assertion's text */
		grant_job_set_state(&j, to);
		_exit(j.state == to ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true((WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) ||
		    (WIFEXITED(status) && WEXITSTATUS(status) == 0));
	return WIFEXITED(status);
}

static void every_other_transition_aborts(void **state)
{
	static const unsigned want[GRANT_ENDED + 1] = {
	    [GRANT_NEW] = BIT(GRANT_READING) | BIT(GRANT_ENDED),
	    [GRANT_READING] = BIT(GRANT_READING) | BIT(GRANT_QUEUED) | BIT(GRANT_PAUSED) |
			      BIT(GRANT_LEASING) | BIT(GRANT_SENDING) | BIT(GRANT_EXCHANGING) |
			      BIT(GRANT_ENDED),
	    [GRANT_QUEUED] = BIT(GRANT_READING) | BIT(GRANT_ENDED),
	    [GRANT_PAUSED] = BIT(GRANT_READING) | BIT(GRANT_ENDED),
	    [GRANT_LEASING] =
		BIT(GRANT_PAUSED) | BIT(GRANT_SENDING) | BIT(GRANT_RELEASING) | BIT(GRANT_ENDED),
	    [GRANT_SENDING] = BIT(GRANT_READING) | BIT(GRANT_LEASING) | BIT(GRANT_CHECKING) |
			      BIT(GRANT_STORING) | BIT(GRANT_RELEASING) | BIT(GRANT_ENDED),
	    [GRANT_EXCHANGING] = BIT(GRANT_READING) | BIT(GRANT_STORING) | BIT(GRANT_ENDED),
	    [GRANT_CHECKING] = BIT(GRANT_STORING) | BIT(GRANT_ENDED),
	    [GRANT_STORING] = BIT(GRANT_READING) | BIT(GRANT_ENDED),
	    [GRANT_RELEASING] = BIT(GRANT_READING) | BIT(GRANT_ENDED),
	    [GRANT_ENDED] = 0,
	};

	(void)state;
	for (enum grant_state from = GRANT_NEW; from <= GRANT_ENDED; from++)
		for (enum grant_state to = GRANT_NEW; to <= GRANT_ENDED; to++)
			if (may_go(from, to) != ((want[from] & BIT(to)) != 0))
				fail_msg("from %d to %d", (int)from, (int)to);
}

static void askers_of_the_same_service_join(void **state)
{
	(void)state;
	stand_want("res");
	stand_want("res");
	stand_want("res");
	assert_int_equal(fake_nasked, 1);
	stand_reads("res", "the token", 200000);
	assert_int_equal(stand.got.answers, 3);
	assert_sv_equal(stand_sv(&stand.got.token), SV("the token"));
	assert_int_equal(stand.got.left_ms, 200000);
	assert_int_equal(grant_table_count(stand.broker.grants), 0);
	assert_int_equal(stand.edition.refs, 0);
}

static void one_job_at_a_time_has_the_refresh_token(void **state)
{
	const struct token_reply reply = stand_success("at-res", "rt-2");

	(void)state;
	stand_want("res");
	stand_want("other");
	assert_int_equal(fake_nasked, 2); /* both look */
	stand_reads("res", NULL, 0);
	stand_reads("other", NULL, 0); /* and this one waits */
	assert_int_equal(fake_nasked, 1);
	stand_leases(true, 1, 0);
	assert_int_equal(stand.calls.n, 1);
	stand_reply(ERR_OK, &reply);
	assert_asked(SQL_GRANT_COMMIT);
	stand_bool(true);
	stand_reads("res", "at-res", 300000);
	assert_answered("at-res");
	/* Its turn, and it reads anew, because the generation moved on. */
	stand_reads("other", NULL, 0);
	assert_asked(SQL_REFRESH_LEASE);
}

static void a_queued_job_that_is_served_meanwhile_passes_the_turn_on(void **state)
{
	(void)state;
	stand_want("res");
	stand_want("other");
	stand_want("own");
	stand_reads("res", NULL, 0);
	stand_reads("other", NULL, 0);
	stand_reads(NULL, NULL, 0);
	assert_asked(SQL_REFRESH_LEASE);
	fake_answer(ERR_UNAVAILABLE, NULL); /* the first one ends, with a lease or without */
	assert_asked(SQL_REFRESH_RELEASE);
	stand_bool(true);
	assert_failed(IPC_ERROR_STORE, err_text(ERR_UNAVAILABLE));
	stand_reads("other", "from another host", 200000);
	assert_answered("from another host");
	stand_reads(NULL, NULL, 0);
	assert_asked(SQL_REFRESH_LEASE);
}

static unsigned checks;
static struct grant_checked last;

static void on_checked(void *arg, const struct grant_checked *c)
{
	assert_ptr_equal(arg, &checks);
	checks++;
	last = *c;
}

static void ask_check(void)
{
	struct stand_ask a;

	stand_ask_for(&a, "own");
	a.ask.provider = a.ask.service->provider;
	a.ask.service = NULL;
	a.ask.kind = GRANT_JOB_CHECK;
	a.ask.checked = on_checked;
	a.ask.arg = &checks;
	grant_table_ask(stand.broker.grants, &a.ask, NULL);
}

static void a_check_asks_whatever_stands_there(void **state)
{
	const struct token_reply reply = stand_success("new", "rt-2");

	(void)state;
	checks = 0;
	ask_check();
	ask_check(); /* one is enough */
	assert_int_equal(checks, 1);
	assert_int_equal(last.code, IPC_ERROR_PROVIDER_DOWN);
	stand_want("own"); /* a request does not wait for a check */
	assert_int_equal(fake_nasked, 2);
	stand_reads(NULL, "good for long", 290000);
	assert_asked(SQL_TOKEN_READ);
	stand_reads(NULL, "good for long", 290000);
	assert_answered("good for long");
	stand_leases(true, 1, 0);
	stand_reply(ERR_OK, &reply);
	stand_bool(true);
	stand_reads(NULL, "new", 300000);
	assert_int_equal(checks, 2);
	assert_int_equal(last.code, IPC_ERROR_NONE);
}

static void what_does_not_fit_is_turned_away(void **state)
{
	struct config_service many[GRANT_JOBS_MAX + 1];
	struct stand_ask a;

	(void)state;
	for (size_t i = 0; i <= GRANT_JOBS_MAX; i++) {
		struct request *r = stand_request();
		static char names[GRANT_JOBS_MAX + 1][8];

		stand_ask_for(&a, "res");
		many[i] = *a.ask.service;
		(void)snprintf(names[i], sizeof names[i], "s%zu", i);
		many[i].name = sv_str(names[i]);
		assert_int_equal(token_config_digest(&many[i], a.digest), ERR_OK);
		a.ask.service = &many[i];
		grant_table_ask(stand.broker.grants, &a.ask, &r);
		if (i < GRANT_JOBS_MAX) {
			assert_asked(SQL_TOKEN_READ);
			fake_nasked = 0; /* never answered */
		}
	}
	assert_failed(IPC_ERROR_PROVIDER_DOWN, "queue_full");
}

static void a_database_that_is_away_at_once(void **state)
{
	(void)state;
	fake_refuse = ERR_UNAVAILABLE;
	stand_want("res");
	assert_failed(IPC_ERROR_STORE, err_text(ERR_UNAVAILABLE));
	assert_int_equal(grant_table_count(stand.broker.grants), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_other_transition_aborts),
	    STAND(askers_of_the_same_service_join),
	    STAND(one_job_at_a_time_has_the_refresh_token),
	    STAND(a_queued_job_that_is_served_meanwhile_passes_the_turn_on),
	    STAND(a_check_asks_whatever_stands_there),
	    STAND(what_does_not_fit_is_turned_away),
	    STAND(a_database_that_is_away_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

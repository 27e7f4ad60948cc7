#include "tests/unit/unit.h"

#include "master/slot.h"

static void the_states_change_as_drawn(void **state)
{
	/* rows: from; columns: to, in the order of the enum */
	static const struct {
		enum slot_state from;
		const char *want;
	} rows[] = {
	    /*		       IWSRTK */
	    {SLOT_IDLE, "-++---"},  {SLOT_WAITING, "+++---"},  {SLOT_STARTING, "++-+++"},
	    {SLOT_READY, "++--++"}, {SLOT_STOPPING, "+----+"}, {SLOT_KILLED, "++----"},
	};

	(void)state;
	assert_int_equal(ARRAY_LEN(rows), SLOT_KILLED - SLOT_IDLE + 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int to = SLOT_IDLE; to <= SLOT_KILLED; to++) {
			bool got = slot_may(rows[i].from, (enum slot_state)to);
			bool want = rows[i].want[to - SLOT_IDLE] == '+';

			if (got != want)
				fail_msg("%s -> %s: got %d", slot_state_text(rows[i].from),
					 slot_state_text((enum slot_state)to), got);
		}
}

static void every_state_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int a = SLOT_IDLE; a <= SLOT_KILLED; a++)
		for (int b = SLOT_IDLE; b < a; b++)
			assert_string_not_equal(slot_state_text((enum slot_state)a),
						slot_state_text((enum slot_state)b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_states_change_as_drawn),
	    cmocka_unit_test(every_state_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/client_binding.h"

#include "tests/unit/unit.h"

#define SECRET SV("ssssssssssssssssssssssssssssssss")

static struct cookie_session made(unsigned bind, const char *agent, const char *address)
{
	const struct config_app app = {.bind_session = bind};
	struct cookie_session s = {.bound = bind != 0};

	memset(s.secret, 's', sizeof s.secret);
	assert_int_equal(client_binding(&app, SECRET, sv_str(agent), sv_str(address), s.client),
			 ERR_OK);
	return s;
}

static void a_session_holds_where_it_was_made(void **state)
{
	static const struct {
		unsigned bind;
		const char *agent, *address;
		bool want;
	} cases[] = {
	    {0, "Mozilla/5.0", "192.0.2.7", true},
	    {0, "curl", "198.51.100.1", true},
	    {BIND_USER_AGENT, "Mozilla/5.0", "198.51.100.1", true},
	    {BIND_USER_AGENT, "Mozilla/5.1", "192.0.2.7", false},
	    {BIND_USER_AGENT, "", "192.0.2.7", false},
	    {BIND_ADDRESS, "curl", "192.0.2.250", true},
	    {BIND_ADDRESS, "Mozilla/5.0", "192.0.3.7", false},
	    {BIND_ADDRESS, "Mozilla/5.0", "::ffff:192.0.2.9", true},
	    {BIND_ADDRESS, "Mozilla/5.0", "", false},
	    {BIND_USER_AGENT | BIND_ADDRESS, "Mozilla/5.0", "192.0.2.8", true},
	    {BIND_USER_AGENT | BIND_ADDRESS, "curl", "192.0.2.7", false},
	    {BIND_USER_AGENT | BIND_ADDRESS, "Mozilla/5.0", "2001:db8::1", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct config_app app = {.bind_session = cases[i].bind};
		struct cookie_session s = made(cases[i].bind, "Mozilla/5.0", "192.0.2.7");

		if (client_binding_holds(&app, &s, sv_str(cases[i].agent),
					 sv_str(cases[i].address)) != cases[i].want)
			fail_msg("case %zu", i);
	}
}

static void a_changed_option_ends_what_was_made_before(void **state)
{
	(void)state;
	for (unsigned was = 0; was < 4; was++) {
		for (unsigned is = 0; is < 4; is++) {
			const struct config_app app = {.bind_session = is};
			struct cookie_session s = made(was, "a", "192.0.2.7");

			assert_int_equal(client_binding_holds(&app, &s, SV("a"), SV("192.0.2.7")),
					 is == 0 || is == was);
		}
	}
}

static void each_session_has_its_own(void **state)
{
	const struct config_app app = {.bind_session = BIND_USER_AGENT};
	struct cookie_session s = made(BIND_USER_AGENT, "a", "192.0.2.7");

	(void)state;
	s.secret[0] ^= 1;
	assert_false(client_binding_holds(&app, &s, SV("a"), SV("192.0.2.7")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_session_holds_where_it_was_made),
	    cmocka_unit_test(a_changed_option_ends_what_was_made_before),
	    cmocka_unit_test(each_session_has_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/client_prefix.h"

#include "broker/rate_limit.h"
#include "tests/unit/unit.h"

static void prefixes_by_table(void **state)
{
	static const struct {
		const char *address, *want;
	} cases[] = {
	    {"192.0.2.77", "192.0.2.0/24"},
	    {"::ffff:192.0.2.77", "192.0.2.0/24"},
	    {"2001:db8:1:2fff:a:b:c:d", "2001:db8:1::/48"},
	    {"::1", "::/48"},
	    {"", "unknown"},
	    {"192.0.2.77:80", "unknown"},
	    {"evil\nline", "unknown"},
	    {"1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111", "unknown"},
	};
	char out[CLIENT_PREFIX_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_sv_equal(client_prefix(sv_str(cases[i].address), out),
				sv_str(cases[i].want));
	assert_sv_equal(client_prefix(sv_of("1.2.3.4\0x", 9), out), SV("unknown"));
}

/* A /48 is had for the asking: whoever has one is not to use up what all may begin together. */
static void one_network_is_not_everybody(void **state)
{
	char address[64], out[CLIENT_PREFIX_MAX], before[CLIENT_PREFIX_MAX] = "";
	unsigned prefixes = 0;

	(void)state;
	for (unsigned i = 0; i <= 0xffff; i++) {
		struct sv got;

		(void)snprintf(address, sizeof address, "2001:db8:1:%x::1", i);
		got = client_prefix(sv_str(address), out);
		prefixes += !sv_eq(got, sv_str(before));
		(void)snprintf(before, sizeof before, SV_FMT, SV_ARG(got));
	}
	assert_in_range(prefixes * LOGIN_PREFIX_PER_SECOND, 1, LOGIN_ALL_PER_SECOND / 10);
	assert_in_range(prefixes * LOGIN_PREFIX_BURST, 1, LOGIN_ALL_BURST / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(prefixes_by_table),
	    cmocka_unit_test(one_network_is_not_everybody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

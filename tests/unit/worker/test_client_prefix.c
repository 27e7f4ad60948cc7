#include "worker/client_prefix.h"

#include "tests/unit/unit.h"

static void prefixes_by_table(void **state)
{
	static const struct {
		const char *address, *want;
	} cases[] = {
	    {"192.0.2.77", "192.0.2.0/24"},
	    {"::ffff:192.0.2.77", "192.0.2.0/24"},
	    {"2001:db8:1:2fff:a:b:c:d", "2001:db8:1:2f00::/56"},
	    {"::1", "::/56"},
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

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(prefixes_by_table)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

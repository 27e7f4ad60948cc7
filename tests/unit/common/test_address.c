#include "common/address.h"

#include "tests/unit/unit.h"

/* want: what the text is written back as; NULL: no address. */
static void each_address_has_one_form(void **state)
{
	static const struct {
		struct sv in;
		const char *want;
		bool v4;
	} rows[] = {
	    {SV_INIT("192.0.2.1"), "192.0.2.1", true},
	    {SV_INIT("::ffff:192.0.2.1"), "192.0.2.1", true},
	    {SV_INIT("::ffff:c000:201"), "192.0.2.1", true},
	    {SV_INIT("2001:DB8:0::1"), "2001:db8::1", false},
	    {SV_INIT("::"), "::", false},
	    {SV_INIT("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"),
	     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
	    {SV_INIT(""), NULL, false},
	    {SV_INIT("192.0.2"), NULL, false},
	    {SV_INIT("192.0.2.01"), NULL, false},
	    {SV_INIT("192.0.2.1\0"), NULL, false},
	    {SV_INIT("192.0.2.1:80"), NULL, false},
	    {SV_INIT("[::1]"), NULL, false},
	    {SV_INIT("fe80::1%eth0"), NULL, false},
	    {SV_INIT("localhost"), NULL, false},
	    {SV_INIT("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2550"), NULL, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned char got[ADDRESS_LEN] = "untouched......", before[ADDRESS_LEN];
		char text[ADDRESS_TEXT];

		memcpy(before, got, sizeof got);
		if (rows[i].want == NULL) {
			assert_int_equal(address_parse(rows[i].in, got), ERR_SYNTAX);
			assert_memory_equal(got, before, sizeof got);
			continue;
		}
		assert_int_equal(address_parse(rows[i].in, got), ERR_OK);
		address_text(got, text);
		assert_string_equal(text, rows[i].want);
		assert_int_equal(address_is_v4(got), rows[i].v4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_address_has_one_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

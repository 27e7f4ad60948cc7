#include "worker/claim.h"

#include "tests/unit/unit.h"

#define CLAIMS                                                                                     \
	"{\"name\":\"Al\",\"a/b\":\"slash\",\"/a\":\"front\",\"m~n\":\"tilde\",\"\":\"empty\","    \
	"\"x.y\":\"dots\",\"https://x/roles\":[\"r\"],\"no\":null,\"n\":7,\"d\":1.50,\"t\":true,"  \
	"\"f\":false,\"big\":123456789012345678901234567890,\"tiny\":-9223372036854775808,"        \
	"\"huge\":1e999,\"0\":\"zero\","                                                           \
	"\"realm\":{\"roles\":[\"a\",\"b\",{\"c\":\"d\"}],\"x.y\":\"z\",\"none\":null,\"\":\"e\"}" \
	"}"

static void names_and_paths_by_table(void **state)
{
	static const struct {
		const char *name, *want; /* NULL: nothing there, or nothing with a text */
	} cases[] = {
	    {"name", "Al"},
	    {"Name", NULL},
	    {"a/b", "slash"},
	    {"/a~1b", "slash"},
	    {"/a/b", NULL},
	    {"/~1a", "front"},
	    {"/a", NULL},
	    {"m~n", "tilde"},
	    {"/m~0n", "tilde"},
	    {"/m~n", NULL}, /* no escape of RFC 6901 */
	    {"/m~", NULL},
	    {"/", "empty"},
	    {"x.y", "dots"},
	    {"/x.y", "dots"},
	    {"realm.x.y", NULL}, /* dots lead nowhere */
	    {"/realm/x.y", "z"},
	    {"/realm/", "e"},
	    {"/realm", NULL},
	    {"/realm/none", NULL},
	    {"/realm/none/x", NULL},
	    {"/realm/roles", NULL},
	    {"/realm/roles/0", "a"},
	    {"/realm/roles/1", "b"},
	    {"/realm/roles/2/c", "d"},
	    {"/realm/roles/3", NULL},
	    {"/realm/roles/00", NULL},
	    {"/realm/roles/01", NULL},
	    {"/realm/roles/-", NULL},
	    {"/realm/roles/-1", NULL},
	    {"/realm/roles/1x", NULL},
	    {"/realm/roles/", NULL},
	    {"/realm/roles/4294967296", NULL},
	    {"/realm/roles/18446744073709551616", NULL},
	    {"/name/0", NULL},
	    {"/0", "zero"},
	    {"no", NULL},
	    {"n", "7"},
	    {"d", "1.50"},
	    {"t", "true"},
	    {"f", "false"},
	    {"big", NULL}, /* two of them would look the same */
	    {"tiny", NULL},
	    {"huge", NULL},
	    {"https://x/roles", NULL},
	    {"/https:~1~1x~1roles/0", "r"},
	};
	struct claims claims;

	(void)state;
	assert_true(claim_parse(SV(CLAIMS), &claims));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sv got;
		bool has = claim_text(&claims, claim_get(&claims, sv_str(cases[i].name)), &got);

		if (has != (cases[i].want != NULL) || (has && !sv_eq(got, sv_str(cases[i].want))))
			fail_msg("%s: got " SV_FMT, cases[i].name, has ? (int)got.n : 4,
				 has ? got.p : "none");
	}
	claims_done(&claims);
}

static void a_name_longer_than_any_configuration_has(void **state)
{
	char name[CLAIM_JSON_MAX];
	struct claims claims;

	(void)state;
	assert_true(claim_parse(SV("{\"a\":1}"), &claims));
	memset(name, 'a', sizeof name);
	name[0] = '/';
	assert_int_equal(claim_kind(claim_get(&claims, sv_of(name, sizeof name))), CLAIM_NONE);
	claims_done(&claims);
}

static void one_whole_object_or_nothing(void **state)
{
	static const char *const bad[] = {"",
					  "[]",
					  "\"x\"",
					  "7",
					  "{",
					  "{}x",
					  "{} {}",
					  "{\"a\":\"\x80\"}",
					  "{\"a\":[[[[[[[[1]]]]]]]]}"};
	struct claims empty;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (claim_parse(sv_str(bad[i]), &empty))
			fail_msg("taken: %s", bad[i]);
	assert_true(claim_parse(SV("{}"), &empty));
	assert_int_equal(claim_kind(claim_get(&empty, SV("a"))), CLAIM_NONE);
	assert_int_equal(claim_kind(claim_get(&empty, SV("/a/b"))), CLAIM_NONE);
	claims_done(&empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_and_paths_by_table),
	    cmocka_unit_test(a_name_longer_than_any_configuration_has),
	    cmocka_unit_test(one_whole_object_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

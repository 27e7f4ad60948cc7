#include "worker/claim.h"

#include "tests/unit/torture.h"

#include "tests/unit/worker/claim_reference.h"
#include "tests/unit/worker/json_writer.h"

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
	assert_true(claims_parse(SV(CLAIMS), &claims));
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
	assert_true(claims_parse(SV("{\"a\":1}"), &claims));
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
					  "{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}"};
	struct claims empty;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (claims_parse(sv_str(bad[i]), &empty))
			fail_msg("taken: %s", bad[i]);
	assert_true(claims_parse(SV("{}"), &empty));
	assert_int_equal(claim_kind(claim_get(&empty, SV("a"))), CLAIM_NONE);
	assert_int_equal(claim_kind(claim_get(&empty, SV("/a/b"))), CLAIM_NONE);
	claims_done(&empty);
}

/* Also behind all that anybody asks for. */
static void malformed_anywhere_is_refused(void **state)
{
	static const char whole[] =
	    "{\"a\":1,\"b\":[true,null,{\"c\":\"\\ud83d\\ude00 \xe2\x82\xac\"}]"
	    ",\"d\":-1.5e3,\"e\\u0066\":\"\"}";
	static const char *const ends[] = {",}",
					   "",
					   "]",
					   ",\"b\"}",
					   ",\"b\":}",
					   ",\"b\":1,}",
					   ",b:1}",
					   ",\"b\":+1}",
					   ",\"b\":01}",
					   ",\"b\":1.}",
					   ",\"b\":NaN}",
					   ",\"b\":.5}",
					   ",\"b\":nul}",
					   ",\"b\":[1 2]}",
					   ",\"b\":[1,]}",
					   ",\"b\":\"\n\"}",
					   ",\"b\":'x'}",
					   ",\"b\":\"\\x\"}",
					   ",\"b\":\"\\ud83d\"}",
					   ",\"b\":\"\\ude00\"}",
					   ",\"b\":\"\xed\xa0\x80\"}",
					   ",\"b\":\"\xc0\x80\"}",
					   "}x",
					   "}{}"};
	struct claims claims;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		char text[64];
		int n = snprintf(text, sizeof text, "{\"a\":1%s", ends[i]);

		if (claims_parse(sv_of(text, (size_t)n), &claims))
			fail_msg("taken: %s", text);
	}
	for (size_t n = 0; n < sizeof whole; n++) {
		char *exact = malloc(n + 1); /* so that ASan sees one byte too far */

		memcpy(exact + 1, whole, n);
		assert_true(claims_parse(sv_of(exact + 1, n), &claims) == (n == sizeof whole - 1));
		free(exact);
	}
}

static void the_last_of_one_name_counts(void **state)
{
	struct claims claims;

	(void)state;
	assert_true(claims_parse(
	    SV("{\"a\":1,\"\\u0061\":2,\"o\":{\"x\":3,\"x\":4},\"n\":5,\"n\":null}"), &claims));
	assert_sv_equal(claim_get(&claims, SV("a")).json, SV("2"));
	assert_sv_equal(claim_get(&claims, SV("/o/x")).json, SV("4"));
	assert_int_equal(claim_kind(claim_get(&claims, SV("n"))), CLAIM_NONE);
	claims_done(&claims);
}

/* json-c ended the name there. */
static void a_name_with_nul_is_no_other_name(void **state)
{
	struct claims claims;

	(void)state;
	assert_true(claims_parse(SV("{\"a\\u0000b\":1}"), &claims));
	assert_int_equal(claim_kind(claim_get(&claims, SV("a"))), CLAIM_NONE);
	claims_done(&claims);
}

static void all_claims_have_a_limit(void **state)
{
	static char text[CLAIM_JSON_MAX + 1];
	struct claims claims;

	(void)state;
	memset(text, ' ', sizeof text);
	memcpy(text, "{}", 2);
	assert_true(claims_parse(sv_of(text, CLAIM_JSON_MAX), &claims));
	claims_done(&claims);
	assert_false(claims_parse(sv_of(text, CLAIM_JSON_MAX + 1), &claims));
}

/* Of more claims than are noted each is found, whether its name is once there or twice. */
static void many_claims(void **state)
{
	(void)state;
	for (unsigned n = CLAIM_NOTED - 1; n <= CLAIM_NOTED + 2; n++) {
		char text[1024] = "{", name[8];
		size_t at = 1;
		struct claims claims;

		for (unsigned i = 0; i < n; i++)
			at += (size_t)snprintf(text + at, sizeof text - at, "\"k%u\": %u , ", i, i);
		at += (size_t)snprintf(text + at, sizeof text - at, "\"k1\":\"again\" }");
		assert_true(claims_parse(sv_of(text, at), &claims));
		for (unsigned i = 0; i < n; i++) {
			char want[8];

			(void)snprintf(name, sizeof name, "k%u", i);
			(void)snprintf(want, sizeof want, "%u", i);
			assert_sv_equal(claim_get(&claims, sv_str(name)).json,
					i == 1 ? SV("\"again\"") : sv_str(want));
		}
		assert_int_equal(claim_kind(claim_get(&claims, SV("k"))), CLAIM_NONE);
		claims_done(&claims);
		assert_true(reference_compare(sv_of(text, at)));
	}
}

static void a_text_with_escapes_needs_memory(void **state)
{
	struct claims claims;
	struct sv got = SV("as it was");

	(void)state;
	assert_true(claims_parse(SV("{\"a\":\"CORP\\\\al\",\"b\":\"plain\"}"), &claims));
	torture_state.at = 1;
	torture_state.seen = 0;
	assert_true(claim_text(&claims, claim_get(&claims, SV("b")), &got));
	assert_true(claims_ok(&claims));
	assert_false(claim_text(&claims, claim_get(&claims, SV("a")), &got));
	assert_false(claims_ok(&claims));
	torture_state.at = 0;
	assert_sv_equal(got, SV("plain"));
	assert_false(claim_text(&claims, claim_get(&claims, SV("a")), &got)); /* nor later */
	claims_done(&claims);
}

/* ---- texts of any shape ------------------------------------------------------------------ */

#define TEXTS 4000
#define MUTATIONS 8 /* of each */
#define SEED 20

/* json-c ends a name at a NUL. */
static bool has_nul(struct sv text)
{
	return text.n > 0 && memmem(text.p, text.n, "\\u0000", 6) != NULL;
}

/* As the broker stores it. */
static void assert_stored_is_same(struct json_object *o)
{
	struct sv stored = sv_str(json_object_to_json_string_ext(
	    o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));

	assert_true(reference_compare(stored));
}

/* {"":[[...what was written...]]}, with so many arrays. */
static void nest(struct json_writer *w, size_t arrays)
{
	const struct sv begin = SV("{\"\":");
	size_t n = w->n, before = begin.n + arrays;

	if (n + before + arrays + 1 > sizeof w->text)
		return;
	memmove(w->text + before, w->text, n);
	memcpy(w->text, begin.p, begin.n);
	memset(w->text + begin.n, '[', arrays);
	memset(w->text + before + n, ']', arrays);
	w->text[before + n + arrays] = '}';
	w->n = before + n + arrays + 1;
}

static void whatever_is_written_reads_as_json_c_reads_it(void **state)
{
	static struct json_writer w, mutant;
	unsigned taken = 0, refused = 0, mutants = 0;

	(void)state;
	for (unsigned i = 0; i < TEXTS; i++) {
		struct json_object *o;

		json_writer_start(&w, SEED + i);
		json_write_object(&w, i % 4 == 0 ? CLAIM_NOTED + 8 : 8, 10);
		if (i % 4 == 1)
			nest(&w, i / 4 % (CLAIM_DEPTH_MAX + 1));
		if (w.n == sizeof w.text)
			continue; /* did not fit */
		o = reference_parse(sv_of(w.text, w.n));
		if (reference_compare(sv_of(w.text, w.n)) != (o != NULL))
			fail_msg("text %u: " SV_FMT, i, (int)w.n, w.text);
		if (o != NULL)
			assert_stored_is_same(o);
		taken += o != NULL;
		refused += o == NULL;
		json_object_put(o);
		for (unsigned k = 0; k < MUTATIONS; k++) {
			mutant = w;
			mutant.chance = chance_of(w.chance + k);
			json_mutate(&mutant);
			if (!has_nul(sv_of(mutant.text, mutant.n)))
				mutants += reference_compare(sv_of(mutant.text, mutant.n));
		}
	}
	/* All kinds were there. */
	assert_true(taken > TEXTS / 4 && refused > TEXTS / 100 && mutants > TEXTS / 4);
}

/* The broker's bound, at which json_strict_scan() begins to refuse. */
static void what_a_login_may_store_can_be_read(void **state)
{
	char text[8 * JSON_DEPTH_MAX];
	struct claims c;

	(void)state;
	for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
		size_t arrays = depth - 1, n = 0;

		n += (size_t)snprintf(text, sizeof text, "{\"a\":");
		memset(text + n, '[', arrays);
		text[n + arrays] = '1';
		memset(text + n + arrays + 1, ']', arrays);
		text[n + 2 * arrays + 1] = '}';
		assert_int_equal(claims_parse(sv_of(text, n + 2 * arrays + 2), &c),
				 depth <= JSON_DEPTH_MAX);
		if (depth <= JSON_DEPTH_MAX)
			claims_done(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_a_login_may_store_can_be_read),
	    cmocka_unit_test(names_and_paths_by_table),
	    cmocka_unit_test(a_name_longer_than_any_configuration_has),
	    cmocka_unit_test(one_whole_object_or_nothing),
	    cmocka_unit_test(malformed_anywhere_is_refused),
	    cmocka_unit_test(the_last_of_one_name_counts),
	    cmocka_unit_test(a_name_with_nul_is_no_other_name),
	    cmocka_unit_test(all_claims_have_a_limit),
	    cmocka_unit_test(many_claims),
	    cmocka_unit_test(a_text_with_escapes_needs_memory),
	    cmocka_unit_test(whatever_is_written_reads_as_json_c_reads_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

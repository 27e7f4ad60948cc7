#include "worker/cookie.h"

#include "tests/unit/worker/fields.h"

#define DAY_S 86400
#define TODAY 20600
#define NOW_S ((int64_t)TODAY * DAY_S + 3600)
#define ABSOLUTE_MS ((int64_t)12 * 3600 * 1000)
#define KEY_1 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" /* 32 zero bytes */
#define KEY_2 "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE" /* 32 bytes of 1 */

static struct cookie_keys *keys_of(struct sv file)
{
	struct cookie_keys *k = NULL;
	struct errmsg e;

	assert_int_equal(cookie_keys_parse(file, &k, &e), ERR_OK);
	return k;
}

/* "bff_session=" and a value made for that day and secret byte. */
static void add_session(const struct cookie_keys *k, uint32_t day, int byte, struct buf *out)
{
	struct cookie_session s = {.day = day};

	memset(s.secret, byte, sizeof s.secret);
	buf_add(out, SV("bff_session="));
	assert_int_equal(cookie_session_make(k, &s, out), ERR_OK);
}

static enum cookie_outcome find_at(const struct cookie_keys *k, struct http_fields f, int64_t now_s,
				   struct cookie_session *ret)
{
	struct cookie_candidates c, none = {0};
	enum cookie_outcome outcome;

	cookie_session_read(f, SV("bff_session"), now_s, ABSOLUTE_MS, &c);
	outcome = cookie_session_check(k, &c, ret);
	assert_memory_equal(c.v, none.v, c.n * sizeof c.v[0]); /* wiped */
	return outcome;
}

static enum cookie_outcome find(const struct cookie_keys *k, struct sv cookies,
				struct cookie_session *ret)
{
	struct http_field v = {.name = SV("cookie"), .value = cookies};

	return find_at(k, http_fields_of(&v, 1), NOW_S, ret);
}

static void a_value_is_what_another_program_makes(void **state)
{
	struct cookie_keys *k = keys_of(SV(KEY_1 "\n"));
	struct cookie_session got = {0};
	struct buf b;

	(void)state;
	buf_init(&b, 1024);
	add_session(k, TODAY, 7, &b);
	assert_sv_equal(buf_sv(&b),
			SV("bff_session=v1.20600.BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc."
			   "JXlNHcnrOQqT9zZQ-ubCZQ"));
	assert_true(b.n - strlen("bff_session=") <= COOKIE_VALUE_MAX);
	assert_int_equal(find(k, buf_sv(&b), &got), COOKIE_OK);
	assert_int_equal(got.day, TODAY);
	for (size_t i = 0; i < sizeof got.secret; i++)
		assert_int_equal(got.secret[i], 7);
	buf_done(&b);
	cookie_keys_free(&k);
}

static void every_changed_or_missing_byte_is_bad(void **state)
{
	struct cookie_keys *k = keys_of(SV(KEY_1));
	struct cookie_session got;
	const size_t from = strlen("bff_session=");
	struct buf b;

	(void)state;
	buf_init(&b, 1024);
	add_session(k, TODAY, 7, &b);
	for (size_t i = from; i < b.n; i++) {
		for (int bit = 0; bit < 7; bit++) {
			b.p[i] = (char)(b.p[i] ^ (1 << bit));
			assert_int_not_equal(find(k, buf_sv(&b), &got), COOKIE_OK);
			b.p[i] = (char)(b.p[i] ^ (1 << bit));
		}
		assert_int_equal(find(k, sv_of(b.p, i), &got), COOKIE_BAD);
	}
	buf_add_char(&b, 'A');
	assert_int_equal(find(k, buf_sv(&b), &got), COOKIE_BAD);
	buf_done(&b);
	cookie_keys_free(&k);
}

static void a_bound_one_says_to_which_client(void **state)
{
	struct cookie_keys *k = keys_of(SV(KEY_1));
	struct cookie_session s = {.day = TODAY, .bound = true}, got = {0};
	struct buf b;

	(void)state;
	memset(s.secret, 7, sizeof s.secret);
	memset(s.client, 9, sizeof s.client);
	buf_init(&b, 1024);
	buf_add(&b, SV("bff_session="));
	assert_int_equal(cookie_session_make(k, &s, &b), ERR_OK);
	assert_true(sv_starts(buf_sv(&b),
			      SV("bff_session=v2.20600.BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc."
				 "CQkJCQkJCQkJCQkJCQkJCQ.")));
	assert_true(b.n - strlen("bff_session=") <= COOKIE_VALUE_MAX);
	assert_int_equal(find(k, buf_sv(&b), &got), COOKIE_OK);
	assert_true(got.bound);
	assert_memory_equal(got.secret, s.secret, sizeof s.secret);
	assert_memory_equal(got.client, s.client, sizeof s.client);
	for (size_t i = strlen("bff_session="); i < b.n; i++) { /* all of it is under the tag */
		b.p[i] = (char)(b.p[i] ^ 1);
		assert_int_equal(find(k, buf_sv(&b), &got), COOKIE_BAD);
		b.p[i] = (char)(b.p[i] ^ 1);
	}
	buf_done(&b);
	cookie_keys_free(&k);
}

static void a_day_counts_while_a_session_can_live(void **state)
{
	static const struct {
		uint32_t day;
		enum cookie_outcome want;
	} cases[] = {
	    {TODAY, COOKIE_OK},	     {TODAY - 1, COOKIE_OK},  {TODAY - 2, COOKIE_OK},
	    {TODAY - 3, COOKIE_BAD}, {TODAY + 1, COOKIE_BAD}, {0, COOKIE_BAD},
	    {999999, COOKIE_BAD},
	};
	struct cookie_keys *k = keys_of(SV(KEY_1));
	struct cookie_session got, tomorrow = {.day = TODAY + 1};
	struct http_field v;
	struct buf b;

	(void)state;
	buf_init(&b, 1024);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_clear(&b);
		add_session(k, cases[i].day, 7, &b);
		assert_int_equal(find(k, buf_sv(&b), &got), cases[i].want);
	}
	/* A minute before midnight here, it may be tomorrow at the broker. */
	buf_clear(&b);
	add_session(k, tomorrow.day, 7, &b);
	v = (struct http_field){.name = SV("Cookie"), .value = buf_sv(&b)};
	assert_int_equal(find_at(k, http_fields_of(&v, 1), (int64_t)(TODAY + 1) * DAY_S - 60, &got),
			 COOKIE_OK);
	tomorrow.day = 1000000;
	assert_int_equal(cookie_session_make(k, &tomorrow, &b), ERR_RANGE);
	buf_done(&b);
	cookie_keys_free(&k);
}

static void days_have_one_spelling(void **state)
{
	static const struct sv days[] = {SV_INIT("020600"),
					 SV_INIT("+20600"),
					 SV_INIT(" 20600"),
					 SV_INIT("20600 "),
					 SV_INIT("0x5078"),
					 SV_INIT(""),
					 SV_INIT("99999999999999999999")};
	struct cookie_keys *k = keys_of(SV(KEY_1));
	struct cookie_session got;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(days); i++) {
		char text[256];
		int n = snprintf(text, sizeof text, "bff_session=v1." SV_FMT ".%s.%s",
				 SV_ARG(days[i]), KEY_1, "AAAAAAAAAAAAAAAAAAAAAA");

		assert_int_equal(find(k, sv_of(text, (size_t)n), &got), COOKIE_BAD);
	}
	cookie_keys_free(&k);
}

static void all_keys_verify_and_the_first_signs(void **state)
{
	struct cookie_keys *old = keys_of(SV(KEY_1)), *new = keys_of(SV(KEY_2)),
			   *both = keys_of(SV("# comment\n" KEY_2 "\r\n\n" KEY_1 "\n"));
	struct cookie_session got;
	struct buf b;

	(void)state;
	buf_init(&b, 1024);
	add_session(old, TODAY, 7, &b);
	assert_int_equal(find(both, buf_sv(&b), &got), COOKIE_OK);
	assert_int_equal(find(new, buf_sv(&b), &got), COOKIE_BAD);
	buf_clear(&b);
	add_session(both, TODAY, 7, &b);
	assert_int_equal(find(new, buf_sv(&b), &got), COOKIE_OK);
	assert_int_equal(find(old, buf_sv(&b), &got), COOKIE_BAD);
	buf_done(&b);
	cookie_keys_free(&old);
	cookie_keys_free(&new);
	cookie_keys_free(&both);
}

/* G: a good one, g: another good one, B: a bad one; the rest literally. */
static void several_cookies_of_our_name(void **state)
{
	static const struct {
		const char *cookies;
		enum cookie_outcome want;
	} cases[] = {
	    {"", COOKIE_NONE},
	    {";", COOKIE_NONE},
	    {"=", COOKIE_NONE},
	    {"a;b;=c", COOKIE_NONE},
	    {"bff_session", COOKIE_NONE},
	    {"bff_session;", COOKIE_NONE},
	    {"bff_session=", COOKIE_BAD},
	    {"BFF_SESSION=x; xbff_session=x; bff_sessionx=x", COOKIE_NONE},
	    {"B", COOKIE_BAD},
	    {"B; B; B", COOKIE_BAD},
	    {"G", COOKIE_OK},
	    {";;G;;", COOKIE_OK},
	    {"x=1;G;y=2", COOKIE_OK},
	    {"x=1; \tG \t; y=2", COOKIE_OK},
	    {"B; G", COOKIE_OK},
	    {"G; B; B", COOKIE_OK},
	    {"G; g", COOKIE_AMBIGUOUS},
	    {"G; G", COOKIE_AMBIGUOUS},
	    {"G; B; g", COOKIE_AMBIGUOUS},
	    {"B; B; B; B; B; B; B; B; B; B; B; B; B; B; B; B; B", COOKIE_AMBIGUOUS},
	    {"x=\"; G; y=\"", COOKIE_OK},
	    {"x=1, G", COOKIE_NONE},
	};
	struct cookie_keys *k = keys_of(SV(KEY_1));

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cookie_session got = {0};
		const char *p = cases[i].cookies;
		struct buf b;
		enum cookie_outcome outcome;

		buf_init(&b, 65536);
		for (; *p != '\0'; p++) {
			if ((*p == 'G' || *p == 'g') &&
			    (p[1] == ';' || p[1] == ' ' || p[1] == '\0'))
				add_session(k, TODAY, *p, &b);
			else if (*p == 'B' && (p[1] == ';' || p[1] == '\0'))
				buf_add(&b, SV("bff_session=v1.20600.x.y"));
			else
				buf_add_char(&b, *p);
		}
		outcome = find(k, buf_sv(&b), &got);
		if (outcome != cases[i].want)
			print_message("case %zu\n", i);
		assert_int_equal(outcome, cases[i].want);
		assert_int_equal(got.secret[0], outcome == COOKIE_OK ? 'G' : 0);
		buf_done(&b);
	}
	cookie_keys_free(&k);
}

/* Nor of what looked like one until its last byte. */
static void of_what_is_refused_no_secret_stays(void **state)
{
	static const struct sv refused[] = {
	    SV_INIT("bff_session=v2.20600." KEY_2 ".AAAAAAAAAAAAAAAAAAAAA!.AAAAAAAAAAAAAAAAAAAAAA"),
	    SV_INIT("bff_session=v1.20600.AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ!"
		    ".AAAAAAAAAAAAAAAAAAAAAA"),
	};
	const struct cookie_session none = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct http_field v = {.name = SV("Cookie"), .value = refused[i]};
		struct cookie_candidates c = {0};

		cookie_session_read(http_fields_of(&v, 1), SV("bff_session"), NOW_S, ABSOLUTE_MS,
				    &c);
		assert_int_equal(c.seen, 1);
		assert_int_equal(c.n, 0);
		assert_memory_equal(&c.v[0].session, &none, sizeof none);
	}
}

static void two_fields_are_one_list(void **state)
{
	struct cookie_keys *k = keys_of(SV(KEY_1));
	struct http_field v[2] = {{.name = SV("Cookie"), .value = SV("a=1")},
				  {.name = SV("cookie"), .value = SV_NONE}};
	struct cookie_session got;
	struct buf b;

	(void)state;
	buf_init(&b, 1024);
	add_session(k, TODAY, 7, &b);
	v[1].value = buf_sv(&b);
	assert_int_equal(find_at(k, http_fields_of(v, 2), NOW_S, &got), COOKIE_OK);
	v[0].value = buf_sv(&b);
	assert_int_equal(find_at(k, http_fields_of(v, 2), NOW_S, &got), COOKIE_AMBIGUOUS);
	buf_done(&b);
	cookie_keys_free(&k);
}

static void the_login_cookie_is_found_by_origin(void **state)
{
	static const struct config_origin plain = {SV_INIT("http://localhost:8080"),
						   SV_INIT("http"), SV_INIT("localhost"), 8080};
	static const struct {
		struct sv fields;
		enum cookie_outcome want, want_plain;
	} cases[] = {
	    {SV_INIT("Cookie: __Host-bff_login=" KEY_1), COOKIE_OK, COOKIE_NONE},
	    {SV_INIT("Cookie: bff_login=" KEY_2 "; a=b"), COOKIE_NONE, COOKIE_OK},
	    {SV_INIT("Cookie: __Host-bff_login=" KEY_1 "; __Host-bff_login=" KEY_2),
	     COOKIE_AMBIGUOUS, COOKIE_NONE},
	    {SV_INIT("Cookie: __Host-bff_login=" KEY_1 "A"), COOKIE_BAD, COOKIE_NONE},
	    {SV_INIT("Cookie: __Host-bff_login=AAAA"), COOKIE_BAD, COOKIE_NONE},
	    {SV_INIT("Cookie: __Host-bff_login=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
	     COOKIE_BAD, COOKIE_NONE},
	    {SV_INIT("Cookie: __Host-bff_login"), COOKIE_NONE, COOKIE_NONE},
	    {SV_INIT("X: y"), COOKIE_NONE, COOKIE_NONE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		unsigned char got[COOKIE_SECRET_LEN];
		struct fields_text t;
		struct http_fields f = fields_of(&t, cases[i].fields);

		assert_int_equal(cookie_login_find(f, &app_origins[0], got), cases[i].want);
		assert_int_equal(cookie_login_find(f, &plain, got), cases[i].want_plain);
	}
}

static void ours_are_stripped_and_the_rest_stays(void **state)
{
	static const struct config_app apps[] = {{.cookie_name = SV_INIT("bff_session")},
						 {.cookie_name = SV_INIT("other")},
						 {.cookie_name = SV_INIT("other")}};
	static const struct config c = {.apps = apps, .napps = ARRAY_LEN(apps)};
	static const struct {
		struct sv fields, want;
	} cases[] = {
	    {SV_INIT(""), SV_INIT("")},
	    {SV_INIT("Cookie: a=1; b=2"), SV_INIT("a=1; b=2")},
	    {SV_INIT("Cookie: a=1;b=2;  c = 3 ;=4;;d"), SV_INIT("a=1;b=2;  c = 3 ;=4;;d")},
	    {SV_INIT("Cookie: bff_session=x"), SV_INIT("")},
	    {SV_INIT("Cookie: bff_session=x; "), SV_INIT("")},
	    {SV_INIT("Cookie: bff_session=x; a=1"), SV_INIT("a=1")},
	    {SV_INIT("Cookie: a=1; bff_session=x"), SV_INIT("a=1")},
	    {SV_INIT("Cookie: a=1; bff_session=x; b=2"), SV_INIT("a=1; b=2")},
	    {SV_INIT("Cookie: a=1;bff_session=x;b=2"), SV_INIT("a=1;b=2")},
	    {SV_INIT("Cookie: a=1; bff_session =x; bff_session; b=2"), SV_INIT("a=1; b=2")},
	    {SV_INIT(
		 "Cookie: bff_csrf=x; __Host-bff_login=y; bff_login=z; other=1; q=bff_session=x"),
	     SV_INIT("q=bff_session=x")},
	    {SV_INIT("Cookie: bff_logout=x; __Host-bff_logout=y; a=1; __Secure-bff_logout=z"),
	     SV_INIT("a=1")},
	    {SV_INIT("Cookie: a=1\ncookie: b=2"), SV_INIT("a=1; b=2")},
	    {SV_INIT("Cookie: a=1\nCookie: bff_session=x; b=2; c=3"), SV_INIT("a=1; b=2; c=3")},
	    {SV_INIT("Cookie: bff_session=x\nCookie: a=1"), SV_INIT("a=1")},
	    {SV_INIT("Cookie: a=\"1; bff_session=x; 2\""), SV_INIT("a=\"1; 2\"")},
	    {SV_INIT("Cookie: Bff_Session=x; a=\xc3\xa4"), SV_INIT("Bff_Session=x; a=\xc3\xa4")},
	    {SV_INIT("Cookie: a=1; b=\x01; c=\r; d=4"), SV_INIT("a=1; d=4")},
	    {SV_INIT("Cookie: ;"), SV_INIT(";")},
	    {SV_INIT("Cookie: ="), SV_INIT("=")},
	};
	struct sv names[2 + COOKIE_OWN_NAMES];
	size_t n = cookie_names(&c, names);

	(void)state;
	assert_int_equal(n, 2 + COOKIE_OWN_NAMES);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fields_text t;
		struct buf b;

		buf_init(&b, 4096);
		cookie_strip(fields_of(&t, cases[i].fields), names, n, &b);
		assert_sv_equal(buf_sv(&b), cases[i].want);
		buf_done(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_value_is_what_another_program_makes),
	    cmocka_unit_test(every_changed_or_missing_byte_is_bad),
	    cmocka_unit_test(a_bound_one_says_to_which_client),
	    cmocka_unit_test(a_day_counts_while_a_session_can_live),
	    cmocka_unit_test(days_have_one_spelling),
	    cmocka_unit_test(all_keys_verify_and_the_first_signs),
	    cmocka_unit_test(several_cookies_of_our_name),
	    cmocka_unit_test(of_what_is_refused_no_secret_stays),
	    cmocka_unit_test(two_fields_are_one_list),
	    cmocka_unit_test(the_login_cookie_is_found_by_origin),
	    cmocka_unit_test(ours_are_stripped_and_the_rest_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

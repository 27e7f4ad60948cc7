#include "worker/session.h"

#include "common/clock.h"
#include "tests/unit/unit.h"
#include "worker/session_memory.h"
#include "worker/worker.h"

#define DAY 20600
#define KEY "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void rows_by_table(void **state)
{
	static const struct {
		const char *state, *app;
		enum reason want;
	} cases[] = {
	    {"live", "demo", REASON_NONE},	  {"live", "other", REASON_OTHER_APP},
	    {"live", "", REASON_OTHER_APP},	  {"live", "demo2", REASON_OTHER_APP},
	    {"unknown", "", REASON_UNKNOWN},	  {"idle", "", REASON_IDLE},
	    {"expired", "", REASON_EXPIRED},	  {"revoked", "", REASON_REVOKED},
	    {"logout", "", REASON_ENDED},	  {"replaced", "", REASON_ENDED},
	    {"reauthenticate", "", REASON_ENDED}, {"", "demo", REASON_ENDED},
	    {"Live", "demo", REASON_ENDED},	  {"live ", "demo", REASON_ENDED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(
		    session_judge(sv_str(cases[i].state), sv_str(cases[i].app), SV("demo")),
		    cases[i].want);
}

/* What was expected, and whether that was before the tags were checked. */
static struct {
	unsigned expected, checked, before;
	unsigned char hash[CRYPT_SHA256_LEN];
	enum err fails;
} seen;

void __wrap_session_memory_expect(const struct session_memory *m, const unsigned char *hash);
void __wrap_session_memory_expect(const struct session_memory *m, const unsigned char *hash)
{
	(void)m;
	seen.expected++;
	seen.before += seen.checked == 0;
	memcpy(seen.hash, hash, sizeof seen.hash);
}

enum cookie_outcome __real_cookie_session_check(const struct cookie_keys *k,
						struct cookie_candidates *c,
						struct cookie_session *ret);
enum cookie_outcome __wrap_cookie_session_check(const struct cookie_keys *k,
						struct cookie_candidates *c,
						struct cookie_session *ret);
enum cookie_outcome __wrap_cookie_session_check(const struct cookie_keys *k,
						struct cookie_candidates *c,
						struct cookie_session *ret)
{
	seen.checked++;
	return __real_cookie_session_check(k, c, ret);
}

enum err __real_crypt_sha256(struct sv in, unsigned char *out);
enum err __wrap_crypt_sha256(struct sv in, unsigned char *out);
enum err __wrap_crypt_sha256(struct sv in, unsigned char *out)
{
	return seen.fails != ERR_OK ? seen.fails : __real_crypt_sha256(in, out);
}

/* g: a good cookie; f: a forged one; x: one of no form; their secrets are bytes of that letter. */
static void add_cookies(const struct cookie_keys *k, const char *which, struct buf *out)
{
	for (; *which != '\0'; which++) {
		struct cookie_session s = {.day = DAY};

		memset(s.secret, *which, sizeof s.secret);
		buf_add(out, SV("s="));
		if (*which == 'x')
			buf_add(out, SV("x"));
		else
			assert_int_equal(cookie_session_make(k, &s, out), ERR_OK);
		if (*which == 'f') /* not the last digit, some of whose bits count nothing */
			out->p[out->n - 2] = out->p[out->n - 2] == 'A' ? 'B' : 'A';
		buf_add(out, SV("; "));
	}
	assert_true(buf_ok(out));
}

/* The one that it can be is expected before its tag is checked; believed is what was checked. */
static void one_is_expected_and_another_never_believed(void **state)
{
	static const struct {
		const char *cookies;
		unsigned want_expected;
		enum reason want;
	} cases[] = {
	    {"g", 1, REASON_NONE},	 {"f", 1, REASON_TAG},	  {"xg", 1, REASON_NONE},
	    {"gx", 1, REASON_NONE},	 {"fg", 0, REASON_NONE},  {"gf", 0, REASON_NONE},
	    {"gg", 0, REASON_AMBIGUOUS}, {"ff", 0, REASON_TAG},	  {"x", 0, REASON_TAG},
	    {"", 0, REASON_NO_COOKIE},	 {"ffg", 0, REASON_NONE},
	};
	static const struct config_app app = {.cookie_name = SV_INIT("s"),
					      .absolute_timeout_ms = 86400000};
	struct worker w = {.keys = NULL};
	struct errmsg e;

	(void)state;
	assert_int_equal(cookie_keys_parse(SV(KEY), &w.keys, &e), ERR_OK);
	clock_set(1000, (int64_t)DAY * 86400 + 3600);
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		const enum reason want = cases[i / 2].want;
		unsigned char want_hash[CRYPT_SHA256_LEN];
		struct http_field field = {.name = SV("Cookie")};
		struct request r = {.w = &w, .app = &app};
		bool fails = i % 2 == 1;
		struct buf b;

		buf_init(&b, 4096);
		memset(&seen, 0, sizeof seen);
		add_cookies(w.keys, cases[i / 2].cookies, &b);
		field.value = buf_sv(&b);
		r.fields = http_fields_of(&field, 1);
		assert_int_equal(crypt_sha256(SV("gggggggggggggggggggggggggggggggg"), want_hash),
				 ERR_OK);
		seen.fails = fails ? ERR_CRYPTO : ERR_OK;
		session_cookie(&r);
		assert_int_equal(seen.checked, 1);
		assert_int_equal(seen.expected, fails ? 0 : cases[i / 2].want_expected);
		assert_int_equal(seen.before, seen.expected);
		assert_int_equal(r.session_why, want == REASON_NONE && fails ? REASON_STORE : want);
		assert_int_equal(r.has_hash, want == REASON_NONE && !fails);
		if (r.has_hash)
			assert_memory_equal(r.hash, want_hash, sizeof want_hash);
		if (r.has_hash && seen.expected > 0)
			assert_memory_equal(seen.hash, want_hash, sizeof want_hash);
		buf_done(&b);
	}
	clock_unset();
	cookie_keys_free(&w.keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_by_table),
	    cmocka_unit_test(one_is_expected_and_another_never_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

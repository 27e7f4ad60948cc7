#include "worker/url.h"

#include "tests/unit/chance.h"
#include "tests/unit/worker/decoders.h"
#include "tests/unit/worker/fields.h"
#include "worker/route.h"

static void canonical_targets_are_taken(void **state)
{
	static const struct {
		struct sv target, want_path;
		bool want_query, want_slash;
	} cases[] = {
	    {SV_INIT("/"), SV_INIT("/"), false, false},
	    {SV_INIT("/?"), SV_INIT("/"), true, false},
	    {SV_INIT("/api/crm/"), SV_INIT("/api/crm/"), false, false},
	    {SV_INIT("/a?b=//c/../d;e?f%00%2e%c3%28"), SV_INIT("/a"), true, false},
	    {SV_INIT("/a,b:c@d!$&'()*+=-._~[x]|^"), SV_INIT("/a,b:c@d!$&'()*+=-._~[x]|^"), false,
	     false},
	    {SV_INIT("/a%20b%40%3A"), SV_INIT("/a%20b%40%3A"), false, false},
	    {SV_INIT("/%c3%a4%E2%82%ac%F0%9f%98%80"), SV_INIT("/%c3%a4%E2%82%ac%F0%9f%98%80"),
	     false, false},
	    {SV_INIT("/%c2%a0"), SV_INIT("/%c2%a0"), false, false},
	    {SV_INIT("/a%2Fb"), SV_INIT("/a%2Fb"), false, true},
	    {SV_INIT("/a%2fb"), SV_INIT("/a%2fb"), false, true},
	    {SV_INIT("/a%2f"), SV_INIT("/a%2f"), false, true},
	    {SV_INIT("/a?x=%2F"), SV_INIT("/a"), true, false},
	    {SV_INIT("/..a/b../.c/..."), SV_INIT("/..a/b../.c/..."), false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *reason = NULL;
		struct url got;

		assert_int_equal(url_parse(cases[i].target, &got, &reason), ERR_OK);
		assert_sv_equal(got.target, cases[i].target);
		assert_sv_equal(got.path, cases[i].want_path);
		assert_int_equal(got.query.p != NULL, cases[i].want_query);
		assert_int_equal(got.encoded_slash, cases[i].want_slash);
	}
}

static void whatever_else_is_refused_with_its_reason(void **state)
{
	static const struct {
		struct sv target;
		const char *want;
	} cases[] = {
	    {SV_INIT(""), "uri_form"},
	    {SV_INIT("*"), "uri_form"},
	    {SV_INIT("a"), "uri_form"},
	    {SV_INIT("?a"), "uri_form"},
	    {SV_INIT("http://example.com/"), "uri_form"},
	    {SV_INIT("example.com:443"), "uri_form"},
	    {SV_INIT("\\a"), "uri_form"},
	    {SV_INIT("/a b"), "uri_byte"},
	    {SV_INIT("/a\tb"), "uri_control"},
	    {SV_INIT("/a\r\nX: y"), "uri_control"},
	    {SV_INIT("/a\0b"), "uri_control"},
	    {SV_INIT("/a?\0"), "uri_control"},
	    {SV_INIT("/a\x7f"), "uri_control"},
	    {SV_INIT("/\xc3\xa4"), "uri_byte"},
	    {SV_INIT("/a?\xc3\xa4"), "uri_byte"},
	    {SV_INIT("/a\"b"), "uri_byte"},
	    {SV_INIT("/<a>"), "uri_byte"},
	    {SV_INIT("/`"), "uri_byte"},
	    {SV_INIT("/{a}"), "uri_byte"},
	    {SV_INIT("/a\\b"), "uri_backslash"},
	    {SV_INIT("/\\evil"), "uri_backslash"},
	    {SV_INIT("/a?b=\\"), "uri_backslash"},
	    {SV_INIT("/a#b"), "uri_fragment"},
	    {SV_INIT("/a#/../b"), "uri_fragment"},
	    {SV_INIT("/private#/public"), "uri_fragment"},
	    {SV_INIT("/a?b#c"), "uri_fragment"},
	    {SV_INIT("/%"), "uri_escape"},
	    {SV_INIT("/%a"), "uri_escape"},
	    {SV_INIT("/%zz"), "uri_escape"},
	    {SV_INIT("/%2"), "uri_escape"},
	    {SV_INIT("/%2g"), "uri_escape"},
	    {SV_INIT("/%%32%65"), "uri_escape"},
	    {SV_INIT("/a?%"), "uri_escape"},
	    {SV_INIT("/a?b=%4x"), "uri_escape"},
	    {SV_INIT("/a%00"), "uri_control"},
	    {SV_INIT("/a%0d%0aX"), "uri_control"},
	    {SV_INIT("/a%09"), "uri_control"},
	    {SV_INIT("/a%7f"), "uri_control"},
	    {SV_INIT("/a%5cb"), "uri_backslash"},
	    {SV_INIT("/a%5Cb"), "uri_backslash"},
	    {SV_INIT("/a%25b"), "uri_double_escape"},
	    {SV_INIT("/%252e%252e/"), "uri_double_escape"},
	    {SV_INIT("/a%3b"), "uri_semicolon"},
	    {SV_INIT("/a%3Fb"), "uri_escaped_query"},
	    {SV_INIT("/private%23/public"), "uri_fragment"},
	    {SV_INIT("/%61dmin"), "uri_escaped_plain"},
	    {SV_INIT("/%2e%2e/admin"), "uri_escaped_plain"},
	    {SV_INIT("/.%2e/admin"), "uri_escaped_plain"},
	    {SV_INIT("/api%2e/admin"), "uri_escaped_plain"},
	    {SV_INIT("/%7euser"), "uri_escaped_plain"},
	    {SV_INIT("/a%30"), "uri_escaped_plain"},
	    {SV_INIT("/a%c2%85b"), "uri_control"},
	    {SV_INIT("/%C2%80"), "uri_control"},
	    {SV_INIT("/%c2%9F"), "uri_control"},
	    {SV_INIT("/%25"), "uri_double_escape"},
	    {SV_INIT("/%2561"), "uri_double_escape"},
	    {SV_INIT("/%80"), "uri_utf8"},
	    {SV_INIT("/%ff"), "uri_utf8"},
	    {SV_INIT("/%c0%af"), "uri_utf8"},
	    {SV_INIT("/%c0%ae%c0%ae/"), "uri_utf8"},
	    {SV_INIT("/%c1%81"), "uri_utf8"},
	    {SV_INIT("/%e0%80%af"), "uri_utf8"},
	    {SV_INIT("/%ed%a0%80"), "uri_utf8"},
	    {SV_INIT("/%f0%80%80%af"), "uri_utf8"},
	    {SV_INIT("/%f4%90%80%80"), "uri_utf8"},
	    {SV_INIT("/%f5%80%80%80"), "uri_utf8"},
	    {SV_INIT("/%c3"), "uri_utf8"},
	    {SV_INIT("/%c3x"), "uri_utf8"},
	    {SV_INIT("/%c3%28"), "uri_utf8"},
	    {SV_INIT("/%e2%82x"), "uri_utf8"},
	    {SV_INIT("/%e2%82/%ac"), "uri_utf8"},
	    {SV_INIT("/%c3/%a4"), "uri_utf8"},
	    {SV_INIT("/a;b"), "uri_semicolon"},
	    {SV_INIT("/public/..;/admin"), "uri_semicolon"},
	    {SV_INIT("/a;jsessionid=1"), "uri_semicolon"},
	    {SV_INIT("//"), "uri_double_slash"},
	    {SV_INIT("//evil.example/"), "uri_double_slash"},
	    {SV_INIT("/a//b"), "uri_double_slash"},
	    {SV_INIT("/a//"), "uri_double_slash"},
	    {SV_INIT("/%2fevil"), "uri_double_slash"},
	    {SV_INIT("/a/%2Fb"), "uri_double_slash"},
	    {SV_INIT("/a%2f/b"), "uri_double_slash"},
	    {SV_INIT("/."), "uri_dots"},
	    {SV_INIT("/.."), "uri_dots"},
	    {SV_INIT("/./a"), "uri_dots"},
	    {SV_INIT("/public/../admin"), "uri_dots"},
	    {SV_INIT("/a/.?x"), "uri_dots"},
	    {SV_INIT("/a/..%2F..%2Fadmin"), "uri_dots"},
	    {SV_INIT("/a/b%2f.."), "uri_dots"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *got = NULL;
		struct url url;

		assert_int_equal(url_parse(cases[i].target, &url, &got), ERR_SYNTAX);
		assert_string_equal(got, cases[i].want);
	}
}

static void length_has_a_limit(void **state)
{
	static char target[URL_TARGET_MAX + 1];
	const char *reason = NULL;
	struct url url;

	(void)state;
	memset(target, 'a', sizeof target);
	target[0] = '/';
	assert_int_equal(url_parse(sv_of(target, URL_TARGET_MAX), &url, &reason), ERR_OK);
	assert_int_equal(url_parse(sv_of(target, URL_TARGET_MAX + 1), &url, &reason), ERR_SYNTAX);
	assert_string_equal(reason, "uri_length");
}

static void every_truncation_is_judged_within_its_bytes(void **state)
{
	static const char whole[] = "/a%20/%c3%a4/%F0%9f%98%80?x=%2F";
	const char *reason;
	struct url url;

	(void)state;
	for (size_t n = 0; n < sizeof whole; n++) {
		char *copy = malloc(n == 0 ? 1 : n); /* ASan sees one byte too far */

		assert_non_null(copy);
		memcpy(copy, whole, n);
		if (url_parse(sv_of(copy, n), &url, &reason) == ERR_OK)
			assert_sv_equal(url.target, sv_of(copy, n));
		free(copy);
	}
}

static void paths_decode_to_what_they_mean(void **state)
{
	static const struct {
		struct sv path, want;
	} cases[] = {
	    {SV_INIT("/"), SV_INIT("/")},
	    {SV_INIT("/a%40b"), SV_INIT("/a@b")},
	    {SV_INIT("/%c3%A4"), SV_INIT("/\xc3\xa4")},
	    {SV_INIT("/a%2fb%2Fc"), SV_INIT("/a%2Fb%2Fc")},
	    {SV_INIT("/a%20"), SV_INIT("/a ")},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_sv_equal(url_decode_path(cases[i].path, out), cases[i].want);
}

static const struct sv hosts[] = {SV_INIT("portal.example.com")};

#define ROUTE(n, p, ...)                                                                           \
	{                                                                                          \
		.name = SV_INIT(n), .app = &test_app, .hosts = {hosts, 1}, .path = SV_INIT(p),     \
		__VA_ARGS__                                                                        \
	}

static const struct config_route routes[] = {
    ROUTE("rest", "/", .csrf = true),	      ROUTE("public", "/public/", .csrf = true),
    ROUTE("admin", "/admin", .csrf = true),   ROUTE("deep", "/admin/deep/", .csrf = true),
    ROUTE("exact", "/a", .exact = true),      ROUTE("files", "/files/", .encoded_slash = true),
    ROUTE("people", "/p/a@b/", .csrf = true), ROUTE("umlaut", "/%C3%A4/", .csrf = true),
};

static struct route_table *table(void)
{
	static struct config c = {
	    .apps = &test_app, .napps = 1, .routes = routes, .nroutes = ARRAY_LEN(routes)};
	struct route_table *t = NULL;
	struct errmsg e = {""};

	assert_int_equal(route_table_new(&c, &t, &e), ERR_OK);
	return t;
}

#define TEXT_MAX 256

struct text {
	char p[TEXT_MAX];
	size_t n;
};

/* Replaces `cut` bytes at `at` by s, as far as there is room. */
static void splice(struct text *t, size_t at, size_t cut, struct sv s)
{
	cut = at + cut > t->n ? t->n - at : cut;
	if (t->n - cut + s.n > TEXT_MAX / 4)
		return;
	memmove(t->p + at + s.n, t->p + at + cut, t->n - at - cut);
	memcpy(t->p + at, s.p, s.n);
	t->n = t->n - cut + s.n;
}

static void mutate(struct text *t, uint64_t *chance)
{
	static const char *const pieces[] = {
	    "/",   "a",	    "..",  ".",	     "%2e", "%2F",    "%2f",	"%61",	  "%40",
	    "?",   "#",	    ";",   "\\",     "//",  "%c3%a4", "%C3%A4", "%c3",	  "%00",
	    "%25", "%252e", "%5c", "admin/", "%",   "=",      "@",	"%c0%ae", "\t",
	    "%3b", "%23",   "%3F", "..;/",   "%20", "\xc3",   "%c2%85", "public/"};
	size_t at = chance_below(chance, (uint32_t)t->n + 1);
	char text[8];

	switch (chance_below(chance, 6)) {
	case 0:
	case 1:
		splice(t, at, 0, sv_str(pieces[chance_below(chance, ARRAY_LEN(pieces))]));
		break;
	case 2:
		splice(t, at, 1 + chance_below(chance, 3), SV(""));
		break;
	case 3: /* any byte */
		text[0] = (char)(unsigned char)chance_below(chance, 256);
		splice(t, at, 1, sv_of(text, 1));
		break;
	case 4: /* the escape of what stands there, or the escape of that */
		if (at < t->n) {
			int n = snprintf(text, sizeof text, "%%%s%02x",
					 chance_below(chance, 4) == 0 ? "25" : "",
					 (unsigned char)t->p[at]);

			splice(t, at, 1, sv_of(text, (size_t)n));
		}
		break;
	case 5: /* a piece of itself again */
		splice(t, chance_below(chance, (uint32_t)t->n + 1), 0, sv_str("/admin/deep/x"));
		break;
	}
}

static const struct config_route *route_of(const struct route_table *t, const struct url *u,
					   enum route_outcome *ret)
{
	const struct config_route *r = NULL;

	*ret = route_lookup(t, &test_app, hosts[0], u, SV("GET"), &r);
	return r;
}

/* The route of a path as some decoder sees it: escaped anew, byte by byte, it must still be one. */
static const struct config_route *route_of_meaning(const struct route_table *t, struct sv meaning)
{
	char again[3 * TEXT_MAX];
	const char *reason = "";
	enum route_outcome outcome;
	struct url u;
	int n = 0;

	for (size_t i = 0; i < meaning.n; i++) {
		unsigned char c = (unsigned char)meaning.p[i];
		bool plain = c != '\0' && strchr("/-._~", c) != NULL;

		plain = plain || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9');
		n += snprintf(again + n, sizeof again - (size_t)n, plain ? "%c" : "%%%02X", c);
	}
	if (url_parse(sv_of(again, (size_t)n), &u, &reason) != ERR_OK) {
		print_message("meaning %.*s: %s\n", n, again, reason);
		return NULL;
	}
	return route_of(t, &u, &outcome);
}

/* Accepted: put together again from its parts it is what came, and every reader comes to the same
 * route. NULL, or what is wrong; refused is fine. */
static const char *judge_target(const struct route_table *t, struct sv target, unsigned *taken)
{
	const struct config_route *route;
	char again[TEXT_MAX + 1], seen[TEXT_MAX + 1];
	enum route_outcome outcome;
	const char *reason = NULL;
	struct url url, second;
	size_t n;

	if (url_parse(target, &url, &reason) != ERR_OK)
		return reason != NULL ? NULL : "refused without a word";
	(*taken)++;
	n = (size_t)snprintf(again, sizeof again, SV_FMT "%s" SV_FMT, SV_ARG(url.path),
			     url.query.p == NULL ? "" : "?",
			     SV_ARG(url.query.p == NULL ? SV("") : url.query));
	if (!sv_eq(sv_of(again, n), target) ||
	    url_parse(sv_of(again, n), &second, &reason) != ERR_OK || !sv_eq(second.path, url.path))
		return "no fixed point";
	route = route_of(t, &url, &outcome);
	if (outcome == ROUTE_ENCODED_SLASH)
		return NULL;
	if (outcome != ROUTE_OK)
		return "no route, though one takes everything";
	for (size_t i = 0; i < ARRAY_LEN(decoders); i++)
		if (route_of_meaning(t, sv_of(seen, decoders[i].decode(target, seen))) != route)
			return decoders[i].name;
	return NULL;
}

/* SEED=n in the environment replays a failure. */
static void what_is_taken_is_its_own_canonical_form_to_every_reader(void **state)
{
	static const char *const starts[] = {
	    "/", "/public/x?a=b", "/admin/deep/x", "/files/a%2Fb", "/p/a%40b/", "/%c3%a4/", "/a"};
	const char *given = getenv("SEED");
	uint32_t first = given == NULL ? 1 : (uint32_t)strtoul(given, NULL, 10);
	uint32_t last = given == NULL ? 200000 : first;
	struct route_table *t = table();
	unsigned taken = 0;

	(void)state;
	for (uint32_t seed = first; seed <= last; seed++) {
		uint64_t chance = chance_of(seed);
		struct text target = {.n = 0};
		const char *wrong;

		splice(&target, 0, 0, sv_str(starts[chance_below(&chance, ARRAY_LEN(starts))]));
		for (uint32_t k = chance_below(&chance, 5); k > 0; k--)
			mutate(&target, &chance);
		wrong = judge_target(t, sv_of(target.p, target.n), &taken);
		if (wrong != NULL)
			fail_msg("SEED=%u " SV_FMT ": %s", seed, (int)target.n, target.p, wrong);
	}
	assert_true(given != NULL || taken > 20000);
	route_table_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(canonical_targets_are_taken),
	    cmocka_unit_test(whatever_else_is_refused_with_its_reason),
	    cmocka_unit_test(length_has_a_limit),
	    cmocka_unit_test(every_truncation_is_judged_within_its_bytes),
	    cmocka_unit_test(paths_decode_to_what_they_mean),
	    cmocka_unit_test(what_is_taken_is_its_own_canonical_form_to_every_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

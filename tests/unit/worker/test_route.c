#include "worker/route.h"

#include <time.h>

#include "tests/unit/chance.h"
#include "tests/unit/torture.h"
#include "tests/unit/worker/fields.h"

static const struct sv both_hosts[] = {SV_INIT("portal.example.com"), SV_INIT("desk.example.com")};
static const struct sv portal[] = {SV_INIT("portal.example.com")};
static const struct sv local[] = {SV_INIT("localhost")};
static const struct sv get_head[] = {SV_INIT("GET"), SV_INIT("HEAD")};
static const struct sv post[] = {SV_INIT("POST")};
static const struct sv get[] = {SV_INIT("GET")};

static const struct config_origin local_a[] = {
    {SV_INIT("http://localhost:8080"), SV_INIT("http"), SV_INIT("localhost"), 8080}};
static const struct config_origin local_b[] = {
    {SV_INIT("http://localhost:9090"), SV_INIT("http"), SV_INIT("localhost"), 9090}};

static struct config_app apps[3];

#define LIST(a)                                                                                    \
	{                                                                                          \
		a, ARRAY_LEN(a)                                                                    \
	}
#define ROUTE(n, a, h, p, ...)                                                                     \
	{                                                                                          \
		.name = SV_INIT(n), .app = &apps[a], .hosts = LIST(h), .path = SV_INIT(p),         \
		.place = {"bff.conf", 7}, __VA_ARGS__                                              \
	}

static const struct config_route routes[] = {
    ROUTE("root", 0, both_hosts, "/", .csrf = true),
    ROUTE("crm", 0, both_hosts, "/api/crm/", .methods = LIST(get_head)),
    ROUTE("crm-write", 0, both_hosts, "/api/crm/", .methods = LIST(post)),
    ROUTE("crm-portal", 0, portal, "/api/crm/deep", .csrf = true),
    ROUTE("crm-any", 0, portal, "/api/any", .csrf = true),
    ROUTE("crm-any-get", 0, portal, "/api/any", .methods = LIST(get)),
    ROUTE("live", 0, portal, "/api/live", .exact = true, .methods = LIST(get)),
    ROUTE("live-below", 0, portal, "/api/live", .methods = LIST(post)),
    ROUTE("files", 0, portal, "/api/files/", .encoded_slash = true),
    ROUTE("people", 0, portal, "/p/a@b/", .csrf = true),
    ROUTE("umlaut", 0, portal, "/%C3%A4/", .csrf = true),
    ROUTE("local-a", 1, local, "/", .csrf = true),
    ROUTE("local-b", 2, local, "/b/", .csrf = true),
};

static struct route_table *table_of(const struct config_route *v, size_t n)
{
	static struct config c;
	struct route_table *t = NULL;
	struct errmsg e = {""};

	apps[0] = test_app;
	apps[1] = (struct config_app){.name = SV("a"), .origins = {local_a, 1}};
	apps[2] = (struct config_app){.name = SV("b"), .origins = {local_b, 1}};
	c = (struct config){.apps = apps, .napps = 3, .routes = v, .nroutes = n};
	if (route_table_new(&c, &t, &e) != ERR_OK)
		print_message("%s\n", e.text);
	assert_non_null(t);
	return t;
}

static void requests_find_their_route(void **state)
{
	static const struct {
		unsigned app;
		const char *host, *target, *method;
		enum route_outcome want;
		const char *want_route;
	} cases[] = {
	    {0, "portal.example.com", "/", "GET", ROUTE_OK, "root"},
	    {0, "portal.example.com", "/x?/api/crm/", "PUT", ROUTE_OK, "root"},
	    {0, "portal.example.com", "/api/crm/", "GET", ROUTE_OK, "crm"},
	    {0, "portal.example.com", "/api/crm/x/y", "HEAD", ROUTE_OK, "crm"},
	    {0, "desk.example.com", "/api/crm/x", "POST", ROUTE_OK, "crm-write"},
	    {0, "desk.example.com", "/api/crm/x", "DELETE", ROUTE_NO_METHOD, NULL},
	    {0, "desk.example.com", "/api/crm/x", "get", ROUTE_NO_METHOD, NULL},
	    {0, "desk.example.com", "/api/crm", "DELETE", ROUTE_OK, "root"},
	    {0, "desk.example.com", "/api/crmx", "DELETE", ROUTE_OK, "root"},
	    {0, "desk.example.com", "/API/crm/", "DELETE", ROUTE_OK, "root"},
	    {0, "portal.example.com", "/api/crm/deep", "DELETE", ROUTE_OK, "crm-portal"},
	    {0, "portal.example.com", "/api/crm/deep/", "GET", ROUTE_OK, "crm-portal"},
	    {0, "portal.example.com", "/api/crm/deep/er", "GET", ROUTE_OK, "crm-portal"},
	    {0, "portal.example.com", "/api/crm/deeper", "GET", ROUTE_OK, "crm"},
	    {0, "desk.example.com", "/api/crm/deep/er", "GET", ROUTE_OK, "crm"},
	    {0, "portal.example.com", "/api/any/1", "GET", ROUTE_OK, "crm-any-get"},
	    {0, "portal.example.com", "/api/any/1", "PATCH", ROUTE_OK, "crm-any"},
	    {0, "portal.example.com", "/api/live", "GET", ROUTE_OK, "live"},
	    {0, "portal.example.com", "/api/live", "POST", ROUTE_NO_METHOD, NULL},
	    {0, "portal.example.com", "/api/live/", "POST", ROUTE_OK, "live-below"},
	    {0, "portal.example.com", "/api/live/x", "GET", ROUTE_NO_METHOD, NULL},
	    {0, "portal.example.com", "/api/files/a%2Fb", "GET", ROUTE_OK, "files"},
	    {0, "portal.example.com", "/api/files%2Fa", "GET", ROUTE_ENCODED_SLASH, "root"},
	    {0, "portal.example.com", "/api/crm/a%2fb", "GET", ROUTE_ENCODED_SLASH, "crm"},
	    {0, "portal.example.com", "/x%2Fy", "GET", ROUTE_ENCODED_SLASH, "root"},
	    {0, "portal.example.com", "/p/a%40b/c", "GET", ROUTE_OK, "people"},
	    {0, "portal.example.com", "/p/a@b/c", "GET", ROUTE_OK, "people"},
	    {0, "portal.example.com", "/%c3%a4/", "GET", ROUTE_OK, "umlaut"},
	    {0, "other.example.com", "/", "GET", ROUTE_NO_HOST, NULL},
	    {0, "", "/", "GET", ROUTE_NO_HOST, NULL},
	    {0, "localhost", "/", "GET", ROUTE_NO_HOST, NULL},
	    {1, "localhost", "/b/", "GET", ROUTE_OK, "local-a"},
	    {2, "localhost", "/b/", "GET", ROUTE_OK, "local-b"},
	    {2, "localhost", "/", "GET", ROUTE_NO_PATH, NULL},
	};
	struct route_table *t = table_of(routes, ARRAY_LEN(routes));

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct config_route *got = NULL;
		const char *reason;
		struct url url;
		enum route_outcome outcome;

		assert_int_equal(url_parse(sv_str(cases[i].target), &url, &reason), ERR_OK);
		outcome = route_lookup(t, &apps[cases[i].app], sv_str(cases[i].host), &url,
				       sv_str(cases[i].method), &got);
		if (outcome != cases[i].want)
			print_message("case %zu: %s\n", i, route_outcome_word(outcome));
		assert_int_equal(outcome, cases[i].want);
		if (cases[i].want_route == NULL)
			assert_null(got);
		else
			assert_sv_equal(got->name, sv_str(cases[i].want_route));
	}
	route_table_free(&t);
	assert_null(t);
	route_table_free(&t);
}

static void an_origin_belongs_to_one_app(void **state)
{
	static const struct {
		const char *origin;
		int want; /* -1: none */
	} cases[] = {
	    {"https://portal.example.com", 0},	 {"https://desk.example.com:8443", 0},
	    {"https://login.example.com", 0},	 {"http://localhost:8080", 1},
	    {"http://localhost:9090", 2},	 {"http://portal.example.com", -1},
	    {"https://desk.example.com", -1},	 {"https://portal.example.com:8443", -1},
	    {"https://partner.example.org", -1}, {"", -1},
	    {"https://portal.example.comx", -1},
	};
	struct route_table *t = table_of(routes, ARRAY_LEN(routes));

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct config_origin *origin = NULL;
		const struct config_app *got = route_app(t, sv_str(cases[i].origin), &origin);

		assert_ptr_equal(got, cases[i].want == -1 ? NULL : &apps[cases[i].want]);
		if (got != NULL)
			assert_sv_equal(origin->text, sv_str(cases[i].origin));
	}
	route_table_free(&t);
}

static void paths_that_are_not_canonical_are_refused(void **state)
{
	static const struct config_route cases[] = {
	    ROUTE("b", 0, portal, "/a//b", .csrf = true),
	    ROUTE("b", 0, portal, "/a?b", .csrf = true),
	    ROUTE("b", 0, portal, "/a%2Fb", .csrf = true),
	    ROUTE("b", 0, portal, "/a;b", .csrf = true),
	    ROUTE("b", 0, portal, "a", .csrf = true),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct config c = {
		    .apps = apps, .napps = 3, .routes = &cases[i], .nroutes = 1};
		struct route_table *t = NULL;
		struct errmsg e = {""};

		assert_int_equal(route_table_new(&c, &t, &e), ERR_CONFIG);
		assert_non_null(strstr(e.text, "bff.conf:7: path: expected a canonical path"));
		assert_null(t);
	}
}

/* Median CPU of a lookup among n routes, of paths that are there and of one that is not. */
#define COST_ROUTES 1000
#define COST_LOOKUPS 2000
#define COST_ROUNDS 21

static int64_t cpu_ns(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t lookups(const struct route_table *t, size_t n)
{
	int64_t from = cpu_ns();

	for (size_t i = 0; i < COST_LOOKUPS; i++) {
		const struct config_route *route;
		char path[48];
		size_t len = (size_t)snprintf(path, sizeof path, "/api/service-%04zu/a/deeper/path",
					      i * 7919 % n);
		const struct url url = {.path = sv_of(path, len)};
		const struct url other = {.path = SV("/api/service-none/a/deeper/path")};

		assert_int_equal(
		    route_lookup(t, &apps[0], SV("portal.example.com"), &url, SV("GET"), &route),
		    ROUTE_OK);
		assert_int_equal(
		    route_lookup(t, &apps[0], SV("portal.example.com"), &other, SV("GET"), &route),
		    ROUTE_NO_PATH);
	}
	return cpu_ns() - from;
}

static int by_size(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) -
	       (*(const double *)a < *(const double *)b);
}

static void a_thousand_routes_cost_no_more_than_twice_ten(void **state)
{
	static struct config_route v[COST_ROUTES];
	static char text[COST_ROUTES][32];
	double ratios[COST_ROUNDS];
	struct route_table *ten, *thousand;

	(void)state;
	for (size_t i = 0; i < COST_ROUTES; i++)
		v[i] = (struct config_route){
		    .app = &apps[0],
		    .hosts = LIST(portal),
		    .path = sv_of(text[i], (size_t)snprintf(text[i], sizeof text[i],
							    "/api/service-%04zu/", i)),
		    .place = {"f", 1}};
	ten = table_of(v, 10);
	thousand = table_of(v, COST_ROUTES);
	/* In turn, so that what else this machine does meets both. */
	for (size_t i = 0; i < COST_ROUNDS; i++) {
		int64_t few = lookups(ten, 10);

		ratios[i] = (double)lookups(thousand, COST_ROUTES) / (double)few;
	}
	qsort(ratios, COST_ROUNDS, sizeof ratios[0], by_size);
	print_message("a lookup among %d routes costs %.2f of one among 10\n", COST_ROUTES,
		      ratios[COST_ROUNDS / 2]);
	assert_true(ratios[COST_ROUNDS / 2] <= 2.0);
	route_table_free(&ten);
	route_table_free(&thousand);
}

static void an_empty_configuration_has_no_routes(void **state)
{
	static const struct config c = {.napps = 0};
	const struct config_origin *origin;
	const struct config_route *route;
	struct route_table *t = NULL;
	struct errmsg e;
	struct url url = {.path = SV("/")};

	(void)state;
	assert_int_equal(route_table_new(&c, &t, &e), ERR_OK);
	assert_null(route_app(t, SV("https://a"), &origin));
	assert_int_equal(route_lookup(t, &test_app, SV("a"), &url, SV("GET"), &route),
			 ROUTE_NO_HOST);
	route_table_free(&t);
}

/* Against the plain reading of the rule, over many routes and requests. */
static const struct config_route *plain_lookup(const struct config_route *v, size_t n,
					       struct sv path)
{
	const struct config_route *best = NULL;

	for (size_t i = 0; i < n; i++) {
		struct sv p = v[i].path;
		bool below = sv_starts(path, p) &&
			     (path.n == p.n || p.p[p.n - 1] == '/' || path.p[p.n] == '/');

		if (v[i].exact ? !sv_eq(path, p) : !below)
			continue;
		if (best == NULL || p.n > best->path.n ||
		    (p.n == best->path.n && v[i].exact && !best->exact))
			best = &v[i];
	}
	return best;
}

static void a_thousand_routes_agree_with_the_plain_rule(void **state)
{
	static struct config_route v[1000];
	static char text[1000][16];
	uint64_t chance = chance_of(1);
	struct route_table *t;
	size_t n = 0;

	(void)state;
	/* All paths of up to three segments of "a", "b", "c", with and without a slash, some exact.
	 */
	for (unsigned code = 0; n < ARRAY_LEN(v) && code < 4 * 4 * 4 * 4; code++) {
		char *p = text[n];
		size_t len = 1;

		p[0] = '/';
		for (unsigned rest = code / 4, k = 0; k < 3 && rest % 4 > 0; rest /= 4, k++) {
			p[len++] = (char)('a' + rest % 4 - 1);
			p[len++] = '/';
		}
		if (len == 1 && code % 4 != 0)
			continue;
		if (len > 1 && code % 2 == 1)
			len--;
		v[n] = (struct config_route){.app = &apps[0],
					     .hosts = LIST(portal),
					     .path = sv_of(p, len),
					     .exact = code % 4 >= 2,
					     .place = {"f", 1}};
		for (size_t i = 0; i < n; i++)
			if (sv_eq(v[i].path, v[n].path) && v[i].exact == v[n].exact)
				goto next;
		n++;
	next:;
	}
	assert_true(n > 100);
	t = table_of(v, n);
	for (int round = 0; round < 20000; round++) {
		const struct config_route *got = NULL, *want;
		char path[16] = "/";
		struct url url;
		size_t len = 1;

		for (int k = 0; k < 5; k++) {
			if (chance_below(&chance, 4) == 0)
				break;
			path[len++] = (char)('a' + chance_below(&chance, 4));
			if (chance_below(&chance, 8) > 0)
				path[len++] = '/';
		}
		url = (struct url){.path = sv_of(path, len)};
		want = plain_lookup(v, n, url.path);
		assert_int_equal(
		    route_lookup(t, &apps[0], SV("portal.example.com"), &url, SV("GET"), &got),
		    want == NULL ? ROUTE_NO_PATH : ROUTE_OK);
		assert_ptr_equal(got, want);
	}
	route_table_free(&t);
}

static void every_outcome_has_a_word(void **state)
{
	(void)state;
	assert_string_equal(route_outcome_word(ROUTE_OK), "ok");
	assert_string_equal(route_outcome_word(ROUTE_NO_HOST), "no_host");
	assert_string_equal(route_outcome_word(ROUTE_NO_PATH), "no_path");
	assert_string_equal(route_outcome_word(ROUTE_NO_METHOD), "no_method");
	assert_string_equal(route_outcome_word(ROUTE_ENCODED_SLASH), "encoded_slash");
}

static enum err attempt(void *arg)
{
	const struct config c = {
	    .apps = apps, .napps = 3, .routes = routes, .nroutes = ARRAY_LEN(routes)};
	struct route_table *t = NULL;
	struct errmsg e;
	enum err err = route_table_new(&c, &t, &e);

	(void)arg;
	assert_true((t != NULL) == (err == ERR_OK));
	route_table_free(&t);
	return err;
}

static void without_memory_there_is_none(void **state)
{
	struct route_table *t = table_of(routes, ARRAY_LEN(routes));

	(void)state;
	route_table_free(&t);
	assert_true(torture(attempt, NULL) >= 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests_find_their_route),
	    cmocka_unit_test(an_origin_belongs_to_one_app),
	    cmocka_unit_test(paths_that_are_not_canonical_are_refused),
	    cmocka_unit_test(a_thousand_routes_cost_no_more_than_twice_ten),
	    cmocka_unit_test(an_empty_configuration_has_no_routes),
	    cmocka_unit_test(a_thousand_routes_agree_with_the_plain_rule),
	    cmocka_unit_test(every_outcome_has_a_word),
	    cmocka_unit_test(without_memory_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/edition_use.h"

#include "tests/unit/unit.h"

static const struct config_provider idp = {
    .name = SV_INIT("idp"), .issuer = SV_INIT("https://idp.example"), .client_id = SV_INIT("bff")};
static const struct config_provider other = {
    .name = SV_INIT("other"), .issuer = SV_INIT("https://o.example"), .client_id = SV_INIT("x")};
static const struct config_app apps[] = {{.name = SV_INIT("one"), .provider = &idp},
					 {.name = SV_INIT("two"), .provider = &idp}};
static const struct config_service services[] = {
    {.name = SV_INIT("crm"),
     .provider = &idp,
     .grant = GRANT_RESOURCE,
     .resource = SV_INIT("urn:crm")},
    {.name = SV_INIT("own"), .provider = &idp, .grant = GRANT_SESSION},
    {.name = SV_INIT("idt"), .provider = &idp, .grant = GRANT_ID_TOKEN},
    {.name = SV_INIT("far"), .provider = &other, .grant = GRANT_SESSION},
};

static struct edition_uses make(struct config_route *routes, size_t n)
{
	struct config c = {.routes = routes, .nroutes = n};
	struct edition_uses u;

	assert_int_equal(edition_uses_make(&c, &u), ERR_OK);
	return u;
}

static void what_a_route_names_is_found_and_nothing_else(void **state)
{
	struct config_route routes[] = {{.app = &apps[0], .service = &services[0]},
					{.app = &apps[0]},
					{.app = &apps[0], .service = &services[0]},
					{.app = &apps[1], .service = &services[1]},
					{.app = &apps[1], .service = &services[3]}};
	static const struct {
		const char *app, *service;
		bool want;
	} cases[] = {{"one", "crm", true},  {"two", "own", true},  {"one", "own", false},
		     {"two", "crm", false}, {"two", "far", false}, {"one", "", false},
		     {"", "crm", false},    {"on", "ecrm", false}, {"onec", "rm", false}};
	struct edition_uses u = make(routes, ARRAY_LEN(routes));

	(void)state;
	assert_int_equal(u.n, 2);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct edition_use *got =
		    edition_uses_find(&u, sv_str(cases[i].app), sv_str(cases[i].service));

		assert_int_equal(got != NULL, cases[i].want);
		if (got != NULL)
			assert_ptr_equal(edition_uses_by_id(&u, got->id), got);
	}
	edition_uses_done(&u);
}

static void ids_tell_apart_what_differs(void **state)
{
	struct config_route routes[] = {{.app = &apps[0], .service = &services[1]},
					{.app = &apps[0], .service = &services[2]},
					{.app = &apps[1], .service = &services[1]}};
	struct config_service changed = services[0];
	struct config_route before = {.app = &apps[0], .service = &services[0]},
			    after = {.app = &apps[0], .service = &changed};
	struct edition_uses u = make(routes, ARRAY_LEN(routes)), v = make(&before, 1), w, x;

	(void)state;
	/* An ID token is filed with the access token of the login, and yet another thing. */
	assert_memory_equal(u.v[0].digest, u.v[1].digest, CRYPT_SHA256_LEN);
	assert_memory_not_equal(u.v[0].id, u.v[1].id, CRYPT_SHA256_LEN);
	assert_memory_not_equal(u.v[0].id, u.v[2].id, CRYPT_SHA256_LEN);
	w = make(&after, 1);
	assert_memory_equal(v.v[0].id, w.v[0].id, CRYPT_SHA256_LEN); /* another edition */
	changed.resource = SV("urn:other");
	x = make(&after, 1);
	assert_memory_not_equal(v.v[0].id, x.v[0].id, CRYPT_SHA256_LEN);
	assert_null(edition_uses_by_id(&x, v.v[0].id));
	edition_uses_done(&u);
	edition_uses_done(&v);
	edition_uses_done(&w);
	edition_uses_done(&x);
}

static void many_routes(void **state)
{
	enum { N = 500 };
	struct config_service *s = calloc(N, sizeof *s);
	struct config_route *routes = calloc(N, sizeof *routes);
	char(*names)[16] = calloc(N, sizeof *names);
	struct edition_uses u;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		snprintf(names[i], sizeof names[i], "service%zu", i);
		s[i] = services[0];
		s[i].name = sv_str(names[i]);
		routes[i] = (struct config_route){.app = &apps[i % 2], .service = &s[i]};
	}
	u = make(routes, N);
	assert_int_equal(u.n, N);
	for (size_t i = 0; i < N; i++) {
		assert_ptr_equal(edition_uses_find(&u, apps[i % 2].name, s[i].name)->service,
				 &s[i]);
		assert_null(edition_uses_find(&u, apps[1 - i % 2].name, s[i].name));
	}
	edition_uses_done(&u);
	free(s);
	free(routes);
	free(names);
}

static void no_routes(void **state)
{
	struct edition_uses u = make(NULL, 0);

	(void)state;
	assert_null(edition_uses_find(&u, SV("one"), SV("crm")));
	edition_uses_done(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_a_route_names_is_found_and_nothing_else),
	    cmocka_unit_test(ids_tell_apart_what_differs),
	    cmocka_unit_test(many_routes),
	    cmocka_unit_test(no_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/worker/fields.h"
#include "worker/cookie.h"

static const struct config_origin plain = {SV_INIT("http://localhost:8080"), SV_INIT("http"),
					   SV_INIT("localhost"), 8080};
static const unsigned char binding[COOKIE_SECRET_LEN] = {0};

#define BINDING "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void every_cookie_has_its_attributes(void **state)
{
	static const struct config_app strict = {.cookie_name = SV_INIT("__Host-s"),
						 .same_site = SAME_SITE_STRICT};
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
#define CHECK(call, want)                                                                          \
	do {                                                                                       \
		call;                                                                              \
		assert_sv_equal(buf_sv(&b), SV(want));                                             \
		buf_clear(&b);                                                                     \
	} while (0)
	CHECK(cookie_set_session(&b, &test_app, &app_origins[0], SV("v1.x")),
	      "bff_session=v1.x; Path=/; Domain=example.com; Secure; SameSite=Lax; HttpOnly");
	CHECK(
	    cookie_clear_session(&b, &test_app, &app_origins[0]),
	    "bff_session=; Path=/; Domain=example.com; Secure; SameSite=Lax; HttpOnly; Max-Age=0");
	CHECK(cookie_set_csrf(&b, &test_app, &app_origins[0], SV("t")),
	      "bff_csrf=t; Path=/; Domain=example.com; Secure; SameSite=Lax");
	CHECK(cookie_clear_csrf(&b, &test_app, &app_origins[0]),
	      "bff_csrf=; Path=/; Domain=example.com; Secure; SameSite=Lax; Max-Age=0");
	CHECK(cookie_set_login(&b, &app_origins[0], binding),
	      "__Host-bff_login=" BINDING "; Path=/; Secure; SameSite=Lax; HttpOnly");
	CHECK(cookie_set_session(&b, &strict, &app_origins[0], SV("v1.x")),
	      "__Host-s=v1.x; Path=/; Secure; SameSite=Strict; HttpOnly");
	CHECK(cookie_set_session(&b, &strict, &plain, SV("v1.x")),
	      "__Host-s=v1.x; Path=/; SameSite=Strict; HttpOnly");
	CHECK(cookie_set_login(&b, &plain, binding),
	      "bff_login=" BINDING "; Path=/; SameSite=Lax; HttpOnly");
	CHECK(cookie_set_loop(&b, &app_origins[0], SV("1.7"), 60),
	      "__Host-bff_loop=1.7; Path=/; Secure; SameSite=Lax; HttpOnly; Max-Age=60");
	CHECK(cookie_set_loop(&b, &plain, SV_NONE, 0),
	      "bff_loop=; Path=/; SameSite=Lax; HttpOnly; Max-Age=0");
#undef CHECK
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_cookie_has_its_attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

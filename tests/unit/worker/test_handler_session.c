#include "worker/handlers.h"

#include <json-c/json.h>

#include "tests/unit/worker/stand_in.h"

#define A "a.example.com"

static void ask(const char *target, const char *more)
{
	char fields[1024];

	(void)snprintf(fields, sizeof fields, "Cookie: %s\r\n%s", stand_cookie("bff_session", 's'),
		       more);
	stand_browse("GET", A, target, fields, "");
}

/* The answer's body, parsed; the caller frees. */
static struct json_object *body(void)
{
	struct sv out = buf_sv(&stand.out);
	const char *at = memmem(out.p, out.n, "\r\n\r\n", 4);
	char text[8192];
	struct json_object *o;

	assert_non_null(at);
	(void)snprintf(text, sizeof text, "%.*s", (int)(out.n - (size_t)(at + 4 - out.p)), at + 4);
	o = json_tokener_parse(text);
	assert_non_null(o);
	return o;
}

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : "(none)";
}

static void a_live_session_is_shown_without_any_token(void **state)
{
	static const char *const targets[] = {"/auth/session", "/api/auth/session"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		struct json_object *o;

		ask(targets[i], "");
		stand_live(SV("a"),
			   SV("{\"name\":\"A \\\"x\\\" </script>\",\"secret\":1,"
			      "\"groups\":[\"g\",2]}"),
			   false);
		assert_answer(200);
		assert_has("\r\nCache-Control: no-store\r\n");
		o = body();
		assert_string_equal(text_of(o, "authenticated"), "true");
		assert_string_equal(text_of(o, "subject"), "alice");
		assert_string_equal(text_of(o, "csrf_token"), stand_csrf('s'));
		assert_string_equal(text_of(o, "logout_url"), "/auth/logout");
		/* The database's clock says how long, ours says when. */
		assert_string_equal(text_of(o, "expires_at"), "1700003600");
		assert_string_equal(text_of(o, "idle_expires_at"), "1700007170");
		/* The app's list alone, each value as it is. */
		assert_string_equal(
		    text_of(o, "claims"),
		    "{ \"name\": \"A \\\"x\\\" <\\/script>\", \"groups\": [ \"g\", 2 ] }");
		/* Each of the app's services once. */
		assert_string_equal(text_of(o, "services"), "[ \"s\", \"t\" ]");
		assert_lacks("ssssssss");
		assert_lacks("Set-Cookie");
		json_object_put(o);
	}
	assert_int_equal(stand.broker.sent, 0);
}

static void asking_counts_as_use_unless_it_says_otherwise(void **state)
{
	static const struct {
		const char *target;
		unsigned want;
	} cases[] = {
	    {"/auth/session", 1},
	    {"/auth/session?slide=true", 1},
	    {"/auth/session?slide=false", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ask(cases[i].target, "");
		stand_live(SV("a"), SV("{}"), true);
		assert_answer(200);
		assert_int_equal(stand.touches, cases[i].want);
	}
	ask("/auth/session", "");
	stand_live(SV("a"), SV("{}"), false);
	assert_int_equal(stand.touches, 0);
	ask("/auth/session?slide=false&slide=true", "");
	stand_live(SV("a"), SV("{}"), true);
	assert_answer(400);
	assert_int_equal(stand.touches, 0);
}

static void nobody_gets_401_and_where_to_log_in(void **state)
{
	struct json_object *o;

	(void)state;
	stand_browse("GET", A, "/auth/session", "Referer: https://b.example.com/page?x\r\n", "");
	assert_int_equal(stand.pg.queries, 0);
	assert_answer(401);
	o = body();
	assert_string_equal(text_of(o, "authenticated"), "false");
	assert_string_equal(text_of(o, "login_url"), "https://a.example.com/auth/login?return_to="
						     "https%3A%2F%2Fb.example.com%2Fpage%3Fx");
	json_object_put(o);
	assert_lacks("Set-Cookie");
	ask("/auth/session", "Referer: https://evil.example/\r\n");
	stand_dead(SV("revoked"));
	assert_answer(401);
	assert_lacks("evil");
	assert_lacks("revoked"); /* for the log */
	assert_has("login?return_to=https%3A%2F%2Fa.example.com%2F\"");
}

static void two_cookies_are_cleared(void **state)
{
	char two[512];

	(void)state;
	(void)snprintf(two, sizeof two, "Cookie: %s; %s\r\n", stand_cookie("bff_session", 's'),
		       stand_cookie("bff_session", 't'));
	stand_browse("GET", A, "/auth/session", two, "");
	assert_answer(401);
	assert_has("\r\nSet-Cookie: bff_session=; ");
	assert_has("Max-Age=0");
}

static void an_outage_is_no_logout(void **state)
{
	(void)state;
	ask("/auth/session", "");
	stand_rows(ERR_UNAVAILABLE, NULL, 0);
	assert_answer(503);
	assert_has("\r\nRetry-After: 2\r\n");
	assert_lacks("authenticated");
	assert_lacks("Set-Cookie");
}

static void null_is_shown_as_such(void **state)
{
	(void)state;
	ask("/auth/session", "");
	stand_live(SV("a"), SV("{\"other\": 1, \"groups\": null}"), false);
	assert_has("\"claims\":{\"groups\":null}");
}

static void broken_claims_are_no_session(void **state)
{
	static const char *const broken[] = {"", "[]", "\"x\"", "{\"name\":", "null"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		ask("/auth/session", "");
		stand_live(SV("a"), sv_str(broken[i]), false);
		assert_answer(503);
		assert_lacks("csrf_token");
		assert_lacks("alice");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, stand_open, stand_close)
	    CASE(a_live_session_is_shown_without_any_token),
	    CASE(asking_counts_as_use_unless_it_says_otherwise),
	    CASE(nobody_gets_401_and_where_to_log_in),
	    CASE(two_cookies_are_cleared),
	    CASE(an_outage_is_no_logout),
	    CASE(null_is_shown_as_such),
	    CASE(broken_claims_are_no_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/token_audience.h"

#include "common/b64.h"
#include "tests/unit/unit.h"

static void jwts_must_name_the_service(void **state)
{
	static const struct {
		enum config_grant grant;
		const char *audience, *header, *payload;
		bool want;
	} rows[] = {
	    {GRANT_RESOURCE, "", "{\"alg\":\"RS256\"}", "{\"aud\":\"https://a.example/\"}", true},
	    {GRANT_RESOURCE, "", "{\"alg\":\"RS256\"}", "{\"aud\":[\"x\",\"https://a.example/\"]}",
	     true},
	    {GRANT_RESOURCE, "", "{\"alg\":\"RS256\"}", "{\"aud\":\"https://a.example\"}", false},
	    {GRANT_RESOURCE, "", "{\"alg\":\"RS256\"}", "{\"aud\":\"https://b.example/\"}", false},
	    {GRANT_RESOURCE, "", "{\"alg\":\"RS256\"}", "{\"aud\":[]}", false},
	    {GRANT_RESOURCE, "", "{\"alg\":\"RS256\"}", "{\"aud\":7}", false},
	    {GRANT_RESOURCE, "", "{\"alg\":\"RS256\"}", "{}", false},
	    {GRANT_RESOURCE, "", "{\"alg\":\"RS256\"}", "not json", false},
	    {GRANT_RESOURCE, "", "{\"alg\":\"RS256\"}",
	     "{\"aud\":\"https://a.example/\",\"aud\":\"x\"}", false},
	    {GRANT_AUDIENCE, "urn:a", "{\"alg\":\"RS256\"}", "{\"aud\":\"urn:a\"}", true},
	    {GRANT_AUDIENCE, "urn:a", "{\"alg\":\"RS256\"}", "{\"aud\":\"https://a.example/\"}",
	     false},
	    {GRANT_SCOPE, "urn:a", "{\"alg\":\"RS256\"}", "{\"aud\":\"urn:b\"}", false},
	    {GRANT_EXCHANGE, "urn:a", "{\"alg\":\"RS256\"}", "{\"aud\":\"urn:b\"}", false},
	    {GRANT_OBO, "urn:a", "{\"alg\":\"RS256\"}", "{\"aud\":\"urn:b\"}", false},
	    {GRANT_CLIENT_CREDENTIALS, "urn:a", "{\"alg\":\"RS256\"}", "{\"aud\":\"urn:b\"}",
	     false},
	    /* opaque, though of three parts */
	    {GRANT_RESOURCE, "", "not json", "{\"aud\":\"urn:b\"}", true},
	    {GRANT_RESOURCE, "", "{}", "{\"aud\":\"urn:b\"}", true},
	    /* the login's own */
	    {GRANT_SESSION, "urn:a", "{\"alg\":\"RS256\"}", "{\"aud\":\"urn:b\"}", true},
	    {GRANT_ID_TOKEN, "urn:a", "{\"alg\":\"RS256\"}", "{\"aud\":\"urn:b\"}", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_service s = {.grant = rows[i].grant,
					   .audience = sv_str(rows[i].audience),
					   .resource = SV("https://a.example/")};
		char token[512];
		size_t n = b64url_encode(rows[i].header, strlen(rows[i].header), token);

		token[n++] = '.';
		n += b64url_encode(rows[i].payload, strlen(rows[i].payload), token + n);
		memcpy(token + n, ".AA", 3);
		if (token_audience_ok(&s, TOKEN_OPAQUE_PASSES, sv_of(token, n + 3)) != rows[i].want)
			fail_msg("row %zu: %s", i, rows[i].payload);
	}
}

static void opaque_tokens_pass_where_they_may(void **state)
{
	static const char *const tokens[] = {"opaque", "a.b", "a.b.c", "a.b.c.d.e", "..", "."};
	struct config_service s = {.grant = GRANT_RESOURCE, .resource = SV("https://a.example/")};
	struct config_service none = {.grant = GRANT_SCOPE};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
		assert_false(token_audience_ok(&s, TOKEN_OPAQUE_REFUSED, sv_str(tokens[i])));
		assert_true(token_audience_ok(NULL, TOKEN_OPAQUE_REFUSED, sv_str(tokens[i])));
		assert_true(token_audience_ok(&s, TOKEN_OPAQUE_PASSES, sv_str(tokens[i])));
	}
	assert_true(
	    token_audience_ok(NULL, TOKEN_OPAQUE_PASSES, SV("eyJhbGciOiJSUzI1NiJ9.e30.AA")));
	assert_true(
	    token_audience_ok(&none, TOKEN_OPAQUE_PASSES, SV("eyJhbGciOiJSUzI1NiJ9.e30.AA")));
	assert_false(token_audience_ok(&s, TOKEN_OPAQUE_PASSES, SV("eyJhbGciOiJSUzI1NiJ9.e30.AA")));
	assert_false(token_audience_ok(&s, TOKEN_OPAQUE_PASSES, SV("eyJhbGciOiJSUzI1NiJ9.e30.")));
}

static void scopes_must_be_there_when_named(void **state)
{
	static const struct sv wanted[] = {SV_INIT("read"), SV_INIT("openid"),
					   SV_INIT("offline_access"), SV_INIT("api://a/.default")};
	static const struct {
		const char *scope;
		bool want;
	} rows[] = {
	    {"", false},	 {"read", true},   {"write read", true}, {"read write", true},
	    {"readonly", false}, {"write", false}, {" ", false},	 {"rea d", false},
	};
	struct config_service s = {.grant = GRANT_SCOPE, .scope = {wanted, 4}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(token_scope_ok(&s, sv_str(rows[i].scope)), rows[i].want);
	assert_true(token_scope_ok(&s, SV_NONE));
	assert_true(token_scope_ok(NULL, SV("write")));
	s.grant = GRANT_SESSION;
	assert_true(token_scope_ok(&s, SV("write")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(jwts_must_name_the_service),
	    cmocka_unit_test(opaque_tokens_pass_where_they_may),
	    cmocka_unit_test(scopes_must_be_there_when_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

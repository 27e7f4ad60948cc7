#include "worker/field_rules.h"

#include "tests/unit/worker/fields.h"

static const struct sv all[] = {SV_INIT("X-User-ID"), SV_INIT("X_Team"), SV_INIT("Authorization"),
				SV_INIT("Cookie"), SV_INIT("X-Session-ID")};
static struct injected injected;
static const struct injected none = {.v = NULL};

/* What every verify request has. */
#define ALL                                                                                        \
	"X-Forwarded-Method: GET\nX-Forwarded-Uri: /a?b\nX-Forwarded-Host: a\nX-Forwarded-Proto: " \
	"https\nX-Forwarded-For: 192.0.2.7\n"

static void what_breaks_a_rule_is_named(void **state)
{
	static const struct {
		struct sv fields;
		const char *want;
	} cases[] = {
	    {SV_INIT(ALL "X-Real-IP: 192.0.2.7\nX-Real-IP: 192.0.2.8"), "header_twice"},
	    {SV_INIT(ALL "X_Real_IP: 192.0.2.7"), "header_alias"},
	    {SV_INIT(ALL "Authorization: Bearer a,b"), "header_joined"},
	    {SV_INIT("X-Forwarded-Proto: https,http"), "header_joined"},
	    {SV_INIT(ALL "Connection: Host"), "header_connection"},
	    {SV_INIT(ALL "X-Forwarded-Uri: /a"), "header_twice"},
	    {SV_INIT(ALL "x-forwarded-uri: /public"), "header_twice"},
	    {SV_INIT(ALL "X-Forwarded-Host: a"), "header_twice"},
	    {SV_INIT(ALL "X-Forwarded-Proto: https"), "header_twice"},
	    {SV_INIT(ALL "X-Forwarded-For: 192.0.2.7"), "header_twice"},
	    {SV_INIT(ALL "Host: a\nHost: a"), "header_twice"},
	    {SV_INIT(ALL "Authorization: Bearer a\nauthorization: Bearer b"), "header_twice"},
	    {SV_INIT(ALL "Origin: https://a\nOrigin: https://b"), "header_twice"},
	    {SV_INIT(ALL "X-CSRF-Token: a\nX-CSRF-Token: b"), "header_twice"},
	    {SV_INIT(ALL "Sec-Fetch-Site: none\nSec-Fetch-Site: cross-site"), "header_twice"},
	    {SV_INIT(ALL "X-User-ID: a\nx-user-id: b"), "header_twice"},
	    {SV_INIT(ALL "X_Team: a\nX_Team: a"), "header_twice"},
	    {SV_INIT(ALL "User-Agent: a\nUser-Agent: b"), "header_twice"},
	    {SV_INIT(ALL "Referer: a\nReferer: b"), "header_twice"},
	    {SV_INIT(ALL "Content-Length: 0\nContent-Length: 0"), "header_twice"},
	    {SV_INIT(ALL "Authorization: basic YQ==,x"), "header_joined"},
	    {SV_INIT(ALL "Origin: https://a, https://b"), "header_joined"},
	    {SV_INIT(ALL "X-CSRF-Token: a,b"), "header_joined"},
	    {SV_INIT(ALL "Sec-Fetch-Site: same-origin, cross-site"), "header_joined"},
	    {SV_INIT(ALL "Host: a, b"), "header_joined"},
	    {SV_INIT(ALL "Connection: X-Forwarded-Uri"), "header_connection"},
	    {SV_INIT(ALL "Connection: close\nConnection: x-user-id"), "header_connection"},
	    {SV_INIT(ALL "Connection: X_User_ID"), "header_connection"},
	    {SV_INIT(ALL "Connection: keep-alive,cookie"), "header_connection"},
	    {SV_INIT(ALL "Connection: Authorization,"), "header_connection"},
	    {SV_INIT(ALL "X.Forwarded.Uri: /public"), "header_alias"},
	    {SV_INIT(ALL "x-forwarded_host: evil"), "header_alias"},
	    {SV_INIT(ALL "X-Forwarded.Proto: http"), "header_alias"},
	    {SV_INIT(ALL "X_CSRF_Token: a"), "header_alias"},
	    {SV_INIT("Sec_Fetch_Site: same-origin"), "header_alias"},
	    {SV_INIT(ALL "X_Original_URI: /a?b"), "header_alias"},
	    {SV_INIT(ALL "X_User_ID: admin"), "header_alias"},
	    {SV_INIT(ALL "X.User.ID: admin"), "header_alias"},
	    {SV_INIT(ALL "x_user-id: admin"), "header_alias"},
	    {SV_INIT(ALL "X-Team: admin"), "header_alias"},
	    {SV_INIT(ALL "X_Session_ID: x"), "header_alias"},
	    {SV_INIT(ALL "Content_Length: 5"), "header_alias"},
	    {SV_INIT(ALL "Transfer.Encoding: chunked"), "header_alias"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fields_text t;
		const char *got = field_rules_break(fields_of(&t, cases[i].fields), &injected);

		if (got == NULL || strcmp(got, cases[i].want) != 0)
			print_message(SV_FMT "\n", SV_ARG(cases[i].fields));
		assert_non_null(got);
		assert_string_equal(got, cases[i].want);
	}
}

/* The table goes by length, so a name out of its place would go unseen. */
static void every_name_is_known(void **state)
{
	static const char *const names[] = {"Cookie",
					    "X-Real-IP",
					    "User-Agent",
					    "Content-Type",
					    "X-CSRF-Token",
					    "Authorization",
					    "X-Rewrite-URL",
					    "Content-Length",
					    "Sec-Fetch-Site",
					    "Sec-Fetch-Mode",
					    "Sec-Fetch-Dest",
					    "X-Original-URI",
					    "X-Original-URL",
					    "X-Original-Host",
					    "X-Forwarded-For",
					    "X-Forwarded-Uri",
					    "X-Forwarded-Host",
					    "X-Requested-With",
					    "Sec-WebSocket-Key",
					    "Sec-WebSocket-Version",
					    "X-Forwarded-Proto",
					    "X-Original-Method",
					    "Transfer-Encoding",
					    "X-Forwarded-Method",
					    "Access-Control-Request-Method",
					    "Host",
					    "Accept",
					    "Origin",
					    "Referer"};
	char text[64];
	struct fields_text t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *got;

		(void)snprintf(text, sizeof text, "Connection: %s", names[i]);
		got = field_rules_break(fields_of(&t, sv_str(text)), &none);
		assert_string_equal(got == NULL ? names[i] : got, "header_connection");
		(void)snprintf(text, sizeof text, "%s: x", names[i]);
		for (char *dash = text; (dash = strchr(dash, '-')) != NULL;) {
			*dash = '_';
			got = field_rules_break(fields_of(&t, sv_str(text)), &none);
			assert_string_equal(got == NULL ? text : got, "header_alias");
		}
	}
}

static void honest_requests_break_none(void **state)
{
	static const struct sv cases[] = {
	    SV_INIT(""),
	    SV_INIT(ALL),
	    SV_INIT(ALL "Cookie: a=b,c\nCookie: c=d\nAccept: a, b\nAccept: c"),
	    SV_INIT(ALL "X-User-ID: mallory\nX_Team: x, y\nX-Session-ID: a,b"),
	    SV_INIT(ALL "Connection: keep-alive, Upgrade, HTTP2-Settings, TE, X-Other,,"),
	    SV_INIT(ALL "Authorization: Digest username=\"a\", realm=\"b\""),
	    SV_INIT(ALL "Referer: https://a/b,c\nUser-Agent: A (like B, C)"),
	    SV_INIT("X-Forwarded-For: 192.0.2.1, 192.0.2.2\nX-Other: 1\nX-Other: 2\nX_Other: 3"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fields_text t;

		assert_null(field_rules_break(fields_of(&t, cases[i]), &injected));
	}
}

/* The browser-facing listener injects nothing; the rest holds there as well. */
static void what_is_not_injected_may_repeat(void **state)
{
	struct fields_text t;

	(void)state;
	assert_null(field_rules_break(fields_of(&t, SV("X-User-ID: a\nX_User_ID: b")), &none));
	assert_non_null(field_rules_break(fields_of(&t, SV("Origin: a\nOrigin: b")), &none));
}

/* Their lengths are looked at modulo 64, and those of known names in a byte. */
static void long_names_are_injected_like_others(void **state)
{
	static const size_t lengths[] = {64, 64 + 9, 255, 256, 256 + 4, 300};
	static char ours[300], theirs[300];

	(void)state;
	memset(ours, 'x', sizeof ours);
	ours[1] = '-';
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct http_field f[] = {{.name = sv_of(theirs, lengths[i])},
					 {.name = sv_of(theirs, lengths[i])}};
		struct sv name = sv_of(ours, lengths[i]);
		struct injected one = injected_of(&name, 1);

		memcpy(theirs, ours, sizeof theirs);
		assert_null(field_rules_break(http_fields_of(f, 1), &one));
		assert_string_equal(field_rules_break(http_fields_of(f, 2), &one), "header_twice");
		theirs[1] = '_';
		assert_string_equal(field_rules_break(http_fields_of(f, 1), &one), "header_alias");
		theirs[1] = '-';
		theirs[0] = 'y';
		assert_null(field_rules_break(http_fields_of(f, 2), &one));
		f[0].name = sv_of(ours, lengths[i] % 64);
		assert_null(field_rules_break(http_fields_of(f, 1), &one));
	}
}

static int set_up(void **state)
{
	(void)state;
	injected = injected_of(all, ARRAY_LEN(all));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_breaks_a_rule_is_named),
	    cmocka_unit_test(every_name_is_known),
	    cmocka_unit_test(honest_requests_break_none),
	    cmocka_unit_test(what_is_not_injected_may_repeat),
	    cmocka_unit_test(long_names_are_injected_like_others),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}

#include "worker/explain.h"

#include <stdlib.h>

#include "tests/unit/common/config_text.h"
#include "tests/unit/unit.h"

/* No file that it names is there. */
static const char config[] = CONFIG_TEXT_DATABASE CONFIG_TEXT_WEB CONFIG_TEXT_BROKER
    "provider \"p\" { issuer = \"https://idp.example\" client_id = c client_secret_file = \"/s\"\n"
    "	keep_claims = {name, groups, email} subject_claim = oid }\n" CONFIG_TEXT_APP
	CONFIG_TEXT_SERVICE
    "provider \"q\" { issuer = \"https://q.example\" client_id = c client_secret_file = \"/s\"\n"
    "	keep_claims = {phone} }\n"
    "identity \"default\" { header \"X-User-ID\" { claim = subject }\n"
    "	header \"X-Phone\" { claim = phone } header \"X-Name\" { claim = name } }\n"
    "route \"r\" { app = a path = \"/api/\" service = s upgrade = websocket }\n"
    "route \"staff\" { app = a path = \"/staff/\" service = s\n"
    "	require \"only staff\" { claim = groups any = {staff} } }\n"
    "route \"mail\" { app = a path = \"/mail/\"\n"
    "	require \"ours\" { claim = email domain = {\"example.com\"} } }\n"
    "route \"strong\" { app = a path = \"/strong/\" acr = {gold} max_age = 1h }\n"
    "route \"free\" { app = a path = \"/free/\" session = optional preflight = pass }\n"
    "route \"open\" { app = a path = \"/open/\" session = none csrf = off }\n"
    "route \"get\" { app = a path = \"/get/\" methods = {GET} }\n";

/* Here the method, the target and Host are the verify request's own. */
static const char envoy[] =
    "listen \"edge\" { kind = verify address = \"127.0.0.1:1\" edge = envoy\n"
    "	trusted_peers = {\"127.0.0.1\"} }\n";

/* The path of a file with this text. */
static void file_of(const char *text, char path[64])
{
	int fd = memfd_create("explain", MFD_CLOEXEC);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)snprintf(path, 64, "/proc/self/fd/%d", fd);
}

static void close_file(const char *path)
{
	(void)close(atoi(path + strlen("/proc/self/fd/")));
}

/* What is printed, to be freed; NULL: nothing, and why in *e. claims: JSON; NULL: none. */
static char *told(const char *text, const char *claims, struct explain_ask ask, enum err want,
		  struct errmsg *e)
{
	char path[64], claims_path[64], *out = NULL;
	size_t n;
	FILE *f = open_memstream(&out, &n);
	enum err got;

	assert_non_null(f);
	file_of(text, path);
	ask.config = path;
	if (claims != NULL) {
		file_of(claims, claims_path);
		ask.claims = claims_path;
	}
	got = explain(&ask, f, e);
	assert_int_equal(fclose(f), 0);
	close_file(path);
	if (claims != NULL)
		close_file(claims_path);
	if (got != want)
		fail_msg("%s: want %s, got %s: %s", ask.url, err_text(want), err_text(got),
			 e->text);
	return out;
}

#define ALICE "{\"oid\":\"al\",\"sub\":\"pairwise\",\"name\":\"Alice\",\"groups\":[\"x\"]"
#define A "https://a.example.com"
#define NAVIGATION "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"

static void decisions_with(const char *text)
{
	static const struct {
		const char *method, *url, *claims;
		const char *fields[4];
		const char *wants[5];
	} cases[] = {
	    {"GET",
	     A "/api/x?y",
	     NULL,
	     {NULL},
	     {"app      a\n", "route    r (", "none (required)",
	      "denied\nreason   no_cookie\nservice  -\n\nHTTP/1.1 401 ", "\"login_url\""}},
	    {"GET",
	     A "/api/x?y",
	     NULL,
	     {NAVIGATION},
	     {"HTTP/1.1 302 ", "\r\nLocation: " A "/auth/"}},
	    {"GET",
	     A "/api/x",
	     ALICE "}",
	     {NULL},
	     {"live (required)", "decision allowed\n", "service  s\n\nHTTP/1.1 200 ",
	      "\r\nX-User-ID: al\r\n", "\r\nAuthorization: Bearer <token-of-service-s>\r\n"}},
	    {"GET",
	     A "/api/x",
	     ALICE ",\"phone\":\"1\"}",
	     {NULL},
	     {"\r\nX-Phone: \r\nX-Name: Alice\r\n"}}, /* kept of another provider's people */
	    {"GET", "HTTPS://A.example.com:443/api/x", ALICE "}", {NULL}, {"reason   forwarded: "}},
	    {"GET", "https://A.example.com:443/api/x", ALICE "}", {NULL}, {"decision allowed\n"}},
	    {"GET",
	     "http://a.example.com/api/x",
	     ALICE "}",
	     {NULL},
	     {"reason   host\n", "app      -\n"}},
	    {"GET", "https://b.example.com", ALICE "}", {NULL}, {"reason   route: no_path\n"}},
	    {"GET",
	     A "/api/../x",
	     ALICE "}",
	     {NULL},
	     {"reason   forwarded: uri_", "HTTP/1.1 400 "}},
	    {"GET", A "/api/x#y", ALICE "}", {NULL}, {"reason   forwarded: uri_"}},
	    {"GET", "https://u@a.example.com/api/x", ALICE "}", {NULL}, {"reason   forwarded: "}},
	    {"GET", A "/api/a%2Fb", ALICE "}", {NULL}, {"reason   encoded_slash\n"}},
	    {"PUT", A "/get/", ALICE "}", {NULL}, {"route    -\n", "reason   method: no_method\n"}},
	    {"GET", A "/api/x", ALICE "}", {"X_User_ID: root"}, {"reason   forwarded: "}},
	    /* Rules, as the session would have the claims. */
	    {"GET",
	     A "/staff/",
	     ALICE "}",
	     {NULL},
	     {"route    staff (", "decision denied\n",
	      "reason   require\nrule     only staff\nservice  -\n\nHTTP/1.1 403 "}},
	    {"GET",
	     A "/staff/",
	     "{\"oid\":\"al\",\"groups\":[\"staff\"]}",
	     {NULL},
	     {"decision allowed\nservice  s\n"}},
	    {"GET",
	     A "/mail/",
	     "{\"oid\":\"al\",\"email\":\"a@example.com\",\"email_verified\":true}",
	     {NULL},
	     {"decision allowed\nservice  -\n"}},
	    {"GET",
	     A "/mail/",
	     "{\"oid\":\"al\",\"email\":\"a@example.com\"}",
	     {NULL},
	     {"rule     ours\n"}},
	    {"GET",
	     A "/strong/",
	     ALICE "}",
	     {NULL},
	     {"reason   acr\nrule     acr\n", "\r\nWWW-Authenticate: Bearer error="}},
	    {"GET",
	     A "/strong/",
	     ALICE ",\"acr\":\"gold\",\"auth_time\":5}",
	     {NULL},
	     {"reason   max_age\nrule     max_age\n"}},
	    {"GET",
	     A "/strong/",
	     ALICE ",\"acr\":\"gold\",\"auth_time\":9999999999}",
	     {NULL},
	     {"decision allowed\n", "\r\nX-Auth-Acr: gold\r\n", "\r\nX-Auth-Time: 9999999999\r\n"}},
	    /* The app's own page asks, unless the caller says who does. */
	    {"POST", A "/api/x", ALICE "}", {NULL}, {"decision allowed\n"}},
	    {"POST",
	     A "/api/x",
	     ALICE "}",
	     {"Origin: https://evil.example"},
	     {"reason   origin\n"}},
	    {"POST", A "/api/x", ALICE "}", {"X-CSRF-Token: x"}, {"reason   csrf\n"}},
	    {"GET", A "/api/x", ALICE "}", {"Sec-WebSocket-Key: x"}, {"decision allowed\n"}},
	    {"GET",
	     A "/api/x",
	     ALICE "}",
	     {"Sec-WebSocket-Key: x", "Origin: null"},
	     {"reason   origin\n"}},
	    {"GET", A "/get/", ALICE "}", {"Sec-WebSocket-Key: x"}, {"reason   upgrade\n"}},
	    {"GET",
	     A "/free/",
	     NULL,
	     {NULL},
	     {"none (optional)", "allowed\n", "\r\nX-User-ID: \r\n"}},
	    {"GET", A "/free/", ALICE "}", {NULL}, {"live (optional)", "\r\nX-User-ID: al\r\n"}},
	    {"GET",
	     A "/open/",
	     ALICE "}",
	     {NULL},
	     {"not looked for (session = none)", "allowed\n"}},
	    {"OPTIONS",
	     A "/free/",
	     ALICE "}",
	     {"Origin: https://x.example", "Access-Control-Request-Method: PUT"},
	     {"not looked for (a preflight)", "allowed\n", "\r\nX-User-ID: \r\n"}},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct explain_ask ask = {.method = cases[i].method, .url = cases[i].url};
		struct errmsg e = {""};
		char *out;

		while (ask.nfields < 4 && cases[i].fields[ask.nfields] != NULL) {
			ask.fields[ask.nfields] = cases[i].fields[ask.nfields];
			ask.nfields++;
		}
		out = told(text, cases[i].claims, ask, ERR_OK, &e);
		for (size_t k = 0; k < 5 && cases[i].wants[k] != NULL; k++)
			if (strstr(out, cases[i].wants[k]) == NULL)
				fail_msg("case %zu: no %s in:\n%s", i, cases[i].wants[k], out);
		free(out);
	}
}

static void decisions_by_table(void **state)
{
	(void)state;
	decisions_with(config);
}

static void decisions_behind_envoy(void **state)
{
	char text[sizeof config + sizeof envoy];

	(void)state;
	(void)snprintf(text, sizeof text, "%s%s", config, envoy);
	decisions_with(text);
}

static void what_cannot_be_explained(void **state)
{
	static const struct {
		const char *config, *url, *claims, *field;
		enum err want;
		const char *text;
	} cases[] = {
	    {"route \"r\" { }\n", A "/", NULL, NULL, ERR_CONFIG, ":1: "},
	    {config, "/api/", NULL, NULL, ERR_SYNTAX, "expected a URL"},
	    {config, "a.example.com/", NULL, NULL, ERR_SYNTAX, "expected a URL"},
	    {config, A "/", NULL, "Accept", ERR_SYNTAX, "Accept: expected"},
	    {config, A "/", NULL, ": x", ERR_SYNTAX, "expected \"Name"},
	    {config, A "/api/", "[]", NULL, ERR_SYNTAX, "expected one JSON object"},
	    {config, A "/api/", "", NULL, ERR_SYNTAX, "expected one JSON object"},
	    {config, A "/api/", "{\"sub\":\"al\"}", NULL, ERR_SYNTAX, "subject_claim \"oid\""},
	    {config, A "/api/", "{\"oid\":[]}", NULL, ERR_SYNTAX, "subject_claim \"oid\""},
	    {config, A "/api/", ALICE ",\"auth_time\":\"5\"}", NULL, ERR_SYNTAX, "auth_time"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct explain_ask ask = {.method = "GET", .url = cases[i].url};
		struct errmsg e = {""};
		char *out;

		if (cases[i].field != NULL)
			ask.fields[ask.nfields++] = cases[i].field;
		out = told(cases[i].config, cases[i].claims, ask, cases[i].want, &e);
		if (out[0] != '\0' || strstr(e.text, cases[i].text) == NULL)
			fail_msg("case %zu: %s%s", i, out, e.text);
		free(out);
	}
}

static void a_file_that_is_not_there(void **state)
{
	const struct explain_ask ask = {.method = "GET", .url = A "/", .claims = "/nowhere"};
	struct errmsg e = {""};
	char *out = told(config, NULL, ask, ERR_IO, &e);

	(void)state;
	assert_non_null(strstr(e.text, "/nowhere: "));
	assert_string_equal(out, "");
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(decisions_by_table),
	    cmocka_unit_test(decisions_behind_envoy),
	    cmocka_unit_test(what_cannot_be_explained),
	    cmocka_unit_test(a_file_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

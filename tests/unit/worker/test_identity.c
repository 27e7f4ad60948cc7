#include "worker/identity.h"

#include "tests/unit/torture.h"

static const struct sv roles[] = {SV_INIT("admin"), SV_INIT("viewer")};

#define HEADER(n, c, max)                                                                          \
	{                                                                                          \
		SV_INIT(n), SV_INIT(c), SV_INIT(","), {NULL, 0}, max                               \
	}

static const struct config_header web_headers[] = {
    HEADER("X-User-ID", "subject", 1024),
    HEADER("X-User-Groups", "groups", 16),
};
static const struct config_header grafana_headers[] = {
    HEADER("X-WEBAUTH-USER", "name", 1024),
    {SV_INIT("X-WEBAUTH-ROLE"), SV_INIT("groups"), SV_INIT(","), {roles, 2}, 1024},
    HEADER("x-user-id", "email", 1024),
    HEADER("Authorization", "name", 1024),
};
static const struct config_identity sets[] = {
    {.name = SV_INIT("default"), .headers = web_headers, .nheaders = ARRAY_LEN(web_headers)},
    {.name = SV_INIT("grafana"),
     .headers = grafana_headers,
     .nheaders = ARRAY_LEN(grafana_headers)},
};
static const struct config config = {
    .web.max_answer = 16384, .identities = sets, .nidentities = ARRAY_LEN(sets)};
static const struct config bare = {.web.max_answer = 16384, .nidentities = 0};

static struct identity_table *table_of(const struct config *c)
{
	struct identity_table *t = NULL;

	assert_int_equal(identity_table_new(c, &t), ERR_OK);
	return t;
}

static void assert_block(const struct config *c, const struct identity_values *v, const char *want)
{
	struct identity_table *t = table_of(c);
	struct identity_note note;
	struct buf b;

	buf_init(&b, 65536);
	assert_int_equal(identity_write(t, v, &b, &note), ERR_OK);
	buf_add_char(&b, '\0');
	assert_string_equal(b.p, want);
	buf_done(&b);
	identity_table_free(&t);
}

static void every_name_is_there_once(void **state)
{
	static const char *const want[] = {
	    "X-User-ID",   "X-User-Groups", "X-WEBAUTH-USER",	"X-WEBAUTH-ROLE", "X-Session-ID",
	    "X-Auth-Time", "X-Auth-Acr",    "X-Correlation-ID", "Authorization",  "Cookie"};
	struct identity_table *t = table_of(&config);
	const struct sv *got;
	size_t n;

	(void)state;
	got = identity_names(t, &n);
	assert_int_equal(n, ARRAY_LEN(want));
	for (size_t i = 0; i < n; i++)
		assert_sv_equal(got[i], sv_str(want[i]));
	identity_table_free(&t);
	assert_null(t);
	identity_table_free(&t);
}

static void without_a_session_all_stay_empty(void **state)
{
	const struct identity_values v = {.set = &sets[1],
					  .claims = SV("{\"name\":\"Al\"}"),
					  .subject = SV("s"),
					  .session_ref = SV("r"),
					  .acr = SV("a"),
					  .auth_time = 7,
					  .correlation = SV("c1"),
					  .authorization = SV("Basic eDp5"),
					  .cookie = SV("a=1; b=2")};

	(void)state;
	assert_block(&config, &v,
		     "X-User-ID: \r\nX-User-Groups: \r\nX-WEBAUTH-USER: \r\nX-WEBAUTH-ROLE: \r\n"
		     "X-Session-ID: \r\nX-Auth-Time: \r\nX-Auth-Acr: \r\nX-Correlation-ID: c1\r\n"
		     "Authorization: Basic eDp5\r\nCookie: a=1; b=2\r\n");
}

static void the_routes_set_is_filled_and_the_others_stay_empty(void **state)
{
	struct identity_values v = {.session = true,
				    .set = &sets[1],
				    .claims = SV("{\"name\":\"Al\",\"email\":\"al@example.com\","
						 "\"groups\":[\"x\",\"viewer\",\"admin\"]}"),
				    .subject = SV("sub-1"),
				    .session_ref = SV("k3f9"),
				    .acr = SV("urn:acr:1"),
				    .auth_time = 1700000000,
				    .correlation = SV("c1"),
				    .bearer = SV("eyJ.x.y")};

	(void)state;
	assert_block(&config, &v,
		     "X-User-ID: al@example.com\r\nX-User-Groups: \r\nX-WEBAUTH-USER: Al\r\n"
		     "X-WEBAUTH-ROLE: viewer,admin\r\nX-Session-ID: k3f9\r\n"
		     "X-Auth-Time: 1700000000\r\nX-Auth-Acr: urn:acr:1\r\nX-Correlation-ID: c1\r\n"
		     "Authorization: Bearer eyJ.x.y\r\nCookie: \r\n");
	v.set = NULL;
	assert_block(&config, &v,
		     "X-User-ID: sub-1\r\nX-User-Groups: x,viewer,admin\r\nX-WEBAUTH-USER: \r\n"
		     "X-WEBAUTH-ROLE: \r\nX-Session-ID: k3f9\r\n"
		     "X-Auth-Time: 1700000000\r\nX-Auth-Acr: urn:acr:1\r\nX-Correlation-ID: c1\r\n"
		     "Authorization: Bearer eyJ.x.y\r\nCookie: \r\n");
	assert_block(&bare, &v,
		     "X-User-ID: sub-1\r\nX-User-Email: al@example.com\r\nX-User-Name: Al\r\n"
		     "X-User-Groups: x,viewer,admin\r\nX-Session-ID: k3f9\r\n"
		     "X-Auth-Time: 1700000000\r\nX-Auth-Acr: urn:acr:1\r\nX-Correlation-ID: c1\r\n"
		     "Authorization: Bearer eyJ.x.y\r\nCookie: \r\n");
}

static void a_name_may_be_a_path(void **state)
{
	static const struct config_header header[] = {HEADER("X-R", "/realm/roles", 32),
						      HEADER("X-S", "a/b", 32)};
	static const struct config_identity set[] = {
	    {.name = SV_INIT("default"), .headers = header, .nheaders = 2}};
	static const struct config c = {.identities = set, .nidentities = 1};
	const struct identity_values v = {
	    .session = true, .claims = SV("{\"realm\":{\"roles\":[\"x\",\"y\"]},\"a/b\":\"z\"}")};

	(void)state;
	assert_block(&c, &v,
		     "X-R: x,y\r\nX-S: z\r\nX-Session-ID: \r\nX-Auth-Time: \r\nX-Auth-Acr: \r\n"
		     "X-Correlation-ID: \r\nAuthorization: \r\nCookie: \r\n");
}

static void values_by_table(void **state)
{
	static const struct {
		const char *json; /* of the claim */
		const char *want, *reason;
	} cases[] = {
	    {"\"a\"", "a", NULL},
	    {"\"\"", "", NULL},
	    {"\"Doe, John\"", "Doe, John", NULL},
	    {"\"J\\u00f6rg \\u20ac\"", "J%C3%B6rg %E2%82%AC", NULL},
	    {"\"\xc3\xb6\"", "%C3%B6", NULL},
	    {"\"a\\r\\nX-User-ID: admin\"", "a%0D%0AX-User-ID: admin", NULL},
	    {"\"a\\u0000b\\u007f\\t\"", "a%00b%7F%09", NULL},
	    {"\"100%\"", "100%25", NULL},
	    {"\"a%0Ab\"", "a%250Ab", NULL},
	    {"\" a b \"", "%20a b%20", NULL},
	    {"1", "1", NULL},
	    {"-9007199254740993", "-9007199254740993", NULL},
	    {"1.50", "1.50", NULL},
	    {"true", "true", NULL},
	    {"false", "false", NULL},
	    {"null", "", NULL},
	    {"[]", "", NULL},
	    {"[\"a\",\"b\"]", "a,b", NULL},
	    {"[\"a\",1,true]", "a,1,true", NULL},
	    {"[\"a,admin\",\"b\"]", "a%2Cadmin,b", NULL},
	    {"[\" a\",\"b \"]", "%20a,b%20", NULL},
	    {"[\"a\",null]", "", "type"},
	    {"[\"a\",[\"b\"]]", "", "type"},
	    {"[{\"a\":1}]", "", "type"},
	    {"{\"a\":1}", "", "type"},
	    {"99999999999999999999", "", "type"},
	    {"-99999999999999999999", "", "type"},
	    {"1e999", "", "type"},
	    {"\"0123456789abcdef0123456789abcdef\"", "0123456789abcdef0123456789abcdef", NULL},
	    {"\"0123456789abcdef0123456789abcdefg\"", "", "too_long"},
	    {"\"\\u20ac\\u20ac\\u20ac\\u20ac\"", "", "too_long"},
	    {"[\"0123456789abcdef\",\"0123456789abcdef\"]", "", "too_long"},
	};
	static const struct config_header header[] = {HEADER("X-V", "v", 32)};
	static const struct config_identity set[] = {
	    {.name = SV_INIT("default"), .headers = header, .nheaders = 1}};
	static const struct config c = {
	    .web.max_answer = 16384, .identities = set, .nidentities = 1};
	struct identity_table *t = table_of(&c);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char claims[256], want[256];
		struct identity_values v = {.session = true, .claims = {claims, 0}};
		struct identity_note note;
		struct buf b;

		v.claims.n = (size_t)snprintf(claims, sizeof claims, "{\"v\":%s}", cases[i].json);
		(void)snprintf(want, sizeof want, "X-V: %s\r\nX-Session-ID: \r\n", cases[i].want);
		buf_init(&b, 4096);
		assert_int_equal(identity_write(t, &v, &b, &note), ERR_OK);
		if (!sv_starts(buf_sv(&b), sv_str(want)))
			print_message("case %zu: " SV_FMT "\n", i, SV_ARG(buf_sv(&b)));
		assert_true(sv_starts(buf_sv(&b), sv_str(want)));
		if (cases[i].reason == NULL)
			assert_int_equal(note.header.n, 0);
		else
			assert_string_equal(note.reason, cases[i].reason);
		buf_done(&b);
	}
	identity_table_free(&t);
}

static void other_separators_are_kept_apart_too(void **state)
{
	static const struct config_header header[] = {
	    {SV_INIT("X-V"), SV_INIT("v"), SV_INIT("; "), {NULL, 0}, 1024},
	    {SV_INIT("X-S"), SV_INIT("subject"), SV_INIT(","), {roles, 2}, 1024}};
	static const struct config_identity set[] = {
	    {.name = SV_INIT("default"), .headers = header, .nheaders = 2}};
	static const struct config c = {
	    .web.max_answer = 16384, .identities = set, .nidentities = 1};
	struct identity_values v = {.session = true,
				    .claims = SV("{\"v\":[\"a\",\"b; c\",\"d,e\"]}"),
				    .subject = SV("someone")};

	(void)state;
	assert_block(&c, &v,
		     "X-V: a; b%3B c; d,e\r\nX-S: \r\nX-Session-ID: \r\nX-Auth-Time: \r\n"
		     "X-Auth-Acr: \r\nX-Correlation-ID: \r\nAuthorization: \r\nCookie: \r\n");
	v.subject = SV("admin");
	assert_block(&c, &v,
		     "X-V: a; b%3B c; d,e\r\nX-S: admin\r\nX-Session-ID: \r\nX-Auth-Time: \r\n"
		     "X-Auth-Acr: \r\nX-Correlation-ID: \r\nAuthorization: \r\nCookie: \r\n");
}

/* One byte of every value at every place of texts short and long, alone and in a list. */
static void every_byte_wherever_it_stands(void **state)
{
	static const struct config_header header[] = {HEADER("X-S", "subject", 1024),
						      HEADER("X-L", "l", 1024)};
	static const struct config_identity set[] = {
	    {.name = SV_INIT("default"), .headers = header, .nheaders = 2}};
	static const struct config c = {
	    .web.max_answer = 16384, .identities = set, .nidentities = 1};
	struct identity_table *t = table_of(&c);

	(void)state;
	for (size_t n = 1; n < 20; n++)
		for (size_t at = 0; at < n; at++)
			for (unsigned byte = 0; byte < 256; byte++) {
				char text[20], claims[64], want[128], escaped[4];
				bool at_end = at == 0 || at == n - 1;
				bool alone = byte >= ' ' && byte <= '~' && byte != '%' &&
					     (byte != ' ' || !at_end);
				bool json = alone && byte != '"' && byte != '\\';
				struct identity_values v = {.session = true, .subject = {text, n}};
				struct identity_note note;
				struct buf b;

				memset(text, 'x', sizeof text);
				text[at] = (char)byte;
				(void)snprintf(escaped, sizeof escaped, "%%%02X", byte);
				v.claims = sv_str(claims);
				v.claims.n = (size_t)snprintf(claims, sizeof claims,
							      "{\"l\":[\"a\",\"%.*s\"]}", (int)n,
							      json ? text : "");
				(void)snprintf(
				    want, sizeof want, "X-S: %.*s%s%.*s\r\nX-L: a,%.*s%s%.*s\r\n",
				    (int)at, text, alone ? (char[]){(char)byte, '\0'} : escaped,
				    (int)(n - at - 1), text + at + 1, json ? (int)at : 0, text,
				    !json	  ? ""
				    : byte == ',' ? "%2C"
						  : (char[]){(char)byte, '\0'},
				    json ? (int)(n - at - 1) : 0, text + at + 1);
				buf_init(&b, 4096);
				assert_int_equal(identity_write(t, &v, &b, &note), ERR_OK);
				if (!sv_starts(buf_sv(&b), sv_str(want)))
					fail_msg("byte %u: " SV_FMT, byte, SV_ARG(buf_sv(&b)));
				buf_done(&b);
			}
	identity_table_free(&t);
}

static void claims_that_are_no_object_are_refused(void **state)
{
	static const struct sv claims[] = {
	    SV_INIT(""),
	    SV_INIT("["),
	    SV_INIT("[]"),
	    SV_INIT("null"),
	    SV_INIT("{}x"),
	    SV_INIT("{\"a\":1,}"),
	    SV_INIT("{\"a\":"),
	    SV_INIT("{\"a\":\"\xff\"}"),
	    SV_INIT("{\"a\":NaN}x"),
	    SV_INIT("{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}"),
	};
	static const struct config_identity nothing = {.name = SV_INIT("none")};
	struct identity_table *t = table_of(&config);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(claims); i++) {
		struct identity_values v = {.session = true, .claims = claims[i]};
		struct identity_note note;
		enum err got;
		struct buf b;

		buf_init(&b, 4096);
		v.set = &nothing; /* which has no use for claims, and does not look */
		assert_int_equal(identity_write(t, &v, &b, &note), ERR_OK);
		buf_clear(&b);
		v.set = NULL;
		got = identity_write(t, &v, &b, &note);
		if (got != ERR_SYNTAX)
			print_message("case %zu\n", i);
		assert_int_equal(got, ERR_SYNTAX);
		assert_int_equal(b.n, 0);
		buf_done(&b);
	}
	identity_table_free(&t);
}

static void what_is_passed_through_has_no_control_character(void **state)
{
	static const struct sv bad[] = {SV_INIT("a\r\nX: y"), SV_INIT("a\n"), SV_INIT("a\0b"),
					SV_INIT("a\tb"), SV_INIT("\x7f")};
	struct identity_table *t = table_of(&config);

	(void)state;
	for (size_t i = 0; i < 3 * ARRAY_LEN(bad); i++) {
		struct identity_values v = {.session = false};
		struct sv *const at[] = {&v.correlation, &v.authorization, &v.cookie};
		struct identity_note note;
		struct buf b;

		*at[i % 3] = bad[i / 3];
		buf_init(&b, 4096);
		assert_int_equal(identity_write(t, &v, &b, &note), ERR_SYNTAX);
		assert_int_equal(b.n, 0);
		buf_done(&b);
	}
	identity_table_free(&t);
}

/* One byte more is refused, and the largest part named. */
static void the_whole_answer_has_a_limit(void **state)
{
	static char many[16384];
	static const char *const want[] = {"token", "cookie", "authorization", "identity"};
	struct identity_table *t = table_of(&config);

	(void)state;
	memset(many, 'x', sizeof many);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct identity_values v = {.session = true, .claims = SV("{}")};
		struct sv *const at[] = {&v.bearer, &v.cookie, &v.authorization, &v.acr};
		enum err got = ERR_OK;
		size_t longest = 0;

		for (size_t n = 15000; got == ERR_OK && n <= sizeof many; n++) {
			struct identity_note note = {.header = SV_NONE};
			struct buf b;

			*at[i] = sv_of(many, n);
			buf_init(&b, 65536);
			got = identity_write(t, &v, &b, &note);
			if (got == ERR_OK)
				longest = b.n;
			else
				assert_string_equal(note.reason, want[i]);
			buf_done(&b);
		}
		assert_int_equal(got, ERR_LIMIT);
		assert_int_equal(longest, config.web.max_answer - IDENTITY_REST);
	}
	identity_table_free(&t);
}

static void a_full_buffer_is_an_error(void **state)
{
	struct identity_table *t = table_of(&config);
	const struct identity_values v = {
	    .session = true, .claims = SV("{\"groups\":[\"a\",\"b\"]}"), .subject = SV("someone")};
	struct identity_note note;
	struct buf b;
	size_t want;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(identity_write(t, &v, &b, &note), ERR_OK);
	want = b.n;
	buf_done(&b);
	for (size_t max = 0; max <= want; max++) {
		buf_init(&b, max);
		assert_int_equal(identity_write(t, &v, &b, &note), max < want ? ERR_LIMIT : ERR_OK);
		buf_done(&b);
	}
	identity_table_free(&t);
}

/* A table, and what it writes: all of it or an error. */
static enum err attempt(void *arg)
{
	const struct identity_values v = {
	    .session = true, .claims = SV("{\"groups\":[\"A\\\\a\"]}"), .subject = SV("alice")};
	struct identity_table *t = NULL;
	struct identity_note note;
	struct buf b;
	enum err err = identity_table_new(arg, &t);

	assert_true((t != NULL) == (err == ERR_OK));
	buf_init(&b, 65536);
	if (err == ERR_OK)
		err = identity_write(t, &v, &b, &note);
	buf_done(&b);
	identity_table_free(&t);
	return err;
}

static void without_memory_nobody_is_named(void **state)
{
	struct config c = config;

	(void)state;
	assert_true(torture(attempt, &c) >= 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_name_is_there_once),
	    cmocka_unit_test(without_a_session_all_stay_empty),
	    cmocka_unit_test(the_routes_set_is_filled_and_the_others_stay_empty),
	    cmocka_unit_test(a_name_may_be_a_path),
	    cmocka_unit_test(values_by_table),
	    cmocka_unit_test(other_separators_are_kept_apart_too),
	    cmocka_unit_test(every_byte_wherever_it_stands),
	    cmocka_unit_test(claims_that_are_no_object_are_refused),
	    cmocka_unit_test(what_is_passed_through_has_no_control_character),
	    cmocka_unit_test(the_whole_answer_has_a_limit),
	    cmocka_unit_test(a_full_buffer_is_an_error),
	    cmocka_unit_test(without_memory_nobody_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

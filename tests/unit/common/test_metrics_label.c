#include "common/ipc.h"
#include "common/metrics_memory.h"
#include "tests/unit/common/config_text.h"
#include "tests/unit/unit.h"

static struct {
	struct metrics *m;
	struct config *config;
	char room[METRICS_NAME_MAX];
} t;

#define MORE                                                                                       \
	"listen \"v\" { kind = verify address = \"127.0.0.1:2\" edge = traefik\n"                  \
	"	trusted_peers = {\"127.0.0.1/32\"} }\n"                                                  \
	"route \"q\" { app = a path = \"/q/\" acr = {gold} max_age = 1h\n"                         \
	"	require \"a \\\"b\\\" c\" { claim = name any = {x} } }\n"

static int setup(void **state)
{
	static const char text[] =
	    CONFIG_TEXT_DATABASE CONFIG_TEXT_WEB CONFIG_TEXT_BROKER CONFIG_TEXT_PROVIDER
		CONFIG_TEXT_APP CONFIG_TEXT_IDENTITY CONFIG_TEXT_SERVICE CONFIG_TEXT_ROUTE MORE;
	struct errmsg e = {""};
	size_t n;

	(void)state;
	if (config_text_load(text, sizeof text - 1, &t.config, &e, &n) != ERR_OK)
		fail_msg("%s", e.text);
	return metrics_new(NULL, &t.m) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	metrics_free(&t.m);
	config_free(&t.config);
	return 0;
}

static struct sv text(enum metrics_label label, unsigned number)
{
	return metrics_label_text(t.m, label, number, t.room);
}

static void names_are_those_of_the_configuration(void **state)
{
	unsigned q;

	(void)state;
	assert_int_equal(metrics_name(t.m, METRICS_route, SV("r")), 0);
	assert_true(metrics_add_names(t.m, t.config));
	q = metrics_name(t.m, METRICS_route, SV("q"));
	assert_true(q != 0 && q != metrics_name(t.m, METRICS_route, SV("r")));
	assert_sv_equal(text(METRICS_route, q), SV("route=\"q\""));
	assert_sv_equal(text(METRICS_route, 0), SV("route=\"-\""));
	assert_sv_equal(text(METRICS_listen, metrics_name(t.m, METRICS_listen, SV("v"))),
			SV("listen=\"v\""));
	assert_sv_equal(text(METRICS_provider, metrics_name(t.m, METRICS_provider, SV("p"))),
			SV("provider=\"p\""));
	assert_int_equal(metrics_name(t.m, METRICS_route, SV("nobody's")), 0);
	assert_int_equal(metrics_name(NULL, METRICS_route, SV("q")), 0);
}

/* Also what policy.h calls the rules of acr and max_age; a title that could end the value cannot.
 */
static void a_rule_is_named_with_its_route(void **state)
{
	unsigned rule;

	(void)state;
	assert_true(metrics_add_names(t.m, t.config));
	rule = metrics_rule(t.m, SV("q"), SV("a \"b\" c"));
	assert_int_not_equal(rule, 0);
	assert_sv_equal(text(METRICS_rule, rule), SV("route=\"q\",rule=\"a \\\"b\\\" c\""));
	assert_int_not_equal(metrics_rule(t.m, SV("q"), SV("acr")), 0);
	assert_int_not_equal(metrics_rule(t.m, SV("q"), SV("max_age")), 0);
	assert_int_equal(metrics_rule(t.m, SV("r"), SV("acr")), 0);
	assert_sv_equal(text(METRICS_rule, 0), SV("route=\"-\",rule=\"-\""));
}

static void a_name_keeps_its_number(void **state)
{
	unsigned before;

	(void)state;
	assert_true(metrics_add_names(t.m, t.config));
	before = metrics_name(t.m, METRICS_route, SV("q"));
	assert_int_not_equal(metrics_name_put(t.m, METRICS_route, SV("route=\"new\"")), 0);
	assert_true(metrics_add_names(t.m, t.config));
	assert_int_equal(metrics_name(t.m, METRICS_route, SV("q")), before);
	assert_int_equal(metrics_label_count(t.m, METRICS_route), 4); /* -, r, q, new */
}

static void names_beyond_the_limit_are_none(void **state)
{
	char name[32];
	unsigned n = 1;

	(void)state;
	for (;; n++) {
		(void)snprintf(name, sizeof name, "provider=\"%u\"", n);
		if (metrics_name_put(t.m, METRICS_provider, sv_str(name)) == 0)
			break;
	}
	assert_int_equal(n, METRICS_N_provider);
	assert_false(metrics_add_names(t.m, t.config));
	assert_int_equal(metrics_name(t.m, METRICS_provider, SV("p")), 0);
	assert_int_not_equal(metrics_name(t.m, METRICS_route, SV("q")), 0); /* the others are */
}

/* Control characters and bytes of UTF-8, which the text may cut: a scrape is one whole or none. */
static void what_is_not_ascii_breaks_no_text(void **state)
{
	char longest[CONFIG_NAME_MAX];
	struct config_require odd[] = {{.name = SV("B\xc3\xbcro\n")},
				       {.name = {longest, sizeof longest}}};
	struct config_route route = {.name = SV("x"), .requires = odd, .nrequires = 2};
	struct config c = {.routes = &route, .nroutes = 1};

	(void)state;
	memset(longest, '"', sizeof longest);
	assert_true(metrics_add_names(t.m, &c));
	assert_sv_equal(text(METRICS_rule, metrics_rule(t.m, SV("x"), odd[0].name)),
			SV("route=\"x\",rule=\"B??ro?\""));
	assert_true(metrics_rule(t.m, SV("x"), odd[1].name) != 0);
	assert_int_equal(metrics_name_put(t.m, METRICS_route, sv_of(t.room, METRICS_NAME_MAX + 1)),
			 0);
}

static void every_word_is_where_it_is_looked_for(void **state)
{
	static const struct {
		enum metrics_label label;
		unsigned number;
		const char *want;
	} cases[] = {
	    {METRICS_result, METRICS_RELOAD_FAILED, "result=\"failed\""},
	    {METRICS_exit, METRICS_EXIT_SIGNAL, "how=\"signal\""},
	    {METRICS_waited, METRICS_WAITED_BROKER, "waited_for=\"broker\""},
	    {METRICS_way, METRICS_WAY_AHEAD, "from=\"ahead\""},
	    {METRICS_wait, METRICS_WAIT_LEASED, "why=\"leased_elsewhere\""},
	    {METRICS_request, METRICS_REQUEST_USERINFO, "request=\"userinfo\""},
	    {METRICS_request, METRICS_REQUEST_REFRESH, "request=\"refresh\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_sv_equal(text(cases[i].label, cases[i].number), sv_str(cases[i].want));
	assert_sv_equal(text(METRICS_code, metrics_code(421)), SV("code=\"4xx\""));
	assert_sv_equal(text(METRICS_code, metrics_code(0)), SV("code=\"5xx\""));
	assert_sv_equal(text(METRICS_answer, metrics_answer(ERR_OK, 0)), SV("answer=\"ok\""));
	assert_sv_equal(text(METRICS_answer, metrics_answer(ERR_OK, IPC_ERROR_ACCESS_DENIED)),
			SV("answer=\"access_denied\""));
	assert_sv_equal(text(METRICS_answer, metrics_answer(ERR_TIMEOUT, 0)),
			SV("answer=\"timeout\""));
	assert_sv_equal(text(METRICS_answer, metrics_answer(ERR_NOMEM, 0)),
			SV("answer=\"unavailable\""));
	assert_sv_equal(text(METRICS_answer, metrics_answer(ERR_OK, 9999)),
			SV("answer=\"unavailable\"")); /* a peer's number is no index */
	assert_sv_equal(text(METRICS_message, metrics_message(IPC_TOKEN_GET)),
			SV("message=\"token_get\""));
	assert_int_equal(metrics_message(9999), 0);
	assert_sv_equal(text(METRICS_failure, metrics_failure(ERR_CONFLICT)),
			SV("error=\"conflict\""));
	assert_sv_equal(text(METRICS_failure, metrics_failure(ERR_NOMEM)), SV("error=\"other\""));
	assert_int_equal(text(METRICS_NONE, 0).n, 0);
	assert_int_equal(text(METRICS_result, 2).n, 0);
}

/* Any process that has the memory can write there. */
static void what_is_no_name_is_shown_as_none(void **state)
{
	static const struct {
		enum metrics_label label;
		const char *text;
		bool good;
	} cases[] = {
	    {METRICS_route, "route=\"q\"", true},
	    {METRICS_route, "route=\"\\\"q\\\\\"", true},
	    {METRICS_route, "route=\"\"", true},
	    {METRICS_route, "", false},
	    {METRICS_route, "route=\"q", false},
	    {METRICS_route, "route=\"q\\\"", false},
	    {METRICS_route, "route=\"q\"x", false},
	    {METRICS_route, "route=\"q\\", false},
	    {METRICS_route, "route=", false},
	    {METRICS_route, "route=\"q\\\n\"", false},
	    {METRICS_route, "route=\"q\n\"", false},
	    {METRICS_route, "route=\"q\"} 1\nbff_up 0\nx{route=\"\"", false},
	    {METRICS_route, "listen=\"q\"", false},
	    {METRICS_route, "route=\"\xff\"", false},
	    {METRICS_rule, "route=\"q\",rule=\"x\"", true},
	    {METRICS_rule, "route=\"q\"", false},
	    {METRICS_rule, "route=\"q\",", false},
	    {METRICS_rule, "route=\"q\"rule=\"x\"", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		unsigned number = metrics_name_put(t.m, cases[i].label, sv_str(cases[i].text));
		struct sv none = cases[i].label == METRICS_rule ? SV("route=\"-\",rule=\"-\"")
								: SV("route=\"-\"");

		assert_int_not_equal(number, 0);
		assert_sv_equal(text(cases[i].label, number),
				cases[i].good ? sv_str(cases[i].text) : none);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(names_are_those_of_the_configuration),
	    TEST(a_rule_is_named_with_its_route),
	    TEST(a_name_keeps_its_number),
	    TEST(names_beyond_the_limit_are_none),
	    TEST(what_is_not_ascii_breaks_no_text),
	    TEST(what_is_no_name_is_shown_as_none),
	    TEST(every_word_is_where_it_is_looked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

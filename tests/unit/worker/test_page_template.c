#include "worker/page_template.h"

#include "tests/unit/unit.h"

static void a_text_is_judged_for_its_page(void **state)
{
	static const struct {
		enum page page;
		struct sv text;
		const char *want; /* NULL: it is good */
	} rows[] = {
	    {PAGE_LOGIN_FAILED, SV_INIT("<p>h\xc3\xa9 {{correlation_id}}</p>"), NULL},
	    {PAGE_LOGIN_FAILED, SV_INIT("<form action=/search></form>"), NULL},
	    {PAGE_LOGIN_FAILED, SV_INIT("body { color: red } a { b { } }"), NULL},
	    {PAGE_LOGIN_FAILED, SV_INIT("{"), NULL},
	    {PAGE_LOGIN_FAILED, SV_INIT("\n\n{{"), "line 3: {{: expected {{correlation_id}} alone"},
	    {PAGE_LOGIN_FAILED, SV_INIT("{{correlation_id"),
	     "line 1: {{: expected {{correlation_id}} alone"},
	    {PAGE_LOGIN_FAILED, SV_INIT("{{ correlation_id }}"),
	     "line 1: {{: expected {{correlation_id}} alone"},
	    {PAGE_LOGIN_FAILED, SV_INIT("{{{correlation_id}}}"),
	     "line 1: {{: expected {{correlation_id}} alone"},
	    {PAGE_LOGIN_FAILED, SV_INIT("{{correlation_id}}\n{{Correlation_id}}"),
	     "line 2: {{: expected {{correlation_id}} alone"},
	    {PAGE_LOGIN_FAILED, SV_INIT("{{cause}}"),
	     "line 1: {{: expected {{correlation_id}} alone"},
	    {PAGE_UNAVAILABLE, SV_INIT("{{form}}"),
	     "line 1: {{: expected {{correlation_id}} alone"},
	    {PAGE_LOGIN_LOOP, SV_INIT("no cause"), NULL},
	    {PAGE_LOGIN_LOOP, SV_INIT("{{cause}} {{correlation_id}} {{cause}}"), NULL},
	    {PAGE_LOGIN_LOOP, SV_INIT("{{form}}"),
	     "line 1: {{: expected {{correlation_id}} or {{cause}}"},
	    {PAGE_LOGOUT, SV_INIT("<p>{{form}}</p>{{correlation_id}}"), NULL},
	    {PAGE_SEND_ON, SV_INIT("{{form}}"), NULL},
	    {PAGE_LOGOUT, SV_INIT("<p>Bye</p>"), "expected {{form}} once"},
	    {PAGE_SEND_ON, SV_INIT("{{form}}{{form}}"), "expected {{form}} once"},
	    {PAGE_LOGOUT, SV_INIT("{{cause}}{{form}}"),
	     "line 1: {{: expected {{correlation_id}} or {{form}}"},
	    {PAGE_SEND_ON, SV_INIT("{{form}}\n<FoRm>"),
	     "line 2: expected no <form beside {{form}}"},
	    {PAGE_LOGGED_OUT, SV_INIT("a\nb\0c"), "line 2: expected UTF-8 without NUL"},
	    {PAGE_LOGGED_OUT, SV_INIT("caf\xe9!"), "line 1: expected UTF-8 without NUL"},
	    {PAGE_LOGGED_OUT, SV_INIT("\n\n\xe2\x82"), "line 3: expected UTF-8 without NUL"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errmsg e = {""};
		enum err got = page_template_check(rows[i].page, rows[i].text, &e);

		assert_int_equal(got, rows[i].want == NULL ? ERR_OK : ERR_CONFIG);
		assert_string_equal(e.text, rows[i].want == NULL ? "" : rows[i].want);
	}
}

static void placeholders_have_a_limit(void **state)
{
	char text[18 * (PAGE_PLACEHOLDERS_MAX + 1) + 1] = "";
	struct errmsg e = {""};

	(void)state;
	for (size_t i = 0; i < PAGE_PLACEHOLDERS_MAX; i++)
		(void)strcat(text, "{{correlation_id}}");
	assert_int_equal(page_template_check(PAGE_UNAVAILABLE, sv_str(text), &e), ERR_OK);
	(void)strcat(text, "{{correlation_id}}");
	assert_int_equal(page_template_check(PAGE_UNAVAILABLE, sv_str(text), &e), ERR_CONFIG);
	assert_string_equal(e.text, "expected at most 8 placeholders");
}

static void fill(const char *text, const char *want)
{
	struct page_values v = {.correlation_id = SV("<&\">'x"),
				.cause = SV("it's {{form}}"),
				.form = SV("<form>{{cause}}</form>")};
	struct buf b;

	buf_init(&b, 4096);
	page_template_fill(sv_str(text), &v, &b);
	assert_true(buf_ok(&b));
	assert_sv_equal(buf_sv(&b), sv_str(want));
	buf_done(&b);
}

/* And what was filled in is not looked at again. */
static void all_that_is_filled_in_is_escaped_but_the_form(void **state)
{
	(void)state;
	fill("<b>&\"'</b> { }}", "<b>&\"'</b> { }}");
	fill("<i title=\"{{correlation_id}}\">", "<i title=\"&#60;&#38;&#34;&#62;&#39;x\">");
	fill("{{cause}}{{form}}.", "it&#39;s {{form}}<form>{{cause}}</form>.");
	fill("{{form}}{{form}}", "<form>{{cause}}</form><form>{{cause}}</form>");
	fill("", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_text_is_judged_for_its_page),
	    cmocka_unit_test(placeholders_have_a_limit),
	    cmocka_unit_test(all_that_is_filled_in_is_escaped_but_the_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/return_to.h"

#include "tests/unit/worker/fields.h"

static void wishes_are_judged_as_a_browser_reads_them(void **state)
{
	static const struct {
		struct sv wish;
		const char *want; /* NULL: refused */
	} cases[] = {
	    /* taken */
	    {SV_INIT("/"), "https://desk.example.com:8443/"},
	    {SV_INIT("/a/b?c=d&e#f"), "https://desk.example.com:8443/a/b?c=d&e#f"},
	    {SV_INIT("/#/route/1"), "https://desk.example.com:8443/#/route/1"},
	    {SV_INIT("/?next=https://evil.example/"),
	     "https://desk.example.com:8443/?next=https://evil.example/"},
	    {SV_INIT("/a@b:c"), "https://desk.example.com:8443/a@b:c"},
	    {SV_INIT("https://portal.example.com"), "https://portal.example.com/"},
	    {SV_INIT("https://portal.example.com/x"), "https://portal.example.com/x"},
	    {SV_INIT("https://portal.example.com?x"), "https://portal.example.com/?x"},
	    {SV_INIT("https://portal.example.com#x"), "https://portal.example.com/#x"},
	    {SV_INIT("HTTPS://PORTAL.Example.COM:443/X"), "https://portal.example.com/X"},
	    {SV_INIT("https://desk.example.com:8443/"), "https://desk.example.com:8443/"},
	    {SV_INIT("https://partner.example.org/hello"), "https://partner.example.org/hello"},
	    {SV_INIT("/a'-alert(1)-'"), "https://desk.example.com:8443/a'-alert(1)-'"},
	    /* another host behind a path */
	    {SV_INIT("//evil.example"), NULL},
	    {SV_INIT("///evil.example"), NULL},
	    {SV_INIT("////evil.example"), NULL},
	    {SV_INIT("/\\evil.example"), NULL},
	    {SV_INIT("\\\\evil.example"), NULL},
	    {SV_INIT("\\/evil.example"), NULL},
	    {SV_INIT("/\t/evil.example"), NULL},
	    {SV_INIT("/\n/evil.example"), NULL},
	    {SV_INIT("/\r/evil.example"), NULL},
	    {SV_INIT("\t//evil.example"), NULL},
	    {SV_INIT(" //evil.example"), NULL},
	    {SV_INIT(" https://evil.example"), NULL},
	    {SV_INIT("/ /evil.example"), NULL},
	    {SV_INIT("/a "), NULL},
	    {SV_INIT("/%5cevil.example"), NULL},
	    {SV_INIT("/%5Cevil.example"), NULL},
	    {SV_INIT("/%09/evil.example"), NULL},
	    {SV_INIT("/%0a/evil.example"), NULL},
	    {SV_INIT("/%0d%0aLocation:%20https://evil.example"), NULL},
	    {SV_INIT("/%2f/evil.example"), NULL},
	    {SV_INIT("/%2fevil.example"), NULL},
	    {SV_INIT("/.//evil.example"), NULL},
	    {SV_INIT("/..//evil.example"), NULL},
	    {SV_INIT("/x/..//evil.example"), NULL},
	    {SV_INIT("/;@evil.example"), NULL},
	    /* bytes that no fragment has either */
	    {SV_INIT("/#a b"), NULL},
	    {SV_INIT("/#\r\nSet-Cookie: a=b"), NULL},
	    {SV_INIT("/#\\"), NULL},
	    {SV_INIT("/#\x7f"), NULL},
	    {SV_INIT("/#\xc3\xa4"), NULL},
	    {SV_INIT("https://portal.example.com#\n"), NULL},
	    /* another host in an absolute URL */
	    {SV_INIT("https://evil.example/"), NULL},
	    {SV_INIT("https://evil.example?portal.example.com"), NULL},
	    {SV_INIT("https://evilportal.example.com/"), NULL},
	    {SV_INIT("https://evil-portal.example.com/"), NULL},
	    {SV_INIT("https://x.portal.example.com/"), NULL},
	    {SV_INIT("https://portal.example.com.evil.example/"), NULL},
	    {SV_INIT("https://portal.example.com./"), NULL},
	    {SV_INIT("https://portal.example.comevil"), NULL},
	    {SV_INIT("https://portal.example.com@evil.example/"), NULL},
	    {SV_INIT("https://portal.example.com:443@evil.example/"), NULL},
	    {SV_INIT("https://user:pw@portal.example.com/"), NULL},
	    {SV_INIT("https://@portal.example.com/"), NULL},
	    {SV_INIT("https://evil.example\\@portal.example.com/"), NULL},
	    {SV_INIT("https://evil.example#@portal.example.com/"), NULL},
	    {SV_INIT("https://evil.example%23.portal.example.com/"), NULL},
	    {SV_INIT("https://portal%2eexample.com/"), NULL},
	    {SV_INIT("https://p\xc3\xb6rtal.example.com/"), NULL},
	    {SV_INIT("https://portal\xe3\x80\x82"
		     "example.com/"),
	     NULL},
	    {SV_INIT("https://portal.example.com:8443/"), NULL},
	    {SV_INIT("https://desk.example.com/"), NULL},
	    {SV_INIT("https://portal.example.com:/"), NULL},
	    {SV_INIT("https://portal.example.com:0443/"), NULL},
	    {SV_INIT("https://portal.example.com:65979/"), NULL},
	    {SV_INIT("https://portal.example.com:443:443/"), NULL},
	    {SV_INIT("https://portal.example.com,evil.example/"), NULL},
	    {SV_INIT("https://[portal.example.com]/"), NULL},
	    {SV_INIT("https://por\ttal.example.com/"), NULL},
	    {SV_INIT("http://portal.example.com/"), NULL},
	    {SV_INIT("https:///portal.example.com/"), NULL},
	    {SV_INIT("https:/portal.example.com/"), NULL},
	    {SV_INIT("https:portal.example.com/"), NULL},
	    {SV_INIT("https:\\\\portal.example.com/"), NULL},
	    {SV_INIT("ht\ntps://portal.example.com/"), NULL},
	    {SV_INIT("https://"), NULL},
	    {SV_INIT("https:"), NULL},
	    {SV_INIT("https://login.example.com/"), NULL},
	    /* no URL of the web */
	    {SV_INIT("javascript:alert(1)"), NULL},
	    {SV_INIT("JaVaScRiPt://portal.example.com/%0aalert(1)"), NULL},
	    {SV_INIT("data:text/html,x"), NULL},
	    {SV_INIT("ftp://portal.example.com/"), NULL},
	    {SV_INIT("blob:https://portal.example.com/x"), NULL},
	    {SV_INIT("view-source:https://portal.example.com/"), NULL},
	    {SV_INIT("portal.example.com"), NULL},
	    {SV_INIT("?x"), NULL},
	    {SV_INIT("#x"), NULL},
	    {SV_INIT("."), NULL},
	    {SV_INIT(""), NULL},
	    {SV_INIT("/\0"), NULL},
	    {SV_INIT("/\xc3\xa4"), NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b;
		bool got;

		buf_init(&b, 8192);
		got = return_to_judge(&test_app, &app_origins[1], cases[i].wish, &b);
		if (got != (cases[i].want != NULL))
			print_message("case %zu: " SV_FMT "\n", i, SV_ARG(buf_sv(&b)));
		assert_int_equal(got, cases[i].want != NULL);
		assert_sv_equal(buf_sv(&b), cases[i].want == NULL
						? SV("https://desk.example.com:8443/")
						: sv_str(cases[i].want));
		buf_done(&b);
	}
}

static void the_default_is_an_origin_with_pages(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 8192);
	assert_false(return_to_judge(&test_app, NULL, SV_NONE, &b));
	assert_sv_equal(buf_sv(&b), SV("https://portal.example.com/"));
	buf_clear(&b);
	assert_false(return_to_judge(&test_app, &test_app.login_origin, SV("//x"), &b));
	assert_sv_equal(buf_sv(&b), SV("https://portal.example.com/"));
	buf_clear(&b);
	assert_true(return_to_judge(&test_app, &test_app.login_origin, SV("/x"), &b));
	assert_sv_equal(buf_sv(&b), SV("https://portal.example.com/x"));
	buf_done(&b);
}

static void length_has_a_limit(void **state)
{
	static const struct sv home = SV_INIT("https://portal.example.com");
	static char wish[RETURN_TO_MAX + 64];
	struct buf b, again;

	(void)state;
	memset(wish, 'a', sizeof wish);
	wish[0] = '/';
	buf_init(&b, 8192);
	buf_init(&again, 8192);
	assert_false(return_to_judge(&test_app, NULL, sv_of(wish, RETURN_TO_MAX + 1), &b));
	buf_clear(&b);
	assert_true(return_to_judge(&test_app, NULL, sv_of(wish, RETURN_TO_MAX), &b));
	assert_int_equal(b.n, home.n + RETURN_TO_MAX);
	/* What was judged once is judged again, absolute by then: it must not become too long. */
	assert_true(return_to_judge(&test_app, NULL, buf_sv(&b), &again));
	assert_sv_equal(buf_sv(&again), buf_sv(&b));
	/* The longest that a slash is put into, and one more. */
	memcpy(wish, home.p, home.n);
	wish[home.n] = '?';
	buf_clear(&b);
	assert_true(return_to_judge(&test_app, NULL, sv_of(wish, home.n + RETURN_TO_MAX), &b));
	assert_int_equal(b.n, home.n + RETURN_TO_MAX + 1);
	assert_false(return_to_judge(&test_app, NULL, sv_of(wish, home.n + RETURN_TO_MAX + 1), &b));
	buf_done(&b);
	buf_done(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(wishes_are_judged_as_a_browser_reads_them),
	    cmocka_unit_test(the_default_is_an_origin_with_pages),
	    cmocka_unit_test(length_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

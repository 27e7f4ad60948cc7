#include "tests/unit/common/config_cases.h"

#define R(text) "route \"r\" { app = a path = \"/x/\"\n" text " }\n"
#define M(text) "route \"m\" { app = a path = \"/x/\"\n" text " }\n"
#define Q(title, text) "require \"" title "\" { " text " }\n"

#define MAIL                                                                                       \
	"provider \"p\" { issuer = \"https://idp.example\" client_id = c client_secret_file = "    \
	"\"/s\" keep_claims = "

static void one_rule(void **state)
{
	static const struct test_case cases[] = {
	    {ROUTE, R(Q("q", "claim = name")), 2, "claim: expected one of equals"},
	    {ROUTE, R(Q("q", "claim = name any = {}")), 2, "any: expected at least one"},
	    {ROUTE, R(Q("q", "claim = name equals = a any = {b}")), 2, "any: expected one rule"},
	    {ROUTE, R(Q("q", "claim = name equals = {a, b}")), 2, "equals: unexpected token"},
	    {ROUTE, R(Q("q", "claim = name all = {a, a}")), 2, "all: expected each value once"},
	    {ROUTE, R(Q("q", "claim = name any = {\"\"}")), 2, "any: expected no empty value"},
	    {ROUTE, R(Q("q", "claim = name contains = \"\"")), 2, "contains: expected no empty"},
	    {ROUTE, R(Q("q", "claim = name equals = \"\"")), 2, "equals: expected no empty"},
	    {ROUTE, R(Q("only staff", "claim = groups any = {b}")), 0, NULL},
	    {ROUTE, R("require \"\" { claim = name equals = a }"), 2, ""},
	    /* Claims that a session has. */
	    {ROUTE, R(Q("q", "claim = phone any = {b}")), 2, "claim: expected \"subject\""},
	    {ROUTE, R(Q("q", "claim = sub any = {b}")), 2, "claim: expected \"subject\""},
	    {ROUTE, R(Q("q", "claim = \"/name/x\" any = {b}")), 0, NULL},
	    {ROUTE, R(Q("q", "claim = \"/groups/0\" any = {b}")), 0, NULL},
	    {ROUTE, R(Q("q", "claim = \"/phone/x\" any = {b}")), 2, "claim: expected \"subject\""},
	    {ROUTE, R(Q("q", "claim = \"/nam\" any = {b}")), 2, "claim: expected \"subject\""},
	    {ROUTE, R(Q("q", "claim = \"/name/~2\" any = {b}")), 2, "claim: expected a name"},
	    {ROUTE, R(Q("q", "claim = \"/name/~\" any = {b}")), 2, "claim: expected a name"},
	    {ROUTE, R(Q("q", "claim = \"/\" any = {b}")), 2, "claim: expected \"subject\""},
	    {ROUTE, R(Q("q", "claim = \"\" any = {b}")), 2, "claim: expected"},
	    {ROUTE, R(Q("q", "claim = subject any = {b, c}")), 0, NULL},
	    {ROUTE, R(Q("q", "claim = subject equals = b")), 0, NULL},
	    {ROUTE, R(Q("q", "claim = subject all = {b, c}")), 2, "claim: expected another claim"},
	    {ROUTE, R(Q("q", "claim = subject contains = b")), 2, "claim: expected another claim"},
	    {ROUTE, R(Q("q", "claim = subject domain = {\"x.com\"}")), 2,
	     "claim: expected another claim"},
	};
	static const struct test_case domains[] = {
	    {PROVIDER, MAIL "{email} }\n" M(Q("q", "claim = email domain = {\"x.com\"}")), 0, NULL},
	    {PROVIDER, MAIL "{email} }\n" M(Q("q", "claim = email_verified equals = true")), 0,
	     NULL},
	    {PROVIDER, MAIL "{name} }\n" M(Q("q", "claim = email_verified equals = true")), 3,
	     "claim: expected \"subject\""},
	    {PROVIDER, MAIL "{email} }\n" M(Q("q", "claim = email domain = {\"@x.com\"}")), 3,
	     "domain: expected domains"},
	    {PROVIDER, MAIL "{email} }\n" M(Q("q", "claim = email domain = {com}")), 3,
	     "domain: expected domains"},
	    {PROVIDER, MAIL "{upn} }\n" M(Q("q", "claim = upn domain = {\"x.com\"}")), 3,
	     "claim: expected email with domain"},
	    {PROVIDER,
	     MAIL "{email} }\n" M(Q("q", "claim = email domain = {\"x.com\"}")
				      Q("p", "claim = email domain = {\"y.com\"}")),
	     4, "claim: expected a claim of its own"},
	    {PROVIDER,
	     MAIL "{email} }\n" M(Q("q", "claim = email domain = {\"x.com\"}")
				      Q("p", "claim = email any = {\"a@x.com\"}")),
	     4, "claim: expected a claim of its own"},
	    {PROVIDER, MAIL "{\"/a\"} }\n" M(Q("q", "claim = \"/~1a/b\" any = {x}")), 0, NULL},
	    {PROVIDER, MAIL "{\"https://x/r\"} }\n" M(Q("q", "claim = \"https://x/r\" any = {x}")),
	     0, NULL},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
	run(domains, ARRAY_LEN(domains));
}

/* A rule that says nothing beside another, or with it lets nobody through. */
static void two_rules(void **state)
{
	static const struct {
		const char *first, *second, *want; /* NULL: none */
	} cases[] = {
	    {"claim = name equals = a", "claim = groups any = {b}", NULL},
	    {"claim = name equals = a", "claim = name equals = a", "expected a claim of its own"},
	    {"claim = name equals = a", "claim = name equals = b", "expected a claim of its own"},
	    {"claim = name equals = a", "claim = name any = {a, b}", "expected a claim of its own"},
	    {"claim = groups any = {a, b}", "claim = groups any = {b, c}", NULL},
	    {"claim = groups any = {a, b}", "claim = groups any = {c, a, b}", "expected one of"},
	    {"claim = groups any = {a, b}", "claim = groups contains = a", "expected one of"},
	    {"claim = groups any = {a, b}", "claim = groups contains = c", NULL},
	    {"claim = groups contains = a", "claim = groups contains = b", NULL},
	    {"claim = groups contains = a", "claim = groups contains = a", "expected one of"},
	    {"claim = groups any = {a}", "claim = groups all = {b, a}", "expected one of"},
	    {"claim = groups all = {a, b}", "claim = groups all = {b, c}", NULL},
	    {"claim = groups all = {a, b}", "claim = groups contains = b", "expected one of"},
	    {"claim = groups all = {a, b}", "claim = groups any = {b, c}", "expected one of"},
	    {"claim = groups all = {a, b}", "claim = groups any = {d, c}", NULL},
	    {"claim = groups any = {a}", "claim = \"/groups\" any = {a, b}", "expected one of"},
	    {"claim = \"/groups\" any = {a}", "claim = \"/groups/0\" any = {a, b}", NULL},
	    {"claim = \"/groups/0\" any = {a}", "claim = \"/groups/0\" any = {a, b}",
	     "expected one of"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[1024], want[128];
		struct test_case c = {ROUTE, text, cases[i].want == NULL ? 0 : 3, want};

		for (unsigned turned = 0; turned < 2; turned++) {
			(void)snprintf(text, sizeof text,
				       "route \"r\" { app = a path = \"/x/\"\n"
				       "require \"x\" { %s }\nrequire \"y\" { %s } }\n",
				       turned ? cases[i].second : cases[i].first,
				       turned ? cases[i].first : cases[i].second);
			(void)snprintf(want, sizeof want, "claim: %s",
				       cases[i].want == NULL ? "" : cases[i].want);
			run(&c, 1);
		}
	}
}

static void titles(void **state)
{
	static const struct test_case cases[] = {
	    {ROUTE, R(Q("x", "claim = name any = {a}") Q("x", "claim = groups any = {a}")), 3,
	     "require: found duplicate title"},
	    {ROUTE,
	     R(Q("x", "claim = name any = {a}")) "route \"q\" { app = a path = \"/y/\"\n" Q(
		 "x", "claim = groups any = {a}") "}\n",
	     0, NULL},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_rule),
	    cmocka_unit_test(two_rules),
	    cmocka_unit_test(titles),
	};

	return cmocka_run_group_tests_name("config_check_require", tests, NULL, NULL);
}

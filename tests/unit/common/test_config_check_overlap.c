#include "tests/unit/common/config_cases.h"

static void test_overlaps(void **state)
{
#define TWO(first, second) "route \"r\" { app = a " first " }\nroute \"q\" { app = a " second " }\n"
	static const struct test_case cases[] = {
	    {ROUTE, TWO("path = \"/x\"", "path = \"/x\""), 2,
	     "path: expected host, path and method"},
	    {ROUTE, TWO("path = \"/x\"", "path = \"/x/\""), 0, NULL},
	    {ROUTE, TWO("path = \"/x\"", "path = \"/x\" exact = yes"), 0, NULL},
	    {ROUTE, TWO("path = \"/x\"", "path = \"/x\" methods = {GET}"), 0, NULL},
	    {ROUTE, TWO("path = \"/x\" methods = {GET, PUT}", "path = \"/x\" methods = {POST}"), 0,
	     NULL},
	    {ROUTE, TWO("path = \"/x\" methods = {GET, PUT}", "path = \"/x\" methods = {PUT}"), 2,
	     "path: expected host, path and method"},
	    {ROUTE,
	     TWO("path = \"/x\" hosts = {\"a.example.com\"}",
		 "path = \"/x\" hosts = {\"b.example.com\"}"),
	     0, NULL},
	    {ROUTE, TWO("path = \"/x\" hosts = {\"b.example.com\"}", "path = \"/x\""), 2,
	     "path: expected host, path and method"},
	    {ROUTE, TWO("path = \"/f/\" encoded_slash = allow", "path = \"/f/g\""), 1,
	     "encoded_slash: expected refuse"},
	    {ROUTE, TWO("path = \"/f\"", "path = \"/\" encoded_slash = allow"), 2,
	     "encoded_slash: expected refuse"},
	    {ROUTE, TWO("path = \"/f\" encoded_slash = allow", "path = \"/fg\""), 0, NULL},
	    {ROUTE, TWO("path = \"/f\" encoded_slash = allow", "path = \"/f/g\" methods = {PUT}"),
	     1, "encoded_slash: expected refuse"},
	    {ROUTE,
	     TWO("path = \"/f/\" encoded_slash = allow hosts = {\"a.example.com\"}",
		 "path = \"/f/g\" hosts = {\"b.example.com\"}"),
	     0, NULL},
	    {ROUTE,
	     TWO("path = \"/f/\" encoded_slash = allow methods = {GET}",
		 "path = \"/f/\" methods = {PUT}"),
	     0, NULL},
	    /* Not only neighbours are compared. */
	    {ROUTE,
	     TWO("path = \"/x\" methods = {GET}",
		 "path = \"/x\" methods = {PUT}") "route \"s\" { app = a path = \"/x\" methods = "
						  "{GET} }\n",
	     3, "path: expected host, path and method"},
	    {ROUTE,
	     TWO("path = \"/x\" methods = {GET}",
		 "path = \"/x\" methods = {PUT}") "route \"s\" { app = a path = \"/x\" methods = "
						  "{POST} }\nroute \"t\" { app = a path = "
						  "\"/x\" methods = {HEAD, GET} }\n",
	     4, "path: expected host, path and method"},
	    {ROUTE,
	     TWO("path = \"/f/\" encoded_slash = allow",
		 "path = \"/f/\" methods = {PUT}") "route \"s\" { app = a path = \"/f/g\" }\n",
	     1, "encoded_slash: expected refuse"},
	    /* The path is chosen first: of "/x" nothing is left. */
	    {ROUTE,
	     TWO("path = \"/x\"",
		 "path = \"/x/\"") "route \"s\" { app = a path = \"/x\" exact = yes "
				   "methods = {PUT} }\n",
	     1, "path: expected a path that is left to it"},
	    {ROUTE,
	     TWO("path = \"/x\"",
		 "path = \"/x/\"") "route \"s\" { app = a path = \"/x\" exact = yes "
				   "hosts = {\"a.example.com\"} }\n",
	     0, NULL},
	    {ROUTE,
	     TWO("path = \"/x\"",
		 "path = \"/x/y\"") "route \"s\" { app = a path = \"/x\" exact = yes "
				    "}\n",
	     0, NULL},
	    {ROUTE,
	     TWO("path = \"/x/\"",
		 "path = \"/x/y/\"") "route \"s\" { app = a path = \"/x/\" exact = "
				     "yes }\n",
	     0, NULL},
	};

	(void)state;
	run(cases, ARRAY_LEN(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_overlaps),
	};

	return cmocka_run_group_tests_name("config_check_overlap", tests, NULL, NULL);
}

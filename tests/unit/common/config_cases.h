/*
 * config_cases - configurations that one rule refuses
 *
 * For tests. A case replaces one part of a configuration that is taken as it stands and says at
 * which line of that part, and how, it is refused.
 */
#ifndef BFF_TESTS_CONFIG_CASES_H
#define BFF_TESTS_CONFIG_CASES_H

#include "common/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/common/config_text.h"

/* A line each. */
enum part { DATABASE, WEB, BROKER, PROVIDER, APP, IDENTITY, SERVICE, ROUTE, PARTS };
static const char *const config_parts[PARTS] = {
    [DATABASE] = CONFIG_TEXT_DATABASE, [WEB] = CONFIG_TEXT_WEB,
    [BROKER] = CONFIG_TEXT_BROKER,     [PROVIDER] = CONFIG_TEXT_PROVIDER,
    [APP] = CONFIG_TEXT_APP,	       [IDENTITY] = CONFIG_TEXT_IDENTITY,
    [SERVICE] = CONFIG_TEXT_SERVICE,   [ROUTE] = CONFIG_TEXT_ROUTE,
};

struct test_case {
	enum part part;
	const char *text;
	unsigned line;	  /* within the part, from 1; 0: no error wanted */
	const char *want; /* how the message goes on after FILE:LINE:, as far as given */
};

static inline void run(const struct test_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char text[8192] = "", want[256];
		struct config *c = NULL;
		struct errmsg e = {""};
		size_t path_n;
		enum err got;

		for (size_t p = 0; p < PARTS; p++)
			strcat(text, p == cases[i].part ? cases[i].text : config_parts[p]);
		got = config_text_load(text, strlen(text), &c, &e, &path_n);
		if (cases[i].line == 0) {
			if (got != ERR_OK)
				fail_msg("case %zu: got %s", i, e.text);
			config_free(&c);
			continue;
		}
		(void)snprintf(want, sizeof want, ":%u: %s",
			       (unsigned)cases[i].part + cases[i].line, cases[i].want);
		if (got != ERR_CONFIG || strncmp(e.text + path_n, want, strlen(want)) != 0)
			fail_msg("case %zu: want FILE%s, got %s %s", i, want, err_text(got),
				 e.text);
	}
}

#endif

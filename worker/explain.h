/*
 * explain - what would be decided about a request, said on a terminal
 *
 * For `bff-worker -x`: runs one request through the phases of a real verify. Only what comes from
 * elsewhere is stood in for: the edge's headers, the session (its row made of a file of claims,
 * instead of the database's) and the service's token. Needs the configuration, and no secret,
 * database or broker. A request with a session comes from the app's own page: with its Origin and
 * its CSRF token, unless the caller says otherwise.
 */
#ifndef BFF_EXPLAIN_H
#define BFF_EXPLAIN_H

#include <stdio.h>

#include "common/sv.h"

#define EXPLAIN_FIELDS_MAX 64

struct explain_ask {
	const char *config; /* path of the configuration */
	const char *method, *url;
	const char *claims; /* path of a JSON object; NULL: a request without a session */
	const char *fields[EXPLAIN_FIELDS_MAX]; /* "Name: value", further headers of the browser */
	size_t nfields;
};

/* Prints the explanation. ERR_CONFIG: the configuration's own sentence; ERR_SYNTAX: URL, field or
 * claims; ERR_IO, ERR_NOMEM, each with a sentence. */
WARN_UNUSED enum err explain(const struct explain_ask *ask, FILE *out, struct errmsg *e);

#endif

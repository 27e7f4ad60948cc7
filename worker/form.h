/*
 * form - application/x-www-form-urlencoded, of a query or a small body
 *
 * Looks for the names it is given and ignores all others. A name that comes twice, a bad escape,
 * and a control character in a wanted value are errors: nothing takes "the last one". Pure.
 */
#ifndef BFF_FORM_H
#define BFF_FORM_H

#include "common/sv.h"

struct form_field {
	struct sv name;
	struct sv value; /* out: decoded, in scratch; p == NULL: not there */
};

/* scratch: room for text.n bytes; values live in it. ERR_EXISTS, ERR_SYNTAX. */
WARN_UNUSED enum err form_parse(struct sv text, struct form_field *fields, size_t n, char *scratch);

#endif

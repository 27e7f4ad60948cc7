/*
 * field_rules - which header fields a request may not bring, whatever their values mean
 *
 * The same for every edge and for the browser-facing listener, before anything is decided. Of what
 * a decision rests on, and of what is answered, there is one field each, under its own name, with
 * one value:
 *
 *	header_twice	    it comes twice (Cookie may)
 *	header_alias	    another name folds to it under '-' '_' '.'
 *	header_joined	    a comma where there is one value
 *	header_connection   Connection names it, so that a hop would take it away
 *
 * Pure.
 */
#ifndef BFF_FIELD_RULES_H
#define BFF_FIELD_RULES_H

#include "worker/http_field.h"

/* Every name that an answer makes the edge set; a view. */
struct injected {
	const struct sv *v;
	size_t n;
	/* What spares most fields the comparison: a bit of each length, modulo 64, and of each
	 * known name. */
	uint64_t lengths, known;
};

/* Borrows v. */
struct injected injected_of(const struct sv *v, size_t n);

/* One of these words, or NULL: fine. */
const char *field_rules_break(struct http_fields fields, const struct injected *injected);

#endif

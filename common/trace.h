/*
 * trace - W3C Trace Context: the `traceparent` of a request, and of what is asked because of it
 *
 * Taken of a trusted peer alone, read strictly, and passed on: trace-id and flags as they came, a
 * parent-id of our own. One that does not hold is as none; nothing of ours depends on it. Pure.
 */
#ifndef BFF_TRACE_H
#define BFF_TRACE_H

#include "common/sv.h"

#define TRACE_LEN 55 /* version 00: 00-<32 hex>-<16 hex>-<2 hex> */
#define TRACE_SPAN_LEN 8

/* Zeroed: none. */
struct trace {
	char text[TRACE_LEN];
	unsigned n; /* 0 or TRACE_LEN */
};

/* Of a header's value; *ret is none for anything but a good one. A later version is read as 00 as
 * far as that goes (section 3.2.4 of the specification). */
void trace_read(struct sv value, struct trace *ret);

/* The whole of it; empty: none. */
struct sv trace_text(const struct trace *t);
/* The trace-id alone, for the log. */
struct sv trace_id(const struct trace *t);

/* The same trace from the span of these bytes; none of none. */
struct trace trace_child(const struct trace *t, const unsigned char span[TRACE_SPAN_LEN]);

#endif

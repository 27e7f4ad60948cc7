/*
 * metrics_text - metrics as Prometheus' text exposition format, version 0.0.4
 *
 * A metric without labels or with one is always there with all of its series; one of more labels by
 * its head alone, until a series of it counted something. Names are printed as they came into the
 * memory, escaped. A text may be had in pieces: a piece ends between two values of a metric's first
 * label.
 */
#ifndef BFF_METRICS_TEXT_H
#define BFF_METRICS_TEXT_H

#include "common/metrics.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Appends what `who` (bits of enum metrics_who) keeps, from the cursor on, which is 0 at first.
 * Returns the cursor to go on from when the buffer is full (which is then not failed), or 0 at the
 * end. ERR_LIMIT: not even one piece. */
WARN_UNUSED enum err metrics_print(const struct metrics *m, unsigned who, uint32_t *cursor,
				   struct buf *out);

/* Appends one that is not kept (SCRAPE). label: `name="value"`, or empty. */
void metrics_print_one(struct buf *out, enum metric id, struct sv label, uint64_t value);

#endif

/*
 * sweep - housekeeping of the database: sessions past their limits, old rows
 *
 * Every SWEEP_EVERY_MS with jitter one bounded statement; at once again when there was more.
 * Every broker sweeps; rows that another one holds are skipped.
 */
#ifndef BFF_SWEEP_H
#define BFF_SWEEP_H

#include "broker/broker.h"

#define SWEEP_EVERY_MS 30000
#define SWEEP_AGAIN_MS 200
#define SWEEP_ROWS_MAX 1000

WARN_UNUSED enum err sweep_new(struct broker *b, struct sweep **ret);
void sweep_free(struct sweep **s);

#endif

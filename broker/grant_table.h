/*
 * grant_table - the grants that something is under way for, by id
 *
 * Bounded: past GRANT_TABLE_MAX nothing new is taken on. Holds no grant that is idle.
 */
#ifndef BFF_GRANT_TABLE_H
#define BFF_GRANT_TABLE_H

#include "broker/grant.h"

#define GRANT_TABLE_MAX 8192
#define GRANT_TABLE_CHAINS 4096

WARN_UNUSED enum err grant_table_new(struct broker *b, struct grant_table **ret);

/* Frees what is left, without answers; queries and flights must be canceled before. */
void grant_table_free(struct grant_table **t);

/* Whether a job for this is under way already, here. */
bool grant_table_busy(const struct grant_table *t, const struct grant_ask *ask);

/* The negative cache, which outlives the grants. */
struct refusals *grant_table_refusals(struct grant_table *t);

/* Finds or makes the grant and asks it. Consumes *r (may be NULL). */
void grant_table_ask(struct grant_table *t, const struct grant_ask *ask, struct request **r);

/* The grant is idle: freed at once. */
void grant_table_drop(struct grant *g);

size_t grant_table_count(const struct grant_table *t);

#endif

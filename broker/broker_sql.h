/*
 * broker_sql - the broker's statements as a table, and its parameters
 *
 * Expanded from broker_sql.def: the number of a statement is SQL_NAME. Parameters of type int8 go
 * in binary: sql_i64() writes them to memory that the caller keeps until pg_query() returned.
 */
#ifndef BFF_BROKER_SQL_H
#define BFF_BROKER_SQL_H

#include "common/pg.h"

enum broker_statement {
#define SQL(name, nparams, text) SQL_##name,
#include "broker/broker_sql.def"
#undef SQL
	SQL_COUNT
};

extern const struct pg_statement broker_statements[SQL_COUNT];

struct sql_i64 {
	unsigned char p[8];
};

/* An int8 parameter; borrows *room. */
struct pg_param sql_i64(struct sql_i64 *room, int64_t v);

/* Null instead of an empty value. */
struct pg_param sql_bytes_or_null(struct sv s);
struct pg_param sql_text_or_null(struct sv s);

struct pg_param sql_bool(bool v);

#endif

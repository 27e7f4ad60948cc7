#include "broker/broker_sql.h"

const struct pg_statement broker_statements[SQL_COUNT] = {
#define SQL(name, nparams, text) [SQL_##name] = {#name, text, nparams, PG_ALONE},
#include "broker/broker_sql.def"
#undef SQL
};

struct pg_param sql_i64(struct sql_i64 *room, int64_t v)
{
	uint64_t u = (uint64_t)v;

	for (size_t i = 0; i < sizeof room->p; i++)
		room->p[i] = (unsigned char)(u >> (56 - 8 * i));
	return PG_BYTES(room->p, sizeof room->p);
}

struct pg_param sql_bytes_or_null(struct sv s)
{
	return s.n == 0 ? PG_NULL : PG_BYTES(s.p, s.n);
}

struct pg_param sql_text_or_null(struct sv s)
{
	return s.n == 0 ? PG_NULL : PG_SV(s);
}

struct pg_param sql_bool(bool v)
{
	struct sv text = v ? SV("t") : SV("f");

	return PG_SV(text);
}

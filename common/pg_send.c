#include "common/clock.h"
#include "common/pg_internal.h"

#define OID_BYTEA 17	/* of pg_type: fixed */
#define PG_ARRAY_HEAD 5 /* numbers of 32 bits before the elements */
#define PG_KEYS_MAX ((PG_ARRAY_HEAD + PG_GROUP_MAX) * sizeof(uint32_t) + PG_GROUP_MAX * PG_KEY_MAX)

static bool is_broken(struct pg_conn *c)
{
	c->broken = true;
	event_active(c->soon, 0, 0);
	return false;
}

/* libpq sends with it all that it holds. */
static bool sync(struct pg_conn *c)
{
	int left;

	c->ntrips++;
	if (PQpipelineSync(c->pq) != 1)
		return is_broken(c);
	left = PQflush(c->pq); /* no system call if nothing is left */
	if (left == 1)
		pg_conn_want(c, EV_READ | EV_WRITE);
	return left != -1 || is_broken(c);
}

static char *put_u32(char *to, uint32_t x)
{
	x = htobe32(x);
	memcpy(to, &x, sizeof x);
	return to + sizeof x;
}

/* The keys of n calls as an array, as array_recv() of PostgreSQL reads it: the number of
 * dimensions, whether there are nulls, the type; of the one dimension the number of elements and
 * the first one's index; of each element the length and the bytes. */
static int put_keys(char to[PG_KEYS_MAX], const struct pg_call *call, size_t n)
{
	const uint32_t head[PG_ARRAY_HEAD] = {1, 0, OID_BYTEA, (uint32_t)n, 1};
	char *at = to;

	for (size_t i = 0; i < ARRAY_LEN(head); i++)
		at = put_u32(at, head[i]);
	for (; call != NULL; call = TAILQ_NEXT(call, link)) {
		at = put_u32(at, call->key_n);
		memcpy(at, call->key, call->key_n);
		at += call->key_n;
	}
	return (int)(at - to);
}

bool pg_send_group(struct pg_conn *c)
{
	struct pg_call *last = TAILQ_LAST(&c->calls, pg_calls);
	char text[PG_KEYS_MAX];
	const char *keys = text;
	const int binary = 1;
	int length;

	if (c->grouped == 0)
		return true;
	if (c->broken)
		return false;
	length = put_keys(text, c->group, c->grouped);
	c->grouped = 0;
	last->synced = true;
	last->left_us = clock_boot_us();
	if (PQsendQueryPrepared(c->pq, c->pg->names[last->stmt], 1, &keys, &length, &binary, 1) !=
	    1)
		return is_broken(c);
	return sync(c);
}

void pg_send_soon(struct pg_conn *c)
{
	if (c->grouped > 0 && !pg_conn_is_ahead(c))
		event_active(c->soon, 0, 0);
}

/* From before anything of it is sent. */
static void begin_trip(struct pg_conn *c)
{
	c->sent_us = clock_boot_us();
	c->trip.sent_ms = c->sent_us / 1000;
}

/* Of the trip that began last. */
static void enqueue(struct pg_conn *c, struct pg_call *call)
{
	call->trip = c->trip;
	call->sent_us = c->sent_us;
	call->deadline_ms = c->trip.sent_ms + c->pg->query_timeout_ms;
	TAILQ_INSERT_TAIL(&c->calls, call, link);
	c->ncalls++;
	if (!c->timer_set) {
		c->timer_set = true;
		pg_conn_timer_set(c, c->pg->query_timeout_ms);
	}
}

bool pg_send(struct pg_conn *c, struct pg_call *call, const char *const *values, const int *lengths,
	     const int *formats)
{
	const struct pg_statement *s = &c->pg->statements[call->stmt];

	call->synced = true;
	if (!pg_send_group(c))
		return false;
	begin_trip(c);
	if (PQsendQueryPrepared(c->pq, c->pg->names[call->stmt], (int)s->nparams, values, lengths,
				formats, 1) != 1)
		return is_broken(c);
	if (!sync(c))
		return false;
	enqueue(c, call);
	return true;
}

/* All of a group count as sent when its first was asked for: not one of its answers can be older
 * than that. */
bool pg_send_grouped(struct pg_conn *c, struct pg_call *call)
{
	if (c->grouped > 0 && c->group->stmt != call->stmt && !pg_send_group(c))
		return false;
	if (c->grouped == 0) {
		begin_trip(c);
		c->group = call;
	}
	enqueue(c, call);
	c->grouped++;
	if (c->grouped < PG_GROUP_MAX)
		pg_send_soon(c);
	else /* broken: the call is under way all the same, and ends with it */
		(void)pg_send_group(c);
	return true;
}

void pg_send_again(struct pg_conn *c, struct pg_call *call)
{
	(void)pg_send_group(c); /* broken: all ends with it */
	begin_trip(c);
	enqueue(c, call);
	c->group = call;
	c->grouped = 1;
	(void)pg_send_group(c);
}

bool pg_send_sync(struct pg_conn *c, struct pg_call *call)
{
	call->synced = true;
	if (!pg_send_group(c))
		return false;
	begin_trip(c);
	if (!sync(c))
		return false;
	enqueue(c, call);
	return true;
}

void pg_send_flush(struct pg_conn *c)
{
	int left;

	left = pg_send_group(c) ? PQflush(c->pq) : -1;
	if (left == -1)
		pg_conn_drop(c, "database_connection_lost", NULL);
	else
		pg_conn_want(c, left == 1 ? EV_READ | EV_WRITE : EV_READ);
}

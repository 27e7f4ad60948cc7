#include "worker/session.h"

#include <assert.h>

#include "common/clock.h"
#include "worker/client_binding.h"
#include "worker/worker.h"

enum column {
	COL_STATE,
	COL_APP,
	COL_REF,
	COL_SUBJECT,
	COL_CLAIMS,
	COL_ACR,
	COL_AUTH_TIME,
	COL_IDLE_LEFT,
	COL_ABSOLUTE_LEFT,
	COL_TOUCH_DUE,
};

enum reason session_judge(struct sv state, struct sv app, struct sv want)
{
	static const struct {
		struct sv state;
		enum reason why;
	} dead[] = {
	    {{"unknown", 7}, REASON_UNKNOWN},
	    {{"idle", 4}, REASON_IDLE},
	    {{"expired", 7}, REASON_EXPIRED},
	    {{"revoked", 7}, REASON_REVOKED},
	};

	if (sv_eq(state, SV("live")))
		return sv_eq(app, want) ? REASON_NONE : REASON_OTHER_APP;
	for (size_t i = 0; i < ARRAY_LEN(dead); i++)
		if (sv_eq(state, dead[i].state))
			return dead[i].why;
	return REASON_ENDED; /* logout, replaced, max_sessions, ...: a reason word of its own */
}

/* Into r->row, which does not move: it has room for everything before the first append. */
static struct sv keep(struct request *r, const struct pg_rows *rows, unsigned col)
{
	struct sv v = pg_rows_sv(rows, 0, col);
	size_t from = r->row.n;

	buf_add(&r->row, v);
	return buf_ok(&r->row) ? sv_of(r->row.p + from, v.n) : SV_NONE;
}

static enum err take_row(struct request *r, const struct pg_rows *rows)
{
	struct request_session *s = &r->session;
	size_t total = 1;

	if (pg_rows_count(rows) != 1)
		return ERR_PROTOCOL;
	for (unsigned col = COL_APP; col <= COL_ACR; col++)
		total += pg_rows_sv(rows, 0, col).n;
	r->session_why = session_judge(pg_rows_sv(rows, 0, COL_STATE), pg_rows_sv(rows, 0, COL_APP),
				       r->app->name);
	if (r->session_why != REASON_NONE)
		return ERR_OK;
	buf_done(&r->row);
	if (buf_reserve(&r->row, total) == NULL)
		return ERR_LIMIT;
	s->ref = keep(r, rows, COL_REF);
	s->subject = keep(r, rows, COL_SUBJECT);
	s->claims = keep(r, rows, COL_CLAIMS);
	s->acr = keep(r, rows, COL_ACR);
	s->auth_time_s = pg_rows_i64(rows, 0, COL_AUTH_TIME);
	s->idle_left_ms = pg_rows_i64(rows, 0, COL_IDLE_LEFT);
	s->absolute_left_ms = pg_rows_i64(rows, 0, COL_ABSOLUTE_LEFT);
	s->touch_due = pg_rows_bool(rows, 0, COL_TOUCH_DUE);
	s->live = true;
	return ERR_OK;
}

static void on_row(void *arg, enum err e, const struct pg_rows *rows)
{
	struct request *r = arg;

	r->query = NULL;
	if (e == ERR_OK)
		e = take_row(r, rows);
	if (e != ERR_OK)
		r->session_why = REASON_STORE;
	request_resume(r);
}

void session_cookie(struct request *r)
{
	r->cookie_found =
	    cookie_session_find(r->w->keys, r->fields, r->app->cookie_name, clock_wall_s(),
				r->app->absolute_timeout_ms, &r->cookie);
	switch (r->cookie_found) {
	case COOKIE_NONE:
		r->session_why = REASON_NO_COOKIE;
		return;
	case COOKIE_BAD:
		r->session_why = REASON_TAG;
		return;
	case COOKIE_AMBIGUOUS:
		r->session_why = REASON_AMBIGUOUS;
		return;
	case COOKIE_OK:
		break;
	}
	if (!client_binding_holds(r->app, &r->cookie, request_field(r, SV("User-Agent")),
				  r->fw.client)) {
		r->cookie_found = COOKIE_BAD;
		r->session_why = REASON_CLIENT;
		return;
	}
	r->session_why = REASON_NONE;
	if (crypt_sha256(sv_of((const char *)r->cookie.secret, sizeof r->cookie.secret), r->hash) !=
	    ERR_OK)
		r->session_why = REASON_STORE;
}

enum step session_find(struct request *r)
{
	struct pg_param hash = PG_BYTES(r->hash, sizeof r->hash);

	r->session = (struct request_session){0};
	session_cookie(r);
	if (r->session_why != REASON_NONE)
		return STEP_NEXT;
	r->row_asked_ms = clock_boot_ms();
	if (pg_query(r->w->pg, WORKER_SQL_SESSION_GET, &hash, on_row, r, &r->query) != ERR_OK) {
		r->session_why = REASON_STORE;
		return STEP_NEXT;
	}
	return STEP_WAIT;
}

static void on_ended(void *arg, enum err e, const struct pg_rows *rows)
{
	struct request *r = arg;

	r->query = NULL;
	r->waited = e;
	r->ended = e == ERR_OK && pg_rows_count(rows) == 1 && pg_rows_bool(rows, 0, 0);
	request_resume(r);
}

enum step session_end_here(struct request *r)
{
	struct pg_param hash = PG_BYTES(r->hash, sizeof r->hash);

	r->waited = pg_query(r->w->pg, WORKER_SQL_SESSION_END, &hash, on_ended, r, &r->query);
	return r->waited == ERR_OK ? STEP_WAIT : STEP_NEXT;
}

#include "worker/session.h"

#include "common/clock.h"
#include "worker/client_binding.h"
#include "worker/session_memory.h"
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

static void use(struct request *r, struct session_entry *e)
{
	struct session_row row = session_entry_row(e, r->now_us / 1000);

	r->entry = e;
	r->session = (struct request_session){.live = true,
					      .ref = row.ref,
					      .subject = row.subject,
					      .claims = row.claims,
					      .acr = row.acr,
					      .auth_time_s = row.auth_time_s,
					      .idle_left_ms = row.idle_left_ms,
					      .absolute_left_ms = row.absolute_left_ms,
					      .touch_due = row.touch_due,
					      .policy_bits = row.policy_bits};
}

static enum err read_row(struct request *r, const struct pg_rows *rows, struct session_row *ret)
{
	if (pg_rows_count(rows) != 1)
		return ERR_PROTOCOL;
	r->session_why = session_judge(pg_rows_sv(rows, 0, COL_STATE), pg_rows_sv(rows, 0, COL_APP),
				       r->app->name);
	if (r->session_why != REASON_NONE)
		return ERR_OK; /* the rest is null */
	*ret = (struct session_row){.ref = pg_rows_sv(rows, 0, COL_REF),
				    .subject = pg_rows_sv(rows, 0, COL_SUBJECT),
				    .claims = pg_rows_sv(rows, 0, COL_CLAIMS),
				    .acr = pg_rows_sv(rows, 0, COL_ACR),
				    .auth_time_s = pg_rows_i64(rows, 0, COL_AUTH_TIME),
				    .idle_left_ms = pg_rows_i64(rows, 0, COL_IDLE_LEFT),
				    .absolute_left_ms = pg_rows_i64(rows, 0, COL_ABSOLUTE_LEFT),
				    .touch_due = pg_rows_bool(rows, 0, COL_TOUCH_DUE)};
	return ERR_OK;
}

/* A live session: into memory, or with this request where memory does not take it. */
static enum err keep(struct request *r, const struct session_row *row)
{
	struct session_entry *e = NULL, *kept;
	const struct session_entry_of of = {.app = r->app,
					    .sent_ms = r->seen.trip.sent_ms,
					    .idle_ms = r->app->idle_timeout_ms,
					    .policy_bits_n = policy_bits_size(r->w->policy)};
	enum err rc = session_entry_new(row, &of, &e);

	if (rc != ERR_OK)
		return rc;
	kept = e;
	if (!session_memory_put(r->w->memory, r->hash, &r->seen, &e))
		r->own = e;
	use(r, kept);
	return ERR_OK;
}

static enum step read_session(struct request *r);

/* A "no" is final. A "yes" has to be known still, by now. */
static void on_row(void *arg, enum err e, const struct pg_rows *rows)
{
	struct request *r = arg;
	struct session_row row;

	r->query = NULL;
	r->now_us = clock_boot_us();
	if (e == ERR_OK)
		e = read_row(r, rows, &row);
	if (e == ERR_OK && r->session_why != REASON_NONE)
		session_memory_forget(r->w->memory, r->hash);
	if (e == ERR_OK && r->session_why == REASON_NONE) {
		r->seen.trip = *pg_rows_trip(rows);
		if (session_memory_believes(r->w->memory, r->hash, &r->seen))
			e = keep(r, &row);
		else if (read_session(r) == STEP_WAIT)
			return;
	}
	if (e != ERR_OK)
		r->session_why = REASON_STORE;
	request_resume(r);
}

static enum step read_session(struct request *r)
{
	struct pg_param hash = PG_BYTES(r->hash, sizeof r->hash);

	r->seen.tick = session_memory_tick(r->w->memory);
	if (r->reads++ < SESSION_READS_MAX &&
	    pg_query(r->w->pg, WORKER_SQL_SESSION_GET, &hash, on_row, r, &r->query) == ERR_OK)
		return STEP_WAIT;
	r->session_why = REASON_STORE;
	return STEP_NEXT;
}

static enum err hash_of(const struct cookie_session *s, unsigned char hash[CRYPT_SHA256_LEN])
{
	return crypt_sha256(sv_of((const char *)s->secret, sizeof s->secret), hash);
}

static void take_hash(struct request *r, enum err hashed)
{
	r->has_hash = hashed == ERR_OK;
	r->session_why = r->has_hash ? REASON_NONE : REASON_STORE;
}

/* Before its tag is checked, so that what a hit reads comes from memory meanwhile. */
static enum err expect(struct request *r, const struct cookie_session *s)
{
	enum err e = hash_of(s, r->hash);

	if (e == ERR_OK)
		session_memory_expect(r->w->memory, r->hash);
	return e;
}

void session_cookie(struct request *r)
{
	struct cookie_candidates c;
	enum err hashed = ERR_NOT_FOUND;

	cookie_session_read(r->fields, r->app->cookie_name, clock_wall_s(),
			    r->app->absolute_timeout_ms, &c);
	if (c.n == 1)
		hashed = expect(r, &c.v[0].session);
	r->cookie_found = cookie_session_check(r->w->keys, &c, &r->cookie);
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
	if (!client_binding_holds(r->app, &r->cookie, request_field(r, HTTP_USER_AGENT),
				  r->fw.client)) {
		r->cookie_found = COOKIE_BAD;
		r->session_why = REASON_CLIENT;
		return;
	}
	if (c.n != 1)
		hashed = hash_of(&r->cookie, r->hash);
	take_hash(r, hashed);
}

void session_cookie_to_end(struct request *r)
{
	session_cookie(r);
	if (r->session_why != REASON_CLIENT)
		return;
	r->cookie_found = COOKIE_OK;
	take_hash(r, hash_of(&r->cookie, r->hash));
}

/* Another app's session is a "no", which memory never says. */
static bool is_of_app(const struct request *r, const struct session_entry *e)
{
	return session_entry_app(e) == r->app;
}

FLAT enum step session_find(struct request *r)
{
	struct session_entry *e;

	if (r->own != NULL && session_memory_still_believes(r->w->memory, r->hash, &r->seen)) {
		use(r, r->own);
		return STEP_NEXT;
	}
	session_entry_free(&r->own);
	r->entry = NULL;
	r->session = (struct request_session){0};
	if (!r->has_hash)
		session_cookie(r);
	if (!r->has_hash)
		return STEP_NEXT;
	e = session_memory_get(r->w->memory, r->hash, r->now_us / 1000);
	if (e != NULL && r->route != NULL)
		session_entry_fetch(e, r->route->service);
	if (e == NULL || !is_of_app(r, e))
		return read_session(r);
	r->session_why = REASON_NONE;
	use(r, e);
	return STEP_NEXT;
}

void session_in_use(struct request *r)
{
	if (!r->session.touch_due)
		return;
	touch_add(r->w->touch, r->hash);
	session_entry_touched(r->entry, r->now_us / 1000);
	r->session.touch_due = false;
}

struct sv session_token(const struct request *r)
{
	return r->entry == NULL
		   ? SV_NONE
		   : session_entry_token(r->entry, r->route->service, r->now_us / 1000);
}

void session_keep_token(struct request *r, struct sv token, int64_t left_ms)
{
	struct session_entry *e =
	    r->own != NULL ? r->own : session_memory_get(r->w->memory, r->hash, clock_boot_ms());

	if (e == NULL || !is_of_app(r, e))
		return;
	session_entry_add_token(e, r->route->service, token, r->token_asked_ms, left_ms);
	if (r->own == NULL)
		session_memory_grew(r->w->memory, r->hash, e);
}

struct sv session_block(const struct request *r, const void *key)
{
	return r->entry == NULL ? SV_NONE : session_entry_block(r->entry, key);
}

void session_keep_block(struct request *r, const void *key, struct sv text)
{
	if (r->entry == NULL || r->entry == r->own)
		return; /* nobody comes back for it */
	session_entry_add_block(r->entry, key, text);
	session_memory_grew(r->w->memory, r->hash, r->entry);
	r->entry = NULL;
	r->session = (struct request_session){0};
}

void session_over(const struct request *r)
{
	session_memory_end(r->w->memory, r->hash);
}

static void on_ended(void *arg, enum err e, const struct pg_rows *rows)
{
	struct request *r = arg;

	r->query = NULL;
	r->waited = e;
	r->ended = e == ERR_OK && pg_rows_count(rows) == 1 && pg_rows_bool(rows, 0, 0);
	session_over(r);
	request_resume(r);
}

enum step session_end_here(struct request *r)
{
	struct pg_param hash = PG_BYTES(r->hash, sizeof r->hash);

	r->waited = pg_query(r->w->pg, WORKER_SQL_SESSION_END, &hash, on_ended, r, &r->query);
	return r->waited == ERR_OK ? STEP_WAIT : STEP_NEXT;
}

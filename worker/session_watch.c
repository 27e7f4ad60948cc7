#include "worker/session_watch.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/session_cache.h"
#include "worker/session.h"

enum column { COL_STATE, COL_APP, COL_IDLE_LEFT = 7, COL_ABSOLUTE_LEFT };

struct session_watches {
	struct pg *pg;
	unsigned stmt;
	struct event *tick;
	TAILQ_HEAD(, session_watch) all;
	size_t n, reading;
	bool more; /* are due than may be read at a time */
};

static void set_tick(struct session_watches *s, int64_t ms)
{
	struct timeval tv = clock_timeval(ms);

	(void)evtimer_add(s->tick, &tv); /* without memory: with the next watch or notification */
}

static int64_t lesser(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When to read again what has so long to live. */
static int64_t next_read(const struct session_watches *s, int64_t left_ms)
{
	int64_t at_least = pg_hears(s->pg) ? SESSION_WATCH_READ_MS : SESSION_WATCH_NEXT_TICK_MS;
	int64_t in = left_ms > SESSION_WATCH_NEAR_MS
			 ? left_ms - SESSION_WATCH_NEAR_MS
			 : lesser(left_ms < 0 ? 0 : left_ms, SESSION_WATCH_NEAR_READ_MS);

	return clock_boot_ms() + lesser(in, at_least);
}

static void take_out(struct session_watch *w)
{
	struct session_watches *s = w->in;

	TAILQ_REMOVE(&s->all, w, link);
	s->n--;
	s->reading -= w->query != NULL;
	pg_call_cancel(&w->query);
	w->in = NULL;
}

static void on_row(void *arg, enum err e, const struct pg_rows *rows)
{
	struct session_watch *w = arg;
	struct session_watches *s = w->in;
	int64_t idle_ms, absolute_ms;
	enum reason why;

	w->query = NULL;
	if (--s->reading == 0 && s->more)
		set_tick(s, 0);
	if (e != ERR_OK || pg_rows_count(rows) != 1) {
		/* An outage ends nothing. */
		w->due_ms = clock_boot_ms() + SESSION_WATCH_NEXT_TICK_MS;
		return;
	}
	why = session_judge(pg_rows_sv(rows, 0, COL_STATE), pg_rows_sv(rows, 0, COL_APP), w->app);
	if (why != REASON_NONE) {
		take_out(w);
		w->tell->ended(w->arg, why);
		return;
	}
	/* What became due while this was read stays due: the row may be of before. */
	if (w->due_ms != 0)
		return;
	idle_ms = pg_rows_i64(rows, 0, COL_IDLE_LEFT);
	absolute_ms = pg_rows_i64(rows, 0, COL_ABSOLUTE_LEFT);
	w->due_ms = next_read(s, lesser(idle_ms, absolute_ms));
	w->tell->lives(w->arg, idle_ms, absolute_ms); /* last: w may be gone after */
}

/* due_ms is 0 while it is read, and set again by whatever happens meanwhile. */
static void read_row(struct session_watches *s, struct session_watch *w)
{
	struct pg_param hash = PG_BYTES(w->hash, sizeof w->hash);

	if (pg_query(s->pg, s->stmt, &hash, on_row, w, &w->query) != ERR_OK)
		return; /* still due */
	s->reading++;
	w->due_ms = 0;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct session_watches *s = arg;
	int64_t now = clock_boot_ms();
	struct session_watch *w;

	(void)fd;
	(void)what;
	if (s->n == 0)
		return;
	pg_lease_used(s->pg); /* so that a connection that is cut is found */
	s->more = false;
	TAILQ_FOREACH(w, &s->all, link)
	{
		if (w->query != NULL || w->due_ms > now)
			continue;
		s->more = s->reading >= SESSION_WATCH_READS_MAX;
		if (s->more)
			break;
		read_row(s, w);
	}
	set_tick(s, SESSION_WATCH_TICK_MS);
}

enum err session_watches_new(struct event_base *base, struct pg *pg, unsigned stmt,
			     struct session_watches **ret)
{
	struct session_watches *s = calloc(1, sizeof *s);

	if (s == NULL)
		return ERR_NOMEM;
	s->pg = pg;
	s->stmt = stmt;
	TAILQ_INIT(&s->all);
	s->tick = evtimer_new(base, on_tick, s);
	if (s->tick == NULL) {
		free(s);
		return ERR_NOMEM;
	}
	*ret = s;
	return ERR_OK;
}

void session_watches_free(struct session_watches **s)
{
	if (*s == NULL)
		return;
	while (!TAILQ_EMPTY(&(*s)->all))
		take_out(TAILQ_FIRST(&(*s)->all));
	event_free((*s)->tick);
	free(*s);
	*s = NULL;
}

void session_watches_ended(void *arg, struct sv payload)
{
	struct session_watches *s = arg;
	struct session_watch *w;
	bool any = false;

	TAILQ_FOREACH(w, &s->all, link)
	if (session_cache_names(payload, w->hash)) {
		w->due_ms = clock_boot_ms();
		any = true;
	}
	if (any)
		set_tick(s, 0);
}

enum err session_watch_start(struct session_watches *s, struct session_watch *w,
			     const unsigned char hash[CRYPT_SHA256_LEN], struct sv app,
			     int64_t left_ms, const struct session_watcher *tell, void *arg)
{
	if (s->n >= SESSION_WATCHES_MAX)
		return ERR_LIMIT;
	*w = (struct session_watch){.in = s, .app = app, .tell = tell, .arg = arg};
	/* What says that the end is near is a row, not what memory had of an older one. */
	w->due_ms = left_ms > SESSION_WATCH_NEAR_MS ? next_read(s, left_ms) : clock_boot_ms();
	memcpy(w->hash, hash, sizeof w->hash);
	TAILQ_INSERT_TAIL(&s->all, w, link);
	if (s->n++ == 0)
		set_tick(s, SESSION_WATCH_TICK_MS);
	return ERR_OK;
}

void session_watch_stop(struct session_watch *w)
{
	if (w->in != NULL)
		take_out(w);
}

size_t session_watches_count(const struct session_watches *s)
{
	return s->n;
}

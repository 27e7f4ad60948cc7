#include "worker/session_events.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "worker/conn.h"

#define FRAME_MAX (SESSION_EVENTS_TEXT_MAX + 32) /* with the chunk's edges, and the last chunk */

struct session_stream {
	TAILQ_ENTRY(session_stream) link;
	struct session_events *in;
	struct conn *conn; /* NULL: its head is not written yet */
	struct session_watch watch;
	int64_t idle_at_ms, absolute_at_ms; /* its limits, by our clock */
	int64_t beat_at_ms, until_ms;
	unsigned beat_ms, retry_ms;
	bool chunked, expiring;
	bool ended; /* before its head was written */
};

struct session_events {
	struct session_watches *watches;
	struct event *tick;
	TAILQ_HEAD(, session_stream) all;
	size_t n, max;
	bool draining;
};

/* ---- what is said ------------------------------------------------------------------------- */

/* As much of the body as goes at once. */
struct frame {
	char text[FRAME_MAX];
	size_t n;
};

static void add(struct frame *f, bool chunked, const char *text)
{
	size_t room = sizeof f->text - f->n;
	int n = chunked ? snprintf(f->text + f->n, room, "%zx\r\n%s\r\n", strlen(text), text)
			: snprintf(f->text + f->n, room, "%s", text);

	assert(n > 0 && (size_t)n < room);
	f->n += (size_t)n;
}

/* False: not all was taken; connection and stream are gone. */
static bool say(struct session_stream *s, const char *text)
{
	struct frame f = {.n = 0};

	add(&f, s->chunked, text);
	return conn_stream_write(s->conn, sv_of(f.text, f.n)) == ERR_OK;
}

static void times(const struct session_stream *s, const char *event,
		  char text[SESSION_EVENTS_TEXT_MAX])
{
	int64_t now_ms = clock_boot_ms(), now_s = clock_wall_s();

	(void)snprintf(text, SESSION_EVENTS_TEXT_MAX,
		       "event: %s\ndata: {\"expires_at\":%" PRId64 ",\"idle_expires_at\":%" PRId64
		       "}\n\n",
		       event, now_s + (s->absolute_at_ms - now_ms) / 1000,
		       now_s + (s->idle_at_ms - now_ms) / 1000);
}

/* Stream and connection are gone afterwards. */
static void end(struct session_stream *s, const char *text)
{
	struct conn *c = s->conn;
	struct frame f = {.n = 0};

	if (text != NULL)
		add(&f, s->chunked, text);
	if (s->chunked) {
		memcpy(f.text + f.n, "0\r\n\r\n", 5);
		f.n += 5;
	}
	if (f.n == 0 || conn_stream_write(c, sv_of(f.text, f.n)) == ERR_OK)
		conn_close(c);
}

/* ---- when ---------------------------------------------------------------------------------- */

static void set_times(struct session_stream *s, int64_t idle_left_ms, int64_t absolute_left_ms)
{
	int64_t now = clock_boot_ms();

	s->idle_at_ms = now + idle_left_ms;
	s->absolute_at_ms = now + absolute_left_ms;
}

static void on_ended(void *arg, unsigned why)
{
	struct session_stream *s = arg;

	(void)why;
	s->ended = true;
	if (s->conn != NULL)
		end(s, "event: ended\ndata: {}\n\n");
}

static void on_lives(void *arg, int64_t idle_left_ms, int64_t absolute_left_ms)
{
	struct session_stream *s = arg;
	int64_t left_ms = idle_left_ms < absolute_left_ms ? idle_left_ms : absolute_left_ms;
	bool near = left_ms <= SESSION_EVENTS_EXPIRING_S * 1000;
	char text[SESSION_EVENTS_TEXT_MAX];

	set_times(s, idle_left_ms, absolute_left_ms);
	if (s->conn == NULL || near == s->expiring)
		return;
	s->expiring = near;
	times(s, near ? "expiring" : "live", text);
	(void)say(s, text); /* s may be gone */
}

static const struct session_watcher watcher = {on_ended, on_lives};

static void set_tick(struct session_events *e)
{
	struct timeval tv = clock_timeval(SESSION_EVENTS_TICK_MS);

	(void)evtimer_add(e->tick, &tv); /* without memory: with the next stream */
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct session_events *e = arg;
	int64_t now = clock_boot_ms();
	struct session_stream *next, *s;

	(void)fd;
	(void)what;
	for (s = TAILQ_FIRST(&e->all); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (s->conn == NULL)
			continue;
		if (now >= s->until_ms) {
			end(s, NULL);
		} else if (now >= s->beat_at_ms) {
			s->beat_at_ms = now + s->beat_ms;
			(void)say(s, ":\n\n"); /* s may be gone */
		}
	}
	if (e->n > 0)
		set_tick(e);
}

/* ---- the beginning and the end ------------------------------------------------------------- */

enum err session_events_new(struct event_base *base, struct session_watches *watches, size_t max,
			    struct session_events **ret)
{
	struct session_events *e = calloc(1, sizeof *e);

	if (e == NULL)
		return ERR_NOMEM;
	e->watches = watches;
	e->max = max;
	TAILQ_INIT(&e->all);
	e->tick = evtimer_new(base, on_tick, e);
	if (e->tick == NULL) {
		free(e);
		return ERR_NOMEM;
	}
	*ret = e;
	return ERR_OK;
}

void session_events_free(struct session_events **e)
{
	if (*e == NULL)
		return;
	assert((*e)->n == 0);
	event_free((*e)->tick);
	free(*e);
	*e = NULL;
}

size_t session_events_count(const struct session_events *e)
{
	return e == NULL ? 0 : e->n;
}

void session_events_end(struct session_events *e)
{
	struct session_stream *next, *s;

	e->draining = true;
	for (s = TAILQ_FIRST(&e->all); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (s->conn != NULL)
			end(s, NULL);
	}
}

static bool is_too_many(const struct session_events *e, const unsigned char *hash)
{
	size_t same = 0;
	const struct session_stream *s;

	TAILQ_FOREACH(s, &e->all, link)
	same += memcmp(s->watch.hash, hash, CRYPT_SHA256_LEN) == 0;
	return e->n >= e->max || same >= SESSION_EVENTS_A_SESSION;
}

static unsigned between(unsigned min, unsigned max, uint16_t drawn)
{
	return min + (max - min) * drawn / UINT16_MAX;
}

static enum err draw(struct session_stream *s)
{
	uint16_t drawn[3];

	if (crypt_random((unsigned char *)drawn, sizeof drawn) != ERR_OK)
		return ERR_CRYPTO;
	s->beat_ms = between(SESSION_EVENTS_BEAT_MIN_MS, SESSION_EVENTS_BEAT_MAX_MS, drawn[0]);
	s->retry_ms = between(SESSION_EVENTS_RETRY_MIN_MS, SESSION_EVENTS_RETRY_MAX_MS, drawn[1]);
	s->until_ms =
	    clock_boot_ms() + between(SESSION_EVENTS_LAST_MIN_MS, SESSION_EVENTS_LAST_MS, drawn[2]);
	s->beat_at_ms = clock_boot_ms() + s->beat_ms;
	return ERR_OK;
}

enum err session_stream_open(struct session_events *e, const struct session_stream_of *of,
			     struct session_stream **ret)
{
	int64_t left_ms =
	    of->idle_left_ms < of->absolute_left_ms ? of->idle_left_ms : of->absolute_left_ms;
	struct session_stream *s;
	enum err rc;

	if (is_too_many(e, of->hash))
		return ERR_LIMIT;
	s = calloc(1, sizeof *s);
	if (s == NULL)
		return ERR_NOMEM;
	s->chunked = of->chunked;
	set_times(s, of->idle_left_ms, of->absolute_left_ms);
	rc = draw(s);
	if (rc == ERR_OK)
		rc = session_watch_start(e->watches, &s->watch, of->hash, of->app, left_ms,
					 &watcher, s);
	if (rc != ERR_OK) {
		free(s);
		return rc;
	}
	s->in = e;
	TAILQ_INSERT_TAIL(&e->all, s, link);
	if (e->n++ == 0)
		set_tick(e);
	*ret = s;
	return ERR_OK;
}

void session_stream_free(struct session_stream **s)
{
	if (*s == NULL)
		return;
	session_watch_stop(&(*s)->watch);
	TAILQ_REMOVE(&(*s)->in->all, *s, link);
	(*s)->in->n--;
	free(*s);
	*s = NULL;
}

void session_stream_greet(struct session_stream *s, struct buf *out)
{
	char text[SESSION_EVENTS_TEXT_MAX];
	struct frame f = {.n = 0};
	int n = snprintf(text, sizeof text, "retry: %u\n\n", s->retry_ms);

	assert(n > 0);
	add(&f, s->chunked, text);
	buf_add(out, sv_of(f.text, f.n));
	times(s, "live", text);
	f.n = 0;
	add(&f, s->chunked, text);
	buf_add(out, sv_of(f.text, f.n));
}

void session_stream_begin(struct session_stream *s, struct conn *c)
{
	s->conn = c;
	if (s->ended)
		on_ended(s, 0);
	else if (s->in->draining)
		end(s, NULL);
}

#include "worker/session_events.h"

#include "common/clock.h"
#include "tests/unit/loop.h"
#include "tests/unit/torture.h"
#include "worker/conn.h"
#include "worker/denial.h"

#define NOW 1000000
#define WALL_S 1700000000
#define MAX 100
#define HOUR_MS 3600000
#define SECOND_MS INT64_C(1000)
#define LIVE(absolute, idle) EVENT("live", absolute, idle)
#define EVENT(name, absolute, idle)                                                                \
	"event: " name "\ndata: {\"expires_at\":" absolute ",\"idle_expires_at\":" idle "}\n\n"
#define ENDED "event: ended\ndata: {}\n\n"

/* The connection: what was written to it, and whether it is open. */
struct conn {
	struct session_stream *stream;
	char text[4096];
	size_t n;
	bool is_closed, is_full;
};

static struct {
	struct event_base *base;
	struct session_events *e;
	struct conn c;
	const struct session_watcher *tell;
	void *arg;
	int64_t left_ms;
	unsigned starts, stops;
	enum err watch_says, random_says;
	unsigned char drawn; /* every random byte */
} f;

enum err __wrap_conn_stream_write(struct conn *c, struct sv text);
void __wrap_conn_close(struct conn *c);
enum err __wrap_session_watch_start(struct session_watches *s, struct session_watch *w,
				    const unsigned char hash[CRYPT_SHA256_LEN], struct sv app,
				    int64_t left_ms, const struct session_watcher *tell, void *arg);
void __wrap_session_watch_stop(struct session_watch *w);
enum err __wrap_crypt_random(unsigned char *out, size_t n);

void __wrap_conn_close(struct conn *c)
{
	assert_false(c->is_closed);
	c->is_closed = true;
	session_stream_free(&c->stream);
}

enum err __wrap_conn_stream_write(struct conn *c, struct sv text)
{
	assert_false(c->is_closed);
	if (c->is_full) {
		__wrap_conn_close(c);
		return ERR_IO;
	}
	assert_true(c->n + text.n < sizeof c->text);
	memcpy(c->text + c->n, text.p, text.n);
	c->n += text.n;
	c->text[c->n] = '\0';
	return ERR_OK;
}

enum err __wrap_session_watch_start(struct session_watches *s, struct session_watch *w,
				    const unsigned char hash[CRYPT_SHA256_LEN], struct sv app,
				    int64_t left_ms, const struct session_watcher *tell, void *arg)
{
	(void)s;
	assert_sv_equal(app, SV("demo"));
	if (f.watch_says != ERR_OK)
		return f.watch_says;
	memcpy(w->hash, hash, sizeof w->hash);
	f.starts++;
	f.left_ms = left_ms;
	f.tell = tell;
	f.arg = arg;
	return ERR_OK;
}

void __wrap_session_watch_stop(struct session_watch *w)
{
	(void)w;
	f.stops++;
}

enum err __wrap_crypt_random(unsigned char *out, size_t n)
{
	memset(out, f.drawn, n);
	return f.random_says;
}

static int open_all(void **state)
{
	(void)state;
	memset(&f, 0, sizeof f);
	clock_set(NOW, WALL_S);
	f.base = event_base_new();
	assert_non_null(f.base);
	assert_int_equal(session_events_new(f.base, NULL, MAX, &f.e), ERR_OK);
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	session_stream_free(&f.c.stream);
	assert_int_equal(f.starts, f.stops);
	session_events_free(&f.e);
	session_events_free(&f.e);
	event_base_free(f.base);
	clock_unset();
	return 0;
}

static enum err open_stream(unsigned char hash, bool chunked, struct session_stream **ret)
{
	unsigned char h[CRYPT_SHA256_LEN];
	const struct session_stream_of of = {h, SV("demo"), 2 * HOUR_MS, HOUR_MS, chunked};

	memset(h, hash, sizeof h);
	return session_stream_open(f.e, &of, ret);
}

/* With its head written. */
static void begin(bool chunked)
{
	assert_int_equal(open_stream(1, chunked, &f.c.stream), ERR_OK);
	session_stream_begin(f.c.stream, &f.c);
}

static void pass(int64_t ms)
{
	clock_set(NOW + ms, WALL_S + ms / 1000);
	loop_turn(f.base);
}

#define assert_said(want) assert_string_equal(f.c.text, want)

static void the_greeting_is_live_with_the_times(void **state)
{
	struct buf b;

	(void)state;
	for (int chunked = 0; chunked < 2; chunked++) {
		struct session_stream *s = NULL;

		buf_init(&b, 1024);
		assert_int_equal(open_stream(1, chunked == 1, &s), ERR_OK);
		assert_int_equal(f.left_ms, HOUR_MS);
		session_stream_greet(s, &b);
		assert_sv_equal(buf_sv(&b),
				chunked ? SV("c\r\nretry: 500\n\n\r\n"
					     "4a\r\n" LIVE("1700003600", "1700007200") "\r\n")
					: SV("retry: 500\n\n" LIVE("1700003600", "1700007200")));
		session_stream_free(&s);
		buf_done(&b);
	}
}

static void an_end_is_told_and_closes(void **state)
{
	(void)state;
	begin(false);
	f.tell->ended(f.arg, REASON_REVOKED);
	assert_said(ENDED);
	assert_true(f.c.is_closed);
	assert_int_equal(session_events_count(f.e), 0);
}

static void chunks_have_a_last_one(void **state)
{
	(void)state;
	begin(true);
	f.tell->ended(f.arg, REASON_REVOKED);
	assert_said("17\r\n" ENDED "\r\n0\r\n\r\n");
	assert_true(f.c.is_closed);
}

static void the_near_end_is_told_once_and_taken_back(void **state)
{
	(void)state;
	begin(false);
	f.tell->lives(f.arg, 61 * SECOND_MS, HOUR_MS);
	assert_said("");
	f.tell->lives(f.arg, 60 * SECOND_MS, HOUR_MS);
	assert_said(EVENT("expiring", "1700003600", "1700000060"));
	pass(5000);
	f.tell->lives(f.arg, 55 * SECOND_MS, HOUR_MS);
	assert_said(EVENT("expiring", "1700003600", "1700000060"));
	f.c.n = 0;
	f.tell->lives(f.arg, HOUR_MS, HOUR_MS);
	assert_said(LIVE("1700003605", "1700003605"));
	f.c.n = 0;
	f.tell->lives(f.arg, HOUR_MS, 1000); /* whichever is nearer */
	assert_said(EVENT("expiring", "1700000006", "1700003605"));
	assert_false(f.c.is_closed);
}

/* The least and the most that may be drawn. */
static void comments_keep_it_open(void **state)
{
	static const struct {
		unsigned char drawn;
		int64_t beat_ms;
	} cases[] = {{0, SESSION_EVENTS_BEAT_MIN_MS}, {0xff, SESSION_EVENTS_BEAT_MAX_MS}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		close_all(state);
		open_all(state);
		f.drawn = cases[i].drawn;
		begin(true);
		pass(cases[i].beat_ms - 1);
		assert_said("");
		pass(cases[i].beat_ms);
		assert_said("3\r\n:\n\n\r\n");
		pass(2 * cases[i].beat_ms - 1);
		assert_said("3\r\n:\n\n\r\n");
		pass(2 * cases[i].beat_ms);
		assert_said("3\r\n:\n\n\r\n3\r\n:\n\n\r\n");
		assert_int_equal(loop_asked_ms(), SESSION_EVENTS_TICK_MS);
	}
	assert_int_equal(SESSION_EVENTS_BEAT_MIN_MS, 15000);
	assert_int_equal(SESSION_EVENTS_BEAT_MAX_MS, 30000);
}

static void it_ends_by_itself(void **state)
{
	static const struct {
		unsigned char drawn;
		int64_t last_ms;
	} cases[] = {{0, SESSION_EVENTS_LAST_MIN_MS}, {0xff, SESSION_EVENTS_LAST_MS}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		close_all(state);
		open_all(state);
		f.drawn = cases[i].drawn;
		begin(true);
		pass(cases[i].last_ms - 1);
		assert_false(f.c.is_closed);
		f.c.n = 0;
		pass(cases[i].last_ms);
		assert_said("0\r\n\r\n"); /* nothing about the session */
		assert_true(f.c.is_closed);
	}
}

static void who_does_not_read_is_dropped(void **state)
{
	(void)state;
	begin(false);
	f.c.is_full = true;
	pass(SESSION_EVENTS_BEAT_MIN_MS);
	assert_true(f.c.is_closed);
	f.c = (struct conn){.is_full = true};
	begin(false);
	f.tell->lives(f.arg, 1, 1);
	assert_true(f.c.is_closed);
	f.c = (struct conn){.is_full = true};
	begin(false);
	f.tell->ended(f.arg, REASON_IDLE);
	assert_true(f.c.is_closed);
}

/* Before the head is written there is nobody to write to. */
static void what_happens_before_the_head_is_written_is_told_then(void **state)
{
	(void)state;
	assert_int_equal(open_stream(1, false, &f.c.stream), ERR_OK);
	f.tell->lives(f.arg, 1, 1);
	pass(SESSION_EVENTS_LAST_MS);
	f.tell->ended(f.arg, REASON_REVOKED);
	assert_false(f.c.is_closed);
	session_stream_begin(f.c.stream, &f.c);
	assert_said(ENDED);
	assert_true(f.c.is_closed);
}

static void a_drain_ends_all_and_says_nothing_of_the_session(void **state)
{
	struct conn other = {.n = 0};

	(void)state;
	begin(true);
	assert_int_equal(open_stream(2, false, &other.stream), ERR_OK);
	session_events_end(f.e);
	assert_said("0\r\n\r\n");
	assert_true(f.c.is_closed);
	assert_false(other.is_closed); /* its head comes first */
	session_stream_begin(other.stream, &other);
	assert_true(other.is_closed);
	assert_int_equal(other.n, 0);
	assert_int_equal(session_events_count(f.e), 0);
}

static void limits(void **state)
{
	struct session_stream *s[MAX] = {NULL}, *extra = NULL;

	(void)state;
	for (size_t i = 0; i < SESSION_EVENTS_A_SESSION; i++)
		assert_int_equal(open_stream(1, false, &s[i]), ERR_OK);
	assert_int_equal(open_stream(1, false, &extra), ERR_LIMIT);
	for (size_t i = SESSION_EVENTS_A_SESSION; i < MAX; i++)
		assert_int_equal(open_stream((unsigned char)(2 + i), false, &s[i]), ERR_OK);
	assert_int_equal(session_events_count(f.e), MAX);
	assert_int_equal(open_stream(250, false, &extra), ERR_LIMIT);
	session_stream_free(&s[0]);
	assert_int_equal(open_stream(1, false, &s[0]), ERR_OK);
	for (size_t i = 0; i < MAX; i++)
		session_stream_free(&s[i]);
	f.watch_says = ERR_LIMIT;
	assert_int_equal(open_stream(1, false, &extra), ERR_LIMIT);
	f.watch_says = ERR_OK;
	f.random_says = ERR_CRYPTO;
	assert_int_equal(open_stream(1, false, &extra), ERR_CRYPTO);
	assert_int_equal(session_events_count(f.e), 0);
	assert_int_equal(session_events_count(NULL), 0);
}

/* Of all streams one; without any, none. */
static void there_is_one_timer(void **state)
{
	struct session_stream *a = NULL, *b = NULL;
	unsigned timers;

	(void)state;
	timers = loop_state.n;
	assert_int_equal(open_stream(1, false, &a), ERR_OK);
	assert_int_equal(open_stream(2, false, &b), ERR_OK);
	assert_int_equal(loop_state.n, timers + 1);
	loop_turn(f.base);
	assert_int_equal(loop_state.n, timers + 2);
	session_stream_free(&a);
	session_stream_free(&b);
	loop_turn(f.base);
	loop_turn(f.base);
	assert_int_equal(loop_state.n, timers + 2);
}

static enum err make(void *arg)
{
	struct session_events *e = NULL;
	struct session_stream *s = NULL;
	unsigned char h[CRYPT_SHA256_LEN] = {0};
	const struct session_stream_of of = {h, SV("demo"), HOUR_MS, HOUR_MS, true};
	enum err rc = session_events_new(f.base, NULL, MAX, &e);

	(void)arg;
	if (rc == ERR_OK)
		rc = session_stream_open(e, &of, &s);
	assert_true((s != NULL) == (rc == ERR_OK));
	session_stream_free(&s);
	session_events_free(&e);
	return rc;
}

static void without_memory_there_is_none(void **state)
{
	(void)state;
	assert_true(torture(make, NULL) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
	    CASE(the_greeting_is_live_with_the_times),
	    CASE(an_end_is_told_and_closes),
	    CASE(chunks_have_a_last_one),
	    CASE(the_near_end_is_told_once_and_taken_back),
	    CASE(comments_keep_it_open),
	    CASE(it_ends_by_itself),
	    CASE(who_does_not_read_is_dropped),
	    CASE(what_happens_before_the_head_is_written_is_told_then),
	    CASE(a_drain_ends_all_and_says_nothing_of_the_session),
	    CASE(limits),
	    CASE(there_is_one_timer),
	    CASE(without_memory_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

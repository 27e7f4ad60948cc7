#include "worker/touch.h"

#include <stdlib.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"

struct touch {
	struct pg *pg;
	unsigned stmt;
	struct event *timer;
	size_t n;
	unsigned char (*hashes)[CRYPT_SHA256_LEN]; /* TOUCH_MAX; allocated with the first */
};

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, CRYPT_SHA256_LEN);
}

/* {"\\x0123…","\\x…"}: the text form of a bytea[]; each hash once. */
static void write_array(struct touch *t, struct buf *b)
{
	qsort(t->hashes, t->n, sizeof t->hashes[0], compare);
	for (size_t i = 0; i < t->n; i++) {
		if (i > 0 && compare(t->hashes[i], t->hashes[i - 1]) == 0)
			continue;
		buf_add(b, i == 0 ? SV("{\"\\\\x") : SV(",\"\\\\x"));
		buf_add_hex(b, sv_of((const char *)t->hashes[i], CRYPT_SHA256_LEN));
		buf_add_char(b, '"');
	}
	buf_add_char(b, '}');
}

static void on_touched(void *arg, enum err e, const struct pg_rows *rows)
{
	(void)arg;
	(void)rows;
	if (e != ERR_OK && e != ERR_CANCELED)
		log_warn("touch_failed", K("error", err_text(e)),
			 K("then", "noted with the next request"));
}

static void flush(struct touch *t)
{
	struct buf b;
	struct pg_param param;
	enum err e = ERR_LIMIT;

	if (t->n == 0)
		return;
	buf_init(&b, TOUCH_MAX * (2 * CRYPT_SHA256_LEN + 8));
	write_array(t, &b);
	param = PG_SV(buf_sv(&b));
	if (buf_ok(&b))
		e = pg_query(t->pg, t->stmt, &param, on_touched, NULL, NULL);
	if (e != ERR_OK)
		on_touched(NULL, e, NULL);
	buf_done(&b);
	t->n = 0;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	flush(arg);
}

enum err touch_new(struct event_base *base, struct pg *pg, unsigned stmt, struct touch **ret)
{
	struct touch *t = calloc(1, sizeof *t);

	if (t == NULL)
		return ERR_NOMEM;
	t->pg = pg;
	t->stmt = stmt;
	t->timer = evtimer_new(base, on_timer, t);
	if (t->timer == NULL) {
		free(t);
		return ERR_NOMEM;
	}
	*ret = t;
	return ERR_OK;
}

void touch_free(struct touch **t)
{
	if (*t == NULL)
		return;
	flush(*t);
	event_free((*t)->timer);
	free((*t)->hashes);
	free(*t);
	*t = NULL;
}

void touch_add(struct touch *t, const unsigned char hash[CRYPT_SHA256_LEN])
{
	struct timeval tv = clock_timeval(TOUCH_MS);

	if (t->hashes == NULL)
		t->hashes = calloc(TOUCH_MAX, sizeof t->hashes[0]);
	if (t->hashes == NULL)
		return;
	if (t->n == TOUCH_MAX)
		flush(t);
	memcpy(t->hashes[t->n++], hash, CRYPT_SHA256_LEN);
	if (t->n == 1)
		(void)evtimer_add(t->timer, &tv); /* without memory: with the next one */
}
